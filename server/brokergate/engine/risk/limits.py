"""The limits of one account, held against its orders.

What each limit means, what it is measured by and whom it spares stands in `docs/risk.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from brokergate.domain.accounts import BrokerPosition
from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Money
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import QuoteView
from brokergate.domain.money import ZERO, add, multiply, quotient, subtract
from brokergate.domain.orders import Order, OrderSpec, Side
from brokergate.domain.policy import RiskLimits
from brokergate.domain.values import changed
from brokergate.engine.risk.breach import Breach, NoReference, exceeded, shown, shown_money
from brokergate.engine.risk.collar import Collar
from brokergate.engine.risk.day import DayLoss
from brokergate.engine.risk.exposure import Exposure
from brokergate.engine.risk.pace import Pace
from brokergate.engine.risk.prices import Prices
from brokergate.engine.risk.wish import Wish, wish_for
from brokergate.ports.clock import Clock

Rule = Callable[[Wish], Breach | None]


class Risk:
    """Told of every change of the account's orders and positions; asked before an order is taken.

    `day` is what `day_record` gave last, None at first. Positions are to be told before the first order is asked about.
    """

    def __init__(
        self,
        limits: RiskLimits,
        quote: Callable[[str], QuoteView | None],
        instruments: Callable[[], Mapping[str, Instrument]],
        clock: Clock,
        day: str | None,
        problem_with: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._limits = limits
        self._instruments = instruments
        self._prices = Prices(quote, instruments, clock, limits.quote_max_age_ns, problem_with)
        self._exposure = Exposure(self._prices if limits.max_position_notional else None)
        self._collar = (
            Collar(limits.price_collar_percent, self._prices) if limits.price_collar_percent else None
        )
        self._pace = Pace(limits.max_orders_per_second, clock) if limits.max_orders_per_second else None
        self._day: DayLoss | None = None
        if limits.max_daily_loss is not None:
            zone = limits.daily_loss_time_zone
            self._day = DayLoss(limits.max_daily_loss, zone, self._prices, clock, day)
        self._rules = self._chosen()

    def _chosen(self) -> tuple[tuple[str, Rule], ...]:
        """The rules that opening orders are held to, by their settings' names: what is not limited costs nothing."""
        limits, collar = self._limits, self._collar
        rules: tuple[tuple[str, Rule, object], ...] = (
            ("instruments", self._instrument, limits.instruments),
            ("max_order_quantity", self._order_quantity, limits.max_order_quantity),
            ("max_order_notional", self._order_notional, limits.max_order_notional),
            ("max_open_orders", self._open_orders, limits.max_open_orders),
            ("max_position_quantity", self._position_quantity, limits.max_position_quantity),
            ("max_position_notional", self._position_notional, limits.max_position_notional),
            ("max_daily_loss", self._daily_loss, limits.max_daily_loss),
            ("max_orders_per_second", self._speed, limits.max_orders_per_second),
        )
        chosen = [(name, rule) for name, rule, limit in rules if limit]
        return tuple([("price_collar_percent", collar.check), *chosen] if collar else chosen)

    # Asking

    def check(
        self, spec: OrderSpec, quantity: Decimal, instrument: Instrument, replaced: Order | None = None
    ) -> Breach | None:
        """Why the order must not be taken; None when it may. One that may counts for the orders a second at once, and
        for everything else as soon as `hold` is told of it, which must be before anything else is asked.

        `quantity` is all of it, with what has filled of an order that is `replaced`. An order that was held back is
        checked again with itself as `replaced`: as a new one, without counting twice.
        """
        breach = self.preview(spec, quantity, instrument, replaced)
        if breach is None and self._pace is not None and (replaced is None or not replaced.held):
            self._pace.count()
        return breach

    def preview(
        self, spec: OrderSpec, quantity: Decimal, instrument: Instrument, replaced: Order | None = None
    ) -> Breach | None:
        """What `check` would say now. Counts nothing."""
        return self._judge(wish_for(self._exposure, spec, quantity, instrument, replaced))

    def check_group(
        self, specs: Sequence[OrderSpec], instrument: Instrument, held: Sequence[Order] = ()
    ) -> Breach | None:
        """As `check`, for linked orders: all or none. `held` are the orders, in their order, where they were held back
        and are to be sent."""
        breach = self.preview_group(specs, instrument, held)
        if breach is None and self._pace is not None and not held:
            for _ in specs:
                self._pace.count()
        return breach

    def preview_group(
        self, specs: Sequence[OrderSpec], instrument: Instrument, held: Sequence[Order] = ()
    ) -> Breach | None:
        """What `check_group` would say now. Counts nothing.

        Only one of an OCO's members fills, so that each is held to the limits beside what there is without the others.
        A bracket is its entry: its legs close what that fills and are held to the collar alone, as reductions are.
        """
        bracket = specs[0].bracket
        for index, spec in enumerate(specs):
            assert spec.quantity is not None
            order = held[index] if held else None
            wish = wish_for(self._exposure, spec, spec.quantity, instrument, order, len(specs))
            breach = self._reduction(wish) if bracket and index else self._judge(wish)
            if breach is not None:
                return breach
        return None

    def _reduction(self, wish: Wish) -> Breach | None:
        return None if self._collar is None else self._collar.check_reducing(wish)

    def _judge(self, wish: Wish) -> Breach | None:
        if wish.eases:
            return None
        if wish.reduces:
            return self._reduction(wish)
        for name, rule in self._rules:
            try:
                breach = rule(wish)
            except NoReference as missing:
                return Breach(ErrorReason.NO_REFERENCE_PRICE, f"risk_limits.{name} needs {missing}")
            if breach is not None:
                return breach
        return None

    def loss(self) -> Breach | None:
        """The loss of the day as of now, when it has reached its limit. None as well where it cannot be told, for want
        of a price: what is not known stops nothing, it only keeps new positions out (`check`)."""
        try:
            return None if self._day is None else self._day.look()
        except NoReference:
            return None

    def unknown_symbols(self) -> list[str]:
        """Symbols of the limits that the account has no instrument for: limits that nothing is held to."""
        limits = self._limits
        named = {*limits.instruments, *limits.max_order_quantity, *limits.max_position_quantity}
        return sorted(named - self._instruments().keys())

    # Being told

    def hold(self, before: Order | None, after: Order) -> None:
        """An order changed, or is new to the account (`before` None): one of others too, or one of before a start."""
        if before is not None and _counts_the_same(before, after):
            return
        self._exposure.hold(after)

    def filled(self, symbol: str, side: Side, quantity: Decimal) -> None:
        """An execution was booked: the position has moved, whatever the venue says of it later."""
        self._exposure.move(symbol, side, quantity)

    def position(self, position: BrokerPosition) -> None:
        """The absolute word on a position."""
        self._exposure.place(position.symbol, position.quantity)
        if self._day is not None:
            self._day.tell(position)

    def day_record(self) -> str | None:
        """What the journal must keep of the day's loss, where that changed since the last call; None otherwise."""
        return None if self._day is None else self._day.changed_record()

    def begin_day(self) -> None:
        """The day's loss counts from the present: a paper account was reset, or fills of earlier days were booked."""
        if self._day is not None:
            self._day.begin()

    # The rules

    def _instrument(self, wish: Wish) -> Breach | None:
        symbol, allowed = wish.spec.symbol, sorted(self._limits.instruments)
        if symbol in self._limits.instruments:
            return None
        more = f" and {len(allowed) - 8} more" if len(allowed) > 8 else ""
        return exceeded(
            f"risk_limits.instruments has {', '.join(allowed[:8])}{more} and not {symbol}; trade one of them, or only "
            f"reduce a position in {symbol}"
        )

    def _order_quantity(self, wish: Wish) -> Breach | None:
        limit = self._limits.max_order_quantity.get(wish.spec.symbol)
        if limit is None or wish.quantity <= limit:
            return None
        if wish.before is not None and wish.quantity <= wish.before.quantity:
            return None
        return exceeded(
            f"risk_limits.max_order_quantity of {wish.spec.symbol} is {shown(limit)} and the order is "
            f"{shown(wish.quantity)}; order at most {shown(limit)}"
        )

    def _order_notional(self, wish: Wish) -> Breach | None:
        limit = self._limits.max_order_notional
        assert limit is not None
        before, multiplier = wish.before, wish.instrument.multiplier
        unit = multiply(self._prices.worst(wish.spec), multiplier)
        if before is not None:
            was = multiply(multiply(self._prices.worst(before.spec), multiplier), before.quantity)
            if multiply(unit, wish.quantity) <= was:
                return None

        def notional(quantity: Decimal) -> Decimal:
            return self._valued(multiply(unit, quantity), wish, limit)

        amount = notional(wish.quantity)
        if amount <= limit.amount:
            return None
        filled = before.cum_quantity if before else ZERO
        room = subtract(quotient(self._unvalued(limit, wish), unit), filled)
        way_out = wish.way_out(room, lambda leaves: notional(add(leaves, filled)) <= limit.amount)
        return exceeded(
            f"risk_limits.max_order_notional is {shown_money(limit)} and {shown(wish.quantity)} {wish.spec.symbol} "
            f"come to {shown(amount)} {limit.currency}; {way_out}"
        )

    def _open_orders(self, wish: Wish) -> Breach | None:
        limit, count = self._limits.max_open_orders, self._exposure.open_orders
        assert limit is not None
        if wish.before is not None:
            return None
        if wish.own is not None:
            count -= wish.together
        if count + wish.together <= limit:
            return None
        more = f", and {wish.together} come together" if wish.together > 1 else ""
        return exceeded(
            f"risk_limits.max_open_orders is {limit} and {count} are open, those of others among them{more}; cancel "
            "one first"
        )

    def _position_quantity(self, wish: Wish) -> Breach | None:
        limit = self._limits.max_position_quantity.get(wish.spec.symbol)
        if limit is None or wish.worst <= limit or wish.grows_nothing:
            return None
        room = subtract(subtract(limit, wish.held), wish.others)
        return exceeded(
            f"risk_limits.max_position_quantity of {wish.spec.symbol} is {shown(limit)} and the order could make it "
            f"{shown(wish.worst)}: {_standing(wish)}; {wish.way_out(room, lambda leaves: leaves <= room)}"
        )

    def _position_notional(self, wish: Wish) -> Breach | None:
        limit = self._limits.max_position_notional
        assert limit is not None
        spec, side = wish.spec, wish.holding.side(wish.spec.side)
        self._exposure.value_orders(spec.symbol, spec.side)
        unit = multiply(self._prices.worst(spec), wish.instrument.multiplier)
        # What a working order counts for already may still come true.
        least, least_quantity = (wish.own_notional, wish.own_quantity) if wish.before else (ZERO, ZERO)
        if multiply(unit, wish.leaves) <= least and wish.grows_nothing:
            return None
        others = subtract(side.notional, wish.own_notional)

        def value(leaves: Decimal) -> Decimal:
            orders = add(others, max(multiply(unit, leaves), least))
            quantity = add(wish.others, max(leaves, least_quantity))
            return self._valued(self._position_value(wish, orders, quantity), wish, limit)

        amount = value(wish.leaves)
        if amount <= limit.amount:
            return None
        room = quotient(subtract(self._unvalued(limit, wish), others), unit)
        if wish.held <= ZERO:
            room = subtract(room, wish.held)
        else:
            held = multiply(
                multiply(wish.held, self._prices.reference(spec.symbol)), wish.instrument.multiplier
            )
            room = subtract(room, quotient(held, unit))
        return exceeded(
            f"risk_limits.max_position_notional is {shown_money(limit)} and the order could make {spec.symbol} "
            f"{shown(amount)} {limit.currency}: {_standing(wish)}; "
            f"{wish.way_out(room, lambda leaves: value(leaves) <= limit.amount)}"
        )

    def _position_value(self, wish: Wish, orders: Decimal, quantity: Decimal) -> Decimal:
        """What the position would be worth after all `orders` of the side, of `quantity`: what is held at the reference
        price, and they at their own. Of orders against a position, what would open one counts, at their average."""
        held = wish.held
        if held < ZERO:
            opened = max(ZERO, add(held, quantity))
            return quotient(multiply(orders, opened), quantity)
        if not held:
            return orders
        price = self._prices.reference(wish.spec.symbol)
        return add(multiply(multiply(held, price), wish.instrument.multiplier), orders)

    def _daily_loss(self, wish: Wish) -> Breach | None:
        assert self._day is not None
        breach = self._day.breach()
        if breach is None or wish.held >= ZERO or add(wish.held, wish.counted) > ZERO:
            return breach
        return changed(
            breach, message=f"{breach.message}; cancel the other orders of this side to close the position"
        )

    def _speed(self, wish: Wish) -> Breach | None:
        assert self._pace is not None
        waited = wish.before is None and wish.own is not None
        limit = self._limits.max_orders_per_second
        if not waited and limit is not None and wish.together > limit:
            return exceeded(
                f"risk_limits.max_orders_per_second is {limit} and the group has {wish.together} orders; link fewer"
            )
        wait_ns = 0 if waited else self._pace.wait_ns(wish.together)
        if not wait_ns:
            return None
        return exceeded(
            f"risk_limits.max_orders_per_second is {self._limits.max_orders_per_second} and so many were placed in the "
            f"last second; wait {-(-wait_ns // 1_000_000)} ms"
        )

    def _valued(self, amount: Decimal, wish: Wish, limit: Money) -> Decimal:
        """`amount` of the instrument's quote currency in the limit's."""
        return self._prices.convert(amount, wish.instrument.quote_currency, limit.currency)

    def _unvalued(self, limit: Money, wish: Wish) -> Decimal:
        """The limit in the instrument's quote currency."""
        return self._prices.convert(limit.amount, limit.currency, wish.instrument.quote_currency)


def _counts_the_same(before: Order, after: Order) -> bool:
    """As most changes do: an acknowledgement, a cancel that is asked for. Copies of an order share its values."""
    if after.leaves_quantity is not before.leaves_quantity or after.spec is not before.spec or after.ended:
        return False
    pending = (*before.pending, *after.pending)
    return not pending or all(action.replacement is None for action in pending)


def _standing(wish: Wish) -> str:
    """What there is before it."""
    way = "buy" if wish.spec.side is Side.BUY else "sell"
    return (
        f"the position is {shown(wish.holding.position)}, and {shown(wish.others)} more are on order to {way}"
    )
