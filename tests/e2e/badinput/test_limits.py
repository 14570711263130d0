"""Every limit of the server, one beyond it: who is refused is told so, and the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor

from brokergate.v1 import enums_pb2 as enums
from brokergate.v1.account_pb2 import GetAccountRequest, ListAccountsRequest
from brokergate.v1.event_pb2 import START_POSITION_EARLIEST, StreamEventsRequest, StreamEventsResponse
from brokergate.v1.order_pb2 import (
    BatchOrder,
    BatchPlaceOrdersRequest,
    ListOrdersRequest,
    OrderSpec,
)
from tests.e2e.badinput.answers import Answer, faults
from tests.e2e.badinput.caller import Caller, refusal_of
from tests.e2e.badinput.contract import RPCS, leaves
from tests.e2e.badinput.edits import put
from tests.e2e.badinput.house import SEALED, STANDING, House, expect_ok, state_of
from tests.e2e.badinput.valid import Scene, ground, makers
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess

MIB = 1 << 20
MAX_MESSAGE = 4 * MIB

LIMITS = """
server:
  limits: {{{limits}}}
accounts:
  paper: {{broker: paper}}
"""


@pytest.fixture
def start_limited(start_server: StartServer, tmp_path: Path) -> Callable[[str], ServerProcess]:
    """Starts a server of the test's own with other limits."""

    def start(limits: str) -> ServerProcess:
        config = tmp_path / "limits.yaml"
        config.write_text(LIMITS.format(limits=limits))
        return start_server("--config", config)

    return start


async def serves(caller: Caller) -> None:
    """The server answers."""
    await expect_ok(caller, "ListAccounts", ListAccountsRequest())


# Sizes


def padded(size: int) -> bytes:
    """A PlaceOrderRequest of exactly `size` bytes, with a label that is far too long."""
    request: Any = makers(Scene(prefix="padded"))["PlaceOrder"]()
    request.order.labels["k"] = ""
    request.order.labels["k"] = "v" * (size - request.ByteSize() - 16)
    while request.ByteSize() != size:
        request.order.labels["k"] += "v" * (size - request.ByteSize())
    body: bytes = request.SerializeToString()
    return body


async def test_a_message_of_the_largest_size_is_read_and_one_byte_more_is_refused(caller: Caller) -> None:
    """The limit on a message holds to the byte; a larger one is RESOURCE_EXHAUSTED, by gRPC itself."""
    largest = await caller.call(RPCS["PlaceOrder"], (padded(MAX_MESSAGE),))
    assert largest.reason == "INVALID_FIELD"
    assert not faults(RPCS["PlaceOrder"], largest)
    for size in (MAX_MESSAGE + 1, 4 * MAX_MESSAGE):
        for name in ("PlaceOrder", "StreamEvents", "PushMarketData", "StreamOrderEntry"):
            answer = await caller.call(RPCS[name], (bytes(size),))
            assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED, f"{name}: {answer}"
    await serves(caller)


async def test_headers_of_sixteen_kibibytes_are_read_and_more_are_refused(house: House) -> None:
    """The limit on a call's headers holds; more is RESOURCE_EXHAUSTED, and the connection goes on."""
    rpc = RPCS["ListAccounts"]
    async with house.caller() as caller:
        small = [*house.metadata(), ("x-padding", "x" * 15_000)]
        assert (await caller.call(rpc, (b"",), metadata=small)).code is grpc.StatusCode.OK
        for extra in ([("x-padding", "x" * 20_000)], [(f"x-{n}", "y") for n in range(2000)]):
            answer = await caller.call(rpc, (b"",), metadata=[*house.metadata(), *extra])
            assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        await serves(caller)


BEARERS = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer  ",
    "bearer x",
    "Basic dXNlcjpwYXNz",
    "Bearer " + "x" * 600,
    "Bearer bg_" + "A" * 43,
    "Bearer a b",
    "Token bg_x",
]


@pytest.mark.parametrize("header", BEARERS)
@pytest.mark.parametrize(
    "rpc", ["ListAccounts", "PlaceOrder", "StreamEvents", "PushMarketData", "StreamOrderEntry"]
)
async def test_a_wrong_authorization_header_is_refused(house: House, rpc: str, header: str) -> None:
    """Whatever stands in `authorization` that is no token of the gateway is UNAUTHENTICATED."""
    async with house.caller() as caller:
        body = makers(Scene())[rpc]().SerializeToString()
        answer = await caller.call(RPCS[rpc], (body,), metadata=(("authorization", header),))
    assert answer.code is grpc.StatusCode.UNAUTHENTICATED
    assert answer.reason == "TOKEN_INVALID"
    assert not faults(RPCS[rpc], answer)


