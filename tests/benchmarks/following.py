"""Loads that follow fills."""

from __future__ import annotations

import asyncio
import time
from array import array
from dataclasses import dataclass, field
from typing import Any

import grpc

from brokergate.v1 import event_pb2
from tests.benchmarks.loads import Load, connect, sleep_until
from tests.benchmarks.orders import STREAM_FILLS

STREAM_TIMEOUT_S = 120.0

_SHORT_BYTES = 200
"""A message of fills is longer. Only shorter ones are looked into while the clock runs."""


def _is_caught_up(body: bytes) -> bool:
    return (
        len(body) < _SHORT_BYTES
        and event_pb2.StreamFillsResponse.FromString(body).WhichOneof("payload") == "caught_up"
    )


@dataclass(frozen=True, slots=True)
class Followed:
    """What subscribers got, together."""

    fills: int
    messages: int
    began_ns: int
    ended_ns: int
    """From the first call to the last message, by the monotonic clock."""
    latencies_ns: array[int] = field(default_factory=lambda: array("q"))
    """Of live fills: from the journal's time of the event to its arrival here, by the wall clock of one machine."""


@dataclass
class BacklogLoad(Load):
    """Reads an account's fills from the first to the last that is there, over `subscribers` streams, each with a
    connection of its own. Messages are counted out after the clock has stopped."""

    address: str
    account_id: str
    subscribers: int
    metadata: tuple[tuple[str, str], ...] = ()

    async def prepare(self) -> None:
        self._channels = [await connect(self.address) for _ in range(self.subscribers)]
        self._request = event_pb2.StreamFillsRequest(
            account_ids=[self.account_id], start_position=event_pb2.START_POSITION_EARLIEST
        ).SerializeToString()

    async def run(self, start_ns: int) -> Followed:
        await sleep_until(start_ns)
        began_ns = time.monotonic_ns()
        streams = await asyncio.gather(*(self._read(channel) for channel in self._channels))
        ended_ns = time.monotonic_ns()
        for channel in self._channels:
            await channel.close()
        fills = sum(
            len(event_pb2.StreamFillsResponse.FromString(body).batch.events)
            for bodies in streams
            for body in bodies
        )
        return Followed(fills, sum(map(len, streams)), began_ns, ended_ns)

    async def _read(self, channel: grpc.aio.Channel) -> list[bytes]:
        follow: Any = channel.unary_stream(STREAM_FILLS)
        stream = follow(self._request, metadata=self.metadata, timeout=STREAM_TIMEOUT_S)
        bodies: list[bytes] = []
        while (body := await stream.read()) is not grpc.aio.EOF:
            if _is_caught_up(body):
                break
            bodies.append(body)
        stream.cancel()
        return bodies


@dataclass
class LiveLoad(Load):
    """Follows an account's fills as they happen, over `subscribers` streams, until each has got `expected`."""

    address: str
    account_id: str
    subscribers: int
    expected: int

    async def prepare(self) -> None:
        self._channels = [await connect(self.address) for _ in range(self.subscribers)]
        self._latencies = array("q")
        self._messages = 0
        request = event_pb2.StreamFillsRequest(
            account_ids=[self.account_id], start_position=event_pb2.START_POSITION_LIVE
        ).SerializeToString()
        self._streams: list[Any] = []
        for channel in self._channels:
            follow: Any = channel.unary_stream(STREAM_FILLS)
            stream = follow(request, timeout=STREAM_TIMEOUT_S)
            while not _is_caught_up(await stream.read()):
                pass
            self._streams.append(stream)

    async def run(self, start_ns: int) -> Followed:
        await sleep_until(start_ns)
        ends = await asyncio.gather(*(self._follow(stream) for stream in self._streams))
        for channel in self._channels:
            await channel.close()
        fills = self.expected * self.subscribers
        return Followed(fills, self._messages, start_ns, max(ends), self._latencies)

    async def _follow(self, stream: Any) -> int:
        missing = self.expected
        while missing > 0:
            body = await stream.read()
            now_ns = time.time_ns()
            events = event_pb2.StreamFillsResponse.FromString(body).batch.events
            self._messages += bool(events)
            for event in events:
                self._latencies.append(now_ns - event.time.seconds * 10**9 - event.time.nanos)
            missing -= len(events)
        stream.cancel()
        return time.monotonic_ns()
