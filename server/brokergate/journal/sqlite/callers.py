"""Who sent commands: each caller is stored once, and known by a number that holds its actor's."""

from __future__ import annotations

from brokergate.domain.access import Caller
from brokergate.journal.sqlite.queries import CALLER_NUMBER, FIRST_CALLER_FROM, LAST_CALLER_BEFORE
from brokergate.journal.sqlite.store import Store

ACTOR_BITS = 32
"""Bits of a caller's number below its actor's."""

REMEMBERED = 4096
"""Callers whose numbers are kept in memory; twice as many at most."""

CallerRow = tuple[int, str, str, str, str]
"""Number, actor, peer, client name, method."""


class Callers:
    """The numbers of callers. A caller is a name, a peer, a client and a method."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._new: dict[tuple[Caller, str], int] = {}
        self._old: dict[tuple[Caller, str], int] = {}
        self._last: dict[str, int] = {}
        """The last number of each actor; there are as many as there are tokens."""
        while row := store.row(FIRST_CALLER_FROM, (len(self._last) << ACTOR_BITS,)):
            actor = row[0] >> ACTOR_BITS
            last = store.row(LAST_CALLER_BEFORE, ((actor + 1) << ACTOR_BITS,))
            self._last[row[1]] = last[0] if last else row[0]

    def actors(self, name: str = "") -> list[int]:
        """The numbers of the actors called `name`; of all when it is empty."""
        if name:
            return [self._last[name] >> ACTOR_BITS] if name in self._last else []
        return sorted(last >> ACTOR_BITS for last in self._last.values())

    def number(self, caller: Caller, method: str, fresh: list[CallerRow]) -> int:
        """The number of a caller; one that is new is put into `fresh`, to be written with the next commit."""
        key = (caller, method)
        number = self._new.get(key)
        if number is None:
            number = self._old.get(key) or self._find(caller, method, fresh)
            if len(self._new) >= REMEMBERED:
                self._old, self._new = self._new, {}
            self._new[key] = number
        return number

    def _find(self, caller: Caller, method: str, fresh: list[CallerRow]) -> int:
        names = (caller.name, caller.peer, caller.client_name, method)
        row = self._store.row(CALLER_NUMBER, names)
        if row is not None:
            return int(row[0])
        last = self._last.get(caller.name)
        number = (len(self._last) << ACTOR_BITS) + 1 if last is None else last + 1
        self._last[caller.name] = number
        fresh.append((number, *names))
        return number
