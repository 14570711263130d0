"""The journal of a gateway that was killed, read from its file: what was durable at that moment."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from brokergate.journal.sqlite.schema import SEQUENCE_BITS, SEQUENCE_MASK, journal_path
from brokergate.v1 import event_pb2


class JournalFile:
    """Every event of one account up to the last `read`. It works on a copy: opening the file itself would recover it,
    and the next start of the gateway is to do that."""

    def __init__(self, data_dir: Path, scratch: Path, account_id: str) -> None:
        self.events: list[event_pb2.Event] = []
        self._source = journal_path(data_dir)
        self._copy = scratch / "journal-copy.db"
        self._account_id = account_id

    def read(self) -> Sequence[event_pb2.Event]:
        """Takes in what is new, and gives it; nothing while there is no journal yet. Fails when a sequence is missing,
        doubled or gone."""
        if not self._source.exists():
            return ()
        for suffix in ("", "-wal"):
            source = Path(f"{self._source}{suffix}")
            target = Path(f"{self._copy}{suffix}")
            target.unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, target)
        Path(f"{self._copy}-shm").unlink(missing_ok=True)
        with closing(sqlite3.connect(self._copy)) as connection:
            rows = self._rows(connection)
        first = len(self.events) + 1
        sequences = [sequence for sequence, _ in rows]
        assert sequences == list(range(1, len(rows) + 1)), "the journal's sequences have a hole"
        assert len(rows) >= first - 1, f"the journal lost events: {len(rows)} of {first - 1} are left"
        new = [event_pb2.Event.FromString(body) for _, body in rows[first - 1 :]]
        self.events += new
        return new

    def _rows(self, connection: sqlite3.Connection) -> list[tuple[int, bytes]]:
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'events'").fetchone()[0]
        if not tables:
            return []
        number = connection.execute(
            "SELECT number FROM accounts WHERE account_id = ?", (self._account_id,)
        ).fetchone()
        if number is None:
            return []
        start = number[0] << SEQUENCE_BITS
        found = connection.execute(
            "SELECT position, body FROM events WHERE position BETWEEN ? AND ? ORDER BY position",
            (start, start + SEQUENCE_MASK),
        )
        return [(position & SEQUENCE_MASK, body) for position, body in found]
