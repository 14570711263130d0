"""Orders as messages and as bytes."""

from __future__ import annotations

from brokergate.codec.encode.values import Fields, decimal_text, timestamp_fields
from brokergate.domain.orders import Order, OrderSpec, ProtectiveLeg
from brokergate.v1 import order_pb2

RECENT_ORDERS = 512
"""Orders whose bytes are kept for a moment: those of one group commit and their answers. Twice as many at most."""


def _leg_fields(leg: ProtectiveLeg) -> Fields:
    fields: Fields = {"client_order_id": leg.client_order_id}
    if leg.limit_price is not None:
        fields["limit_price"] = decimal_text(leg.limit_price)
    if leg.stop_price is not None:
        fields["stop_price"] = decimal_text(leg.stop_price)
    return fields


def spec_fields(spec: OrderSpec) -> Fields:
    """The fields of an OrderSpec; those that are not given are left out."""
    fields: Fields = {"symbol": spec.symbol, "side": spec.side, "type": spec.type}
    if spec.quantity is not None:
        fields["quantity"] = decimal_text(spec.quantity)
    if spec.limit_price is not None:
        fields["limit_price"] = decimal_text(spec.limit_price)
    if spec.time_in_force:
        fields["time_in_force"] = spec.time_in_force
    if spec.stop_price is not None:
        fields["stop_price"] = decimal_text(spec.stop_price)
    if spec.post_only:
        fields["post_only"] = True
    if spec.labels:
        fields["labels"] = dict(spec.labels)
    return _rare_spec_fields(spec, fields)


def _rare_spec_fields(spec: OrderSpec, fields: Fields) -> Fields:
    if spec.quote_quantity is not None:
        fields["quote_quantity"] = decimal_text(spec.quote_quantity)
    if spec.trail_amount is not None:
        fields["trail_amount"] = decimal_text(spec.trail_amount)
    if spec.trail_percent is not None:
        fields["trail_percent"] = decimal_text(spec.trail_percent)
    if spec.trigger_source:
        fields["trigger_source"] = spec.trigger_source
    if spec.expire_time_ns is not None:
        fields["expire_time"] = timestamp_fields(spec.expire_time_ns)
    if spec.reduce_only:
        fields["reduce_only"] = True
    if spec.extended_hours:
        fields["extended_hours"] = True
    if spec.display_quantity is not None:
        fields["display_quantity"] = decimal_text(spec.display_quantity)
    if spec.self_trade_prevention:
        fields["self_trade_prevention"] = spec.self_trade_prevention
    if spec.take_profit is not None:
        fields["take_profit"] = _leg_fields(spec.take_profit)
    if spec.stop_loss is not None:
        fields["stop_loss"] = _leg_fields(spec.stop_loss)
    if spec.broker_options:
        fields["broker_options"] = dict(spec.broker_options)
    return fields


def encode_spec(spec: OrderSpec) -> order_pb2.OrderSpec:
    """An OrderSpec."""
    return order_pb2.OrderSpec(**spec_fields(spec))


def order_fields(order: Order) -> Fields:
    """The fields of an Order."""
    fields: Fields = {
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "account_id": order.account_id,
        "origin": order.origin,
        "generation": order.generation,
        "spec": spec_fields(order.spec),
        "state": order.state,
        "quantity": decimal_text(order.quantity),
        "cum_quantity": decimal_text(order.cum_quantity),
        "leaves_quantity": decimal_text(order.leaves_quantity),
        "cum_notional": decimal_text(order.cum_notional),
        "create_time": timestamp_fields(order.create_time_ns),
        "update_time": timestamp_fields(order.update_time_ns),
    }
    if order.broker_order_id:
        fields["broker_order_id"] = order.broker_order_id
    if order.pending:
        fields["pending"] = [
            {
                "kind": action.kind,
                "request_id": action.request_id,
                "since_time": timestamp_fields(action.since_ns),
                "uncertain": action.uncertain,
            }
            for action in order.pending
        ]
    if (average := order.average_price) is not None:
        fields["average_price"] = decimal_text(average)
    if order.reject_reason:
        fields["reject_reason"] = order.reject_reason
        fields["reject_message"] = order.reject_message
    if order.triggered:
        fields["triggered"] = True
    if order.route_id:
        fields["route_id"] = order.route_id
    if order.group_id:
        fields["group_id"] = order.group_id
    return fields


def encode_order(order: Order) -> order_pb2.Order:
    """An Order."""
    return order_pb2.Order(**order_fields(order))


class _Recent:
    """Bytes of recent orders by identity. An order is immutable and goes into its event, its row and its answer: it
    is encoded once. Two generations of a dictionary bound it without a word for each entry."""

    __slots__ = ("_new", "_old")

    def __init__(self) -> None:
        self._new: dict[int, tuple[Order, bytes]] = {}
        self._old: dict[int, tuple[Order, bytes]] = {}

    def get(self, order: Order) -> bytes | None:
        # The entry holds the order, so that its identity is not given to another one.
        found = self._new.get(id(order)) or self._old.get(id(order))
        return found[1] if found else None

    def put(self, order: Order, body: bytes) -> None:
        if len(self._new) >= RECENT_ORDERS:
            self._old, self._new = self._new, {}
        self._new[id(order)] = (order, body)


_recent = _Recent()


def order_bytes(order: Order) -> bytes:
    """A serialised Order. The same object is encoded once."""
    body = _recent.get(order)
    if body is None:
        message = order_pb2.Order(**order_fields(order))
        spec = order.spec
        # Maps have no order of their own; the same order shall give the same bytes (law 12).
        body = message.SerializeToString(deterministic=bool(spec.labels or spec.broker_options))
        _recent.put(order, body)
    return body
