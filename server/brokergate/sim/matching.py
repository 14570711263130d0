"""One instrument's matching: orders against the market of others. Pure, in integers; what happens goes to a list.

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
- A stop is set off once: by the last trade's price, or by the ask (buy) or bid (sell). An order that names no source
  goes by trades once the market has told one, and by bid and ask until then. A stop that its source has reached
  already when it comes is set off at once. It then takes what the book has: a gap fills at the market.
- On a book that is not trusted nothing fills and nothing is set off.
"""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.money import format_decimal, multiply
from brokergate.domain.orders import TimeInForce, TriggerSource
from brokergate.sim.book import NO_MARKET, UNKNOWN, Book, BookSide
from brokergate.sim.funds import InstrumentFunds, Walk
from brokergate.sim.market import BookDelta, BookSnapshot, FeedGap, MarketUpdate, QuoteUpdate, TradeUpdate
from brokergate.sim.orders import Changed, Executed, Happening, Refusal, WorkingOrder
from brokergate.sim.packing import Packer, Unpacker
from brokergate.sim.resting import RestingSide, StopSide

_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)
_SOURCES = (TriggerSource.UNSPECIFIED, TriggerSource.LAST, TriggerSource.BID_ASK)


class Market:
    """One instrument's book and our orders in it. `happenings` is where everything that happens is appended."""

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
        self._bids = RestingSide(1)
        self._asks = RestingSide(-1)
        self._stops = {(source, side): StopSide(side) for source in _SOURCES for side in (1, -1)}
        self._waiting = 0
        self._happenings = happenings
        self._number = 0

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
        if book.distrust:
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
        if self.book.distrust:
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

    def _set_off(self, time_ns: int) -> None:
        book, last = self.book, self.last
        bid, ask = book.bids.best(), book.asks.best()
        reached: list[WorkingOrder] = []
        for source in _SOURCES:
            by_trade = source is TriggerSource.LAST or (
                source is TriggerSource.UNSPECIFIED and last is not None
            )
            for side in (1, -1):
                price = last if by_trade else ask if side > 0 else bid
                stops = self._stops[source, side]
                if stops.orders and price is not None:
                    reached += stops.set_off(price)
        self._waiting -= len(reached)
        for order in reached:
            self._triggered(order, time_ns)

    def _triggered(self, order: WorkingOrder, time_ns: int) -> None:
        order.waiting = False
        self._happenings.append(Changed(OrderEventType.TRIGGERED, order, time_ns))
        self.funds.release(order)
        walk = self._walk(order)
        refusal = self._refusal(order, walk)
        if refusal is not None:
            self._end(order, time_ns, refusal.reason, refusal.message)
        else:
            self._enter(order, walk, time_ns)

    # Orders come

    def look(self, order: WorkingOrder) -> tuple[Walk, Refusal | None]:
        """What an order that comes now would take, and why it would be refused. Changes nothing."""
        if order.waiting and not self._reached(order):
            return [], self.funds.shortfall(order, [], order.leaves)
        walk = self._walk(order)
        return walk, self._refusal(order, walk)

    def place(self, order: WorkingOrder, time_ns: int) -> Refusal | None:
        """Takes an order, or says why not."""
        walk, refusal = self.look(order)
        if refusal is None:
            self._accept(order, walk, time_ns)
        return refusal

    def _accept(self, order: WorkingOrder, walk: Walk, time_ns: int) -> None:
        if order.waiting:
            if not self._reached(order):
                self._wait(order)
                return
            order.waiting = False
            self._happenings.append(Changed(OrderEventType.TRIGGERED, order, time_ns))
        self._enter(order, walk, time_ns)

    def restore(self, order: WorkingOrder) -> None:
        """Takes an order up again after a restart. What stands ahead of it is what the feed shows first."""
        if order.waiting:
            self._wait(order)
        else:
            self._rest(order)

    def save(self, pack: Packer) -> None:
        """Writes the market of others down; our orders in it are the venue's to keep."""
        self.book.save(pack)
        pack.put(self.last, self.updated_ns, self.received_ns, self._number)

    def load(self, kept: Unpacker) -> None:
        """Takes up what `save` wrote."""
        self.book.load(kept)
        self.last, self.updated_ns, self.received_ns = kept.optional(), kept.integer(), kept.integer()
        self._number = kept.integer()

    def put_back(self, order: WorkingOrder) -> None:
        """Puts an order where it stood, with its number and what is set aside for it: those that came earlier first."""
        order.funds = self.funds
        if order.closing:
            self.funds.closers[order.number] = order
        if order.waiting:
            self._waiting += 1
            self._stops[order.source, order.side].add(order)
        else:
            (self._bids if order.side > 0 else self._asks).add(order)

    def cancel(self, order: WorkingOrder, time_ns: int) -> None:
        """Ends a working order at somebody's wish."""
        self._remove(order)
        self._end(order, time_ns)

    def expire(self, order: WorkingOrder, time_ns: int) -> None:
        """Ends a working order whose time in force ran out."""
        self._remove(order)
        order.leaves = 0
        self._happenings.append(Changed(OrderEventType.EXPIRED, order, time_ns))

    def replace(
        self, order: WorkingOrder, lots: int, limit: int | None, stop: int | None, time_ns: int
    ) -> Refusal | None:
        """Changes a working order in one step: `lots` in all, filled ones included. Less at the same prices keeps
        its place in the queue; anything else loses it. Refused, it stays as it was."""
        leaves = lots - order.filled
        if leaves <= 0:
            return Refusal(ErrorReason.REPLACE_BELOW_FILLED, "the new quantity is not above what is filled")
        if limit == order.limit and stop == order.stop and leaves <= order.leaves:
            self.funds.release(order)
            order.leaves = leaves
            self.funds.reserve(order)
            self._happenings.append(Changed(OrderEventType.REPLACED, order, time_ns))
            return None
        before = (order.leaves, order.limit, order.stop)
        self.funds.release(order)
        order.leaves, order.limit, order.stop = leaves, limit, stop
        walk, refusal = self.look(order)
        order.leaves, order.limit, order.stop = before
        if refusal is not None:
            self.funds.reserve(order)
            return refusal
        self._remove(order)
        order.leaves, order.limit, order.stop = leaves, limit, stop
        self._happenings.append(Changed(OrderEventType.REPLACED, order, time_ns))
        self._accept(order, walk, time_ns)
        return None

    def _reached(self, order: WorkingOrder) -> bool:
        """Whether a stop's source has reached its trigger already."""
        assert order.stop is not None
        if self.book.distrust:
            return False
        by_trade = order.source is TriggerSource.LAST or (
            order.source is TriggerSource.UNSPECIFIED and self.last is not None
        )
        side = self.book.asks if order.side > 0 else self.book.bids
        price = self.last if by_trade else side.best()
        return price is not None and order.side * price >= order.side * order.stop

    def _walk(self, order: WorkingOrder) -> Walk:
        book = self.book
        if book.distrust:
            return []
        return (book.asks if order.side > 0 else book.bids).walk(order.leaves, order.limit)

    def _refusal(self, order: WorkingOrder, walk: Walk) -> Refusal | None:
        """Why an order that would take `walk` cannot go in."""
        at_once = never_rests(order)
        if at_once and self.book.distrust:
            stale = self.book.distrust != NO_MARKET
            return Refusal(
                ErrorReason.STALE_MARKET_DATA if stale else ErrorReason.NO_REFERENCE_PRICE,
                f"{self.symbol}: {self.book.distrust}; try again when the market is back",
            )
        if order.limit is None and not walk:
            side = "asks" if order.side > 0 else "bids"
            return Refusal(
                ErrorReason.NO_REFERENCE_PRICE, f"{self.symbol}: nobody {side}; place a limit order or wait"
            )
        taken = sum([lots for _, lots in walk])
        if order.time_in_force is TimeInForce.FOK and taken < order.leaves:
            size = format_decimal(multiply(self.funds.instrument.quantity_increment, Decimal(taken)))
            return Refusal(
                ErrorReason.NOT_FILLABLE, f"{self.symbol}: at that price or better the book has only {size}"
            )
        return self.funds.shortfall(order, walk, 0 if at_once else order.leaves - taken)

    def _enter(self, order: WorkingOrder, walk: Walk, time_ns: int) -> None:
        """Takes `walk`; the rest rests, or ends where it may not."""
        if walk:
            (self.book.asks if order.side > 0 else self.book.bids).take(walk)
            book, side, happenings = self.funds.book, order.side, self._happenings
            for price, lots in walk:
                order.leaves -= lots
                order.filled += lots
                fee = book(side, price, lots, maker=False)
                happenings.append(Executed(order, price, lots, fee, False, time_ns))
        if not order.leaves:
            return
        if order.limit is None or order.time_in_force in _AT_ONCE:
            what = "a market order" if order.limit is None else "an IOC order"
            self._end(
                order,
                time_ns,
                ErrorReason.NOT_FILLABLE,
                f"the book had no more; the rest of {what} is cancelled",
            )
            return
        shown = (self.book.bids if order.side > 0 else self.book.asks).shown(order.limit)
        self._rest(order, UNKNOWN if self.book.distrust else shown)

    # Where orders wait

    def _wait(self, order: WorkingOrder) -> None:
        self._number += 1
        order.number = self._number
        self._waiting += 1
        self._stops[order.source, order.side].add(order)
        self.funds.reserve(order)

    def _rest(self, order: WorkingOrder, ahead: int = UNKNOWN) -> None:
        self._number += 1
        order.number = self._number
        order.ahead = ahead
        (self._bids if order.side > 0 else self._asks).add(order)
        self.funds.reserve(order)

    def _remove(self, order: WorkingOrder) -> None:
        """Takes a working order out of where it waits, with what was set aside for it."""
        self.funds.release(order)
        if order.waiting:
            self._waiting -= 1
            self._stops[order.source, order.side].remove(order)
        else:
            (self._bids if order.side > 0 else self._asks).remove(order)

    def _give(self, order: WorkingOrder, lots: int, time_ns: int) -> None:
        """A resting order fills at its limit, as maker."""
        assert order.limit is not None
        self.funds.release(order)
        order.leaves -= lots
        order.filled += lots
        fee = self.funds.book(order.side, order.limit, lots, maker=True)
        self._happenings.append(Executed(order, order.limit, lots, fee, True, time_ns))
        if order.leaves:
            self.funds.reserve(order)
        else:
            (self._bids if order.side > 0 else self._asks).remove(order)

    def _end(
        self,
        order: WorkingOrder,
        time_ns: int,
        reason: ErrorReason = ErrorReason.UNSPECIFIED,
        message: str = "",
    ) -> None:
        order.leaves = 0
        self._happenings.append(Changed(OrderEventType.CANCELED, order, time_ns, reason, message))


def never_rests(order: WorkingOrder) -> bool:
    """Whether what it does not get at once is cancelled."""
    return order.limit is None or order.time_in_force in _AT_ONCE
