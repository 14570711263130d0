"""The journal in memory: the same code over an SQLite database that is no file.

Not a second implementation, because a dictionary that behaves like the journal is the journal again, with bugs of its
own. What is slow about SQLite is the file, and there is none here.
"""

from __future__ import annotations

from collections.abc import Callable

from brokergate.journal.sqlite.journal import SqliteJournal


class MemoryJournal(SqliteJournal):
    """A journal that ends with the process; for tests and for trying things out."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        """`draw(bits)` gives random bits, as for `SqliteJournal`."""
        super().__init__(":memory:", draw)
