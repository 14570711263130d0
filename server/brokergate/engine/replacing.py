"""What a replace makes of an order. Pure."""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain.commands import ReplaceOrder
from brokergate.domain.errors import ErrorReason, GatewayError, invalid_field
from brokergate.domain.money import format_decimal
from brokergate.domain.orders import Order, OrderSpec, PendingActionKind
from brokergate.domain.values import changed
from brokergate.engine.grouping import check_quantity_is_free

_CHANGEABLE = (
    "limit_price",
    "stop_price",
    "trail_amount",
    "trail_percent",
    "expire_time_ns",
    "display_quantity",
)


def change(order: Order, command: ReplaceOrder) -> tuple[OrderSpec, Decimal]:
    """The spec and the total quantity that `order` shall have. Raises GENERATION_MISMATCH, REPLACE_PENDING,
    REPLACE_BELOW_FILLED, or INVALID_FIELD for a field that the order's type lacks."""
    if command.expected_generation != order.generation:
        raise GatewayError(
            ErrorReason.GENERATION_MISMATCH,
            f"order {order.order_id!r} is at generation {order.generation}, not {command.expected_generation}; "
            "look at it again",
            metadata={"generation": str(order.generation)},
        )
    if order.action(PendingActionKind.REPLACE) is not None:
        raise GatewayError(
            ErrorReason.REPLACE_PENDING, f"order {order.order_id!r} is being replaced; wait for that to end"
        )
    if order.action(PendingActionKind.NEW) is not None:
        problem = (
            f"order {order.order_id!r} is not known to be at the broker yet; wait for that, or cancel it"
        )
        raise GatewayError(ErrorReason.REPLACE_PENDING, problem)
    if command.quantity is not None and (order.spec.quote_quantity or command.quantity != order.quantity):
        check_quantity_is_free(order)
    quantity = order.quantity if command.quantity is None else command.quantity
    if quantity <= order.cum_quantity:
        filled = format_decimal(order.cum_quantity)
        raise GatewayError(
            ErrorReason.REPLACE_BELOW_FILLED,
            f"quantity: {format_decimal(quantity)} is not above what is filled, {filled}; cancel the rest instead",
            violations=invalid_field("quantity", f"must be above {filled}").violations,
        )
    return changed(_changed_spec(order, command), quantity=quantity), quantity


def _changed_spec(order: Order, command: ReplaceOrder) -> OrderSpec:
    spec = order.spec
    given = {name: value for name in _CHANGEABLE if (value := getattr(command, name)) is not None}
    for name in given:
        if getattr(spec, name) is None:
            field = name.removesuffix("_ns")
            raise invalid_field(field, f"the order is {spec.type.name} and has none to change; leave it out")
    if "stop_price" in given and order.triggered:
        raise invalid_field("stop_price", "the stop has been set off; leave it out")
    return changed(spec, **given)
