"""What is committed together: everything that was staged since the last commit."""

from __future__ import annotations

import asyncio
import sqlite3

from brokergate.journal.sqlite.account import Account
from brokergate.ports.journal import StoredEvent

EventRow = tuple[int, int, int, str, bytes | None, str | None, bytes]

PAGES_BYTES = 2 * 4096
"""What a commit adds to the log whatever it holds: the pages are written whole."""

_INSERT_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)"


class Group:
    """One transaction in the making."""

    __slots__ = ("answers", "events", "rare", "rows", "settings", "size", "tombstones", "waiters")

    def __init__(self) -> None:
        self.rows: list[EventRow] = []
        self.rare: list[tuple[int, int]] = []
        self.events: dict[Account, list[StoredEvent]] = {}
        self.size = PAGES_BYTES
        """About how many bytes the commit adds to the log."""
        self.answers: dict[tuple[int, str], tuple[str, bytes, bytes]] = {}
        self.tombstones: dict[tuple[int, str], None] = {}
        self.settings: dict[str, str] = {}
        self.waiters: list[asyncio.Future[None]] = []

    def __bool__(self) -> bool:
        return bool(self.rows or self.answers or self.tombstones or self.settings)

    def write(self, connection: sqlite3.Connection) -> None:
        """Writes it within the caller's transaction."""
        if len(self.rows) == 1:
            connection.execute(_INSERT_EVENT, self.rows[0])
        elif self.rows:
            connection.executemany(_INSERT_EVENT, self.rows)
        if self.rare:
            connection.executemany("INSERT INTO rare_events VALUES (?, ?)", self.rare)
        if self.answers:
            connection.executemany(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?)",
                [(*key, *answer) for key, answer in self.answers.items()],
            )
        if self.tombstones:
            connection.executemany("INSERT OR IGNORE INTO tombstones VALUES (?, ?)", list(self.tombstones))
        if self.settings:
            connection.executemany(
                "INSERT OR REPLACE INTO settings VALUES (?, ?)", list(self.settings.items())
            )

    def succeed(self) -> None:
        """Tells those who wait that it is committed."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def fail(self, error: Exception) -> None:
        """Tells them that it is not."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error)