# Bytes that do not parse


def _strings() -> Iterator[tuple[str, str, str]]:
    for rpc in RPCS.values():
        for leaf in leaves(rpc.fields):
            if leaf.field.type == FieldDescriptor.TYPE_STRING:
                yield rpc.name, leaf.path, leaf.key


MARK = "zqzqzqzq"


def not_text(rpc: str, path: str, key: str) -> bytes:
    """A request in which the string at `path` holds bytes that are not UTF-8."""
    request = ground(Scene(), rpc, path, key)
    field: Any = next(leaf.field for leaf in leaves(RPCS[rpc].fields) if leaf.path == path)
    put(request, path, [MARK] if field.is_repeated else MARK)
    body = request.SerializeToString()
    assert body.count(MARK.encode()) == 1
    return body.replace(MARK.encode(), b"\xff\xfe\xc3\x28\xed\xa0\x80\xff")


async def test_a_string_that_is_not_utf_8_is_malformed_in_every_field(caller: Caller) -> None:
    """Bytes that are no text are MALFORMED_MESSAGE, whichever string field they stand in."""
    before = await state_of(caller, STANDING)
    strings = list(_strings())
    assert len(strings) > 150

    async def check(rpc: str, path: str, key: str) -> str:
        answer = await caller.call(RPCS[rpc], (not_text(rpc, path, key),), refused=True)
        wrong = faults(RPCS[rpc], answer)
        return "" if answer.reason == "MALFORMED_MESSAGE" and not wrong else f"{rpc} {path}: {answer} {wrong}"

    wrong = [fault for fault in await asyncio.gather(*(check(*string) for string in strings)) if fault]
    assert not wrong
    assert await state_of(caller, STANDING) == before


UNPARSABLE: dict[str, bytes] = {
    "a tag alone": b"\x0a",
    "a length beyond the end": b"\x0a\x7fabc",
    "a length of four gigabytes": b"\x0a\xff\xff\xff\xff\x0fabc",
    "a varint of eleven bytes": b"\x50" + b"\xff" * 10 + b"\x01",
    "a varint without an end": b"\x50" + b"\x80" * 5,
    "field number zero": b"\x02\x00",
    "a wire type that there is not": b"\x0f",
    "a group without an end": b"\x7b\x7b\x7b",
    "an end of no group": b"\x7c",
    "groups a thousand deep": b"\x7b" * 1000 + b"\x7c" * 1000,
    "groups a hundred thousand deep": b"\x7b" * 100_000 + b"\x7c" * 100_000,
    "half a double": b"\x79\x00\x00",
    "noise": bytes(range(255, 0, -1)),
}


@pytest.mark.parametrize("name", UNPARSABLE)
async def test_bytes_that_do_not_parse_are_malformed_for_every_rpc(caller: Caller, name: str) -> None:
    """Bytes that are no message are MALFORMED_MESSAGE whatever they are sent to, also nested past all measure."""
    answers = await asyncio.gather(
        *(caller.call(rpc, (UNPARSABLE[name],), refused=True) for rpc in RPCS.values())
    )
    for rpc, answer in zip(RPCS.values(), answers, strict=True):
        assert answer.reason == "MALFORMED_MESSAGE", f"{rpc.name}: {answer}"
        assert not faults(rpc, answer)


async def test_unknown_fields_and_repeated_fields_follow_the_rules_of_protobuf(caller: Caller) -> None:
    """Fields of a later contract are ignored, and of a field that comes twice the last one counts."""
    rpc = RPCS["GetAccount"]
    later = GetAccountRequest(account_id=SEALED).SerializeToString() + b"\xfa\x3f\x03abc" + b"\x98\x3f\x01"
    assert (await caller.call(rpc, (later,))).code is grpc.StatusCode.OK
    twice = GetAccountRequest(account_id="nobody").SerializeToString()
    twice += GetAccountRequest(account_id=SEALED).SerializeToString()
    assert (await caller.call(rpc, (twice,))).code is grpc.StatusCode.OK


# Lists that are as long as a message allows


