"""Requests to place, preview, change, cancel and show orders."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

from brokergate.codec.decode.fields import (
    Violations,
    all_members,
    choice,
    count,
    identifier,
    optional_symbol,
    positive,
)
from brokergate.codec.decode.fingerprint import fingerprint, fingerprint_of
from brokergate.codec.decode.group import check_bracket, check_oco
from brokergate.codec.decode.spec import decode_expire_time, decode_spec, decode_trail_percent
from brokergate.codec.decode.target import Target, target_at
from brokergate.domain.access import GATEWAY, Caller
from brokergate.domain.commands import (
    CancelAllOrders,
    CancelOrder,
    IfUnknown,
    LinkedOrder,
    OrderFailure,
    OrderRef,
    PlaceOrder,
    ReplaceOrder,
)
from brokergate.domain.orders import OrderSpec, Side
from brokergate.domain.values import changed
from brokergate.v1 import order_pb2

MAX_BATCH = 500
"""Orders of one batch, and commands of one message of an order entry stream."""

MAX_LINKED = 4
"""Members of an OCO group beside the order that they come with."""

_SIDE_FILTER = all_members(Side)
_IF_UNKNOWN = all_members(IfUnknown)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mutation(Generic[T]):
    """A command that its `request_id` makes repeatable; `fingerprint` is equal for equal commands. With a `route_id`
    the command's `account_id` is empty: it is that of the order, which the route knows."""

    command: T
    request_id: str
    fingerprint: bytes
    route_id: str = ""


@dataclass(frozen=True, slots=True)
class PlaceBatch:
    """Orders of one account or route; `orders[i]` is the command, or why there is none."""

    target: Target
    orders: tuple[PlaceOrder | OrderFailure, ...]


@dataclass(frozen=True, slots=True)
class CancelBatch:
    """Orders of one account to cancel."""

    account_id: str
    orders: tuple[OrderRef, ...]


@dataclass(frozen=True, slots=True)
class PreviewOrder:
    """An order that is not to be placed."""

    target: Target
    spec: OrderSpec


@dataclass(frozen=True, slots=True)
class GetOrder:
    """An order to show."""

    target: Target
    order: OrderRef


def ref_at(out: Violations, field: str, ref: order_pb2.OrderRef) -> OrderRef:
    """The order that the OrderRef at `field` names."""
    match ref.WhichOneof("id"):
        case "order_id":
            # `paper-1-o42` holds an account's id and two numbers: longer than an id of the client's.
            if not 0 < len(ref.order_id) <= 128:
                out.add(f"{field}.order_id", "must have 1 to 128 characters", ref.order_id)
            return OrderRef(order_id=ref.order_id)
        case "client_order_id":
            return OrderRef(client_order_id=identifier(out, f"{field}.client_order_id", ref.client_order_id))
        case _:
            out.add(field, "is required; give its order_id or client_order_id")
            return OrderRef()


def place_at(
    out: Violations, path: str, request: order_pb2.PlaceOrderRequest, caller: Caller = GATEWAY
) -> PlaceOrder:
    """The place whose fields are at `path`; raises what is wrong with it and what `out` had before."""
    target = target_at(out, path, request)
    client_order_id = identifier(out, f"{path}client_order_id", request.client_order_id)
    if request.HasField("order"):
        spec = decode_spec(out, f"{path}order.", request.order)
    else:
        out.add(f"{path}order", "is required")
        spec = None
    linked = request.oco_orders
    others = _linked(out, path, linked) if linked else ()
    if spec is None or out:
        raise out.error()
    if others:
        check_oco(out, path, client_order_id, spec, others)
    elif spec.bracket:
        check_bracket(out, path, client_order_id, spec)
    out.check()
    body = fingerprint(target.name, spec, others, request.allow_emulated)
    place = _place(target, client_order_id, spec, body, caller)
    if others or request.allow_emulated:
        place = changed(place, oco=others, allow_emulated=request.allow_emulated)
    return place


