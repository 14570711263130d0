"""Waiting for the disk, beside the writer.

A commit writes to the log and does not wait. What belongs to a durable account is answered and published only after
the log was synced; while a sync is under way the next groups are committed, and share the next one. The sync runs in
a thread, since it takes as long as the disk takes; in memory there is no disk, and it is done at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

NO_FILE = -1
"""What is synced where the journal is in memory."""

Done = Callable[[OSError | None], None]


def sync_data(fd: int) -> None:
    """Waits until what was written to a file is on the disk. Raises `OSError`."""
    if fd != NO_FILE:
        os.fdatasync(fd)


class Syncer:
    """Syncs one file. A sync that failed is never tried again: the system may have dropped what it could not write,
    and says so once."""

    def __init__(self, log: str | None, sync_file: Callable[[int], None]) -> None:
        """`log` is the path of the write-ahead log, None for a journal in memory; `sync_file` syncs a descriptor and
        raises `OSError`."""
        self._sync_file = sync_file
        # A descriptor of the log alone: closing one of the database would give up SQLite's locks on it (POSIX).
        self._fd = NO_FILE if log is None else os.open(log, os.O_RDONLY | os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._error: OSError | None = None
        self._requests: SimpleQueue[Done | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def at_once(self) -> bool:
        """Whether a sync takes no time, and no thread."""
        return self._fd == NO_FILE

    def sync(self) -> None:
        """Syncs now, after the one that is under way. Raises `OSError`, and ever after."""
        with self._lock:
            if self._error is not None:
                raise OSError(self._error.errno, self._error.strerror)
            try:
                self._sync_file(self._fd)
            except OSError as error:
                self._error = error
                raise

    def request(self, done: Done) -> None:
        """Syncs in the thread, and calls `done` there."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
            self._thread.start()
        self._requests.put(done)

    def _run(self) -> None:
        while (done := self._requests.get()) is not None:
            try:
                self.sync()
            except OSError as error:
                done(error)
            else:
                done(None)

    def close(self) -> None:
        """Ends the thread, after the sync that it is at."""
        if self._thread is not None:
            self._requests.put(None)
            self._thread.join()
            self._thread = None
        if self._fd != NO_FILE:
            os.close(self._fd)
            self._fd = NO_FILE
