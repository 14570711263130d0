"""What happens on the account, by the WebSocket API: subscribed to with a signature, which every kind of key can.

Binance numbers and repeats nothing, so that a connection that was lost is a gap, which the engine fills. A stream can
be connected and mute: the WebSocket API is asked for a sign of life when nothing came for a while, and what a command
brought about has to be told within `ECHO_S`.

Sources: user-data-stream.md and web-socket-api.md of binance/binance-spot-api-docs. (Listen keys are gone since
2026-02-20.)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

from brokergate.adapters.binance import parse, wire
from brokergate.adapters.binance.client import BinanceClient, Refusal
from brokergate.adapters.binance.errors import CLOCK, explain, meaning
from brokergate.adapters.connection.manager import ConnectionManager
from brokergate.adapters.connection.sharing import StreamReader
from brokergate.adapters.connection.stream import StreamClient, StreamSettings
from brokergate.domain.errors import ErrorReason, TemporaryConnectionError
from brokergate.ports.clock import Clock

ECHO_S = 10.0
"""Within this the stream tells what an answer told already, or it is mute."""
_LOOK_S = 1.0
_ANSWER_S = 10.0
_WEIGHT = 4
"""Of a connection and a subscription, each 2."""
_OVER = {
    "eventStreamTerminated": "Binance ended the subscription",
    "serverShutdown": "Binance is about to close the connection",
}


class PrivateStream:
    """The private stream of one key, as one account reads it."""

    def __init__(
        self,
        client: BinanceClient,
        connections: ConnectionManager,
        credential: str,
        url: str,
        clock: Clock,
        settings: StreamSettings,
    ) -> None:
        self._client = client
        self._connections = connections
        self._credential = credential
        self._url = url
        self._clock = clock
        self._settings = settings
        self._numbers = count(1)
        self._reader: StreamReader | None = None
        self._heard: dict[str, int] = {}
        self._awaited: dict[str, int] = {}

    async def open(self) -> None:
        """Subscribes; from now on everything is buffered until `frames` is read. Raises a `BrokerError`."""
        self._heard.clear()
        self._awaited.clear()
        self._reader = await self._connections.private_stream("binance", self._credential, self._subscribed)

    async def close(self) -> None:
        """Reads no more."""
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await reader.give_up()

    async def _subscribed(self) -> StreamClient:
        await self._client.charge(_WEIGHT)
        stream = await StreamClient.connect(
            self._url,
            clock=self._clock,
            settings=self._settings,
            probe=self._probe,
        )
        try:
            try:
                await self._subscribe(stream)
            except Refusal as refusal:
                if refusal.code != CLOCK:
                    raise
                self._client.offset.distrust()
                await self._client.sync()
                await self._subscribe(stream)
        except Refusal as refusal:
            await stream.close()
            self._hush(refusal)
            raise refusal.error() from None
        except BaseException:
            await stream.close()
            raise
        return stream

    async def _subscribe(self, stream: StreamClient) -> None:
        client = self._client
        number = f"subscribe-{next(self._numbers)}"
        params = wire.signed_params({}, client.timestamp_ms(), client.recv_window_ms, client.signer)
        await stream.send(wire.frame(number, "userDataStream.subscribe.signature", params))
        while True:
            shown = parse.load(await stream.receive(_ANSWER_S))
            if isinstance(shown, dict) and shown.get("id") == number:
                break
        if shown.get("status") != 200:
            raise _refusal(shown)

    def _hush(self, refusal: Refusal) -> None:
        """Keeps the silence that Binance asks for: `retryAfter` is a time of its clock, in milliseconds."""
        if refusal.meaning.reason is ErrorReason.RATE_LIMITED:
            until_ms = refusal.data.get("retryAfter") if isinstance(refusal.data, dict) else None
            seconds = max(1, -(-(int(until_ms) - self._client.timestamp_ms()) // 1000)) if until_ms else ""
            self._client.budget.silence({"Retry-After": str(seconds)})

    async def _probe(self, stream: StreamClient) -> None:
        await stream.send(wire.frame(f"probe-{next(self._numbers)}", "ping"))

    async def events(self) -> AsyncIterator[parse.Json]:
        """Every event until `close`. Raises `TemporaryConnectionError` when the connection is lost, by Binance's word
        too, and `Malformed` for a frame that is none."""
        reader = self._reader
        assert reader is not None
        async for frame in reader:
            shown = parse.load(frame)
            event = shown.get("event") if isinstance(shown, dict) else None
            if not isinstance(event, dict):
                continue
            kind = event.get("e")
            if kind in _OVER:
                raise TemporaryConnectionError(_OVER[kind])
            yield event

    # Whether it is mute

    def heard(self, broker_order_id: str) -> None:
        """The stream told of this order."""
        self._heard.pop(broker_order_id, None)
        self._heard[broker_order_id] = self._clock.monotonic_ns()
        if len(self._heard) > 4096:
            del self._heard[next(iter(self._heard))]
        self._awaited.pop(broker_order_id, None)

    def expect(self, broker_order_id: str, sent_ns: int) -> None:
        """An answer says that something came of a command that was sent at `sent_ns` (monotonic): the stream has to
        tell it, too."""
        if self._heard.get(broker_order_id, -1) < sent_ns:
            self._awaited.setdefault(broker_order_id, self._clock.monotonic_ns())

    async def until_mute(self) -> None:
        """Returns when what has to be told was not told in time."""
        while True:
            await self._clock.sleep(_LOOK_S)
            before_ns = self._clock.monotonic_ns() - round(ECHO_S * 1e9)
            if any(since_ns <= before_ns for since_ns in self._awaited.values()):
                return


def _refusal(shown: Any) -> Refusal:
    """An error of the WebSocket API."""
    try:
        status, error = int(shown["status"]), shown["error"]
        code, text = int(error["code"]), str(error["msg"])
    except parse.WRONG:
        raise parse.Malformed("Binance's answer to the subscription has not its documented form") from None
    return Refusal(meaning(status, code, text), explain(status, code, text), code, error.get("data"))
