"""What may be traded, stops, disagreements and the audit as messages, from whatever has these properties: the
engine's views have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from brokergate.codec.encode.values import Fields, timestamp_fields
from brokergate.domain.accounts import TradingState
from brokergate.domain.control import AuditRecord, Discrepancy, StopProgress
from brokergate.v1 import trading_control_pb2


class TradingLike(Protocol):
    """What an AccountTradingState shows."""

    @property
    def account_id(self) -> str: ...
    @property
    def state(self) -> TradingState: ...
    @property
    def reason(self) -> str: ...
    @property
    def since_ns(self) -> int: ...
    @property
    def stop_operation_id(self) -> str: ...
    @property
    def frozen_symbols(self) -> Sequence[str]: ...


class StopLike(Protocol):
    """What an EmergencyStopResponse shows."""

    @property
    def operation_id(self) -> str: ...
    @property
    def states(self) -> Sequence[TradingLike]: ...


def trading_state_fields(trading: TradingLike) -> Fields:
    """The fields of an AccountTradingState."""
    return {
        "account_id": trading.account_id,
        "state": trading.state,
        "reason": trading.reason,
        "since_time": timestamp_fields(trading.since_ns),
        "stop_operation_id": trading.stop_operation_id,
        "frozen_symbols": trading.frozen_symbols,
    }


def encode_trading_state(trading: TradingLike) -> trading_control_pb2.AccountTradingState:
    """An AccountTradingState."""
    return trading_control_pb2.AccountTradingState(**trading_state_fields(trading))


def emergency_stop_bytes(stop: StopLike) -> bytes:
    """A serialised EmergencyStopResponse."""
    fields: Fields = {
        "operation_id": stop.operation_id,
        "states": [trading_state_fields(state) for state in stop.states],
    }
    return trading_control_pb2.EmergencyStopResponse(**fields).SerializeToString()


def resume_trading_bytes(states: Iterable[TradingLike]) -> bytes:
    """A serialised ResumeTradingResponse."""
    fields: Fields = {"states": [trading_state_fields(state) for state in states]}
    return trading_control_pb2.ResumeTradingResponse(**fields).SerializeToString()


def clear_freeze_bytes(state: TradingLike) -> bytes:
    """A serialised ClearFreezeResponse."""
    fields: Fields = {"state": trading_state_fields(state)}
    return trading_control_pb2.ClearFreezeResponse(**fields).SerializeToString()


def stop_progress_fields(progress: StopProgress) -> Fields:
    """The fields of a StopProgress."""
    return {
        "phase": progress.phase,
        "open_orders": progress.open_orders,
        "ended_orders": progress.ended_orders,
        "remaining_orders": progress.remaining_orders,
        "uncertain_orders": progress.uncertain_orders,
        "kept_orders": progress.kept_orders,
        "open_positions": progress.open_positions,
    }


def discrepancy_fields(discrepancy: Discrepancy) -> Fields:
    """The fields of a Discrepancy."""
    return {
        "discrepancy_id": discrepancy.discrepancy_id,
        "account_id": discrepancy.account_id,
        "symbol": discrepancy.symbol,
        "order_id": discrepancy.order_id,
        "expected": discrepancy.expected,
        "actual": discrepancy.actual,
        "message": discrepancy.message,
        "detect_time": timestamp_fields(discrepancy.detect_time_ns),
        "state": discrepancy.state,
    }


def discrepancy_bytes(discrepancy: Discrepancy) -> bytes:
    """A serialised Discrepancy."""
    return trading_control_pb2.Discrepancy(**discrepancy_fields(discrepancy)).SerializeToString()


def audit_record_bytes(record: AuditRecord) -> bytes:
    """A serialised AuditRecord."""
    fields: Fields = {
        "account_id": record.account_id,
        "time": timestamp_fields(record.time_ns),
        "actor": record.actor,
        "peer": record.peer,
        "client_name": record.client_name,
        "method": record.method,
        "request_id": record.request_id,
        "client_order_id": record.client_order_id,
        "order_id": record.order_id,
    }
    return trading_control_pb2.AuditRecord(**fields).SerializeToString()
