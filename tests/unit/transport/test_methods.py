from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.ports.journal import CommitUnknown, JournalError
from brokergate.transport.calls import Stream
from brokergate.transport.methods import SERVICES, Reporter, method_name
from brokergate.transport.services import table
from brokergate.transport.settings import TransportSettings
from brokergate.v1 import (
    enums_pb2,
    event_pb2,
    event_service_pb2_grpc,
    order_pb2,
    order_service_pb2_grpc,
)
from tests.unit.transport.conftest import LOOPBACK, Log, Serve, Served
from tests.unit.transport.errors import has_retry, info_of, reason_of, status_of
from tests.unit.transport.orders import get, market, place

PLACE = "/brokergate.v1.OrderService/PlaceOrder"


def every_method() -> Iterator[Any]:
    for service in SERVICES:
        yield from service.methods


@pytest.mark.parametrize(
    "body", [b"\xff\xff\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe"], ids=["tag", "cut", "utf8"]
)
async def test_bytes_that_do_not_parse_are_invalid_argument(served: Served, body: bytes) -> None:
    """On every RPC of the contract, whichever way it streams, bytes that are no message are MALFORMED_MESSAGE."""
    channel = served.channel()
    for method in every_method():
        fields = method.input_type.fields_by_number
        if 1 not in fields and body != b"\xff\xff\xff":
            continue  # an unknown field is no error: ListAccountsRequest has none at all
        if body == b"\x0a\x02\xff\xfe" and fields[1].type != fields[1].TYPE_STRING:
            continue
        call: Any = channel.stream_stream(f"/{method.containing_service.full_name}/{method.name}")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call(iter([body]), timeout=20):
                pass
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, method.full_name
        assert reason_of(caught.value) == "MALFORMED_MESSAGE", method.full_name


def test_every_rpc_of_the_contract_is_implemented() -> None:
    """The table has an object for every service, and it a coroutine method for every RPC."""
    nothing: Any = None
    objects = table.implementations(nothing, nothing, nothing, TransportSettings(), nothing)
    assert set(objects) == {service.name for service in SERVICES}
    for method in every_method():
        behaviour = getattr(objects[method.containing_service.name], method_name(method.name))
        assert asyncio.iscoroutinefunction(behaviour), method.full_name


async def test_every_service_of_the_contract_files_is_in_the_table() -> None:
    """No service is defined in the contract and forgotten in the list of services."""
    found = {service.full_name for service in SERVICES for service in service.file.services_by_name.values()}
    assert {service.full_name for service in SERVICES} == found
    assert len(found) == 9


async def test_a_method_that_does_not_exist_is_unimplemented(served: Served) -> None:
    """An unknown method, or one of an unknown service, is UNIMPLEMENTED with its ErrorInfo."""
    for path in ("/brokergate.v1.OrderService/PlaceOrders", "/brokergate.v2.OrderService/PlaceOrder", "/x/y"):
        call: Any = served.channel().unary_unary(path)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert reason_of(caught.value) == "UNIMPLEMENTED"


