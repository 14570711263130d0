"""Another account's market as a paper account's feed: quotes, trades and books as the other broker tells them.

A listener must not call back (`AbstractBroker.subscribe_market_data`), so what is told waits until the loop's next
turn, or until a command asks for the time. Of a book that changed the present one is read then, so that a burst costs
one reading. Prices and sizes of others' markets may lie off the increments that their brokers tell: bids are rounded
down, asks up, sizes down; a trade off the tick is left out. A quote or book that is crossed or cannot be is a gap:
nothing matches until the next good one.

While the other broker is away there is a gap too, and orders are refused with the time since when. When it is back, its
present quotes and books are taken, and stops and resting orders meet the market where it now is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from brokergate.adapters.paper.live import TICK_S, Advance, Failed, WallClock, watched
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookChanged, BookView, MarketDatum, QuoteView, TradeView
from brokergate.domain.money import is_multiple, round_down, steps
from brokergate.domain.orders import Side
from brokergate.ports.clock import Clock
from brokergate.ports.market import Absence, MarketSource
from brokergate.sim.market import BookSnapshot, FeedGap, MarketUpdate, QuoteUpdate, TradeUpdate

BOOK_DEPTH = 100
"""Levels a side that are read of another account's book."""
_AGGRESSORS = {Side.BUY: 1, Side.SELL: -1}

Told = Callable[[MarketUpdate, int], None]
"""Gives to the venue what happened at a time by the other market's clock."""


class AccountFeed(WallClock):
    """See the module. `account` is the other account's id, for messages."""

    def __init__(
        self,
        account: str,
        source: MarketSource,
        instruments: tuple[Instrument, ...],
        clock: Clock,
        told: Told,
        advance: Advance,
        failed: Failed,
    ) -> None:
        super().__init__(f"account {account}", instruments, clock, advance, failed)
        self._account = account
        self._source = source
        self._told = told
        self._by_symbol = {instrument.symbol: instrument for instrument in instruments}
        self._books = source.broker.capabilities.streams_book
        self._waiting: list[QuoteView | TradeView | None] = []
        self._changed: dict[str, int] = {}
        """Where in `_waiting` the book of a symbol is to be read: at its latest change."""
        self._absence: Absence | None = None
        self._scheduled = False
        self._started = False
        self._unsubscribe: Callable[[], None] | None = None

    def now_ns(self) -> int:
        """The gateway's time, with all taken that was told before."""
        if self._started:
            self._look()
            self._take()
        return self._clock.now_ns()

    def refusal(self) -> str:
        """Why no order is taken now; empty while the other broker is connected."""
        if not self._started:
            return ""
        self._look()
        return "" if self._absence is None else self._gone(self._absence)

    def start(self) -> None:
        """Takes the present market and follows it."""
        self._unsubscribe = self._source.broker.subscribe_market_data(tuple(self._by_symbol), self._heard)
        self._started = True
        self._absence = None
        self._look(first=True)
        self._task = watched(self._run(), f"market of account {self._account}", self._failed)

    async def stop(self) -> None:
        self._started = False
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._waiting.clear()
        self._changed.clear()
        await super().stop()

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(TICK_S)
            self._look()
            self._advance(self._clock.now_ns())

    # What is told

    def _heard(self, datum: MarketDatum) -> None:
        if isinstance(datum, (BookChanged, BookView)):
            if not self._books or datum.symbol not in self._by_symbol:
                return
            # The place of the change before stays empty.
            self._changed.pop(datum.symbol, None)
            self._changed[datum.symbol] = len(self._waiting)
            self._waiting.append(None)
        elif isinstance(datum, TradeView) or not self._books:
            self._waiting.append(datum)
        else:
            return
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if self._started:
            self._look()
            self._take()

    def _take(self) -> None:
        waiting, changed = self._waiting, self._changed
        if not waiting or self._absence is not None:
            waiting.clear()
            changed.clear()
            return
        self._waiting, self._changed = [], {}
        books = {place: symbol for symbol, place in changed.items()}
        for place, datum in enumerate(waiting):
            if datum is None:
                symbol = books.get(place)
                if symbol is not None:
                    self._read_book(symbol)
            else:
                self._give(datum, self._clock.now_ns())

    def _look(self, *, first: bool = False) -> None:
        """Whether the other broker is there: when it went, a gap; when it is back, its present market."""
        absence = self._source.absence()
        if absence is not None and (self._absence is None or first):
            for symbol in self._by_symbol:
                self._gap(symbol, self._gone(absence))
        elif absence is None and (self._absence is not None or first):
            self._absence = None
            for symbol in self._by_symbol:
                self._read_book(symbol, present=True)
        self._absence = absence

    def _read_book(self, symbol: str, *, present: bool = False) -> None:
        """Takes the other's book, or its quote where it has none. One that was there already is as old as it is."""
        broker = self._source.broker
        view: BookView | QuoteView | None = broker.book(symbol, BOOK_DEPTH) if self._books else None
        view = view or broker.quote(symbol)
        if view is not None:
            now_ns = self._clock.now_ns()
            self._give(view, min(now_ns, view.receive_time_ns or now_ns) if present else now_ns)
        elif not present:
            self._gap(symbol, f"account {self._account!r} has no market in {symbol}")

    def _give(self, datum: QuoteView | TradeView | BookView, time_ns: int) -> None:
        instrument = self._by_symbol.get(datum.symbol)
        if instrument is None:
            return
        try:
            update = _update(datum, instrument, time_ns)
        except ValueError as error:
            self._gap(datum.symbol, f"account {self._account!r} told {error}")
            return
        if update is not None:
            self._told(update, datum.event_time_ns)

    def _gap(self, symbol: str, reason: str) -> None:
        self._told(FeedGap(self._clock.now_ns(), symbol, reason), 0)

    def _gone(self, absence: Absence) -> str:
        since = datetime.fromtimestamp(absence.since_ns // 1_000_000 / 1000, UTC).isoformat(
            timespec="milliseconds"
        )
        return f"the market of account {self._account!r} is away since {since}: {absence.reason}"


