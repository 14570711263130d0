"""A WebSocket of the venue: pings, pongs and their deadline, and the end after 24 hours.

The server pings every 20 s; a client whose pong does not come within a minute is cut off (web-socket-api.md,
"General API information").
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from tests.emulators.channel import Channel
from tests.emulators.clock import VenueClock
from tests.emulators.faults import Faults

DAY_NS = 86_400 * 1_000_000_000
LOOK_S = 0.05
"""Between two looks at the deadlines."""


@dataclass(slots=True)
class Pings:
    """How often the server pings and how long it waits for a pong, in seconds."""

    every_s: float = 20.0
    deadline_s: float = 60.0


class VenueSocket(ABC):
    """One connection. `run` serves it to its end."""

    kind: str

    def __init__(self, clock: VenueClock, faults: Faults, pings: Pings) -> None:
        self.clock = clock
        self.faults = faults
        self._pings = pings
        self._opened_ns = clock.now_ns()
        self._pong_s = time.monotonic()
        self.channel: Channel

    @abstractmethod
    async def received(self, text: str) -> None:
        """A message came."""

    @abstractmethod
    def opened(self) -> None:
        """The connection is there: it can be told things from now on."""

    @abstractmethod
    def ended(self) -> None:
        """The connection is over."""

    def heard(self) -> bool:
        """Something came, pings and pongs too: whether it may be so much."""
        return True

    async def run(self, request: web.Request, channels: set[Channel]) -> web.WebSocketResponse:
        """Serves the connection."""
        socket = web.WebSocketResponse(autoping=False, autoclose=True, max_msg_size=1_000_000)
        await socket.prepare(request)
        self.channel = Channel(request, socket, self.kind, self.faults)
        channels.add(self.channel)
        self.opened()
        watch = asyncio.ensure_future(self._watch())
        try:
            with contextlib.suppress(ConnectionError):
                await self._read(socket)
        finally:
            watch.cancel()
            channels.discard(self.channel)
            self.ended()
            self.channel.abort()
        return socket

    async def _read(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if not self.heard():
                await self.channel.close(1008, b"Too many requests")
                return
            if message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self._pong_s = time.monotonic()
            elif message.type is WSMsgType.TEXT:
                await self.received(message.data)

    async def _watch(self) -> None:
        pinged_s = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_S)
            now_s = time.monotonic()
            if now_s - pinged_s >= self._pings.every_s:
                pinged_s = now_s
                self.channel.ping(str(self.clock.shown_ms()).encode())
            if now_s - self._pong_s > self._pings.deadline_s or self._is_old():
                await self.channel.close(1008 if not self._is_old() else 1001)
                return

    def _is_old(self) -> bool:
        return self.clock.now_ns() - self._opened_ns >= DAY_NS
