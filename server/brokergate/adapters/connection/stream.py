"""A WebSocket to a venue: frames in, frames out, and an end. It never connects again by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus, WebSocketException

from brokergate.adapters.connection.errors import NotSent, OutcomeUnknown
from brokergate.domain.errors import TemporaryConnectionError
from brokergate.ports.clock import Clock

NS_PER_S = 1_000_000_000

# The library logs frames and headers at DEBUG, and some of them hold keys (law 10).
_silent = logging.getLogger("brokergate.adapters.connection.frames")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
_silent.setLevel(logging.CRITICAL)


class StreamRefused(TemporaryConnectionError):
    """The venue answered the opening of a stream with an HTTP status; `code` is its number."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Bounds of a stream; seconds and bytes."""

    connect_timeout_s: float = 10.0
    """Until the WebSocket is open."""
    ping_interval_s: float = 20.0
    """Between two pings of the protocol."""
    ping_timeout_s: float = 10.0
    """For the answer to one: then the stream is lost."""
    quiet_s: float = 60.0
    """Without a frame, after which the probe is sent."""
    probe_timeout_s: float = 10.0
    """For any frame after a probe: then the stream is mute, and lost."""
    close_timeout_s: float = 2.0
    """For the venue's part of closing."""
    max_frame_bytes: int = 4 * 1024 * 1024
    max_buffered_frames: int = 1024
    """Read and not yet taken; beyond that nothing more is read from the socket."""


class _Once(connect):
    """Opens one connection, and follows nobody elsewhere with a key in its headers."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class StreamClient:
    """One open WebSocket. One task reads it, with `receive` or `async for`."""

    def __init__(self, socket: ClientConnection, name: str, clock: Clock, settings: StreamSettings) -> None:
        self.name = name
        self.last_frame_ns = clock.monotonic_ns()
        """When a frame was last taken: monotonic."""
        self._socket = socket
        self._clock = clock
        self._settings = settings
        self._mute = ""
        self._watchdog: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        clock: Clock,
        headers: Mapping[str, str] | None = None,
        settings: StreamSettings | None = None,
        probe: Callable[[StreamClient], Awaitable[None]] | None = None,
    ) -> StreamClient:
        """Opens it. `probe` asks the venue, over this stream, for something that makes it send a frame: it is called
        when the stream was quiet for `quiet_s`, and without it nobody watches for that. Raises `StreamRefused` with
        the status as `code`, or `NotSent`."""
        settings = settings or StreamSettings()
        parts = urlsplit(url)
        name = parts.hostname or url
        failure, status = "", 0
        try:
            socket = await _Once(
                url,
                additional_headers=dict(headers or {}),
                user_agent_header=None,
                proxy=None,
                open_timeout=settings.connect_timeout_s,
                ping_interval=settings.ping_interval_s,
                ping_timeout=settings.ping_timeout_s,
                close_timeout=settings.close_timeout_s,
                max_size=settings.max_frame_bytes,
                max_queue=settings.max_buffered_frames,
                logger=_silent,
            )
        except InvalidStatus as error:
            status = error.response.status_code
        except (OSError, TimeoutError, WebSocketException) as error:
            failure = _kind(error)
        else:
            stream = cls(socket, name, clock, settings)
            if probe is not None:
                stream._watchdog = asyncio.create_task(stream._watch(probe), name=f"data age of {name}")
            return stream
        if status:
            raise StreamRefused(f"{name}: the stream was refused with HTTP status {status}", code=str(status))
        raise NotSent(f"{name}: no stream ({failure})")

    async def send(self, frame: str | bytes) -> None:
        """Sends a frame, a text or binary one by its type. Raises `OutcomeUnknown` where the stream is gone."""
        try:
            await self._socket.send(frame)
        except (ConnectionClosed, OSError):
            pass
        else:
            return
        raise OutcomeUnknown(f"{self.name}: the stream was lost{self._why()}")

    async def receive(self, timeout_s: float | None = None) -> str | bytes:
        """The next frame: of text as str, of bytes as bytes. Raises `TemporaryConnectionError` when the stream is lost
        or was closed, and when nothing comes in `timeout_s`."""
        failure = f"quiet for {timeout_s} s"
        try:
            async with asyncio.timeout(timeout_s):
                return self._took(await self._socket.recv())
        except ConnectionClosed as error:
            failure = f"lost{self._why() or _closing(error)}"
        except TimeoutError:
            pass
        raise TemporaryConnectionError(f"{self.name}: the stream was {failure}")

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Every frame until `close`, or until the venue closes in order; raises `TemporaryConnectionError` when the
        stream is lost."""
        failure = ""
        try:
            while True:
                yield self._took(await self._socket.recv())
        except ConnectionClosedOK:
            pass
        except ConnectionClosed as error:
            failure = self._why() or _closing(error)
        if failure:
            raise TemporaryConnectionError(f"{self.name}: the stream was lost{failure}")

    async def close(self) -> None:
        """Closes it in order, within `close_timeout_s`; again does nothing."""
        if self._watchdog is not None and self._watchdog is not asyncio.current_task():
            self._watchdog.cancel()
            await asyncio.gather(self._watchdog, return_exceptions=True)
        await self._socket.close()

    def _took(self, frame: str | bytes) -> str | bytes:
        self.last_frame_ns = self._clock.monotonic_ns()
        return frame

    def _why(self) -> str:
        return f" ({self._mute})" if self._mute else ""

    async def _watch(self, probe: Callable[[StreamClient], Awaitable[None]]) -> None:
        """Finds the stream that is connected and mute."""
        settings = self._settings
        while True:
            age_s = (self._clock.monotonic_ns() - self.last_frame_ns) / NS_PER_S
            if age_s < settings.quiet_s:
                await self._clock.sleep(settings.quiet_s - age_s)
                continue
            asked_ns = self._clock.monotonic_ns()
            with suppress(OutcomeUnknown):
                await probe(self)
            await self._clock.sleep(settings.probe_timeout_s)
            if self.last_frame_ns < asked_ns:
                self._mute = f"connected and mute: no frame for {age_s:.0f} s, none after a probe"
                # Not in order: the venue may be gone, and the reader has to know that this is a loss.
                self._socket.transport.abort()
                return


def _kind(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    text = error.strerror if isinstance(error, OSError) and isinstance(error.strerror, str) else ""
    return text or type(error).__name__


def _closing(error: ConnectionClosed) -> str:
    received = error.rcvd
    if received is None:
        return " (no closing frame)"
    return f" (closed by the venue with {received.code} {received.reason[:64]})".rstrip()
