from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from brokergate.domain.access import Scope
from brokergate.tokens import TokenStore
from brokergate.transport.settings import TransportSettings
from brokergate.v1 import error_pb2, event_pb2, event_service_pb2_grpc, order_pb2, order_service_pb2_grpc
from tests.unit.transport.conftest import LOOPBACK, Serve, Served
from tests.unit.transport.errors import info_of, reason_of
from tests.unit.transport.orders import limit, market, place
from tests.unit.transport.test_auth import bearer, make_token

EARLIEST = event_pb2.START_POSITION_EARLIEST


def events_of(channel: grpc.aio.Channel, metadata: Any = None, **request: Any) -> Any:
    stub: Any = event_service_pb2_grpc.EventServiceStub(channel)
    return stub.StreamEvents(event_pb2.StreamEventsRequest(**request), metadata=metadata, timeout=60)


async def until(what: Any, timeout_s: float = 20) -> None:
    """Waits for something that happens in the server, with the loop free to run it."""
    async with asyncio.timeout(timeout_s):
        while not what():  # noqa: ASYNC110 - the server's state has no event to wait for
            await asyncio.sleep(0.01)


async def flood(served: Served, batches: int = 20) -> None:
    """Orders whose events are some eight megabytes."""
    stub: Any = order_service_pb2_grpc.OrderServiceStub(served.channel())
    for number in range(batches):
        request = order_pb2.BatchPlaceOrdersRequest(account_id="main")
        for index in range(500):
            order = request.orders.add(client_order_id=f"f{number}-{index}", order=market("x").order)
            order.order.labels["note"] = "x" * 64
        await stub.BatchPlaceOrders(request, timeout=60)


async def test_a_stream_opens_at_once_and_tells_what_happens(served: Served) -> None:
    """StreamOpened comes first and at once, then history, CaughtUp, and live events; fills come on StreamFills too."""
    await place(served, market("c1"))
    stream = events_of(served.channel(), account_ids=["main"], start_position=EARLIEST)
    opened = await stream.read()
    assert opened.opened.server_version
    assert opened.opened.epoch
    sequences: list[int] = []
    while (message := await stream.read()).WhichOneof("payload") != "caught_up":
        sequences += [event.sequence for event in message.batch.events]
    assert sequences == list(range(1, len(sequences) + 1))
    await place(served, market("c2"))
    live = await stream.read()
    assert live.batch.events[0].sequence == len(sequences) + 1
    stub: Any = event_service_pb2_grpc.EventServiceStub(served.channel())
    fills = stub.StreamFills(event_pb2.StreamFillsRequest(start_position=EARLIEST), timeout=60)
    await fills.read()
    seen: list[str] = []
    while (message := await fills.read()).WhichOneof("payload") != "caught_up":
        seen += [event.fill.fill.client_order_id for event in message.batch.events]
    assert seen == ["c1", "c2"]


async def test_a_consumer_that_does_not_read_is_cut_off_and_resumes(serve: Serve) -> None:
    """With more events than the transport buffers, a subscriber that does not read is ended within its stall timeout
    with SLOW_CONSUMER; after its last cursor it misses nothing and gets nothing twice."""
    settings = TransportSettings(listeners=LOOPBACK, stall_timeout_ms=300, abort_timeout_ms=200)
    served = await serve(settings)
    await flood(served)
    stream = events_of(served.channel(), account_ids=["main"], start_position=EARLIEST)
    assert (await stream.read()).HasField("opened")
    await until(lambda: served.server.streams == 1, 5)
    began = asyncio.get_running_loop().time()
    await until(lambda: served.server.streams == 0, 10)
    assert asyncio.get_running_loop().time() - began < 5, "the abort took its time"
    sequences: list[int] = []
    cursor = ""
    with pytest.raises(grpc.aio.AioRpcError) as caught:  # noqa: PT012 - what came before the end counts too
        while message := await stream.read():
            sequences += [event.sequence for event in message.batch.events]
            cursor = message.cursor
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason_of(caught.value) == "SLOW_CONSUMER"
    head = served.gateway.journal.head("main")
    assert 0 < len(sequences) < head
    rest = events_of(served.channel(), account_ids=["main"], after_cursor=cursor)
    while (message := await rest.read()).WhichOneof("payload") != "caught_up":
        sequences += [event.sequence for event in message.batch.events]
    assert sequences == list(range(1, head + 1))


