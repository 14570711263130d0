"""Orders that a venue takes up from a journal alone, its own state being lost.

What a journal says of an order is what was told of it. Its place in the queue, and the best price that a trailing stop
has seen, are lost: the stop trails the first price that it sees. What links orders follows from their `group_id`,
which is the id of their first order:

- Where that order works and has closing legs, it is the entry of a bracket. As much of each leg is awake as the entry
  has filled and no leg has closed.
- Otherwise the orders are an OCO, and so are the legs of an entry that has ended: what is left of them closes what it
  filled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import Order
from brokergate.ports.broker import OrderReport
from brokergate.sim.groups import Group
from brokergate.sim.intake import journalled_order
from brokergate.sim.listing import Listing
from brokergate.sim.orders import WorkingOrder
from brokergate.sim.special import Special

_ENTRY_LOST = "the entry of its bracket was not taken up after the restart, with nothing for it to close"


class Restoring:
    """What is taken up of `orders` at the venue's time `now_ns`."""

    def __init__(self, orders: Iterable[Order], listings: Mapping[str, Listing], now_ns: int) -> None:
        self.orders: dict[WorkingOrder, Order] = {}
        """Those that are taken up, in the order of the journal. They are in no market yet."""
        self.reports: list[OrderReport] = []
        """What became of the others."""
        self._listings = listings
        self._now_ns = now_ns
        groups: dict[str, list[tuple[Order, WorkingOrder | None]]] = {}
        for order in orders:
            if not order.broker_order_id:
                continue
            working = self._understood(order)
            if order.group_id:
                groups.setdefault(order.group_id, []).append((order, working))
        for members in groups.values():
            self._link(members)

    def _understood(self, order: Order) -> WorkingOrder | None:
        listing = self._listings.get(order.spec.symbol)
        try:
            if listing is None:
                raise ValueError(f"the feed no longer has the instrument {order.spec.symbol!r}")
            # A tape's clock may stand before the gateway's: its day is the one it is in.
            working = journalled_order(listing, order, min(order.create_time_ns, self._now_ns))
        except ValueError as error:
            message = f"not taken up after the restart: {error}"
            self._tell(order, OrderEventType.CANCELED, ErrorReason.INSTRUMENT_NOT_FOUND, message)
            return None
        self.orders[working] = order
        return working

    def _link(self, members: list[tuple[Order, WorkingOrder | None]]) -> None:
        """Makes one group of orders that were one."""
        entry = next((order for order, _ in members if _is_entry(order)), None)
        others = [working for order, working in members if working is not None and order is not entry]
        if entry is None or not others:
            if len(others) > 1:
                _join(Group(others))
            return
        listing = self._listings[entry.spec.symbol]
        size, filled = listing.lots(entry.quantity), listing.lots(entry.cum_quantity)
        closed = size - max(leg.leaves for leg in others)
        awaited = next(working for order, working in members if order is entry)
        if awaited is None:
            self._shrink(others, filled - closed)
        else:
            _wait_for(awaited, others, filled, closed, reduce_only=listing.funds.positional)

    def _shrink(self, legs: list[WorkingOrder], left: int) -> None:
        """An entry is lost that legs waited for: they close what it has filled."""
        for leg in legs:
            order, changed = self.orders[leg], leg.leaves != left
            leg.leaves = left
            if not left:
                del self.orders[leg]
                self._tell(order, OrderEventType.CANCELED, ErrorReason.LINKED_ORDER, _ENTRY_LOST)
            elif changed:
                self._tell(order, OrderEventType.REPLACED, total=leg.filled + left)
        if left and len(legs) > 1:
            _join(Group(legs))

    def _tell(
        self,
        order: Order,
        event: OrderEventType,
        reason: ErrorReason = ErrorReason.UNSPECIFIED,
        message: str = "",
        total: int = 0,
    ) -> None:
        quantity = self._listings[order.spec.symbol].quantity(total) if total else None
        name, broker_id = order.client_order_id, order.broker_order_id
        self.reports.append(OrderReport(event, name, broker_id, self._now_ns, reason, message, quantity))


def _join(group: Group) -> None:
    for order in group.members():
        order.special = order.special or Special()
        order.special.group = group


def _wait_for(
    entry: WorkingOrder, legs: list[WorkingOrder], filled: int, closed: int, *, reduce_only: bool
) -> None:
    """Links the legs of a bracket to its entry, which works."""
    group = Group(legs, entry)
    group.size, group.filled, group.closed = filled + entry.leaves, filled, closed
    _join(group)
    for leg in legs:
        assert leg.special is not None
        awake = min(leg.leaves, max(0, filled - closed))
        leg.special.asleep, leg.leaves = leg.leaves - awake, awake
        # As when they came: what is held, not short, says by itself how much can be sold.
        leg.special.reduce_only = reduce_only


def _is_entry(order: Order) -> bool:
    return order.order_id == order.group_id and order.spec.bracket