def _update(
    datum: QuoteView | TradeView | BookView, instrument: Instrument, time_ns: int
) -> MarketUpdate | None:
    """The datum in ticks and lots; None for a trade that has none. `ValueError` for what is no market."""
    if isinstance(datum, TradeView):
        return _trade(datum, instrument, time_ns)
    if isinstance(datum, QuoteView):
        sides = ((datum.bid_price, datum.bid_quantity), (datum.ask_price, datum.ask_quantity))
        bids, asks = [_told_levels([side], instrument, up=index > 0) for index, side in enumerate(sides)]
        if bids and asks and bids[0][0] > asks[0][0]:
            raise ValueError("a crossed quote")
        return QuoteUpdate(time_ns, datum.symbol, bids[0] if bids else None, asks[0] if asks else None)
    bids = _told_levels(datum.bids, instrument, up=False)
    asks = _told_levels(datum.asks, instrument, up=True)
    if bids and asks and bids[0][0] >= asks[0][0]:
        raise ValueError("a crossed book")
    return BookSnapshot(time_ns, datum.symbol, bids, asks)


def _trade(trade: TradeView, instrument: Instrument, time_ns: int) -> TradeUpdate | None:
    if not (trade.price.is_finite() and trade.quantity.is_finite()):
        return None
    try:
        price = steps(trade.price, instrument.price_increment)
    except ValueError:
        return None
    lots = _whole(trade.quantity, instrument.quantity_increment)
    if price <= 0 or lots <= 0:
        return None
    return TradeUpdate(time_ns, trade.symbol, price, lots, _AGGRESSORS.get(trade.aggressor_side, 0))


def _told_levels(
    levels: Sequence[tuple[Decimal | None, Decimal | None]], instrument: Instrument, *, up: bool
) -> tuple[tuple[int, int], ...]:
    """A side in ticks and lots, sizes that fall on one tick added up."""
    tick, lot = instrument.price_increment, instrument.quantity_increment
    told: dict[int, int] = {}
    for price, size in levels:
        if price is None or size is None:
            continue
        if not (price.is_finite() and size.is_finite() and price > 0 and size >= 0):
            raise ValueError(f"a level of {size} at {price}")
        ticks = _whole(price, tick)
        if up and not is_multiple(price, tick):
            ticks += 1
        lots = _whole(size, lot)
        if ticks and lots:
            told[ticks] = told.get(ticks, 0) + lots
    return tuple(told.items())


def _whole(value: Decimal, step: Decimal) -> int:
    """How many whole steps `value` has."""
    return steps(round_down(value, step), step)
