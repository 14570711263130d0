"""Staging: events get their sequences and bodies, ids are registered once, and all of it joins the next commit."""

from __future__ import annotations

from collections.abc import Sequence

from brokergate.domain.events import DiscrepancyChanged, EventKind, EventPayload, FillBooked, OrderChanged
from brokergate.journal.sqlite.absent import Absent
from brokergate.journal.sqlite.account import Account
from brokergate.journal.sqlite.callers import Callers
from brokergate.journal.sqlite.commits import Commits
from brokergate.journal.sqlite.facts import facts_of
from brokergate.journal.sqlite.group import Answered, EventRow
from brokergate.journal.sqlite.queries import (
    FIND_ANSWER,
    FIND_ROUTED,
    HAS_FILL,
    HAS_TOMBSTONES,
    ORDER_BY_CLIENT,
)
from brokergate.journal.sqlite.store import Store
from brokergate.journal.sqlite.venue import VenueRecords
from brokergate.journal.sqlite.views import FillKey
from brokergate.ports.broker import VenueSnapshot, VenueStep
from brokergate.ports.journal import (
    AlreadyJournalled,
    NewOrder,
    Record,
    RequestDone,
    Routed,
    Setting,
    StoredAnswer,
    StoredEvent,
    Tombstone,
)

COMMON_KINDS = frozenset({EventKind.ORDER, EventKind.FILL, EventKind.POSITION, EventKind.BALANCE})
"""The kinds that come with every order; events of the others have an index of their own."""

COMMAND_BITS = 20
"""Bits of a command's number below the order's number: the answers between one order and the next."""

Registration = tuple[bytes, int]
"""An order's fingerprint and its caller's number."""


