"""The calls and streams under way: counted, bounded, and ended when the gateway goes down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from brokergate.domain.access import Principal
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.transport.clients import Client
from brokergate.transport.settings import TransportSettings

T = TypeVar("T")

QUIET_S: Final = 0.25
"""Time in which nobody was refused, after which no more calls are on their way to a gateway that drains."""

LONGEST_QUIET_S: Final = 2.0
"""How long that is waited for: some clients call again at once, for ever."""


def shutting_down() -> GatewayError:
    """What new calls get while the gateway drains, and what ends its streams."""
    return GatewayError(ErrorReason.SHUTTING_DOWN, "the gateway is going down; try again when it is back")


class StreamEnded(Exception):
    """The gateway ends the stream, for `error`. A behaviour may write a last message; it must let this pass on."""

    def __init__(self, error: GatewayError) -> None:
        super().__init__(error.message)
        self.error = error


class Stream:
    """One open stream. Its behaviour writes through it, and waits through it so that it can be ended while it waits.

    A write is never interrupted half-way: gRPC takes one message at a time, and the last one must still go out.
    Memory: gRPC holds what its HTTP/2 window lets through (about 6 MB on loopback, where the window grows to that)
    and one message more; a stream that is cut off keeps them until its client reads on or its connection ends.
    """

    def __init__(self, context: Any, client: Client, settings: TransportSettings) -> None:
        self.principal = client.principal
        self.caller = client.caller
        self._context = context
        self._stall_s = settings.stall_timeout_ms / 1000
        self._abort_s = settings.abort_timeout_ms / 1000
        self._ending: GatewayError | None = None
        self._waiting: asyncio.Timeout | None = None
        self._writing: asyncio.Timeout | None = None

    def end(self, error: GatewayError) -> None:
        """Ends the stream for `error`: at once where it waits, else after the write under way, which is given no
        longer than an abort. The first reason stays."""
        if self._ending is not None:
            return
        self._ending = error
        now = asyncio.get_running_loop().time()
        if self._waiting is not None:
            self._waiting.reschedule(now)
        # One whose time is over in this very turn ends by itself.
        if self._writing is not None and not self._writing.expired():
            self._writing.reschedule(now + self._abort_s)

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """The result of `awaitable`. Raises StreamEnded when the gateway ends the stream before it is there; then
        `awaitable` was cancelled."""
        if self._ending is None:
            try:
                async with asyncio.timeout(None) as self._waiting:
                    return await awaitable
            except TimeoutError:
                if self._ending is None:
                    raise
            finally:
                self._waiting = None
        elif asyncio.iscoroutine(awaitable):
            awaitable.close()
        raise StreamEnded(self._ending)

    async def write(self, body: bytes) -> None:
        """Sends a serialised message. Raises GatewayError SLOW_CONSUMER when it stays blocked for too long."""
        limit_s = self._stall_s if self._ending is None else self._abort_s
        try:
            async with asyncio.timeout(limit_s) as self._writing:
                await self._context.write(body)
        except TimeoutError:
            raise GatewayError(
                ErrorReason.SLOW_CONSUMER,
                f"the stream was not read for {limit_s:g} s; resume after the last cursor that was read",
            ) from None
        finally:
            self._writing = None

    async def abort(self, code: Any, message: str, trailing_metadata: Any) -> None:
        """Sends the status. It queues behind what the client has not read, so it is left to gRPC after a while: the
        client sees it when it reads on."""
        try:
            async with asyncio.timeout(self._abort_s):
                await self._context.abort(code, message, trailing_metadata)
        except TimeoutError:
            return


class Calls:
    """All calls under way."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._streams: set[Stream] = set()
        self._unary = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False
        self._refused = 0

    @property
    def streams(self) -> int:
        """Streams that are open."""
        return len(self._streams)

    def enter(self) -> None:
        """A unary call begins. Raises GatewayError SHUTTING_DOWN while draining."""
        self._refuse_draining()
        self._unary += 1

    def leave(self) -> None:
        """A unary call that had entered is over."""
        self._unary -= 1
        if self.draining and not self._unary and not self._streams:
            self._idle.set()

    def open(self, context: Any, client: Client) -> Stream:
        """A stream begins. Raises GatewayError SHUTTING_DOWN or TOO_MANY_STREAMS."""
        self._refuse_draining()
        limit = self._settings.max_subscribers
        if len(self._streams) >= limit:
            raise GatewayError(
                ErrorReason.TOO_MANY_STREAMS,
                f"{limit} streams are open, which is the most that this gateway serves; close one or try later",
                metadata={"limit": str(limit)},
            )
        stream = Stream(context, client, self._settings)
        self._streams.add(stream)
        return stream

    def _refuse_draining(self) -> None:
        if self.draining:
            self._refused += 1
            raise shutting_down()

    def close(self, stream: Stream) -> None:
        """A stream is over."""
        self._streams.discard(stream)
        if self.draining and not self._unary and not self._streams:
            self._idle.set()

    def end_streams(self, why: Callable[[Principal], GatewayError | None]) -> None:
        """Ends every stream whose principal `why` has something against."""
        for stream in tuple(self._streams):
            if error := why(stream.principal):
                stream.end(error)

    async def drain(self, grace_s: float) -> bool:
        """Refuses new calls, ends streams, and waits for the calls under way; whether all ended within the grace.
        Then waits a moment for calls that were on their way: once the listeners close, gRPC says CANCELLED to them."""
        self.draining = True
        if self._unary or self._streams:
            self._idle.clear()
        self.end_streams(lambda _: shutting_down())
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        await self._quiet()
        return True

    async def _quiet(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + LONGEST_QUIET_S
        refused = -1
        while refused != self._refused and loop.time() < until:
            refused = self._refused
            await asyncio.sleep(QUIET_S)
