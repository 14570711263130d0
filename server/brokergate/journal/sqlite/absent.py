"""What was looked for and not found, for a moment: who looks before staging need not be checked by a second query."""

from __future__ import annotations

from collections.abc import Hashable

REMEMBERED = 4096
"""Keys; twice as many at most."""


class Absent:
    """Keys that the file did not have. It gains one only through its writer, which takes the key out here first."""

    __slots__ = ("_new", "_old")

    def __init__(self) -> None:
        self._new: set[Hashable] = set()
        self._old: set[Hashable] = set()

    def add(self, key: Hashable) -> None:
        """`key` was looked for and not found."""
        if len(self._new) >= REMEMBERED:
            self._old, self._new = self._new, set()
        self._new.add(key)

    def take(self, key: Hashable) -> bool:
        """Whether `key` is known to be absent; it no longer is."""
        known = key in self._new or key in self._old
        self._new.discard(key)
        self._old.discard(key)
        return known
