"""The journal port over SQLite: opening, failing, opening again, and closing. Its parts are in the modules beside."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from brokergate.domain.events import EventPayload
from brokergate.journal.sqlite import queries
from brokergate.journal.sqlite.account import Account, load_account
from brokergate.journal.sqlite.callers import Callers
from brokergate.journal.sqlite.commits import Commits, Listener
from brokergate.journal.sqlite.events import Events
from brokergate.journal.sqlite.lists import Lists
from brokergate.journal.sqlite.lookups import Lookups
from brokergate.journal.sqlite.opening import UNKNOWN_BOOT, OpenConnection, Opening, open_file
from brokergate.journal.sqlite.retention import Retention, Trimmer
from brokergate.journal.sqlite.schema import IN_MEMORY, connect, write_meta
from brokergate.journal.sqlite.store import Store
from brokergate.journal.sqlite.sync import Syncer, sync_data
from brokergate.journal.sqlite.writer import Writer
from brokergate.ports.journal import JournalError, Record

FOR_EVER = Retention()
"""Nothing goes."""


class SqliteJournal(Events, Lookups, Lists):
    """A journal in one SQLite file, one process at a time (`DataDirectoryLock`)."""

    def __init__(
        self,
        path: Path | str,
        draw: Callable[[int], int],
        boot_id: str = UNKNOWN_BOOT,
        retention: Retention = FOR_EVER,
        *,
        open_connection: OpenConnection = connect,
        sync_file: Callable[[int], None] = sync_data,
    ) -> None:
        """Opens `path`, or makes it.

        `draw(bits)` gives random bits (`secrets.randbits`, or `Random(seed).getrandbits` where a run shall be
        repeatable); `boot_id` tells this run of the machine from others (`/proc/sys/kernel/random/boot_id`). The
        epoch rises unless the last run closed the journal or ended under the same boot id, and everything is there
        that was published: what was committed survives the death of the process, and not for certain that of the
        machine. `retention` says which events streams can still begin at. `open_connection(path)` opens the database
        and `sync_file(fd)` waits for the disk, raising `OSError`; in memory `fd` is -1, and the sync is part of the
        commit.
        Raises `JournalError` for a file of a newer release, one that is damaged, or one that cannot be read or
        written.
        """
        self.path = str(path)
        self._retention = retention
        self._opening = Opening(self.path, draw, boot_id, open_connection, sync_file)
        self._store = Store(self.path)
        self._listeners: list[Listener] = []
        self._accounts: dict[str, Account] = {}
        self._closed = False
        self._open(None)

    def _open(self, published: Mapping[int, int] | None) -> None:
        opened = open_file(self._opening, published)
        self.journal_id, self.epoch = opened.journal_id, opened.epoch
        self._syncer: Syncer = opened.syncer
        self._store.use(opened.connection)
        trimmer = Trimmer(self._store, self._accounts, self._retention)
        self._commits = Commits(
            self._store, self._accounts, opened.syncer, self._listeners, opened.heads, trimmer
        )
        try:
            self._callers = Callers(self._store)
            self._writer = Writer(self._store, self._commits, self._callers)
            for account_id, before in self._accounts.items():
                self._accounts[account_id] = self._load(account_id, before.durable)
                self._accounts[account_id].go_on_from(before)
        except JournalError:
            self._commits.close()
            self._store.close()
            raise
        if self.path != IN_MEMORY:
            self._commits.checkpoint(self.path)
        self._store.trust()

    def open_account(self, account_id: str, *, durable: bool = False) -> None:
        self._store.check()
        if account_id not in self._accounts:
            self._accounts[account_id] = self._load(account_id, durable)

    def _load(self, account_id: str, durable: bool) -> Account:
        store = self._store
        if store.row(queries.FIND_ACCOUNT, (account_id,)) is None:
            store.write("INSERT INTO accounts (account_id) VALUES (?)", (account_id,))
        row = store.row(queries.FIND_ACCOUNT, (account_id,))
        assert row is not None
        number, indexed, first = row
        account = Account(
            number,
            account_id,
            f"{account_id}-{self.epoch}-e",
            f"1.{self.journal_id}.{self.epoch}.{account_id}:",
            durable=durable,
        )
        account.indexed, account.first = indexed, first
        load_account(store, account)
        for actor in self._callers.actors():
            last = store.row(queries.LAST_ANSWER, (number, actor))
            account.commands = max(account.commands, last[0] if last else 0)
        self._writer.adopt(account)
        return account

    @property
    def failed(self) -> JournalError | None:
        return self._store.failed

    def on_failure(self, listener: Callable[[JournalError], None]) -> Callable[[], None]:
        return self._store.listen(listener)

    def reopen(self) -> None:
        failure = self._store.failed
        if failure is None:
            self._store.check()
            return
        published = {account.number: account.head for account in self._accounts.values()}
        self._commits.close()
        self._store.close()
        try:
            self._open(published)
        except JournalError as error:
            self._store.failed = failure
            raise JournalError(str(error)) from error
        # What was committed and not yet published when it failed is there for everyone now.
        told = frozenset(self._accounts)
        for listener in tuple(self._listeners):
            listener(told)

    def next_order_id(self, account_id: str) -> str:
        account = self._accounts[account_id]
        account.orders_drawn += 1
        return f"{account_id}-{self.epoch}-o{account.orders_drawn}"

    def next_fill_id(self, account_id: str) -> str:
        account = self._accounts[account_id]
        account.fills_drawn += 1
        return f"{account_id}-{self.epoch}-f{account.fills_drawn}"

    def next_discrepancy_id(self, account_id: str) -> str:
        account = self._accounts[account_id]
        account.discrepancies_drawn += 1
        return f"{account_id}-{self.epoch}-d{account.discrepancies_drawn}"

    def stage(
        self, account_id: str, time_ns: int, payloads: Sequence[EventPayload], records: Sequence[Record] = ()
    ) -> None:
        self._writer.stage(self._accounts[account_id], time_ns, payloads, records)

    async def commit(self, account_id: str | None = None) -> None:
        await self._commits.commit(account_id)

    async def commit_now(self, account_id: str | None = None) -> None:
        await self._commits.commit_now(account_id)

    def flush(self) -> None:
        self._commits.flush()

    def before_commit(self, last_word: Callable[[], None]) -> None:
        self._commits.before_commit(last_word)

    def on_commit(self, listener: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def put_setting(self, key: str, value: str) -> None:
        self._writer.put_setting(key, value)

    def close(self) -> None:
        """As the port says, once. After a failure it raises and the tail is not marked: the next opening decides by
        itself."""
        if self._closed:
            return
        self._closed = True
        try:
            self._commits.settle()
            self._mark_clean()
        finally:
            self._commits.close()
            self._store.close()

    def _mark_clean(self) -> None:
        """On the disk, and after everything that it speaks for."""
        connection = self._store.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            write_meta(connection, "clean", "yes")
            connection.execute("COMMIT")
            self._syncer.sync()
        except (sqlite3.Error, OSError) as error:
            raise self._store.fail("could not be closed", error) from error
