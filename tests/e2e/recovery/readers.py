"""Subscribers that resume by cursor over every kill, and keep all that they were given."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import grpc

from brokergate.v1 import event_pb2, event_service_pb2_grpc
from tests.e2e.recovery.calls import reason_of
from tests.e2e.recovery.gateway import ACCOUNT

PAUSE_S = 0.02
RESUMABLE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})


class Reader:
    """One subscriber of `kinds`, of all kinds when empty. `leaves` is how likely it leaves by itself after a message;
    it then resumes, by chance, from the message's cursor or from the last event's."""

    def __init__(
        self,
        name: str,
        channel: grpc.aio.Channel,
        random: Random,
        kinds: Sequence[event_pb2.EventKind.ValueType] = (),
        leaves: float = 0.0,
    ) -> None:
        self.name = name
        self.events: list[event_pb2.Event] = []
        self.epochs: set[int] = set()
        self.resumed = 0
        self.wrong: list[str] = []
        self._stub: Any = event_service_pb2_grpc.EventServiceStub(channel)
        self._random = random
        self._kinds = kinds
        self._leaves = leaves
        self._cursor = ""

    @property
    def sequence(self) -> int:
        """Of the last event that it has."""
        return self.events[-1].sequence if self.events else 0

    async def run(self) -> None:
        """Reads until it is cancelled, or until something is wrong."""
        while not self.wrong:
            try:
                await self._follow()
            except grpc.aio.AioRpcError as error:
                reason = reason_of(error)
                # A cursor is good for ever here: nothing is retained away, and a killed process loses nothing.
                if reason and error.code() not in RESUMABLE:
                    self.wrong.append(f"{self.name}: {error.code().name} {reason}: {error.details()}")
                await asyncio.sleep(PAUSE_S)
            self.resumed += 1

    def _open(self) -> Any:
        start: dict[str, Any] = {"start_position": event_pb2.START_POSITION_EARLIEST}
        if self._cursor:
            start = {"after_cursor": self._cursor}
        return self._stub.StreamEvents(
            event_pb2.StreamEventsRequest(account_ids=[ACCOUNT], kinds=list(self._kinds), **start)
        )

    async def _follow(self) -> None:
        stream = self._open()
        try:
            async for message in stream:
                self._take(message)
                if self.wrong or self._random.random() < self._leaves:
                    return
        finally:
            stream.cancel()

    def _take(self, message: Any) -> None:
        if message.HasField("opened"):
            self.epochs.add(message.opened.epoch)
        for event in message.batch.events if message.HasField("batch") else ():
            self._event(event)
        if message.cursor:
            self._cursor = message.cursor
        if message.HasField("batch") and self._leaves and self._random.random() < 0.5:
            self._cursor = message.batch.events[-1].cursor

    def _event(self, event: event_pb2.Event) -> None:
        expected = self.sequence + 1
        if event.sequence < expected:
            self.wrong.append(f"{self.name}: event {event.sequence} came again, after {self.sequence}")
        elif event.sequence > expected and not self._kinds:
            self.wrong.append(f"{self.name}: event {event.sequence} came, and {expected} is missing")
        self.events.append(event)


class FillReader(Reader):
    """A subscriber of `StreamFills`."""

    def __init__(self, name: str, channel: grpc.aio.Channel, random: Random, leaves: float = 0.0) -> None:
        fills = (event_pb2.EVENT_KIND_FILL, event_pb2.EVENT_KIND_FILL_FEES)
        super().__init__(name, channel, random, fills, leaves)

    def _open(self) -> Any:
        start: dict[str, Any] = {"start_position": event_pb2.START_POSITION_EARLIEST}
        if self._cursor:
            start = {"after_cursor": self._cursor}
        return self._stub.StreamFills(event_pb2.StreamFillsRequest(account_ids=[ACCOUNT], **start))
