"""What the fill of one order does to others: groups, orders that only reduce, and what an iceberg shows.

- **OCO.** An execution of one order takes as many lots from each of the others, in the same step: they are told
  REPLACED with their new total, and CANCELED when nothing is left. One that is full ends all others. One that is
  cancelled or expires leaves the others alone. The orders are of one instrument; their sides and sizes may differ.
  Funds are set aside once a side: for the order that needs most.
- **Bracket.** The legs are an OCO of the entry's size on its other side. They sleep: nothing of them rests, can be set
  off or sets funds aside. What the entry fills wakes as much of each leg when the market's update, or the command, that
  brought it has been worked off; woken lots come as an order that comes then: they may take at once, a stop that is
  reached is set off at once, a leg that grows goes to the back of its queue. Together the legs never fill more than
  the entry has filled. An entry that ends leaves to the legs what it has filled (REPLACED), or nothing (CANCELED); one
  that is replaced with another quantity changes theirs. Where positions may go short, legs also only reduce.
- **Only reducing.** An order with `reduce_only` never has more left than would close the position: it is cut when it
  comes, and in the step in which the position shrinks below it, and ends when nothing is left to close. Several such
  orders may each stand for the whole position.
- **Iceberg.** At its limit it fills one slice of `display_quantity` by one trade. What is next shown goes behind
  everything that is shown there then, our own orders too. A market that goes through its limit takes all of it.
"""

from __future__ import annotations

from abc import abstractmethod

from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.sim.filling import FillTerms
from brokergate.sim.funds import InstrumentFunds
from brokergate.sim.groups import Group
from brokergate.sim.orders import Changed, Happening, WorkingOrder
from brokergate.sim.prints import PrintFilling

_SIBLING_FILLED = "the other order of its group has filled"
_ENTRY_ENDED = "the entry of its bracket has ended with nothing for it to close"
_CLOSED = "it only reduces, and no position is left that it could close"


