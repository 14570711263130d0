"""Market data between two messages of a stream: of quotes and books the latest, of trades the last thousand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from brokergate.codec.decode.stream import MarketDataKind
from brokergate.domain.market import BookChanged, BookView, MarketDatum, QuoteView, TradeView


@dataclass(slots=True)
class Conflation:
    """Keeps what a subscriber has not been told, bounded by its symbols and by `max_trades`.

    `look_up` gives the present book of a symbol; it is asked when the book is told, not when it changes.
    """

    kinds: frozenset[MarketDataKind]
    max_trades: int
    look_up: Callable[[str], BookView | None]
    skipped: int = 0
    _quotes: dict[str, QuoteView] = field(default_factory=dict)
    _books: dict[str, None] = field(default_factory=dict)
    _trades: deque[TradeView] = field(default_factory=deque)

    def add(self, datum: MarketDatum) -> bool:
        """Takes a datum in; whether the subscriber asked for its kind."""
        match datum:
            case QuoteView():
                if MarketDataKind.QUOTE not in self.kinds:
                    return False
                self.skipped += datum.symbol in self._quotes
                self._quotes[datum.symbol] = datum
            case TradeView():
                if MarketDataKind.TRADE not in self.kinds:
                    return False
                if len(self._trades) >= self.max_trades:
                    self._trades.popleft()
                    self.skipped += 1
                self._trades.append(datum)
            case BookView() | BookChanged():
                if MarketDataKind.BOOK not in self.kinds:
                    return False
                self.skipped += datum.symbol in self._books
                self._books[datum.symbol] = None
        return True

    def take(self) -> tuple[list[QuoteView | TradeView | BookView], int]:
        """What is new, trades in order, and how many updates were skipped since the last time."""
        updates: list[QuoteView | TradeView | BookView] = [*self._quotes.values(), *self._trades]
        updates.extend(book for symbol in self._books if (book := self.look_up(symbol)) is not None)
        skipped, self.skipped = self.skipped, 0
        self._quotes.clear()
        self._trades.clear()
        self._books.clear()
        return updates, skipped
