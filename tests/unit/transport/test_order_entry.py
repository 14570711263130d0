from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import pytest

from brokergate.domain.access import Scope
from brokergate.tokens import TokenStore
from brokergate.transport.settings import TransportSettings
from brokergate.v1 import enums_pb2, error_pb2, order_pb2, order_service_pb2_grpc
from tests.unit.transport.conftest import LOOPBACK, Log, Serve, Served
from tests.unit.transport.errors import fields_of, reason_of
from tests.unit.transport.orders import get, limit, market, place
from tests.unit.transport.test_auth import bearer, make_token
from tests.unit.transport.test_streams import until

Command = order_pb2.OrderCommand


def ref(name: str) -> order_pb2.OrderRef:
    return order_pb2.OrderRef(client_order_id=name)


def lease(grace_ms: int, enabled: bool = True) -> order_pb2.CancelOnDisconnect:
    wanted = order_pb2.CancelOnDisconnect(enabled=enabled)
    wanted.grace.FromMilliseconds(grace_ms)
    return wanted


def open_entry(served: Served, metadata: Any = None) -> Any:
    stub: Any = order_service_pb2_grpc.OrderServiceStub(served.channel())
    return stub.StreamOrderEntry(metadata=metadata, timeout=60)


async def ask(
    stream: Any, commands: Sequence[order_pb2.OrderCommand], **fields: Any
) -> list[order_pb2.OrderCommandResult]:
    """The results of `commands`, however many responses they come in."""
    await stream.write(order_pb2.StreamOrderEntryRequest(commands=commands, **fields))
    results: list[order_pb2.OrderCommandResult] = []
    while len(results) < len(commands):
        results += (await stream.read()).results
    return results


async def test_commands_are_carried_out_in_order(served: Served) -> None:
    """A place, its replace, its cancel and a cancel of all in one message take hold one after the other, and each
    result carries its command's name."""
    stream = open_entry(served)
    results = await ask(
        stream,
        [
            Command(request_id="1", place=limit("c1")),
            Command(request_id="2", place=market("c2")),
            Command(
                request_id="3",
                replace=order_pb2.ReplaceOrderRequest(
                    account_id="main", order=ref("c1"), expected_generation=1, limit_price="91"
                ),
            ),
            Command(request_id="4", cancel=order_pb2.CancelOrderRequest(account_id="main", order=ref("c1"))),
            Command(request_id="5", place=limit("c5")),
            Command(request_id="6", cancel_all=order_pb2.CancelAllOrdersRequest(account_id="main")),
            Command(request_id="7", place=market("c2")),
        ],
    )
    assert [result.request_id for result in results] == list("1234567")
    states = [result.order.state for result in results]
    assert states[:2] == [enums_pb2.ORDER_STATE_NEW, enums_pb2.ORDER_STATE_FILLED]
    assert (results[2].order.generation, results[2].order.spec.limit_price) == (2, "91")
    assert states[3:5] == [enums_pb2.ORDER_STATE_CANCELED, enums_pb2.ORDER_STATE_NEW]
    cancelled = results[5].cancel_all.results
    assert [result.order.client_order_id for result in cancelled] == ["c5"]
    assert results[6].already_existed
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF


async def test_a_command_repeated_by_its_rpc_has_the_same_answer(served: Served) -> None:
    """A cancel on the stream and the same CancelOrder by its own RPC are one request."""
    await place(served, limit("c1"))
    stream = open_entry(served)
    cancel = order_pb2.CancelOrderRequest(account_id="main", order=ref("c1"), request_id="r1")
    (result,) = await ask(stream, [Command(request_id="x", cancel=cancel)])
    stub: Any = order_service_pb2_grpc.OrderServiceStub(served.channel())
    assert (await stub.CancelOrder(cancel)).order == result.order
    assert served.desk.cancelled == ["c1"]


async def test_a_command_that_is_wrong_is_a_result(served: Served) -> None:
    """Commands that are malformed, unknown or not possible are errors in their places; the others are carried out and
    the stream goes on."""
    stream = open_entry(served)
    bad = limit("c2")
    bad.order.limit_price = "1e5"
    results = await ask(
        stream,
        [
            Command(request_id="1", place=limit("c1")),
            Command(request_id="2", place=bad),
            Command(request_id="3", place=limit("c3", "none")),
            Command(request_id="4"),
            Command(request_id="", place=limit("c5")),
            Command(request_id="6", cancel=order_pb2.CancelOrderRequest(account_id="main", order=ref("zz"))),
            Command(request_id="7", place=limit("c7")),
        ],
    )
    assert [error_pb2.ErrorReason.Name(result.error.reason)[13:] for result in results] == [
        "UNSPECIFIED",
        "INVALID_FIELD",
        "ACCOUNT_NOT_FOUND",
        "INVALID_FIELD",
        "INVALID_FIELD",
        "ORDER_NOT_FOUND",
        "UNSPECIFIED",
    ]
    assert results[1].error.field_violations[0].field == "commands[1].place.order.limit_price"
    assert [order.client_order_id for order in served.desk.placed] == ["c1", "c7"]
    assert (await ask(stream, [Command(request_id="8", place=market("c8"))]))[0].order.cum_quantity == "1"


