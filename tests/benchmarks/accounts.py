"""Paper accounts to trade on: money that never runs out, and a market that always fills."""

from __future__ import annotations

import grpc

from brokergate.v1 import (
    event_pb2,
    event_service_pb2_grpc,
    market_data_pb2,
    order_pb2,
    order_service_pb2_grpc,
    simulator_pb2,
    simulator_service_pb2_grpc,
)
from tests.benchmarks.orders import SYMBOL, batches, entries, places

BID, ASK = "60000.00", "60000.01"
DEPTH = "100000000"
"""BTC on each side of the book, of which an order takes a hundredth of one."""

FEE_PERCENT = "0.1"
TIMEOUT_S = 30.0


def push_book(channel: grpc.Channel, account_id: str) -> None:
    """Gives the account its market."""
    simulator = simulator_service_pb2_grpc.SimulatorServiceStub(channel)
    book = market_data_pb2.Book(
        symbol=SYMBOL,
        bids=[market_data_pb2.BookLevel(price=BID, quantity=DEPTH)],
        asks=[market_data_pb2.BookLevel(price=ASK, quantity=DEPTH)],
    )
    book.event_time.GetCurrentTime()
    push = simulator_pb2.PushMarketDataRequest(
        account_id=account_id, updates=[market_data_pb2.MarketDataUpdate(book=book)]
    )
    simulator.PushMarketData(iter([push]), timeout=TIMEOUT_S)


def answers(channel: grpc.Channel, account_id: str, batch_size: int) -> dict[str, bytes]:
    """What the gateway answers to each RPC that the echo stands for, by the RPC's name."""
    orders = order_service_pb2_grpc.OrderServiceStub(channel)
    events = event_service_pb2_grpc.EventServiceStub(channel)
    (place,) = places(account_id, "answer-place", 1)
    (batch,) = batches(account_id, "answer-batch", 1, batch_size)
    (entry,) = entries(account_id, "answer-entry", 1, batch_size)
    placed = orders.PlaceOrder(order_pb2.PlaceOrderRequest.FromString(place), timeout=TIMEOUT_S)
    batched = orders.BatchPlaceOrders(order_pb2.BatchPlaceOrdersRequest.FromString(batch), timeout=TIMEOUT_S)
    entered = order_pb2.StreamOrderEntryResponse()
    command = order_pb2.StreamOrderEntryRequest.FromString(entry)
    for response in orders.StreamOrderEntry(iter([command]), timeout=TIMEOUT_S):
        entered.results.extend(response.results)
    return {
        "PlaceOrder": placed.SerializeToString(),
        "BatchPlaceOrders": batched.SerializeToString(),
        "StreamOrderEntry": entered.SerializeToString(),
        "StreamFills": _one_fill(events, account_id).SerializeToString(),
    }


def _one_fill(
    events: event_service_pb2_grpc.EventServiceStub, account_id: str
) -> event_pb2.StreamFillsResponse:
    """The first message of fills, cut to one event."""
    request = event_pb2.StreamFillsRequest(
        account_ids=[account_id], start_position=event_pb2.START_POSITION_EARLIEST
    )
    stream = events.StreamFills(request, timeout=TIMEOUT_S)
    for response in stream:
        if response.WhichOneof("payload") == "batch":
            del response.batch.events[1:]
            stream.cancel()
            return response
    raise RuntimeError("the gateway streamed no fill")
