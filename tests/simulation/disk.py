"""A disk that can be full, fail, tear a commit, refuse to sync and lose what was not synced: under the real SQLite.

The database lies in memory. What the death of a process leaves is what was committed; what a loss of power leaves is
what was synced, and maybe some commits more: never a later one without an earlier one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from enum import Enum
from random import Random
from typing import Any

IN_MEMORY = ":memory:"


class DiskFault(Enum):
    """What is wrong with the disk at the next chance."""

    FULL = "full"
    """Nothing can be written, for a while."""
    COMMIT_LOST = "commit lost"
    """The next commit fails, and nothing of it is there."""
    COMMIT_TORN = "commit torn"
    """The next commit fails, and all of it is there."""
    SYNC_FAILED = "sync failed"
    """The next sync fails."""
    READ_FAILED = "read failed"
    """The next query fails."""


_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "BEGIN", "CREATE")


class SimulatedConnection(sqlite3.Connection):
    """A connection whose every statement the disk may fail."""

    disk: Disk

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        disk = self.disk
        if disk.connection is not self:
            raise sqlite3.ProgrammingError("the process that had this connection is dead")
        if sql == "COMMIT":
            disk.committing()
            cursor = super().execute(sql, parameters)
            disk.committed()
            return cursor
        if disk.armed:
            disk.check(sql)
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        disk = self.disk
        if disk.connection is not self:
            raise sqlite3.ProgrammingError("the process that had this connection is dead")
        if disk.armed:
            disk.check(sql)
        return super().executemany(sql, parameters)

    def close(self) -> None:
        if self.disk.connection is self:
            self.disk.keep()
        super().close()


class Disk:
    """The one disk of a run. `on_commit` is called after each commit that took effect, with the connection."""

    def __init__(self, random: Random, on_commit: Callable[[sqlite3.Connection], None]) -> None:
        self.commits = 0
        """How many commits there were; what is on it is numbered by them."""
        self.synced = 0
        """The number of the last commit that survives a loss of power for certain."""
        self.armed: set[DiskFault] = set()
        self._told: dict[DiskFault, Callable[[], None]] = {}
        self.connection: SimulatedConnection | None = None
        self._random = random
        self._on_commit = on_commit
        self._image = b""
        self._synced_image = b""
        self._maybe: list[tuple[int, bytes]] = []
        self._full_sync = False

    def arm(self, fault: DiskFault, struck: Callable[[], None]) -> None:
        """Something is broken from now on; `struck` is called when it is first felt."""
        self.armed.add(fault)
        self._told[fault] = struck

    # What the journal does

    def open(self, path: str) -> SimulatedConnection:
        """A connection to the journal's database. The one before is dead."""
        if self.connection is not None:
            self.keep()
        connection = sqlite3.connect(IN_MEMORY, isolation_level=None, factory=SimulatedConnection)
        connection.disk = self
        if self._image:
            connection.deserialize(self._image)
        self.connection = connection
        self.check("BEGIN")
        return connection

    def sync(self) -> None:
        """Waits for the disk. Raises `OSError` where that fails: what was written since the last one may be gone."""
        if DiskFault.SYNC_FAILED in self.armed:
            self._strike(DiskFault.SYNC_FAILED)
            raise OSError(5, "Input/output error")
        self._synced()

    def check(self, sql: str) -> None:
        """Raises what a broken disk raises for a statement."""
        if DiskFault.FULL in self.armed and sql.startswith(_WRITES):
            self._tell(DiskFault.FULL)
            raise sqlite3.OperationalError("database or disk is full")
        if DiskFault.READ_FAILED in self.armed and sql.startswith("SELECT"):
            self._strike(DiskFault.READ_FAILED)
            raise sqlite3.OperationalError("disk I/O error")

    def committing(self) -> None:
        """A commit is about to be made."""
        if not self.armed:
            return
        if DiskFault.COMMIT_LOST in self.armed:
            self._strike(DiskFault.COMMIT_LOST)
            raise sqlite3.OperationalError("disk I/O error")
        if DiskFault.COMMIT_TORN in self.armed:
            self._strike(DiskFault.COMMIT_TORN)
            assert self.connection is not None
            sqlite3.Connection.execute(self.connection, "COMMIT")
            self.committed()
            raise sqlite3.OperationalError("disk I/O error")
        self.check("INSERT")

    def committed(self) -> None:
        """A commit took effect."""
        self.commits += 1
        connection = self.connection
        assert connection is not None
        if self._random.random() < 0.02:
            self._maybe.append((self.commits, connection.serialize()))
        self._on_commit(connection)

    def keep(self) -> None:
        """What the death of the process leaves: what was committed."""
        connection, self.connection = self.connection, None
        if connection is None:
            return
        if connection.in_transaction:
            sqlite3.Connection.execute(connection, "ROLLBACK")
        self._image = connection.serialize()

    def lose_power(self) -> int:
        """What the death of the machine leaves: what was synced, and maybe more. Gives the number of the last commit
        that is left."""
        self.keep()
        kept = [(self.synced, self._synced_image), *self._maybe, (self.commits, self._image)]
        number, self._image = self._random.choice([each for each in kept if each[0] >= self.synced])
        self.commits = self.synced = number
        self._synced_image = self._image
        self._maybe.clear()
        return number

    def left(self) -> sqlite3.Connection:
        """What is on the disk while no process has it open, to look at."""
        connection = sqlite3.connect(IN_MEMORY)
        if self._image:
            connection.deserialize(self._image)
        return connection

    def _synced(self) -> None:
        if self.synced == self.commits or self.connection is None:
            return
        self.synced = self.commits
        self._synced_image = self.connection.serialize()
        self._maybe.clear()

    def _strike(self, fault: DiskFault) -> None:
        self.armed.discard(fault)
        self._tell(fault)

    def _tell(self, fault: DiskFault) -> None:
        if (struck := self._told.pop(fault, None)) is not None:
            struck()