async def test_a_fault_of_ours_ends_the_command_and_not_the_stream(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that nobody foresaw is INTERNAL in the result, with its traceback in the log alone."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret sauce")

    stream = open_entry(served)
    monkeypatch.setattr(served.gateway, "place_orders", broken)
    monkeypatch.setattr(served.gateway, "cancel_order", broken)
    cancel = order_pb2.CancelOrderRequest(account_id="main", order=ref("c1"))
    results = await ask(
        stream, [Command(request_id="1", place=market("c1")), Command(request_id="2", cancel=cancel)]
    )
    assert [result.error.reason for result in results] == [error_pb2.ERROR_REASON_INTERNAL] * 2
    assert not any("sauce" in str(result) for result in results)
    faults = [line for line in served.log.lines if line["level"] == "error"]
    assert [type(line["exc_info"]) for line in faults] == [ZeroDivisionError] * 2


async def test_a_message_that_is_wrong_ends_the_stream(served: Served) -> None:
    """Bytes that do not parse, more than 500 commands and a grace above 60 s end the stream INVALID_ARGUMENT, after
    the results of what came before; nothing of the message is done."""
    channel = served.channel()
    too_many = [Command(request_id=f"r{number}", place=market(f"m{number}")) for number in range(501)]
    for body, field in (
        (b"\xff\xff", []),
        (order_pb2.StreamOrderEntryRequest(commands=too_many).SerializeToString(), ["commands"]),
        (
            order_pb2.StreamOrderEntryRequest(cancel_on_disconnect=lease(60_001)).SerializeToString(),
            ["cancel_on_disconnect.grace"],
        ),
    ):
        call: Any = channel.stream_stream("/brokergate.v1.OrderService/StreamOrderEntry")
        stream = call(timeout=20)
        first = order_pb2.StreamOrderEntryRequest(commands=[Command(request_id="1", place=market("c1"))])
        await stream.write(first.SerializeToString())
        await stream.write(body)
        response = order_pb2.StreamOrderEntryResponse.FromString(await stream.read())
        assert response.results[0].order.cum_quantity == "1"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(caught.value) == ("INVALID_FIELD" if field else "MALFORMED_MESSAGE")
        assert fields_of(caught.value) == field
    assert [order.client_order_id for order in served.desk.placed] == ["c1"]


