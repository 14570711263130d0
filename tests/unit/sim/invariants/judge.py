"""The judge: its own record of what the market showed, and of every order, by what was asked and told alone.

It shares no code with the venue. Each finding begins with the number of the invariant that was broken.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from brokergate.domain.events import OrderEventType
from brokergate.domain.fills import Liquidity
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side, TimeInForce, TriggerSource
from brokergate.ports.broker import FillReport, OrderReport, Outcome, Rejected, Report

STOPS = (OrderType.STOP, OrderType.STOP_LIMIT)
TOUCHED = (OrderType.MARKET_IF_TOUCHED, OrderType.LIMIT_IF_TOUCHED)
TRAILING = OrderType.TRAILING_STOP
DAY_NS = 86_400 * 10**9
ENDS = (OrderEventType.CANCELED, OrderEventType.EXPIRED)


@dataclass
class Shown:
    """One side of the market: what was told of each price, and what is left of it."""

    sign: int
    """+1 for bids."""
    told: dict[Decimal, Decimal] = field(default_factory=dict)
    left: dict[Decimal, Decimal] = field(default_factory=dict)

    def tell(self, price: Decimal, size: Decimal) -> None:
        """The same size renews nothing; of a larger one the growth is new; of a smaller one no more is left."""
        if not size:
            self.told.pop(price, None)
            self.left.pop(price, None)
            return
        before = self.told.get(price)
        if before is None:
            self.left[price] = size
        elif size > before:
            self.left[price] += size - before
        else:
            self.left[price] = min(self.left[price], size)
        self.told[price] = size

    def tell_all(self, levels: dict[Decimal, Decimal]) -> None:
        for price in [price for price in self.told if price not in levels]:
            self.tell(price, Decimal(0))
        for price, size in levels.items():
            self.tell(price, size)

    def best(self) -> Decimal | None:
        """The best price at which something is left."""
        prices = [price for price, size in self.left.items() if size]
        return None if not prices else max(prices) if self.sign > 0 else min(prices)

    def give(self, price: Decimal, size: Decimal) -> bool:
        """Takes from one price; False where there is not so much."""
        self.left[price] = self.left.get(price, Decimal(0)) - size
        return self.left[price] >= 0

    def give_within(self, limit: Decimal, size: Decimal) -> bool:
        """Takes from the best prices, none worse than `limit` for the taker."""
        while size and (best := self.best()) is not None and self.sign * best >= self.sign * limit:
            part = min(size, self.left[best])
            self.left[best] -= part
            size -= part
        return not size


@dataclass
class Judged:
    """One order."""

    order: Order
    side: int
    limit: Decimal | None
    stop: Decimal | None
    total: Decimal
    since: int
    """When it came to its place in time: lower is earlier."""
    placed_ns: int
    ends_ns: int | None = None
    """When its time in force is over, as far as that follows from the order alone."""
    group: tuple[str, ...] = ()
    """The orders that it is linked with, itself too; a bracket's entry comes first."""
    bracket: bool = False
    changed: bool = False
    """Whether somebody asked for another size."""
    filled: Decimal = Decimal(0)
    open: bool = True
    triggered: bool = False
    crest: Decimal | None = None
    """The best price that a trailing stop has seen."""

    @property
    def linked(self) -> bool:
        return bool(self.group)

    @property
    def waits(self) -> bool:
        kind = self.order.spec.type
        return (kind in STOPS or kind in TOUCHED or kind is TRAILING) and not self.triggered

    @property
    def plain(self) -> bool:
        """Whether its place in the queue follows from what was asked alone."""
        spec = self.order.spec
        return not (self.linked or spec.display_quantity is not None or spec.reduce_only)


