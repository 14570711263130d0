"""One instrument's matching: the life of orders. Pure, in integers; what happens goes to a list.

How orders fill is in `filling`. Here is what becomes of them otherwise:

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
from brokergate.sim.book import NO_MARKET
from brokergate.sim.filling import DEFAULT_FILLS, FillTerms
from brokergate.sim.funds import InstrumentFunds, Walk
from brokergate.sim.orders import Changed, Happening, Refusal, WorkingOrder
from brokergate.sim.packing import Packer, Unpacker
from brokergate.sim.prints import PrintFilling
from brokergate.sim.resting import StopSide

_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)
_SOURCES = (TriggerSource.UNSPECIFIED, TriggerSource.LAST, TriggerSource.BID_ASK)


class Market(PrintFilling):
    """One instrument's book and our orders in it. `happenings` is where everything that happens is appended."""

    def __init__(
        self,
        symbol: str,
        funds: InstrumentFunds,
        happenings: list[Happening],
        fills: FillTerms = DEFAULT_FILLS,
    ) -> None:
        super().__init__(symbol, funds, happenings, fills)
        self._stops = {(source, side): StopSide(side) for source in _SOURCES for side in (1, -1)}
        self._number = 0

    # The market moves

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
        order.arrived_ns = time_ns
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
        order.arrived_ns = time_ns
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
        self.save_prints(pack)
        pack.put(self.last, self.told_mark, self.updated_ns, self.received_ns, self._number)

    def load(self, kept: Unpacker) -> None:
        """Takes up what `save` wrote."""
        self.book.load(kept)
        self.load_prints(kept)
        self.last, self.told_mark = kept.optional(), kept.optional()
        self.updated_ns, self.received_ns = kept.integer(), kept.integer()
        self._number = kept.integer()

    def put_back(self, order: WorkingOrder) -> None:
        """Puts an order where it stood, with its number and what is set aside for it: those that came earlier first."""
        self.funds.put_back(order)
        if order.waiting:
            self._waiting += 1
            self._stops[order.source, order.side].add(order)
        else:
            self._stand(order)

    def cancel(
        self,
        order: WorkingOrder,
        time_ns: int,
        reason: ErrorReason = ErrorReason.UNSPECIFIED,
        message: str = "",
    ) -> None:
        """Ends a working order at somebody's wish."""
        self._remove(order)
        self._end(order, time_ns, reason, message)

    def force(self, order: WorkingOrder, time_ns: int) -> int:
        """A market order of the venue's own takes what the book has, whatever the account can pay; returns its
        notional. What it cannot take at once is not part of it."""
        walk = [] if self.halted else self._walk(order)
        order.leaves = sum([lots for _, lots in walk])
        if walk:
            self._take(order, walk, time_ns)
        return sum([price * lots for price, lots in walk]) * self.funds.unit

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
        if self.book.distrust and not self.prints:
            return False
        by_trade = order.source is TriggerSource.LAST or (
            order.source is TriggerSource.UNSPECIFIED and self.last is not None
        )
        side = self.book.asks if order.side > 0 else self.book.bids
        price = self.last if by_trade else side.best()
        return price is not None and order.side * price >= order.side * order.stop

    def _refusal(self, order: WorkingOrder, walk: Walk) -> Refusal | None:
        """Why an order that would take `walk` cannot go in."""
        at_once = not self.may_stay(order)
        if at_once and self.book.distrust and not self.prints:
            stale = self.book.distrust != NO_MARKET
            return Refusal(
                ErrorReason.STALE_MARKET_DATA if stale else ErrorReason.NO_REFERENCE_PRICE,
                f"{self.symbol}: {self.book.distrust}; try again when the market is back",
            )
        if order.limit is None and not at_once:
            order.reference = self.last or 0
        if order.limit is None and not walk and at_once:
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
            self._take(order, walk, time_ns)
        if not order.leaves:
            return
        if not self.may_stay(order):
            what = "a market order" if order.limit is None else "an IOC order"
            self._end(
                order,
                time_ns,
                ErrorReason.NOT_FILLABLE,
                f"the book had no more; the rest of {what} is cancelled",
            )
            return
        self._rest(order)

    # Where orders wait

    def _wait(self, order: WorkingOrder) -> None:
        self._number += 1
        order.number = self._number
        self._waiting += 1
        self._stops[order.source, order.side].add(order)
        self.funds.reserve(order)

    def _rest(self, order: WorkingOrder) -> None:
        self._number += 1
        order.number = self._number
        if order.limit is not None:
            self._join(order)
        self._stand(order)
        self.funds.reserve(order)

    def _remove(self, order: WorkingOrder) -> None:
        """Takes a working order out of where it waits, with what was set aside for it."""
        self.funds.release(order)
        if order.waiting:
            self._waiting -= 1
            self._stops[order.source, order.side].remove(order)
        else:
            self._leave(order)

    def may_stay(self, order: WorkingOrder) -> bool:
        """Whether what it does not get at once rests, or waits for the next trade or bar."""
        return order.time_in_force not in _AT_ONCE and (order.limit is not None or self.prints)

    def _end(
        self,
        order: WorkingOrder,
        time_ns: int,
        reason: ErrorReason = ErrorReason.UNSPECIFIED,
        message: str = "",
    ) -> None:
        order.leaves = 0
        self._happenings.append(Changed(OrderEventType.CANCELED, order, time_ns, reason, message))
