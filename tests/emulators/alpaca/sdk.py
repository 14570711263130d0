"""Alpaca's own SDK against the emulator: its blocking clients, and its streams as tasks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from alpaca.trading.client import TradingClient

from tests.emulators.client import Emulator

WAIT_S = 20.0


def trading(venue: Emulator, **more: Any) -> Any:
    """The SDK's trading client. It says of each answer that it may be a model or raw, so its types help nobody."""
    return TradingClient(venue.key, venue.secret, url_override=venue.url, **more)


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """A blocking call of the SDK, in a thread."""
    return await asyncio.to_thread(function, *arguments)


class Heard:
    """What a stream's handler was given."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._more = asyncio.Condition()

    async def take(self, message: Any) -> None:
        """The handler."""
        async with self._more:
            self.all.append(message)
            self._more.notify_all()

    async def until(self, wanted: Callable[[list[Any]], bool]) -> list[Any]:
        """All that was heard, once it is enough."""
        async with asyncio.timeout(WAIT_S), self._more:
            await self._more.wait_for(lambda: wanted(self.all))
        return self.all


async def asked(venue: Emulator, name: str, times: int = 1) -> None:
    """Waits until the emulator has been asked `name` (`listen`, `subscribe`, a kind of request) so many times."""
    async with asyncio.timeout(WAIT_S):
        while sum(entry["kind"] == name for entry in await venue.log()) < times:
            pass


@contextlib.asynccontextmanager
async def running(venue: Emulator, stream: Any, name: str) -> AsyncIterator[None]:
    """The SDK's stream at work, from the emulator's having heard `name` from it on."""
    task = asyncio.ensure_future(stream._run_forever())
    try:
        await asked(venue, name)
        yield
    finally:
        await stream.stop_ws()
        await stream.close()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
