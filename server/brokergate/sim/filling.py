"""What the market brings to one instrument's orders: how they fill. The life of orders is `matching.Market`'s.

When an order fills (the first form of the model; sources are in the project's fill-model notes on hftbacktest and
nautilus):

- What can take at once walks the other side's book level by level, one execution a level, and consumes it.
- The rest of a limit order rests and gives at its own limit, never better, and never more than the market brought:
  - a trade beyond the limit fills it with the trade's size; a trade at the limit first uses up what stood ahead (the
    size shown at its price when it came, lowered when less is shown: the conservative queue of hftbacktest), and
    what the trade has left then fills it. A trade counts against one side only, where the feed tells the aggressor.
  - where the feed's other side comes to or through the limit, it fills with the sizes shown there, which it consumes.
- Our orders share what the market brings, best price first, then the earlier first, and never trade with each other:
  they are not in the book that takers walk.
- On a book that is not trusted nothing fills and nothing is set off.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from brokergate.sim.book import UNKNOWN, Book, BookSide
from brokergate.sim.funds import InstrumentFunds, Walk
from brokergate.sim.market import BookDelta, BookSnapshot, FeedGap, MarketUpdate, QuoteUpdate, TradeUpdate
from brokergate.sim.orders import Executed, Happening, WorkingOrder
from brokergate.sim.resting import RestingSide


class Filling(ABC):
    """One instrument's book and what it brings to our orders that rest at a limit."""

    def __init__(self, symbol: str, funds: InstrumentFunds, happenings: list[Happening]) -> None:
        self.symbol = symbol
        self.funds = funds
        self.book = Book()
        self.last: int | None = None
        """The last trade's price."""
        self.updated_ns = 0
        """The feed's time of the latest update of any kind."""
        self.received_ns = 0
        """The gateway's time of it."""
        self.halted = False
        """Whether the venue is closed by its hours: the market is told, and nothing fills."""
        self._bids = RestingSide(1)
        self._asks = RestingSide(-1)
        self._waiting = 0
        """How many stops have not been set off."""
        self._happenings = happenings

    @abstractmethod
    def _set_off(self, time_ns: int) -> None:
        """The market moved and stops wait: sets off those that it reached."""

    # The market moves

    def apply(self, update: MarketUpdate) -> None:
        """The market of others moved. `ValueError` for a level or trade that cannot be; then nothing matches until
        the feed tells the whole book again."""
        self.updated_ns = update.time_ns
        if isinstance(update, BookDelta):
            self.book.delta(update)
        elif isinstance(update, QuoteUpdate):
            self.book.top(update)
            if update.advisory:
                return
        elif isinstance(update, TradeUpdate):
            self._trade(update)
            return
        elif isinstance(update, FeedGap):
            self.book.gap(update)
            return
        elif isinstance(update, BookSnapshot):
            self.book.snapshot(update)
        else:
            return
        if self._bids.keys or self._asks.keys or self._waiting:
            self._moved(update)

    @property
    def size(self) -> int:
        """How many levels the book has."""
        return len(self.book.bids.keys) + len(self.book.asks.keys)

    def mark(self) -> int | None:
        """Twice the mark price in ticks: bid plus ask, else twice the last trade's price."""
        middle = self.book.middle()
        if middle is not None:
            return middle
        return None if self.last is None else 2 * self.last

    def _moved(self, update: BookDelta | BookSnapshot | QuoteUpdate) -> None:
        book = self.book
        if book.distrust or self.halted:
            return
        for own, shown, other in (
            (self._bids, book.bids, book.asks),
            (self._asks, book.asks, book.bids),
        ):
            if own.keys:
                if isinstance(update, BookDelta):
                    levels = update.bids if own is self._bids else update.asks
                    self._shorten(own, [own.sign * price for price, _ in levels], shown)
                else:
                    self._shorten(own, own.keys, shown)
                if other.keys and own.keys[-1] >= -other.keys[-1]:
                    self._cross(own, other, update.time_ns)
        if self._waiting:
            self._set_off(update.time_ns)

    @staticmethod
    def _shorten(own: RestingSide, keys: list[int], shown: BookSide) -> None:
        """Fewer lots are shown at a price: no more can stand before us there."""
        for key in keys:
            level = own.levels.get(key)
            if level is None:
                continue
            size = shown.shown(own.sign * key)
            for order in level.values():
                if size != UNKNOWN and (order.ahead == UNKNOWN or size < order.ahead):
                    order.ahead = size

    def _cross(self, own: RestingSide, other: BookSide, time_ns: int) -> None:
        """The market came to our limits: fill with what it shows there."""
        best = other.best()
        assert best is not None
        for order in own.reaching(best):
            walk = other.walk(order.leaves, order.limit)
            if not walk:
                return
            other.take(walk)
            self._give(order, sum(lots for _, lots in walk), time_ns)

    def _trade(self, trade: TradeUpdate) -> None:
        if trade.price <= 0 or trade.size <= 0:
            raise ValueError(f"a trade of {trade.size} lots at {trade.price} ticks")
        self.last = trade.price
        if self.book.distrust or self.halted:
            return
        left = trade.size
        for own, shown, taker in ((self._bids, self.book.bids, -1), (self._asks, self.book.asks, 1)):
            if own.keys and own.keys[-1] >= own.sign * trade.price:
                left = self._traded(own, shown, trade, left, at_limit=trade.aggressor in (0, taker))
        if self._waiting:
            self._set_off(trade.time_ns)

    def _traded(
        self, own: RestingSide, shown: BookSide, trade: TradeUpdate, left: int, *, at_limit: bool
    ) -> int:
        """Fills our orders that a trade came to or through; returns what it has left."""
        for order in own.reaching(trade.price):
            if not left:
                break
            reach = left
            if order.limit == trade.price:
                if not at_limit:
                    break
                if order.ahead == UNKNOWN:
                    order.ahead = shown.shown(trade.price)
                    if order.ahead == UNKNOWN:
                        continue
                used = min(order.ahead, left)
                order.ahead -= used
                reach -= used
            if reach:
                lots = min(reach, order.leaves)
                self._give(order, lots, trade.time_ns)
                left -= lots
        return left

    # Taking and giving

    def _walk(self, order: WorkingOrder) -> Walk:
        """What an order would take now, best first. Takes nothing."""
        book = self.book
        if book.distrust:
            return []
        return (book.asks if order.side > 0 else book.bids).walk(order.leaves, order.limit)

    def _take(self, order: WorkingOrder, walk: Walk, time_ns: int) -> None:
        """Executes what `_walk` found: the order takes it from the book, one execution a level."""
        (self.book.asks if order.side > 0 else self.book.bids).take(walk)
        book, happenings = self.funds.book, self._happenings
        for price, lots in walk:
            order.leaves -= lots
            order.filled += lots
            fee = book(order, price, lots, time_ns, maker=False)
            happenings.append(Executed(order, price, lots, fee, False, time_ns))

    def _queue(self, order: WorkingOrder) -> int:
        """The lots of others that stand before an order that comes to rest now; `UNKNOWN` where nothing shows them."""
        assert order.limit is not None
        if self.book.distrust:
            return UNKNOWN
        return (self.book.bids if order.side > 0 else self.book.asks).shown(order.limit)

    def _give(self, order: WorkingOrder, lots: int, time_ns: int) -> None:
        """A resting order fills at its limit, as maker."""
        assert order.limit is not None
        self.funds.release(order)
        order.leaves -= lots
        order.filled += lots
        fee = self.funds.book(order, order.limit, lots, time_ns, maker=True)
        self._happenings.append(Executed(order, order.limit, lots, fee, True, time_ns))
        if order.leaves:
            self.funds.reserve(order)
        else:
            (self._bids if order.side > 0 else self._asks).remove(order)
