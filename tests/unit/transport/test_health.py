from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from brokergate.domain.accounts import ConnectionState
from brokergate.domain.policy import AccountPolicy
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.transport.methods import SERVICES
from brokergate.v1 import error_pb2, event_pb2, event_service_pb2_grpc, order_service_pb2_grpc
from tests.unit.transport.conftest import Serve, Served
from tests.unit.transport.errors import has_retry, reason_of
from tests.unit.transport.orders import get, market, place
from tests.unit.transport.test_streams import events_of, until

Response = health_pb2.HealthCheckResponse
BROKER = "brokergate.broker.desk"


def health(served: Served) -> Any:
    return health_pb2_grpc.HealthStub(served.channel())


def request(name: str) -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=name)


async def test_every_service_and_broker_has_a_name(served: Served) -> None:
    """The whole, each service of the contract and each broker are SERVING; what nobody has heard of is NOT_FOUND."""
    stub = health(served)
    for name in ("", "grpc.health.v1.Health", BROKER, *(service.full_name for service in SERVICES)):
        assert (await stub.Check(request(name))).status == Response.SERVING, name
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(request("brokergate.broker.none"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert reason_of(caught.value) == "BROKER_NOT_FOUND"


async def test_a_broker_that_is_away_is_not_serving(served: Served) -> None:
    """A broker's name follows its connections, and a watch hears of it; the gateway as a whole goes on."""
    watch = health(served).Watch(request(BROKER))
    assert (await watch.read()).status == Response.SERVING
    connection = served.gateway.account("main").connection
    connection.enter(ConnectionState.RECONNECTING)
    assert (await watch.read()).status == Response.NOT_SERVING
    assert (await health(served).Check(request(""))).status == Response.SERVING
    connection.enter(ConnectionState.CONNECTED)
    assert (await watch.read()).status == Response.SERVING


class Disk:
    """A disk whose syncs fail while the test says so."""

    fails = False

    def sync(self, fd: int) -> None:
        if self.fails:
            raise OSError(28, "No space left on device")


async def test_a_journal_that_failed_is_not_serving(serve: Serve, tmp_path: Path) -> None:
    """An order whose commit fails is OUTCOME_UNKNOWN, later ones are JOURNAL_UNAVAILABLE and may be tried again. The
    gateway as a whole and its trading services are NOT_SERVING, and a watch hears of it; the market, which needs no
    journal, goes on, and so does the broker. When the disk works again everything is served, and the id
    answers: its order was written, not told and never sent."""
    disk = Disk()
    journal = SqliteJournal(tmp_path / "journal.db", random.Random(1).getrandbits, sync_file=disk.sync)
    served = await serve(journal=journal, policy=AccountPolicy(durable=True))
    trading, market_data = "brokergate.v1.OrderService", "brokergate.v1.MarketDataService"
    watches = [health(served).Watch(request(name)) for name in ("", trading)]
    assert [(await watch.read()).status for watch in watches] == [Response.SERVING] * 2
    disk.fails = True
    for reason, code in (
        ("OUTCOME_UNKNOWN", grpc.StatusCode.ABORTED),
        ("JOURNAL_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await place(served, market("c1"))
        assert (reason_of(caught.value), caught.value.code()) == (reason, code)
        assert has_retry(caught.value) is (code is grpc.StatusCode.UNAVAILABLE)
    assert [(await watch.read()).status for watch in watches] == [Response.NOT_SERVING] * 2
    for name in (market_data, BROKER):
        assert (await health(served).Check(request(name))).status == Response.SERVING, name
    disk.fails = False
    assert [(await watch.read()).status for watch in watches] == [Response.SERVING] * 2
    assert (await place(served, market("c1"))).already_existed
    assert served.desk.placed == []


async def test_watchers_leave_each_other_alone(served: Served) -> None:
    """Of two watchers of one name the second still hears of changes when the first has left."""
    first, second = (health(served).Watch(request(BROKER)) for _ in range(2))
    assert (await first.read()).status == (await second.read()).status == Response.SERVING
    first.cancel()
    await until(lambda: served.server.streams == 1)
    served.gateway.account("main").connection.enter(ConnectionState.RECONNECTING)
    assert (await second.read()).status == Response.NOT_SERVING


async def test_a_watch_of_what_is_not_there_waits_for_it(served: Served) -> None:
    """An unknown name is SERVICE_UNKNOWN, and the watch stays open, as the protocol has it."""
    watch = health(served).Watch(request("brokergate.broker.later"))
    assert (await watch.read()).status == Response.SERVICE_UNKNOWN
    served.server._health.set_brokers([("later", True)])
    assert (await watch.read()).status == Response.SERVING


async def test_a_drain(served: Served) -> None:
    """Going down: health is NOT_SERVING and its watches end at once, streams end OK after StreamClosing with their
    cursor, the order under way is answered, and new calls are UNAVAILABLE with RetryInfo."""
    watches = [health(served).Watch(request(name)) for name in ("", BROKER, "none")]
    assert [(await watch.read()).status for watch in watches] == [1, 1, 3]
    stream = events_of(served.channel())
    cursor = (await stream.read()).cursor
    assert (await stream.read()).HasField("caught_up")
    served.desk.hold.clear()
    placing = asyncio.create_task(place(served, market("c1")))
    await until(lambda: served.desk.placed)
    channel = served.channel()
    await channel.channel_ready()
    draining = asyncio.create_task(served.server.drain(20))
    async with asyncio.timeout(2):
        for watch in watches:
            assert (await watch.read()).status == Response.NOT_SERVING
            assert await watch.read() is grpc.aio.EOF
        while (last := await stream.read()).HasField("batch"):
            cursor = last.cursor
        assert last.closing.reason == error_pb2.ERROR_REASON_SHUTTING_DOWN
        assert last.cursor == cursor
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK
    assert not draining.done(), "an order is under way"
    orders: Any = order_service_pb2_grpc.OrderServiceStub(channel)
    events: Any = event_service_pb2_grpc.EventServiceStub(channel)
    for call in (
        orders.PlaceOrder(market("c2"), timeout=20),
        events.StreamEvents(event_pb2.StreamEventsRequest(), timeout=20).read(),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert reason_of(caught.value) == "SHUTTING_DOWN"
        assert has_retry(caught.value)
    check: Any = health_pb2_grpc.HealthStub(channel)
    assert (await check.Check(request(""))).status == Response.NOT_SERVING
    served.desk.hold.set()
    assert (await placing).order.cum_quantity == "1"
    assert await draining
    await served.server.stop()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await get(served, "c1")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_drain_does_not_wait_for_ever(served: Served) -> None:
    """A call that does not end is left after the grace, and its client sees the connection close."""
    served.desk.hold.clear()
    placing = asyncio.create_task(place(served, market("c1")))
    await until(lambda: served.desk.placed)
    assert not await served.server.drain(0.2)
    await served.server.stop()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await placing
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert served.log.lines[-1]["event"] == "calls still under way after the grace"
    served.desk.hold.set()
