"""Our own limit orders that rest, at their price. Those that wait for a trigger are in `triggers`."""

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
        this runs, and others with them: what has nothing left comes all the same."""
        worst = self.sign * price
        for key in self.keys[::-1]:
            if key < worst:
                return
            level = self.levels.get(key)
            if level is not None:
                yield from list(level.values())
