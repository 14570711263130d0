from __future__ import annotations

import asyncio
from typing import Any

import pytest

from brokergate.codec.decode.target import Target
from brokergate.domain.access import Caller
from brokergate.domain.accounts import ConnectionState
from brokergate.domain.commands import OrderRef
from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import Order
from brokergate.engine.gateway import Gateway
from brokergate.ports.broker import Outcome, Rejected
from brokergate.ports.clock import SystemClock
from brokergate.ports.journal import JournalError
from brokergate.transport.leases import FIRST_PRUNING, Leases, PlacedOrders
from brokergate.v1 import enums_pb2
from tests.unit.transport.conftest import Log, Served
from tests.unit.transport.orders import get, limit, market, place
from tests.unit.transport.test_streams import until

MAIN = Target("main", "")

STRATEGY = Caller("strategy", "ipv4:127.0.0.1:5", "robot/1")


class Hand:
    """A clock whose sleeps end when the test says so."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.wake = asyncio.Event()

    def now_ns(self) -> int:
        return 0

    def monotonic_ns(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.wake.wait()
        self.wake.clear()


async def test_ended_orders_are_forgotten(served: Served) -> None:
    """However many orders go through a stream, what is kept of them stays near the number that still work."""
    await place(served, limit("works"))
    await place(served, market("ended"))
    placed = PlacedOrders(served.gateway)
    placed.add(MAIN, "works")
    for number in range(5 * FIRST_PRUNING):
        placed.add(MAIN, f"gone-{number}")
        assert len(placed) <= FIRST_PRUNING
    placed.add(MAIN, "ended")
    assert placed.working() == {"main": ["works"]}


async def test_a_lease_waits_for_its_grace(served: Served) -> None:
    """Nothing is cancelled before the grace is over; then what still works is."""
    for name in ("c1", "c2"):
        await place(served, limit(name))
    clock = Hand()
    placed = PlacedOrders(served.gateway)
    for name in ("c1", "c2"):
        placed.add(MAIN, name)
    leases = Leases(served.gateway, clock, Log())
    leases.carry_out(placed, 5, STRATEGY)
    await until(lambda: clock.slept == [5])
    assert served.desk.cancelled == []
    clock.wake.set()
    await until(lambda: served.desk.cancelled == ["c1", "c2"])
    await leases.drain()


async def test_a_lease_tries_again_while_the_broker_is_away(served: Served) -> None:
    """A broker that is away when the grace is over gets its cancels when it is back, ever less often asked."""
    await place(served, limit("c1"))
    clock, log = Hand(), Log()
    placed = PlacedOrders(served.gateway)
    placed.add(MAIN, "c1")
    connection = served.gateway.account("main").connection
    connection.enter(ConnectionState.RECONNECTING)
    leases = Leases(served.gateway, clock, log)
    leases.carry_out(placed, 0, STRATEGY)
    for slept in ([0], [0, 1], [0, 1, 2], [0, 1, 2, 4]):
        await until(lambda slept=slept: clock.slept == slept)
        clock.wake.set()
    await until(lambda: len(clock.slept) == 5)
    assert served.desk.cancelled == []
    connection.enter(ConnectionState.CONNECTED)
    clock.wake.set()
    await until(lambda: served.desk.cancelled == ["c1"])
    assert (await get(served, "c1")).state == enums_pb2.ORDER_STATE_CANCELED
    assert [line["retry_s"] for line in log.lines if line["level"] == "error"] == [1, 2, 4, 8]


@pytest.mark.parametrize("grace_s", [0, 60])
async def test_a_drain_ends_the_grace(served: Served, grace_s: float) -> None:
    """A gateway that goes down does not wait for graces: the cancels are done when the drain returns."""
    await place(served, limit("c1"))
    placed = PlacedOrders(served.gateway)
    placed.add(MAIN, "c1")
    clock: Any = Hand()
    leases = Leases(served.gateway, clock, Log())
    leases.carry_out(placed, grace_s, STRATEGY)
    await leases.drain()
    assert served.desk.cancelled == ["c1"]


async def test_a_second_lease_of_the_same_orders_is_carried_out(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the broker refused the first lease's cancel, a later one asks it again and does not get the first one's
    answer."""
    await place(served, limit("c1"))
    desk, really = served.desk, served.desk.cancel_order

    async def refuse(order: Order) -> Outcome:
        desk.cancelled.append("refused")
        return Rejected(ErrorReason.BROKER_REJECTED, "not now")

    log = Log()
    leases = Leases(served.gateway, SystemClock(), log)
    for number, cancel in enumerate((refuse, really)):
        monkeypatch.setattr(desk, "cancel_order", cancel)
        placed = PlacedOrders(served.gateway)
        placed.add(MAIN, "c1")
        leases.carry_out(placed, 0, STRATEGY)
        await until(lambda done=number + 1: len(log.lines) == done)
    assert desk.cancelled == ["refused", "c1"]


async def test_a_lease_tries_again_where_the_broker_was_away_for_some_of_its_orders(served: Served) -> None:
    """A rate limit that one of the orders hits is no end: that one is asked for again, under the same request."""
    for name in ("c1", "c2"):
        await place(served, limit(name))
    desk, really = served.desk, served.desk.cancel_order

    async def limited(order: Order) -> Outcome:
        if order.client_order_id == "c2" and "c2" not in desk.cancelled:
            desk.cancelled.append("c2")
            return Rejected(ErrorReason.RATE_LIMITED, "later")
        return await really(order)

    desk.cancel_order = limited  # type: ignore[method-assign]
    clock, log = Hand(), Log()
    placed = PlacedOrders(served.gateway)
    for name in ("c1", "c2"):
        placed.add(MAIN, name)
    leases = Leases(served.gateway, clock, log)
    leases.carry_out(placed, 0, STRATEGY)
    for slept in ([0], [0, 1]):
        await until(lambda slept=slept: clock.slept == slept)
        clock.wake.set()
    await until(lambda: desk.cancelled == ["c1", "c2", "c2"])
    await until(lambda: len(log.lines) == 2)
    assert (await get(served, "c2")).state == enums_pb2.ORDER_STATE_CANCELED


async def test_orders_that_cannot_be_looked_up_are_held_to_work(served: Served) -> None:
    """A lease that falls due while the journal cannot be read cancels what it does not know to have ended."""
    await place(served, limit("c1"))
    placed = PlacedOrders(served.gateway)
    placed.add(MAIN, "c1")
    placed.add(MAIN, "never placed")

    class Unread(Gateway):
        def get_order(self, account_id: str, ref: OrderRef) -> Order:
            raise JournalError("the disk is full")

    unread = PlacedOrders(object.__new__(Unread))
    unread.add(MAIN, "c1")
    assert unread.working() == placed.working() == {"main": ["c1"]}
