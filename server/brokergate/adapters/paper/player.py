"""Plays a tape against the venue, in the tape's own time.

While it plays at a speed, the tape's time runs with the gateway's monotonic clock times the speed, between updates
too; at `max` it jumps from update to update. It stands while the tape is paused and after the tape's end: the book
stays as it was, and orders go on against it.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice

from brokergate.adapters.paper.feed_config import MAX_SPEED
from brokergate.adapters.paper.live import Advance, Failed, Play, ended, watched
from brokergate.domain.errors import invalid_field
from brokergate.domain.money import parse_decimal
from brokergate.ports.broker import TapeAction, TapeStatus
from brokergate.ports.clock import Clock
from brokergate.sim.feeds.tape import Tape, TapeError
from brokergate.sim.market import MarketUpdate
from brokergate.sim.packing import Packer, Unpacker, Unreadable

SLICE_UPDATES = 128
"""Updates that are played before the event loop breathes: some 2 ms of reading and matching."""
MAX_CATCH_UP_UPDATES = 20_000
"""Updates that a command plays to be up to date; a tape that is further behind its speed catches up in slices."""
MAX_WAIT_S = 60.0
"""The longest sleep between two looks at the clock."""
_FOREVER_NS = 2**63
PLAYING, PAUSED, ENDED = "PLAYING", "PAUSED", "ENDED"


class TapePlayer:
    """Where a tape is, and what moves it. `failed` is told when the tape cannot be read on."""

    def __init__(
        self,
        tape: Tape,
        clock: Clock,
        play: Play,
        advance: Advance,
        failed: Failed,
        *,
        speed: str,
        paused: bool,
    ) -> None:
        survey = tape.survey()
        self.instruments = survey.instruments
        self.start_ns = survey.start_ns
        counts = json.dumps({symbol: dict(kinds) for symbol, kinds in survey.frames.items()}, sort_keys=True)
        self.identity = f"tape {tape.format} {survey.start_ns} {survey.end_ns} {counts}"
        self._configured = f"{speed} {paused}"
        self._clock = clock
        self._play = play
        self._advance = advance
        self._failed = failed
        self._updates: Iterator[MarketUpdate] = tape.updates()
        self._next: MarketUpdate | None = None
        self._state = PAUSED if paused else PLAYING
        self._speed = speed
        self._played = 0
        self._played_ns = survey.start_ns
        # The tape's time at a moment of the monotonic clock, from which it runs while playing at a speed.
        self._time_ns = survey.start_ns
        self._since_ns = 0
        self._task: asyncio.Task[None] | None = None
        self._actions = 0
        self._seeking = False

    def start(self) -> None:
        """Plays on where it stands, unless paused; at first from the beginning."""
        if self._next is None and self._state != ENDED:
            self._take_next()
        self._resume()

    # Keeping

    def standing(self) -> str:
        """State, speed and time; the updates played are counted by who plays them."""
        return f"{self._state}\t{self._speed}\t{self._time_ns}"

    def stand(self, standing: str) -> None:
        """Takes up what `standing` gave."""
        self._state, self._speed, time_ns = standing.split("\t")
        self._time_ns = int(time_ns)

    def pull(self, count: int) -> Sequence[MarketUpdate]:
        """The next `count` updates, to be played again before `start`."""
        updates = list(islice(self._updates, count))
        if updates:
            self._played += len(updates)
            self._played_ns = updates[-1].time_ns
        return updates

    def save(self, pack: Packer) -> None:
        """Writes down where the tape is, and what the configuration said of its playing."""
        pack.put(self._configured, self._played, self._played_ns, self.standing())

    def load(self, kept: Unpacker) -> None:
        """Winds the tape to where it was: it is read, and nothing is matched. A configuration that says now otherwise
        how it shall play is followed."""
        configured, played, played_ns, standing = kept.text(), kept.integer(), kept.integer(), kept.text()
        last = deque(islice(self._updates, played), maxlen=1)
        if played and (not last or last[0].time_ns != played_ns):
            raise Unreadable(f"update {played} of the tape is not of the time {played_ns}")
        self._played, self._played_ns = played, played_ns
        state, speed = self._state, self._speed
        self.stand(standing)
        if configured != self._configured:
            self._speed = speed
            self._state = self._state if self._state == ENDED else state

    async def stop(self) -> None:
        """Stands still; a seek under way ends."""
        self._actions += 1
        self.now_ns()
        await self._halt()

    async def _halt(self) -> None:
        task, self._task = self._task, None
        await ended(task)

    def now_ns(self) -> int:
        """The tape's time, everything played that came before it."""
        if self._state == PLAYING and self._speed != MAX_SPEED:
            self._time_ns, self._since_ns = self._running_ns(), self._clock.monotonic_ns()
            self._play_until(self._time_ns, MAX_CATCH_UP_UPDATES)
            if self._next is not None and self._next.time_ns < self._time_ns:
                self._time_ns = self._next.time_ns
        return self._time_ns

    @property
    def stands(self) -> bool:
        """Whether its time does not pass: it is paused, or at its end."""
        return self._state != PLAYING and not self._seeking

    def seconds_until(self, time_ns: int) -> float | None:
        """How long until its time is `time_ns`, by the gateway's clock; None where it jumps, or is led there."""
        if self._seeking or self._speed == MAX_SPEED:
            return None
        return (time_ns - self._running_ns()) / 1e9 / float(Decimal(self._speed))

    def status(self) -> TapeStatus:
        """Where it is."""
        return TapeStatus(self._state, self._played_ns, self.start_ns, self._speed, self._played)

    async def control(self, action: TapeAction) -> TapeStatus:
        """Pauses, resumes, seeks or paces. GatewayError INVALID_FIELD for a time before the present one and for a
        speed that is none."""
        self._actions += 1
        now_ns = self.now_ns()
        if action.speed is not None:
            self._speed = _speed(action.speed)
        if action.seek_time_ns is not None and action.seek_time_ns < now_ns:
            raise invalid_field(
                "seek_time",
                f"lies before the tape's present time, {now_ns} ns since the epoch; a tape plays forward",
            )
        await self._halt()
        if action.pause and self._state == PLAYING:
            self._state = PAUSED
        elif action.resume and self._state == PAUSED:
            self._state = PLAYING
        elif action.seek_time_ns is not None:
            self._seeking = True
            try:
                await self._seek(action.seek_time_ns)
            finally:
                self._seeking = False
        self._resume()
        return self.status()

    async def _seek(self, until_ns: int) -> None:
        """Plays everything up to `until_ns`, which is included, and stands there."""
        if self._state == PLAYING:
            self._state = PAUSED
        action = self._actions
        while self._next is not None and self._next.time_ns <= until_ns:
            self._play_until(until_ns, SLICE_UPDATES)
            self._time_ns = self._played_ns
            await asyncio.sleep(0)
            if action != self._actions:
                # Somebody steered the tape meanwhile; that came later and counts.
                return
        if self._state == PAUSED:
            self._time_ns = until_ns
            self._advance(until_ns)

    def _resume(self) -> None:
        if self._state == PLAYING and self._task is None:
            self._since_ns = self._clock.monotonic_ns()
            self._task = watched(self._run(), "tape", self._failed)

    async def _run(self) -> None:
        while self._state == PLAYING and self._next is not None:
            if self._speed == MAX_SPEED:
                self._play_until(_FOREVER_NS, SLICE_UPDATES)
                self._time_ns = self._played_ns
                await asyncio.sleep(0)
                continue
            until_ns = self._running_ns()
            if self._next.time_ns <= until_ns:
                self._play_until(until_ns, SLICE_UPDATES)
                await asyncio.sleep(0)
            else:
                wait_s = (self._next.time_ns - until_ns) / 1e9 / float(Decimal(self._speed))
                await self._clock.sleep(min(wait_s, MAX_WAIT_S))

    def _running_ns(self) -> int:
        elapsed_ns = self._clock.monotonic_ns() - self._since_ns
        numerator, denominator = Decimal(self._speed).as_integer_ratio()
        return self._time_ns + elapsed_ns * numerator // denominator

    def _play_until(self, until_ns: int, most: int) -> None:
        """Plays at most `most` updates up to `until_ns`, which is included."""
        batch: list[MarketUpdate] = []
        while len(batch) < most and self._next is not None and self._next.time_ns <= until_ns:
            batch.append(self._next)
            try:
                self._next = next(self._updates, None)
            except TapeError as error:
                self._give(batch)
                self._fail(error)
                return
        self._give(batch)
        if self._next is None:
            self._end()

    def _give(self, batch: list[MarketUpdate]) -> None:
        if batch:
            self._played += len(batch)
            self._played_ns = batch[-1].time_ns
            self._play(batch)

    def _take_next(self) -> None:
        try:
            self._next = next(self._updates, None)
        except TapeError as error:
            self._fail(error)
            return
        if self._next is None:
            self._end()

    def _end(self) -> None:
        if self._state != ENDED:
            self._state = ENDED
            self._time_ns = self._played_ns

    def _fail(self, error: TapeError) -> None:
        self._next = None
        self._end()
        self._failed(str(error))


def _speed(text: str) -> str:
    """A speed as it is kept."""
    if text == MAX_SPEED:
        return text
    try:
        value = parse_decimal(text)
    except ValueError:
        value = Decimal(0)
    if value <= 0:
        raise invalid_field(
            "speed", f"{text[:64]!r} is not a speed; write 'max', or a number above zero such as 10"
        )
    return text
