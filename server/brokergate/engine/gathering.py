"""Orders that come together are placed together.

gRPC hands over about one call a turn of the event loop. An order that is placed by itself costs twice to three times
what it costs in a batch: statements, commits, events and answers are shared there. So an order on an in-process
broker waits some turns for company, in which nothing else can come between; but only while there is company, since
one that comes alone would wait in vain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TypeVar

from brokergate.domain.commands import PlaceOrder, PlaceResult
from brokergate.engine.placing import Placing

T = TypeVar("T")

QUIET_TURNS = 8
"""Turns of the loop without a new order after which those that wait are placed: some 10 µs."""

MAX_TOGETHER = 64
"""Orders after which they are placed, quiet or not."""

LONE_ORDERS = 4
"""Orders in a row that waited in vain, after which the next ones do not wait."""

UNWAITED_ORDERS = 16
"""Orders that do not wait; the one after them does, to see whether there is company again."""

Waiting = tuple[PlaceOrder, "asyncio.Future[PlaceResult]"]


class Gathering:
    """The orders of all in-process accounts that wait for company."""

    def __init__(self) -> None:
        self._waiting: dict[Placing, list[Waiting]] = {}
        self._count = 0
        self._quiet_turns = 0
        self._lone = 0
        self._unwaited = 0

    async def stage(self, placing: Placing, command: PlaceOrder) -> PlaceResult:
        """Stages an order, maybe together with others. It is placed even when the caller goes away meanwhile."""
        if self._unwaited and not self._count:
            self._unwaited -= 1
            return (await placing.stage((command,)))[0]
        loop = asyncio.get_running_loop()
        future: asyncio.Future[PlaceResult] = loop.create_future()
        self._waiting.setdefault(placing, []).append((command, future))
        self._count += 1
        self._quiet_turns = 0
        if self._count == 1:
            loop.call_soon(self._turn, loop, 1)
        return await future

    def settle(self) -> None:
        """Places the orders that wait: what comes now finds them placed."""
        if not self._count:
            return
        waiting, self._waiting, self._count = self._waiting, {}, 0
        for placing, orders in waiting.items():
            _place(placing, orders)

    def _turn(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        """One turn of the loop went by, before which `count` orders waited."""
        now = self._count
        if not now:
            return
        if now == count:
            self._quiet_turns += 1
        if self._quiet_turns < QUIET_TURNS and now < MAX_TOGETHER:
            loop.call_soon(self._turn, loop, now)
            return
        self._lone = self._lone + 1 if now == 1 else 0
        if self._lone >= LONE_ORDERS:
            self._unwaited = UNWAITED_ORDERS
        self.settle()


def _place(placing: Placing, orders: Sequence[Waiting]) -> None:
    try:
        results = _at_once(placing.stage([command for command, _ in orders]))
    except Exception as error:  # noqa: BLE001 - each caller's to handle
        for _, future in orders:
            if not future.done():
                future.set_exception(error)
        return
    for (_, future), result in zip(orders, results, strict=True):
        if not future.done():
            future.set_result(result)


def _at_once(work: Coroutine[object, object, T]) -> T:
    """The result of `work`, which does not suspend: an in-process broker answers in the caller's own step."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("an in-process broker suspended")
