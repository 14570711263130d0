"""How many orders a second."""

from __future__ import annotations

from collections import deque

from brokergate.ports.clock import Clock

SECOND_NS = 1_000_000_000


class Pace:
    """At most `limit` orders within any second, by the monotonic clock. Memory: one number for each of `limit`."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._times: deque[int] = deque(maxlen=limit)
        self._limit = limit
        self._clock = clock

    def wait_ns(self, orders: int = 1) -> int:
        """Nanoseconds until so many more may go, `limit` at most; 0 for now."""
        times = self._times
        late = len(times) + orders - self._limit
        if late <= 0:
            return 0
        return max(0, times[late - 1] + SECOND_NS - self._clock.monotonic_ns())

    def count(self) -> None:
        """One more goes now."""
        self._times.append(self._clock.monotonic_ns())