class Writer:
    """Stages, over one opening of the file."""

    def __init__(self, store: Store, commits: Commits, callers: Callers) -> None:
        self._store = store
        self._commits = commits
        self._callers = callers
        self.tombstoned: set[int] = set()
        """The accounts that have tombstones: most have none, and an order on them need not be looked for there."""
        self.absent = Absent()
        """Ids and executions that were looked for and not found."""

    def adopt(self, account: Account) -> None:
        """Takes an account on, with what a crash has left unwritten of its views."""
        if account.staged > account.indexed:
            self._commits.dirty[account] = None
        if self._store.row(HAS_TOMBSTONES, (account.number,)):
            self.tombstoned.add(account.number)

    def staged_answer(self, account: Account, request_id: str) -> StoredAnswer | None:
        """An answer that is staged and not committed."""
        done = self._commits.group.answers.get((account.number, request_id))
        return None if done is None else done.answer

    def has_staged_tombstone(self, account: Account, client_order_id: str) -> bool:
        """Whether a tombstone is staged and not committed."""
        return (account.number, client_order_id) in self._commits.group.tombstones

    def routed(self, route_id: str, client_order_id: str) -> str | None:
        """As `Journal.find_routed`."""
        staged = self._commits.group.routed.get((route_id, client_order_id))
        if staged is not None:
            return staged.account_id
        row = self._store.row(FIND_ROUTED, (route_id, client_order_id))
        return None if row is None else str(row[0])

    def stage(
        self, account: Account, time_ns: int, payloads: Sequence[EventPayload], records: Sequence[Record]
    ) -> None:
        """As `Journal.stage`."""
        self._store.check()
        registrations = self._registrations(account, records)
        stored_ns = max(time_ns, account.time_ns)
        sequence, base = account.staged, account.base
        encode = account.encode
        numbers: list[int] = []
        rows: list[EventRow] = []
        events: list[StoredEvent] = []
        fresh = dict(registrations)
        executions: set[FillKey] = set()
        fingerprint: bytes | None
        caller: int | None
        for payload in payloads:
            sequence += 1
            kind, kind_number, symbol, number, multiplier = facts_of(payload)
            fingerprint = caller = None
            if isinstance(payload, FillBooked):
                self._check_fill(account, payload.fill.key, executions)
            elif fresh and isinstance(payload, OrderChanged):
                found = fresh.pop(payload.order.client_order_id, None)
                if found is not None:
                    fingerprint, caller = found
            body = encode(sequence, time_ns, payload)
            numbers.append(number)
            rows.append(
                (base | sequence, kind_number, stored_ns, symbol, fingerprint, multiplier, body, caller)
            )
            events.append(StoredEvent(sequence, kind, symbol, body))
        if fresh:
            raise ValueError(f"new orders {sorted(fresh)} are staged without an event that brings the order")
        # Everything that can fail is behind us: from here on the whole of it is staged.
        views = account.views
        for payload, number, event_ in zip(payloads, numbers, events, strict=True):
            views.apply(event_.sequence, stored_ns, payload, number)
            if isinstance(payload, DiscrepancyChanged):
                self._commits.group.discrepancies[base | number] = payload.discrepancy
        for client_order_id, registration in registrations.items():
            views.register(client_order_id, *registration)
        account.staged, account.time_ns = sequence, stored_ns
        self._enlist(account, rows, events, records)

    def _enlist(
        self, account: Account, rows: list[EventRow], events: list[StoredEvent], records: Sequence[Record]
    ) -> None:
        group = self._commits.group
        if events:
            group.rows.extend(rows)
            group.rare.extend([(row[1], row[0]) for row in rows if row[1] not in COMMON_KINDS])
            group.events.setdefault(account, []).extend(events)
            group.size += sum([len(event.body) for event in events])
            self._commits.dirty[account] = None
        for record in records:
            if not isinstance(record, NewOrder):
                self._enlist_record(account, record)
        if account.durable:
            group.durable = True
        self._commits.schedule()

    def _enlist_record(
        self,
        account: Account,
        record: RequestDone | Tombstone | Routed | Setting | VenueStep | VenueSnapshot,
    ) -> None:
        group, number = self._commits.group, account.number
        match record:
            case RequestDone(request_id, answer, caller):
                account.commands = max(account.commands, account.views.last_order << COMMAND_BITS) + 1
                who = self._callers.number(caller, answer.method, group.callers)
                done = Answered(answer, account.commands, account.time_ns, who)
                group.answers[number, request_id] = done
                group.size += len(answer.body)
            case Tombstone(client_order_id):
                self.tombstoned.add(number)
                group.tombstones[number, client_order_id] = None
            case Routed(route_id, client_order_id):
                if self.routed(route_id, client_order_id) is None:
                    group.routed[route_id, client_order_id] = account
            case Setting(key, value):
                group.account_settings[number, key] = value
            case VenueStep(body):
                group.venues.setdefault(account, VenueRecords()).steps.append(body)
                group.size += len(body)
            case VenueSnapshot(body):
                group.venues.setdefault(account, VenueRecords()).restart(body)
                group.size += len(body)

    def put_setting(self, key: str, value: str) -> None:
        """As `Journal.put_setting`."""
        self._store.check()
        self._commits.group.settings[key] = value
        self._commits.schedule()

    def _registrations(self, account: Account, records: Sequence[Record]) -> dict[str, Registration]:
        """What is kept of the new orders. Raises `AlreadyJournalled` for an id that is registered."""
        registrations: dict[str, Registration] = {}
        requests: set[str] = set()
        number, group = account.number, self._commits.group
        for record in records:
            if isinstance(record, NewOrder):
                name = record.client_order_id
                if name in registrations or name in account.views.by_client or self._has_client(number, name):
                    raise AlreadyJournalled(f"account {account.account_id!r} has an order {name!r}")
                caller = self._callers.number(record.caller, record.method, group.callers)
                registrations[name] = record.fingerprint, caller
            elif isinstance(record, RequestDone):
                key = (number, record.request_id)
                if record.request_id in requests or key in group.answers or self._has_answer(*key):
                    raise AlreadyJournalled(
                        f"account {account.account_id!r} has answered {record.request_id!r}"
                    )
                requests.add(record.request_id)
            elif isinstance(record, Routed):
                chosen = self.routed(record.route_id, record.client_order_id)
                if chosen not in (None, account.account_id):
                    raise AlreadyJournalled(
                        f"route {record.route_id!r} has {record.client_order_id!r} on account {chosen!r}"
                    )
        return registrations

    def _has_client(self, account: int, client_order_id: str) -> bool:
        if self.absent.take((account, client_order_id)):
            return False
        return self._store.row(ORDER_BY_CLIENT, (account, client_order_id)) is not None

    def _has_answer(self, account: int, request_id: str) -> bool:
        if self.absent.take((account, "request", request_id)):
            return False
        return self._store.row(FIND_ANSWER, (account, request_id)) is not None

    def _check_fill(self, account: Account, key: FillKey, beside: set[FillKey]) -> None:
        """Raises `AlreadyJournalled` for an execution that was booked before, or stands in the same stage twice."""
        if (
            key in beside
            or key in account.views.fills
            or (
                not self.absent.take((account.number, *key))
                and self._store.row(HAS_FILL, (account.number, *key)) is not None
            )
        ):
            raise AlreadyJournalled(f"account {account.account_id!r} has booked execution {key!r}")
        beside.add(key)
