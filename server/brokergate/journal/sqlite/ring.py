"""The newest events of an account in memory, so that live readers do not ask SQLite."""

from __future__ import annotations

from collections.abc import Sequence

from brokergate.ports.journal import StoredEvent

RING_EVENTS = 8192
"""Events kept an account, at most."""

RING_BYTES = 4 * 1024 * 1024
"""Bytes of their bodies, at most."""


class Ring:
    """Committed events without a hole, the newest last. Drops its older half when it is full."""

    __slots__ = ("_bytes", "_events", "_first")

    def __init__(self) -> None:
        self._events: list[StoredEvent] = []
        self._first = 1
        self._bytes = 0

    def extend(self, events: Sequence[StoredEvent]) -> None:
        """Appends `events`, which follow on what is there."""
        if not self._events:
            self._first = events[0].sequence
        self._events.extend(events)
        self._bytes += sum([len(event.body) for event in events])
        while len(self._events) > RING_EVENTS or self._bytes > RING_BYTES:
            self._drop()

    def _drop(self) -> None:
        half = (len(self._events) + 1) // 2
        self._bytes -= sum([len(event.body) for event in self._events[:half]])
        del self._events[:half]
        self._first += half

    def after(self, sequence: int, limit: int) -> Sequence[StoredEvent] | None:
        """Up to `limit` events above `sequence`; None where the ring does not reach back so far."""
        start = sequence + 1 - self._first
        if start < 0 or not self._events:
            return None
        return self._events[start : start + limit]
