"""Executions as messages and as bytes."""

from __future__ import annotations

from brokergate.codec.encode.values import Fields, decimal_text, money_fields, timestamp_fields
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