class Linked(PrintFilling):
    """An instrument's orders as far as one bears on another."""

    def __init__(
        self, symbol: str, funds: InstrumentFunds, happenings: list[Happening], terms: FillTerms
    ) -> None:
        super().__init__(symbol, funds, happenings, terms)
        self.woken: list[Group] = []
        """Groups of which something is to be woken."""
        self._widest = {1: 0, -1: 0}
        """No order that only reduces has more left, by side."""

    @abstractmethod
    def _remove(self, order: WorkingOrder) -> None:
        """Takes a working order out of where it waits, with what was set aside for it."""

    @abstractmethod
    def _end(
        self,
        order: WorkingOrder,
        time_ns: int,
        reason: ErrorReason = ErrorReason.UNSPECIFIED,
        message: str = "",
        kind: OrderEventType = OrderEventType.CANCELED,
    ) -> None:
        """Ends an order that is in no place any more."""

    @abstractmethod
    def _come(self, order: WorkingOrder, time_ns: int) -> None:
        """Takes lots that woke as an order that comes now; ends it where it cannot be taken."""

    @abstractmethod
    def _rest(self, order: WorkingOrder) -> None:
        """Puts an order behind the others at its limit."""

    # What an execution does

    def _executed(self, order: WorkingOrder, lots: int, time_ns: int, *, rests: bool) -> None:
        special = order.special
        if special is not None:
            if special.display and rests:
                self._show(order, lots)
            if not order.leaves:
                # What of it still sleeps is in no place.
                special.placed = False
                self._reducers.pop(order.client_order_id, None)
            if special.group is not None:
                self._count_for(order, special.group, lots, time_ns)
        if self._reducers:
            self._hold_back(time_ns)

    def _show(self, order: WorkingOrder, lots: int) -> None:
        """An iceberg shows its next slice when the last one is used up."""
        special = order.special
        assert special is not None
        special.slice -= lots
        if special.slice <= 0:
            self._remove(order)
            self._rest(order)

    def _count_for(self, order: WorkingOrder, group: Group, lots: int, time_ns: int) -> None:
        """An execution of `order` counts for its group."""
        assert order.special is not None
        if order is group.entry:
            group.filled += lots
            if not order.leaves:
                group.entry = order.special.group = None
            if group not in self.woken:
                self.woken.append(group)
            return
        group.closed += lots
        if not order.left:
            group.orders.remove(order)
            order.special.group = None
        for other in list(group.orders):
            if other is order:
                continue
            if group.bracket:
                self._fit(other, group, time_ns, _SIBLING_FILLED)
            else:
                self._cut(other, other.left - lots if order.left else 0, time_ns, _SIBLING_FILLED)
        self._fund(group)

    def _fit(self, leg: WorkingOrder, group: Group, time_ns: int, why: str) -> None:
        """Leaves to a bracket's leg what is left for it; what is to wake still sleeps."""
        special = leg.special
        assert special is not None
        left = group.size - group.closed
        awake = min(leg.leaves, group.filled - group.closed)
        if left == leg.left and awake == leg.leaves:
            return
        told = left != leg.left
        self._resize(leg, awake)
        special.asleep = left - awake
        if not left:
            self._finish(leg, time_ns, why)
        elif told:
            self._tell(leg, time_ns)

    def _cut(self, order: WorkingOrder, left: int, time_ns: int, why: str) -> None:
        """Leaves `left` lots to an order, of those that are awake and those that are to wake at once."""
        special = order.special
        assert special is not None
        left = max(0, left)
        special.asleep = max(0, left - order.leaves)
        self._resize(order, left - special.asleep)
        if not left:
            self._finish(order, time_ns, why)
            return
        self._tell(order, time_ns)
        if special.group is not None and order is special.group.entry:
            self._entry_changed(special.group, time_ns)

    def _resize(self, order: WorkingOrder, leaves: int) -> None:
        """Less of an order is awake: it keeps its place, or has none any more."""
        if leaves == order.leaves:
            return
        if not leaves:
            self._remove(order)
            order.leaves = 0
            return
        self.funds.release(order)
        order.leaves = leaves
        self.funds.reserve(order)
        if order.special is not None:
            order.special.slice = min(order.special.slice, leaves)

    def _tell(self, order: WorkingOrder, time_ns: int) -> None:
        total = order.filled + order.left
        self._happenings.append(Changed(OrderEventType.REPLACED, order, time_ns, total=total))

    def _finish(self, order: WorkingOrder, time_ns: int, why: str) -> None:
        reason = ErrorReason.NOTHING_TO_REDUCE if why is _CLOSED else ErrorReason.LINKED_ORDER
        self._end(order, time_ns, reason, why)

    # Groups

    def _unlink(self, order: WorkingOrder, time_ns: int) -> None:
        """An order has ended by itself: its group goes on without it."""
        special = order.special
        assert special is not None
        group, special.group = special.group, None
        if group is None:
            return
        if order is group.entry:
            group.entry = None
            self._entry_changed(group, time_ns)
        elif order in group.orders:
            group.orders.remove(order)
            self._fund(group)

    def _entry_changed(self, group: Group, time_ns: int) -> None:
        """A bracket's entry has another size, or has ended."""
        group.size = group.filled + (group.entry.left if group.entry else 0)
        for leg in list(group.orders):
            self._fit(leg, group, time_ns, _ENTRY_ENDED)

    def _fund(self, group: Group) -> None:
        """Sets funds aside once for all orders of a group's side, for the one that needs most."""
        awake = [order for order in group.orders if order.leaves and order.special and order.special.placed]
        for order in awake:
            self.funds.release(order)
            order.free = self.unpaid(order)
        for side in (1, -1):
            orders = [order for order in awake if order.side == side]
            if not orders:
                continue
            needs = [self.funds.needs(order, [], order.leaves)[1] for order in orders]
            payer = orders[needs.index(max(needs))]
            for order in orders:
                order.free = order.free or order is not payer
                self.funds.reserve(order)

    def unpaid(self, order: WorkingOrder) -> bool:
        """Whether an order can never need funds: it only reduces a position that is no holding."""
        return self.funds.positional and order.special is not None and order.special.reduce_only

    def wake(self, time_ns: int) -> None:
        """Wakes what was filled for since: when an update or a command has been worked off."""
        while self.woken:
            group = self.woken.pop(0)
            for order in list(group.orders):
                if order.special is not None and order.special.group is group:
                    self._wake(order, group, time_ns)

    def _wake(self, order: WorkingOrder, group: Group, time_ns: int) -> None:
        special = order.special
        assert special is not None
        awake = group.filled - group.closed if group.bracket else order.left
        more = awake - order.leaves
        if more <= 0:
            return
        for other in group.orders:
            if other.side == order.side and other.leaves:
                self.funds.release(other)
        if order.leaves:
            self._remove(order)
        special.asleep -= more
        order.leaves += more
        order.free = self.unpaid(order)
        self._come(order, time_ns)
        self._fund(group)

    # Orders that only reduce

    def closable(self, order: WorkingOrder) -> int:
        """How many lots on an order's side would close the position."""
        return max(0, -order.side * self.funds.position.lots)

    def _reduces(self, order: WorkingOrder) -> None:
        """An order that only reduces is at work."""
        self._reducers[order.client_order_id] = order
        self._widest[order.side] = max(self._widest[order.side], order.leaves)

    def _hold_back(self, time_ns: int) -> None:
        """The position changed: no order that only reduces has more left than would close it."""
        lots = self.funds.position.lots
        for side in (1, -1):
            closable = max(0, -side * lots)
            if closable >= self._widest[side]:
                continue
            reducers = [order for order in self._reducers.values() if order.side == side]
            for order in sorted(reducers, key=lambda order: order.number):
                if order.leaves > closable:
                    self._hold_one_back(order, closable, time_ns)
            self._widest[side] = closable

    def _forgo(self, order: WorkingOrder, lots: int, time_ns: int) -> None:
        """`lots` of a bracket need not be closed any more: the position is smaller than what its entry filled."""
        group = order.special.group if order.special else None
        if group is not None and group.bracket:
            group.closed += lots
            for other in list(group.orders):
                if other is not order:
                    self._fit(other, group, time_ns, _CLOSED)

    def _hold_one_back(self, order: WorkingOrder, closable: int, time_ns: int) -> None:
        group = order.special.group if order.special else None
        if group is None or not group.bracket or order is group.entry:
            self._cut(order, closable, time_ns, _CLOSED)
            if group is not None:
                self._fund(group)
            return
        # What is to wake was filled before the position shrank: it counts as well.
        group.closed = group.filled - closable
        for leg in list(group.orders):
            self._fit(leg, group, time_ns, _CLOSED)
        self._fund(group)
