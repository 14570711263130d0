"""PositionService: what an account holds."""

from __future__ import annotations

from brokergate.codec.decode.account import decode_close_position, decode_get_position, decode_list_positions
from brokergate.codec.encode.account import encode_as_of, encode_position
from brokergate.codec.encode.response import place_response_bytes
from brokergate.engine.gateway import Gateway
from brokergate.transport.auth import require_account
from brokergate.transport.clients import Client
from brokergate.v1 import position_pb2


class PositionService:
    """See `position_service.proto`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def list_positions(
        self, request: position_pb2.ListPositionsRequest, client: Client
    ) -> position_pb2.ListPositionsResponse:
        wanted = decode_list_positions(request)
        account_id = wanted.account_id
        require_account(client.principal, account_id)
        shown = await self._gateway.list_positions(account_id, wanted.include_flat)
        return position_pb2.ListPositionsResponse(
            positions=[encode_position(account_id, position) for position in shown.value],
            cursor=self._gateway.cursor(account_id),
            as_of=encode_as_of(shown.as_of_ns),
            stale=shown.stale,
        )

    async def get_position(
        self, request: position_pb2.GetPositionRequest, client: Client
    ) -> position_pb2.GetPositionResponse:
        wanted = decode_get_position(request)
        account_id = wanted.target.account_id
        require_account(client.principal, account_id)
        shown = await self._gateway.get_position(account_id, wanted.symbol)
        return position_pb2.GetPositionResponse(
            position=encode_position(account_id, shown.value),
            cursor=self._gateway.cursor(account_id),
            as_of=encode_as_of(shown.as_of_ns),
            stale=shown.stale,
        )

    async def close_position(self, request: position_pb2.ClosePositionRequest, client: Client) -> bytes:
        command = decode_close_position(request, client.caller)
        require_account(client.principal, command.account_id)
        placed = await self._gateway.close_position(command)
        return place_response_bytes(placed.order, placed.already_existed)
