"""WebSocket connections to the emulator, frame by frame."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.emulators.binance.raw import now_ms
from tests.emulators.client import Emulator

WAIT_S = 20.0


class Socket:
    """One connection. Frames that nobody asked for are kept in `events`."""

    def __init__(self, venue: Emulator, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.venue = venue
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self._number = 0

    async def send(self, body: dict[str, Any] | str) -> None:
        """A frame."""
        await self.socket.send_str(body if isinstance(body, str) else orjson.dumps(body).decode())

    async def frame(self) -> Any:
        """The next frame, as JSON where it is; None where the connection has ended."""
        async with asyncio.timeout(WAIT_S):
            message = await self.socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            return None
        try:
            return orjson.loads(message.data)
        except orjson.JSONDecodeError:
            return message.data

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A request, and its answer."""
        self._number += 1
        await self.send({"id": self._number, "method": method, "params": parameters})
        return await self.answer()

    async def answer(self) -> dict[str, Any]:
        """The answer to the latest request."""
        while True:
            frame = await self.frame()
            assert frame is not None, "the connection has ended"
            if frame.get("id") == self._number and "event" not in frame:
                return dict(frame)
            self.events.append(frame)

    async def ask_stream(self, method: str, parameters: list[Any] | None = None) -> dict[str, Any]:
        """A request to the market streams, and its answer."""
        self._number += 1
        body = {"id": self._number, "method": method}
        await self.send(body if parameters is None else body | {"params": parameters})
        return await self.answer()

    async def signed(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A request signed with the HMAC key."""
        return await self.ask(method, **self.hmac(parameters))

    def hmac(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Parameters with the HMAC key's signature."""
        sent = {"apiKey": self.venue.key, "timestamp": now_ms()} | parameters
        payload = "&".join(f"{name}={sent[name]}" for name in sorted(sent)).encode()
        return sent | {"signature": hmac.new(self.venue.secret.encode(), payload, hashlib.sha256).hexdigest()}

    async def logon(self, key: str, private: str) -> dict[str, Any]:
        """Logs on with an Ed25519 key."""
        sent = {"apiKey": key, "timestamp": now_ms()}
        payload = "&".join(f"{name}={sent[name]}" for name in sorted(sent)).encode()
        holder = load_pem_private_key(private.encode(), None)
        assert isinstance(holder, Ed25519PrivateKey)
        return await self.ask(
            "session.logon", **sent, signature=base64.b64encode(holder.sign(payload)).decode()
        )

    async def until(self, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Reads until `events` is enough."""
        while not enough(self.events):
            frame = await self.frame()
            assert frame is not None, f"the connection has ended after {self.events}"
            self.events.append(frame)
        return self.events

    def told(self, name: str) -> list[dict[str, Any]]:
        """The account's events of a name."""
        found = [frame["event"] for frame in self.events if "event" in frame]
        return [event for event in found if event["e"] == name]


@asynccontextmanager
async def opened(venue: Emulator, path: str, *, answers_pings: bool = True) -> AsyncIterator[Socket]:
    """A connection to a door."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(venue.ws_url + path, autoping=answers_pings) as socket,
    ):
        yield Socket(venue, socket)


@asynccontextmanager
async def api(venue: Emulator) -> AsyncIterator[Socket]:
    """A connection to the WebSocket API."""
    async with opened(venue, "/ws-api/v3") as socket:
        yield socket


@asynccontextmanager
async def listening(venue: Emulator) -> AsyncIterator[Socket]:
    """A connection that hears the account's events."""
    async with api(venue) as socket:
        assert (await socket.signed("userDataStream.subscribe.signature"))["status"] == 200
        yield socket
