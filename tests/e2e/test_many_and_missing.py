"""Answers that grow with the account, accounts whose broker was never reached, readers that leave in the middle."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from brokergate.v1 import (
    account_pb2,
    account_service_pb2_grpc,
    enums_pb2,
    event_pb2,
    event_service_pb2_grpc,
    order_pb2,
    order_service_pb2_grpc,
)
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess, tracebacks

ORDERS = 1200


def labelled(number: int) -> order_pb2.BatchOrder:
    """An order that rests far below the market and carries all the labels that an order may."""
    spec = order_pb2.OrderSpec(
        symbol="BTC/USDT",
        side=enums_pb2.SIDE_BUY,
        type=enums_pb2.ORDER_TYPE_LIMIT,
        quantity="0.00001",
        limit_price="1000",
        labels={f"{label:032d}": "x" * 64 for label in range(16)},
    )
    return order_pb2.BatchOrder(client_order_id=f"c{number}", order=spec)


def test_cancel_all_answers_however_many_orders_there_are(server: ServerProcess) -> None:
    """All are cancelled; the answer shows 500 of them, counts the rest, and is the same when it is asked for again."""
    with server.channel() as channel:
        orders = order_service_pb2_grpc.OrderServiceStub(channel)
        for start in range(0, ORDERS, 400):
            batch = [labelled(number) for number in range(start, start + 400)]
            placed = orders.BatchPlaceOrders(
                order_pb2.BatchPlaceOrdersRequest(account_id="paper", orders=batch)
            )
            assert {result.order.state for result in placed.results} == {enums_pb2.ORDER_STATE_NEW}
        request = order_pb2.CancelAllOrdersRequest(account_id="paper", request_id="all")
        answer = orders.CancelAllOrders(request)
        assert [result.order.client_order_id for result in answer.results] == [f"c{n}" for n in range(500)]
        assert answer.omitted_results == ORDERS - 500
        assert orders.CancelAllOrders(request) == answer
        left = orders.ListOrders(order_pb2.ListOrdersRequest(account_id="paper", open_only=True))
        assert list(left.orders) == []


def test_an_account_whose_broker_was_never_reached_hides_no_other(
    start_server: StartServer, tmp_path: Path
) -> None:
    """It is listed as stale and without figures; placing on it is UNAVAILABLE; the healthy one works beside it."""
    tape = tmp_path / "broken.txt"
    tape.write_text('1723161253937085768 {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate"}}\n')
    config = tmp_path / "brokergate.yaml"
    config.write_text(
        f"accounts:\n  broken: {{broker: paper, paper: {{feed: {{tape: {tape}}}}}}}\n  paper: {{broker: paper}}\n"
    )
    server = start_server("--config", config)
    with server.channel() as channel:
        accounts = account_service_pb2_grpc.AccountServiceStub(channel)
        broken, paper = accounts.ListAccounts(account_pb2.ListAccountsRequest()).accounts
        assert (broken.account_id, broken.stale, broken.HasField("equity")) == ("broken", True, False)
        assert (paper.account_id, paper.stale, paper.HasField("equity")) == ("paper", False, True)
        orders = order_service_pb2_grpc.OrderServiceStub(channel)
        spec = labelled(1).order
        with pytest.raises(grpc.RpcError) as refused:
            orders.PlaceOrder(
                order_pb2.PlaceOrderRequest(account_id="broken", client_order_id="a", order=spec)
            )
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        taken = orders.PlaceOrder(
            order_pb2.PlaceOrderRequest(account_id="paper", client_order_id="a", order=spec)
        )
        assert taken.order.state == enums_pb2.ORDER_STATE_NEW


def test_readers_that_leave_in_the_middle_of_a_message_are_no_news(server: ServerProcess) -> None:
    """Streams that are cancelled while something is written to them leave neither a traceback nor a stream behind."""
    with server.channel() as channel:
        orders = order_service_pb2_grpc.OrderServiceStub(channel)
        for start in range(0, ORDERS, 400):
            batch = [labelled(number) for number in range(start, start + 400)]
            orders.BatchPlaceOrders(order_pb2.BatchPlaceOrdersRequest(account_id="paper", orders=batch))
        events = event_service_pb2_grpc.EventServiceStub(channel)
        request = event_pb2.StreamEventsRequest(
            account_ids=["paper"], start_position=event_pb2.START_POSITION_EARLIEST
        )
        for number in range(300):
            stream = events.StreamEvents(request)
            for _ in range(number % 4):
                next(stream)
            stream.cancel()
        assert next(events.StreamEvents(request)).HasField("opened")
    assert server.terminate() == 0
    assert tracebacks(server.log) == []
