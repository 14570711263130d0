"""What an in-process venue keeps beside the events: a snapshot, and the steps after it, one row a commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from brokergate.journal.sqlite.schema import SEQUENCE_MASK

_LENGTH_BYTES = 4


def join_steps(bodies: list[bytes]) -> bytes:
    """Steps as one text: each after its length."""
    return b"".join([len(body).to_bytes(_LENGTH_BYTES, "big") + body for body in bodies])


def split_steps(joined: bytes) -> Iterator[bytes]:
    """The steps that `join_steps` joined."""
    place = 0
    while place < len(joined):
        start = place + _LENGTH_BYTES
        place = start + int.from_bytes(joined[place:start], "big")
        yield joined[start:place]


class VenueRecords:
    """What one commit keeps of one account's venue."""

    __slots__ = ("snapshot", "steps")

    def __init__(self) -> None:
        self.snapshot: bytes | None = None
        self.steps: list[bytes] = []

    def restart(self, snapshot: bytes) -> None:
        """The whole state, in place of what was kept before."""
        self.snapshot = snapshot
        self.steps.clear()

    def write(self, connection: sqlite3.Connection, account: int, base: int, position: int) -> None:
        """Writes it; `position` is that of this commit's steps."""
        if self.snapshot is not None:
            connection.execute(
                "INSERT OR REPLACE INTO venue_snapshots VALUES (?, ?)", (account, self.snapshot)
            )
            connection.execute(
                "DELETE FROM venue_steps WHERE position BETWEEN ? AND ?", (base, base | SEQUENCE_MASK)
            )
        if self.steps:
            connection.execute("INSERT INTO venue_steps VALUES (?, ?)", (position, join_steps(self.steps)))
