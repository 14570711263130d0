"""The contract by generated, synchronous stubs, as most languages use it, against a server process.

The stubs and channels are pytest-grpc's; its server is overridden by the real one.
"""

from __future__ import annotations

import threading
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc

from brokergate.v1 import (
    account_pb2,
    account_service_pb2_grpc,
    enums_pb2,
    error_pb2,
    event_pb2,
    event_service_pb2_grpc,
    order_pb2,
    order_service_pb2_grpc,
)
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess

SYMBOL = "BTC/USDT"


@pytest.fixture(scope="module")
def grpc_addr(shared_server: ServerProcess) -> str:
    """Where the real server listens."""
    return shared_server.address


@pytest.fixture(scope="module")
def grpc_server(shared_server: ServerProcess) -> ServerProcess:
    """The real server."""
    return shared_server


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type:
    """The service that most tests call."""
    return order_service_pb2_grpc.OrderServiceStub


def order(name: str, **changes: Any) -> order_pb2.PlaceOrderRequest:
    spec: dict[str, Any] = {
        "symbol": SYMBOL,
        "side": enums_pb2.SIDE_BUY,
        "type": enums_pb2.ORDER_TYPE_MARKET,
        "quantity": "0.01",
    }
    return order_pb2.PlaceOrderRequest(
        account_id="paper", client_order_id=name, order=order_pb2.OrderSpec(**spec | changes)
    )


def resting(name: str) -> order_pb2.PlaceOrderRequest:
    return order(name, type=enums_pb2.ORDER_TYPE_LIMIT, limit_price="1")


def test_an_order_fills_and_is_told_everywhere(grpc_stub: Any, grpc_channel: grpc.Channel) -> None:
    """A market order fills; its fill is listed, streamed, and the repeat of the request is the same order."""
    placed = grpc_stub.PlaceOrder(order("s1"), timeout=20)
    assert placed.order.state == enums_pb2.ORDER_STATE_FILLED
    again = grpc_stub.PlaceOrder(order("s1"), timeout=20)
    assert again.already_existed
    assert again.order == placed.order
    request = order_pb2.ListFillsRequest(account_id="paper", order_id=placed.order.order_id)
    listed = grpc_stub.ListFills(request, timeout=20)
    events: Any = event_service_pb2_grpc.EventServiceStub(grpc_channel)
    stream = events.StreamFills(
        event_pb2.StreamFillsRequest(start_position=event_pb2.START_POSITION_EARLIEST), timeout=20
    )
    streamed = []
    for message in stream:
        streamed += [event.fill.fill for event in message.batch.events if event.HasField("fill")]
        if message.HasField("caught_up"):
            break
    stream.cancel()
    mine = [fill for fill in streamed if fill.order_id == placed.order.order_id]
    assert sorted(mine, key=lambda fill: fill.fill_id) == sorted(listed.fills, key=lambda fill: fill.fill_id)
    assert mine


def test_an_error_says_what_is_wrong_and_where(grpc_stub: Any) -> None:
    """A wrong request is INVALID_ARGUMENT with ErrorInfo and every field that is wrong in BadRequest."""
    with pytest.raises(grpc.RpcError) as caught:
        grpc_stub.PlaceOrder(order("!", quantity="1e5", side=0), timeout=20)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    info, bad = ErrorInfo(), BadRequest()
    assert status.details[0].Unpack(info)
    assert (info.domain, info.reason) == ("brokergate", "INVALID_FIELD")
    assert status.details[1].Unpack(bad)
    assert {violation.field for violation in bad.field_violations} == {
        "client_order_id",
        "order.quantity",
        "order.side",
    }


def test_order_entry_by_a_synchronous_stream(grpc_stub: Any) -> None:
    """Commands given as an iterator have their results in order, and a cancel finds what a place before it made."""
    commands = [
        order_pb2.OrderCommand(request_id="1", place=resting("e1")),
        order_pb2.OrderCommand(request_id="2", place=order("e2")),
        order_pb2.OrderCommand(
            request_id="3",
            cancel=order_pb2.CancelOrderRequest(
                account_id="paper", order=order_pb2.OrderRef(client_order_id="e1")
            ),
        ),
    ]
    requests = iter([order_pb2.StreamOrderEntryRequest(commands=[command]) for command in commands])
    results = [
        result for message in grpc_stub.StreamOrderEntry(requests, timeout=20) for result in message.results
    ]
    assert [(result.request_id, result.order.state) for result in results] == [
        ("1", enums_pb2.ORDER_STATE_NEW),
        ("2", enums_pb2.ORDER_STATE_FILLED),
        ("3", enums_pb2.ORDER_STATE_CANCELED),
    ]


def test_two_servers_do_not_share_an_address(shared_server: ServerProcess, start_server: StartServer) -> None:
    """A second server on the same address says so and ends."""
    with pytest.raises(AssertionError, match=f"{shared_server.address} cannot be listened on"):
        start_server(listen=shared_server.address)


def test_sigterm_drains(server: ServerProcess) -> None:
    """On SIGTERM health watches hear NOT_SERVING and end, event streams get StreamClosing with a cursor that works
    after the restart, an order entry stream's lease is carried out, and the process ends with status 0 in time."""
    with server.channel() as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        events: Any = event_service_pb2_grpc.EventServiceStub(channel)
        orders: Any = order_service_pb2_grpc.OrderServiceStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        stream = events.StreamEvents(event_pb2.StreamEventsRequest(), timeout=60)
        assert next(stream).HasField("opened")
        hold = threading.Event()
        entry = orders.StreamOrderEntry(_leased(hold), timeout=60)
        assert next(entry).results[0].order.state == enums_pb2.ORDER_STATE_NEW
        status = server.terminate()
        assert [message.status for message in watch] == [health_pb2.HealthCheckResponse.NOT_SERVING]
        *_, last = list(stream)
        assert last.closing.reason == error_pb2.ERROR_REASON_SHUTTING_DOWN
        assert [message.closing.reason for message in entry] == [error_pb2.ERROR_REASON_SHUTTING_DOWN]
        assert (watch.code(), stream.code(), entry.code()) == (grpc.StatusCode.OK,) * 3
        hold.set()
    assert status == 0, server.log
    server.start()
    with server.channel() as channel:
        events = event_service_pb2_grpc.EventServiceStub(channel)
        stream = events.StreamEvents(event_pb2.StreamEventsRequest(after_cursor=last.cursor), timeout=20)
        assert next(stream).HasField("opened")
        stream.cancel()
        orders = order_service_pb2_grpc.OrderServiceStub(channel)
        request = order_pb2.GetOrderRequest(
            account_id="paper", order=order_pb2.OrderRef(client_order_id="leased")
        )
        assert orders.GetOrder(request, timeout=20).order.state == enums_pb2.ORDER_STATE_CANCELED
        accounts: Any = account_service_pb2_grpc.AccountServiceStub(channel)
        assert accounts.ListAccounts(account_pb2.ListAccountsRequest(), timeout=20).accounts


def _leased(hold: threading.Event) -> Any:
    """One resting order under a lease; the stream stays open until `hold` is set."""
    message = order_pb2.StreamOrderEntryRequest(
        commands=[order_pb2.OrderCommand(request_id="1", place=resting("leased"))],
        cancel_on_disconnect=order_pb2.CancelOnDisconnect(enabled=True),
    )
    message.cancel_on_disconnect.grace.FromSeconds(60)
    yield message
    hold.wait(60)
