"""Disks that fail when they are told to, under the real SQLite."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from random import Random
from typing import Any

from brokergate.journal.sqlite.journal import FOR_EVER, SqliteJournal
from brokergate.journal.sqlite.retention import Retention
from brokergate.journal.sqlite.schema import connect


class Connection(sqlite3.Connection):
    """A connection whose statements fail as its disk says."""

    disk: Disk

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        fault = self.disk.fault
        if fault and sql.startswith(fault):
            self.disk.fault = ""
            if self.disk.torn:
                super().execute(sql, parameters)
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, parameters)


class Disk:
    """One disk. `fault` is the beginning of the next statement that fails, `torn` whether it takes effect all the
    same; `refuse_sync` fails the next sync; while `hold` is clear, a sync does not end; `older` is what the files hold
    when they are opened next."""

    def __init__(self) -> None:
        self.fault = ""
        self.torn = False
        self.refuse_sync = False
        self.older: dict[Path, bytes] = {}
        self.syncs = 0
        self.under_way = threading.Event()
        self.hold = threading.Event()
        self.hold.set()

    def open(self, path: str) -> sqlite3.Connection:
        """As `schema.connect`."""
        for file, image in self.older.items():
            file.write_bytes(image)
        self.older.clear()
        connect(path).close()
        connection = sqlite3.connect(path, isolation_level=None, factory=Connection)
        connection.disk = self
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        return connection

    def sync(self, fd: int) -> None:
        """Counts, waits and fails as it was told; there is nothing to wait for otherwise."""
        self.syncs += 1
        self.under_way.set()
        assert self.hold.wait(20)
        if self.refuse_sync:
            self.refuse_sync = False
            raise OSError(5, "Input/output error")

    def journal(
        self, path: Path | str, boot_id: str = "boot-1", retention: Retention = FOR_EVER
    ) -> SqliteJournal:
        """A journal on this disk with a durable account `live` and another, `paper`."""
        draw = Random(1).getrandbits
        journal = SqliteJournal(
            path, draw, boot_id, retention, open_connection=self.open, sync_file=self.sync
        )
        journal.open_account("live", durable=True)
        journal.open_account("paper")
        return journal
