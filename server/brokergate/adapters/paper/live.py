"""Feeds that run in the gateway's own time: the synthetic market, and what a client pushes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from hashlib import blake2b
from typing import Protocol

from brokergate.domain.instruments import Instrument
from brokergate.ports.clock import Clock
from brokergate.sim.feeds.profiles import SyntheticProfile
from brokergate.sim.feeds.synthetic import MODEL, SyntheticFeed
from brokergate.sim.market import MarketUpdate
from brokergate.sim.packing import Packer, Unpacker

Play = Callable[[Sequence[MarketUpdate]], None]
"""Gives updates to the venue."""
Advance = Callable[[int], None]
"""Tells the venue that time passed."""
Failed = Callable[[str], None]
"""Tells the broker that the market broke, and how."""

SLICE_NS = 1_000_000_000
"""The most of a synthetic market that is played before the event loop breathes: a second of it, a millisecond of ours.
"""
MAX_CATCH_UP_NS = 5 * SLICE_NS
"""The most of it that a command plays to be up to date; after a longer sleep of the machine the rest follows."""
TICK_S = 1.0
"""How often time passes for orders that expire where no market moves."""


class LiveFeed(Protocol):
    """A feed by the gateway's clock."""

    instruments: tuple[Instrument, ...]
    identity: str
    """Which market it is, beside its instruments: what was kept of another one is not taken up."""
    stands: bool
    """Whether the venue's time does not pass: never, of a market that lives."""

    def standing(self) -> str:
        """Where it stands, beside how many updates it played: a step notes it."""
        ...

    def stand(self, standing: str) -> None:
        """Takes up what `standing` gave."""
        ...

    def pull(self, count: int) -> Sequence[MarketUpdate]:
        """The next `count` updates, to be played again before `start`; fewer where there are no more."""
        ...

    def save(self, pack: Packer) -> None:
        """Writes down where it stands."""
        ...

    def load(self, kept: Unpacker) -> None:
        """Takes up what `save` wrote, before `start`."""
        ...

    def now_ns(self) -> int:
        """The venue's time for a command, everything played that came before it."""
        ...

    def seconds_until(self, time_ns: int) -> float | None:
        """How long until the venue's time is `time_ns`, by the gateway's clock; None where that cannot be said."""
        ...

    def start(self) -> None:
        """Begins to play."""
        ...

    async def stop(self) -> None:
        """Ends playing."""
        ...


class SyntheticPlayer:
    """Plays a synthetic market in real time. While it is stopped the market stands still, and no time is missing from
    it when it goes on."""

    stands = False

    def __init__(
        self, seed: int, profiles: Mapping[str, SyntheticProfile], clock: Clock, play: Play, failed: Failed
    ) -> None:
        self._feed = SyntheticFeed(seed, clock.now_ns(), tuple(profiles), profiles)
        self.instruments = self._feed.instruments
        habits = repr([MODEL, *(market.profile for market in self._feed.markets)])
        self.identity = f"synthetic {seed} {blake2b(habits.encode(), digest_size=8).hexdigest()}"
        self._clock = clock
        self._play = play
        self._failed = failed
        self._task: asyncio.Task[None] | None = None

    def now_ns(self) -> int:
        now_ns = self._clock.now_ns()
        if self._feed.next_ns <= now_ns:
            self._play(self._feed.advance(min(now_ns, self._feed.next_ns + MAX_CATCH_UP_NS)))
        return now_ns

    def seconds_until(self, time_ns: int) -> float | None:
        return (time_ns - self._clock.now_ns()) / 1e9

    def standing(self) -> str:
        return ""

    def stand(self, standing: str) -> None:
        pass

    def pull(self, count: int) -> Sequence[MarketUpdate]:
        return self._feed.pull(count)

    def save(self, pack: Packer) -> None:
        self._feed.save(pack)

    def load(self, kept: Unpacker) -> None:
        self._feed.load(kept)

    def start(self) -> None:
        late_ns = self._clock.now_ns() - self._feed.next_ns
        # Also where the clock was set back: a market that waits for an hour to pass again is no market.
        if late_ns > 0 or late_ns < -SLICE_NS:
            self._feed.shift(late_ns)
        self._task = watched(self._run(), "synthetic market", self._failed)

    async def stop(self) -> None:
        await ended(self._task)

    async def _run(self) -> None:
        feed, clock = self._feed, self._clock
        while True:
            now_ns = clock.now_ns()
            if feed.next_ns <= now_ns:
                self._play(feed.advance(min(now_ns, feed.next_ns + SLICE_NS)))
                await asyncio.sleep(0)
            else:
                await clock.sleep((feed.next_ns - now_ns) / 1e9)


class WallClock:
    """Time for a market that others tell: it passes by itself, and orders expire."""

    stands = False

    def __init__(
        self,
        identity: str,
        instruments: tuple[Instrument, ...],
        clock: Clock,
        advance: Advance,
        failed: Failed,
    ) -> None:
        self.identity = identity
        self.instruments = instruments
        self._clock = clock
        self._advance = advance
        self._failed = failed
        self._task: asyncio.Task[None] | None = None

    def now_ns(self) -> int:
        return self._clock.now_ns()

    def seconds_until(self, time_ns: int) -> float | None:
        return (time_ns - self._clock.now_ns()) / 1e9

    def standing(self) -> str:
        return ""

    def stand(self, standing: str) -> None:
        pass

    def pull(self, count: int) -> Sequence[MarketUpdate]:
        return ()

    def save(self, pack: Packer) -> None:
        pass

    def load(self, kept: Unpacker) -> None:
        pass

    def start(self) -> None:
        self._task = watched(self._run(), f"clock of the market ({self.identity})", self._failed)

    async def stop(self) -> None:
        await ended(self._task)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(TICK_S)
            self._advance(self._clock.now_ns())


class PushClock(WallClock):
    """Time for a market that a client pushes."""

    def __init__(
        self, instruments: tuple[Instrument, ...], clock: Clock, advance: Advance, failed: Failed
    ) -> None:
        super().__init__("push", instruments, clock, advance, failed)


def watched(run: Coroutine[None, None, None], name: str, failed: Failed) -> asyncio.Task[None]:
    """A task for `run`. An error that ends it is told: a market that stands still unnoticed would go on filling."""

    def look(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failed(f"the {name} stopped: {error!r}")

    task = asyncio.create_task(run, name=name)
    task.add_done_callback(look)
    return task


async def ended(task: asyncio.Task[None] | None) -> None:
    """Cancels a task and waits until it is gone."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
