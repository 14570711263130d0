"""Our own orders that wait: limits at their price, stops at their trigger."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from brokergate.sim.orders import WorkingOrder


class RestingSide:
    """One side's limit orders, by price, then by time. Keys as in `book.BookSide`."""

    __slots__ = ("keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, dict[int, WorkingOrder]] = {}

    def add(self, order: WorkingOrder) -> None:
        """Puts an order behind those at its price. Its `number` is above all of theirs, but after a restart, when
        orders come in their first order."""
        assert order.limit is not None
        key = self.sign * order.limit
        level = self.levels.get(key)
        if level is None:
            level = self.levels[key] = {}
            insort(self.keys, key)
        level[order.number] = order

    def remove(self, order: WorkingOrder) -> None:
        """Takes an order out."""
        assert order.limit is not None
        key = self.sign * order.limit
        level = self.levels[key]
        del level[order.number]
        if not level:
            del self.levels[key]
            del self.keys[bisect_left(self.keys, key)]

    def reaching(self, price: int) -> Iterator[WorkingOrder]:
        """The orders whose limit is `price` or better for others, best and oldest first. They may be removed while
        this runs."""
        worst = self.sign * price
        for key in self.keys[::-1]:
            if key < worst:
                return
            yield from list(self.levels[key].values())


class StopSide:
    """One side's stops that wait for one source of prices: the first to be reached is the last of the list."""

    __slots__ = ("orders", "sign")

    def __init__(self, side: int) -> None:
        self.sign = -side
        """A buy waits for a rise, so that the lowest trigger comes first; a sell the other way."""
        self.orders: list[tuple[int, int, WorkingOrder]] = []

    def add(self, order: WorkingOrder) -> None:
        """Takes a stop in."""
        assert order.stop is not None
        insort(self.orders, (self.sign * order.stop, -order.number, order))

    def remove(self, order: WorkingOrder) -> None:
        """Takes a stop out."""
        assert order.stop is not None
        del self.orders[bisect_left(self.orders, (self.sign * order.stop, -order.number))]

    def set_off(self, price: int) -> list[WorkingOrder]:
        """Takes out the stops that `price` reaches, by trigger, then by time."""
        reached: list[WorkingOrder] = []
        key = self.sign * price
        while self.orders and self.orders[-1][0] >= key:
            reached.append(self.orders.pop()[2])
        return reached
