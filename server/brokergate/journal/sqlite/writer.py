"""The writing half: staging, group commit, and the views behind it.

One writer, in the event loop's own thread. SQLite lets go of the interpreter's lock at every statement, and a thread
that takes turns with the loop loses more to the handing over than the statements cost: a commit of one order takes
some 30 µs here, and a hop to a thread and back as much again. Commits are few instead: everything that is staged
while the loop goes through its ready callbacks shares one.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from brokergate.domain.events import EventKind, EventPayload, FillBooked, OrderChanged
from brokergate.journal.sqlite.absent import Absent
from brokergate.journal.sqlite.account import Account
from brokergate.journal.sqlite.checkpoint import Checkpointer
from brokergate.journal.sqlite.facts import facts_of
from brokergate.journal.sqlite.group import EventRow, Group
from brokergate.journal.sqlite.queries import FIND_ANSWER, HAS_FILL, HAS_TOMBSTONES, ORDER_BY_CLIENT
from brokergate.journal.sqlite.views import FillKey
from brokergate.ports.broker import VenueSnapshot, VenueStep
from brokergate.ports.journal import (
    AlreadyJournalled,
    JournalError,
    NewOrder,
    Record,
    RequestDone,
    Setting,
    StoredEvent,
    Tombstone,
)

QUIET_TURNS = 8
"""Turns of the loop without anything staged after which a group is committed: some 10 µs, in which those that come
together find each other. Who has gathered before does not wait (`commit_now`).
"""

MAX_GROUP = 64
"""Stages after which a group is committed, quiet or not."""

UNINDEXED_EVENTS = 1024
"""Events whose views may wait in memory. The commit that passes it writes them, in a few milliseconds; a start after
a crash reads so many again."""

IN_MEMORY = ":memory:"
"""SQLite's name for a database that is no file."""

VIEWS_BYTES = 512 * 1024
"""About what writing an account's views adds to the log."""

COMMON_KINDS = frozenset({EventKind.ORDER, EventKind.FILL, EventKind.POSITION, EventKind.BALANCE})
"""The kinds that come with every order; events of the others have an index of their own."""


