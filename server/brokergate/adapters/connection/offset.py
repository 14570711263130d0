"""How far the venue's clock is from this machine's.

Each answer with the venue's time bounds the difference by its own way there and back: the time that the venue read
lies between sending and receiving. The sample with the shortest way knows best, and half of that way is the most that
it can be wrong by. An average over all samples overshoots with every slow one (pain 10: Binance.Net 139, 432).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from brokergate.resilience.metrics import VenueClock

NS_PER_MS = 1_000_000
KEPT = 16
"""Samples that are compared."""
MAX_AGE_NS = 3_600 * 1_000_000_000
"""After this a sample says nothing any more: quartz drifts by some 0.1 s a day, and a corrected clock jumps."""


@dataclass(frozen=True, slots=True)
class _Sample:
    offset_ns: int
    round_trip_ns: int
    at_ns: int


class ClockOffset:
    """The difference, by the sample with the shortest way. `resync_ns` is how long it is trusted before it is asked
    for again."""

    def __init__(self, resync_ns: int = 600 * 1_000_000_000) -> None:
        self._resync_ns = resync_ns
        self._samples: deque[_Sample] = deque(maxlen=KEPT)
        self._first: _Sample | None = None
        self._distrusted = False

    def add(self, sent_ns: int, received_ns: int, server_ms: int) -> None:
        """Takes the venue's time, in milliseconds since the epoch, from an answer to a request that left at `sent_ns`
        and came back at `received_ns` of this machine's clock. What runs backwards is ignored."""
        if received_ns < sent_ns:
            return
        # The venue cuts to milliseconds: on average half of one is gone.
        server_ns = server_ms * NS_PER_MS + NS_PER_MS // 2
        sample = _Sample(server_ns - (sent_ns + received_ns) // 2, received_ns - sent_ns, received_ns)
        if self._distrusted:
            self._samples.clear()
            self._distrusted = False
        while self._samples and received_ns - self._samples[0].at_ns > MAX_AGE_NS:
            self._samples.popleft()
        self._samples.append(sample)
        self._first = self._first or sample

    @property
    def known(self) -> bool:
        """Whether there is a sample that is trusted."""
        return bool(self._samples) and not self._distrusted

    @property
    def offset_ns(self) -> int:
        """Nanoseconds to be added to this machine's time to have the venue's; 0 before the first sample."""
        return self._best.offset_ns if self._samples else 0

    @property
    def uncertainty_ns(self) -> int | None:
        """The most that `offset_ns` can be wrong by, while clocks run alike; None before the first sample."""
        return self._best.round_trip_ns // 2 + NS_PER_MS if self._samples else None

    @property
    def drift_ns(self) -> int:
        """How far the difference has moved since the first sample: what a metric shows."""
        return self._best.offset_ns - self._first.offset_ns if self._samples and self._first else 0

    def venue_ns(self, now_ns: int) -> int:
        """The venue's time when this machine's is `now_ns`."""
        return now_ns + self.offset_ns

    def view(self) -> VenueClock | None:
        """What `BrokerMetrics.watch_clock` shows; None before the first sample."""
        return VenueClock(self.offset_ns, self.drift_ns) if self._samples else None

    def due(self, now_ns: int) -> bool:
        """Whether the venue should be asked for its time: at first, after `distrust`, and every `resync_ns`."""
        return not self.known or not 0 <= now_ns - self._samples[-1].at_ns < self._resync_ns

    def distrust(self) -> None:
        """The venue refused a timestamp: what is known is used until the next sample, and then forgotten."""
        self._distrusted = True

    @property
    def _best(self) -> _Sample:
        return min(self._samples, key=lambda sample: sample.round_trip_ns)