class Judge:
    """See the module. `findings` is empty while all holds."""

    def __init__(
        self, instruments: tuple[Instrument, ...], start: dict[str, Decimal], share: Decimal = Decimal(1)
    ) -> None:
        self.share = share
        """How much of a trade our orders may get."""
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self.start = start
        self.shown = {symbol: {1: Shown(1), -1: Shown(-1)} for symbol in self.instruments}
        self.last: dict[str, Decimal] = {}
        self.orders: dict[str, Judged] = {}
        self.fills: list[FillReport] = []
        self.findings: list[str] = []
        self.told_ns = 0
        self.executions: set[str] = set()
        self.positions: dict[str, Decimal] = defaultdict(Decimal)
        self._clock = 0
        self._update: tuple[str, Decimal | None, Decimal, int] | None = None
        """While the market moves: the symbol, and of a trade its price, what is left of it, its aggressor."""
        self._update_began = 0
        self._due: list[str] = []
        """The orders that the update sets off before any of them took something."""

    def find(self, number: int, what: str) -> None:
        self.findings.append(f"invariant {number}: {what}")

    # What was asked

    def placed(
        self,
        order: Order,
        outcome: Outcome,
        now_ns: int,
        group: tuple[str, ...] = (),
        *,
        bracket: bool = False,
    ) -> None:
        """An order was asked for; called before its reports are."""
        if isinstance(outcome, Rejected):
            return
        spec = order.spec
        self._clock += 1
        self.orders[order.client_order_id] = Judged(
            order,
            1 if spec.side is Side.BUY else -1,
            spec.limit_price,
            spec.stop_price,
            order.quantity,
            self._clock,
            now_ns,
            self._end_of(spec, now_ns),
            group,
            bracket,
            crest=self.last.get(spec.symbol) if spec.type is TRAILING else None,
        )

    def _end_of(self, spec: OrderSpec, now_ns: int) -> int | None:
        if spec.time_in_force is TimeInForce.GTD:
            return spec.expire_time_ns
        if (
            spec.time_in_force is TimeInForce.DAY
            and self.instruments[spec.symbol].kind is InstrumentKind.SPOT
        ):
            return (now_ns // DAY_NS + 1) * DAY_NS
        return None

    def replaced(self, name: str, total: Decimal, limit: Decimal | None, stop: Decimal | None) -> None:
        """A change was taken; called before its reports are."""
        judged = self.orders[name]
        if not (limit == judged.limit and stop == judged.stop and total <= judged.total):
            self._clock += 1
            judged.since = self._clock
        judged.changed = judged.changed or total != judged.total
        judged.total, judged.limit = total, limit
        if judged.waits:
            judged.stop = stop

    # What the market does

    def moves(self, symbol: str, trade: tuple[Decimal, Decimal, int] | None, *, trusted: bool) -> list[str]:
        """An update was applied to `shown`; its reports come next. Returns the orders that it sets off."""
        self._update_began = self._clock
        price, size, aggressor = trade or (None, Decimal(0), 0)
        if price is not None:
            self.last[symbol] = price
        self._update = (symbol, price, size * self.share, aggressor)
        if not trusted:
            return []
        due = self._due = [name for name, judged in self.orders.items() if self._reached(judged, symbol)]
        last = self.last.get(symbol)
        for judged in self.orders.values():
            if judged.order.spec.symbol == symbol and judged.order.spec.type is TRAILING and last is not None:
                ends = max if judged.side < 0 else min
                judged.crest = last if judged.crest is None else ends(judged.crest, last)
        return due

    def moved(self, symbol: str, due: list[str], *, trusted: bool) -> None:
        """Its reports have come."""
        self._update, self._due = None, []
        if trusted:
            for name in due:
                judged = self.orders[name]
                # What our own orders took of the update first may have left no price at all.
                if judged.open and not judged.triggered and self._reached(judged, symbol, ratcheted=True):
                    self.find(6, f"{name} was reached and not set off")

    def _reached(self, judged: Judged, symbol: str, *, ratcheted: bool = False) -> bool:
        spec = judged.order.spec
        if not judged.open or spec.symbol != symbol or not judged.waits or judged.linked:
            return False
        if spec.trigger_source is TriggerSource.BID_ASK:
            price = self.shown[symbol][-judged.side].best()
        else:
            price = self.last.get(symbol)
        if price is None:
            return False
        if spec.type is TRAILING:
            if spec.trail_amount is None or judged.crest is None:
                return False
            if ratcheted:
                return True
            return judged.side * (price - judged.crest) >= spec.trail_amount
        assert judged.stop is not None
        rising = judged.side if spec.type in STOPS else -judged.side
        return rising * price >= rising * judged.stop

    # What was told

    def hear(self, reports: list[Report], now_ns: int, *, trusted: bool) -> None:
        """Reports, in their order."""
        for report in reports:
            if not isinstance(report, FillReport | OrderReport):
                continue
            if not self.told_ns <= report.event_time_ns <= now_ns:
                self.find(10, f"{report} is told at {now_ns}, after {self.told_ns}")
            self.told_ns = max(self.told_ns, report.event_time_ns)
            judged = self.orders.get(report.client_order_id)
            if judged is None:
                self.find(3, f"{report} is of no order that was taken")
                continue
            if not judged.open:
                self.find(3, f"{report} after the end")
            if report.event_time_ns < judged.placed_ns:
                self.find(10, f"{report} came before its order, at {judged.placed_ns}")
            if isinstance(report, FillReport):
                self._fill(judged, report, trusted=trusted)
            else:
                self._event(judged, report, trusted=trusted)

    def _event(self, judged: Judged, report: OrderReport, *, trusted: bool) -> None:
        name, event = report.client_order_id, report.event
        if event in ENDS:
            judged.open = False
            if judged.filled >= judged.total:
                self.find(3, f"{name} ended twice: filled and {event.name}")
        elif event is OrderEventType.TRIGGERED:
            if judged.triggered:
                self.find(6, f"{name} was set off twice")
            if not trusted:
                self.find(6, f"{name} was set off by a book that is not trusted")
            elif name not in self._due and not self._stood(judged):
                self.find(6, f"{name} was set off too early")
            judged.triggered = True
            self._clock += 1
            judged.since = self._clock
        elif event is OrderEventType.REPLACED and report.quantity is not None:
            if not judged.filled <= report.quantity:
                self.find(3, f"{name} became one of {report.quantity} with {judged.filled} filled")
            judged.total = report.quantity

    def _stood(self, judged: Judged) -> bool:
        """Whether an order that is set off now was reached."""
        if judged.linked or judged.order.spec.type is TRAILING:
            return True
        return self._reached(judged, judged.order.spec.symbol)

    def _fill(self, judged: Judged, fill: FillReport, *, trusted: bool) -> None:
        name, spec = fill.client_order_id, judged.order.spec
        if fill.execution_id in self.executions:
            self.find(3, f"the execution {fill.execution_id} came twice")
        self.executions.add(fill.execution_id)
        self.fills.append(fill)
        maker = fill.liquidity is Liquidity.MAKER
        if judged.limit is not None and judged.side * (fill.price - judged.limit) > 0:
            self.find(1, f"{name} filled at {fill.price}, worse than {judged.limit}")
        if maker and fill.price != judged.limit:
            self.find(1, f"{name} gave at {fill.price}, not at its {judged.limit}")
        if not trusted:
            self.find(2, f"{name} filled against a book that is not trusted")
        self._supply(judged, fill, maker=maker)
        if judged.waits:
            self.find(6, f"{name} filled before it was set off")
        if maker and spec.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            self.find(7, f"{name}, {spec.time_in_force.name}, rested")
        if judged.ends_ns is not None and fill.event_time_ns >= judged.ends_ns:
            self.find(7, f"{name} filled after its time")
        if not maker and spec.post_only:
            self.find(8, f"{name} took, post-only")
        before = self.positions[fill.symbol]
        after = self.positions[fill.symbol] = before + judged.side * fill.quantity
        if spec.reduce_only and not (abs(after) < abs(before) and before * after >= 0):
            self.find(8, f"{name}, reduce-only, brought {before} to {after}")
        judged.filled += fill.quantity
        if judged.group:
            self._group(judged)
        if judged.filled > judged.total:
            self.find(3, f"{name} filled {judged.filled} of {judged.total}")
        elif judged.filled == judged.total:
            judged.open = False

    def _group(self, judged: Judged) -> None:
        """Legs never close more than their entry opened; orders of an OCO never fill more than one of them would."""
        members = [self.orders[name] for name in judged.group if name in self.orders]
        if judged.bracket:
            entry, *legs = members
            if sum(leg.filled for leg in legs) > entry.filled:
                self.find(3, f"the legs of {judged.group} filled more than their entry")
        elif (
            not any(member.changed for member in members)
            and sum(member.filled for member in members) > members[0].order.quantity
        ):
            self.find(3, f"the orders of {judged.group} filled more than one of them")

    def _supply(self, judged: Judged, fill: FillReport, *, maker: bool) -> None:
        """Where the quantity came from: a level that was shown, or a trade, each given once."""
        name, market = fill.client_order_id, self.shown[fill.symbol][-judged.side]
        if not maker:
            if not market.give(fill.price, fill.quantity):
                self.find(2, f"{name} took {fill.quantity} at {fill.price}, more than was shown")
            return
        if self._update is None or self._update[0] != fill.symbol:
            self.find(2, f"{name} gave while the market stood still")
            return
        symbol, price, left, aggressor = self._update
        if price is None:
            if not market.give_within(fill.price, fill.quantity):
                self.find(2, f"{name} gave {fill.quantity} at {fill.price}, more than came to it")
        else:
            self._update = (symbol, price, left - fill.quantity, aggressor)
            if fill.quantity > left:
                self.find(2, f"{name} gave {fill.quantity} of a trade that had {left}")
            if judged.side * (fill.price - price) < 0:
                self.find(2, f"{name} gave at {fill.price} to a trade at {price}")
            if fill.price == price and aggressor == judged.side:
                self.find(2, f"{name} gave to a trade whose taker was on its own side")
        self._priority(judged, fill)

    def _priority(self, judged: Judged, fill: FillReport) -> None:
        if not judged.plain or judged.since > self._update_began:
            return
        for name, other in self.orders.items():
            if (
                other is not judged
                and other.open
                and other.plain
                and not other.waits
                and other.side == judged.side
                and other.order.spec.symbol == fill.symbol
                and other.limit is not None
                and other.since <= self._update_began
                and (-other.side * other.limit, other.since) < (-judged.side * fill.price, judged.since)
            ):
                self.find(5, f"{fill.client_order_id} at {fill.price} filled before {name} at {other.limit}")

    # What stands in the end

    def settle(
        self,
        balances: dict[str, Decimal],
        positions: dict[str, Decimal],
        working: dict[str, tuple[Decimal, Decimal]],
        now_ns: int,
    ) -> None:
        """Cash, positions, and the orders that work as (total, filled), as the venue gives them."""
        cash = defaultdict(Decimal, self.start)
        for fill in self.fills:
            instrument = self.instruments[fill.symbol]
            sign = 1 if fill.side is Side.BUY else -1
            cash[instrument.quote_currency] -= sign * fill.price * fill.quantity
            if instrument.kind is InstrumentKind.SPOT:
                cash[instrument.base_currency] += sign * fill.quantity
            for fee in fill.fees:
                cash[fee.currency] -= fee.amount
        for currency in set(cash) | set(balances):
            if cash[currency] != balances.get(currency, 0):
                self.find(4, f"{currency} is {balances.get(currency)}, by its fills {cash[currency]}")
        for symbol in set(positions) | set(self.positions):
            if positions.get(symbol, 0) != self.positions[symbol]:
                self.find(4, f"{symbol} is {positions.get(symbol)}, by its fills {self.positions[symbol]}")
        ours = {name: (one.total, one.filled) for name, one in self.orders.items() if one.open}
        if ours != working:
            self.find(3, f"open are {working}, by what was told {ours}")
        for name, judged in self.orders.items():
            force = judged.order.spec.time_in_force
            if judged.open and judged.ends_ns is not None and judged.ends_ns <= now_ns:
                self.find(7, f"{name} works after its time")
            if judged.open and force in (TimeInForce.IOC, TimeInForce.FOK):
                self.find(7, f"{name} rests, {force.name}")
            if force is TimeInForce.FOK and judged.filled not in (0, judged.total):
                self.find(7, f"{name} filled in part, FOK")
            if judged.open and judged.order.spec.type is OrderType.MARKET:
                self.find(7, f"{name} rests, a market order")
