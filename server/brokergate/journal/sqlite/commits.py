"""Committing what was staged, waiting for the disk where an account asks for it, and publishing.

One writer, in the event loop's own thread. SQLite lets go of the interpreter's lock at every statement, and a thread
that takes turns with the loop loses more to the handing over than the statements cost: a commit of one order takes
some 30 µs here, and a hop to a thread and back as much again. Commits are few instead: everything that is staged
while the loop goes through its ready callbacks shares one.

What an account publishes is its head, its newest events, and the word to those who listen. An account that is not
durable publishes in the commit. A durable one publishes when a sync that began after the commit has succeeded: the
groups in between are kept in their order, and one sync serves all that were committed before it began.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress

from brokergate.journal.sqlite.account import Account
from brokergate.journal.sqlite.checkpoint import Checkpointer
from brokergate.journal.sqlite.group import Group, release
from brokergate.journal.sqlite.heads import Heads
from brokergate.journal.sqlite.retention import CHUNK_EVENTS, Trimmer
from brokergate.journal.sqlite.store import Store
from brokergate.journal.sqlite.sync import Syncer
from brokergate.ports.journal import CommitUnknown, JournalError

QUIET_TURNS = 8
"""Turns of the loop without anything staged after which a group is committed: some 10 µs, in which those that come
together find each other. Who has gathered before does not wait (`commit_now`).
"""

MAX_GROUP = 64
"""Stages after which a group is committed, quiet or not."""

UNINDEXED_EVENTS = 1024
"""Events whose views may wait in memory. The commit that passes it writes them, in a few milliseconds; a start after
a crash reads so many again."""

VIEWS_BYTES = 512 * 1024
"""About what writing an account's views, or taking old events away, adds to the log."""

Listener = Callable[[frozenset[str]], None]


