"""Streams under way, where two ends of one meet."""

from __future__ import annotations

import asyncio

import pytest

from brokergate.domain.access import Caller, Principal, Scope
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.transport.calls import Stream, shutting_down
from brokergate.transport.clients import Client
from brokergate.transport.settings import TransportSettings

ANYONE = Client(Principal("anyone", Scope.READ), Caller())


class Blocked:
    """A call whose client does not read; its stream is ended right after whatever is due when a write has begun."""

    def __init__(self) -> None:
        self.stream: Stream | None = None
        self.raised: list[Exception] = []

    async def write(self, body: bytes) -> None:
        asyncio.get_running_loop().call_soon(self._end)
        await asyncio.Event().wait()

    def _end(self) -> None:
        assert self.stream is not None
        try:
            self.stream.end(shutting_down())
        except RuntimeError as error:
            self.raised.append(error)


async def test_a_stream_is_ended_in_the_turn_in_which_its_write_took_too_long() -> None:
    """Whoever ends it is not told of a timeout that is over already, and the write ends as it would have."""
    call = Blocked()
    call.stream = Stream(call, ANYONE, TransportSettings(stall_timeout_ms=0))
    with pytest.raises(GatewayError) as slow:
        await call.stream.write(b"x")
    assert slow.value.reason is ErrorReason.SLOW_CONSUMER
    assert call.raised == []
