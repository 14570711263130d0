"""The market data of one broker, as the port shows it: the latest quote and book of each symbol, and who listens.

The adapter puts in what its public stream tells, and is told which symbols are wanted. A symbol is wanted while
somebody listens to it, and for a while after somebody asked for its quote or book: the first question finds nothing,
and the next one does. When the stream is lost what is known is kept and marked as stale; no order is measured by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookChanged, BookView, MarketDatum, QuoteView, TradeView
from brokergate.domain.money import quotient, round_down
from brokergate.domain.orders import OrderSpec, Side
from brokergate.ports.clock import Clock

Listener = Callable[[MarketDatum], None]
LINGER_NS = 900 * 1_000_000_000
"""How long a symbol is wanted after somebody asked for its quote or book."""
MAX_ASKED = 256
"""Symbols that are wanted because somebody asked; the one that was asked for longest ago goes first."""


class MarketDataHub:
    """Latest quotes and books, listeners, and the symbols that are wanted."""

    def __init__(self, clock: Clock, changed: Callable[[], None] = lambda: None) -> None:
        self.changed = changed
        """Called whenever `wanted` has changed; must not block. A `PublicStream` puts itself there."""
        self._clock = clock
        self._quotes: dict[str, QuoteView] = {}
        self._last: dict[str, Decimal] = {}
        self._books: dict[str, Callable[[int], BookView | None]] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._asked: dict[str, int] = {}
        self._live: set[str] = set()

    # For the port

    def quote(self, symbol: str) -> QuoteView | None:
        """The latest quote while the stream gives it; None otherwise."""
        self._ask(symbol)
        return self._quotes.get(symbol) if symbol in self._live else None

    def book(self, symbol: str, depth: int) -> BookView | None:
        """The book while the stream gives it, `depth` levels a side; None otherwise."""
        self._ask(symbol)
        book = self._books.get(symbol) if symbol in self._live else None
        return book(depth) if book is not None else None

    def last_quote(self, symbol: str) -> QuoteView | None:
        """The latest quote that there was, also where it is stale: to be shown, never to be traded by."""
        return self._quotes.get(symbol)

    def quantity_for(self, spec: OrderSpec, instrument: Instrument | None) -> Decimal:
        """As the port has it, by the price that the order would meet."""
        if instrument is None:
            raise GatewayError(ErrorReason.INSTRUMENT_NOT_FOUND, f"there is no instrument {spec.symbol!r}")
        quote = self.quote(spec.symbol)
        price = None
        if quote is not None:
            price = quote.ask_price if spec.side is Side.BUY else quote.bid_price
        if price is None or spec.quote_quantity is None:
            raise GatewayError(
                ErrorReason.NO_REFERENCE_PRICE,
                f"there is no price of {spec.symbol} yet to tell what the amount comes to; subscribe to its market "
                "data, or try again in a second",
                retry_after_ms=1000,
            )
        lot = instrument.quantity_increment
        return max(round_down(quotient(spec.quote_quantity, price), lot), lot)

    def live(self, symbol: str) -> bool:
        """Whether the stream gives what is known of the symbol."""
        return symbol in self._live

    def subscribe_market_data(self, symbols: Sequence[str], listener: Listener) -> Callable[[], None]:
        """As the port has it."""
        unique = tuple(dict.fromkeys(symbols))
        before = self.wanted
        for symbol in unique:
            self._listeners.setdefault(symbol, []).append(listener)
        self._tell_change(before)
        ended = False

        def end() -> None:
            nonlocal ended
            if ended:
                return
            ended = True
            before = self.wanted
            for symbol in unique:
                listeners = self._listeners[symbol]
                listeners.remove(listener)
                if not listeners:
                    del self._listeners[symbol]
            self._tell_change(before)

        return end

    # For the adapter's public stream

    @property
    def wanted(self) -> frozenset[str]:
        """The symbols that somebody listens to, or asked for lately."""
        return frozenset(self._listeners) | frozenset(self._asked)

    @property
    def listened(self) -> frozenset[str]:
        """The symbols that somebody listens to."""
        return frozenset(self._listeners)

    def on_quote(self, quote: QuoteView, *, live: bool = True) -> None:
        """Takes a quote. One that is not `live` is old, as delayed ones are: it is told and shown, never traded by."""
        if quote.last_price is None and (last := self._last.get(quote.symbol)) is not None:
            quote = replace(quote, last_price=last)
        if live:
            self._live.add(quote.symbol)
        else:
            self._live.discard(quote.symbol)
        self._quotes[quote.symbol] = quote
        self._tell(quote.symbol, quote)

    def on_trade(self, trade: TradeView) -> None:
        """Takes a trade: it is the last price of the quotes from now on."""
        self._last[trade.symbol] = trade.price
        quote = self._quotes.get(trade.symbol)
        if quote is not None:
            self._quotes[trade.symbol] = replace(quote, last_price=trade.price)
        self._tell(trade.symbol, trade)

    def on_book(self, symbol: str, event_time_ns: int, book: Callable[[int], BookView | None]) -> None:
        """Takes note that the book changed; `book(depth)` makes it when somebody wants it."""
        self._live.add(symbol)
        self._books[symbol] = book
        self._tell(symbol, BookChanged(symbol, event_time_ns))

    def lost(self, symbols: Sequence[str] | None = None) -> None:
        """The stream, or its part about `symbols`, is gone: what is known of them is stale until it comes again."""
        if symbols is None:
            self._live.clear()
            self._books.clear()
            return
        for symbol in symbols:
            self._live.discard(symbol)
            self._books.pop(symbol, None)

    def sweep(self) -> None:
        """Lets go of what nobody asked for in a while; to be called now and then."""
        before = self.wanted
        now_ns = self._clock.monotonic_ns()
        for symbol, asked_ns in list(self._asked.items()):
            if now_ns - asked_ns >= LINGER_NS:
                del self._asked[symbol]
        self._tell_change(before)

    def _ask(self, symbol: str) -> None:
        before = symbol in self._asked
        self._asked.pop(symbol, None)
        self._asked[symbol] = self._clock.monotonic_ns()
        if before:
            return
        dropped = next(iter(self._asked)) if len(self._asked) > MAX_ASKED else None
        if dropped is not None:
            del self._asked[dropped]
        if symbol not in self._listeners or (dropped is not None and dropped not in self._listeners):
            self.changed()

    def _tell(self, symbol: str, datum: MarketDatum) -> None:
        for listener in tuple(self._listeners.get(symbol, ())):
            listener(datum)

    def _tell_change(self, before: frozenset[str]) -> None:
        now = self.wanted
        # What nobody wants any more is no longer told: the stream may end it at any moment.
        self.lost(tuple(before - now))
        if now != before:
            self.changed()
