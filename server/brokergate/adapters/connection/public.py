"""The public stream of an account's market data: it comes back by itself, and takes nobody with it when it goes.

The engine connects an account's private side again, and does not wait for this one: while it is away the quotes are
stale, and orders that need none pass.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from brokergate.adapters.connection.hub import MarketDataHub
from brokergate.adapters.connection.stream import StreamClient
from brokergate.domain.errors import BrokerError
from brokergate.ports.clock import Clock

FIRST_WAIT_S = 1.0
LAST_WAIT_S = 60.0
STEADY_S = 60.0
"""A stream that lived so long was a good one: the next wait begins anew. Without that a venue that takes connections
and drops them at once is hit every second."""
SWEEP_S = 60.0
NS_PER_S = 1_000_000_000


class PublicProtocol(Protocol):
    """What an adapter knows of its venue's public stream."""

    async def open(self) -> StreamClient:
        """Connects, and authenticates where market data needs it. Raises a `BrokerError`."""

    async def subscribe(self, stream: StreamClient, symbols: frozenset[str]) -> None:
        """Asks for the data of more symbols, no faster than the venue takes messages. Raises a `BrokerError`."""

    async def unsubscribe(self, stream: StreamClient, symbols: frozenset[str]) -> None:
        """Ends the data of some symbols. Raises a `BrokerError`."""

    def take(self, frame: str | bytes) -> None:
        """Puts what a frame tells into the hub. Raises `ValueError` for one that does not parse, and a `BrokerError`
        for one that says that the stream is of no more use."""


class PublicStream:
    """Keeps the data of the symbols that are wanted coming: connected while there are any, and again after a loss."""

    def __init__(
        self,
        hub: MarketDataHub,
        venue: PublicProtocol,
        clock: Clock,
        rng: random.Random,
        log: Callable[..., object],
    ) -> None:
        self._hub = hub
        self._venue = venue
        self._clock = clock
        self._rng = rng
        self._log = log
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        hub.changed = self._news.set

    def start(self) -> None:
        """Begins; again does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="public market data")

    async def close(self) -> None:
        """Ends; what is known is stale from then on. It may be started again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._hub.lost()

    async def _run(self) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            await self._until_wanted()
            began_ns = self._clock.monotonic_ns()
            failure = await self._session()
            if not failure:
                continue
            self._hub.lost()
            if self._clock.monotonic_ns() - began_ns >= STEADY_S * NS_PER_S:
                wait_s = FIRST_WAIT_S
            self._log("market data lost", reason=failure, again_in_s=wait_s)
            await self._clock.sleep(wait_s * (0.5 + self._rng.random() / 2))
            wait_s = min(2 * wait_s, LAST_WAIT_S)

    async def _until_wanted(self) -> None:
        while not self._hub.wanted:
            self._news.clear()
            await self._news.wait()

    async def _session(self) -> str:
        """One connection; why it was lost, or empty where nobody wants anything any more."""
        stream: StreamClient | None = None
        tasks: list[asyncio.Task[None]] = []
        try:
            stream = await self._venue.open()
            tasks = [
                asyncio.create_task(self._read(stream), name="public frames"),
                asyncio.create_task(self._follow_wishes(stream), name="public subscriptions"),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    await task
        except BrokerError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - an adapter's mistake with market data leaves the orders alone
            return repr(error)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if stream is not None:
                with suppress(Exception):
                    await stream.close()
        return ""

    async def _read(self, stream: StreamClient) -> None:
        odd = 0
        async for frame in stream:
            try:
                self._venue.take(frame)
            except ValueError as error:
                odd += 1
                # One odd frame comes with others of its kind: the log is told of the first, and of each hundredth.
                if odd % 100 == 1:
                    self._log("market data does not parse", frames=odd, error=type(error).__name__)

    async def _follow_wishes(self, stream: StreamClient) -> None:
        """Subscribes to what is wanted and ends what is not, until nothing is."""
        has: frozenset[str] = frozenset()
        while wanted := self._hub.wanted:
            self._news.clear()
            if gone := has - wanted:
                await self._venue.unsubscribe(stream, gone)
            if new := wanted - has:
                await self._venue.subscribe(stream, new)
            has = wanted
            await self._wishes_change()

    async def _wishes_change(self) -> None:
        """Returns when what is wanted may have changed; lets go, meanwhile, of what nobody asks for any more."""
        news = asyncio.ensure_future(self._news.wait())
        try:
            while not news.done():
                sweep = asyncio.ensure_future(self._clock.sleep(SWEEP_S))
                try:
                    await asyncio.wait((news, sweep), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    await _cancelled(sweep)
                self._hub.sweep()
        finally:
            await _cancelled(news)


async def _cancelled(future: Awaitable[object]) -> None:
    task = asyncio.ensure_future(future)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
