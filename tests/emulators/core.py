"""One account at an emulated venue: the project's matching venue (`brokergate.sim`) with what a venue has around it.

The market is what a test shows and trades; matching is `sim`'s. Money is kept here, exactly: what is held, what open
orders lock, fees in the currency that is received (as crypto venues take them), deposits. The matching venue inside has
more of every currency than anybody needs, so that the one judge of funds is `shortfall`, which a venue may replace.
Every order and execution is kept for ever. Pure: time comes with every call; what happens goes to `listeners`, at once
and in order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.fills import Liquidity
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, QuoteView
from brokergate.domain.orders import OrderSpec, OrderState, OrderType, Side, TimeInForce
from brokergate.ports.broker import (
    Accepted,
    FillReport,
    OrderReport,
    Rejected,
    ReplaceCommand,
    Report,
    RestoredState,
)
from brokergate.sim.book import UNKNOWN
from brokergate.sim.market import BookSnapshot, MarkUpdate, TradeUpdate
from brokergate.sim.terms import AccountTerms
from brokergate.sim.venue import Venue
from tests.emulators.funds import Funds
from tests.emulators.orders import (
    ZERO,
    BalanceMoved,
    BookMoved,
    Ended,
    Execution,
    Filled,
    Happening,
    MarketTraded,
    Placed,
    Refused,
    Replaced,
    Triggered,
    VenueOrderState,
)

EMPTY = RestoredState(open_orders=(), positions=(), balances=(), fills=0, orders=0)
CUSHION = Decimal(10) ** 12
"""What the matching venue has of every currency."""
TAKERS = {"buy": 1, "sell": -1, "": 0}
_SIDES = {1: Side.BUY, -1: Side.SELL, 0: Side.UNSPECIFIED}
_UNFILLABLE = frozenset({ErrorReason.NOT_FILLABLE, ErrorReason.NO_REFERENCE_PRICE})
_AT_ONCE = (TimeInForce.FOK, TimeInForce.IOC)
Levels = Sequence[tuple[Decimal, Decimal]]


class VenueCore(Funds):
    """See the module. Symbols are taken in the project's notation and in the venue's."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        balances: Mapping[str, Decimal],
        now_ns: int,
        *,
        taker_rate: Decimal = ZERO,
        maker_rate: Decimal = ZERO,
        terms: AccountTerms | None = None,
    ) -> None:
        named = {instrument.symbol: instrument for instrument in instruments}
        super().__init__(named, balances, taker_rate, maker_rate)
        self._by_venue_symbol = {instrument.broker_symbol: instrument for instrument in instruments}
        self.orders: list[VenueOrderState] = []
        """Every order that the venue took, in that order."""
        self.executions: list[Execution] = []
        self.trades: dict[str, list[MarketTraded]] = defaultdict(list)
        """What everybody saw, by symbol."""
        self.listeners: list[Callable[[Happening], None]] = []
        self._depth = 0
        self._later: list[Callable[[], None]] = []
        self._working = False
        usual = AccountTerms(initial_balances=dict.fromkeys(self.currencies, CUSHION), base_currency="USDT")
        self.venue = Venue(instruments, terms or usual, EMPTY, now_ns)
        self.venue.opening()
        # A market without a book is another one to `sim`: nobody knows then what can be had.
        empty = [BookSnapshot(now_ns, symbol, (), ()) for symbol in self.instruments]
        self.venue.apply(empty, now_ns)
        self._by_key: dict[str, VenueOrderState] = {}

    @property
    def now_ns(self) -> int:
        """The latest time that it was told."""
        return self.venue.now_ns

    def instrument(self, symbol: str) -> Instrument:
        """By the project's symbol or the venue's. `KeyError` for one that there is not."""
        return self.instruments.get(symbol) or self._by_venue_symbol[symbol]

    # Time and the market

    def advance(self, now_ns: int) -> None:
        """Time passes: orders whose time in force is over end."""
        self._take(self.venue.advance(now_ns))

    def show(self, symbol: str, bids: Levels, asks: Levels, now_ns: int) -> None:
        """The market's book is now exactly this, whatever was taken from the one before. Levels are (price, quantity)
        in any order. `ValueError` off the tick or the lot."""
        name = self.instrument(symbol).symbol
        listing = self.venue.listings[name]
        sides = [
            tuple((listing.ticks(price), listing.lots(quantity)) for price, quantity in levels)
            for levels in (bids, asks)
        ]
        for side in (listing.market.book.bids, listing.market.book.asks):
            side.told.clear()
        update = BookSnapshot(max(now_ns, self.now_ns), name, *sides)
        self._take(self.venue.apply([update], now_ns))
        self._emit(BookMoved(name, self.now_ns))

    def trade(self, symbol: str, price: Decimal, quantity: Decimal, taker: str, now_ns: int) -> None:
        """Others trade; `taker` is 'buy', 'sell' or ''. Orders of the account that the trade reaches fill from it."""
        name = self.instrument(symbol).symbol
        listing = self.venue.listings[name]
        update = TradeUpdate(
            max(now_ns, self.now_ns), name, listing.ticks(price), listing.lots(quantity), TAKERS[taker]
        )
        before = len(self.executions)
        self._stand_alone(name)
        self._take(self.venue.apply([update], now_ns))
        ours = [each for each in self.executions[before:] if each.liquidity is Liquidity.MAKER]
        left = quantity - sum((each.quantity for each in ours if each.order.spec.symbol == name), ZERO)
        if left > 0:
            self._print(name, price, left, _SIDES[TAKERS[taker]])
        self._emit(BookMoved(name, self.now_ns))

    # Commands

    def place(
        self,
        spec: OrderSpec,
        quantity: Decimal,
        now_ns: int,
        *,
        client_order_id: str = "",
        external: bool = False,
        asleep: bool = False,
        lock_group: int | None = None,
        lock_price: Decimal | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> VenueOrderState:
        """Takes an order, or raises Refused. One that cannot fill and may not rest is taken and expires at once. An
        order that is `asleep` is not in the market until `wake`."""
        self.advance(now_ns)
        order = VenueOrderState(
            len(self.orders) + 1,
            client_order_id,
            spec,
            quantity,
            self.now_ns,
            self.now_ns,
            external=external,
            asleep=asleep,
            lock_group=lock_group,
            lock_price=lock_price,
            extra=dict(extra or {}),
        )
        if asleep:
            self._keep(order)
            self._emit(Placed(order))
            return order
        lack = self.shortfall(order)
        if lack:
            raise Refused(ErrorReason.INSUFFICIENT_FUNDS, lack)
        self._enter(order, woken=False)
        return order

    def wake(self, order: VenueOrderState, now_ns: int) -> None:
        """Brings an order to the market that was asleep. Refused, it ends REJECTED."""
        self.advance(now_ns)
        order.asleep = False
        try:
            lack = self.shortfall(order, order)
            if lack:
                raise Refused(ErrorReason.INSUFFICIENT_FUNDS, lack)
            self._enter(order, woken=True)
        except Refused as refused:
            order.reason, order.message = refused.reason, refused.message
            self._end(order, OrderState.REJECTED)

    def cancel(
        self,
        order: VenueOrderState,
        now_ns: int,
        reason: ErrorReason = ErrorReason.UNSPECIFIED,
        state: OrderState = OrderState.CANCELED,
    ) -> None:
        """Ends an order; raises Refused (ORDER_ENDED) where it has ended."""
        self.advance(now_ns)
        if not order.open:
            raise Refused(ErrorReason.ORDER_ENDED, "the order has ended")
        if order.asleep:
            order.reason = reason
            self._end(order, state)
            self._emit(BookMoved(order.spec.symbol, self.now_ns))
            return
        outcome = self.venue.cancel(order.order(), self.now_ns)
        if isinstance(outcome, Rejected):
            raise Refused(outcome.reason, outcome.message)
        order.reason = reason
        order.extra["end_state"] = state
        self._take(outcome.reports)
        self._emit(BookMoved(order.spec.symbol, self.now_ns))

    def replace(self, order: VenueOrderState, spec: OrderSpec, quantity: Decimal, now_ns: int) -> None:
        """Makes an order another one in one step; `quantity` is the new total. Raises Refused."""
        self.advance(now_ns)
        if not order.open:
            raise Refused(ErrorReason.ORDER_ENDED, "the order has ended")
        before, wanted = order.spec, replace(spec, quantity=quantity)
        trial = replace(order, spec=wanted, quantity=quantity)
        lack = "" if order.asleep else self.shortfall(trial, instead_of=order)
        if lack:
            raise Refused(ErrorReason.INSUFFICIENT_FUNDS, lack)
        if order.asleep:
            order.spec, order.quantity, order.updated_ns = wanted, quantity, self.now_ns
            self._emit(Replaced(order, before))
            return
        outcome = self.venue.replace(ReplaceCommand(order.order(), wanted, quantity), self.now_ns)
        if isinstance(outcome, Rejected):
            raise Refused(outcome.reason, outcome.message)
        assert isinstance(outcome, Accepted)
        order.spec, order.quantity, order.updated_ns = wanted, quantity, self.now_ns
        order.generation += 1
        self._emit(Replaced(order, before))
        self._take(outcome.reports)
        self._emit(BookMoved(spec.symbol, self.now_ns))

    # What others do on the account

    def add_fill(
        self, symbol: str, side: Side, quantity: Decimal, price: Decimal, now_ns: int
    ) -> VenueOrderState:
        """Somebody else's order on the account, filled in full at `price` whatever the book shows."""
        self.advance(now_ns)
        name = self.instrument(symbol).symbol
        spec = OrderSpec(name, side, OrderType.LIMIT, quantity, limit_price=price)
        number = len(self.orders) + 1
        order = VenueOrderState(
            number, f"web_{number}", spec, quantity, self.now_ns, self.now_ns, external=True
        )
        order.working_ns = self.now_ns
        self._keep(order)
        self._emit(Placed(order))
        self._execute(order, quantity, price, Liquidity.TAKER, self.now_ns)
        self._emit(BookMoved(name, self.now_ns))
        return order

    def deposit(self, currency: str, amount: Decimal, now_ns: int) -> None:
        """Money comes, or goes where `amount` is negative."""
        self.advance(now_ns)
        self.totals[currency] = self.totals.get(currency, ZERO) + amount
        self._emit(BalanceMoved(currency, amount, self.now_ns))

    # Queries

    def book(self, symbol: str, depth: int) -> BookView | None:
        """What can be taken now; None before a test has shown anything."""
        return self.venue.book(self.instrument(symbol).symbol, depth)

    def quote(self, symbol: str) -> QuoteView | None:
        """The best prices now."""
        return self.venue.quote(self.instrument(symbol).symbol)

    def last(self, symbol: str) -> Decimal | None:
        """The last trade's price."""
        trades = self.trades[self.instrument(symbol).symbol]
        return trades[-1].price if trades else None

    def orders_of(self, symbol: str) -> Iterable[VenueOrderState]:
        """Every order ever in a symbol, oldest first."""
        name = self.instrument(symbol).symbol
        return (order for order in self.orders if order.spec.symbol == name)

    # Inside

    def _keep(self, order: VenueOrderState) -> None:
        self.orders.append(order)
        self.open[order.number] = order
        self._by_key[order.key] = order

    def _enter(self, order: VenueOrderState, *, woken: bool) -> None:
        (outcome,) = self.venue.place([order.order()], self.now_ns)
        expires: ErrorReason | None = None
        if isinstance(outcome, Rejected):
            at_once = order.spec.time_in_force in _AT_ONCE or order.spec.limit_price is None
            if outcome.reason is ErrorReason.SELF_TRADE or (outcome.reason in _UNFILLABLE and at_once):
                expires = outcome.reason
            else:
                raise Refused(outcome.reason, outcome.message)
        order.working_ns = order.updated_ns = self.now_ns
        if not woken:
            self._keep(order)
        self._emit(Placed(order, woken))
        if expires is not None:
            order.reason = expires
            self._end(order, OrderState.EXPIRED)
        self._take(outcome.reports)
        self._tell_last(order.spec.symbol)
        self._emit(BookMoved(order.spec.symbol, self.now_ns))

    def _stand_alone(self, symbol: str) -> None:
        """What is shown is all there is: nobody stands before an order beyond it. (To `sim` that is unknown.)"""
        for order in self.open.values():
            working = self.venue.working(order.key) if order.spec.symbol == symbol else None
            if working is not None and working.ahead == UNKNOWN:
                working.ahead = 0

    def _tell_last(self, symbol: str) -> None:
        """The account's own trades are trades as well: they set stops off. `sim` knows only those of others."""
        trades, listing = self.trades[symbol], self.venue.listings[symbol]
        ticks = listing.ticks(trades[-1].price) if trades else None
        if ticks is None or ticks == listing.market.last:
            return
        listing.market.last = ticks
        if any(order.spec.symbol == symbol and order.spec.stop_price for order in self.open.values()):
            self._take(self.venue.apply([MarkUpdate(self.now_ns, symbol, ticks)], self.now_ns))

    def later(self, work: Callable[[], None]) -> None:
        """Does something when all that the market has just told is told: what a fill brings about may not overtake the
        fills beside it. What that brings about in turn comes before what waits already."""
        self._later.append(work)
        self._work_off()

    def _work_off(self) -> None:
        if self._depth or self._working:
            return
        self._working = True
        try:
            while self._later:
                work, waiting = self._later[0], self._later[1:]
                self._later = []
                work()
                self._later += waiting
        finally:
            self._working = False

    def _take(self, reports: Sequence[Report]) -> None:
        self._depth += 1
        try:
            self._take_each(reports)
        finally:
            self._depth -= 1
        self._work_off()

    def _take_each(self, reports: Sequence[Report]) -> None:
        for report in reports:
            if isinstance(report, FillReport):
                order = self._by_key[report.client_order_id]
                self._execute(order, report.quantity, report.price, report.liquidity, report.event_time_ns)
            elif isinstance(report, OrderReport):
                self._changed(self._by_key[report.client_order_id], report)

    def _changed(self, order: VenueOrderState, report: OrderReport) -> None:
        order.updated_ns = report.event_time_ns
        match report.event:
            case OrderEventType.TRIGGERED:
                order.triggered = True
                self._emit(Triggered(order))
            case OrderEventType.CANCELED | OrderEventType.EXPIRED:
                order.reason = report.reason or order.reason
                order.message = report.message
                unfilled = report.reason in _UNFILLABLE or report.event is OrderEventType.EXPIRED
                state = OrderState.EXPIRED if unfilled else OrderState.CANCELED
                self._end(order, order.extra.pop("end_state", state))
            case OrderEventType.REPLACED if report.quantity is not None:
                # An amount of quote currency came to so many.
                order.quantity = report.quantity

    def _execute(
        self, order: VenueOrderState, quantity: Decimal, price: Decimal, liquidity: Liquidity, time_ns: int
    ) -> None:
        instrument = self.instruments[order.spec.symbol]
        fee, currency = self.fee(order, quantity, price, liquidity)
        taker = order.spec.side if liquidity is not Liquidity.MAKER else _other(order.spec.side)
        trade = self._print(instrument.symbol, price, quantity, taker, told=False)
        number = len(self.executions) + 1
        execution = Execution(number, trade.trade, order, quantity, price, fee, currency, liquidity, time_ns)
        self.executions.append(execution)
        order.executions.append(execution)
        order.updated_ns = time_ns
        sign = 1 if order.buys else -1
        if instrument.base_currency:
            self.totals[instrument.base_currency] += sign * quantity
        self.totals[instrument.quote_currency] -= sign * quantity * price * instrument.multiplier
        if fee:
            self.totals[currency] = self.totals.get(currency, ZERO) - fee
        full = order.cum_quantity >= order.quantity
        order.state = OrderState.FILLED if full else OrderState.PARTIALLY_FILLED
        if full:
            del self.open[order.number]
        self._emit(Filled(execution))
        self._emit(trade)

    def _end(self, order: VenueOrderState, state: OrderState) -> None:
        order.state = state
        order.updated_ns = self.now_ns
        del self.open[order.number]
        self._emit(Ended(order))

    def _print(
        self, symbol: str, price: Decimal, quantity: Decimal, taker: Side, *, told: bool = True
    ) -> MarketTraded:
        trades = self.trades[symbol]
        trade = MarketTraded(symbol, len(trades) + 1, price, quantity, taker, self.now_ns)
        trades.append(trade)
        if told:
            self._emit(trade)
        return trade

    def _emit(self, happening: Happening) -> None:
        for listener in list(self.listeners):
            listener(happening)


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY
