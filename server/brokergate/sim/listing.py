"""One instrument as the venue shows it: between the port's decimals and the market's ticks and lots."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Liquidity, Money
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, QuoteView
from brokergate.domain.money import ZERO, multiply, quotient, steps
from brokergate.domain.orders import OrderSpec, OrderState, Side, TimeInForce
from brokergate.ports.broker import FillReport, OrderReport, Preview, VenueOrder
from brokergate.sim.funds import Excess, InstrumentFunds
from brokergate.sim.intake import working_order
from brokergate.sim.matching import Market
from brokergate.sim.orders import Changed, Executed, Refusal, WorkingOrder
from brokergate.sim.sessions import Hours, Outside
from brokergate.sim.triggers import standing_trigger

MAX_PRICES = 4096
"""Prices whose decimals are kept at hand; the table is emptied when it is full."""
SILENCE_NS = 60_000_000_000
"""How long a market is silent at least that is taken for closed because it is silent."""

Level = tuple[int, int]

_AUCTIONS = (TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE)


class Listing:
    """An instrument with its market. `funds` is its part of the ledger."""

    def __init__(self, instrument: Instrument, market: Market, hours: Hours) -> None:
        self.instrument = instrument
        self.market = market
        self.calendar = hours.calendar(instrument.kind)
        self._outside = hours.outside
        self.strict = hours.outside is Outside.REFUSE
        """Whether nothing matches outside the calendar's sessions, whatever the feed tells."""
        market.funds.marks = market.mark
        self._prices: dict[int, Decimal] = {}
        self._no_fee = (Money(ZERO, instrument.quote_currency),)

    @property
    def funds(self) -> InstrumentFunds:
        """Its part of the ledger."""
        return self.market.funds

    def move(self, funds: InstrumentFunds) -> None:
        """To another ledger: the account starts anew."""
        self.market.funds = funds
        funds.marks = self.market.mark

    def lots(self, quantity: Decimal) -> int:
        """`quantity` in lots; `ValueError` off the lot."""
        return steps(quantity, self.instrument.quantity_increment)

    def ticks(self, price: Decimal) -> int:
        """`price` in ticks; `ValueError` off the tick."""
        return steps(price, self.instrument.price_increment)

    def price(self, ticks: int) -> Decimal:
        """The price of `ticks`."""
        price = self._prices.get(ticks)
        if price is None:
            if len(self._prices) >= MAX_PRICES:
                self._prices.clear()
            price = self._prices[ticks] = multiply(self.instrument.price_increment, Decimal(ticks))
        return price

    def quantity(self, lots: int) -> Decimal:
        """The quantity of `lots`."""
        return multiply(self.instrument.quantity_increment, Decimal(lots))

    def fill_report(self, execution: Executed, execution_id: str) -> FillReport:
        """An execution as it is told."""
        order, quote = execution.order, self.funds.quote
        return FillReport(
            order.client_order_id,
            order.broker_order_id,
            execution_id,
            order.symbol,
            Side.BUY if order.side > 0 else Side.SELL,
            self.quantity(execution.lots),
            self.price(execution.price),
            (Money(quote.amount(execution.fee), quote.currency),) if execution.fee else self._no_fee,
            Liquidity.MAKER if execution.maker else Liquidity.TAKER,
            execution.time_ns,
        )

    def change_report(self, change: Changed) -> OrderReport:
        """Anything else that happened to an order, as it is told."""
        order = change.order
        return OrderReport(
            change.kind,
            order.client_order_id,
            order.broker_order_id,
            change.time_ns,
            change.reason,
            change.message,
            self.quantity(change.total) if change.total else None,
        )

    def shown(self, order: WorkingOrder) -> VenueOrder:
        """A working order as the venue shows it. It keeps no time of an order's last change: that is left 0."""
        stop = standing_trigger(order)
        return VenueOrder(
            order.client_order_id,
            order.broker_order_id,
            order.symbol,
            Side.BUY if order.side > 0 else Side.SELL,
            order.type,
            self.quantity(order.filled + order.left),
            self.quantity(order.filled),
            OrderState.PARTIALLY_FILLED if order.filled else OrderState.NEW,
            0,
            None if order.limit is None else self.price(order.limit),
            None if stop is None else self.price(stop),
            order.time_in_force,
        )

    def quote(self) -> QuoteView | None:
        """The best bid and ask that can still be taken; None while the book is not trusted. Of a market without a book
        the last price alone."""
        book = self.market.book
        if book.distrust:
            return self._quote(None, None, self.market.updated_ns) if self.market.prints else None
        bids, asks = book.bids.levels(1), book.asks.levels(1)
        return self._quote(bids[0] if bids else None, asks[0] if asks else None, book.time_ns)

    def told_quote(self) -> QuoteView | None:
        """The feed's own latest quote, where it tells quotes beside a book; None otherwise."""
        told = self.market.book.quote
        return None if told is None else self._quote(told.bid, told.ask, told.time_ns)

    def _quote(self, bid: Level | None, ask: Level | None, time_ns: int) -> QuoteView:
        last = self.market.last
        return QuoteView(
            self.instrument.symbol,
            self.price(bid[0]) if bid else None,
            self.quantity(bid[1]) if bid else None,
            self.price(ask[0]) if ask else None,
            self.quantity(ask[1]) if ask else None,
            time_ns,
            self.market.received_ns,
            None if last is None else self.price(last),
        )

    def book(self, depth: int) -> BookView | None:
        """What can still be taken, `depth` levels a side; None while the book is not trusted."""
        book = self.market.book
        if book.distrust:
            return None
        sides = [
            tuple([(self.price(price), self.quantity(lots)) for price, lots in side.levels(depth)])
            for side in (book.bids, book.asks)
        ]
        return BookView(self.instrument.symbol, sides[0], sides[1], book.time_ns, self.market.received_ns)

    def keep_hours(self, now_ns: int) -> None:
        """Halts the market outside its sessions."""
        self.market.halted = not self.calendar.is_open(now_ns)

    def shut(self, time_in_force: TimeInForce, now_ns: int, limit_ns: int | None) -> Refusal | None:
        """Why the market takes no such order now: it is closed, or was not heard of for more than `limit_ns`."""
        return self._closed(time_in_force, now_ns) or self._stale(now_ns, limit_ns)

    def _closed(self, time_in_force: TimeInForce, now_ns: int) -> Refusal | None:
        """Why an order is refused that comes outside the calendar's sessions; orders for an auction wait for it."""
        since_ns = self.market.updated_ns
        if self._outside is Outside.IGNORE or time_in_force in _AUCTIONS:
            return None
        if not self.strict and (not since_ns or now_ns - since_ns < SILENCE_NS):
            return None
        closed_ns, opens_ns, _ = self.calendar.span(now_ns)
        if opens_ns <= now_ns or (not self.strict and since_ns >= closed_ns):
            return None
        return Refusal(
            ErrorReason.MARKET_CLOSED,
            f"{self.instrument.symbol}: {self.calendar.name} is closed since {_moment(closed_ns)} and opens at "
            f"{_moment(opens_ns)}; place the order then",
        )

    def _stale(self, now_ns: int, limit_ns: int | None) -> Refusal | None:
        """Why orders are refused where the market was last heard of more than `limit_ns` ago; None for no limit."""
        since_ns = self.market.updated_ns
        if limit_ns is None or not since_ns or now_ns - since_ns <= limit_ns:
            return None
        since = _moment(since_ns)
        return Refusal(
            ErrorReason.STALE_MARKET_DATA,
            f"{self.instrument.symbol}: no market data since {since}, {(now_ns - since_ns) / 1e9:.3f} s ago; orders "
            f"are refused after {limit_ns / 1e9:.3f} s",
        )

    def quantity_for(self, spec: OrderSpec, now_ns: int) -> Decimal:
        """What the `quote_quantity` of an order comes to now; a lot where that is nothing, which the venue refuses."""
        order = working_order(self, None, spec, ZERO, "", now_ns)
        most = order.leaves
        walk, _ = self.market.entrance.look(order)
        return self.quantity(max(1, order.leaves) if walk or order.leaves < most else 1)

    def preview(self, spec: OrderSpec, shut: Refusal | None, now_ns: int) -> Preview:
        """What an order would do now; why no order is taken at all comes before the market's own."""
        order = working_order(self, None, spec, spec.quantity or ZERO, "", now_ns)
        walk, refusal = self.market.entrance.look(order)
        funds, quote = self.funds, self.funds.quote
        if excess := funds.excess(order, walk):
            raise Excess(excess)
        taken = sum(lots for _, lots in walk)
        parts = [price * lots * funds.unit for price, lots in walk]
        fees = funds.charges.estimate(order, [(price * lots * funds.unit, lots) for price, lots in walk])
        rest_price = order.limit or order.stop or self.market.last or 0
        notional = sum(parts) + rest_price * (order.leaves - taken) * funds.unit
        refusal = shut or refusal
        waits = order.waiting or (order.special is not None and order.special.auction_ns)
        rest = order.leaves - taken if waits or self.market.entrance.may_stay(order) else 0
        account, needed = funds.needs(order, walk, rest)
        unit_cost = multiply(self.quantity(taken), self.instrument.multiplier)
        return Preview(
            estimated_price=quotient(quote.amount(sum(parts)), unit_cost) if taken else None,
            estimated_fill_quantity=self.quantity(taken),
            estimated_notional=Money(quote.amount(notional), quote.currency),
            estimated_fees=(Money(quote.amount(fees), quote.currency),),
            required_funds=Money(account.amount(needed), account.currency),
            rejection=None if refusal is None else (refusal.reason, refusal.message),
        )


def _moment(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 1_000_000 / 1000, UTC).isoformat(timespec="milliseconds")
