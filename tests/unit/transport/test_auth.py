from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from brokergate.domain.access import Principal, Scope
from brokergate.ports.clock import SystemClock
from brokergate.tokens import TokenStore
from brokergate.transport.auth import MAX_CACHED_TOKENS, Gatekeeper, NoTokens
from brokergate.transport.methods import SERVICES
from brokergate.transport.scopes import SCOPES
from brokergate.transport.settings import TransportSettings
from brokergate.v1 import account_pb2, account_service_pb2_grpc
from tests.unit.transport.conftest import LOOPBACK, Serve, Served
from tests.unit.transport.errors import reason_of
from tests.unit.transport.orders import market, place

HEALTH_OF_HEALTH = health_pb2.HealthCheckRequest(service="grpc.health.v1.Health").SerializeToString()

ADMIN_BY_CONTRACT = {
    "ReconnectBroker",
    "EmergencyStop",
    "ResumeTrading",
    "ListDiscrepancies",
    "ClearFreeze",
    "ResolveOrder",
    "ListAuditRecords",
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
            if method.name in ADMIN_BY_CONTRACT:
                assert SCOPES[path] is Scope.ADMIN, path
            elif method.GetOptions().idempotency_level == 1:  # NO_SIDE_EFFECTS
                assert SCOPES[path] is Scope.READ, path
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


def make_token(tokens: TokenStore, name: str, scope: Scope, accounts: list[str] | None = None) -> str:
    """A token for `accounts`, or for every account."""
    return tokens.create(name, scope, accounts, None, secrets.token_bytes)


async def place_as(served: Served, token: str | None, account_id: str) -> str:
    try:
        await place(served, market("a1", account_id), metadata=bearer(token) if token else None)
        return "OK"
    except grpc.aio.AioRpcError as error:
        return reason_of(error)


async def test_accounts_of_a_token_are_all_that_it_may_use(serve: Serve, tokens: TokenStore) -> None:
    """A token for one account sees and trades that one; every other one is ACCOUNT_NOT_ALLOWED, there or not."""
    token = make_token(tokens, "mine", Scope.ADMIN, ["main"])
    served = await serve(authenticator=tokens)
    assert [await place_as(served, token, name) for name in ("main", "other", "none")] == [
        "OK",
        "ACCOUNT_NOT_ALLOWED",
        "ACCOUNT_NOT_ALLOWED",
    ]
    stub: Any = account_service_pb2_grpc.AccountServiceStub(served.channel())
    listed = await stub.ListAccounts(account_pb2.ListAccountsRequest(), metadata=bearer(token))
    assert [account.account_id for account in listed.accounts] == ["main"]
    everybody = bearer(make_token(tokens, "all", Scope.READ))
    listed = await stub.ListAccounts(account_pb2.ListAccountsRequest(), metadata=everybody)
    assert [account.account_id for account in listed.accounts] == ["main", "other"]


async def test_a_server_notices_revoked_and_new_tokens(
    serve: Serve, tokens: TokenStore, tmp_path: Path
) -> None:
    """Another process revokes a token: within a second it opens nothing; a token made meanwhile works at once."""
    writer = TokenStore(tmp_path / "tokens.json", SystemClock())
    old = make_token(writer, "old", Scope.TRADE)
    served = await serve(
        TransportSettings(listeners=LOOPBACK, token_poll_ms=50),
        TokenStore(tmp_path / "tokens.json", SystemClock()),
    )
    assert await place_as(served, old, "main") == "OK"
    writer.revoke("old")
    async with asyncio.timeout(1):
        while await place_as(served, old, "main") != "TOKEN_REVOKED":
            pass
    assert await place_as(served, make_token(writer, "new", Scope.TRADE), "main") == "OK"
    assert await place_as(served, None, "main") == "TOKEN_INVALID"


async def test_a_token_expires_while_it_is_used(
    serve: Serve, tokens: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that was good a moment ago, and is remembered, is TOKEN_EXPIRED once its time is over."""
    token = tokens.create("short", Scope.TRADE, None, 3600, secrets.token_bytes)
    clock = SystemClock()
    served = await serve(authenticator=tokens)
    assert await place_as(served, token, "main") == "OK"
    gatekeeper: Any = served.server._gatekeeper
    monkeypatch.setattr(gatekeeper, "_now_ns", lambda: clock.now_ns() + 3601 * 10**9)
    assert await place_as(served, token, "main") == "TOKEN_EXPIRED"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "bearer nope", "Bearer " + "x" * 600]
)
async def test_a_malformed_header_is_refused(serve: Serve, tokens: TokenStore, header: str) -> None:
    """Whatever stands in the header and is no known bearer token is TOKEN_INVALID, even without tokens on loopback."""
    served = await serve(authenticator=tokens)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await place(served, market("a1"), metadata=(("authorization", header),))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert reason_of(caught.value) == "TOKEN_INVALID"


async def test_a_loopback_without_tokens_is_open(served: Served) -> None:
    """Where no token was ever made, whoever is on this machine is admin."""
    assert await place_as(served, None, "main") == "OK"
    assert await reach(served.channel(), "/grpc.channelz.v1.Channelz/GetServers") == "OK"


async def test_the_first_token_closes_an_open_gateway(serve: Serve, tokens: TokenStore) -> None:
    """Once a token is made, calls without one are refused, and revoking it opens nothing again."""
    served = await serve(authenticator=tokens)
    assert await place_as(served, None, "main") == "OK"
    make_token(tokens, "first", Scope.ADMIN)
    assert await place_as(served, None, "main") == "TOKEN_INVALID"
    tokens.revoke("first")
    assert await place_as(served, None, "main") == "TOKEN_INVALID"


async def test_health_of_the_whole_needs_no_token(serve: Serve, tokens: TokenStore) -> None:
    """Check of '' answers everybody; of a service it wants a token, and so does Watch."""
    make_token(tokens, "first", Scope.ADMIN)
    served = await serve(authenticator=tokens)
    channel = served.channel()
    assert await reach(channel, "/grpc.health.v1.Health/Check") == "OK"
    assert await reach(channel, "/grpc.health.v1.Health/Check", "wrong") == "OK"
    assert await reach(channel, "/grpc.health.v1.Health/Check", None, HEALTH_OF_HEALTH) == "TOKEN_INVALID"
    assert await reach(channel, "/grpc.health.v1.Health/Watch") == "TOKEN_INVALID"


def test_remembered_tokens_are_bounded(tmp_path: Path) -> None:
    """However many tokens are tried, no more than a bounded number is remembered."""

    class Everybody(NoTokens):
        def authenticate(self, token: str) -> Principal:
            return Principal(token, Scope.READ, revocable=True)

    gatekeeper = Gatekeeper(TransportSettings(), Everybody(), SystemClock())
    for number in range(MAX_CACHED_TOKENS + 100):
        principal = gatekeeper.by_token([("authorization", f"Bearer t{number}")])
        assert principal is not None
        assert principal.name == f"t{number}"
    assert len(gatekeeper._cache) == MAX_CACHED_TOKENS
