"""SimulatorService: paper accounts and their market."""

from __future__ import annotations

from collections.abc import Sequence

from brokergate.codec.decode.simulator import (
    decode_control_tape,
    decode_create,
    decode_push,
    decode_reset,
    decode_set_faults,
)
from brokergate.codec.encode.account import encode_account
from brokergate.codec.encode.venue import encode_faults, encode_tape
from brokergate.domain.errors import GatewayError, invalid_field
from brokergate.domain.faults import Fault
from brokergate.engine.gateway import Gateway
from brokergate.engine.views import AccountView
from brokergate.ports.broker import TapeStatus
from brokergate.ports.clock import Clock
from brokergate.transport.auth import require_account
from brokergate.transport.calls import Stream
from brokergate.transport.clients import Client
from brokergate.transport.methods import Requests
from brokergate.transport.services.mutations import request_of
from brokergate.v1 import simulator_pb2


class SimulatorService:
    """See `simulator_service.proto`."""

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock

    async def create_paper_account(
        self, request: simulator_pb2.CreatePaperAccountRequest, client: Client
    ) -> bytes:
        mutation = decode_create(request)
        require_account(client.principal, mutation.command.account_id)
        return await self._gateway.simulators.create(
            mutation.command, request_of(mutation, "CreatePaperAccount", _account_answer, client)
        )

    async def reset_paper_account(
        self, request: simulator_pb2.ResetPaperAccountRequest, client: Client
    ) -> bytes:
        mutation = decode_reset(request)
        account_id, balances = mutation.command.account_id, mutation.command.initial_balances
        require_account(client.principal, account_id)
        return await self._gateway.simulators.reset(
            account_id,
            None if balances is None else {balance.currency: balance.amount for balance in balances},
            request_of(mutation, "ResetPaperAccount", _account_answer, client),
        )

    async def push_market_data(
        self, requests: Requests[simulator_pb2.PushMarketDataRequest], stream: Stream
    ) -> simulator_pb2.PushMarketDataResponse:
        account_id = ""
        accepted = 0
        try:
            while (request := await requests.read()) is not None:
                pushed = decode_push(request, self._clock.now_ns())
                if not account_id:
                    if not pushed.account_id:
                        raise invalid_field("account_id", "is required in the first message")
                    require_account(stream.principal, pushed.account_id)
                    account_id = pushed.account_id
                elif pushed.account_id not in ("", account_id):
                    raise invalid_field(
                        "account_id",
                        f"{pushed.account_id!r} is not the first message's {account_id!r}; leave it out",
                    )
                await self._gateway.simulators.push(account_id, pushed.updates)
                accepted += len(pushed.updates)
        except GatewayError:
            if accepted:
                await self._gateway.simulators.settle(account_id)
            raise
        if accepted:
            await self._gateway.simulators.settle(account_id)
        return simulator_pb2.PushMarketDataResponse(accepted_updates=accepted)

    async def control_tape(self, request: simulator_pb2.ControlTapeRequest, client: Client) -> bytes:
        mutation = decode_control_tape(request)
        require_account(client.principal, mutation.command.account_id)
        return await self._gateway.simulators.control_tape(
            mutation.command.account_id,
            mutation.command.action,
            request_of(mutation, "ControlTape", _tape_answer, client),
        )

    async def set_faults(self, request: simulator_pb2.SetFaultsRequest, client: Client) -> bytes:
        mutation = decode_set_faults(request)
        require_account(client.principal, mutation.command.account_id)
        return await self._gateway.simulators.set_faults(
            mutation.command.account_id,
            mutation.command.faults,
            request_of(mutation, "SetFaults", _faults_answer, client),
        )


def _account_answer(account: AccountView) -> bytes:
    # CreatePaperAccountResponse and ResetPaperAccountResponse are the same on the wire.
    return simulator_pb2.CreatePaperAccountResponse(account=encode_account(account)).SerializeToString()


def _tape_answer(status: TapeStatus) -> bytes:
    return encode_tape(status).SerializeToString()


def _faults_answer(faults: Sequence[Fault]) -> bytes:
    return encode_faults(faults).SerializeToString()
