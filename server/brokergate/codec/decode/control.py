"""Requests to TradingControlService, and to break a paper venue: checked, and then, but for one, not implemented."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import IntEnum
from typing import NoReturn

from brokergate.codec.decode.fields import (
    Violations,
    choice,
    count,
    duration_ns,
    identifier,
    members,
    number,
    page_size,
    percent,
    symbol,
    text,
)
from brokergate.codec.decode.order import ref_at, unimplemented
from brokergate.domain.money import ZERO
from brokergate.v1 import simulator_pb2, trading_control_pb2

MAX_ACCOUNTS = 64
MAX_REASON_LENGTH = 256
MAX_FAULTS = 16
MAX_DELAY_S = 3600

_ABOVE_HUNDRED = Decimal("100.000000000000000001")


class OrderResolution(IntEnum):
    """What a person says of an order whose outcome cannot be proven; the numbers are the contract's."""

    UNSPECIFIED = 0
    NEVER_PLACED = 1
    ENDED = 2
    WORKING = 3


class FaultKind(IntEnum):
    """What goes wrong on purpose; the numbers are the contract's."""

    UNSPECIFIED = 0
    LOST_ACKNOWLEDGEMENT = 1
    DELAYED_EVENTS = 2
    DUPLICATED_EVENTS = 3
    REORDERED_EVENTS = 4
    MUTE_STREAM = 5
    DISCONNECT = 6
    REJECTION = 7
    MAINTENANCE = 8


_RESOLUTIONS = members(OrderResolution)
_FAULTS = members(FaultKind)


def decode_get_trading_state(request: trading_control_pb2.GetTradingStateRequest) -> str | None:
    """The account of a GetTradingStateRequest; None for every one that the caller may see."""
    out = Violations()
    if request.account_id:
        identifier(out, "account_id", request.account_id)
    out.check()
    return request.account_id or None


def _accounts(out: Violations, account_ids: Sequence[str]) -> None:
    if count(out, "account_ids", account_ids, 0, MAX_ACCOUNTS):
        for index, account_id in enumerate(account_ids):
            identifier(out, f"account_ids[{index}]", account_id)


def decode_emergency_stop(request: trading_control_pb2.EmergencyStopRequest) -> NoReturn:
    """An EmergencyStopRequest."""
    out = Violations()
    identifier(out, "request_id", request.request_id)
    _accounts(out, request.account_ids)
    text(out, "reason", request.reason, MAX_REASON_LENGTH)
    out.check()
    raise unimplemented("EmergencyStop")


def decode_resume_trading(request: trading_control_pb2.ResumeTradingRequest) -> NoReturn:
    """A ResumeTradingRequest."""
    out = Violations()
    identifier(out, "request_id", request.request_id)
    _accounts(out, request.account_ids)
    text(out, "reason", request.reason, MAX_REASON_LENGTH)
    out.check()
    raise unimplemented("ResumeTrading")


def decode_list_discrepancies(request: trading_control_pb2.ListDiscrepanciesRequest) -> NoReturn:
    """A ListDiscrepanciesRequest."""
    out = Violations()
    identifier(out, "account_id", request.account_id)
    page_size(out, "page_size", request.page_size)
    out.check()
    raise unimplemented("ListDiscrepancies")


def decode_clear_freeze(request: trading_control_pb2.ClearFreezeRequest) -> NoReturn:
    """A ClearFreezeRequest."""
    out = Violations()
    identifier(out, "account_id", request.account_id)
    identifier(out, "request_id", request.request_id)
    symbol(out, "symbol", request.symbol)
    text(out, "reason", request.reason, MAX_REASON_LENGTH)
    out.check()
    raise unimplemented("ClearFreeze")


def decode_resolve_order(request: trading_control_pb2.ResolveOrderRequest) -> NoReturn:
    """A ResolveOrderRequest."""
    out = Violations()
    identifier(out, "account_id", request.account_id)
    ref_at(out, "order", request.order)
    identifier(out, "request_id", request.request_id)
    resolution = choice(out, "resolution", request.resolution, _RESOLUTIONS)
    if request.HasField("cum_quantity"):
        quantity = number(out, "cum_quantity", request.cum_quantity)
        if quantity is not None and quantity < ZERO:
            out.add("cum_quantity", "must be zero or above", request.cum_quantity)
        if resolution is not OrderResolution.ENDED:
            out.add("cum_quantity", "belongs to the resolution ENDED alone; leave it out")
    elif resolution is OrderResolution.ENDED and request.resolution:
        out.add("cum_quantity", "is required for the resolution ENDED")
    if bool(request.broker_order_id) is not (resolution is OrderResolution.WORKING) and request.resolution:
        out.add("broker_order_id", "is required for the resolution WORKING, and belongs to it alone")
    text(out, "reason", request.reason, MAX_REASON_LENGTH)
    out.check()
    raise unimplemented("ResolveOrder")


def decode_set_faults(request: simulator_pb2.SetFaultsRequest) -> NoReturn:
    """A SetFaultsRequest."""
    out = Violations()
    identifier(out, "account_id", request.account_id)
    identifier(out, "request_id", request.request_id)
    if count(out, "faults", request.faults, 0, MAX_FAULTS):
        for index, fault in enumerate(request.faults):
            choice(out, f"faults[{index}].kind", fault.kind, _FAULTS)
            percent(out, f"faults[{index}].rate_percent", fault.rate_percent, ZERO, _ABOVE_HUNDRED)
            duration_ns(out, f"faults[{index}].delay", fault.delay, 0, MAX_DELAY_S)
    out.check()
    raise unimplemented("SetFaults")