def _place(
    target: Target,
    client_order_id: str,
    spec: OrderSpec,
    body: bytes,
    caller: Caller,
    method: str = "PlaceOrder",
) -> PlaceOrder:
    account_id, route_id = target
    if route_id:
        return PlaceOrder(account_id, client_order_id, spec, body, caller, method, route_id=route_id)
    return PlaceOrder(account_id, client_order_id, spec, body, caller, method)


def _linked(out: Violations, path: str, linked: Any) -> tuple[LinkedOrder, ...]:
    if not count(out, f"{path}oco_orders", linked, 0, MAX_LINKED):
        return ()
    others = []
    for index, member in enumerate(linked):
        at = f"{path}oco_orders[{index}]."
        client_order_id = identifier(out, f"{at}client_order_id", member.client_order_id)
        if member.HasField("order"):
            others.append(LinkedOrder(client_order_id, decode_spec(out, f"{at}order.", member.order)))
        else:
            out.add(f"{at}order", "is required")
    return tuple(others)


def decode_place(request: order_pb2.PlaceOrderRequest, caller: Caller = GATEWAY) -> PlaceOrder:
    """A PlaceOrderRequest that `caller` sent."""
    return place_at(Violations(), "", request, caller)


def decode_batch_place(request: order_pb2.BatchPlaceOrdersRequest, caller: Caller = GATEWAY) -> PlaceBatch:
    """A BatchPlaceOrdersRequest that `caller` sent. An order that is wrong is a failure in its place; the others
    are taken."""
    out = Violations()
    target = target_at(out, "", request)
    count(out, "orders", request.orders, 1, MAX_BATCH)
    out.check()
    return PlaceBatch(
        target,
        tuple(_batch_order(target, index, order, caller) for index, order in enumerate(request.orders)),
    )


def _batch_order(
    target: Target, index: int, order: order_pb2.BatchOrder, caller: Caller
) -> PlaceOrder | OrderFailure:
    out = Violations()
    client_order_id = identifier(out, f"orders[{index}].client_order_id", order.client_order_id)
    if not order.HasField("order"):
        out.add(f"orders[{index}].order", "is required")
        return OrderFailure(out.error())
    spec = decode_spec(out, f"orders[{index}].order.", order.order)
    if spec.bracket and not out:
        check_bracket(out, f"orders[{index}].", client_order_id, spec)
    if out:
        return OrderFailure(out.error())
    body = fingerprint(target.name, spec)
    return _place(target, client_order_id, spec, body, caller, "BatchPlaceOrders")


def decode_preview(request: order_pb2.PreviewOrderRequest) -> PreviewOrder:
    """A PreviewOrderRequest."""
    out = Violations()
    target = target_at(out, "", request)
    spec = decode_spec(out, "order.", request.order) if request.HasField("order") else None
    if spec is None:
        out.add("order", "is required")
        raise out.error()
    if spec.bracket and not out:
        check_bracket(out, "", "", spec)
    out.check()
    return PreviewOrder(target, spec)


def replace_at(out: Violations, path: str, request: order_pb2.ReplaceOrderRequest) -> ReplaceOrder:
    """The replace whose fields are at `path`."""
    given = {field.name: value for field, value in request.ListFields()}
    changes: dict[str, Any] = {}
    for name in ("quantity", "limit_price", "stop_price", "trail_amount", "display_quantity"):
        if name in given:
            changes[name] = positive(out, path + name, given[name])
    if "trail_percent" in given:
        changes["trail_percent"] = decode_trail_percent(out, f"{path}trail_percent", given["trail_percent"])
    if "expire_time" in given:
        changes["expire_time_ns"] = decode_expire_time(out, f"{path}expire_time", given["expire_time"])
    if not changes:
        out.add(f"{path}quantity", "or another field to change is required")
    if "trail_amount" in given and "trail_percent" in given:
        out.add(f"{path}trail_percent", "contradicts trail_amount; leave one out", given["trail_percent"])
    if not request.expected_generation:
        out.add(
            f"{path}expected_generation", "is required; give the generation that you have seen, 1 at first"
        )
    _check_display(out, path, changes)
    target = target_at(out, path, request)
    return ReplaceOrder(
        target.account_id, ref_at(out, f"{path}order", request.order), request.expected_generation, **changes
    )


