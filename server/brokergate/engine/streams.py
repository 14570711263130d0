"""Event streams: a cursor, a pull from the journal, and nothing held in between (law 8).

A stream holds its cursor and the batch that it is giving: whatever else there is to tell waits in the journal, so a
subscriber that does not read costs what it has not read nowhere. A batch is read in one step of the event loop, so no
reader holds a transaction open over a wait, and the journal's log can be cleared behind the slowest of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.cursor import decode_cursor, encode_cursor
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import Order
from brokergate.domain.streams import StartPosition, StreamRequest
from brokergate.engine.account import Account
from brokergate.ports.clock import Clock
from brokergate.ports.journal import Journal, JournalError

BATCH_EVENTS = 500
"""The most events that one message carries."""

BATCH_BYTES = 1 << 20
"""The most bytes of events that one message carries, unless one event alone has more: a message stays far under the
4 MiB that a client takes by default, and a subscriber's memory is bounded by it."""

SNAPSHOT_ITEMS = 100
"""The most orders, positions or balances that one snapshot page carries; each has at most some 6 KiB, labels and all,
so that a page stays under `BATCH_BYTES`."""

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Opened:
    """The stream is open. `cursor` is empty where a snapshot follows: resuming before that is whole would leave it
    out."""

    cursor: str
    time_ns: int
    epoch: int


