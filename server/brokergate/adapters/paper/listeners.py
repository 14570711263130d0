"""Who listens to the market, and what they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from brokergate.domain.market import BookChanged, BookView, MarketDatum, QuoteView, TradeView
from brokergate.domain.orders import Side
from brokergate.sim.market import MarketUpdate, QuoteUpdate, TradeUpdate
from brokergate.sim.venue import Venue

Listener = Callable[[MarketDatum], None]
View = TypeVar("View", QuoteView, BookView)

_AGGRESSORS = {1: Side.BUY, -1: Side.SELL, 0: Side.UNSPECIFIED}


class Listeners:
    """Listeners by symbol. Trades and quotes are told as they come, books as changed; where the feed's own quotes run
    beside a book, those are the quotes that are told, and the book's changes tell none."""

    def __init__(self) -> None:
        self._by_symbol: dict[str, list[Listener]] = {}
        self._dates: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._by_symbol)

    def add(self, symbols: Sequence[str], listener: Listener) -> Callable[[], None]:
        """Tells `listener` of `symbols` until the returned function is called."""

        def told(datum: MarketDatum) -> None:
            listener(datum)

        for symbol in symbols:
            self._by_symbol.setdefault(symbol, []).append(told)

        def end() -> None:
            for symbol in symbols:
                listeners = self._by_symbol.get(symbol, [])
                if told in listeners:
                    listeners.remove(told)
                    if not listeners:
                        del self._by_symbol[symbol]

        return end

    def date(self, symbol: str, event_time_ns: int) -> None:
        """What is told of `symbol` from now on happened at `event_time_ns` by the market's clock, which is not the
        venue's where a client pushes it. 0 is the venue's own."""
        self._dates[symbol] = event_time_ns

    @property
    def dates(self) -> Mapping[str, int]:
        """What `date` was told, by symbol."""
        return self._dates

    def dated(self, view: View | None) -> View | None:
        """`view` with the market's own time."""
        if view is None or not self._dates:
            return view
        return replace(view, event_time_ns=self._dates.get(view.symbol) or view.event_time_ns)

    def tell(self, update: MarketUpdate, venue: Venue) -> None:
        """The venue has applied `update`."""
        listeners = self._by_symbol.get(update.symbol)
        if not listeners:
            return
        listing = venue.listings[update.symbol]
        time_ns = self._dates.get(update.symbol) or update.time_ns
        data: list[MarketDatum | None]
        if isinstance(update, TradeUpdate):
            data = [
                TradeView(
                    update.symbol,
                    listing.price(update.price),
                    listing.quantity(update.size),
                    _AGGRESSORS[update.aggressor],
                    time_ns,
                    listing.market.received_ns,
                )
            ]
        elif isinstance(update, QuoteUpdate) and update.advisory:
            data = [listing.told_quote()]
        else:
            data = [BookChanged(update.symbol, time_ns)]
            if listing.market.book.quote is None:
                data.append(self.dated(listing.quote()))
        for datum in data:
            if datum is not None:
                for listener in list(listeners):
                    listener(datum)
