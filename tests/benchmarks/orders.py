"""Orders to send, serialised before any clock starts, and what must come back: every one of them filled."""

from __future__ import annotations

from collections.abc import Iterable

from brokergate.v1 import enums_pb2, order_pb2

ORDER_SERVICE = "/brokergate.v1.OrderService"
PLACE = f"{ORDER_SERVICE}/PlaceOrder"
BATCH = f"{ORDER_SERVICE}/BatchPlaceOrders"
ENTRY = f"{ORDER_SERVICE}/StreamOrderEntry"
STREAM_FILLS = "/brokergate.v1.EventService/StreamFills"

SYMBOL = "BTC/USDT"
QUANTITY = "0.01"

_SIDES = (enums_pb2.SIDE_BUY, enums_pb2.SIDE_SELL)


def _spec(number: int) -> order_pb2.OrderSpec:
    """A market order; buys and sells take turns, so that the position stays about flat."""
    return order_pb2.OrderSpec(
        symbol=SYMBOL, side=_SIDES[number % 2], type=enums_pb2.ORDER_TYPE_MARKET, quantity=QUANTITY
    )


def _place(account_id: str, client_order_id: str, number: int) -> order_pb2.PlaceOrderRequest:
    return order_pb2.PlaceOrderRequest(
        account_id=account_id, client_order_id=client_order_id, order=_spec(number)
    )


def places(account_id: str, prefix: str, count: int) -> list[bytes]:
    """`count` PlaceOrderRequests; `prefix` makes their ids unique."""
    return [_place(account_id, f"{prefix}-{i}", i).SerializeToString() for i in range(count)]


def batches(account_id: str, prefix: str, count: int, size: int) -> list[bytes]:
    """`count` BatchPlaceOrdersRequests of `size` orders."""
    return [
        order_pb2.BatchPlaceOrdersRequest(
            account_id=account_id,
            orders=[
                order_pb2.BatchOrder(client_order_id=f"{prefix}-{batch}-{i}", order=_spec(i))
                for i in range(size)
            ],
        ).SerializeToString()
        for batch in range(count)
    ]


def entries(account_id: str, prefix: str, count: int, size: int) -> list[bytes]:
    """`count` StreamOrderEntryRequests of `size` commands that place."""
    return [
        order_pb2.StreamOrderEntryRequest(
            commands=[
                order_pb2.OrderCommand(
                    request_id=f"{batch}-{i}", place=_place(account_id, f"{prefix}-{batch}-{i}", i)
                )
                for i in range(size)
            ]
        ).SerializeToString()
        for batch in range(count)
    ]


def requests(path: str, account_id: str, prefix: str, count: int, size: int) -> list[bytes]:
    """`count` serialised requests of the RPC `path`, of `size` orders each where it takes several."""
    match path:
        case _ if path == BATCH:
            return batches(account_id, prefix, count, size)
        case _ if path == ENTRY:
            return entries(account_id, prefix, count, size)
        case _:
            return places(account_id, prefix, count)


def count_filled(path: str, answers: Iterable[bytes]) -> int:
    """How many orders the serialised answers of `path` show. Raises ValueError for one that is not freshly filled."""
    count = 0
    for body in answers:
        if path == BATCH:
            for result in order_pb2.BatchPlaceOrdersResponse.FromString(body).results:
                _expect_filled(result.order, result.already_existed, result)
                count += 1
        elif path == ENTRY:
            for outcome in order_pb2.StreamOrderEntryResponse.FromString(body).results:
                _expect_filled(outcome.order, outcome.already_existed, outcome)
                count += 1
        else:
            placed = order_pb2.PlaceOrderResponse.FromString(body)
            _expect_filled(placed.order, placed.already_existed, placed)
            count += 1
    return count


def _expect_filled(order: order_pb2.Order, already_existed: bool, shown: object) -> None:
    if order.state != enums_pb2.ORDER_STATE_FILLED or already_existed:
        raise ValueError(f"an order of the benchmark was not filled, which makes its figures void:\n{shown}")
