"""Loads that place orders."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import grpc

from brokergate.v1 import order_pb2
from tests.benchmarks.loads import Load, connect, sleep_until
from tests.benchmarks.orders import ENTRY, PLACE, count_filled, requests

CALL_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Calls:
    """What became of messages: when each answer was there, by the monotonic clock, and how long after its request."""

    ends_ns: array[int]
    latencies_ns: array[int]
    orders: int
    """Orders that all of them placed and that came back filled."""


@dataclass
class PlacingLoad(Load):
    """Places orders with `in_flight` messages under way: until `seconds` are over, or without it all `count`."""

    address: str
    path: str
    account_id: str
    prefix: str
    count: int
    """Messages made ready."""
    size: int
    """Orders in a message."""
    in_flight: int
    times: int = 1
    """How often each message is sent; more than once only to the echo, which does not mind the ids."""
    seconds: float | None = None

    async def prepare(self) -> None:
        self._channel = await connect(self.address)
        ready = requests(self.path, self.account_id, self.prefix, self.count, self.size)
        self._requests = chain.from_iterable(repeat(ready, self.times))
        self._ends = array("q")
        self._latencies = array("q")
        self._answers: list[bytes] = []
        self._until_ns = 0

    async def run(self, start_ns: int) -> Calls:
        await sleep_until(start_ns)
        self._until_ns = start_ns + int(self.seconds * 1e9) if self.seconds is not None else 1 << 62
        if self.path == ENTRY:
            await self._enter()
        else:
            call: Any = self._channel.unary_unary(self.path)
            await asyncio.gather(*(self._call(call) for _ in range(self.in_flight)))
        if self.seconds is not None and next(self._requests, None) is None:
            raise RuntimeError(f"{self.path}: {self.count} messages were too few for {self.seconds} s")
        await self._channel.close()
        return Calls(self._ends, self._latencies, count_filled(self.path, self._answers))

    async def _call(self, call: Any) -> None:
        now, until_ns = time.monotonic_ns, self._until_ns
        for request in self._requests:
            began_ns = now()
            self._answers.append(await call(request, timeout=CALL_TIMEOUT_S))
            ended_ns = now()
            self._ends.append(ended_ns)
            self._latencies.append(ended_ns - began_ns)
            if ended_ns >= until_ns:
                return

    async def _enter(self) -> None:
        """One stream. Results of several messages may come in one, so that messages are told by counting orders."""
        open_stream: Any = self._channel.stream_stream(self.path)
        stream = open_stream(timeout=CALL_TIMEOUT_S)
        room = asyncio.Semaphore(self.in_flight)
        sent: deque[int] = deque()

        async def read() -> None:
            waiting = 0
            while (body := await stream.read()) is not grpc.aio.EOF:
                self._answers.append(body)
                waiting += len(order_pb2.StreamOrderEntryResponse.FromString(body).results)
                ended_ns = time.monotonic_ns()
                while waiting >= self.size:
                    waiting -= self.size
                    self._ends.append(ended_ns)
                    self._latencies.append(ended_ns - sent.popleft())
                    room.release()

        reader = asyncio.create_task(read())
        for request in self._requests:
            await room.acquire()
            began_ns = time.monotonic_ns()
            if began_ns >= self._until_ns:
                break
            sent.append(began_ns)
            await stream.write(request)
        await stream.done_writing()
        await reader


@dataclass
class PacedLoad(Load):
    """Places `count` orders at `rate` a second, whether or not the ones before are answered."""

    address: str
    account_id: str
    prefix: str
    count: int
    rate: float

    async def prepare(self) -> None:
        self._channel = await connect(self.address)
        self._requests = requests(PLACE, self.account_id, self.prefix, self.count, 1)
        self._ends = array("q")
        self._latencies = array("q")
        self._answers: list[bytes] = []

    async def run(self, start_ns: int) -> Calls:
        call: Any = self._channel.unary_unary(PLACE)
        async with asyncio.TaskGroup() as group:
            for i, request in enumerate(self._requests):
                await sleep_until(start_ns + int(i * 1e9 / self.rate))
                group.create_task(self._place(call, request))
        await self._channel.close()
        return Calls(self._ends, self._latencies, count_filled(PLACE, self._answers))

    async def _place(self, call: Any, request: bytes) -> None:
        began_ns = time.monotonic_ns()
        self._answers.append(await call(request, timeout=CALL_TIMEOUT_S))
        self._ends.append(time.monotonic_ns())
        self._latencies.append(self._ends[-1] - began_ns)
