"""The other end of a connection, byte for byte: what a test needs to be sure of what left, and how often."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection, serve

from brokergate.domain.errors import TemporaryConnectionError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_ACCEPT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


@dataclass(frozen=True, slots=True)
class Received:
    """One whole request; `connection` counts from 0."""

    head: bytes
    body: bytes
    connection: int

    @property
    def line(self) -> bytes:
        return self.head.split(b"\r\n", 1)[0]


Answer = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


async def fine(request: Received, writer: asyncio.StreamWriter) -> None:
    """Answers, and keeps the connection."""
    writer.write(OK)


def raw(*pieces: bytes, close: bool = True, pause_s: float = 0) -> Answer:
    """Answers with these bytes."""

    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        if close:
            writer.close()

    return answer


async def never(request: Received, writer: asyncio.StreamWriter) -> None:
    """Takes the request and says nothing."""
    await asyncio.Event().wait()


@dataclass
class RawServer:
    """An HTTP server of the least kind. `answer` may be exchanged at any time."""

    port: int = 0
    connections: int = 0
    requests: list[Received] = field(default_factory=list)
    answer: Answer = fine

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.lower().split(b"\r\n")
                        if line.startswith(b"content-length:")
                    ),
                    0,
                )
                request = Received(head, await reader.readexactly(length), number)
                self.requests.append(request)
                await self.answer(request, writer)
        writer.close()


@asynccontextmanager
async def raw_server(answer: Answer = fine) -> AsyncIterator[RawServer]:
    """A server on a free port."""
    made = RawServer(answer=answer)
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await made.serve(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(there: Callable[[], bool]) -> None:
    """Returns when it is there: for what comes over a real wire."""
    async with asyncio.timeout(20):
        while True:
            if there():
                return
            await asyncio.sleep(0.002)


async def read(stream: AsyncIterable[str | bytes], frames: list[str | bytes]) -> str:
    """Reads to the end, and says how it ended: empty for an end in order."""
    try:
        async for frame in stream:
            frames.append(frame)  # noqa: PERF401 - what came before the end counts
    except TemporaryConnectionError as error:
        return str(error)
    return ""


@dataclass
class Venue:
    """A WebSocket server. `meet` is what it does with each connection."""

    url: str
    sockets: list[ServerConnection] = field(default_factory=list)

    async def say(self, frame: str | bytes) -> None:
        """Tells a frame to everybody who is there."""
        for socket in list(self.sockets):
            with suppress(Exception):
                await socket.send(frame)

    def cut(self) -> None:
        """Drops every connection without a word."""
        for socket in self.sockets:
            socket.transport.abort()


async def listen(socket: ServerConnection) -> None:
    """Reads and says nothing."""
    with suppress(Exception):
        async for _ in socket:
            pass


async def echo(socket: ServerConnection) -> None:
    """Says what it is told."""
    with suppress(Exception):
        async for frame in socket:
            await socket.send(frame)


@asynccontextmanager
async def venue(meet: Callable[[ServerConnection], Awaitable[None]] = listen) -> AsyncIterator[Venue]:
    """A WebSocket server on a free port."""
    made = Venue("")

    async def handle(socket: ServerConnection) -> None:
        made.sockets.append(socket)
        try:
            await meet(socket)
        finally:
            made.sockets.remove(socket)

    async with serve(handle, "127.0.0.1", 0, close_timeout=0.1) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        made.url = f"ws://127.0.0.1:{port}/"
        yield made


async def deaf(request: Received, writer: asyncio.StreamWriter) -> None:
    """Opens a WebSocket, and then does nothing at all, not even answer a ping."""
    key = next(
        line.split(b": ")[1]
        for line in request.head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    )
    accept = base64.b64encode(hashlib.sha1(key + _ACCEPT.encode()).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    await asyncio.Event().wait()
