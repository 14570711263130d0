"""TradingControlService: what may be traded, and who asked for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from brokergate.codec.decode.control import (
    decode_clear_freeze,
    decode_emergency_stop,
    decode_get_trading_state,
    decode_resolve_order,
    decode_resume_trading,
)
from brokergate.codec.decode.fingerprint import fingerprint_of
from brokergate.codec.decode.lists import decode_list_audit_records, decode_list_discrepancies
from brokergate.codec.decode.order import Mutation
from brokergate.codec.encode.control import (
    audit_record_bytes,
    clear_freeze_bytes,
    discrepancy_bytes,
    emergency_stop_bytes,
    encode_trading_state,
    resume_trading_bytes,
)
from brokergate.codec.encode.response import audit_page_bytes, discrepancies_page_bytes, order_response_bytes
from brokergate.domain.access import Principal
from brokergate.domain.commands import EmergencyStop, ResumeTrading
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.engine.gateway import Gateway
from brokergate.transport.auth import require_account
from brokergate.transport.clients import Client
from brokergate.transport.pages import fit
from brokergate.transport.services.mutations import request_of
from brokergate.v1 import trading_control_pb2

C = TypeVar("C", EmergencyStop, ResumeTrading)


class TradingControlService:
    """See `trading_control_service.proto`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def get_trading_state(
        self, request: trading_control_pb2.GetTradingStateRequest, client: Client
    ) -> trading_control_pb2.GetTradingStateResponse:
        account_id = decode_get_trading_state(request)
        if account_id is not None:
            require_account(client.principal, account_id)
        allowed = client.principal.allows
        states = self._gateway.trading_states(account_id)
        return trading_control_pb2.GetTradingStateResponse(
            states=[encode_trading_state(state) for state in states if allowed(state.account_id)]
        )

    async def emergency_stop(
        self, request: trading_control_pb2.EmergencyStopRequest, client: Client
    ) -> bytes:
        mutation = self._aimed(decode_emergency_stop(request), request.account_ids, client.principal)
        return await self._gateway.emergency_stop(
            mutation.command, request_of(mutation, "EmergencyStop", emergency_stop_bytes, client)
        )

    async def resume_trading(
        self, request: trading_control_pb2.ResumeTradingRequest, client: Client
    ) -> bytes:
        mutation = self._aimed(decode_resume_trading(request), request.account_ids, client.principal)
        return await self._gateway.resume_trading(
            mutation.command, request_of(mutation, "ResumeTrading", resume_trading_bytes, client)
        )

    def _aimed(self, mutation: Mutation[C], named: Sequence[str], principal: Principal) -> Mutation[C]:
        """`mutation` with the accounts that it means: where none is `named`, all for a principal that may use all, and
        for another one its own. Which those are is part of what is asked for."""
        for index, account_id in enumerate(named):
            require_account(principal, account_id)
            self._gateway.account(account_id, f"account_ids[{index}]")
        if named or principal.accounts is None:
            return mutation
        own = tuple(account_id for account_id in self._gateway.account_ids if principal.allows(account_id))
        if not own:
            # No accounts would mean all of them.
            raise GatewayError(
                ErrorReason.ACCOUNT_NOT_ALLOWED,
                f"{principal.name!r} may use no account of this gateway; its accounts are named by its token",
            )
        fingerprint = fingerprint_of(mutation.fingerprint, tuple(sorted(principal.accounts)))
        return Mutation(replace(mutation.command, account_ids=own), mutation.request_id, fingerprint)

    async def list_discrepancies(
        self, request: trading_control_pb2.ListDiscrepanciesRequest, client: Client
    ) -> bytes:
        page = decode_list_discrepancies(request)
        require_account(client.principal, page.account_id)
        rows = self._gateway.list_discrepancies(page.account_id, page.which, page.place, page.limit + 1)
        bodies, token = fit(
            rows, page.limit, lambda row: discrepancy_bytes(row[1]), lambda row: page.next_token(row[0])
        )
        return discrepancies_page_bytes(bodies, token, self._gateway.cursor(page.account_id))

    async def clear_freeze(self, request: trading_control_pb2.ClearFreezeRequest, client: Client) -> bytes:
        mutation = decode_clear_freeze(request)
        require_account(client.principal, mutation.command.account_id)
        return await self._gateway.clear_freeze(
            mutation.command, request_of(mutation, "ClearFreeze", clear_freeze_bytes, client)
        )

    async def resolve_order(self, request: trading_control_pb2.ResolveOrderRequest, client: Client) -> bytes:
        mutation = decode_resolve_order(request)
        require_account(client.principal, mutation.command.account_id)
        return await self._gateway.resolve_order(
            mutation.command, request_of(mutation, "ResolveOrder", order_response_bytes, client)
        )

    async def list_audit_records(
        self, request: trading_control_pb2.ListAuditRecordsRequest, client: Client
    ) -> bytes:
        page = decode_list_audit_records(request)
        require_account(client.principal, page.account_id)
        rows = self._gateway.list_audit_records(page.account_id, page.which, page.place, page.limit + 1)
        bodies, token = fit(rows, page.limit, audit_record_bytes, lambda row: page.next_token(row.number))
        return audit_page_bytes(bodies, token, self._gateway.cursor(page.account_id))
