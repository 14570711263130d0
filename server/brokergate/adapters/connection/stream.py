"""A WebSocket to a venue: frames in, frames out, and an end. It never connects again by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from brokergate.adapters.connection.errors import NotSent, OutcomeUnknown, reason_of
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


Probe = Callable[["StreamClient"], Awaitable[None]]
"""Asks the venue, over the stream, for something that makes it send a frame."""


class StreamClient:
    """One open WebSocket. One task reads it, with `receive` or `async for`."""

    def __init__(self, socket: ClientConnection, name: str, clock: Clock, settings: StreamSettings) -> None:
        self.name = name
        """The venue's host."""
        self._socket = socket
        self._clock = clock
        self._settings = settings
        self._awaited_ns: int | None = None
        self._mute = ""
        self._closed = False
        self._watchdog: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        clock: Clock,
        headers: Mapping[str, str] | None = None,
        settings: StreamSettings | None = None,
        probe: Probe | None = None,
    ) -> StreamClient:
        """Opens it. `probe` is called when the stream was quiet for `quiet_s`; without one nobody watches for that.
        Raises `StreamRefused` with the status as `code`, or `NotSent`."""
        settings = settings or StreamSettings()
        name = urlsplit(url).hostname or "no host"
        failure, status = "", 0
        try:
            socket = await _Once(
                url,
                additional_headers=dict(headers or {}),
                user_agent_header=None,
                # Frames are small, and each is waited for.
                compression=None,
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
        except (OSError, TimeoutError, ValueError, WebSocketException) as error:
            failure = reason_of(error)
        else:
            stream = cls(socket, name, clock, settings)
            if probe is not None:
                stream._watchdog = asyncio.create_task(stream._watch(probe), name=f"data age of {name}")
            return stream
        # Outside of the handlers, so that no traceback leads to an error that holds the headers (law 10).
        if status:
            raise StreamRefused(f"{name}: the stream was refused with HTTP status {status}", code=str(status))
        raise NotSent(f"{name}: no stream ({failure})")

    async def send(self, frame: str | bytes) -> None:
        """Sends a frame, a text or binary one by its type. Raises `OutcomeUnknown` where the stream is gone."""
        try:
            await self._socket.send(frame)
        except (ConnectionClosed, OSError) as error:
            failure = self._loss(error)
        else:
            return
        raise OutcomeUnknown(failure)

    async def receive(self, timeout_s: float | None = None) -> str | bytes:
        """The next frame: of text as str, of bytes as bytes. Raises `TemporaryConnectionError` when the stream is lost
        or closed, and when nothing comes in `timeout_s`."""
        failure = f"{self.name}: nothing came over the stream in {timeout_s} s"
        self._awaited_ns = self._clock.monotonic_ns()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._socket.recv()
        except ConnectionClosed as error:
            failure = self._loss(error)
        except TimeoutError:
            pass
        finally:
            self._awaited_ns = None
        raise TemporaryConnectionError(failure)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Every frame until `close`. Raises `TemporaryConnectionError` when the stream ends otherwise, also where the
        venue closes it in order: whoever follows it has lost it."""
        failure = ""
        try:
            while True:
                self._awaited_ns = self._clock.monotonic_ns()
                frame = await self._socket.recv()
                self._awaited_ns = None
                yield frame
        except ConnectionClosed as error:
            failure = self._loss(error)
        finally:
            self._awaited_ns = None
        if not self._closed:
            raise TemporaryConnectionError(failure)

    async def close(self) -> None:
        """Closes it in order, within `close_timeout_s`; again does nothing."""
        self._closed = True
        if self._watchdog is not None:
            self._watchdog.cancel()
            await asyncio.gather(self._watchdog, return_exceptions=True)
        await self._socket.close()

    def _loss(self, error: ConnectionClosed | OSError) -> str:
        if self._mute:
            return f"{self.name}: the stream was {self._mute}"
        received = error.rcvd if isinstance(error, ConnectionClosed) else None
        if received is None:
            return f"{self.name}: the stream was lost"
        said = f": {received.reason[:64]}" if received.reason else ""
        return f"{self.name}: the venue closed the stream with {received.code}{said}"

    # Connected and mute

    async def _watch(self, probe: Probe) -> None:
        """Finds the stream that is connected and mute: its reader waits, and nothing comes, not even what the probe
        asks for. A protocol ping does not find it, since a proxy before the venue answers that (pain 5)."""
        settings = self._settings
        quiet_ns = int(settings.quiet_s * NS_PER_S)
        while True:
            left_ns = quiet_ns - self._quiet_ns()
            if left_ns > 0:
                await self._clock.sleep(left_ns / NS_PER_S)
                continue
            awaited_ns = self._awaited_ns
            failure = await self._ask(probe)
            if awaited_ns is not None and awaited_ns == self._awaited_ns:
                quiet_s = self._quiet_ns() // NS_PER_S
                self._mute = f"connected and mute: nothing came for {quiet_s} s, and {failure}"
                # Not closed in order: who does not answer a probe does not answer a closing frame either.
                self._socket.transport.abort()
                return

    async def _ask(self, probe: Probe) -> str:
        """Gives the probe its time, all of it; why nothing may have come of it."""
        asking = asyncio.ensure_future(probe(self))
        try:
            await self._clock.sleep(self._settings.probe_timeout_s)
        finally:
            asking.cancel()
            (result,) = await asyncio.gather(asking, return_exceptions=True)
        if isinstance(result, Exception):
            return f"the probe failed: {result}"
        return "no answer to a probe"

    def _quiet_ns(self) -> int:
        """For how long the reader has waited for a frame."""
        return 0 if self._awaited_ns is None else self._clock.monotonic_ns() - self._awaited_ns