def _check_display(out: Violations, path: str, changes: dict[str, Decimal]) -> None:
    quantity, display = changes.get("quantity"), changes.get("display_quantity")
    if quantity is not None and display is not None and display > quantity:
        out.add(f"{path}display_quantity", f"must be at most quantity, {quantity:f}", f"{display:f}")


def cancel_at(out: Violations, path: str, request: order_pb2.CancelOrderRequest) -> CancelOrder:
    """The cancel whose fields are at `path`."""
    target = target_at(out, path, request)
    order = ref_at(out, f"{path}order", request.order)
    if_unknown = choice(out, f"{path}if_unknown", request.if_unknown, _IF_UNKNOWN)
    if if_unknown is IfUnknown.TOMBSTONE and not order.client_order_id:
        out.add(f"{path}order.client_order_id", "is required with if_unknown TOMBSTONE")
    return CancelOrder(target.account_id, order, if_unknown or IfUnknown.ERROR)


def cancel_all_at(out: Violations, path: str, request: order_pb2.CancelAllOrdersRequest) -> CancelAllOrders:
    """The cancel of all orders whose fields are at `path`."""
    return CancelAllOrders(
        identifier(out, f"{path}account_id", request.account_id),
        optional_symbol(out, f"{path}symbol", request.symbol),
        choice(out, f"{path}side", request.side, _SIDE_FILTER),
    )


def mutation_at(out: Violations, path: str, request_id: str, command: T, route_id: str = "") -> Mutation[T]:
    """`command` under the request id at `path`; raises the error that says what is wrong with it."""
    identifier(out, f"{path}request_id", request_id)
    out.check()
    # What earlier releases journalled has no route, and is repeated like any other.
    by_route = (route_id,) if route_id else ()
    body = fingerprint_of(type(command).__name__, command, *by_route)
    return Mutation(command, request_id, body, route_id)


def decode_replace(request: order_pb2.ReplaceOrderRequest) -> Mutation[ReplaceOrder]:
    """A ReplaceOrderRequest."""
    out = Violations()
    return mutation_at(out, "", request.request_id, replace_at(out, "", request), request.route_id)


def decode_cancel(request: order_pb2.CancelOrderRequest) -> Mutation[CancelOrder]:
    """A CancelOrderRequest."""
    out = Violations()
    return mutation_at(out, "", request.request_id, cancel_at(out, "", request), request.route_id)


def decode_cancel_all(request: order_pb2.CancelAllOrdersRequest) -> Mutation[CancelAllOrders]:
    """A CancelAllOrdersRequest."""
    out = Violations()
    return mutation_at(out, "", request.request_id, cancel_all_at(out, "", request))


def decode_batch_cancel(request: order_pb2.BatchCancelOrdersRequest) -> Mutation[CancelBatch]:
    """A BatchCancelOrdersRequest; one order that is not named makes the whole request wrong."""
    out = Violations()
    account_id = identifier(out, "account_id", request.account_id)
    orders: tuple[OrderRef, ...] = ()
    if count(out, "orders", request.orders, 1, MAX_BATCH):
        orders = tuple(ref_at(out, f"orders[{index}]", ref) for index, ref in enumerate(request.orders))
    return mutation_at(out, "", request.request_id, CancelBatch(account_id, orders))


def decode_get_order(request: order_pb2.GetOrderRequest) -> GetOrder:
    """A GetOrderRequest."""
    out = Violations()
    query = GetOrder(target_at(out, "", request), ref_at(out, "order", request.order))
    out.check()
    return query
