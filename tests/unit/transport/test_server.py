from __future__ import annotations

from pathlib import Path

import pytest

from brokergate.domain.access import Scope
from brokergate.ports.clock import SystemClock
from brokergate.tokens import TokenStore
from brokergate.transport.settings import TransportSettings
from tests.unit.transport.conftest import LOOPBACK, Serve
from tests.unit.transport.test_auth import make_token, place_as
from tests.unit.transport.test_streams import until


async def test_a_fault_while_tokens_are_read_does_not_end_the_looking(
    serve: Serve, tokens: TokenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A token file that cannot be looked at is logged, and revocations are noticed once it can be again."""
    token = make_token(tokens, "mine", Scope.TRADE)
    served = await serve(TransportSettings(listeners=LOOPBACK, token_poll_ms=10), tokens)
    assert await place_as(served, token, "main") == "OK"
    with monkeypatch.context() as broken:
        broken.setattr(tokens, "refresh", lambda: 1 // 0)
        await until(lambda: any(line["event"] == "tokens not looked at" for line in served.log.lines))
    TokenStore(tmp_path / "tokens.json", SystemClock()).revoke("mine")
    served.log.lines.clear()
    await until(lambda: not served.server._gatekeeper._cache)
    assert await place_as(served, token, "main") == "TOKEN_REVOKED"


async def test_a_server_is_stopped_twice_without_harm(serve: Serve) -> None:
    """Stopping what has stopped does nothing: an end that comes twice ends the same."""
    served = await serve()
    await served.server.stop()
    await served.server.stop()
    assert served.server.streams == 0
