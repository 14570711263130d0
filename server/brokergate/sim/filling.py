"""What the market brings to one instrument's orders: how they fill. The life of orders is `matching.Market`'s.

When an order fills, after hftbacktest (hftbacktest/src/backtest/models/queue.rs) and nautilus (docs/concepts/
backtesting.md); `docs/paper-venue.md` tells it step by step:

- What can take at once walks the other side's book level by level, one execution a level, and consumes it.
- The rest of a limit order rests and gives at its own limit, never better, and never more than the market brought:
  - a trade beyond the limit fills it with the trade's size; a trade at the limit first uses up what stood ahead
    (`queue`), and what the trade has left then fills it. A trade counts against one side only, where the feed tells
    the aggressor. Where the terms name a participation, all our orders together get no more than it of a trade.
  - where the feed's other side comes to or through the limit, it fills with the sizes shown there, which it consumes.
- Our orders share what the market brings, best price first, then the earlier first, and never trade with each other:
  they are not in the book that takers walk.
- What is taken is made dearer by the slippage model, if there is one (`slippage`); what rests never slips.
- On a book that is not trusted nothing fills and nothing is set off. Markets without a book are in `prints`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain.money import multiply
from brokergate.sim.book import NO_MARKET, UNKNOWN, Book, BookSide
from brokergate.sim.funds import InstrumentFunds, Walk
from brokergate.sim.market import (
    BarUpdate,
    BookDelta,
    BookSnapshot,
    FeedGap,
    MarketUpdate,
    MarkUpdate,
    QuoteUpdate,
    TradeUpdate,
)
from brokergate.sim.orders import Executed, Happening, WorkingOrder
from brokergate.sim.queue import ConservativeQueue, QueueModel
from brokergate.sim.resting import RestingSide
from brokergate.sim.slippage import SlippageModel, Taking, slipped_ticks

DEFAULT_PARTICIPATION = Decimal(10)
"""Per cent of a bar, or of a trade in a market without a book, that our orders get where the terms name none."""


CONSERVATIVE = ConservativeQueue()


@dataclass(frozen=True, slots=True)
class FillTerms:
    """How an account's orders fill."""

    queue: QueueModel = CONSERVATIVE
    slippage: SlippageModel | None = None
    slippage_told: str = "NONE"
    """The slippage model in words: the same for the same model."""
    participation_percent: Decimal | None = None
    """The most of a trade or a bar that all our orders together get, above 0, at most 100. None: `prints` says."""

    def __str__(self) -> str:
        return f"{self.queue}, slippage {self.slippage_told}, participation {self.participation_percent}"


DEFAULT_FILLS = FillTerms()


