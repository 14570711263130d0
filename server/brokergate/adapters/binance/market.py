"""The public market data: best prices, trades, and books that are joined of a snapshot and what changes it.

Source: web-socket-streams.md ("How to manage a local order book correctly") of binance/binance-spot-api-docs: a
snapshot fits behind the buffered changes where `U <= lastUpdateId + 1 <= u` holds of the first that counts; after that
each change begins where the one before it ended. Anything else is a hole, and a new snapshot is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import count

from brokergate.adapters.binance import parse, wire
from brokergate.adapters.binance.client import BinanceClient
from brokergate.adapters.binance.listing import Listing
from brokergate.adapters.binance.parse import NS_PER_MS, Json, Malformed
from brokergate.adapters.connection.hub import MarketDataHub
from brokergate.adapters.connection.stream import StreamClient, StreamSettings
from brokergate.domain.errors import BrokerError, TemporaryConnectionError
from brokergate.domain.market import BookView, QuoteView, TradeView
from brokergate.domain.money import ZERO, parse_decimal
from brokergate.domain.orders import Side
from brokergate.ports.clock import Clock

KINDS = ("bookTicker", "trade", "depth@100ms")
"""The streams of a symbol."""
MESSAGE_GAP_S = 0.25
"""Between two messages to the venue, which takes 5 a second."""
PER_MESSAGE = 60
"""Streams that one message names."""
MAX_BUFFERED = 1000
"""Changes that wait for a snapshot: 100 seconds of them."""
LEVELS = 1000
"""Of a snapshot, a side."""
AGAIN_S = 1.0
"""After a snapshot that failed or was too old."""

Level = tuple[Decimal, Decimal]


class Book:
    """The book of one symbol, joined. Pure."""

    def __init__(self) -> None:
        self.last_id: int | None = None
        """The last update that is in it; None while it waits for a snapshot."""
        self._buffer: list[Json] = []
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}
        self.event_time_ns = 0

    def change(self, event: Json) -> bool:
        """Takes a `depthUpdate`; whether the book is whole. After a hole it waits for a snapshot again."""
        if self.last_id is not None and not self._apply(event):
            self.last_id = None
            self._buffer.clear()
        if self.last_id is None:
            self._buffer.append(event)
            if len(self._buffer) > MAX_BUFFERED:
                del self._buffer[0]
            return False
        return True

    def snapshot(self, last_id: int, bids: Iterable[Level], asks: Iterable[Level]) -> bool:
        """Takes a snapshot and what waited for it; False where it is older than what waits: another one is needed."""
        waiting = [event for event in self._buffer if event["u"] > last_id]
        if waiting and waiting[0]["U"] > last_id + 1:
            return False
        self.last_id, self._bids, self._asks = last_id, dict(bids), dict(asks)
        self._buffer.clear()
        for event in waiting:
            if not self._apply(event):
                self.last_id = None
                return False
        return True

    def _apply(self, event: Json) -> bool:
        """Whether a change follows what is there. One of before changes nothing."""
        assert self.last_id is not None
        if event["u"] <= self.last_id:
            return True
        if event["U"] > self.last_id + 1:
            return False
        for side, changes in ((self._bids, event["b"]), (self._asks, event["a"])):
            for price, quantity in parse.levels(changes):
                if quantity:
                    side[price] = quantity
                else:
                    side.pop(price, None)
        self.last_id = event["u"]
        self.event_time_ns = int(event["E"]) * NS_PER_MS
        return True

    def sides(self, depth: int) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """The best levels, best first."""
        bids = sorted(self._bids.items(), reverse=True)[:depth]
        return tuple(bids), tuple(sorted(self._asks.items())[:depth])


class Market:
    """What `PublicStream` needs to know of Binance."""

    def __init__(
        self,
        client: BinanceClient,
        hub: MarketDataHub,
        url: str,
        clock: Clock,
        listing: Callable[[], Listing],
        log: Callable[..., object],
        settings: StreamSettings,
    ) -> None:
        self._client = client
        self._settings = settings
        self._hub = hub
        self._url = url
        self._clock = clock
        self._listing = listing
        self._log = log
        self._numbers = count(1)
        self._books: dict[str, Book] = {}
        self._joining: dict[str, asyncio.Task[None]] = {}

    async def open(self) -> StreamClient:
        """Connects."""
        await self.close()
        return await StreamClient.connect(
            f"{self._url}/ws",
            clock=self._clock,
            settings=self._settings,
            probe=self._probe,
        )

    async def close(self) -> None:
        """Asks for no snapshot any more, and forgets the books."""
        tasks = list(self._joining.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._joining.clear()
        self._books.clear()

    async def subscribe(self, stream: StreamClient, symbols: frozenset[str]) -> None:
        """Asks for the streams of more symbols; of those that Binance has not nothing comes."""
        for symbol in symbols:
            if symbol in self._listing().by_symbol:
                self._books[symbol] = Book()
        await self._tell(stream, "SUBSCRIBE", symbols)

    async def unsubscribe(self, stream: StreamClient, symbols: frozenset[str]) -> None:
        """Ends the streams of symbols."""
        for symbol in symbols:
            self._books.pop(symbol, None)
        await self._tell(stream, "UNSUBSCRIBE", symbols)

    async def _tell(self, stream: StreamClient, method: str, symbols: frozenset[str]) -> None:
        listing = self._listing()
        names = [
            listing.venue_symbol(symbol).lower() for symbol in sorted(symbols) if symbol in listing.by_symbol
        ]
        streams = [f"{name}@{kind}" for name in names for kind in KINDS]
        for first in range(0, len(streams), PER_MESSAGE):
            await stream.send(
                wire.stream_frame(next(self._numbers), method, streams[first : first + PER_MESSAGE])
            )
            await self._clock.sleep(MESSAGE_GAP_S)

    async def _probe(self, stream: StreamClient) -> None:
        await stream.send(wire.stream_frame(next(self._numbers), "LIST_SUBSCRIPTIONS", ()))

    def take(self, frame: str | bytes) -> None:
        """Puts what a frame tells into the hub. `ValueError` for what is not as documented."""
        try:
            event = parse.load(frame)
        except Malformed as error:
            raise ValueError(str(error)) from None
        if not isinstance(event, dict) or "result" in event:
            return
        try:
            kind = event.get("e")
            if kind == "depthUpdate":
                self._changed(event)
            elif kind == "trade":
                self._traded(event)
            elif kind == "serverShutdown":
                raise TemporaryConnectionError("Binance is about to close the market streams")
            elif "u" in event and "b" in event:
                self._quoted(event)
        except parse.WRONG as error:
            raise ValueError(f"market data is not as documented ({error!r})") from None

    def _quoted(self, event: Json) -> None:
        symbol = self._listing().symbol(event["s"])
        now_ns = self._clock.now_ns()
        bid, ask = parse_decimal(event["b"]), parse_decimal(event["a"])
        self._hub.on_quote(
            QuoteView(
                symbol,
                bid if bid > ZERO else None,
                parse_decimal(event["B"]) if bid > ZERO else None,
                ask if ask > ZERO else None,
                parse_decimal(event["A"]) if ask > ZERO else None,
                # bookTicker has no time of its own: it is the venue's when it came.
                self._client.offset.venue_ns(now_ns),
                now_ns,
            )
        )

    def _traded(self, event: Json) -> None:
        self._hub.on_trade(
            TradeView(
                self._listing().symbol(event["s"]),
                parse_decimal(event["p"]),
                parse_decimal(event["q"]),
                # Where the buyer made the price the seller took it.
                Side.SELL if event["m"] else Side.BUY,
                int(event["T"]) * NS_PER_MS,
                self._clock.now_ns(),
            )
        )

    # Books

    def _changed(self, event: Json) -> None:
        symbol = self._listing().symbol(event["s"])
        book = self._books.get(symbol)
        if book is None:
            return
        if book.change(event):
            self._show(symbol, book)
            return
        if symbol not in self._joining:
            task = asyncio.create_task(self._join(symbol, event["s"], book), name=f"book of {symbol}")
            self._joining[symbol] = task

    def _show(self, symbol: str, book: Book) -> None:
        def view(depth: int) -> BookView | None:
            if book.last_id is None:
                return None
            bids, asks = book.sides(depth)
            return BookView(symbol, bids, asks, book.event_time_ns, self._clock.now_ns())

        self._hub.on_book(symbol, book.event_time_ns, view)

    async def _join(self, symbol: str, name: str, book: Book) -> None:
        """Asks for snapshots until one fits."""
        try:
            while self._books.get(symbol) is book:
                try:
                    fits = book.snapshot(*parse.depth(await self._client.ask(wire.depth(name, LEVELS))))
                except BrokerError as error:
                    self._log("no snapshot of a book", symbol=symbol, error=str(error))
                    fits = False
                if fits:
                    self._show(symbol, book)
                    return
                await self._clock.sleep(AGAIN_S)
        finally:
            self._joining.pop(symbol, None)
