"""Requests to TradingControlService, and to break a paper venue, which is checked and not implemented."""

from __future__ import annotations

from collections.abc import Sequence

from brokergate.codec.decode.fields import (
    Violations,
    choice,
    count,
    identifier,
    members,
    number,
    symbol,
    text,
)
from brokergate.codec.decode.order import Mutation, mutation_at, ref_at
from brokergate.domain.commands import ClearFreeze, EmergencyStop, ResolveOrder, ResumeTrading
from brokergate.domain.control import OrderResolution
from brokergate.domain.money import ZERO
from brokergate.v1 import trading_control_pb2

MAX_ACCOUNTS = 64
MAX_REASON_LENGTH = 256
MAX_BROKER_ID_LENGTH = 128


_RESOLUTIONS = members(OrderResolution)


def decode_get_trading_state(request: trading_control_pb2.GetTradingStateRequest) -> str | None:
    """The account of a GetTradingStateRequest; None for every one that the caller may see."""
    out = Violations()
    if request.account_id:
        identifier(out, "account_id", request.account_id)
    out.check()
    return request.account_id or None


def _accounts(out: Violations, account_ids: Sequence[str]) -> tuple[str, ...]:
    """The accounts, each once and in order: naming them otherwise asks for the same."""
    if count(out, "account_ids", account_ids, 0, MAX_ACCOUNTS):
        for index, account_id in enumerate(account_ids):
            identifier(out, f"account_ids[{index}]", account_id)
    return tuple(sorted(set(account_ids)))


def decode_emergency_stop(
    request: trading_control_pb2.EmergencyStopRequest,
) -> Mutation[EmergencyStop]:
    """An EmergencyStopRequest; no accounts means all."""
    out = Violations()
    command = EmergencyStop(
        _accounts(out, request.account_ids),
        text(out, "reason", request.reason, MAX_REASON_LENGTH),
        request.keep_protective_stops,
        request.flatten,
    )
    return mutation_at(out, "", request.request_id, command)


def decode_resume_trading(
    request: trading_control_pb2.ResumeTradingRequest,
) -> Mutation[ResumeTrading]:
    """A ResumeTradingRequest; no accounts means all."""
    out = Violations()
    command = ResumeTrading(
        _accounts(out, request.account_ids), text(out, "reason", request.reason, MAX_REASON_LENGTH)
    )
    return mutation_at(out, "", request.request_id, command)


def decode_clear_freeze(request: trading_control_pb2.ClearFreezeRequest) -> Mutation[ClearFreeze]:
    """A ClearFreezeRequest."""
    out = Violations()
    command = ClearFreeze(
        identifier(out, "account_id", request.account_id),
        symbol(out, "symbol", request.symbol),
        text(out, "reason", request.reason, MAX_REASON_LENGTH),
    )
    return mutation_at(out, "", request.request_id, command)


def decode_resolve_order(request: trading_control_pb2.ResolveOrderRequest) -> Mutation[ResolveOrder]:
    """A ResolveOrderRequest. `cum_quantity` goes with ENDED and `broker_order_id` with WORKING, and with them alone."""
    out = Violations()
    resolution = choice(out, "resolution", request.resolution, _RESOLUTIONS)
    quantity = None
    if request.HasField("cum_quantity"):
        quantity = number(out, "cum_quantity", request.cum_quantity)
        if quantity is not None and quantity < ZERO:
            out.add("cum_quantity", "must be zero or above", request.cum_quantity)
    if request.resolution in _RESOLUTIONS:
        _check_evidence(out, request, resolution)
    command = ResolveOrder(
        identifier(out, "account_id", request.account_id),
        ref_at(out, "order", request.order),
        resolution,
        quantity,
        request.broker_order_id,
        text(out, "reason", request.reason, MAX_REASON_LENGTH),
    )
    return mutation_at(out, "", request.request_id, command)


def _check_evidence(
    out: Violations, request: trading_control_pb2.ResolveOrderRequest, resolution: OrderResolution
) -> None:
    if request.HasField("cum_quantity") is not (resolution is OrderResolution.ENDED):
        if resolution is OrderResolution.ENDED:
            out.add(
                "cum_quantity", "is required for the resolution ENDED; give what was filled, 0 for nothing"
            )
        else:
            out.add("cum_quantity", "belongs to the resolution ENDED alone; leave it out")
    if resolution is OrderResolution.WORKING:
        text(out, "broker_order_id", request.broker_order_id, MAX_BROKER_ID_LENGTH)
    elif request.broker_order_id:
        out.add("broker_order_id", "belongs to the resolution WORKING alone; leave it out")
