"""Executions as messages and as bytes."""

from __future__ import annotations

from brokergate.codec.encode.values import (
    Fields,
    amount_bytes,
    decimal_text,
    money_fields,
    timestamp_bytes,
    timestamp_fields,
)
from brokergate.codec.wire import LENGTHS, delimited, delimited_tag, template
from brokergate.domain.fills import Fill
from brokergate.v1 import fill_pb2


def fill_fields(fill: Fill) -> Fields:
    """The fields of a Fill."""
    fields: Fields = {
        "fill_id": fill.fill_id,
        "order_id": fill.order_id,
        "client_order_id": fill.client_order_id,
        "broker_execution_id": fill.broker_execution_id,
        "account_id": fill.account_id,
        "symbol": fill.symbol,
        "side": fill.side,
        "quantity": decimal_text(fill.quantity),
        "price": decimal_text(fill.price),
        "fees_final": fill.fees_final,
        "liquidity": fill.liquidity,
        "event_time": timestamp_fields(fill.event_time_ns),
        "receive_time": timestamp_fields(fill.receive_time_ns),
        "origin": fill.origin,
        "kind": fill.kind,
        "broker_order_id": fill.broker_order_id,
    }
    if fill.fees:
        fields["fees"] = [money_fields(fee) for fee in fill.fees]
    if fill.corrects_fill_id:
        fields["corrects_fill_id"] = fill.corrects_fill_id
    return fields


def encode_fill(fill: Fill) -> fill_pb2.Fill:
    """A Fill."""
    return fill_pb2.Fill(**fill_fields(fill))


_FILL = fill_pb2.Fill.DESCRIPTOR
_COMMON = template(
    _FILL,
    "fill_id",
    "order_id",
    "client_order_id",
    "broker_execution_id",
    "account_id",
    "symbol",
    "side",
    "quantity",
    "price",
    "fees_final",
    "liquidity",
    "event_time",
    "receive_time",
    "origin",
    "kind",
    "broker_order_id",
)
_FEES = delimited_tag(_FILL, "fees")
_CORRECTS = delimited_tag(_FILL, "corrects_fill_id")


def fill_bytes(fill: Fill) -> bytes:
    """A serialised Fill."""
    try:
        return _encode(fill)
    except IndexError:
        return encode_fill(fill).SerializeToString()


def _encode(fill: Fill) -> bytes:
    fill_id, order_id = fill.fill_id.encode(), fill.order_id.encode()
    client_order_id, broker_order_id = fill.client_order_id.encode(), fill.broker_order_id.encode()
    execution_id, account_id = fill.broker_execution_id.encode(), fill.account_id.encode()
    symbol = fill.symbol.encode()
    quantity, price = decimal_text(fill.quantity).encode(), decimal_text(fill.price).encode()
    happened, learned = timestamp_bytes(fill.event_time_ns), timestamp_bytes(fill.receive_time_ns)
    lengths = LENGTHS
    body = _COMMON % (
        lengths[len(fill_id)],
        fill_id,
        lengths[len(order_id)],
        order_id,
        lengths[len(client_order_id)],
        client_order_id,
        lengths[len(execution_id)],
        execution_id,
        lengths[len(account_id)],
        account_id,
        lengths[len(symbol)],
        symbol,
        lengths[fill.side],
        lengths[len(quantity)],
        quantity,
        lengths[len(price)],
        price,
        lengths[fill.fees_final],
        lengths[fill.liquidity],
        lengths[len(happened)],
        happened,
        lengths[len(learned)],
        learned,
        lengths[fill.origin],
        lengths[fill.kind],
        lengths[len(broker_order_id)],
        broker_order_id,
    )
    for fee in fill.fees:
        body += delimited(_FEES, amount_bytes(fee.amount, fee.currency))
    return body + delimited(_CORRECTS, fill.corrects_fill_id.encode()) if fill.corrects_fill_id else body
