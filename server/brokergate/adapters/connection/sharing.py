"""One private stream for every account that has the same key."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from brokergate.adapters.connection.stream import StreamClient
from brokergate.domain.errors import BrokerError, TemporaryConnectionError

MAX_WAITING = 10_000
"""Frames that a reader has not taken; one that falls further behind is cut off and fills its gap."""


class StreamReader:
    """One account's view of a stream: every frame since it joined."""

    def __init__(self, stream: SharedStream) -> None:
        self._stream = stream
        self._frames: deque[str | bytes] = deque()
        self._more = asyncio.Event()
        self._ended = False
        self._failure = ""

    @property
    def alive(self) -> bool:
        """Whether frames may still come."""
        return not self._ended

    async def send(self, frame: str | bytes) -> None:
        """Sends a frame over the stream. Raises a `TemporaryConnectionError` or `OutcomeUnknown`."""
        if self._ended:
            raise TemporaryConnectionError(self._failure or "the stream was closed")
        await self._stream.send(frame)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Every frame until `close`; raises `TemporaryConnectionError` when the stream is lost."""
        while True:
            while self._frames:
                yield self._frames.popleft()
            if self._ended:
                break
            self._more.clear()
            await self._more.wait()
        if self._failure:
            raise TemporaryConnectionError(self._failure)

    async def close(self) -> None:
        """Takes no more frames; the last one to do so closes the stream."""
        self.end("")
        self._frames.clear()
        await self._stream.leave(self)

    async def give_up(self) -> None:
        """Likewise, and nobody joins the stream any more: an account that connects again may have found it mute, and is
        to have another one."""
        self._stream.ended = True
        await self.close()

    def give(self, frame: str | bytes) -> None:
        """Takes a frame from the stream."""
        if self._ended:
            return
        if len(self._frames) >= MAX_WAITING:
            self.end(f"the account fell {MAX_WAITING} frames behind its stream")
            return
        self._frames.append(frame)
        self._more.set()

    def end(self, failure: str) -> None:
        """No more frames come; `failure` says why, empty for an end in order."""
        if not self._ended:
            self._ended = True
            self._failure = failure
        self._more.set()


class SharedStream:
    """Opens a stream once, and gives each frame to every reader."""

    def __init__(self, open_stream: Callable[[], Awaitable[StreamClient]]) -> None:
        self.ended = False
        """Whether it takes no more readers."""
        self._open = open_stream
        self._readers: list[StreamReader] = []
        self._client: StreamClient | None = None
        self._opening: asyncio.Task[StreamClient] | None = None
        self._pump: asyncio.Task[None] | None = None

    async def join(self) -> StreamReader:
        """A reader from now on; opens the stream for the first. Raises what `open_stream` raises."""
        reader = StreamReader(self)
        self._readers.append(reader)
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._start())
        try:
            await asyncio.shield(self._opening)
        except BaseException:
            await self.leave(reader)
            raise
        return reader

    async def _start(self) -> StreamClient:
        try:
            self._client = await self._open()
        except BaseException:
            self.ended = True
            raise
        self._pump = asyncio.create_task(self._run(self._client), name=f"frames of {self._client.name}")
        return self._client

    async def _run(self, client: StreamClient) -> None:
        failure = ""
        try:
            async for frame in client:
                for reader in self._readers:
                    reader.give(frame)
        except BrokerError as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001 - whoever reads it is to know, whatever it was
            failure = f"{client.name}: the stream was lost ({type(error).__name__})"
        finally:
            self.ended = True
            for reader in self._readers:
                reader.end(failure)

    async def send(self, frame: str | bytes) -> None:
        """Sends a frame."""
        if self._client is None:
            raise TemporaryConnectionError("the stream is not open")
        await self._client.send(frame)

    async def leave(self, reader: StreamReader) -> None:
        """Forgets a reader; closes the stream with the last."""
        if reader in self._readers:
            self._readers.remove(reader)
        if not self._readers:
            await self.close()

    async def close(self, failure: str = "") -> None:
        """Ends the stream for all; `failure` is what those who still read it are told."""
        self.ended = True
        for reader in self._readers:
            reader.end(failure)
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
        if self._pump is not None:
            await asyncio.gather(self._pump, return_exceptions=True)
