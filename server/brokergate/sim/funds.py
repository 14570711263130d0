"""The money side of one instrument: what orders need and set aside, and what executions move.

Spot pays and receives both currencies and sells what is held; its position counts what was traded, so that selling
what was put in makes it negative. An instrument whose positions may go short moves cash
by the notional; a short position ties up twice what it was sold for, the proceeds and as much again (no leverage).
An order that opens or grows a position sets its notional aside at its limit, or at its trigger when it has no
limit, and the fee at most; the part that closes a position sets nothing aside, and two open orders never count on
closing the same lots. Nothing is taken that would bring the available cash below zero, unless it raises it.

On margin (`sim/margin.py`) the part that opens needs and sets aside its initial margin and the fee at most; cash moves
by the notional and may fall below zero, since the position is worth something. A perpetual is always on margin, and
is settled: cash moves by the profit of what closes, and by fees.

What fills is booked, always. Two things can leave the available amount below zero, and nothing that needs funds is
taken until it is above: fees of many small fills, each rounded half to even (by half the fee's scale a fill, at
most), and a market order that closes the lots which an open order stood ready to close.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain.accounts import BrokerPosition
from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Money
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.money import CONTEXT, format_decimal, multiply, normal, steps, total
from brokergate.sim.commission import Volumes, charges
from brokergate.sim.currency import CurrencyAccount
from brokergate.sim.fees import FeeSchedule
from brokergate.sim.margin import HALF, MarginAccount, Share, short_of
from brokergate.sim.orders import Refusal, WorkingOrder
from brokergate.sim.positions import FifoPosition

SHORT_TIE = 2
"""How many times its cost a short position ties up."""
MAX_NOTIONAL = Decimal(10) ** 18
"""What one order may come to, in the quote currency: many of them still add up to what can be told."""
MAX_TOTAL = Decimal(10) ** 19
"""What an account may come to hold of one currency or instrument by an order, in units of it."""
MAX_TOLD = Decimal(10) ** 20
"""Amounts are below it: twenty digits before the point can be told."""


def _no_mark() -> int | None:
    return None


def _part(amount: int, share: Share) -> int:
    """A share of `amount`, rounded up."""
    return -(-amount * share[0] // share[1])


class Excess(ValueError):
    """An order that is more than an account can hold; nothing about it can be told in the contract's digits."""


Walk = list[tuple[int, int]]
"""(price in ticks, lots), best first."""


def tellable(amount: Decimal) -> Decimal | None:
    """`amount`, which was worked out from a price that may be any; None where it has too many digits to be told."""
    return amount if abs(amount) < MAX_TOLD else None


@dataclass(frozen=True, slots=True)
class Borrowing:
    """What may be sold that is not held."""

    refused: str = ""
    """Why nothing can be; empty where something can."""
    available: int | None = None
    """Lots that can be borrowed in all; None for no limit."""


