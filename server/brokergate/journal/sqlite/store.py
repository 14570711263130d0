"""The connection to the file, and whether it can still be trusted."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from brokergate.ports.journal import CommitUnknown, JournalError

Row = tuple[Any, ...]

_WAYS_OUT = {
    "SQLITE_FULL": "free space on the disk",
    "SQLITE_READONLY": "make the file and its directory writable for the gateway",
    "SQLITE_CORRUPT": "restore the file from a copy",
    "SQLITE_NOTADB": "restore the file from a copy, or name another --data-dir",
    "SQLITE_CANTOPEN": "make the file and its directory readable and writable for the gateway",
    "SQLITE_BUSY": "end the program that holds the file",
    "SQLITE_IOERR": "check the disk",
}


def way_out(error: BaseException) -> str:
    """What a person can do about an error of SQLite's or of the system's."""
    if isinstance(error, OSError):
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return _WAYS_OUT["SQLITE_CANTOPEN"]
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return "make the directory, or name another --data-dir"
        return _WAYS_OUT["SQLITE_FULL" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "SQLITE_IOERR"]
    name = str(getattr(error, "sqlite_errorname", "SQLITE_IOERR"))
    return next((text for prefix, text in _WAYS_OUT.items() if name.startswith(prefix)), "check the disk")


class Store:
    """The writer's connection. An error of it closes the journal: nothing is read or written until `use` is given a
    new one, because what a failed write has left is known only from the file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.failed: JournalError | None = None
        self._connection: sqlite3.Connection | None = None
        self._listeners: list[Callable[[JournalError], None]] = []
        self._trusted = False
        self.abandon: Callable[[CommitUnknown], None] = lambda _: None
        """Called at once when the journal is closed."""

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection. Raises `JournalError` where there is none."""
        if self._connection is None:
            raise self._error()
        return self._connection

    def use(self, connection: sqlite3.Connection) -> None:
        """Takes a new connection. Until `trust` nobody is told of its failures but who calls."""
        self._connection = connection
        self.failed = None
        self._trusted = False

    def trust(self) -> None:
        """All that must be read at the opening was read."""
        self._trusted = True

    def check(self) -> None:
        """Raises `JournalError` where the journal is closed."""
        if self.failed is not None or self._connection is None:
            raise self._error()

    def _error(self) -> JournalError:
        # A new one each time: an exception that is raised again and again holds the frames of every time.
        return JournalError(f"journal {self.path!r} is closed" if self.failed is None else str(self.failed))

    def row(self, query: str, parameters: Sequence[object]) -> Row | None:
        """The first row of a query."""
        self.check()
        try:
            row: Row | None = self.connection.execute(query, parameters).fetchone()
        except sqlite3.Error as error:
            raise self.fail("cannot be read", error) from error
        return row

    def rows(self, query: str, parameters: Sequence[object]) -> list[Row]:
        """All rows of a query."""
        self.check()
        try:
            return self.connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise self.fail("cannot be read", error) from error

    def write(self, statement: str, parameters: Sequence[object]) -> None:
        """Executes a statement in a transaction of its own."""
        self.check()
        try:
            self.connection.execute(statement, parameters)
        except sqlite3.Error as error:
            raise self.fail("could not be written", error) from error

    def fail(self, problem: str, cause: BaseException) -> CommitUnknown:
        """Closes the journal because of `cause`, and tells who listens once the caller has unwound. Gives the error
        to raise; what is under way may be in the file or not."""
        text = f"journal {self.path!r} {problem}: {cause}; {way_out(cause)}"
        unknown = CommitUnknown(text)
        if self.failed is None:
            failure = self.failed = JournalError(text)
            self.abandon(unknown)
            if not self._trusted:
                return unknown
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self._tell(failure)
            else:
                loop.call_soon(self._tell, failure)
        return unknown

    def _tell(self, failure: JournalError) -> None:
        for listener in tuple(self._listeners):
            listener(failure)

    def listen(self, listener: Callable[[JournalError], None]) -> Callable[[], None]:
        """As `Journal.on_failure`."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def close(self) -> None:
        """Closes the connection. Raises nothing: what could not be written is found missing at the next opening."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass
        finally:
            connection.close()
