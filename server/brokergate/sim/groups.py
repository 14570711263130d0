"""Orders that belong together: what they are, whether they fit, and how they are kept. What the fill of one does to the
others is in `links`."""

from __future__ import annotations

from collections.abc import Sequence

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import TimeInForce
from brokergate.ports.broker import Accepted, Outcome, Rejected, Report
from brokergate.sim.orders import Refusal, WorkingOrder
from brokergate.sim.packing import Packer, Unpacker, Unreadable


class Group:
    """Orders of one instrument that share what they may fill."""

    __slots__ = ("bracket", "closed", "entry", "filled", "orders", "size")

    def __init__(self, orders: list[WorkingOrder], entry: WorkingOrder | None = None) -> None:
        self.orders = orders
        """The OCO: those of them that have not ended. A bracket's legs."""
        self.entry = entry
        """A bracket's entry while it works."""
        self.bracket = entry is not None
        self.size = entry.left if entry else 0
        """What the entry may still come to in all; once it has ended, what it came to."""
        self.filled = 0
        """What the entry has filled."""
        self.closed = 0
        """What the legs have filled of it, or need not close any more."""

    def members(self) -> list[WorkingOrder]:
        """All that have not ended, the entry first."""
        return [self.entry, *self.orders] if self.entry else list(self.orders)


def link(orders: Sequence[WorkingOrder], *, bracket: bool) -> Group:
    """Makes a group of orders that come now, of a bracket the entry first. What is to wait for it, or for its turn,
    sleeps."""
    legs = orders[1:] if bracket else orders
    group = Group(list(legs), orders[0] if bracket else None)
    for order in orders:
        assert order.special is not None
        order.special.group = group
    for order in legs:
        assert order.special is not None
        order.special.asleep = orders[0].leaves if bracket else order.leaves
        order.leaves = 0
    return group


_RESTING = frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD})


def misfits(orders: Sequence[WorkingOrder], *, bracket: bool) -> list[Refusal | None]:
    """Why each of `orders` cannot be in a group with the others; None where it can. Those of a bracket, but for its
    entry, and all of an OCO have to be able to wait."""
    names = [order.client_order_id for order in orders]
    problems: list[Refusal | None] = []
    for place, order in enumerate(orders):
        problem = ""
        if order.symbol != orders[0].symbol:
            problem = f"symbol: linked orders are of one instrument here, {orders[0].symbol}"
        elif order.client_order_id in names[:place]:
            problem = "client_order_id: another order of the group has it"
        elif (place or not bracket) and order.time_in_force not in _RESTING:
            problem = f"time_in_force: a linked order waits; {order.time_in_force.name} does not"
        elif place and bracket and order.side == orders[0].side:
            problem = "side: a bracket's leg closes what its entry opens; it is on the other side"
        elif place and bracket and order.leaves != orders[0].leaves:
            problem = "quantity: a bracket's leg has that of its entry"
        problems.append(Refusal(ErrorReason.INVALID_FIELD, problem) if problem else None)
    return problems


def save_groups(pack: Packer, orders: Sequence[WorkingOrder]) -> None:
    """Writes down which of `orders` belong together; the orders themselves are written apart."""
    place = {order: number for number, order in enumerate(orders)}
    groups = {order.special.group: None for order in orders if order.special and order.special.group}
    pack.column([group.bracket for group in groups])
    pack.column([place[group.entry] if group.entry else -1 for group in groups])
    pack.column([group.size for group in groups])
    pack.column([group.filled for group in groups])
    pack.column([group.closed for group in groups])
    pack.column([len(group.orders) for group in groups])
    pack.column([place[order] for group in groups for order in group.orders])


def load_groups(kept: Unpacker, orders: Sequence[WorkingOrder]) -> None:
    """Links `orders` as `save_groups` wrote it."""
    rows, members = kept.columns(6), iter(kept.column())
    for bracket, entry, size, filled, closed, count in rows:
        group = Group([orders[next(members)] for _ in range(count)])
        group.bracket, group.size, group.filled, group.closed = bool(bracket), size, filled, closed
        group.entry = orders[entry] if entry >= 0 else None
        for order in group.members():
            if order.special is None:
                raise Unreadable("an order stands in a group that does not know of it")
            order.special.group = group


def outcomes(
    orders: Sequence[WorkingOrder], refusals: Sequence[Refusal | None], reports: Sequence[Report]
) -> list[Outcome]:
    """What became of a group, order by order; `orders` is empty where one of them was not understood. The first has the
    reports of all."""
    refused = any(refusals)
    said: list[Outcome] = []
    for place, refusal in enumerate(refusals):
        told = reports if not place else ()
        if not refused:
            said.append(Accepted(orders[place].broker_order_id, told))
        elif refusal is not None:
            said.append(Rejected(refusal.reason, refusal.message, told))
        else:
            said.append(Rejected(ErrorReason.LINKED_ORDER, "another order of its group is refused", told))
    return said