def _huge(rpc: str) -> Iterator[tuple[str, bytes]]:
    """Requests of nearly four mebibytes in one repeated field."""
    for leaf in leaves(RPCS[rpc].fields):
        field: Any = leaf.field
        if not field.is_repeated or "." in leaf.path:
            continue
        base, tag = makers(Scene())[rpc]().SerializeToString(), field.number << 3
        room = MAX_MESSAGE - len(base) - 16
        if field.enum_type is not None:
            count = room
            body = bytes((tag | 2,)) + _varint(count) + b"\x63" * count
        else:
            body = bytes((tag | 2, 0)) * (room // 2)
        yield leaf.path, base + body


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


HUGE = [(rpc, path, body) for rpc in RPCS for path, body in _huge(rpc)]


@pytest.mark.parametrize(("rpc", "path", "body"), HUGE, ids=[f"{rpc}-{path}" for rpc, path, _ in HUGE])
async def test_a_list_as_long_as_a_message_allows_is_refused_without_ado(
    caller: Caller, rpc: str, path: str, body: bytes
) -> None:
    """A list of millions of items is refused as one field, by its length, and not item by item."""
    before = await state_of(caller, (SEALED,))
    answer = await caller.call(RPCS[rpc], (body,), refused=True)
    assert not faults(RPCS[rpc], answer)
    reasons = answer.reasons()
    assert reasons <= {"INVALID_FIELD"}, reasons
    assert reasons, f"{rpc} took {path}"
    assert await state_of(caller, (SEALED,)) == before


def worst_orders(rpc: str) -> Any:
    """The largest number of orders, each wrong in as many fields as an order has, with values that errors repeat."""
    request: Any = makers(Scene())[rpc]()
    wrong = "🙂" * 64
    spec = OrderSpec(symbol=wrong, side=99, type=99, quantity=wrong, limit_price=wrong, stop_price=wrong)  # type: ignore[arg-type]
    spec.trail_amount = spec.trail_percent = spec.display_quantity = wrong
    spec.labels.update({f"{wrong[:60]}{n}": "v" for n in range(16)})
    spec.take_profit.client_order_id = spec.stop_loss.client_order_id = wrong
    spec.take_profit.limit_price = spec.stop_loss.stop_price = wrong
    items = request.orders if rpc == "BatchPlaceOrders" else request.commands
    del items[:]
    for _ in range(500):
        item = items.add()
        order = item if rpc == "BatchPlaceOrders" else item.place
        order.client_order_id = wrong
        order.order.CopyFrom(spec)
    return request


@pytest.mark.parametrize("rpc", ["BatchPlaceOrders", "StreamOrderEntry"])
async def test_five_hundred_orders_with_everything_wrong_are_told_so_one_by_one(
    caller: Caller, rpc: str
) -> None:
    """The longest errors that the most orders can have still fit into answers."""
    before = await state_of(caller, (SEALED,))
    answer = await caller.send(RPCS[rpc], worst_orders(rpc))
    assert answer.code is grpc.StatusCode.OK, answer.message
    errors = answer.item_errors()
    assert len(errors) == 500
    assert {len(error.field_violations) for error in errors} == {16}
    assert await state_of(caller, (SEALED,)) == before


# Streams


async def _opened(channel: Any) -> Any:
    call = channel.unary_stream(RPCS["StreamEvents"].path)(StreamEventsRequest().SerializeToString())
    await call.read()
    return call


async def test_one_stream_too_many_is_refused_and_the_others_go_on(
    start_limited: Callable[[str], ServerProcess],
) -> None:
    """Past `max_subscribers` a stream of any kind is TOO_MANY_STREAMS; when one ends, the next is let in."""
    server = start_limited("max_subscribers: 5")
    rpcs = ("StreamEvents", "StreamFills", "StreamMarketData", "StreamOrderEntry", "PushMarketData")
    async with grpc.aio.insecure_channel(server.address) as channel, Caller(server.address) as caller:
        calls = [await _opened(channel) for _ in range(5)]
        for name in rpcs:
            answer = await caller.send(RPCS[name], makers(Scene(account="paper"))[name]())
            assert answer.reason == "TOO_MANY_STREAMS", name
            assert not faults(RPCS[name], answer)
        await serves(caller)
        for call in calls:
            assert not call.done()
        calls[0].cancel()
        await asyncio.sleep(0.2)
        calls[0] = await _opened(channel)


async def test_a_connection_has_so_many_calls_and_the_next_one_waits(
    start_limited: Callable[[str], ServerProcess],
) -> None:
    """Past `max_concurrent_streams` a call waits in its client until another one of the connection ends; another
    connection is not concerned."""
    server = start_limited("max_concurrent_streams: 3")
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(server.address, options) as channel:
        calls = [await _opened(channel) for _ in range(3)]
        waiting = asyncio.create_task(_opened(channel))
        async with Caller(server.address) as caller:
            await serves(caller)
        assert not waiting.done()
        calls[0].cancel()
        await asyncio.wait_for(waiting, 10)


async def _journal_much(caller: Caller, batches: int) -> int:
    """Fills of some thousand orders; how many there are."""
    spec = OrderSpec(
        symbol="BTC/USDT",
        side=enums.SIDE_BUY,
        type=enums.ORDER_TYPE_MARKET,
        quantity="0.00001",
        labels={f"label-{n}": "v" * 64 for n in range(16)},
    )
    for batch in range(batches):
        orders = [BatchOrder(client_order_id=f"m-{batch}-{n}", order=spec) for n in range(500)]
        await expect_ok(
            caller, "BatchPlaceOrders", BatchPlaceOrdersRequest(account_id="paper", orders=orders)
        )
    return batches * 500


async def _events(
    messages: AsyncIterator[bytes], seen: dict[str, int]
) -> AsyncIterator[StreamEventsResponse]:
    async for body in messages:
        message = StreamEventsResponse.FromString(body)
        for event in message.batch.events:
            assert event.sequence == seen.get(event.account_id, 0) + 1
            seen[event.account_id] = event.sequence
        yield message


@pytest.mark.timeout(240)
async def test_a_subscriber_that_does_not_read_is_cut_off_and_resumes(
    start_limited: Callable[[str], ServerProcess],
) -> None:
    """A subscriber that stops reading, with more to come than the transport holds for it, is ended with SLOW_CONSUMER
    and loses nothing when it goes on from its last cursor; nobody else waits for it, and the gateway does not keep
    for it what it does not read."""
    server = start_limited("stall_timeout_ms: 500, abort_timeout_ms: 200")
    request = StreamEventsRequest(account_ids=["paper"], start_position=START_POSITION_EARLIEST)
    path = RPCS["StreamEvents"].path
    async with grpc.aio.insecure_channel(server.address) as channel, Caller(server.address) as caller:
        await _journal_much(caller, 24)
        follow: Any = channel.unary_stream(path)
        slow = follow(request.SerializeToString())
        seen: dict[str, int] = {}
        messages = _events(aiter(slow), seen)
        cursor = (await anext(messages)).cursor
        await asyncio.sleep(2.0)
        await serves(caller)
        answer = None
        try:
            async for message in messages:
                cursor = message.cursor
        except grpc.aio.AioRpcError as error:
            answer = refusal_of(error)
        assert answer is not None
        assert answer.reason == "SLOW_CONSUMER"
        assert not faults(RPCS["StreamEvents"], answer)

        head = int((await _head(caller)).rpartition(":")[2])
        assert seen["paper"] < head, "everything was read: the stall came too late to be seen"
        resumed = StreamEventsRequest(account_ids=["paper"], after_cursor=cursor)
        async for message in _events(aiter(follow(resumed.SerializeToString())), seen):
            if message.HasField("caught_up"):
                break
        assert seen["paper"] >= head


async def _head(caller: Caller) -> str:
    answer = await expect_ok(caller, "ListOrders", ListOrdersRequest(account_id="paper", page_size=1))
    page: Any = answer.messages[0]
    cursor: str = page.cursor
    return cursor


# The gateway's own end


async def test_a_gateway_that_drains_says_so(server: ServerProcess) -> None:
    """On SIGTERM an open stream is told SHUTTING_DOWN with its cursor before it ends."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        call = await _opened(channel)
        ended = asyncio.create_task(asyncio.to_thread(server.terminate))
        closing = None
        while (body := await call.read()) is not grpc.aio.EOF:
            message = StreamEventsResponse.FromString(body)
            if message.HasField("closing"):
                closing = message
        assert closing is not None
        assert Answer(grpc.StatusCode.OK, messages=[closing]).reasons() == {"SHUTTING_DOWN"}
        assert closing.cursor
        assert await call.code() is grpc.StatusCode.OK
        assert await ended == 0
