"""What is under way from one end of a line to the other, in the venue's time. Pure.

Messages keep their order, as on one connection: one that is drawn a shorter latency than the one before it arrives with
it, not before it. So nothing arrives before it was sent plus its own latency.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """One direction of a line."""

    def __init__(self) -> None:
        self._under_way: list[tuple[int, int, T]] = []
        self._sent = 0
        self._last_ns = 0

    def __len__(self) -> int:
        return len(self._under_way)

    def send(self, message: T, now_ns: int, latency_ns: int, *, astray_ns: int = 0) -> int:
        """Sends a message at `now_ns`; when it arrives. One that goes astray takes so much longer, and those behind it
        do not wait: they overtake it."""
        self._last_ns = max(self._last_ns, now_ns + latency_ns)
        self._sent += 1
        arrival_ns = self._last_ns + astray_ns
        heappush(self._under_way, (arrival_ns, self._sent, message))
        return arrival_ns

    @property
    def next_ns(self) -> int | None:
        """When the next message arrives; None where none is under way."""
        return self._under_way[0][0] if self._under_way else None

    def arrivals(self, until_ns: int) -> Iterator[tuple[int, T]]:
        """Takes out what arrives up to `until_ns`, which is included, with the moments; what is sent meanwhile and
        arrives by then too."""
        while self._under_way and self._under_way[0][0] <= until_ns:
            arrival_ns, _, message = heappop(self._under_way)
            yield arrival_ns, message

    def messages(self) -> list[T]:
        """What is under way, in the order of arrival."""
        return [message for _, _, message in sorted(self._under_way, key=lambda entry: entry[:2])]

    def clear(self) -> list[T]:
        """Takes out all that is under way, in the order of arrival."""
        messages = self.messages()
        self._under_way.clear()
        return messages
