"""The journal port over SQLite: opening and closing, and what is read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from brokergate.codec.restore import restore_order
from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.control import AuditRecord, Discrepancy
from brokergate.domain.events import EventKind, EventPayload
from brokergate.journal.sqlite import queries
from brokergate.journal.sqlite.account import Account, load_account, multiplier_of
from brokergate.journal.sqlite.ids import number_of
from brokergate.journal.sqlite.schema import SEQUENCE_MASK, connect, prepare, read_meta, write_meta
from brokergate.journal.sqlite.writer import COMMON_KINDS, Writer
from brokergate.ports.broker import VenueHistory
from brokergate.ports.journal import (
    AuditFilter,
    FillFilter,
    Journal,
    JournalError,
    OrderFilter,
    Record,
    StoredAnswer,
    StoredEvent,
    StoredOrder,
)
from brokergate.v1 import event_pb2, order_pb2

Row = tuple[Any, ...]

UNKNOWN_BOOT = "unknown"
"""A machine that does not say when it was started: every unclean end may have been a loss of power."""

_KINDS = {int(kind): kind for kind in EventKind}
"""By number: calling the enum costs ten times as much."""

_FILLS = frozenset({EventKind.FILL, EventKind.FILL_FEES})


class SqliteJournal(Journal):
    """A journal in one SQLite file, one process at a time (`DataDirectoryLock`)."""

    def __init__(self, path: Path | str, draw: Callable[[int], int], boot_id: str = UNKNOWN_BOOT) -> None:
        """Opens `path`, or makes it.

        `draw(bits)` gives random bits (`secrets.randbits`, or `Random(seed).getrandbits` where a run shall be
        repeatable); `boot_id` tells this run of the machine from others (`/proc/sys/kernel/random/boot_id`). The
        epoch rises unless the last run closed the journal or ended under the same boot id: what was committed
        survives the death of the process, and not for certain that of the machine.
        Raises `JournalError` for a file of a newer release, or one that cannot be read.
        """
        self.path = str(path)
        try:
            self._connection = connect(self.path)
            prepare(self._connection, self.path)
            self._begin(draw, boot_id)
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"journal {self.path!r} cannot be opened: {error}") from error
        self._writer = Writer(self._connection, self.path)
        self._accounts: dict[str, Account] = {}
        self._closed = False

    def _begin(self, draw: Callable[[int], int], boot_id: str) -> None:
        connection = self._connection
        # The mark must be on the disk before anything follows it: a file that says that its tail is clean, and has
        # lost it with the power, would break the promise of the epoch (law 6).
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        journal_id = read_meta(connection, "journal_id")
        if journal_id is None:
            journal_id = f"{draw(32):08x}"
            write_meta(connection, "journal_id", journal_id)
        epoch = int(read_meta(connection, "epoch") or 0)
        proven = read_meta(connection, "clean") == "yes" or (
            boot_id != UNKNOWN_BOOT and read_meta(connection, "boot_id") == boot_id
        )
        self.journal_id = journal_id
        self.epoch = epoch if proven else epoch + 1
        write_meta(connection, "epoch", str(self.epoch))
        write_meta(connection, "clean", "no")
        write_meta(connection, "boot_id", boot_id)
        connection.execute("COMMIT")
        connection.execute("PRAGMA synchronous = NORMAL")

    def open_account(self, account_id: str, *, durable: bool = False) -> None:
        if account_id in self._accounts:
            return
        self._writer.check()
        connection = self._connection
        connection.execute("INSERT OR IGNORE INTO accounts (account_id) VALUES (?)", (account_id,))
        number, indexed = connection.execute(
            "SELECT number, indexed FROM accounts WHERE account_id = ?", (account_id,)
        ).fetchone()
        account = Account(
            number,
            account_id,
            f"{account_id}-{self.epoch}-e",
            f"1.{self.journal_id}.{self.epoch}.{account_id}:",
        )
        account.indexed = indexed
        load_account(connection, account)
        self._accounts[account_id] = account
        self._writer.adopt(account)

    def next_order_id(self, account_id: str) -> str:
        account = self._accounts[account_id]
        account.orders_drawn += 1
        return f"{account_id}-{self.epoch}-o{account.orders_drawn}"

    def next_fill_id(self, account_id: str) -> str:
        account = self._accounts[account_id]
        account.fills_drawn += 1
        return f"{account_id}-{self.epoch}-f{account.fills_drawn}"

    def stage(
        self, account_id: str, time_ns: int, payloads: Sequence[EventPayload], records: Sequence[Record] = ()
    ) -> None:
        self._writer.stage(self._accounts[account_id], time_ns, payloads, records)

    async def commit(self) -> None:
        await self._writer.commit()

    async def commit_now(self) -> None:
        await self._writer.commit_now()

    def flush(self) -> None:
        self._writer.flush()

    def before_commit(self, last_word: Callable[[], None]) -> None:
        self._writer.before_commit(last_word)

    def on_commit(self, listener: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        return self._writer.listen(listener)

    def put_setting(self, key: str, value: str) -> None:
        self._writer.put_setting(key, value)

    # What streams follow

    def head(self, account_id: str) -> int:
        return self._accounts[account_id].head

    def earliest(self, account_id: str) -> int:
        account = self._accounts[account_id]
        row = self._row(queries.FIRST_EVENT, (account.base, account.base | account.head))
        return row[0] & SEQUENCE_MASK if row else account.head + 1

    def read(
        self, account_id: str, after: int, limit: int, kinds: frozenset[EventKind] = frozenset()
    ) -> Sequence[StoredEvent]:
        account = self._accounts[account_id]
        if after >= account.head:
            return ()
        found = account.ring.after(after, account.head - after if kinds else limit)
        if found is not None:
            return [event for event in found if event.kind in kinds][:limit] if kinds else found
        return [
            StoredEvent(position & SEQUENCE_MASK, _KINDS[kind], symbol, body)
            for position, kind, symbol, body in self._after(account, after, limit, kinds)
        ]

    def read_bodies(
        self, account_id: str, after: int, limit: int, kinds: frozenset[EventKind] = frozenset()
    ) -> tuple[int, Sequence[bytes]]:
        account = self._accounts[account_id]
        if after >= account.head or account.ring.after(after, 1) is not None:
            events = self.read(account_id, after, limit, kinds)
            return events[-1].sequence if events else after, [event.body for event in events]
        # Half of what a follower of old events costs would be the making of StoredEvents.
        rows = self._after(account, after, limit, kinds)
        return rows[-1][0] & SEQUENCE_MASK if rows else after, [row[3] for row in rows]

    def _after(self, account: Account, after: int, limit: int, kinds: frozenset[EventKind]) -> Sequence[Row]:
        """Rows of position, kind, symbol and body, in order."""
        if not kinds:
            return self._events(account, queries.EVENTS_AFTER, after, account.head, limit)
        if kinds <= _FILLS:
            return self._fill_events(account, after, limit, kinds)
        if not kinds & COMMON_KINDS:
            return self._rare_events(account, after, limit, kinds)
        return self._events_of_kinds(account, after, account.head, limit, kinds)

    def _events(self, account: Account, query: str, after: int, through: int, limit: int) -> list[Row]:
        return self._rows(query, (account.base | after, account.base | through, limit))

    def _events_of_kinds(
        self, account: Account, after: int, through: int, limit: int, kinds: frozenset[EventKind]
    ) -> list[Row]:
        wanted = json.dumps(sorted(kinds))
        return self._rows(
            queries.EVENTS_AFTER_OF_KINDS, (account.base | after, account.base | through, wanted, limit)
        )

    def _rare_events(
        self, account: Account, after: int, limit: int, kinds: frozenset[EventKind]
    ) -> list[Row]:
        bounds = (account.base | after, account.base | account.head, limit)
        found = [
            row
            for kind in kinds
            for row in self._rows(queries.EVENTS_AFTER_OF_RARE_KIND, (int(kind), *bounds))
        ]
        return sorted(found)[:limit]

    def _fill_events(
        self, account: Account, after: int, limit: int, kinds: frozenset[EventKind]
    ) -> list[Row]:
        """Fills by their own table, which ends where the views are written; after that, few events are left."""
        indexed = min(account.indexed, account.head)
        found: list[Row] = []
        if EventKind.FILL in kinds and after < indexed:
            found = self._events(account, queries.FILL_EVENTS_AFTER, after, indexed, limit)
        if EventKind.FILL_FEES in kinds and after < indexed:
            bounds = (account.base | after, account.base | indexed, limit)
            fees = self._rows(queries.EVENTS_AFTER_OF_RARE_KIND, (int(EventKind.FILL_FEES), *bounds))
            if fees:
                found = sorted([*found, *fees])
        if len(found) < limit:
            rest = limit - len(found)
            found += self._events_of_kinds(account, max(after, indexed), account.head, rest, kinds)
        return found[:limit]

    def sequence_at(self, account_id: str, time_ns: int) -> int:
        account = self._accounts[account_id]
        low, high = self.earliest(account_id) - 1, account.head
        # Everything up to `low` is before the time, everything above `high` is not. Stored times never go back.
        while low < high:
            middle = (low + high + 1) // 2
            row = self._row(queries.EVENT_TIME, (account.base | middle,))
            if row is not None and row[0] < time_ns:
                low = middle
            else:
                high = middle - 1
        return low

    # Orders

    def find_order(self, account_id: str, client_order_id: str) -> StoredOrder | None:
        account = self._accounts[account_id]
        if client_order_id in account.views.by_client:
            self._writer.flush()
            number = account.views.by_client.get(client_order_id)
            if number is not None:
                return self._unwritten(account, number)
        row = self._row(queries.ORDER_BY_CLIENT, (account.number, client_order_id))
        if row is None:
            self._writer.absent.add((account.number, client_order_id))
            return None
        return self._order(row)

    def find_orders(self, account_id: str, client_order_ids: Sequence[str]) -> dict[str, StoredOrder]:
        if len(client_order_ids) == 1:
            (name,) = client_order_ids
            one = self.find_order(account_id, name)
            return {} if one is None else {name: one}
        account = self._accounts[account_id]
        if any(name in account.views.by_client for name in client_order_ids):
            self._writer.flush()
        found: dict[str, StoredOrder] = {}
        rest: list[str] = []
        for name in client_order_ids:
            number = account.views.by_client.get(name)
            if number is None:
                rest.append(name)
            else:
                found[name] = self._unwritten(account, number)
        for row in self._rows(queries.ORDERS_BY_CLIENT, (json.dumps(rest), account.number)) if rest else ():
            stored = self._order(row)
            found[stored.order.client_order_id] = stored
        for name in rest:
            if name not in found:
                self._writer.absent.add((account.number, name))
        return found

    def get_order(self, account_id: str, order_id: str) -> StoredOrder | None:
        account = self._accounts[account_id]
        try:
            number = number_of(order_id)
        except ValueError:
            return None
        if not 0 < number <= account.views.last_order:
            return None
        stored = self._by_number(account, number)
        return stored if stored is not None and stored.order.order_id == order_id else None

    def find_broker_order(self, account_id: str, broker_order_id: str) -> StoredOrder | None:
        account = self._accounts[account_id]
        number = account.views.by_broker.get(broker_order_id)
        if number is not None:
            stored = self._by_number(account, number)
        else:
            row = self._row(queries.ORDER_BY_BROKER, (account.number, broker_order_id))
            # Its row may be behind: a replace that is not written yet has given it another id.
            stored = self._by_number(account, row[0] & SEQUENCE_MASK) if row else None
        return stored if stored is not None and stored.order.broker_order_id == broker_order_id else None

    def _by_number(self, account: Account, number: int) -> StoredOrder | None:
        if number in account.views.orders:
            self._writer.flush()
            if number in account.views.orders:
                return self._unwritten(account, number)
        row = self._row(queries.ORDER_BY_NUMBER, (account.base | number,))
        return self._order(row) if row else None

    def _unwritten(self, account: Account, number: int) -> StoredOrder:
        """An order whose row is still to be written."""
        row = account.views.orders[number]
        if row.fingerprint is None:
            stored = self._row(queries.ORDER_BY_NUMBER, (account.base | number,))
            row.fingerprint = (stored[2] if stored else None) or b""
        return StoredOrder(row.order, row.fingerprint, number)

    def _order(self, row: Row) -> StoredOrder:
        position, multiplier, fingerprint, body = row
        order = restore_order(order_pb2.Order.FromString(body), multiplier_of(multiplier))
        return StoredOrder(order, fingerprint or b"", position & SEQUENCE_MASK)

    def is_tombstoned(self, account_id: str, client_order_id: str) -> bool:
        number = self._accounts[account_id].number
        if number not in self._writer.tombstoned:
            return False
        key = (number, client_order_id)
        if key in self._writer.pending_tombstones:
            self._writer.flush()
        return self._row(queries.IS_TOMBSTONED, key) is not None

    def open_orders(self, account_id: str) -> Sequence[StoredOrder]:
        self._writer.settle()
        account = self._accounts[account_id]
        return [self._order(row) for row in self._rows(queries.OPEN_ORDERS, (account.number,))]

    def list_orders(
        self, account_id: str, which: OrderFilter, before: int | None, limit: int
    ) -> Sequence[StoredOrder]:
        self._writer.settle()
        account = self._accounts[account_id]
        low, high = 0, SEQUENCE_MASK if before is None else before
        if which.start_time_ns is not None:
            low = self._order_at(account, which.start_time_ns)
        if which.end_time_ns is not None:
            high = min(high, self._order_at(account, which.end_time_ns))
        states = json.dumps(sorted(which.states))
        bounds = (account.base | low, account.base | high, states, states, limit)
        if which.open_only:
            rows = self._rows(queries.LIST_OPEN_ORDERS, (account.number, which.symbol, which.symbol, *bounds))
        elif which.symbol:
            rows = self._rows(queries.LIST_ORDERS_OF_SYMBOL, (account.number, which.symbol, *bounds))
        else:
            rows = self._rows(queries.LIST_ORDERS, bounds)
        return [self._order(row) for row in rows]

    def _order_at(self, account: Account, time_ns: int) -> int:
        """The number of the first order that was created at or after a time; one past the last if there is none."""
        low, high = 1, account.views.last_order + 1
        while low < high:
            middle = (low + high) // 2
            row = self._row(queries.ORDER_AT_OR_ABOVE, (account.base | middle, account.base | (high - 1)))
            if row is None:
                high = middle
            elif row[1] < time_ns:
                low = (row[0] & SEQUENCE_MASK) + 1
            else:
                high = middle
        return low

    # Fills, money, answers

    def has_fill(self, account_id: str, key: tuple[str, str, str]) -> bool:
        account = self._accounts[account_id]
        if key in account.views.fills:
            return True
        if self._row(queries.HAS_FILL, (account.number, *key)) is not None:
            return True
        self._writer.absent.add((account.number, *key))
        return False

    def list_fills(
        self, account_id: str, which: FillFilter, before: int | None, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        self._writer.settle()
        account = self._accounts[account_id]
        low, high = 0, SEQUENCE_MASK if before is None else before
        if which.start_time_ns is not None:
            low = self.sequence_at(account_id, which.start_time_ns) + 1
        if which.end_time_ns is not None:
            high = min(high, self.sequence_at(account_id, which.end_time_ns) + 1)
        bounds = (account.base | low, account.base | high, limit)
        if which.order_id:
            stored = self.get_order(account_id, which.order_id)
            if stored is None:
                return ()
            order = (account.base | stored.number, which.symbol, which.symbol)
            rows = self._rows(queries.LIST_FILLS_OF_ORDER, (*order, *bounds))
        elif which.symbol:
            rows = self._rows(queries.LIST_FILLS_OF_SYMBOL, (account.number, which.symbol, *bounds))
        else:
            rows = self._rows(queries.LIST_FILLS, bounds)
        return [
            (position & SEQUENCE_MASK, event_pb2.Event.FromString(body).fill.fill.SerializeToString())
            for position, body in rows
        ]

    def list_ledger_entries(
        self, account_id: str, kinds: frozenset[int], before: int | None, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        self._writer.flush()
        account = self._accounts[account_id]
        below = SEQUENCE_MASK if before is None else before
        found: list[tuple[int, bytes]] = []
        while len(found) < limit:
            rows = self._rows(queries.LEDGER_EVENTS_BEFORE, (account.base | below, account.base, limit))
            for position, body in rows:
                entry = event_pb2.Event.FromString(body).ledger_entry.entry
                if not kinds or entry.kind in kinds:
                    found.append((position & SEQUENCE_MASK, entry.SerializeToString()))
            if len(rows) < limit:
                break
            below = rows[-1][0] & SEQUENCE_MASK
        return found[:limit]

    def positions(self, account_id: str) -> Sequence[BrokerPosition]:
        self._writer.flush()
        positions = self._accounts[account_id].views.positions
        return [positions[symbol] for symbol in sorted(positions)]

    def balances(self, account_id: str) -> Sequence[BrokerBalance]:
        self._writer.flush()
        balances = self._accounts[account_id].views.balances
        return [balances[currency] for currency in sorted(balances)]

    def counts(self, account_id: str) -> tuple[int, int]:
        views = self._accounts[account_id].views
        return views.last_order, views.last_fill

    def find_answer(self, account_id: str, request_id: str) -> StoredAnswer | None:
        number = self._accounts[account_id].number
        if (number, request_id) in self._writer.pending_answers:
            self._writer.flush()
        row = self._row(queries.FIND_ANSWER, (number, request_id))
        if row is None:
            self._writer.absent.add((number, "request", request_id))
            return None
        return StoredAnswer(*row)

    @property
    def failed(self) -> JournalError | None:
        raise NotImplementedError

    def reopen(self) -> None:
        raise NotImplementedError

    def on_failure(self, listener: Callable[[JournalError], None]) -> Callable[[], None]:
        return lambda: None

    def account_setting(self, account_id: str, key: str) -> str | None:
        return self.settings(f"account/{account_id}/{key}").get(f"account/{account_id}/{key}") or None

    def venue_history(self, account_id: str) -> VenueHistory | None:
        return None

    def discrepancies(
        self, account_id: str, include_resolved: bool, before: int | None, limit: int
    ) -> Sequence[tuple[int, Discrepancy]]:
        return ()

    def next_discrepancy_id(self, account_id: str) -> str:
        raise NotImplementedError

    def audit(
        self, account_id: str, which: AuditFilter, before: int | None, limit: int
    ) -> Sequence[AuditRecord]:
        return ()

    def settings(self, prefix: str) -> dict[str, str]:
        self._writer.flush()
        return dict(self._rows(queries.SETTINGS, (prefix, prefix + "\U0010ffff")))

    def _row(self, query: str, parameters: Sequence[object]) -> Row | None:
        self._writer.check()
        try:
            row: Row | None = self._connection.execute(query, parameters).fetchone()
            return row
        except sqlite3.Error as error:
            raise JournalError(f"journal {self.path!r} cannot be read: {error}") from error

    def _rows(self, query: str, parameters: Sequence[object]) -> list[Row]:
        self._writer.check()
        try:
            return self._connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise JournalError(f"journal {self.path!r} cannot be read: {error}") from error

    def close(self) -> None:
        """As the port says, once. After a failed write it raises and the tail is not marked: the next opening decides
        by itself."""
        if self._closed:
            return
        self._closed = True
        connection = self._connection
        try:
            self._writer.close()
        except JournalError:
            connection.close()
            raise
        # On the disk, and after everything that it speaks for.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        write_meta(connection, "clean", "yes")
        connection.execute("COMMIT")
        connection.close()
