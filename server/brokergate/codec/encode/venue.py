"""What a venue says of an order that is not placed, and of its tape."""

from __future__ import annotations

from collections.abc import Sequence

from brokergate.codec.encode.error import rejection_fields
from brokergate.codec.encode.values import (
    NS_PER_S,
    Fields,
    decimal_text,
    money_fields,
    optional_text,
    timestamp_fields,
)
from brokergate.domain.faults import Fault
from brokergate.ports.broker import Preview, TapeStatus
from brokergate.v1 import order_pb2, simulator_pb2


def encode_preview(account_id: str, preview: Preview) -> order_pb2.PreviewOrderResponse:
    """A PreviewOrderResponse."""
    fields: Fields = {
        "account_id": account_id,
        "estimated_price": optional_text(preview.estimated_price),
        "estimated_fill_quantity": decimal_text(preview.estimated_fill_quantity),
        "estimated_notional": money_fields(preview.estimated_notional),
        "estimated_fees": [money_fields(fee) for fee in preview.estimated_fees],
        "required_funds": money_fields(preview.required_funds),
    }
    if preview.rejection is not None:
        fields["rejection"] = rejection_fields(*preview.rejection)
    return order_pb2.PreviewOrderResponse(**fields)


def encode_tape(status: TapeStatus) -> simulator_pb2.ControlTapeResponse:
    """A ControlTapeResponse."""
    fields: Fields = {
        "state": simulator_pb2.TapeState.Value(f"TAPE_STATE_{status.state}"),
        "tape_time": timestamp_fields(status.tape_time_ns),
        "start_time": timestamp_fields(status.start_time_ns),
        "speed": status.speed,
        "played_updates": status.played_updates,
    }
    return simulator_pb2.ControlTapeResponse(**fields)


def encode_faults(faults: Sequence[Fault]) -> simulator_pb2.SetFaultsResponse:
    """A SetFaultsResponse."""
    told: list[Fields] = []
    for fault in faults:
        fields: Fields = {"kind": +fault.kind, "rate_percent": decimal_text(fault.rate_percent)}
        if fault.delay_ns:
            fields["delay"] = {"seconds": fault.delay_ns // NS_PER_S, "nanos": fault.delay_ns % NS_PER_S}
        told.append(fields)
    return simulator_pb2.SetFaultsResponse(faults=[simulator_pb2.Fault(**fields) for fields in told])
