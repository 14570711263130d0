"""TradingControlService: what may be traded. Only the question is answered yet; the rest is checked and refused."""

from __future__ import annotations

from typing import NoReturn

from brokergate.codec.decode.control import (
    decode_clear_freeze,
    decode_emergency_stop,
    decode_get_trading_state,
    decode_list_discrepancies,
    decode_resolve_order,
    decode_resume_trading,
)
from brokergate.codec.encode.broker import encode_trading_state
from brokergate.domain.access import Principal
from brokergate.engine.gateway import Gateway
from brokergate.transport.auth import require_account
from brokergate.v1 import trading_control_pb2


class TradingControlService:
    """See `trading_control_service.proto`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def get_trading_state(
        self, request: trading_control_pb2.GetTradingStateRequest, principal: Principal
    ) -> trading_control_pb2.GetTradingStateResponse:
        account_id = decode_get_trading_state(request)
        if account_id is not None:
            require_account(principal, account_id)
        states = self._gateway.trading_states(account_id)
        return trading_control_pb2.GetTradingStateResponse(
            states=[encode_trading_state(state) for state in states if principal.allows(state.account_id)]
        )

    async def emergency_stop(
        self, request: trading_control_pb2.EmergencyStopRequest, principal: Principal
    ) -> NoReturn:
        decode_emergency_stop(request)

    async def resume_trading(
        self, request: trading_control_pb2.ResumeTradingRequest, principal: Principal
    ) -> NoReturn:
        decode_resume_trading(request)

    async def list_discrepancies(
        self, request: trading_control_pb2.ListDiscrepanciesRequest, principal: Principal
    ) -> NoReturn:
        decode_list_discrepancies(request)

    async def clear_freeze(
        self, request: trading_control_pb2.ClearFreezeRequest, principal: Principal
    ) -> NoReturn:
        decode_clear_freeze(request)

    async def resolve_order(
        self, request: trading_control_pb2.ResolveOrderRequest, principal: Principal
    ) -> NoReturn:
        decode_resolve_order(request)

    async def list_audit_records(
        self, request: trading_control_pb2.ListAuditRecordsRequest, principal: Principal
    ) -> NoReturn:
        raise NotImplementedError
