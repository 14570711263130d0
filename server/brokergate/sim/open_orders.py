"""A venue's open orders: by name, and by the time at which something becomes of them by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush

from brokergate.domain.orders import TimeInForce
from brokergate.sim.clearing import NEVER_NS
from brokergate.sim.groups import load_groups, save_groups
from brokergate.sim.listing import Listing
from brokergate.sim.orders import WorkingOrder, load_orders, save_orders
from brokergate.sim.packing import Packer, Unpacker

_SLACK = 1024
"""Ended orders that the list of expiries may hold beyond as many as are open before it is built anew."""


def _end_ns(order: WorkingOrder) -> int:
    """When something becomes of an order by time alone; 0 for never."""
    if order.time_in_force is TimeInForce.AT_CLOSE and order.special is not None:
        return order.special.auction_ns
    return order.expire_ns or 0


class OpenOrders:
    """See the module."""

    def __init__(self) -> None:
        self.by_name: dict[str, WorkingOrder] = {}
        """By client order id, oldest first."""
        self.next_ns = NEVER_NS
        """When something is due, or was for an order that has ended since."""
        self._ends: list[tuple[int, int, WorkingOrder]] = []

    def keep(self, order: WorkingOrder, listing: Listing, since_ns: int) -> None:
        """Remembers an order that rests since `since_ns`, and when it expires."""
        self.by_name[order.client_order_id] = order
        if order.time_in_force is TimeInForce.DAY:
            order.expire_ns = listing.calendar.day_end_ns(since_ns)
        end_ns = _end_ns(order)
        if end_ns:
            self.end_at(order, end_ns)

    def end_at(self, order: WorkingOrder, end_ns: int) -> None:
        """Something becomes of the order at `end_ns`; what was to be before then is not."""
        ends = self._ends
        if len(ends) > 2 * len(self.by_name) + _SLACK:
            ends[:] = [entry for entry in ends if entry[2].left]
            heapify(ends)
        heappush(ends, (end_ns, int(order.placed[1:]), order))
        self.next_ns = ends[0][0]

    def due(self, now_ns: int) -> Iterator[WorkingOrder]:
        """Takes out, one after another, the orders of which something becomes until `now_ns`."""
        ends = self._ends
        while self.next_ns <= now_ns:
            end_ns, _, order = heappop(ends)
            self.next_ns = ends[0][0] if ends else NEVER_NS
            if order.left and _end_ns(order) == end_ns:
                yield order

    def settle(self, order: WorkingOrder) -> None:
        """Forgets the order where nothing is left of it."""
        if not order.left:
            self.by_name.pop(order.client_order_id, None)

    def clear(self) -> None:
        """Forgets all."""
        self.by_name.clear()
        self._ends.clear()
        self.next_ns = NEVER_NS

    def save(self, pack: Packer, symbols: list[str]) -> None:
        """Writes them down, with what links them."""
        orders = list(self.by_name.values())
        save_orders(pack, orders, symbols)
        save_groups(pack, orders)

    def load(self, kept: Unpacker, listings: Mapping[str, Listing]) -> None:
        """Takes up what `save` wrote, and puts each order where it stood in its market."""
        self.clear()
        orders, bests = load_orders(kept, list(listings))
        load_groups(kept, orders)
        for order in sorted(orders, key=lambda order: order.number):
            listings[order.symbol].market.put_back(order, bests.get(order))
        for order in orders:
            self.by_name[order.client_order_id] = order
            end_ns = _end_ns(order)
            if end_ns:
                self._ends.append((end_ns, int(order.placed[1:]), order))
        heapify(self._ends)
        self.next_ns = self._ends[0][0] if self._ends else NEVER_NS
