"""The domain and the contract say the same: enum numbers, and each reason's status code."""

from __future__ import annotations

import re
from enum import IntEnum
from pathlib import Path

import pytest
from google.protobuf.descriptor import EnumDescriptor

from brokergate.domain import (
    accounts,
    capabilities,
    commands,
    control,
    events,
    fills,
    instruments,
    orders,
    streams,
)
from brokergate.domain.errors import STATUS_OF, ErrorReason
from brokergate.v1 import account_pb2, broker_pb2, enums_pb2, error_pb2, event_pb2, instrument_pb2, order_pb2
from brokergate.v1 import trading_control_pb2 as control_pb2

PROTO = Path(__file__).parents[3] / "proto/brokergate/v1/error.proto"

PAIRS: list[tuple[type[IntEnum], EnumDescriptor]] = [
    (orders.Side, enums_pb2.Side.DESCRIPTOR),
    (orders.OrderType, enums_pb2.OrderType.DESCRIPTOR),
    (orders.TimeInForce, enums_pb2.TimeInForce.DESCRIPTOR),
    (orders.TriggerSource, enums_pb2.TriggerSource.DESCRIPTOR),
    (orders.SelfTradePrevention, enums_pb2.SelfTradePrevention.DESCRIPTOR),
    (orders.OrderState, enums_pb2.OrderState.DESCRIPTOR),
    (orders.OrderOrigin, enums_pb2.OrderOrigin.DESCRIPTOR),
    (orders.PendingActionKind, order_pb2.PendingActionKind.DESCRIPTOR),
    (fills.Liquidity, enums_pb2.Liquidity.DESCRIPTOR),
    (fills.FillOrigin, enums_pb2.FillOrigin.DESCRIPTOR),
    (fills.FillKind, enums_pb2.FillKind.DESCRIPTOR),
    (accounts.ValueSource, enums_pb2.ValueSource.DESCRIPTOR),
    (accounts.Environment, account_pb2.Environment.DESCRIPTOR),
    (accounts.LedgerEntryKind, account_pb2.LedgerEntryKind.DESCRIPTOR),
    (accounts.ConnectionState, broker_pb2.ConnectionState.DESCRIPTOR),
    (accounts.TradingState, control_pb2.TradingState.DESCRIPTOR),
    (control.StopPhase, control_pb2.StopPhase.DESCRIPTOR),
    (control.DiscrepancyState, control_pb2.DiscrepancyState.DESCRIPTOR),
    (control.OrderResolution, control_pb2.OrderResolution.DESCRIPTOR),
    (capabilities.ReplaceSupport, broker_pb2.ReplaceSupport.DESCRIPTOR),
    (commands.IfUnknown, order_pb2.IfUnknown.DESCRIPTOR),
    (events.EventKind, event_pb2.EventKind.DESCRIPTOR),
    (events.OrderEventType, event_pb2.OrderEventType.DESCRIPTOR),
    (events.ControlEventType, event_pb2.ControlEventType.DESCRIPTOR),
    (streams.StartPosition, event_pb2.StartPosition.DESCRIPTOR),
    (instruments.InstrumentKind, instrument_pb2.InstrumentKind.DESCRIPTOR),
    (instruments.InstrumentTradingState, instrument_pb2.InstrumentTradingState.DESCRIPTOR),
    (ErrorReason, error_pb2.ErrorReason.DESCRIPTOR),
]


@pytest.mark.parametrize(("mine", "contract"), PAIRS, ids=lambda item: getattr(item, "name", ""))
def test_an_enum_has_the_contracts_names_and_numbers(mine: type[IntEnum], contract: EnumDescriptor) -> None:
    """A domain enum is the contract's with the prefix taken off."""
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", contract.name).upper() + "_"
    expected = {value.name.removeprefix(prefix): value.number for value in contract.values}
    assert {member.name: member.value for member in mine} == expected


def test_each_reason_has_the_status_code_that_the_contract_documents() -> None:
    """The first capitals of a reason's comment name its code; `On a ... order` may have any."""
    comments = re.findall(r"// ([^\n]*)\n(?:  // [^\n]*\n)*  ERROR_REASON_([A-Z_]+) = ", PROTO.read_text())
    documented = {name: comment for comment, name in comments}
    codes = (
        r"\b(INVALID_ARGUMENT|UNAUTHENTICATED|PERMISSION_DENIED|NOT_FOUND|ALREADY_EXISTS|ABORTED|FAILED_PRECONDITION"
        + (r"|OUT_OF_RANGE|RESOURCE_EXHAUSTED|UNAVAILABLE|UNIMPLEMENTED|DEADLINE_EXCEEDED|INTERNAL)\b")
    )
    compared = 0
    for reason in ErrorReason:
        if found := re.search(codes, documented[reason.name]):
            assert STATUS_OF[reason].name == found[1], reason.name
            compared += 1
        else:
            assert documented[reason.name].startswith(("On a", "On an", "No reason")), reason.name
    assert compared > 30
