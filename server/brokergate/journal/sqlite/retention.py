"""How long events are kept for streams, and how those go that are not.

The oldest go first, some hundred in a commit, so that nobody waits for a long one; what they leave is used again. Only
what streams follow goes. Kept for ever are the rows of orders, ids and answers (with the audit), and the events of
fills, their fees and the ledger, which lists show; an account's last event too, for its time. What stands in no view
yet stays: an order's state is never in its events alone when they go, and recovery needs none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from brokergate.domain.events import EventKind
from brokergate.journal.sqlite import queries
from brokergate.journal.sqlite.account import Account
from brokergate.journal.sqlite.schema import SEQUENCE_BITS, SEQUENCE_MASK
from brokergate.journal.sqlite.store import Store

CHUNK_EVENTS = 256
"""Events that go in one commit, and twice as many as it brings: some half a millisecond."""

VACUUM_PAGES = 64
"""Pages that are cut off the file's end in one commit where the file is too long."""

BYTES_AN_EVENT_KEPT = 2048
"""Of the limit of the size, for each of the newest events that stay however long the file is: some eighth of it. What
is kept for ever grows past any limit in the end, and streams are to be followed even then."""

_RARE = (EventKind.CONNECTION, EventKind.GAP, EventKind.DISCREPANCY, EventKind.CONTROL)
_INCREMENTAL = 2


@dataclass(frozen=True, slots=True)
class Retention:
    """What streams can still begin at; None is no limit. `max_age_ns` is counted from the newest event's time;
    `max_bytes` is the size of the file, without its log."""

    max_age_ns: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _Shelf:
    """An account's events that may go: from `first`, journalled at `time_ns`, to `last`; `head` is its newest."""

    number: int
    first: int
    last: int
    head: int
    time_ns: int


class Trimmer:
    """Takes the oldest events away, over one opening of the file."""

    def __init__(self, store: Store, accounts: Mapping[str, Account], retention: Retention) -> None:
        self._store = store
        self._accounts = accounts
        self._retention = retention
        self.due = retention != Retention()
        """Whether there may be something to take away."""
        self._trimmed: tuple[int, int] | None = None

    def look(self) -> None:
        """The views were written: there may be something to take away."""
        self.due = self._retention != Retention()

    def trim(self, most: int) -> None:
        """Takes up to `most` of the oldest events away, within the caller's transaction."""
        shelves = sorted(self._shelves(), key=lambda shelf: shelf.time_ns)
        kept = self._kept_of_each(len(shelves)) if shelves and self._is_too_long() else None
        chosen = None
        for shelf in shelves:
            count = 0
            if kept is not None:
                count = min(most, shelf.last - shelf.first + 1, shelf.head - kept - shelf.first + 1)
            if count <= 0 and self._retention.max_age_ns is not None:
                count = self._aged(shelf, most, self._newest_ns() - self._retention.max_age_ns)
            if count > 0:
                chosen = shelf, count
                break
        if chosen is not None:
            self._delete(*chosen)
            self.due = True
        else:
            self.due = self._shrink()

    def committed(self) -> None:
        """What `trim` did is committed."""
        if self._trimmed is not None:
            number, first = self._trimmed
            self._trimmed = None
            for account in self._accounts.values():
                if account.number == number:
                    account.first = first

    def _newest_ns(self) -> int:
        return max((account.time_ns for account in self._accounts.values()), default=0)

    def _kept_of_each(self, accounts: int) -> int:
        """How many of the newest events of an account stay in a file that is too long."""
        return (self._retention.max_bytes or 0) // BYTES_AN_EVENT_KEPT // accounts

    def _shelves(self) -> Iterable[_Shelf]:
        opened = {account.number: account for account in self._accounts.values()}
        # Accounts that no configuration names any more have events, too.
        for number, first, indexed in self._store.rows("SELECT number, first, indexed FROM accounts", ()):
            base = number << SEQUENCE_BITS
            account = opened.get(number)
            if account is not None:
                head = account.head
            else:
                row = self._store.row(queries.LAST_EVENT, (base, base | SEQUENCE_MASK))
                head = row[0] & SEQUENCE_MASK if row else 0
            last = min(indexed, head - 1)
            row = (
                self._store.row(queries.EVENT_TIME_FROM, (base | first, base | last))
                if first <= last
                else None
            )
            if row is not None:
                yield _Shelf(number, first, last, head, row[1])

    def _aged(self, shelf: _Shelf, most: int, before_ns: int) -> int:
        """How many of the shelf's first events are older."""
        if shelf.time_ns >= before_ns:
            return 0
        base = shelf.number << SEQUENCE_BITS
        last = min(shelf.last, shelf.first + most - 1)
        row = self._store.row(queries.EVENT_AT_OR_AFTER, (base | shelf.first, base | last, before_ns))
        return last - shelf.first + 1 if row is None else (row[0] & SEQUENCE_MASK) - shelf.first

    def _pages(self) -> tuple[int, int, int]:
        """The file's pages, those of them that are free, and their size."""
        row = self._store.row(
            "SELECT page_count, freelist_count, page_size "
            "FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
            (),
        )
        assert row is not None
        return row[0], row[1], row[2]

    def _is_too_long(self) -> bool:
        limit = self._retention.max_bytes
        if limit is None:
            return False
        pages, free, size = self._pages()
        # A sixteenth below: between two looks the file grows.
        return (pages - free) * size > limit - limit // 16

    def _delete(self, shelf: _Shelf, count: int) -> None:
        base, end = shelf.number << SEQUENCE_BITS, shelf.first + count
        bounds = (base | shelf.first, base | end - 1)
        connection = self._store.connection
        connection.execute(queries.DELETE_UNLISTED_EVENTS, bounds)
        for kind in _RARE:
            connection.execute(queries.DELETE_RARE_EVENTS, (int(kind), *bounds))
        connection.execute("UPDATE accounts SET first = ? WHERE number = ?", (end, shelf.number))
        self._trimmed = shelf.number, end

    def _shrink(self) -> bool:
        """Cuts the file's end off where it is longer than it may be and has pages that are free. Whether there is
        more of that."""
        limit = self._retention.max_bytes
        if limit is None:
            return False
        pages, free, size = self._pages()
        row = self._store.row("PRAGMA auto_vacuum", ())
        if pages * size <= limit or not free or row is None or row[0] != _INCREMENTAL:
            return False
        self._store.connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
        return True
