"""From this client's values to the contract's messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar, cast

from brokergate.v1 import enums_pb2, order_pb2
from brokergate_client.exact import Number, decimal_text, timestamp_of
from brokergate_client.orders import LinkedOrder, OrderSpec, ProtectiveLeg


def optional_text(value: Number | None, field: str) -> str | None:
    """A decimal for a field with presence. Raises `InvalidNumberError`, which names `field`."""
    return None if value is None else decimal_text(value, field)


def _leg(leg: ProtectiveLeg | None, path: str) -> order_pb2.ProtectiveLeg | None:
    if leg is None:
        return None
    return order_pb2.ProtectiveLeg(
        client_order_id=leg.client_order_id,
        limit_price=optional_text(leg.limit_price, f"{path}.limit_price"),
        stop_price=optional_text(leg.stop_price, f"{path}.stop_price"),
    )


def order_spec(spec: OrderSpec) -> order_pb2.OrderSpec:
    """What an order asks for. Raises `TypeError` for a float, `InvalidNumberError`
    for a number that the contract has no form for, `ValueError` for a naive time."""
    message = order_pb2.OrderSpec(
        symbol=spec.symbol,
        side=cast(enums_pb2.Side.ValueType, spec.side),
        type=cast(enums_pb2.OrderType.ValueType, spec.type),
        limit_price=optional_text(spec.limit_price, "order.limit_price"),
        stop_price=optional_text(spec.stop_price, "order.stop_price"),
        trail_amount=optional_text(spec.trail_amount, "order.trail_amount"),
        trail_percent=optional_text(spec.trail_percent, "order.trail_percent"),
        trigger_source=cast(enums_pb2.TriggerSource.ValueType, spec.trigger_source),
        time_in_force=cast(enums_pb2.TimeInForce.ValueType, spec.time_in_force),
        expire_time=None if spec.expire_time is None else timestamp_of(spec.expire_time),
        post_only=spec.post_only,
        reduce_only=spec.reduce_only,
        extended_hours=spec.extended_hours,
        display_quantity=optional_text(spec.display_quantity, "order.display_quantity"),
        self_trade_prevention=cast(enums_pb2.SelfTradePrevention.ValueType, spec.self_trade_prevention),
        take_profit=_leg(spec.take_profit, "order.take_profit"),
        stop_loss=_leg(spec.stop_loss, "order.stop_loss"),
        labels=spec.labels,
        broker_options=spec.broker_options,
    )
    if spec.quantity is not None and spec.quote_quantity is not None:
        # On the wire one would silently replace the other.
        raise ValueError("quantity and quote_quantity are both set; give one")
    if spec.quantity is not None:
        message.quantity = decimal_text(spec.quantity, "order.quantity")
    if spec.quote_quantity is not None:
        message.quote_quantity = decimal_text(spec.quote_quantity, "order.quote_quantity")
    return message


def named(spec: OrderSpec, client_order_id: str) -> OrderSpec:
    """`spec` with the legs that have no client order id named after the entry, so that a repeat names them alike."""
    legs = (spec.take_profit, "tp"), (spec.stop_loss, "sl")
    if all(leg is None or leg.client_order_id for leg, _ in legs):
        return spec
    profit, loss = (
        leg
        if leg is None or leg.client_order_id
        else replace(leg, client_order_id=f"{client_order_id}-{end}")
        for leg, end in legs
    )
    return replace(spec, take_profit=profit, stop_loss=loss)


def linked_orders(others: Sequence[LinkedOrder], client_order_id: str) -> list[order_pb2.LinkedOrder]:
    """The other members of an OCO group; those that have no client order id are named after the first one."""
    return [
        order_pb2.LinkedOrder(
            client_order_id=other.client_order_id or f"{client_order_id}-{number}",
            order=order_spec(other.spec),
        )
        for number, other in enumerate(others, 2)
    ]


class _Targeted(Protocol):
    account_id: str
    route_id: str


T = TypeVar("T", bound=_Targeted)


def aim(request: T, account_id: str | None, route: str | None) -> T:
    """`request`, on an account or on a route. Raises `ValueError` for none or both."""
    if (account_id is None) == (route is None):
        raise ValueError("name an account_id or a route, one of the two, and give None for the other")
    if route is None:
        request.account_id = account_id or ""
    else:
        request.route_id = route
    return request


def order_ref(order_id: str | None, client_order_id: str | None) -> order_pb2.OrderRef:
    """Names an order by one of its two ids. Raises `ValueError` for none or both."""
    if (order_id is None) == (client_order_id is None):
        raise ValueError("name the order by order_id or by client_order_id, one of the two")
    if order_id is not None:
        return order_pb2.OrderRef(order_id=order_id)
    return order_pb2.OrderRef(client_order_id=client_order_id or "")