class InstrumentFunds:
    """One instrument's part in the ledger. Amounts are in units of the quote currency, `base` ones in its own.

    `positional` is whether what is sold counts as a position and not as a currency that is held; `shares` are its
    initial and maintenance margin, None in a cash account.
    """

    def __init__(
        self,
        instrument: Instrument,
        quote: CurrencyAccount,
        base: CurrencyAccount | None,
        fees: FeeSchedule,
        borrowing: Borrowing,
        positional: bool,
        volumes: Volumes,
        shares: tuple[Share, Share] | None,
    ) -> None:
        self.instrument = instrument
        self.quote = quote
        self.base = base
        self.borrowing = borrowing
        self.positional = positional
        self.margined = shares is not None
        self.margin: MarginAccount | None = None
        """The account that it is on margin of; None in a cash account."""
        self.settled = instrument.kind is InstrumentKind.PERPETUAL
        """Whether cash moves by profits alone."""
        self._initial, self._maintenance = shares or ((1, 1), (0, 1))
        self.position = FifoPosition()
        self.changed = False
        """Whether the position is another one than was last told."""
        self.marks: Callable[[], int | None] = _no_mark
        """Gives twice the mark price in ticks."""
        self.closers: dict[int, WorkingOrder] = {}
        """Open orders that stand ready to close, by number."""
        self.selling_short = 0
        """Lots that open orders would sell short."""
        step = multiply(instrument.price_increment, instrument.quantity_increment)
        self.unit = quote.units(multiply(step, instrument.multiplier))
        """What one lot costs at one tick."""
        self.base_unit = base.units(instrument.quantity_increment) if base else 0
        self._most_notional = quote.units(MAX_NOTIONAL)
        self._most_total = quote.units(MAX_TOTAL)
        self._most_lots = int(CONTEXT.divide_int(MAX_TOTAL, instrument.quantity_increment))
        self._volumes = volumes
        self.charge(fees)

    def charge(self, fees: FeeSchedule) -> None:
        """From now on executions cost what `fees` say; what is set aside stays."""
        quote = self.quote
        self.charges = charges(fees, self.instrument, quote.currency, quote.places, self._volumes)

    @property
    def mark(self) -> int | None:
        """Twice the mark price in ticks; None before the market told anything."""
        return self.marks()

    # What an order needs

    def needs(self, order: WorkingOrder, walk: Walk, rest: int) -> tuple[CurrencyAccount, int]:
        """What taking `walk` now and resting `rest` lots takes from the available of which currency."""
        if order.free:
            rest = 0
        if self.base is not None and order.side < 0 and not self.positional:
            return self.base, (sum([lots for _, lots in walk]) + rest) * self.base_unit
        unit = self.unit
        parts = [(price * size * unit, size) for price, size in walk]
        fees = self.charges.estimate(order, parts)
        notional = lots = 0
        for part, size in parts:
            notional += part
            lots += size
        if self.positional:
            if self.margined:
                needed = self._margin_need(order, walk, lots) + fees
            else:
                needed = self._cash_need(order, walk, lots, notional) + fees
            if rest:
                closable = max(0, -order.side * self.position.lots - lots - self.position.claimed)
                rest = max(0, rest - closable)
        else:
            needed = notional + fees
        return self.quote, needed + (self._aside(order, rest) if rest else 0)

    def shortfall(self, order: WorkingOrder, walk: Walk, rest: int) -> Refusal | None:
        """Why the account cannot pay for taking `walk` now and resting `rest` lots; None when it can."""
        excess = self.excess(order, walk)
        if excess:
            return Refusal(ErrorReason.QUANTITY_OUT_OF_RANGE, excess)
        if order.side < 0 and self.positional and not order.free:
            unborrowed = self._unborrowed(order)
            if unborrowed is not None:
                return unborrowed
        account, needed = self.needs(order, walk, rest)
        if self.margin is not None:
            return self._unmargined(self.margin, order, needed)
        if needed <= 0 or needed <= account.total - account.held:
            return None
        return Refusal(
            ErrorReason.INSUFFICIENT_FUNDS,
            f"{self.instrument.symbol}: the order needs {format_decimal(account.amount(needed))} {account.currency}, "
            f"available are {format_decimal(account.amount(account.available))}; order less or cancel open orders",
        )

    def _unborrowed(self, order: WorkingOrder) -> Refusal | None:
        """Why the order cannot sell short what it would; None where it can, or sells what is held."""
        borrowing, position = self.borrowing, self.position
        if borrowing.available is None and not borrowing.refused:
            return None
        opening = order.leaves - max(0, position.lots - position.claimed)
        if opening <= 0:
            return None
        symbol, why = self.instrument.symbol, borrowing.refused
        if borrowing.available is not None and not why:
            borrowed = self.selling_short + max(0, -position.lots)
            if borrowed + opening <= borrowing.available:
                return None
            lot = self.instrument.quantity_increment
            told = [
                format_decimal(normal(multiply(lot, Decimal(lots))))
                for lots in (opening, borrowing.available, max(0, borrowing.available - borrowed))
            ]
            why = f"it would borrow {told[0]}; {told[1]} can be borrowed in all, {told[2]} of it still"
        return Refusal(
            ErrorReason.NOT_SHORTABLE, f"{symbol}: the order sells more than is held, and {why}; sell less"
        )

    def _unmargined(self, margin: MarginAccount, order: WorkingOrder, needed: int) -> Refusal | None:
        """Why the account's free margin does not carry the order; None where it does, or the order only closes."""
        position, symbol = self.position, self.instrument.symbol
        if order.leaves <= max(0, -order.side * position.lots - position.claimed):
            return None
        standing = margin.standing()
        rate = margin.rate(self.quote.currency)
        if standing.unvalued or rate is None:
            why = (
                standing.unvalued
                or f"nothing says what {self.quote.currency} is worth in {margin.base_currency}"
            )
            return Refusal(
                ErrorReason.NO_REFERENCE_PRICE,
                f"{symbol}: {why}, so that the account's margin is not known; wait for the market, or close",
            )
        need = multiply(self.quote.amount(needed), rate)
        if need <= 0 or need <= standing.free:
            return None
        return Refusal(ErrorReason.INSUFFICIENT_FUNDS, f"{symbol}: {short_of(need, standing, margin)}")

    def excess(self, order: WorkingOrder, walk: Walk) -> str:
        """Why an order that takes `walk` first would make amounts that cannot be told; empty where it would not."""
        price = order.limit or order.stop or 0
        if walk:
            price = max(price, walk[0][0], walk[-1][0])
        leaves, notional = order.leaves, price * order.leaves * self.unit
        held = abs(self.position.lots)
        if self.base is not None and self.base.total > held * self.base_unit:
            held = self.base.total // self.base_unit
        if (
            notional <= self._most_notional
            and abs(self.quote.total) + notional <= self._most_total
            and held + leaves <= self._most_lots
        ):
            return ""
        quantity = multiply(self.instrument.quantity_increment, Decimal(leaves))
        top = multiply(self.instrument.price_increment, Decimal(price))
        return (
            f"{self.instrument.symbol}: {format_decimal(quantity)} at up to {format_decimal(top)} is more than an "
            f"account can hold, {MAX_NOTIONAL:f} an order and {MAX_TOTAL:f} in all; order less"
        )

    def _margin_need(self, order: WorkingOrder, walk: Walk, lots: int) -> int:
        """The initial margin of what taking `walk` opens, less that of what it closes, which it frees."""
        closing = min(lots, max(0, -order.side * self.position.lots))
        skip, opened = closing, 0
        for price, size in walk:
            passed = min(skip, size)
            skip -= passed
            opened += price * (size - passed) * self.unit
        needed = _part(opened, self._initial)
        mark = self.mark
        if closing and mark is not None:
            needed -= mark * closing * self.unit * self._initial[0] // (2 * self._initial[1])
        return needed

    def worth(self) -> int | None:
        """Twice what the position adds to the account's equity beside cash, at the mark; None without one."""
        position = self.position
        if not position.lots:
            return 0
        mark = self.mark
        if mark is None:
            return None
        value = mark * position.lots * self.unit
        return value - 2 * position.cost if self.settled else value

    def initial_margin(self) -> int:
        """Twice what the position ties up at the mark, rounded up."""
        return _part(abs((self.mark or 0) * self.position.lots) * self.unit, self._initial)

    def maintenance_margin(self, lots: int | None = None) -> int:
        """Twice the margin below which it is liquidated, at the mark, rounded up; of `lots` of it."""
        lots = self.position.lots if lots is None else lots
        return _part(abs((self.mark or 0) * lots) * self.unit, self._maintenance)

    def _cash_need(self, order: WorkingOrder, walk: Walk, lots: int, notional: int) -> int:
        """By how much taking `walk` lowers the available cash, fees apart."""
        position, side = self.position, order.side
        closing = min(lots, max(0, -side * position.lots))
        tied = 0
        if side > 0 and closing:
            tied = -SHORT_TIE * position.cost_of_first(closing)
        elif side < 0 and closing < lots:
            skip, opened = closing, 0
            for price, size in walk:
                passed = min(skip, size)
                skip -= passed
                opened += price * (size - passed) * self.unit
            tied = SHORT_TIE * opened
        return side * notional + tied

    def _aside(self, order: WorkingOrder, lots: int) -> int:
        """What opening `lots` by a resting order sets aside: its notional, and for a buy the fee at most; on margin
        its initial margin and the fee at most."""
        price = order.limit if order.limit is not None else order.stop
        if price is None:
            price = order.reference
        notional = price * lots * self.unit
        if self.margined:
            return _part(notional, self._initial) + self.charges.at_most(order.side, notional, lots)
        if order.side < 0:
            return notional
        return notional + self.charges.at_most(1, notional, lots)

    # Setting aside

    def reserve(self, order: WorkingOrder) -> None:
        """Sets aside what `order.leaves` needs while it rests; `release` undoes exactly that."""
        leaves = 0 if order.free else order.leaves
        account = self.quote
        if self.positional:
            order.closing = min(leaves, max(0, -order.side * self.position.lots - self.position.claimed))
            if order.closing:
                self.position.claimed += order.closing
                self.closers[order.number] = order
            opening = leaves - order.closing
            order.hold = self._aside(order, opening) if opening else 0
            if order.side < 0:
                self.selling_short += opening
            if self.margined:
                account.pledged += order.hold
        elif order.side > 0:
            order.hold = self._aside(order, leaves)
        else:
            assert self.base is not None
            account = self.base
            order.hold = leaves * self.base_unit
        order.funds = self
        account.held += order.hold
        account.changed = True

    def release(self, order: WorkingOrder) -> None:
        """Gives back what is set aside for `order`, whose `leaves` are those of then."""
        if order.funds is None:
            return
        account = self.quote if self.positional or order.side > 0 or self.base is None else self.base
        account.held -= order.hold
        account.changed = True
        if self.margined:
            account.pledged -= order.hold
        if order.side < 0 and self.positional:
            self.selling_short -= 0 if order.free else order.leaves - order.closing
        if order.closing:
            self.position.claimed -= order.closing
            del self.closers[order.number]
        order.hold = order.closing = 0
        order.funds = None

    def put_back(self, order: WorkingOrder) -> None:
        """Takes up an order that was kept, for which everything is set aside already."""
        order.funds = self
        if order.closing:
            self.closers[order.number] = order
        if order.side < 0 and self.positional:
            self.selling_short += 0 if order.free else order.leaves - order.closing

    # What happened

    def book(self, order: WorkingOrder, price: int, lots: int, time_ns: int, *, maker: bool) -> int:
        """Books an execution of `order`; returns its fee."""
        side, notional = order.side, price * lots * self.unit
        fee = self.charges.charge(order, notional, lots, time_ns, maker=maker)
        quote, position = self.quote, self.position
        quote.changed = self.changed = True
        if self.base is not None:
            self.base.total += side * lots * self.base_unit
            self.base.changed = True
        before, realized = position.cost, position.realized
        position.trade(side, lots, notional, price)
        position.fees += fee
        if self.settled:
            quote.total += position.realized - realized - fee
        else:
            quote.total -= side * notional + fee
        if self.positional:
            self._tie(before)
            if position.claimed:
                self._claim_again()
        return fee

    def repay(self, cash: int) -> None:
        """The position, split before, costs so much less (`FifoPosition.repay`)."""
        before, self.changed = self.position.cost, True
        self.position.repay(cash)
        if self.positional:
            self._tie(before)

    def _tie(self, before: int) -> None:
        """The position is another one, whose cost was `before`: a short one in a cash account ties up what it must."""
        if self.margin is not None:
            self.margin.held(self)
            return
        cost = self.position.cost
        if before < 0 or cost < 0:
            self.quote.held += SHORT_TIE * (min(0, before) - min(0, cost))

    def _claim_again(self) -> None:
        """After the position shrank or turned, open orders can no longer count on closing what is not there."""
        position = self.position
        closable = {1: max(0, -position.lots), -1: max(0, position.lots)}
        for number in sorted(self.closers):
            order = self.closers[number]
            kept = min(order.closing, closable[order.side])
            closable[order.side] -= kept
            if kept == order.closing:
                continue
            self.release(order)
            self.reserve(order)

    def restore(self, position: BrokerPosition) -> None:
        """Takes up a position from the journal. `ValueError` where it is no whole number of lots."""
        lots = steps(position.quantity, self.instrument.quantity_increment)
        quote = self.quote
        fees = total([fee.amount for fee in position.fees if fee.currency == quote.currency])
        self.position.restore(
            lots, quote.units(position.cost), quote.units(position.realized_pnl), quote.units(fees)
        )
        if self.margin is not None:
            self.margin.held(self)
        elif self.positional and lots < 0:
            quote.held -= SHORT_TIE * self.position.cost

    def unrealized(self) -> Decimal | None:
        """What closing at the mark would bring; None without a mark, and for more than can be told. Zero when flat."""
        position, mark = self.position, self.mark
        if not position.lots:
            return Decimal(0)
        if mark is None:
            return None
        doubled = mark * position.lots * self.unit - 2 * position.cost
        return tellable(multiply(HALF, self.quote.amount(doubled)))

    def mark_price(self) -> Decimal | None:
        """The mark price."""
        mark = self.mark
        if mark is None:
            return None
        return multiply(multiply(self.instrument.price_increment, Decimal(mark)), HALF)

    def report(self, now_ns: int) -> BrokerPosition:
        """The position as it is told."""
        position, quote, instrument = self.position, self.quote, self.instrument
        return BrokerPosition(
            symbol=instrument.symbol,
            quantity=multiply(instrument.quantity_increment, Decimal(position.lots)),
            cost=quote.amount(position.cost),
            quote_currency=quote.currency,
            as_of_ns=now_ns,
            realized_pnl=quote.amount(position.realized),
            fees=(Money(quote.amount(position.fees), quote.currency),) if position.fees else (),
            multiplier=instrument.multiplier,
            mark_price=self.mark_price(),
            unrealized_pnl=self.unrealized(),
        )
