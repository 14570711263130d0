"""What is committed together: everything that was staged since the last commit."""

from __future__ import annotations

import asyncio
import sqlite3

from brokergate.codec.encode.control import discrepancy_bytes
from brokergate.domain.control import Discrepancy
from brokergate.journal.sqlite.account import Account
from brokergate.journal.sqlite.answers import refusal_text
from brokergate.journal.sqlite.callers import CallerRow
from brokergate.journal.sqlite.venue import VenueRecords
from brokergate.ports.journal import StoredAnswer, StoredEvent

EventRow = tuple[int, int, int, str, bytes | None, str | None, bytes, int | None]

PAGES_BYTES = 2 * 4096
"""What a commit adds to the log whatever it holds: the pages are written whole."""

_INSERT_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class Answered:
    """An answer that is to be written: what was answered, and what the audit keeps of it."""

    __slots__ = ("answer", "caller", "number", "time_ns")

    def __init__(self, answer: StoredAnswer, number: int, time_ns: int, caller: int) -> None:
        self.answer = answer
        self.number = number
        self.time_ns = time_ns
        self.caller = caller


class Group:
    """One transaction in the making."""

    __slots__ = (
        "account_settings",
        "answers",
        "callers",
        "discrepancies",
        "durable",
        "events",
        "process_waiters",
        "rare",
        "routed",
        "rows",
        "settings",
        "size",
        "tombstones",
        "venues",
        "waiters",
    )

    def __init__(self) -> None:
        self.rows: list[EventRow] = []
        self.rare: list[tuple[int, int]] = []
        self.events: dict[Account, list[StoredEvent]] = {}
        self.size = PAGES_BYTES
        """About how many bytes the commit adds to the log."""
        self.answers: dict[tuple[int, str], Answered] = {}
        self.tombstones: dict[tuple[int, str], None] = {}
        self.routed: dict[tuple[str, str], Account] = {}
        """The account that a route chose, by the route's id and the client_order_id."""
        self.settings: dict[str, str] = {}
        self.account_settings: dict[tuple[int, str], str | None] = {}
        self.venues: dict[Account, VenueRecords] = {}
        self.discrepancies: dict[int, Discrepancy] = {}
        self.callers: list[CallerRow] = []
        self.durable = False
        """Whether anything in it belongs to an account whose commits wait for the disk."""
        self.waiters: list[asyncio.Future[None]] = []
        """Who waits for everything."""
        self.process_waiters: list[asyncio.Future[None]] = []
        """Who waits for accounts alone that need not be on the disk."""

    def __bool__(self) -> bool:
        return bool(
            self.rows
            or self.answers
            or self.tombstones
            or self.routed
            or self.settings
            or self.account_settings
            or self.venues
            or self.callers
        )

    def write(self, connection: sqlite3.Connection) -> None:
        """Writes it within the caller's transaction."""
        if len(self.rows) == 1:
            connection.execute(_INSERT_EVENT, self.rows[0])
        elif self.rows:
            connection.executemany(_INSERT_EVENT, self.rows)
        for account, records in self.venues.items():
            account.steps_drawn += 1
            records.write(connection, account.number, account.base, account.base | account.steps_drawn)
        if self.rare:
            connection.executemany("INSERT INTO rare_events VALUES (?, ?)", self.rare)
        if self.callers:
            connection.executemany("INSERT INTO callers VALUES (?, ?, ?, ?, ?)", self.callers)
        if self.routed:
            connection.executemany(
                "INSERT INTO routed VALUES (?, ?, ?)",
                [(*key, account.number) for key, account in self.routed.items()],
            )
        if self.answers or self.tombstones or self.settings or self.account_settings or self.discrepancies:
            self._write_rest(connection)

    def _write_rest(self, connection: sqlite3.Connection) -> None:
        if self.answers:
            rows = [
                (
                    *key,
                    done.answer.method,
                    done.answer.fingerprint,
                    done.answer.body,
                    refusal_text(done.answer.refusal),
                    done.number,
                    done.time_ns,
                    done.caller,
                )
                for key, done in self.answers.items()
            ]
            connection.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        if self.tombstones:
            connection.executemany("INSERT OR IGNORE INTO tombstones VALUES (?, ?)", list(self.tombstones))
        if self.settings:
            connection.executemany(
                "INSERT OR REPLACE INTO settings VALUES (?, ?)", list(self.settings.items())
            )
        for place, text in self.account_settings.items():
            if text is None:
                connection.execute("DELETE FROM account_settings WHERE account = ? AND key = ?", place)
            else:
                connection.execute("INSERT OR REPLACE INTO account_settings VALUES (?, ?, ?)", (*place, text))
        for position, found in self.discrepancies.items():
            connection.execute(
                "INSERT OR REPLACE INTO discrepancies VALUES (?, ?, ?)",
                (position, int(found.state), discrepancy_bytes(found)),
            )

    def fail(self, error: Exception) -> None:
        """Tells those who wait that nobody knows whether it was committed."""
        for waiter in (*self.waiters, *self.process_waiters):
            if not waiter.done():
                waiter.set_exception(error)


def release(waiters: list[asyncio.Future[None]]) -> None:
    """Tells those who wait that what they wait for is done."""
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()