async def test_a_slow_consumer_harms_nobody_else(serve: Serve) -> None:
    """While one subscriber stands still, another gets every event and orders are answered."""
    served = await serve(TransportSettings(listeners=LOOPBACK, stall_timeout_ms=60_000))
    stuck = events_of(served.channel(), account_ids=["main"], start_position=EARLIEST)
    await stuck.read()
    reader = events_of(served.channel(), account_ids=["main"], start_position=EARLIEST)
    seen = 0

    async def read() -> None:
        nonlocal seen
        while message := await reader.read():
            seen += len(message.batch.events)

    reading = asyncio.create_task(read())
    await flood(served)
    await until(lambda: seen == served.gateway.journal.head("main"))
    assert (await place(served, market("after"))).order.cum_quantity == "1"
    assert served.server.streams == 2
    reading.cancel()


async def test_streams_are_bounded(serve: Serve) -> None:
    """One stream more than the limit is TOO_MANY_STREAMS, and there is room again when one ends."""
    served = await serve(TransportSettings(listeners=LOOPBACK, max_subscribers=2))
    open_ = [events_of(served.channel()) for _ in range(2)]
    for stream in open_:
        await stream.read()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await events_of(served.channel()).read()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (reason_of(caught.value), info_of(caught.value).metadata["limit"]) == ("TOO_MANY_STREAMS", "2")
    open_[0].cancel()
    await until(lambda: served.server.streams == 1)
    assert (await events_of(served.channel()).read()).HasField("opened")


async def test_a_revoked_token_ends_its_streams(serve: Serve, tokens: TokenStore) -> None:
    """Within a second a revoked token's stream says why and ends UNAUTHENTICATED; another token's goes on."""
    settings = TransportSettings(listeners=LOOPBACK, token_poll_ms=50)
    mine, other = make_token(tokens, "mine", Scope.READ), make_token(tokens, "other", Scope.READ)
    served = await serve(settings, tokens)
    ended = events_of(served.channel(), bearer(mine))
    stays = events_of(served.channel(), bearer(other))
    cursor = (await ended.read()).cursor
    assert (await ended.read()).HasField("caught_up")
    assert [(await stays.read()).WhichOneof("payload") for _ in range(2)] == ["opened", "caught_up"]
    tokens.revoke("mine")
    async with asyncio.timeout(1):
        last = await ended.read()
    assert last.closing.reason == error_pb2.ERROR_REASON_TOKEN_REVOKED
    assert last.cursor == cursor
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ended.read()
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert reason_of(caught.value) == "TOKEN_REVOKED"
    admin = make_token(tokens, "placer", Scope.TRADE)
    await place(served, market("c1"), metadata=bearer(admin))
    assert (await stays.read()).batch.events


async def test_an_account_that_is_not_allowed_is_not_told_apart(serve: Serve, tokens: TokenStore) -> None:
    """A token's stream of all accounts is of its own; others are refused in the same words, there or not."""
    token = bearer(make_token(tokens, "mine", Scope.TRADE, ["main"]))
    served = await serve(authenticator=tokens)
    stream = events_of(served.channel(), token, start_position=EARLIEST)
    await stream.read()
    admin = bearer(make_token(tokens, "all", Scope.ADMIN, None))
    await place(served, limit("theirs", "other"), metadata=admin)
    await place(served, limit("ours", "main"), metadata=token)
    accounts: set[str] = set()
    while not accounts:
        accounts |= {event.account_id for event in (await stream.read()).batch.events}
    assert accounts == {"main"}
    texts = []
    for account_id in ("other", "none"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await events_of(served.channel(), token, account_ids=[account_id]).read()
        assert reason_of(caught.value) == "ACCOUNT_NOT_ALLOWED"
        texts.append(str(caught.value.details()).replace(account_id, "X"))
    assert texts[0] == texts[1]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await events_of(served.channel(), admin, account_ids=["none"]).read()
    assert reason_of(caught.value) == "ACCOUNT_NOT_FOUND"
