"""Market data: one stream for stocks and one for crypto, each with a hub, and the latest quotes over HTTP so that a
symbol that rarely trades has one from its beginning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from brokergate.adapters.alpaca import quotes, wire
from brokergate.adapters.alpaca.client import HANDSHAKE_S, AlpacaClient, parsed
from brokergate.adapters.alpaca.config import AlpacaConfig
from brokergate.adapters.alpaca.quotes import Book
from brokergate.adapters.alpaca.values import WireError, load, mapping, number_or_none, sequence
from brokergate.adapters.connection.hub import MarketDataHub
from brokergate.adapters.connection.public import PublicStream
from brokergate.adapters.connection.stream import StreamClient
from brokergate.adapters.context import BrokerContext
from brokergate.domain.errors import AuthenticationError, BrokerError, TemporaryConnectionError
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, MarketDatum, QuoteView, TradeView
from brokergate.domain.orders import OrderSpec

CHUNK = 100
"""Symbols that one message or request names."""
_LEFT = frozenset({400, 405, 410})
"""A subscription that is refused, such as one symbol too many for a free feed: the others go on."""
_REFUSED = {
    402: "the key is refused",
    406: "another connection has the account's market data",
    409: "the feed is not subscribed to",
}


class Feed:
    """The market data of one class of asset."""

    def __init__(
        self, client: AlpacaClient, settings: AlpacaConfig, context: BrokerContext, *, crypto: bool
    ) -> None:
        self._client = client
        self._crypto = crypto
        self._feed = settings.feed.value
        path = "/v1beta3/crypto/us" if crypto else f"/v2/{self._feed}"
        self._url = settings.data_stream_url + path
        self._clock = context.clock
        self._books: dict[str, Book] = {}
        self.last: dict[str, TradeView] = {}
        """The latest trade of each symbol."""
        self.hub = MarketDataHub(context.clock)
        self.stream = PublicStream(self.hub, self, context.clock, context.random, context.log)

    # As PublicStream asks for it

    async def open(self) -> StreamClient:
        """Connects and authenticates. Raises a `BrokerError`."""
        stream = await self._client.open(self._url, self._probe)
        try:
            await self._greeted(stream, "connected")
            await stream.send(self._client.frame(wire.data_auth_frame))
            await self._greeted(stream, "authenticated")
        except BaseException as error:
            await stream.close()
            if isinstance(error, WireError):
                raise TemporaryConnectionError(
                    f"Alpaca's market data is not as documented: {error}"
                ) from None
            raise
        self._books.clear()
        return stream

    @staticmethod
    async def _greeted(stream: StreamClient, word: str) -> None:
        for message in sequence(load(await stream.receive(HANDSHAKE_S)), "a frame"):
            _check(mapping(message, "a message"))
            if message.get("T") == "success" and message.get("msg") == word:
                return
        raise WireError(f"it does not say {word}")

    async def _probe(self, stream: StreamClient) -> None:
        """Asks once more for what is subscribed to: Alpaca answers with all that is."""
        some = sorted(self.hub.wanted)[:1]
        await stream.send(wire.data_subscribe_frame("subscribe", some, crypto=self._crypto))

    async def subscribe(self, stream: StreamClient, symbols: frozenset[str]) -> None:
        """Asks for quotes and trades, and for crypto the book."""
        for chunk in _chunks(symbols):
            await stream.send(wire.data_subscribe_frame("subscribe", chunk, crypto=self._crypto))
            await self.latest(chunk)

    async def unsubscribe(self, stream: StreamClient, symbols: frozenset[str]) -> None:
        """Ends them."""
        for chunk in _chunks(symbols):
            await stream.send(wire.data_subscribe_frame("unsubscribe", chunk, crypto=self._crypto))
        for symbol in symbols:
            self._books.pop(symbol, None)

    async def latest(self, symbols: Sequence[str]) -> None:
        """The latest quotes, where nothing newer was streamed meanwhile. Where they are not to be had the stream's come
        in time."""
        target = wire.latest_target(symbols, crypto=self._crypto, feed=self._feed, what="quotes")
        with suppress(BrokerError):
            answer = await self._client.ask_data(target)
            for quote in parsed(self._quotes, answer):
                known = self.hub.last_quote(quote.symbol)
                if (
                    known is None
                    or not self.hub.live(quote.symbol)
                    or known.event_time_ns < quote.event_time_ns
                ):
                    self.hub.on_quote(quote)

    def _quotes(self, answer: Any) -> list[QuoteView]:
        listed = mapping(mapping(answer, "the answer").get("quotes"), "quotes")
        now_ns = self._clock.now_ns()
        return [
            quotes.quote(symbol, mapping(fields, "a quote"), now_ns, self._last_price(symbol))
            for symbol, fields in listed.items()
        ]

    def _last_price(self, symbol: str) -> Decimal | None:
        trade = self.last.get(symbol)
        return None if trade is None else trade.price

    def take(self, frame: str | bytes) -> None:
        """Takes a frame. `ValueError` for one that does not parse; a `BrokerError` for the venue's word that the stream
        is over."""
        received_ns = self._clock.now_ns()
        try:
            for message in sequence(load(frame), "a frame"):
                self._message(mapping(message, "a message"), received_ns)
        except WireError as error:
            raise ValueError(str(error)) from None

    def _message(self, message: Mapping[str, Any], received_ns: int) -> None:
        kind, symbol = message.get("T"), message.get("S")
        if kind == "error":
            _check(message)
        if not isinstance(symbol, str):
            return
        if kind == "q":
            self.hub.on_quote(quotes.quote(symbol, message, received_ns, self._last_price(symbol)))
        elif kind == "t":
            trade = quotes.trade(symbol, message, received_ns)
            self.last[symbol] = trade
            self.hub.on_trade(trade)
        elif kind == "o":
            book = self._books.setdefault(symbol, Book(symbol))
            if book.take(message, received_ns, whole=message.get("r") is True):
                self.hub.on_book(symbol, book.event_time_ns, book.view)


class Market:
    """All market data of an account."""

    def __init__(self, client: AlpacaClient, settings: AlpacaConfig, context: BrokerContext) -> None:
        self._feeds = {crypto: Feed(client, settings, context, crypto=crypto) for crypto in (False, True)}

    def start(self) -> None:
        """Begins to stream what is wanted."""
        for feed in self._feeds.values():
            feed.stream.start()

    async def close(self) -> None:
        """Ends it."""
        for feed in self._feeds.values():
            await feed.stream.close()

    def quote(self, symbol: str) -> QuoteView | None:
        """As the port has it."""
        return self._feed(symbol).hub.quote(symbol)

    def last_quote(self, symbol: str) -> QuoteView | None:
        """As the port has it."""
        return self._feed(symbol).hub.last_quote(symbol)

    def book(self, symbol: str, depth: int) -> BookView | None:
        """As the port has it."""
        return self._feed(symbol).hub.book(symbol, depth)

    def quantity_for(self, spec: OrderSpec, instrument: Instrument | None) -> Decimal:
        """As the port has it."""
        return self._feed(spec.symbol).hub.quantity_for(spec, instrument)

    async def latest(self, symbol: str) -> QuoteView | None:
        """The present quote, asked for where the stream has none yet; None where it cannot be had."""
        feed = self._feed(symbol)
        quote = feed.hub.quote(symbol)
        if quote is None:
            await feed.latest((symbol,))
            quote = feed.hub.quote(symbol)
        return quote

    def subscribe(
        self, symbols: Sequence[str], listener: Callable[[MarketDatum], None]
    ) -> Callable[[], None]:
        """As the port has it."""
        ends = [
            feed.hub.subscribe_market_data(of, listener)
            for feed in self._feeds.values()
            if (of := [symbol for symbol in symbols if self._feed(symbol) is feed])
        ]

        def end() -> None:
            for each in ends:
                each()

        return end

    def _feed(self, symbol: str) -> Feed:
        return self._feeds["/" in symbol]


def _check(message: Mapping[str, Any]) -> None:
    """Raises what an error's message means, but for one that leaves the stream as it is."""
    if message.get("T") != "error":
        return
    code = number_or_none(message, "code")
    number = 0 if code is None else int(code)
    if number in _LEFT:
        return
    meaning = _REFUSED.get(number, "Alpaca reports an error")
    problem = f"market data: {meaning} ({number})"
    raise (AuthenticationError if number == 402 else TemporaryConnectionError)(problem, code=str(number))


def _chunks(symbols: frozenset[str]) -> list[list[str]]:
    listed = sorted(symbols)
    return [listed[start : start + CHUNK] for start in range(0, len(listed), CHUNK)]
