from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from brokergate.domain.access import Scope
from brokergate.tokens import TokenStore
from brokergate.transport.methods import SERVICES
from brokergate.transport.scopes import SCOPES
from tests.unit.transport.conftest import Serve
from tests.unit.transport.errors import reason_of

HEALTH_OF_HEALTH = health_pb2.HealthCheckRequest(service="grpc.health.v1.Health").SerializeToString()

ADMIN_BY_CONTRACT = {
    "ReconnectBroker",
    "EmergencyStop",
    "ResumeTrading",
    "ClearFreeze",
    "ResolveOrder",
    *(
        method.name
        for service in SERVICES
        if service.name == "SimulatorService"
        for method in service.methods
    ),
}


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def every_path() -> Iterator[tuple[str, str]]:
    for service in SERVICES:
        for method in service.methods:
            yield f"/{service.full_name}/{method.name}", method.name


async def reach(channel: grpc.aio.Channel, path: str, token: str | None = None, body: bytes = b"") -> str:
    """The reason, or the code's name where the call passed the door."""
    metadata = bearer(token) if token else None
    call: Any = channel.stream_stream(path)
    stream = call(iter([body]), metadata=metadata, timeout=20)
    try:
        await stream.read()
        stream.cancel()
        return "OK"
    except grpc.aio.AioRpcError as error:
        return reason_of(error)


def test_every_rpc_has_a_scope() -> None:
    """Each RPC of the contract has a scope, reads need no more than read, and admin is for what the contract says."""
    paths = dict(every_path())
    assert {path for path in SCOPES if path.startswith("/brokergate.")} == set(paths)
    for service in SERVICES:
        for method in service.methods:
            path = f"/{service.full_name}/{method.name}"
            if method.GetOptions().idempotency_level == 1:  # NO_SIDE_EFFECTS
                assert SCOPES[path] is Scope.READ, path
            elif method.name in ADMIN_BY_CONTRACT:
                assert SCOPES[path] is Scope.ADMIN, path
            else:
                assert SCOPES[path] is Scope.TRADE, path


@pytest.fixture
def names(tokens: TokenStore) -> dict[str, str]:
    """Tokens of every scope for the account `main`, and one for all accounts."""
    made = {
        scope.name.lower(): tokens.create(scope.name.lower(), scope, ["main"], None, secrets.token_bytes)
        for scope in Scope
    }
    return made | {"all": tokens.create("all", Scope.ADMIN, None, None, secrets.token_bytes)}


@pytest.mark.parametrize("token", ["", "read", "trade", "admin", "wrong"])
async def test_scopes_open_exactly_what_the_table_says(
    serve: Serve, tokens: TokenStore, names: dict[str, str], token: str
) -> None:
    """Over every RPC, reflection and channelz too: no token and a wrong one open nothing, and each scope what it
    includes."""
    served = await serve(authenticator=tokens)
    channel = served.channel()
    for path, needed in SCOPES.items():
        # A health check of '' is open to all: another one is asked for.
        body = HEALTH_OF_HEALTH if path.endswith("/Check") else b""
        reason = await reach(channel, path, names.get(token, token), body)
        if token in ("", "wrong"):
            assert reason == "TOKEN_INVALID", path
        elif Scope[token.upper()] < needed:
            assert reason == "SCOPE_INSUFFICIENT", path
        else:
            assert reason not in ("TOKEN_INVALID", "SCOPE_INSUFFICIENT", "INTERNAL"), path
