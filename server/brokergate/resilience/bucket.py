"""One limit of a venue as a bucket of tokens.

A token comes back one window after it was spent, so that no window of that length, wherever it begins, sees more than
the limit: a bucket that is refilled at a steady rate lets nearly twice as much through in the window after a pause, and
venues count in windows. What is spent is kept in at most `SLOTS` + 1 sums, so an operation costs the same at 10 and at
300,000 requests a window. A sum comes back when its latest token does.

Pure: the present is handed in, in monotonic nanoseconds, and never goes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from brokergate.resilience.lanes import Lane

NS_PER_S = 1_000_000_000
SLOTS = 64


@dataclass(frozen=True, slots=True)
class Limit:
    """`max_requests` (or units of weight) in any `time_window` seconds. The last `reserve` of them are for cancels."""

    max_requests: int
    time_window: float
    reserve: int = 0

    def __post_init__(self) -> None:
        if self.max_requests < 1:
            raise ValueError(f"max_requests is {self.max_requests}; at least 1 is needed to send anything")
        if self.time_window <= 0:
            raise ValueError(f"time_window is {self.time_window} seconds; it must be above 0")
        if not 0 <= self.reserve < self.max_requests:
            raise ValueError(f"reserve is {self.reserve}; it must leave something of {self.max_requests}")


class Bucket:
    """The tokens of one limit: free, held by requests under way, or spent."""

    __slots__ = (
        "_heard_mark",
        "_held",
        "_others",
        "_others_until_ns",
        "_slot_ns",
        "_slots",
        "_spent",
        "capacity",
        "charged",
        "closed_until_ns",
        "name",
        "queued",
        "reserve",
        "window_ns",
    )

    def __init__(self, name: str, limit: Limit) -> None:
        self.name = name
        self.capacity = limit.max_requests
        self.reserve = limit.reserve
        self.window_ns = round(limit.time_window * NS_PER_S)
        self.closed_until_ns = 0
        self.charged = 0
        """All that was ever charged: a request is older than another where this was less."""
        self.queued = [0] * len(Lane)
        """The weight that waits, by lane."""
        self._slot_ns = self.window_ns // SLOTS
        self._slots: deque[list[int]] = deque()
        """[first charged, last charged, weight], oldest first."""
        self._spent = 0
        self._held = 0
        self._others = 0
        """What the venue counts beyond what was spent here: other users of the same key or address."""
        self._others_until_ns = 0
        self._heard_mark = 0

    # What is free

    def room(self, lane: Lane) -> int:
        """The most that requests of `lane` may use at once."""
        return self.capacity if lane.cancels else max(1, self.capacity - self.reserve)

    def fits(self, weight: int, lane: Lane, now_ns: int) -> bool:
        """Whether `weight` may be charged now."""
        if now_ns < self.closed_until_ns:
            return False
        self._expire(now_ns)
        return self._spent + self._held + self._others + weight <= self.room(lane)

    def opens_ns(self, weight: int, lane: Lane, now_ns: int) -> int:
        """The earliest moment at which `weight` can be charged, as far as is known now. For more than the bucket holds:
        the earliest at which the last of it can, one after the other."""
        self._expire(now_ns)
        at_ns = max(now_ns, self.closed_until_ns)
        room = self.room(lane)
        rounds, rest = divmod(weight - 1, room)
        lacking = rest + 1 - (room - self._spent - self._held - self._others)
        if lacking > 0:
            for back_ns, back in self._coming_back():
                lacking -= back
                if lacking <= 0:
                    at_ns = max(at_ns, back_ns)
                    break
            else:
                # Held: comes back a window after its request has ended, which is not before now.
                at_ns = max(at_ns, now_ns + self.window_ns)
        return at_ns + rounds * self.window_ns

    def utilisation(self, now_ns: int) -> float:
        """The share of the limit that is used: 0 is idle, 1 is full; above it the venue counts more than it allows."""
        self._expire(now_ns)
        return (self._spent + self._held + self._others) / self.capacity

    def _coming_back(self) -> Iterator[tuple[int, int]]:
        others = self._others
        for _, last_ns, weight in self._slots:
            back_ns = last_ns + self.window_ns
            if others and self._others_until_ns <= back_ns:
                yield self._others_until_ns, others
                others = 0
            yield back_ns, weight
        if others:
            yield self._others_until_ns, others

    def _expire(self, now_ns: int) -> None:
        slots, gone_ns = self._slots, now_ns - self.window_ns
        while slots and slots[0][1] <= gone_ns:
            self._spent -= slots.popleft()[2]
        if self._others and self._others_until_ns <= now_ns:
            self._others = 0

    # What is used

    def hold(self, weight: int) -> int:
        """Charges `weight` for a request that is about to be sent; its mark."""
        self._held += weight
        self.charged += weight
        return self.charged

    def spend(self, weight: int, now_ns: int) -> None:
        """What was held has reached the venue at the latest now: it comes back a window from now."""
        self._held -= weight
        if not weight:
            return
        self._spent += weight
        slots = self._slots
        if slots and now_ns - slots[-1][0] < self._slot_ns:
            slots[-1][1] = now_ns
            slots[-1][2] += weight
        else:
            slots.append([now_ns, now_ns, weight])

    def give_back(self, weight: int) -> None:
        """What was held was not sent."""
        self._held -= weight

    # What the venue says

    def close(self, until_ns: int) -> None:
        """Nothing is charged until then: the venue said so."""
        self.closed_until_ns = max(self.closed_until_ns, until_ns)

    def hear(self, used: int, now_ns: int, mark: int | None, own: int, until_ns: int | None) -> None:
        """The venue counts `used`, in its answer to the request with `mark` (None: it belongs to no request), of which
        `own` is still held here. Others that are under way may be counted in it or not. An answer older than one that
        was heard already takes nothing back: it may not know of what was sent after it. `until_ns`: when the venue
        forgets what it counts."""
        self._expire(now_ns)
        fresh = mark is None or mark >= self._heard_mark
        if mark is not None and fresh:
            self._heard_mark = mark
        beyond = used - own - self._spent
        if fresh:
            self._others = 0
            if beyond < 0:
                self._forget(-beyond)
        if (others := beyond - (self._held - own)) > self._others:
            self._others = others
            self._others_until_ns = now_ns + self.window_ns if until_ns is None else until_ns

    def _forget(self, weight: int) -> None:
        """The venue no longer counts so much, the oldest first."""
        slots = self._slots
        while slots and weight > 0:
            gone = min(weight, slots[0][2])
            slots[0][2] -= gone
            self._spent -= gone
            weight -= gone
            if not slots[0][2]:
                slots.popleft()
