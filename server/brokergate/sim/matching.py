"""One instrument's matching: the life of orders. Pure, in integers; what happens goes to a list.

How orders fill is in `filling`, what the fill of one does to others in `links`, what one that comes would do and why it
is refused in `entrance`. Here is what becomes of them otherwise:

- **Triggers.** A stop is set off once, by the price of its source: the last trade's; the ask (buy) or bid (sell); or
  the mark price, which is the venue's own where the feed tells one, else the mid (one that lies between two ticks
  counts as the later to set off). An order that names no source goes by trades once the market has told one, and by
  bid and ask until then. An order whose trigger is reached already when it comes is set off at once. It then takes
  what the book has: a gap fills at the market. MARKET_IF_TOUCHED and LIMIT_IF_TOUCHED wait for the other direction: a
  buy for a fall to its trigger. A TRAILING_STOP begins at the price of its source; each price is held against its
  trigger first, and moves it only then, and never back.
- **Replace.** Less of the same keeps its place in the queue. Anything else (a price, a trail, more, another display
  quantity, another end) is a new order that comes now, and loses it. A trailing stop keeps the best price it saw.
- **Auctions.** AT_OPEN comes with the first book at or after the opening, behind orders that rest already; AT_CLOSE
  comes at the instant of the close, against the book as it stands, before anything else of that instant. What they do
  not get is cancelled.
- On a book that is not trusted nothing fills and nothing is set off.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import TimeInForce
from brokergate.sim.entrance import MEETING, Entrance
from brokergate.sim.filling import DEFAULT_FILLS, FillTerms
from brokergate.sim.funds import InstrumentFunds, Walk
from brokergate.sim.groups import link
from brokergate.sim.links import Linked
from brokergate.sim.market import MarketUpdate, MarkUpdate
from brokergate.sim.orders import (
    Changed,
    Happening,
    Refusal,
    WorkingOrder,
    renewed,
    same_but_less,
    take_over,
)
from brokergate.sim.packing import Packer, Unpacker
from brokergate.sim.triggers import Triggers, is_trailing


class Market(Linked):
    """One instrument's book and our orders in it. `happenings` is where everything that happens is appended."""

    def __init__(
        self,
        symbol: str,
        funds: InstrumentFunds,
        happenings: list[Happening],
        fills: FillTerms = DEFAULT_FILLS,
    ) -> None:
        super().__init__(symbol, funds, happenings, fills)
        self.entrance = Entrance(self)
        self._triggers = Triggers()
        self._due: dict[WorkingOrder, None] = {}
        """Orders that are set off and whose turn has not come."""
        self._opens: list[tuple[int, int, WorkingOrder]] = []
        """(opening, number, order) of those that wait for an opening."""
        self._number = 0

    # The market moves

    def apply(self, update: MarketUpdate) -> None:
        super().apply(update)
        if self._waiting and isinstance(update, MarkUpdate) and not self.halted and self.tradable():
            self._set_off(update.time_ns)
        if self._opens and self._opens[0][0] <= update.time_ns:
            self._open(update.time_ns)
        if self.woken:
            self.wake(update.time_ns)

    def _set_off(self, time_ns: int) -> None:
        reached = self._triggers.reached(self.price_of)
        if not reached:
            return
        self._waiting -= len(reached)
        self._due = dict.fromkeys(reached)
        for order in reached:
            if order in self._due:
                del self._due[order]
                self._triggered(order, time_ns)

    def _triggered(self, order: WorkingOrder, time_ns: int) -> None:
        order.waiting = False
        order.arrived_ns = time_ns
        if order.special is not None:
            order.special.placed = False
        self._happenings.append(Changed(OrderEventType.TRIGGERED, order, time_ns))
        self._release(order)
        walk, refusal = self.entrance.look(order)
        if refusal is not None:
            self._end(order, time_ns, refusal.reason, refusal.message)
        else:
            self._enter(order, walk, time_ns)

    def _open(self, time_ns: int) -> None:
        """The first book after an opening has come, or the first trade or bar of a market without a book."""
        distrust = self.book.distrust
        told_ns = self.book.time_ns if not distrust else self.updated_ns if self.prints else 0
        while self._opens and self._opens[0][0] <= told_ns and not self.halted:
            self.match(self._opens[0][2], time_ns)

    def match(self, order: WorkingOrder, time_ns: int) -> None:
        """The opening or close has come that an order waited for."""
        self._remove(order)
        assert order.special is not None
        order.special.auction_ns = 0
        self._come(order, time_ns)
        if self.woken:
            self.wake(time_ns)

    # Orders come

    def place(self, order: WorkingOrder, time_ns: int) -> Refusal | None:
        """Takes an order, or says why not."""
        asked = order.leaves
        walk, refusal = self.entrance.look(order)
        if refusal is None:
            if order.leaves != asked:
                self._tell(order, time_ns)
            self._accept(order, walk, time_ns)
            if self.woken:
                self.wake(time_ns)
        return refusal

    def place_group(
        self, orders: list[WorkingOrder], time_ns: int, *, bracket: bool
    ) -> tuple[WorkingOrder, Refusal] | None:
        """Takes the orders of a group, all or none, or says which one cannot be taken, and why; of a bracket the entry
        is the first. See `links`."""
        walk: Walk = []
        cut: list[WorkingOrder] = []
        for order in orders[:1] if bracket else orders:
            asked = order.leaves
            walk, refusal = self.entrance.look(order)
            if refusal is not None:
                return order, refusal
            if order.leaves != asked:
                cut.append(order)
        for order in cut:
            self._tell(order, time_ns)
        group = link(orders, bracket=bracket)
        for leg in group.orders if bracket else ():
            assert leg.special is not None
            # Of what is held, not short, the holding itself says how much can be sold.
            leg.special.reduce_only = self.funds.positional
        if bracket:
            self._accept(orders[0], walk, time_ns)
        else:
            self.woken.append(group)
        if self.woken:
            self.wake(time_ns)
        return None

    def _accept(self, order: WorkingOrder, walk: Walk, time_ns: int) -> None:
        order.arrived_ns = time_ns
        special = order.special
        if special is not None and special.auction_ns:
            self._park(order)
            return
        if order.waiting:
            if not self.entrance.reached(order):
                self._wait(order, self.entrance.best_seen(order) if is_trailing(order) else None)
                return
            order.waiting = False
            self._happenings.append(Changed(OrderEventType.TRIGGERED, order, time_ns))
        self._enter(order, walk, time_ns)

    def _come(self, order: WorkingOrder, time_ns: int) -> None:
        asked = order.leaves
        walk, refusal = self.entrance.look(order)
        if refusal is not None:
            self._end(order, time_ns, refusal.reason, refusal.message)
            return
        if order.leaves != asked:
            self._forgo(order, asked - order.leaves, time_ns)
            self._tell(order, time_ns)
        self._accept(order, walk, time_ns)

    def restore(self, order: WorkingOrder) -> None:
        """Takes an order up again after a restart. What stands ahead of it is what the feed shows first, and what a
        trailing stop has seen the first price."""
        if not order.leaves:
            return
        if order.special is not None and order.special.auction_ns:
            self._park(order)
        elif order.waiting:
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

    def put_back(self, order: WorkingOrder, best: int | None = None) -> None:
        """Puts an order where it stood, with its number and what is set aside for it: those that came earlier first. A
        trailing stop has seen `best`."""
        if not order.leaves:
            return
        self.funds.put_back(order)
        special = order.special
        if special is not None:
            special.placed = True
            if special.reduce_only:
                self._reduces(order)
        if special is not None and special.auction_ns:
            self._list_opening(order)
        elif order.waiting:
            self._waiting += 1
            self._triggers.add(order, best)
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
        walk = [] if self.halted else self.walk(order)
        order.leaves = sum([lots for _, lots in walk])
        if walk:
            self._take(order, walk, time_ns)
        return sum([price * lots for price, lots in walk]) * self.funds.unit

    def expire(self, order: WorkingOrder, time_ns: int) -> None:
        """Ends a working order whose time in force ran out."""
        self._remove(order)
        self._end(order, time_ns, kind=OrderEventType.EXPIRED)

    # Orders change

    def replace(self, order: WorkingOrder, change: WorkingOrder, time_ns: int) -> Refusal | None:
        """Makes a working order one of the size, prices, wishes and end of `change`, in one step; `change.leaves` is
        its lots in all, filled ones included. See the module for its place in the queue. Refused, it stays the same."""
        left = change.leaves - order.filled
        if left <= 0:
            return Refusal(ErrorReason.REPLACE_BELOW_FILLED, "the new quantity is not above what is filled")
        group = order.special.group if order.special else None
        if group is not None and group.bracket and order is not group.entry and left != order.left:
            return Refusal(
                ErrorReason.INVALID_FIELD, "quantity: that of a bracket's leg follows its entry; leave it out"
            )
        entry = group is not None and order is group.entry
        asleep = order.left - order.leaves
        if not order.leaves:
            take_over(order, change)
            self._happenings.append(Changed(OrderEventType.REPLACED, order, time_ns))
        elif same_but_less(order, change, left):
            self._release(order)
            order.leaves = left - asleep
            if order.special is not None:
                order.special.slice = min(order.special.slice, order.leaves)
            self._reserve(order)
            self._happenings.append(Changed(OrderEventType.REPLACED, order, time_ns))
        else:
            refusal = self._renew(order, change, left - asleep, time_ns)
            if refusal is not None:
                return refusal
        if group is not None and entry:
            # Also where the new one has filled at once, and is the entry no more.
            self._entry_changed(group, time_ns)
        if self.woken:
            self.wake(time_ns)
        return None

    def _renew(self, order: WorkingOrder, change: WorkingOrder, leaves: int, time_ns: int) -> Refusal | None:
        """A replace that is a new order in the place of the old one."""
        self._release(order)
        wanted = renewed(order, change, leaves)
        walk, refusal = self.entrance.look(wanted)
        if refusal is not None:
            self._reserve(order)
            return refusal
        best = self.entrance.best_seen(order) if is_trailing(order) else None
        self._remove(order)
        take_over(order, change)
        order.leaves, order.stop = wanted.leaves, wanted.stop
        self._happenings.append(Changed(OrderEventType.REPLACED, order, time_ns))
        if order.leaves != leaves:
            self._tell(order, time_ns)
        if order.waiting and best is not None and not self.entrance.reached(order):
            self._wait(order, best)
        else:
            self._accept(order, walk, time_ns)
        return None

    def _enter(self, order: WorkingOrder, walk: Walk, time_ns: int) -> None:
        """Takes `walk`; the rest rests, or ends where it may not."""
        meeting = self.entrance.meeting(order, walk)
        if meeting is not None:
            for maker in meeting.makers:
                if maker.left:
                    self.cancel(maker, time_ns, ErrorReason.SELF_TRADE, "an order of the same account met it")
        if walk:
            self._take(order, walk, time_ns)
        if not order.leaves:
            return
        if meeting is not None and meeting.cut:
            self._end(order, time_ns, ErrorReason.SELF_TRADE, f"{MEETING}; the rest is cancelled")
        elif not self.entrance.may_stay(order):
            what = "a market order" if order.limit is None else f"an {order.time_in_force.name} order"
            self._end(
                order,
                time_ns,
                ErrorReason.NOT_FILLABLE,
                f"the book had no more; the rest of {what} is cancelled",
            )
        else:
            self._rest(order)

    # Where orders wait

    def _wait(self, order: WorkingOrder, best: int | None = None) -> None:
        self._number += 1
        order.number = self._number
        self._waiting += 1
        self._triggers.add(order, best)
        self._reserve(order)

    def _rest(self, order: WorkingOrder) -> None:
        self._number += 1
        order.number = self._number
        if order.limit is not None:
            self._join(order)
        self._stand(order)
        if order.special is None:
            self.funds.reserve(order)
            return
        order.special.slice = min(order.special.display, order.leaves)
        self._reserve(order)

    def _park(self, order: WorkingOrder) -> None:
        """Keeps an order for its opening or close."""
        self._number += 1
        order.number = self._number
        self._list_opening(order)
        self._reserve(order)

    def _list_opening(self, order: WorkingOrder) -> None:
        if order.time_in_force is TimeInForce.AT_OPEN:
            assert order.special is not None
            insort(self._opens, (order.special.auction_ns, order.number, order))

    def _remove(self, order: WorkingOrder) -> None:
        self._release(order)
        special = order.special
        if special is not None:
            self._reducers.pop(order.client_order_id, None)
            special.placed = False
            if not order.leaves:
                return
            if special.auction_ns:
                if order.time_in_force is TimeInForce.AT_OPEN:
                    del self._opens[bisect_left(self._opens, (special.auction_ns, order.number))]
                return
        if not order.waiting:
            self._leave(order)
        elif order in self._due:
            del self._due[order]
        else:
            self._waiting -= 1
            self._triggers.remove(order)

    def _reserve(self, order: WorkingOrder) -> None:
        """Sets aside what an order needs that is in its place now."""
        special = order.special
        if special is not None:
            special.placed = True
            if special.reduce_only:
                self._reduces(order)
                order.free = self.unpaid(order)
            if special.group is not None and order is not special.group.entry:
                self._fund(special.group)
                return
        self.funds.reserve(order)

    def _release(self, order: WorkingOrder) -> None:
        """Gives back what is set aside for an order, and for those that share it."""
        self.funds.release(order)
        group = order.special.group if order.special is not None else None
        if group is not None and order is not group.entry:
            for other in group.orders:
                if other.side == order.side:
                    self.funds.release(other)

    def _end(
        self,
        order: WorkingOrder,
        time_ns: int,
        reason: ErrorReason = ErrorReason.UNSPECIFIED,
        message: str = "",
        kind: OrderEventType = OrderEventType.CANCELED,
    ) -> None:
        order.leaves = 0
        special = order.special
        if special is not None:
            special.asleep = 0
            self._reducers.pop(order.client_order_id, None)
        self._happenings.append(Changed(kind, order, time_ns, reason, message))
        if special is not None and special.group is not None:
            self._unlink(order, time_ns)
