"""No fill from a bad book: updates pass only while the book that they make is not crossed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush

from brokergate.sim.feeds.tape import Located, TapeError
from brokergate.sim.market import BookDelta, BookSnapshot, FeedGap, MarketUpdate, QuoteUpdate

_SLACK = 1024
"""Dead entries that a heap may hold beyond as many as there are live ones before it is built afresh."""


class BestPrice:
    """The lowest key of one side, as levels come and go; a bid's key is its price negated."""

    __slots__ = ("_heap", "_live", "_sign")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._live: set[int] = set()
        self._heap: list[int] = []

    def clear(self) -> None:
        """Forget all levels."""
        self._live.clear()
        self._heap.clear()

    def apply(self, levels: tuple[tuple[int, int], ...]) -> None:
        """Levels whose size is now as given; 0 removes."""
        live, heap, sign = self._live, self._heap, self._sign
        for price, size in levels:
            key = sign * price
            if not size:
                live.discard(key)
            elif key not in live:
                live.add(key)
                heappush(heap, key)
        if len(heap) > 2 * len(live) + _SLACK:
            heap[:] = live
            heapify(heap)

    def best(self) -> int | None:
        """The best price, or `None` of an empty side."""
        live, heap = self._live, self._heap
        while heap and heap[0] not in live:
            heappop(heap)
        return self._sign * heap[0] if heap else None


def uncrossed(located: Iterable[Located], unit: str = "line") -> Iterator[MarketUpdate]:
    """The updates alone; `TapeError` at the first that leaves a book's bid at or above its ask, or a quote's
    above. `unit` is what the places are numbered in.
    """
    books: dict[str, tuple[BestPrice, BestPrice]] = {}
    for file, line, _, update in located:
        # Most updates are quotes: those first.
        if isinstance(update, QuoteUpdate):
            if update.bid is not None and update.ask is not None and update.bid[0] > update.ask[0]:
                raise _crossed(file, line, unit, update.symbol, update.bid[0], update.ask[0])
        elif isinstance(update, (BookDelta, BookSnapshot)):
            book = books.get(update.symbol)
            if book is None:
                book = books[update.symbol] = (BestPrice(-1), BestPrice(1))
            bids, asks = book
            if isinstance(update, BookSnapshot):
                bids.clear()
                asks.clear()
            bids.apply(update.bids)
            asks.apply(update.asks)
            bid, ask = bids.best(), asks.best()
            if bid is not None and ask is not None and bid >= ask:
                raise _crossed(file, line, unit, update.symbol, bid, ask)
        elif isinstance(update, FeedGap):
            books.pop(update.symbol, None)
        yield update


def _crossed(file: str, line: int, unit: str, symbol: str, bid: int, ask: int) -> TapeError:
    problem = f"{symbol} is crossed: bid {bid} ticks, ask {ask} ticks"
    way_out = f"nothing is matched on a bad book; cut the tape before this {unit}"
    return TapeError(file, line, problem, way_out, unit=unit)