async def test_a_fault_of_ours_is_internal_and_its_text_stays_in_the_log(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that nobody foresaw is INTERNAL with the request id; the log has the traceback under that id."""

    async def broken(command: object) -> None:
        raise ZeroDivisionError("secret sauce")

    monkeypatch.setattr(served.gateway, "place_order", broken)
    stub = order_service_pb2_grpc.OrderServiceStub(served.channel())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.PlaceOrder(market("c1"), metadata=(("x-request-id", "mine-1"),), timeout=20)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert info_of(caught.value).metadata["request_id"] == "mine-1"
    assert b"sauce" not in status_of(caught.value).SerializeToString()
    (line,) = [line for line in served.log.lines if line["event"] == "call failed"]
    assert isinstance(line.pop("exc_info"), ZeroDivisionError)
    assert line.pop("duration_ms") >= 0
    assert line == {
        "level": "error",
        "event": "call failed",
        "method": PLACE,
        "request_id": "mine-1",
        "account_id": "main",
        "client_order_id": "c1",
        "principal": "anonymous",
        "status": "INTERNAL",
        "reason": "INTERNAL",
        "error_class": "ZeroDivisionError",
    }


async def test_a_request_id_that_is_not_one_is_replaced(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request id of the client's is taken where it is well-formed; another is drawn otherwise, each time its own."""

    async def broken(command: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(served.gateway, "place_order", broken)
    seen = set()
    for name in ("a b", "x" * 65, "%0a", ""):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await place(served, market("c1"), metadata=(("x-request-id", name),))
        seen.add(info_of(caught.value).metadata["request_id"])
    assert len(seen) == 4
    assert not seen & {"a b", "x" * 65, "%0a", ""}


async def test_a_journal_that_fails_is_unavailable(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that cannot be written refuses the call as UNAVAILABLE, with RetryInfo."""

    async def broken(command: object) -> None:
        raise JournalError("disk full")

    monkeypatch.setattr(served.gateway, "place_order", broken)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await place(served, market("c1"))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert reason_of(caught.value) == "JOURNAL_UNAVAILABLE"
    assert has_retry(caught.value)


def test_a_journal_that_fails_does_not_fill_the_log() -> None:
    """Of the calls that it refuses within a second ten are logged, and the next second's first line counts the rest."""
    log, clock = Log(), Hand()
    reporter = Reporter(log, clock, random.Random(1))
    for _ in range(40):
        told = reporter.failed_command("m", None, JournalError("disk full"))
        assert told.reason is ErrorReason.JOURNAL_UNAVAILABLE
    assert len(log.lines) == 10
    clock.now += 10**9
    reporter.failed_command("m", None, CommitUnknown("disk full"))
    assert (log.lines[-1]["unlogged"], log.lines[-1]["reason"]) == (30, "OUTCOME_UNKNOWN")


class Hand:
    """A clock that stands still."""

    now = 10**9

    def now_ns(self) -> int:
        return self.now

    def monotonic_ns(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps here")


async def test_an_order_goes_on_when_its_deadline_passes(served: Served) -> None:
    """A deadline ends the wait and not the order: it is at the broker, and fills when the broker answers."""
    served.desk.hold.clear()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await place(served, market("c1"), timeout_s=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await get(served, "c1")).state == enums_pb2.ORDER_STATE_PENDING_NEW
    served.desk.hold.set()
    again = await place(served, market("c1"))
    assert len(served.desk.placed) == 1
    assert again.already_existed
    assert (await get(served, "c1")).state == enums_pb2.ORDER_STATE_FILLED


async def test_a_message_that_is_too_large_is_refused(serve: Serve) -> None:
    """A request above the limit is RESOURCE_EXHAUSTED and reaches nobody."""
    served = await serve(TransportSettings(listeners=LOOPBACK, max_message_bytes=10_000))
    request = order_pb2.BatchPlaceOrdersRequest(account_id="main")
    for number in range(400):
        request.orders.add(client_order_id=f"c{number}", order=market("x").order)
    stub = order_service_pb2_grpc.OrderServiceStub(served.channel())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.BatchPlaceOrders(request, timeout=20)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert served.desk.placed == []


async def test_headers_that_are_too_large_are_refused(serve: Serve) -> None:
    """A call whose headers pass the limit is RESOURCE_EXHAUSTED."""
    served = await serve(TransportSettings(listeners=LOOPBACK, max_metadata_bytes=2048))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await place(served, market("c1"), metadata=(("x-junk", "j" * 8000),))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_every_call_is_logged_at_debug(serve: Serve) -> None:
    """At the level debug a call is a line with its facts, refused ones with their reason; no header is in it."""
    served = await serve(log=Log(10))
    await place(served, market("c1"), metadata=(("authorization", ""), ("x-request-id", "r1"))[1:])
    with pytest.raises(grpc.aio.AioRpcError):
        await place(served, order_pb2.PlaceOrderRequest(account_id="main"))
    calls = [line for line in served.log.lines if line["event"].startswith("call")]
    assert [(line["event"], line["status"]) for line in calls] == [
        ("call", "OK"),
        ("call refused", "INVALID_ARGUMENT"),
    ]
    assert (calls[0]["request_id"], calls[0]["client_order_id"], calls[0]["account_id"]) == (
        "r1",
        "c1",
        "main",
    )
    assert calls[1]["reason"] == "INVALID_FIELD"


async def test_calls_that_succeed_are_not_logged_at_info(served: Served) -> None:
    """At the level info a call that succeeds leaves no line."""
    await place(served, market("c1"))
    assert [line["event"] for line in served.log.lines] == ["listening"]


async def test_a_reader_that_left_in_the_middle_of_a_message_is_no_fault(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A write that fails because the client is gone ends its stream, and neither we nor gRPC log a fault."""

    async def gone(stream: Stream, body: bytes) -> None:
        raise grpc.aio.InternalError("Failed grpc_call_start_batch")

    monkeypatch.setattr(Stream, "write", gone)
    stub = event_service_pb2_grpc.EventServiceStub(served.channel())
    call = stub.StreamEvents(event_pb2.StreamEventsRequest(account_ids=["main"]), timeout=20)
    # This reader is still there, and is told that its stream broke.
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
    assert [line for line in served.log.lines if line["level"] == "error"] == []
    assert served.server.streams == 0
