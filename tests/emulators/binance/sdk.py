"""The venue's own SDK (binance-sdk-spot), pointed at an emulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_sdk_spot.spot import Spot

from tests.emulators.binance.conftest import ED25519_KEY, KeyPair
from tests.emulators.client import Emulator

WAIT_S = 20.0


def spot(venue: Emulator, pair: KeyPair | None = None) -> Any:
    """The SDK with the HMAC key, or with the Ed25519 one where a pair is given."""
    secret: dict[str, Any] = {"api_key": venue.key, "api_secret": venue.secret}
    if pair is not None:
        secret = {"api_key": ED25519_KEY, "private_key": pair.private}
    return Spot(
        config_rest_api=ConfigurationRestAPI(base_path=venue.url, timeout=10_000, retries=0, **secret),
        config_ws_api=ConfigurationWebSocketAPI(stream_url=f"{venue.ws_url}/ws-api/v3", **secret),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=f"{venue.ws_url}/stream"),
    )


@asynccontextmanager
async def connected(api: Any) -> AsyncIterator[Any]:
    """A connection of the SDK's WebSocket API or of its streams."""
    connection = await api.create_connection()
    assert connection is not None, "the SDK could not connect"
    try:
        yield connection
    finally:
        await connection.close_connection(close_session=True)


class Heard:
    """What a stream of the SDK gives to its callback, as the wire's own names and values."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._more = asyncio.Event()

    def __call__(self, event: Any) -> None:
        self.events.append(plain(event))
        self._more.set()

    async def until(self, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Waits until what was heard is enough."""
        async with asyncio.timeout(WAIT_S):
            while not enough(self.events):
                self._more.clear()
                await self._more.wait()
        return self.events

    def reports(self) -> list[tuple[str, str]]:
        """(execution type, status) of the orders' events."""
        found = [event for event in self.events if event.get("e") == "executionReport"]
        return [(event["x"], event["X"]) for event in found]


def plain(model: Any) -> Any:
    """A model of the SDK as the wire's names and values. Of an event, which the SDK wraps, `e` is put back. Fails where
    the SDK could not make its model of what came."""
    actual = getattr(model, "actual_instance", None)
    if actual is not None:
        assert not isinstance(actual, dict), f"the SDK does not know this event: {actual}"
        name = type(actual).__name__
        return {"e": name[0].lower() + name[1:]} | plain(actual)
    if isinstance(model, dict | list):
        return model
    return model.model_dump(by_alias=True)
