"""Moving what is committed from the write-ahead log into the file, beside the writer.

A checkpoint waits for the disk, so it runs in a thread with a connection of its own, where SQLite works without the
interpreter's lock. A passive one copies what there is and takes nothing from the writer; but while commits go on
the log never becomes empty, and grows. Once it is past `RESTART_FRAMES`, a passive checkpoint is followed by one that
holds the writer off for what was committed in between, some milliseconds, after which the log begins anew. The
writer keeps its groups open meanwhile (`busy`), and does not block the event loop.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress

CHECKPOINT_BYTES = 8 * 1024 * 1024
"""Committed bytes after which a checkpoint is due."""

RESTART_FRAMES = 16 * 1024
"""Pages in the log (64 MiB) from which on it is made to begin anew."""


class Checkpointer:
    """A thread that checkpoints when it is told to."""

    def __init__(self, path: str, done: Callable[[], None], failed: Callable[[sqlite3.Error], None]) -> None:
        """Both are called in the thread: `done` after holding commits, `failed` once, when a checkpoint or its sync
        failed."""
        self._path = path
        self._done = done
        self._failed = failed
        self.error: sqlite3.Error | None = None
        """Why it has ended; until then None."""
        self._due = threading.Event()
        self._closing = False
        self._bytes = 0
        self.busy = False
        """Whether commits should wait a moment. Only this thread sets it; a commit that comes in spite of it waits
        for SQLite's own lock."""
        self._thread = threading.Thread(target=self._run, name="journal-checkpoint", daemon=True)
        self._thread.start()

    def wrote(self, size: int) -> None:
        """The writer committed about `size` bytes."""
        self._bytes += size
        if self._bytes >= CHECKPOINT_BYTES:
            self._bytes = 0
            self._due.set()

    def close(self) -> None:
        """Ends the thread, after the checkpoint that it is at."""
        self._closing = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=5.0)
            try:
                while True:
                    self._due.wait()
                    self._due.clear()
                    if self._closing:
                        return
                    self._checkpoint(connection)
            finally:
                with suppress(sqlite3.Error):
                    connection.close()
        except sqlite3.Error as error:
            self.error = error
            self._failed(error)

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        # A busy file is no error: the pragma says so in its row, and the next one copies the rest.
        _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if frames < RESTART_FRAMES:
            return
        self.busy = True
        try:
            connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        finally:
            self.busy = False
            self._done()