class Filling(ABC):
    """One instrument's book and what it brings to our orders that rest at a limit."""

    def __init__(
        self, symbol: str, funds: InstrumentFunds, happenings: list[Happening], terms: FillTerms
    ) -> None:
        self._queue_model = terms.queue
        self._slippage = terms.slippage
        self._part = None if terms.participation_percent is None else share_of(terms.participation_percent)
        self.symbol = symbol
        self.funds = funds
        self.book = Book()
        self.last: int | None = None
        """The last trade's price."""
        self.told_mark: int | None = None
        """The mark price that the feed told last, where it tells them."""
        self.updated_ns = 0
        """The feed's time of the latest update of any kind."""
        self.received_ns = 0
        """The gateway's time of it."""
        self.halted = False
        """Whether the venue is closed by its hours: the market is told, and nothing fills."""
        self.bids = RestingSide(1)
        self.asks = RestingSide(-1)
        self._waiting = 0
        """How many stops have not been set off."""
        self._takers: dict[int, WorkingOrder] = {}
        """Market orders that wait for trades or bars, by number."""
        self._reducers: dict[str, WorkingOrder] = {}
        """Orders at work that may only reduce the position, by client order id."""
        self._happenings = happenings

    @abstractmethod
    def _set_off(self, time_ns: int) -> None:
        """The market moved and stops wait: sets off those that it reached."""

    @abstractmethod
    def _printed(self, update: TradeUpdate | BarUpdate) -> None:
        """A trade or a bar came that no trusted book stands beside."""

    @abstractmethod
    def _shown_again(self, time_ns: int) -> None:
        """A book came while market orders waited for trades or bars."""

    @abstractmethod
    def _print_walk(self, order: WorkingOrder) -> Walk:
        """What an order would take now where there is no trusted book."""

    @abstractmethod
    def _take_print(self, lots: int) -> None:
        """Takes what `_print_walk` gave."""

    @abstractmethod
    def _executed(self, order: WorkingOrder, lots: int, time_ns: int, *, rests: bool) -> None:
        """`lots` of an order were executed that asks for something special, or beside which some only reduce. `rests`:
        what is left of it rests at its limit."""

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
            # Trades and bars are facts one by one: without a book there is nothing that a gap makes doubtful.
            if self.book.distrust != NO_MARKET:
                self.book.gap(update)
            return
        elif isinstance(update, BookSnapshot):
            self.book.snapshot(update)
        elif isinstance(update, BarUpdate):
            self._printed(update)
            return
        elif isinstance(update, MarkUpdate):
            if update.mark <= 0:
                raise ValueError(f"a mark price of {update.mark} ticks")
            self.told_mark = update.mark
            return
        else:
            return
        if self.bids.keys or self.asks.keys or self._waiting or self._takers:
            self._moved(update)

    @property
    def size(self) -> int:
        """How many levels the book has."""
        return len(self.book.bids.keys) + len(self.book.asks.keys)

    def mark(self) -> int | None:
        """Twice the mark price in ticks: the feed's own where it tells one, else bid plus ask, else twice the last
        trade's price, else twice the price of the one side that is left."""
        if self.told_mark is not None:
            return 2 * self.told_mark
        middle = self.book.middle()
        if middle is not None:
            return middle
        if self.last is not None:
            return 2 * self.last
        bid, ask = self.book.bids.best(), self.book.asks.best()
        one = ask if bid is None else bid
        return None if one is None or self.book.distrust else 2 * one

    def split(self, numerator: int, denominator: int, time_ns: int) -> None:
        """`numerator` new shares for `denominator` old ones: the book of before says nothing any more, prices are the
        old ones divided, to the nearest tick."""
        mark = self.mark()
        if not self.book.distrust:
            self.book.snapshot(BookSnapshot(time_ns, self.symbol, (), ()))
        if mark is not None:
            self.last = max(1, (mark * denominator + numerator) // (2 * numerator))
        if self.told_mark is not None:
            self.told_mark = self.last

    def _moved(self, update: BookDelta | BookSnapshot | QuoteUpdate) -> None:
        book = self.book
        if book.distrust or self.halted:
            return
        for own, shown, other in (
            (self.bids, book.bids, book.asks),
            (self.asks, book.asks, book.bids),
        ):
            if own.keys:
                if isinstance(update, BookDelta):
                    levels = update.bids if own is self.bids else update.asks
                    self._shorten(own, [own.sign * price for price, _ in levels], shown)
                else:
                    # Nothing is told beyond the worst price shown, however many orders rest there.
                    told = own.keys[bisect_left(own.keys, shown.keys[0]) :] if shown.keys else own.keys
                    self._shorten(own, told, shown)
                if other.keys and own.keys[-1] >= -other.keys[-1]:
                    self._cross(own, other, update.time_ns)
        if self._takers:
            self._shown_again(update.time_ns)
        if self._waiting:
            self._set_off(update.time_ns)

    def _shorten(self, own: RestingSide, keys: list[int], shown: BookSide) -> None:
        """The feed told the size at prices where our orders may rest: what stands ahead of them may be less."""
        depth = self._queue_model.depth
        for key in keys:
            level = own.levels.get(key)
            if level is None:
                continue
            size = shown.shown(own.sign * key)
            for order in level.values():
                depth(order, size)

    def _cross(self, own: RestingSide, other: BookSide, time_ns: int) -> None:
        """The market came to our limits: fill with what it shows there."""
        best = other.best()
        assert best is not None
        for order in own.reaching(best):
            if not order.leaves:
                continue
            walk = other.walk(order.leaves, order.limit)
            if not walk:
                return
            other.take(walk)
            self._give(order, sum(lots for _, lots in walk), time_ns)

    def _trade(self, trade: TradeUpdate) -> None:
        if trade.price <= 0 or trade.size <= 0:
            raise ValueError(f"a trade of {trade.size} lots at {trade.price} ticks")
        self.last = trade.price
        if self.halted:
            return
        if self.book.distrust:
            self._printed(trade)
            return
        left = trade.size
        part = left if self._part is None else left * self._part[0] // self._part[1]
        for own, shown, taker in ((self.bids, self.book.bids, -1), (self.asks, self.book.asks, 1)):
            if own.keys and own.keys[-1] >= own.sign * trade.price:
                given = self._traded(own, shown, trade, left, part, at_limit=trade.aggressor in (0, taker))
                left -= given
                part -= given
        if self._waiting:
            self._set_off(trade.time_ns)

    def _traded(
        self, own: RestingSide, shown: BookSide, trade: TradeUpdate, left: int, part: int, *, at_limit: bool
    ) -> int:
        """Fills our orders that a trade came to or through from the `left` that it has, with no more than `part`;
        returns what they got."""
        given, front, queue = 0, 0, self._queue_model
        for order in own.reaching(trade.price):
            reach = left - given
            if not reach:
                break
            if order.limit == trade.price:
                if not at_limit:
                    break
                if order.ahead == UNKNOWN:
                    queue.join(order, shown.shown(trade.price))
                    if order.ahead == UNKNOWN:
                        continue
                # However a model guesses, nobody stands before those of ours who came earlier.
                front = order.ahead = max(front, order.ahead)
                reach = queue.trade(order, reach, trade.size)
                if order.special is not None and order.special.display:
                    reach = min(reach, order.special.slice)
            lots = min(reach, order.leaves, part - given)
            if lots:
                self._give(order, lots, trade.time_ns)
                given += lots
        return given

    # Taking and giving

    def walk(self, order: WorkingOrder) -> Walk:
        """What an order would take now, best first, at the prices that it would pay. Takes nothing."""
        book = self.book
        if book.distrust:
            walk = self._print_walk(order)
        else:
            walk = (book.asks if order.side > 0 else book.bids).walk(order.leaves, order.limit)
        return walk if self._slippage is None or not walk else self._slipped(order, walk, self._slippage)

    def _slipped(self, order: WorkingOrder, walk: Walk, model: SlippageModel) -> Walk:
        """`walk` at the prices that the model makes of it, up to the order's limit."""
        instrument, side = self.funds.instrument, order.side
        quantity = multiply(instrument.quantity_increment, Decimal(sum([lots for _, lots in walk])))
        lots = self._volume()
        volume = None if lots is None else multiply(instrument.quantity_increment, Decimal(lots))
        slipped: Walk = []
        worst = 0
        for price, size in walk:
            shown = multiply(instrument.price_increment, Decimal(price))
            worst = max(worst, slipped_ticks(model, Taking(instrument, side, shown, quantity, volume)))
            paid = max(1, price + side * worst)
            if order.limit is not None and side * paid > side * order.limit:
                break
            slipped.append((paid, size))
        return slipped

    @abstractmethod
    def _volume(self) -> int | None:
        """What traded in the bar or the trade that takers take part in now, in lots; None on a book, and where
        nobody knows."""

    def _take(self, order: WorkingOrder, walk: Walk, time_ns: int) -> None:
        """Executes what `walk` found: the order takes it from the market, one execution a level."""
        if self.book.distrust:
            self._take_print(sum([lots for _, lots in walk]))
        else:
            other = self.book.asks if order.side > 0 else self.book.bids
            # Slipped prices are not the book's: it gives as many lots from its best on.
            other.take(walk if self._slippage is None else other.walk(sum([lots for _, lots in walk]), None))
        book, happenings = self.funds.book, self._happenings
        for price, lots in walk:
            order.leaves -= lots
            order.filled += lots
            fee = book(order, price, lots, time_ns, maker=False)
            happenings.append(Executed(order, price, lots, fee, False, time_ns))
        if order.special is not None or self._reducers:
            self._executed(order, sum([lots for _, lots in walk]), time_ns, rests=False)

    def _join(self, order: WorkingOrder) -> None:
        """Counts what stands before an order that comes to rest now."""
        assert order.limit is not None
        shown = UNKNOWN
        if not self.book.distrust:
            shown = (self.book.bids if order.side > 0 else self.book.asks).shown(order.limit)
        self._queue_model.join(order, shown)

    # Where orders stand

    def _stand(self, order: WorkingOrder) -> None:
        """Puts an order that has its number where the market finds it."""
        if order.limit is None:
            self._takers[order.number] = order
        else:
            (self.bids if order.side > 0 else self.asks).add(order)

    def _leave(self, order: WorkingOrder) -> None:
        """Takes an order out of where `_stand` put it."""
        if order.limit is None:
            del self._takers[order.number]
        else:
            (self.bids if order.side > 0 else self.asks).remove(order)

    def _give(self, order: WorkingOrder, lots: int, time_ns: int, price: int | None = None) -> None:
        """A resting order fills at its limit, as maker; where `price` is given, at that, as taker."""
        paid = order.limit if price is None else price
        assert paid is not None
        maker = price is None
        self.funds.release(order)
        order.leaves -= lots
        order.filled += lots
        fee = self.funds.book(order, paid, lots, time_ns, maker=maker)
        self._happenings.append(Executed(order, paid, lots, fee, maker, time_ns))
        if order.leaves:
            self.funds.reserve(order)
        else:
            self._leave(order)
        if order.special is not None or self._reducers:
            self._executed(order, lots, time_ns, rests=order.leaves > 0)


def share_of(percent: Decimal) -> tuple[int, int]:
    """A share of lots as numerator and denominator."""
    numerator, denominator = percent.as_integer_ratio()
    return numerator, 100 * denominator
