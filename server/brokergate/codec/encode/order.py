"""Orders as messages and as bytes."""

from __future__ import annotations

from brokergate.codec.encode.values import Fields, decimal_text, timestamp_bytes, timestamp_fields
from brokergate.codec.wire import LENGTHS, delimited, delimited_tag, template, varint_tag
from brokergate.domain.orders import Order, OrderSpec, PendingAction, ProtectiveLeg
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


def _action_fields(action: PendingAction) -> Fields:
    fields: Fields = {
        "kind": action.kind,
        "request_id": action.request_id,
        "since_time": timestamp_fields(action.since_ns),
        "uncertain": action.uncertain,
        "held": action.held,
    }
    if action.replacement is not None:
        fields["replacement"] = spec_fields(action.replacement)
    return fields


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
        fields["pending"] = [_action_fields(action) for action in order.pending]
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


_ORDER = order_pb2.Order.DESCRIPTOR
_PENDING = order_pb2.PendingAction.DESCRIPTOR
_COMMON = template(
    _ORDER,
    "order_id",
    "client_order_id",
    "account_id",
    "origin",
    "generation",
    "spec",
    "state",
    "quantity",
    "cum_quantity",
    "leaves_quantity",
    "cum_notional",
    "create_time",
    "update_time",
)
_ACTION = template(_PENDING, "kind", "request_id", "since_time")
_UNCERTAIN = varint_tag(_PENDING, "uncertain") + LENGTHS[True]
_HELD = varint_tag(_PENDING, "held") + LENGTHS[True]
_REPLACEMENT = delimited_tag(_PENDING, "replacement")
_BROKER_ORDER_ID = delimited_tag(_ORDER, "broker_order_id")
_ACTIONS = delimited_tag(_ORDER, "pending")
_AVERAGE_PRICE = delimited_tag(_ORDER, "average_price")
_REJECT_REASON = varint_tag(_ORDER, "reject_reason")
_REJECT_MESSAGE = delimited_tag(_ORDER, "reject_message")
_TRIGGERED = varint_tag(_ORDER, "triggered") + LENGTHS[True]
_ROUTE_ID = delimited_tag(_ORDER, "route_id")
_GROUP_ID = delimited_tag(_ORDER, "group_id")


def spec_bytes(spec: OrderSpec) -> bytes:
    """A serialised OrderSpec."""
    message = order_pb2.OrderSpec(**spec_fields(spec))
    # Maps have no order of their own; the same order shall give the same bytes (law 12).
    return message.SerializeToString(deterministic=bool(spec.labels or spec.broker_options))


def _action_bytes(action: PendingAction) -> bytes:
    request_id, since = action.request_id.encode(), timestamp_bytes(action.since_ns)
    body = _ACTION % (
        LENGTHS[action.kind],
        LENGTHS[len(request_id)],
        request_id,
        LENGTHS[len(since)],
        since,
    )
    if action.uncertain:
        body += _UNCERTAIN
    if action.held:
        body += _HELD
    if action.replacement is not None:
        body += delimited(_REPLACEMENT, spec_bytes(action.replacement))
    return body


def _rest_bytes(order: Order) -> bytes:
    """What not every order has."""
    body = b""
    if order.broker_order_id:
        body = delimited(_BROKER_ORDER_ID, order.broker_order_id.encode())
    for action in order.pending:
        body += delimited(_ACTIONS, _action_bytes(action))
    if (average := order.average_price) is not None:
        body += delimited(_AVERAGE_PRICE, decimal_text(average).encode())
    if order.reject_reason:
        body += _REJECT_REASON + LENGTHS[order.reject_reason]
        body += delimited(_REJECT_MESSAGE, order.reject_message.encode())
    if order.triggered:
        body += _TRIGGERED
    if order.route_id:
        body += delimited(_ROUTE_ID, order.route_id.encode())
    if order.group_id:
        body += delimited(_GROUP_ID, order.group_id.encode())
    return body


class OrderBytes:
    """Encodes orders. An order is immutable and goes into its event, its row and its answer, and its spec goes on
    from change to change: both are remembered by identity for a moment, and encoded once."""

    __slots__ = ("_new", "_old", "_spec", "_spec_bytes")

    def __init__(self) -> None:
        # Two generations of a dictionary bound it without a word for each entry. An entry holds its order, so that
        # the order's identity is not given to another one.
        self._new: dict[int, tuple[Order, bytes]] = {}
        self._old: dict[int, tuple[Order, bytes]] = {}
        self._spec: OrderSpec | None = None
        self._spec_bytes = b""

    def __call__(self, order: Order) -> bytes:
        """A serialised Order."""
        key = id(order)
        found = self._new.get(key) or self._old.get(key)
        if found is not None:
            return found[1]
        try:
            body = self._encode(order)
        except IndexError:
            body = encode_order(order).SerializeToString(deterministic=True)
        if len(self._new) >= RECENT_ORDERS:
            self._old, self._new = self._new, {}
        self._new[key] = (order, body)
        return body

    def _encode(self, order: Order) -> bytes:
        if order.spec is not self._spec:
            self._spec_bytes = spec_bytes(order.spec)
            self._spec = order.spec
        spec = self._spec_bytes
        order_id, client_order_id = order.order_id.encode(), order.client_order_id.encode()
        account_id = order.account_id.encode()
        quantity, filled = decimal_text(order.quantity).encode(), decimal_text(order.cum_quantity).encode()
        leaves, notional = (
            decimal_text(order.leaves_quantity).encode(),
            decimal_text(order.cum_notional).encode(),
        )
        created, updated = timestamp_bytes(order.create_time_ns), timestamp_bytes(order.update_time_ns)
        lengths = LENGTHS
        common = _COMMON % (
            lengths[len(order_id)],
            order_id,
            lengths[len(client_order_id)],
            client_order_id,
            lengths[len(account_id)],
            account_id,
            lengths[order.origin],
            lengths[order.generation],
            lengths[len(spec)],
            spec,
            lengths[order.state],
            lengths[len(quantity)],
            quantity,
            lengths[len(filled)],
            filled,
            lengths[len(leaves)],
            leaves,
            lengths[len(notional)],
            notional,
            lengths[len(created)],
            created,
            lengths[len(updated)],
            updated,
        )
        return common + _rest_bytes(order)


order_bytes = OrderBytes()
"""The serialised Order of an order; the same object is encoded once."""