@dataclass(frozen=True, slots=True)
class SnapshotPage:
    """A page of state, positions and balances as (account id, value); `cursor` is empty but on the last page."""

    cursor: str
    orders: Sequence[Order]
    positions: Sequence[tuple[str, BrokerPosition]]
    balances: Sequence[tuple[str, BrokerBalance]]
    last: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Serialised `brokergate.v1.Event`s, as stored: 1 to `BATCH_EVENTS`."""

    cursor: str
    bodies: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What follows is live."""

    cursor: str


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing happened; the cursor has advanced."""

    cursor: str
    time_ns: int


StreamItem = Opened | SnapshotPage | Batch | CaughtUp | Beat


class FellBehind(GatewayError):
    """SLOW_CONSUMER of a subscriber who reads, and too slowly: what comes next for it is no longer kept."""


class EventStreams:
    """Follows the journal for any number of subscribers. `accounts` is the gateway's own mapping, and is looked up at
    each use: an account is made anew when the engine is."""

    def __init__(self, journal: Journal, accounts: Mapping[str, Account], clock: Clock) -> None:
        self._journal = journal
        self._accounts = accounts
        self._clock = clock
        self._followers: Followers = {}
        journal.on_commit(self._committed)
        journal.on_failure(self._failed)

    def _committed(self, account_ids: frozenset[str]) -> None:
        for account_id in account_ids:
            for follower in self._followers.get(account_id, ()):
                follower.wake.set()

    def _failed(self, error: JournalError) -> None:
        for followers in self._followers.values():
            for follower in followers:
                follower.fail(error)

    def follow(self, request: StreamRequest) -> AsyncIterator[StreamItem]:
        """The stream's items, for ever. Raises GatewayError: CURSOR_INVALID, CURSOR_EPOCH and CURSOR_EXPIRED at once,
        `FellBehind` later; JournalError when the journal fails, and then it is to
        be resumed after its last cursor: what followed may not have reached the disk."""
        return _Follower(self._journal, self._accounts, self._clock, request).items(self._followers)


class _Follower:
    """One subscriber."""

    def __init__(
        self, journal: Journal, accounts: Mapping[str, Account], clock: Clock, request: StreamRequest
    ) -> None:
        self.wake = asyncio.Event()
        """Set where there may be something to do."""
        self._failure: JournalError | None = None
        self._journal = journal
        self._accounts = accounts
        self._clock = clock
        self._request = request
        self._check()
        # What was journalled before the stream was opened: past it the stream has caught up.
        self._heads = {account_id: journal.head(account_id) for account_id in request.account_ids}
        self._after = self._start()

    def fail(self, error: JournalError) -> None:
        """The journal failed: the stream ends, for it may have told what is not on the disk."""
        self._failure = error
        self.wake.set()

    def _cursor(self) -> str:
        return encode_cursor(self._journal.journal_id, self._journal.epoch, self._after)

    def _start(self) -> dict[str, int]:
        """The sequence after which each account begins."""
        request, journal = self._request, self._journal
        if request.after_cursor is not None:
            return self._resume(request.after_cursor)
        if request.start_time_ns is not None:
            start_ns = request.start_time_ns
            return {
                account_id: max(journal.sequence_at(account_id, start_ns), journal.earliest(account_id) - 1)
                for account_id in request.account_ids
            }
        if request.start_position is StartPosition.EARLIEST:
            return {account_id: journal.earliest(account_id) - 1 for account_id in request.account_ids}
        return dict(self._heads)

    def _resume(self, text: str) -> dict[str, int]:
        """An account that the cursor does not name came to be after it: it begins at its first event."""
        cursor, journal = decode_cursor(text), self._journal
        if cursor.journal_id != journal.journal_id or cursor.epoch != journal.epoch:
            raise GatewayError(
                ErrorReason.CURSOR_EPOCH,
                "the cursor is of another journal or of an epoch before data was lost; start from SNAPSHOT",
                metadata={"epoch": str(journal.epoch)},
            )
        after = {account_id: cursor.positions.get(account_id, 0) for account_id in self._heads}
        for account_id, head in self._heads.items():
            if after[account_id] > head:
                raise GatewayError(
                    ErrorReason.CURSOR_EPOCH,
                    f"the cursor is past the end of account {account_id!r}; start from SNAPSHOT",
                    metadata={"epoch": str(journal.epoch)},
                )
        kept = {account_id: journal.earliest(account_id) - 1 for account_id in after}
        for account_id, sequence in after.items():
            if sequence < kept[account_id]:
                start = {name: max(after[name], kept[name]) for name in after}
                raise GatewayError(
                    ErrorReason.CURSOR_EXPIRED,
                    f"account {account_id!r}: events after {sequence} are kept from {kept[account_id] + 1} on only; "
                    "start from SNAPSHOT, or after the earliest cursor",
                    metadata={"earliest_cursor": encode_cursor(journal.journal_id, journal.epoch, start)},
                )
        return after

    async def items(self, followers: Followers) -> AsyncIterator[StreamItem]:
        """The stream, for ever."""
        wake = self.wake
        for account_id in self._heads:
            followers.setdefault(account_id, set()).add(self)
        beat = _Heartbeat(self._clock, self._request.heartbeat_s, wake)
        snapshot = self._request.start_position is StartPosition.SNAPSHOT
        try:
            yield Opened("" if snapshot else self._cursor(), self._clock.now_ns(), self._journal.epoch)
            if snapshot:
                for page in self._snapshot():
                    beat.spoken()
                    yield page
            caught_up = False
            while True:
                wake.clear()
                for batch in self._pull():
                    beat.spoken()
                    yield batch
                if not caught_up and self._is_caught_up():
                    caught_up = True
                    beat.spoken()
                    yield CaughtUp(self._cursor())
                if beat.is_due():
                    beat.spoken()
                    yield Beat(self._cursor(), self._clock.now_ns())
                if self._is_behind():
                    # A filter may leave out batch after batch: the others get their turn.
                    await asyncio.sleep(0)
                else:
                    await wake.wait()
        finally:
            beat.stop()
            for account_id in self._heads:
                followers[account_id].discard(self)

    def _check(self) -> None:
        failure = self._failure or self._journal.failed
        if failure is not None:
            # A new one each time: one that many raise would hold the frames of all of them.
            raise JournalError(str(failure))

    def _is_caught_up(self) -> bool:
        return all(self._after[account_id] >= head for account_id, head in self._heads.items())

    def _is_behind(self) -> bool:
        return self._failure is not None or any(
            after < self._journal.head(account_id) for account_id, after in self._after.items()
        )

    def _pull(self) -> Iterator[Batch]:
        """One batch of each account that has something to tell; the cursor moves over what the filter leaves out."""
        journal = self._journal
        for account_id in self._after:
            self._check()
            head, after = journal.head(account_id), self._after[account_id]
            if head <= after:
                continue
            if after < (kept := journal.earliest(account_id) - 1):
                raise FellBehind(
                    ErrorReason.SLOW_CONSUMER,
                    f"account {account_id!r}: the stream has given {after}, and events up to {kept} are no longer kept",
                )
            self._after[account_id], bodies = self._read(account_id, after, head)
            if bodies:
                yield Batch(self._cursor(), bodies)

    def _read(self, account_id: str, after: int, head: int) -> tuple[int, Sequence[bytes]]:
        """What one message takes of the events that pass the filter, and up to which sequence it speaks."""
        journal, kinds, symbols = self._journal, self._request.kinds, self._request.symbols
        # Fewer than asked for: the journal was read to its head.
        if symbols:
            events = journal.read(account_id, after, BATCH_EVENTS, kinds)
            last = events[-1].sequence if len(events) == BATCH_EVENTS else head
            events = [event for event in events if event.symbol in symbols]
            bodies: Sequence[bytes] = [event.body for event in events]
            fitting = _fitting(bodies)
            if fitting < len(bodies):
                return events[fitting].sequence - 1, bodies[:fitting]
            return last, bodies
        last, bodies = journal.read_bodies(account_id, after, BATCH_EVENTS, kinds)
        fitting = _fitting(bodies)
        if fitting < len(bodies):
            # Rare: where the last one that fits stands is not known, so it is asked for.
            return journal.read_bodies(account_id, after, fitting, kinds)
        return (last if len(bodies) == BATCH_EVENTS else head), bodies

    def _snapshot(self) -> Iterator[SnapshotPage]:
        """The accounts' state where the stream starts: taken at once, given in pages. Until the last page has gone
        the orders that were open are held, as they stood."""
        orders: list[Order] = []
        positions: list[tuple[str, BrokerPosition]] = []
        balances: list[tuple[str, BrokerBalance]] = []
        self._check()
        # An account's orders are as far as what is staged, the journal as far as what is committed: now they agree.
        self._journal.flush()
        for account_id in self._heads:
            self._after[account_id] = self._heads[account_id] = self._journal.head(account_id)
            orders.extend(self._accounts[account_id].tracker.open.values())
            held = self._journal.positions(account_id)
            positions.extend((account_id, position) for position in held if position.quantity)
            balances.extend((account_id, balance) for balance in self._journal.balances(account_id))
        size = SNAPSHOT_ITEMS
        for start in range(0, len(orders), size):
            yield SnapshotPage("", orders[start : start + size], (), (), False)
        for start in range(0, len(positions), size):
            yield SnapshotPage("", (), positions[start : start + size], (), False)
        for start in range(0, len(balances), size):
            yield SnapshotPage("", (), (), balances[start : start + size], False)
        yield SnapshotPage(self._cursor(), (), (), (), True)


Followers = dict[str, set[_Follower]]
"""The subscribers by account."""


def _fitting(bodies: Sequence[bytes]) -> int:
    """How many of the first `bodies` one message takes: at least one, where there is one."""
    if sum(map(len, bodies)) <= BATCH_BYTES:
        return len(bodies)
    length = 0
    for count, body in enumerate(bodies):
        length += len(body)
        if length > BATCH_BYTES:
            return max(1, count)
    raise AssertionError("they are longer together than one by one")


class _Heartbeat:
    """Says when nothing has been said for an interval."""

    def __init__(self, clock: Clock, interval_s: float, wake: asyncio.Event) -> None:
        self._clock = clock
        self._interval_ns = int(interval_s * NS_PER_S)
        self._wake = wake
        self._due = False
        self._spoke_ns = clock.monotonic_ns()
        self._task = asyncio.create_task(self._run(), name="heartbeats of a stream")

    async def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            while True:
                rest_ns = self._spoke_ns + self._interval_ns - self._clock.monotonic_ns()
                if rest_ns <= 0:
                    self._due = True
                    self._wake.set()
                    # Who does not read cannot be told: it is looked again after an interval.
                    rest_ns = self._interval_ns
                await self._clock.sleep(rest_ns / NS_PER_S)

    def spoken(self) -> None:
        """Something is said now."""
        self._due = False
        self._spoke_ns = self._clock.monotonic_ns()

    def is_due(self) -> bool:
        """Whether it is time to say that nothing happened."""
        return self._due

    def stop(self) -> None:
        """Ends it."""
        self._task.cancel()
