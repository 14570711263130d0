"""Event streams: a cursor, a pull from the journal, and nothing held in between (law 8).

A stream holds its cursor and the batch that it is giving: whatever else there is to tell waits in the journal, so a
subscriber that does not read costs what it has not read nowhere.
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
from brokergate.ports.journal import Journal

BATCH_EVENTS = 500
"""The most events that one message carries."""

SNAPSHOT_ITEMS = 500
"""The most orders, positions and balances that one snapshot page carries."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The stream is open."""

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
    """Serialised `brokergate.v1.Event`s, as stored: 1 to 500."""

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


class EventStreams:
    """Follows the journal for any number of subscribers."""

    def __init__(self, journal: Journal, accounts: Mapping[str, Account], clock: Clock) -> None:
        self._journal = journal
        self._accounts = accounts
        self._clock = clock
        self._waiting: dict[str, set[asyncio.Event]] = {}
        journal.on_commit(self._committed)

    def _committed(self, account_ids: frozenset[str]) -> None:
        for account_id in account_ids:
            for event in self._waiting.get(account_id, ()):
                event.set()

    def follow(self, request: StreamRequest) -> AsyncIterator[StreamItem]:
        """The stream's items, for ever. Raises GatewayError CURSOR_INVALID, CURSOR_EPOCH or CURSOR_EXPIRED, at the
        first item or later."""
        return _Follower(self._journal, self._accounts, self._clock, request).items(self._waiting)


class _Follower:
    """One subscriber."""

    def __init__(
        self, journal: Journal, accounts: Mapping[str, Account], clock: Clock, request: StreamRequest
    ) -> None:
        journal.flush()
        self._journal = journal
        self._accounts = accounts
        self._clock = clock
        self._request = request
        # What was journalled before the stream was opened: past it the stream has caught up.
        self._heads = {account_id: journal.head(account_id) for account_id in request.account_ids}
        self._after = self._start()

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
        """An account that the cursor does not name came to be after it: it begins at its earliest event."""
        cursor, journal = decode_cursor(text), self._journal
        if cursor.journal_id != journal.journal_id or cursor.epoch != journal.epoch:
            raise GatewayError(
                ErrorReason.CURSOR_EPOCH,
                "the cursor is of another journal or of an epoch before data was lost; start from SNAPSHOT",
                metadata={"epoch": str(journal.epoch)},
            )
        after = {}
        for account_id in self._request.account_ids:
            earliest = journal.earliest(account_id)
            sequence = cursor.positions.get(account_id, earliest - 1)
            if sequence > self._heads[account_id]:
                raise GatewayError(
                    ErrorReason.CURSOR_EPOCH,
                    f"the cursor is past the end of account {account_id!r}; start from SNAPSHOT",
                    metadata={"epoch": str(journal.epoch)},
                )
            if sequence < earliest - 1:
                start = {
                    name: max(cursor.positions.get(name, 0), journal.earliest(name) - 1)
                    for name in self._heads
                }
                raise GatewayError(
                    ErrorReason.CURSOR_EXPIRED,
                    f"account {account_id!r}: events after {sequence} are kept from {earliest} on only",
                    metadata={"earliest_cursor": encode_cursor(journal.journal_id, journal.epoch, start)},
                )
            after[account_id] = sequence
        return after

    async def items(self, waiting: dict[str, set[asyncio.Event]]) -> AsyncIterator[StreamItem]:
        """The stream, for ever."""
        wake = asyncio.Event()
        for account_id in self._request.account_ids:
            waiting.setdefault(account_id, set()).add(wake)
        beat = _Heartbeat(self._clock, self._request.heartbeat_s, wake)
        try:
            yield Opened(self._cursor(), self._clock.now_ns(), self._journal.epoch)
            if self._request.start_position is StartPosition.SNAPSHOT:
                for page in self._snapshot():
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
                    yield Beat(self._cursor(), self._clock.now_ns())
                if self._is_behind():
                    # A filter may leave out batch after batch: the others get their turn.
                    await asyncio.sleep(0)
                else:
                    await wake.wait()
        finally:
            beat.stop()
            for account_id in self._request.account_ids:
                waiting[account_id].discard(wake)

    def _is_caught_up(self) -> bool:
        return all(self._after[account_id] >= head for account_id, head in self._heads.items())

    def _is_behind(self) -> bool:
        return any(after < self._journal.head(account_id) for account_id, after in self._after.items())

    def _pull(self) -> Iterator[Batch]:
        """One batch of each account that has something to tell; the cursor moves over what the filter leaves out."""
        request, journal = self._request, self._journal
        for account_id in request.account_ids:
            head, after = journal.head(account_id), self._after[account_id]
            if head <= after:
                continue
            if after < journal.earliest(account_id) - 1:
                raise GatewayError(
                    ErrorReason.SLOW_CONSUMER, f"account {account_id!r}: what comes next is no longer kept"
                )
            if request.symbols:
                events = journal.read(account_id, after, BATCH_EVENTS, request.kinds)
                count, last = len(events), events[-1].sequence if events else after
                bodies: Sequence[bytes] = [event.body for event in events if event.symbol in request.symbols]
            else:
                last, bodies = journal.read_bodies(account_id, after, BATCH_EVENTS, request.kinds)
                count = len(bodies)
            # Fewer than asked for: the journal was read to its head.
            self._after[account_id] = last if count == BATCH_EVENTS else head
            if bodies:
                yield Batch(self._cursor(), bodies)

    def _snapshot(self) -> Iterator[SnapshotPage]:
        """The accounts' state where the stream starts: taken at once, given in pages."""
        orders: list[Order] = []
        positions: list[tuple[str, BrokerPosition]] = []
        balances: list[tuple[str, BrokerBalance]] = []
        self._journal.flush()
        for account_id in self._request.account_ids:
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


class _Heartbeat:
    """Says when nothing has been said for a while."""

    def __init__(self, clock: Clock, interval_s: float, wake: asyncio.Event) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._wake = wake
        self._silent = False
        self._due = False
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            while True:
                self._silent = True
                await self._clock.sleep(self._interval_s)
                if self._silent:
                    self._due = True
                    self._wake.set()

    def spoken(self) -> None:
        """Something was said."""
        self._silent = False

    def is_due(self) -> bool:
        """Whether it is time to say that nothing happened; says so once an interval."""
        due, self._due = self._due, False
        return due

    def stop(self) -> None:
        """Ends it."""
        self._task.cancel()