async def test_consecutive_places_are_one_batch(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of 500 places on two accounts is as many batches as there are runs of one account."""
    sizes: list[int] = []
    place_orders = served.gateway.place_orders

    async def counted(commands: Any) -> Any:
        sizes.append(len(commands))
        return await place_orders(commands)

    monkeypatch.setattr(served.gateway, "place_orders", counted)
    stream = open_entry(served)
    commands = [
        Command(
            request_id=f"r{number}", place=market(f"c{number}", "other" if 100 <= number < 150 else "main")
        )
        for number in range(500)
    ]
    results = await ask(stream, commands)
    assert [result.request_id for result in results] == [command.request_id for command in commands]
    assert all(result.order.cum_quantity == "1" for result in results)
    assert sizes == [100, 50, 350]


async def test_an_account_that_is_not_allowed_is_an_error_of_its_command(
    serve: Serve, tokens: TokenStore
) -> None:
    """A token for one account trades on it through the stream, and on no other."""
    token = bearer(make_token(tokens, "mine", Scope.TRADE, ["main"]))
    served = await serve(authenticator=tokens)
    stream = open_entry(served, token)
    cancel = order_pb2.CancelAllOrdersRequest(account_id="other")
    results = await ask(
        stream,
        [
            Command(request_id="1", place=market("c1")),
            Command(request_id="2", place=market("c2", "other")),
            Command(request_id="3", cancel_all=cancel),
        ],
    )
    not_allowed = error_pb2.ERROR_REASON_ACCOUNT_NOT_ALLOWED
    assert [result.error.reason for result in results] == [0, not_allowed, not_allowed]


async def test_a_client_that_goes_away_has_its_orders_cancelled(served: Served) -> None:
    """With a lease, the open orders placed through the stream are cancelled after the grace, and no others: not those
    of other streams, not those that have ended."""
    await place(served, limit("elsewhere"))
    stream = open_entry(served)
    commands = [
        Command(request_id="1", place=limit("c1")),
        Command(request_id="2", place=market("c2")),
        Command(request_id="3", place=limit("c3", "other")),
    ]
    await ask(stream, commands, cancel_on_disconnect=lease(50))
    stream.cancel()
    await until(lambda: any(line["event"] == "cancelled on disconnect" for line in served.log.lines))
    assert (await get(served, "c1")).state == enums_pb2.ORDER_STATE_CANCELED
    await until(lambda: len([x for x in served.log.lines if x["event"] == "cancelled on disconnect"]) == 2)
    assert (await get(served, "c3", "other")).state == enums_pb2.ORDER_STATE_CANCELED
    assert (await get(served, "elsewhere")).state == enums_pb2.ORDER_STATE_NEW
    assert served.desk.cancelled == ["c1"]


async def test_an_order_under_way_is_in_the_lease(served: Served) -> None:
    """A client that goes away before its order was answered has that one cancelled too."""
    stream = open_entry(served)
    await ask(stream, [Command(request_id="0", place=market("c0"))], cancel_on_disconnect=lease(100))
    served.desk.hold.clear()
    request = order_pb2.StreamOrderEntryRequest(commands=[Command(request_id="1", place=limit("c1"))])
    await stream.write(request)
    await until(lambda: len(served.desk.placed) == 2)
    stream.cancel()
    served.desk.hold.set()
    await until(lambda: served.desk.cancelled == ["c1"])
    assert served.server.streams == 0


@pytest.mark.parametrize("how", ["closed", "cleared"])
async def test_a_client_that_ends_in_order_keeps_its_orders(served: Served, how: str) -> None:
    """A stream that the client closed, or whose lease it cleared before it went away, cancels nothing."""
    stream = open_entry(served)
    await ask(stream, [Command(request_id="1", place=limit("c1"))], cancel_on_disconnect=lease(0))
    if how == "closed":
        await stream.done_writing()
        assert await stream.read() == order_pb2.StreamOrderEntryResponse(), "the lease is let go"
        assert await stream.read() is grpc.aio.EOF
    else:
        await ask(
            stream,
            [Command(request_id="2", place=market("c2"))],
            cancel_on_disconnect=lease(0, enabled=False),
        )
        stream.cancel()
    await until(lambda: served.server.streams == 0)
    assert await served.server.drain(5)
    assert served.desk.cancelled == []


async def test_a_gateway_that_goes_down_carries_out_its_leases(served: Served) -> None:
    """At drain the stream gets its results, StreamClosing and an OK end, and its lease is carried out at once: nobody
    would be there after the grace."""
    stream = open_entry(served)
    await ask(stream, [Command(request_id="1", place=limit("c1"))], cancel_on_disconnect=lease(60_000))
    draining = asyncio.create_task(served.server.drain(5))
    last = await stream.read()
    assert last.closing.reason == error_pb2.ERROR_REASON_SHUTTING_DOWN
    assert await stream.read() is grpc.aio.EOF
    assert await stream.code() is grpc.StatusCode.OK
    async with asyncio.timeout(5):
        assert await draining
    assert served.desk.cancelled == ["c1"]


async def test_a_client_that_does_not_read_its_results_is_not_read_either(serve: Serve) -> None:
    """Commands go on being sent and no result is read: the gateway stops taking them, and ends the stream with
    SLOW_CONSUMER."""
    settings = TransportSettings(listeners=LOOPBACK, stall_timeout_ms=300, abort_timeout_ms=200)
    served = await serve(settings, log=Log(10))
    stream = open_entry(served)
    request = limit("x")
    for number in range(16):
        request.order.labels[f"label-{number}"] = "x" * 64

    async def send() -> None:
        for number in range(200):
            commands = []
            for index in range(500):
                request.client_order_id = f"c{number}-{index}"
                commands.append(Command(request_id=f"r{index}", place=request))
            await stream.write(order_pb2.StreamOrderEntryRequest(commands=commands))

    await until(lambda: served.server.streams == 1)
    sending = asyncio.create_task(send())
    await until(lambda: served.server.streams == 0, 60)
    taken = len(served.desk.placed)
    assert 0 < taken < 100_000
    assert served.log.lines[-1]["reason"] == "SLOW_CONSUMER"
    stream.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert len(served.desk.placed) == taken