class Commits:
    """Everything between staging and publication, over one opening of the file."""

    def __init__(
        self,
        store: Store,
        accounts: Mapping[str, Account],
        syncer: Syncer,
        listeners: list[Listener],
        heads: Heads | None,
        trimmer: Trimmer,
    ) -> None:
        """`heads` is None where the journal is no file."""
        self._store = store
        self._accounts = accounts
        self._syncer = syncer
        self._listeners = listeners
        self._heads = heads
        self._trimmer = trimmer
        self._checkpointer: Checkpointer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.group = Group()
        """What is staged."""
        self._unsynced: list[Group] = []
        """Committed and not yet on the disk, with something of a durable account, in order."""
        self._unsynced_before = 0
        """How many groups have ever left `_unsynced`."""
        self._syncing: asyncio.AbstractEventLoop | None = None
        """The loop that is told when the sync that is under way ends."""
        self._closed = False
        self._scheduled = False
        self._stages = self._first = 0
        self._quiet_turns = 0
        self._last_words: list[Callable[[], None]] = []
        self.dirty: dict[Account, None] = {}
        """The accounts whose views are behind their events."""
        store.abandon = self._abandon

    def checkpoint(self, path: str) -> None:
        """Has the log of the file at `path` checkpointed from now on."""
        self._checkpointer = Checkpointer(path, self._resume, self._checkpoint_failed)

    # When to commit

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
        if self._closed or not (self.group or self._last_words or self._trimmer.due):
            self._scheduled = False
            return  # it was committed at once, or the journal was opened again since
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
        # Those who wait are told of a failure, and so is every later call.
        with suppress(JournalError):
            self.commit_group()

    def _resume(self) -> None:
        """Called in the checkpointer's thread when commits may go on."""
        self._soon(self.schedule)

    def _checkpoint_failed(self, error: sqlite3.Error) -> None:
        """Called in the checkpointer's thread. A loop that no longer runs finds the error at the next commit."""
        self._soon(lambda: None if self._closed else self._fail("could not be checkpointed", error))

    def _soon(self, call: Callable[[], object]) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            with suppress(RuntimeError):  # it was closed since
                loop.call_soon_threadsafe(call)

    def before_commit(self, last_word: Callable[[], None]) -> None:
        """As `Journal.before_commit`."""
        self._last_words.append(last_word)
        self.schedule()

    async def commit(self, account_id: str | None = None) -> None:
        """As `Journal.commit`."""
        self._check_unknown()
        at_once = account_id is not None and not self._accounts[account_id].durable
        if self.group or self._last_words:
            group = self.group
            self.schedule()
        elif self._unsynced and not at_once:
            group = self._unsynced[-1]
            self._sync_soon()
        else:
            return
        # A future a waiter: one that is cancelled takes no other with it.
        waiter = asyncio.get_running_loop().create_future()
        (group.process_waiters if at_once else group.waiters).append(waiter)
        await waiter

    async def commit_now(self, account_id: str | None = None) -> None:
        """As `Journal.commit_now`."""
        self._check_unknown()
        if self._checkpointer is None or not self._checkpointer.busy:
            self.commit_group()
            if not self._unsynced:
                return
        await self.commit(account_id)

    def _check_unknown(self) -> None:
        """Whoever waits for a commit has staged something. Where the journal has failed since, nobody knows whether
        that is in the file."""
        if self._store.failed is not None:
            raise CommitUnknown(str(self._store.failed))

    def flush(self) -> None:
        """As `Journal.flush`: what is shown next is on the disk."""
        self._commit_staged()
        self._sync_now()

    def settle(self) -> None:
        """Commits what is staged and writes the views, so that SQL sees all of them."""
        self.flush()
        if self.dirty:
            self._transact(Group(), tuple(self.dirty), trim=False)

    # Committing

    def commit_group(self) -> None:
        """Commits what is staged, publishes what need not be on the disk, and has the rest synced."""
        self._commit_staged()
        if self._unsynced:
            self._sync_soon()

    def _commit_staged(self) -> None:
        self._store.check()
        if self._last_words:
            last_words, self._last_words = self._last_words, []
            for last_word in last_words:
                last_word()
        group, self.group = self.group, Group()
        if group or self._trimmer.due:
            self._transact(group, self._due(), trim=self._trimmer.due)
            if group.durable:
                self._unsynced.append(group)
        self._publish([account for account in group.events if not account.durable], [group])
        release(group.process_waiters)
        if group.waiters:
            # Whoever waits for everything waits for what was committed before, too.
            if self._unsynced:
                if self._unsynced[-1] is not group:
                    self._unsynced[-1].waiters.extend(group.waiters)
            else:
                release(group.waiters)
        if self._trimmer.due:
            self.schedule()

    def _due(self) -> tuple[Account, ...]:
        """The accounts whose views this commit shall write."""
        waiting = sum([account.staged - account.indexed for account in self.dirty])
        return tuple(self.dirty) if waiting >= UNINDEXED_EVENTS else ()

    def _transact(self, group: Group, written: tuple[Account, ...], *, trim: bool) -> None:
        checkpointer = self._checkpointer
        if checkpointer is not None and checkpointer.error is not None:
            raise self._fail("could not be checkpointed", checkpointer.error, group)
        connection = self._store.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            group.write(connection)
            for account in written:
                account.views.write(connection, account.staged)
            if trim:
                self._trimmer.trim(CHUNK_EVENTS + 2 * len(group.rows))
            connection.execute("COMMIT")
        except Exception as error:
            raise self._fail("could not be written", error, group) from error
        if checkpointer is not None:
            checkpointer.wrote(group.size + (len(written) + trim) * VIEWS_BYTES)
        for account in written:
            account.views.written()
            account.indexed = account.staged
        if written:
            self.dirty.clear()
            self._trimmer.look()
        if trim:
            self._trimmer.committed()

    # Syncing and publishing

    def _sync_soon(self) -> None:
        """Has everything that is committed by now synced; does nothing while a sync is under way, which asks again."""
        if self._syncer.at_once:
            self._sync_now()
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # whoever wants to see it flushes
        if self._syncing is loop:
            return  # a sync of a loop that has ended since tells nobody
        self._loop = self._syncing = loop
        through = self._unsynced_before + len(self._unsynced)
        self._syncer.request(lambda error: self._soon(lambda: self._synced(through, error)))

    def _synced(self, through: int, error: OSError | None) -> None:
        """The sync of all groups up to the number `through` has ended."""
        self._syncing = None
        if self._closed or self._store.failed is not None:
            return
        if error is not None:
            self._fail("could not be synced", error)
            return
        with suppress(JournalError):
            self._publish_synced(through - self._unsynced_before)
        if self._unsynced:
            self._sync_soon()

    def _sync_now(self) -> None:
        if not self._unsynced:
            return
        try:
            self._syncer.sync()
        except OSError as error:
            raise self._fail("could not be synced", error) from error
        self._publish_synced(len(self._unsynced))

    def _publish_synced(self, count: int) -> None:
        """The oldest `count` groups are on the disk; none of them where a flush was faster."""
        if count <= 0:
            return
        groups = self._unsynced[:count]
        del self._unsynced[:count]
        self._unsynced_before += count
        accounts = dict.fromkeys([account for group in groups for account in group.events if account.durable])
        self._publish(list(accounts), groups)
        for group in groups:
            release(group.waiters)

    def _publish(self, accounts: list[Account], groups: list[Group]) -> None:
        if not accounts:
            return
        for account in accounts:
            for group in groups:
                events = group.events.get(account)
                if events:
                    account.ring.extend(events)
                    account.head = events[-1].sequence
        if self._heads is not None:
            try:
                for account in accounts:
                    self._heads.publish(account.number, account.head)
            except OSError as error:
                raise self._fail("could not be marked as published", error, *groups) from error
        told = frozenset([account.account_id for account in accounts])
        for listener in tuple(self._listeners):
            listener(told)

    def _fail(self, problem: str, cause: BaseException, *groups: Group) -> CommitUnknown:
        """Closes the journal, and tells everyone who waits for anything, of `groups` too."""
        failure = self._store.fail(problem, cause)
        for group in groups:
            group.fail(failure)
        return failure

    def _abandon(self, failure: CommitUnknown) -> None:
        """The journal was closed, by a read maybe: nothing that anyone waits for comes."""
        for group in (self.group, *self._unsynced):
            group.fail(failure)
        self._unsynced.clear()

    def close(self) -> None:
        """Ends the threads; what is staged is not written."""
        self._closed = True
        if self._checkpointer is not None:
            self._checkpointer.close()
        self._syncer.close()
        if self._heads is not None:
            self._heads.close()
