"""Orders as the tests place them."""

from __future__ import annotations

from typing import Any

from brokergate.v1 import enums_pb2, order_pb2, order_service_pb2_grpc
from tests.unit.transport.conftest import Served
from tests.unit.transport.desk import SYMBOL


def market(name: str, account_id: str = "main") -> order_pb2.PlaceOrderRequest:
    """A market order; the desk fills it at once."""
    return order_pb2.PlaceOrderRequest(
        account_id=account_id,
        client_order_id=name,
        order=order_pb2.OrderSpec(
            symbol=SYMBOL, side=enums_pb2.SIDE_BUY, type=enums_pb2.ORDER_TYPE_MARKET, quantity="1"
        ),
    )


def limit(name: str, account_id: str = "main") -> order_pb2.PlaceOrderRequest:
    """A limit order; it rests until it is cancelled."""
    request = market(name, account_id)
    request.order.type = enums_pb2.ORDER_TYPE_LIMIT
    request.order.limit_price = "90"
    return request


async def place(
    served: Served, request: order_pb2.PlaceOrderRequest, timeout_s: float = 20, metadata: Any = None
) -> order_pb2.PlaceOrderResponse:
    """Places an order over a connection of its own."""
    stub: Any = order_service_pb2_grpc.OrderServiceStub(served.channel())
    response: order_pb2.PlaceOrderResponse = await stub.PlaceOrder(
        request, timeout=timeout_s, metadata=metadata
    )
    return response


async def get(served: Served, name: str, account_id: str = "main") -> order_pb2.Order:
    """The order as it now stands."""
    stub: Any = order_service_pb2_grpc.OrderServiceStub(served.channel())
    request = order_pb2.GetOrderRequest(account_id=account_id, order=order_pb2.OrderRef(client_order_id=name))
    response: order_pb2.GetOrderResponse = await stub.GetOrder(request, timeout=20)
    return response.order
