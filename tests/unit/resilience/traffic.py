"""Requests that come to a limiter at written times, under a clock that the test turns, and what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from brokergate.domain.errors import RateLimitError
from brokergate.resilience import Lane, MultiEndpointRateLimiter
from tests.unit.adapters.paper.hand_clock import HandClock, settle

MS = 1_000_000


@dataclass
class Visit:
    """One request: when it comes (ms), what for, and what became of it (ns)."""

    at_ms: int
    endpoint: str
    weight: int = 1
    lane: Lane = Lane.NEW
    deadline_ms: int | None = None
    """After it came."""
    gives_up_ms: int | None = None
    """After it came: its task is cancelled then."""
    lasts_ms: int = 0
    """From being sent to the answer."""

    number: int = 0
    came_ns: int = -1
    sent_ns: int = -1
    answered_ns: int = -1
    refused_ns: int = -1
    gave_up_ns: int = -1

    @property
    def waiting(self) -> bool:
        return self.came_ns >= 0 and max(self.sent_ns, self.refused_ns, self.gave_up_ns) < 0

    def waited_at(self, moment_ns: int) -> bool:
        """Whether it waited just before this moment and after it."""
        ends = [end for end in (self.sent_ns, self.refused_ns, self.gave_up_ns) if end >= 0]
        return 0 <= self.came_ns < moment_ns and (not ends or min(ends) > moment_ns)


async def _visit(limiter: MultiEndpointRateLimiter, clock: HandClock, visit: Visit) -> None:
    visit.came_ns = clock.monotonic_ns()
    deadline = None if visit.deadline_ms is None else visit.came_ns + visit.deadline_ms * MS
    try:
        async with limiter.limit(visit.endpoint, visit.weight, visit.lane, deadline):
            visit.sent_ns = clock.monotonic_ns()
            if visit.lasts_ms:
                await clock.sleep(visit.lasts_ms / 1000)
        visit.answered_ns = clock.monotonic_ns()
    except RateLimitError:
        visit.refused_ns = clock.monotonic_ns()
    except asyncio.CancelledError:
        visit.gave_up_ns = clock.monotonic_ns()
        if visit.sent_ns >= 0:
            visit.answered_ns = visit.gave_up_ns
        raise


async def _give_up(clock: HandClock, task: asyncio.Task[None], after_ms: int) -> None:
    await clock.sleep(after_ms / 1000)
    task.cancel()


async def run(
    limiter: MultiEndpointRateLimiter, clock: HandClock, visits: Sequence[Visit], then_s: float
) -> None:
    """All of `visits`, in the order of their times, and `then_s` more."""
    tasks: list[asyncio.Task[None]] = []
    now_ms = 0
    for number, visit in enumerate(sorted(visits, key=lambda visit: visit.at_ms)):
        # Half a nanosecond more: the clock cuts fractions off, and no time is to be lost in floats.
        await clock.advance(((visit.at_ms - now_ms) * MS + 0.5) / 1e9)
        now_ms = visit.at_ms
        visit.number = number
        task = asyncio.create_task(_visit(limiter, clock, visit))
        tasks.append(task)
        if visit.gives_up_ms is not None:
            tasks.append(asyncio.create_task(_give_up(clock, task, visit.gives_up_ms)))
        await settle()
    await clock.advance(then_s)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def most_in_any_window(visits: Sequence[Visit], weights: Mapping[str, int], window_ns: int) -> int:
    """The most of a limit that a venue can have counted in any window of that length, wherever it begins and whenever
    within its way it counted each request. `weights`: what each endpoint charges the limit."""
    most = 0
    sent = [visit for visit in visits if visit.sent_ns >= 0]
    for last in sent:
        begin_ns = last.sent_ns - window_ns
        counted = sum(
            visit.weight * weights.get(visit.endpoint, 0)
            for visit in sent
            if visit.sent_ns <= last.sent_ns and (visit.answered_ns < 0 or visit.answered_ns > begin_ns)
        )
        most = max(most, counted)
    return most
