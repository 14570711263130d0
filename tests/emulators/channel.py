"""One WebSocket connection of a client, as an emulated venue writes to it: in order, bounded, and with its faults."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from aiohttp import WSMsgType, web

from tests.emulators.faults import FRAME, Faults

MAX_QUEUED = 10_000
"""Frames that wait for a client that does not read; one more and it is cut off, as venues do."""
MUTE = frozenset({"mute_stream"})


class Channel:
    """See the module. `kind` is what faults call it: `orders` (private events), `market`, or the venue's own word."""

    def __init__(
        self, request: web.Request, socket: web.WebSocketResponse, kind: str, faults: Faults
    ) -> None:
        self.socket = socket
        self.kind = kind
        self._transport = request.transport
        self._faults = faults
        self._queue: deque[tuple[WSMsgType, bytes]] = deque()
        self._held: tuple[WSMsgType, bytes] | None = None
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._writer = asyncio.ensure_future(self._write())

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport is None or self._transport.is_closing()

    def tell(self, text: str | bytes, *names: str, binary: bool = False) -> None:
        """Sends an event of the stream; the frame faults for `kind`, `names` and `*` may befall it."""
        frame = _frame(text, binary=binary)
        if self._faults.take(MUTE, self.kind, *names):
            return
        fault = self._faults.take(FRAME, self.kind, *names)
        if fault is None:
            self._push(frame)
            if self._held is not None:
                self._push(self._held)
                self._held = None
        elif fault.kind == "duplicate_frames":
            self._push(frame)
            self._push(frame)
        elif fault.kind == "reorder_frames":
            # It goes out behind the next one; what was held before it has waited long enough.
            if self._held is not None:
                self._push(self._held)
            self._held = frame

    def answer(self, text: str | bytes, *, binary: bool = False) -> None:
        """Sends an answer to a request: no frame fault befalls it."""
        self._push(_frame(text, binary=binary))

    def ping(self, payload: bytes) -> None:
        """Sends a protocol ping."""
        self._push((WSMsgType.PING, payload))

    def abort(self) -> None:
        """Cuts the connection without a word."""
        self._writer.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def flush(self) -> None:
        """Waits until everything was handed to the socket."""
        if self._queue and not self.closed:
            await asyncio.wait(
                (self._writer, asyncio.ensure_future(self._idle.wait())), return_when="FIRST_COMPLETED"
            )

    async def close(self, code: int = 1000, message: bytes = b"") -> None:
        """Ends the connection in order, after what is queued."""
        await self.flush()
        self._writer.cancel()
        with contextlib.suppress(ConnectionError, RuntimeError, asyncio.TimeoutError):
            await self.socket.close(code=code, message=message)

    def _push(self, frame: tuple[WSMsgType, bytes]) -> None:
        if len(self._queue) >= MAX_QUEUED:
            self.abort()
            return
        self._queue.append(frame)
        self._idle.clear()
        self._more.set()

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):
            while True:
                await self._more.wait()
                self._more.clear()
                while self._queue:
                    kind, body = self._queue[0]
                    if kind is WSMsgType.PING:
                        await self.socket.ping(body)
                    elif kind is WSMsgType.BINARY:
                        await self.socket.send_bytes(body)
                    else:
                        await self.socket.send_str(body.decode())
                    self._queue.popleft()
                self._idle.set()


def _frame(text: str | bytes, *, binary: bool) -> tuple[WSMsgType, bytes]:
    body = text.encode() if isinstance(text, str) else text
    return (WSMsgType.BINARY if binary else WSMsgType.TEXT, body)