class Writer:
    """Stages, commits and tells who listens."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._loop: asyncio.AbstractEventLoop | None = None
        self._checkpointer = None if path == IN_MEMORY else Checkpointer(path, self._resume)
        self._group = Group()
        self._scheduled = False
        self._stages = self._first = 0
        self._quiet_turns = 0
        self._failure: JournalError | None = None
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self._last_words: list[Callable[[], None]] = []
        self._dirty: dict[Account, None] = {}
        self.tombstoned: set[int] = set()
        """The accounts that have tombstones: most have none, and an order on them need not be looked for there."""
        self.absent = Absent()
        """Ids and executions that were looked for and not found."""

    def adopt(self, account: Account) -> None:
        """Takes an account on, with what a crash has left unwritten of its views."""
        if account.staged > account.indexed:
            self._dirty[account] = None
        if self._connection.execute(HAS_TOMBSTONES, (account.number,)).fetchone():
            self.tombstoned.add(account.number)

    @property
    def pending_answers(self) -> Mapping[tuple[int, str], tuple[str, bytes, bytes]]:
        """Answers that are staged and not committed."""
        return self._group.answers

    @property
    def pending_tombstones(self) -> Mapping[tuple[int, str], None]:
        """Tombstones that are staged and not committed."""
        return self._group.tombstones

    def check(self) -> None:
        """Raises the error of the commit that failed, if one did."""
        if self._failure is not None:
            raise self._failure

    def stage(
        self, account: Account, time_ns: int, payloads: Sequence[EventPayload], records: Sequence[Record]
    ) -> None:
        """As `Journal.stage`."""
        self.check()
        fingerprints = self._new_orders(account, records)
        stored_ns = max(time_ns, account.time_ns)
        sequence, base = account.staged, account.base
        encode = account.encode
        numbers: list[int] = []
        rows: list[EventRow] = []
        events: list[StoredEvent] = []
        fresh = dict(fingerprints)
        executions: set[FillKey] = set()
        for payload in payloads:
            sequence += 1
            kind, kind_number, symbol, number, multiplier = facts_of(payload)
            fingerprint = None
            if isinstance(payload, FillBooked):
                self._check_fill(account, payload.fill.key, executions)
            elif fresh and isinstance(payload, OrderChanged):
                fingerprint = fresh.pop(payload.order.client_order_id, None)
            body = encode(sequence, time_ns, payload)
            numbers.append(number)
            rows.append((base | sequence, kind_number, stored_ns, symbol, fingerprint, multiplier, body))
            events.append(StoredEvent(sequence, kind, symbol, body))
        if fresh:
            raise ValueError(f"new orders {sorted(fresh)} are staged without an event that brings the order")
        # Everything that can fail is behind us: from here on the whole of it is staged.
        views = account.views
        for payload, number, event_ in zip(payloads, numbers, events, strict=True):
            views.apply(event_.sequence, stored_ns, payload, number)
        for client_order_id, fingerprint in fingerprints.items():
            views.register(client_order_id, fingerprint)
        self._enlist(account, rows, events, records)
        account.staged, account.time_ns = sequence, stored_ns

    def _enlist(
        self, account: Account, rows: list[EventRow], events: list[StoredEvent], records: Sequence[Record]
    ) -> None:
        group = self._group
        if events:
            group.rows.extend(rows)
            group.rare.extend([(row[1], row[0]) for row in rows if row[1] not in COMMON_KINDS])
            group.events.setdefault(account, []).extend(events)
            group.size += sum([len(event.body) for event in events])
            self._dirty[account] = None
        for record in records:
            match record:
                case RequestDone(request_id, answer):
                    group.answers[account.number, request_id] = (
                        answer.method,
                        answer.fingerprint,
                        answer.body,
                    )
                case Tombstone(client_order_id):
                    self.tombstoned.add(account.number)
                    group.tombstones[account.number, client_order_id] = None
                case Setting(key, value):
                    group.settings[f"account/{account.account_id}/{key}"] = value or ""
                case NewOrder() | VenueStep() | VenueSnapshot():
                    pass
        self.schedule()

    def put_setting(self, key: str, value: str) -> None:
        """As `Journal.put_setting`."""
        self.check()
        self._group.settings[key] = value
        self.schedule()

    def _new_orders(self, account: Account, records: Sequence[Record]) -> dict[str, bytes]:
        """The fingerprints of the new orders. Raises `AlreadyJournalled` for an id that is registered."""
        fingerprints: dict[str, bytes] = {}
        requests: set[str] = set()
        number = account.number
        for record in records:
            if isinstance(record, NewOrder):
                name = record.client_order_id
                if name in fingerprints or name in account.views.by_client or self._has_client(number, name):
                    raise AlreadyJournalled(f"account {account.account_id!r} has an order {name!r}")
                fingerprints[name] = record.fingerprint
            elif isinstance(record, RequestDone):
                key = (number, record.request_id)
                if record.request_id in requests or key in self._group.answers or self._has_answer(*key):
                    raise AlreadyJournalled(
                        f"account {account.account_id!r} has answered {record.request_id!r}"
                    )
                requests.add(record.request_id)
        return fingerprints

    def _has_client(self, account: int, client_order_id: str) -> bool:
        if self.absent.take((account, client_order_id)):
            return False
        return self._connection.execute(ORDER_BY_CLIENT, (account, client_order_id)).fetchone() is not None

    def _has_answer(self, account: int, request_id: str) -> bool:
        if self.absent.take((account, "request", request_id)):
            return False
        return self._connection.execute(FIND_ANSWER, (account, request_id)).fetchone() is not None

    def _check_fill(self, account: Account, key: FillKey, beside: set[FillKey]) -> None:
        """Raises `AlreadyJournalled` for an execution that was booked before, or stands in the same stage twice."""
        if (
            key in beside
            or key in account.views.fills
            or (
                not self.absent.take((account.number, *key))
                and self._connection.execute(HAS_FILL, (account.number, *key)).fetchone() is not None
            )
        ):
            raise AlreadyJournalled(f"account {account.account_id!r} has booked execution {key!r}")
        beside.add(key)

    def schedule(self) -> None:
        """Has what is staged committed once the loop has nothing more to stage."""
        self._stages += 1
        if self._scheduled:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # no loop runs: whoever staged it flushes, or awaits `commit` later
        self._loop = loop
        self._scheduled = True
        self._first = self._stages
        self._quiet_turns = 0
        loop.call_soon(self._turn, loop, self._stages)

    def _turn(self, loop: asyncio.AbstractEventLoop, stages: int) -> None:
        """One turn of the loop went by. gRPC hands over about one call a turn, so that a commit at the end of each
        would be of one order, however many are under way: the commit waits until several turns brought nothing new,
        or until enough is together."""
        if not (self._group or self._last_words):
            self._scheduled = False
            return  # it was committed at once
        if self._stages != stages:
            self._quiet_turns = 0
        else:
            self._quiet_turns += 1
        if self._quiet_turns < QUIET_TURNS and self._stages - self._first < MAX_GROUP:
            loop.call_soon(self._turn, loop, self._stages)
            return
        self._scheduled = False
        if self._checkpointer is not None and self._checkpointer.busy:
            return  # `_resume` comes
        try:
            self.flush()
        except JournalError:
            return  # those who wait have been told, and every later call is

    def _resume(self) -> None:
        """Called in the checkpointer's thread when commits may go on."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            with suppress(RuntimeError):  # it was closed since
                loop.call_soon_threadsafe(self.schedule)

    def close(self) -> None:
        """Commits and writes everything, and ends the checkpoints. Raises the error of a commit that failed."""
        try:
            self.settle()
        finally:
            if self._checkpointer is not None:
                self._checkpointer.close()

    async def commit(self) -> None:
        """As `Journal.commit`."""
        self.check()
        if not (self._group or self._last_words):
            return
        # A future a waiter: one that is cancelled takes no other with it.
        waiter = asyncio.get_running_loop().create_future()
        self._group.waiters.append(waiter)
        self.schedule()
        await waiter

    async def commit_now(self) -> None:
        """As `Journal.commit_now`."""
        if self._checkpointer is not None and self._checkpointer.busy:
            await self.commit()
        elif self._group or self._last_words:
            self.flush()
        else:
            self.check()

    def flush(self) -> None:
        """As `Journal.flush`."""
        self.check()
        if self._last_words:
            last_words, self._last_words = self._last_words, []
            for last_word in last_words:
                last_word()
        group, self._group = self._group, Group()
        if not group:
            # The last words had nothing to say: there is nothing to wait for.
            group.succeed()
            return
        self._transact(group, self._due())
        accounts = frozenset(account.account_id for account in group.events)
        for account, events in group.events.items():
            account.head = events[-1].sequence
            account.ring.extend(events)
        group.succeed()
        if accounts:
            for listener in tuple(self._listeners):
                listener(accounts)

    def before_commit(self, last_word: Callable[[], None]) -> None:
        """As `Journal.before_commit`."""
        self._last_words.append(last_word)
        self.schedule()

    def settle(self) -> None:
        """Commits what is staged and writes the views, so that SQL sees all of them."""
        self.flush()
        if self._dirty:
            self._transact(Group(), tuple(self._dirty))

    def _due(self) -> tuple[Account, ...]:
        """The accounts whose views this commit shall write."""
        waiting = sum([account.staged - account.indexed for account in self._dirty])
        return tuple(self._dirty) if waiting >= UNINDEXED_EVENTS else ()

    def _transact(self, group: Group, written: tuple[Account, ...]) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            group.write(connection)
            for account in written:
                account.views.write(connection, account.staged)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            failure = JournalError(
                f"the journal could not be written: {error}; free the disk and start again"
            )
            failure.__cause__ = error
            self._failure = failure
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            group.fail(failure)
            raise failure from error
        if self._checkpointer is not None:
            self._checkpointer.wrote(group.size + len(written) * VIEWS_BYTES)
        for account in written:
            account.views.written()
            account.indexed = account.staged
        if written:
            self._dirty.clear()

    def listen(self, listener: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """As `Journal.on_commit`."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop
