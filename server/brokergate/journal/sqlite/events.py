"""What streams follow: the published events, by sequence, kind and time."""

from __future__ import annotations

import json
from collections.abc import Sequence

from brokergate.domain.events import EventKind
from brokergate.journal.sqlite import queries
from brokergate.journal.sqlite.account import Account
from brokergate.journal.sqlite.opened import Opened, first_at
from brokergate.journal.sqlite.schema import SEQUENCE_MASK
from brokergate.journal.sqlite.store import Row
from brokergate.journal.sqlite.writer import COMMON_KINDS
from brokergate.ports.journal import StoredEvent

_KINDS = {int(kind): kind for kind in EventKind}
"""By number: calling the enum costs ten times as much."""

_FILLS = frozenset({EventKind.FILL, EventKind.FILL_FEES})


class Events(Opened):
    """The reading of events. Each query is short, and holds nothing that the writer waits for."""

    def head(self, account_id: str) -> int:
        return self._accounts[account_id].head

    def earliest(self, account_id: str) -> int:
        return self._accounts[account_id].first

    def read(
        self, account_id: str, after: int, limit: int, kinds: frozenset[EventKind] = frozenset()
    ) -> Sequence[StoredEvent]:
        account = self._accounts[account_id]
        if after >= account.head:
            return ()
        after = max(after, account.first - 1)
        found = account.ring.after(after, account.head - after if kinds else limit)
        if found is not None:
            return [event for event in found if event.kind in kinds][:limit] if kinds else found
        return [
            StoredEvent(position & SEQUENCE_MASK, _KINDS[kind], symbol, body)
            for position, kind, symbol, body in self._after(account, after, limit, kinds)
        ]

    def read_bodies(
        self, account_id: str, after: int, limit: int, kinds: frozenset[EventKind] = frozenset()
    ) -> tuple[int, Sequence[bytes]]:
        account = self._accounts[account_id]
        after = max(after, account.first - 1)
        if after >= account.head or account.ring.after(after, 1) is not None:
            events = self.read(account_id, after, limit, kinds)
            return events[-1].sequence if events else after, [event.body for event in events]
        # Half of what a follower of old events costs would be the making of StoredEvents.
        rows = self._after(account, after, limit, kinds)
        return rows[-1][0] & SEQUENCE_MASK if rows else after, [row[3] for row in rows]

    def _after(self, account: Account, after: int, limit: int, kinds: frozenset[EventKind]) -> Sequence[Row]:
        """Rows of position, kind, symbol and body, in order."""
        if not kinds:
            return self._events(account, queries.EVENTS_AFTER, after, account.head, limit)
        if kinds <= _FILLS:
            return self._fill_events(account, after, limit, kinds)
        if not kinds & COMMON_KINDS:
            return self._rare_events(account, after, limit, kinds)
        return self._events_of_kinds(account, after, account.head, limit, kinds)

    def _events(self, account: Account, query: str, after: int, through: int, limit: int) -> list[Row]:
        return self._store.rows(query, (account.base | after, account.base | through, limit))

    def _events_of_kinds(
        self, account: Account, after: int, through: int, limit: int, kinds: frozenset[EventKind]
    ) -> list[Row]:
        wanted = json.dumps(sorted(kinds))
        return self._store.rows(
            queries.EVENTS_AFTER_OF_KINDS, (account.base | after, account.base | through, wanted, limit)
        )

    def _rare_events(
        self, account: Account, after: int, limit: int, kinds: frozenset[EventKind]
    ) -> list[Row]:
        bounds = (account.base | after, account.base | account.head, limit)
        found = [
            row
            for kind in kinds
            for row in self._store.rows(queries.EVENTS_AFTER_OF_RARE_KIND, (int(kind), *bounds))
        ]
        return sorted(found)[:limit]

    def _fill_events(
        self, account: Account, after: int, limit: int, kinds: frozenset[EventKind]
    ) -> list[Row]:
        """Fills by their own table, which ends where the views are written; after that, few events are left."""
        indexed = min(account.indexed, account.head)
        found: list[Row] = []
        if EventKind.FILL in kinds and after < indexed:
            found = self._events(account, queries.FILL_EVENTS_AFTER, after, indexed, limit)
        if EventKind.FILL_FEES in kinds and after < indexed:
            bounds = (account.base | after, account.base | indexed, limit)
            fees = self._store.rows(queries.EVENTS_AFTER_OF_RARE_KIND, (int(EventKind.FILL_FEES), *bounds))
            if fees:
                found = sorted([*found, *fees])
        if len(found) < limit:
            rest = limit - len(found)
            found += self._events_of_kinds(account, max(after, indexed), account.head, rest, kinds)
        return found[:limit]

    def sequence_at(self, account_id: str, time_ns: int) -> int:
        account = self._accounts[account_id]

        def time_of(low: int, high: int) -> tuple[int, int] | None:
            row = self._store.row(queries.EVENT_TIME_FROM, (account.base | low, account.base | high))
            return (row[0] & SEQUENCE_MASK, row[1]) if row else None

        return first_at(time_of, 1, account.head, time_ns) - 1
