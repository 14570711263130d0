"""What the journal's disk holds, read from the tables themselves after every commit: the truth of a run.

It is kept apart from the engine and from the journal's own reading, so that both can be judged by it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from brokergate.codec.restore import (
    restore_balance,
    restore_fill,
    restore_ledger_entry,
    restore_order,
    restore_position,
    restore_time,
)
from brokergate.domain.accounts import BrokerBalance, BrokerPosition, LedgerEntry
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import ControlEventType, EventKind, OrderEventType
from brokergate.domain.fills import Fill
from brokergate.domain.money import ONE
from brokergate.domain.orders import Order
from brokergate.v1 import event_pb2, trading_control_pb2

SEQUENCE_BITS = 44
SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1


@dataclass(slots=True)
class Version:
    """An order as one event has it; `commit` is the number of the commit that brought it."""

    sequence: int
    commit: int
    event: OrderEventType
    order: Order
    reason: ErrorReason
    message: str
    request_id: str


@dataclass(slots=True)
class OrderStory:
    """All that the journal says of one order."""

    versions: list[Version] = field(default_factory=list)

    @property
    def latest(self) -> Order:
        """As it stands."""
        return self.versions[-1].order

    def commit_of(self, event: OrderEventType) -> int | None:
        """The commit that brought the first such event."""
        return next((version.commit for version in self.versions if version.event is event), None)

    @property
    def was_held(self) -> bool:
        """Whether it was held back at first."""
        return self.versions[0].order.held


Payload = (
    Version | Fill | BrokerPosition | BrokerBalance | LedgerEntry | event_pb2.ControlEvent
    | trading_control_pb2.Discrepancy | None
)  # fmt: skip


@dataclass(slots=True)
class Told:
    """One event of the journal."""

    account_id: str
    sequence: int
    kind: EventKind
    symbol: str
    commit: int
    stored_ns: int
    time_ns: int
    body: bytes
    payload: Payload


class AccountTruth:
    """One account as the journal tells it."""

    def __init__(self, account_id: str, number: int) -> None:
        self.account_id = account_id
        self.number = number
        self.events: list[Told] = []
        self.orders: dict[str, OrderStory] = {}
        self.by_client: dict[str, str] = {}
        self.by_broker: dict[str, str] = {}
        self.fills: dict[tuple[str, str, str], Fill] = {}
        self.positions: dict[str, BrokerPosition] = {}
        self.balances: dict[str, BrokerBalance] = {}
        self.ledger: list[LedgerEntry] = []
        self.tombstones: dict[str, int] = {}
        self.controls: list[event_pb2.ControlEvent] = []
        self.discrepancies: dict[str, trading_control_pb2.Discrepancy] = {}

    @property
    def head(self) -> int:
        """The last sequence."""
        return len(self.events)

    def story(self, client_order_id: str) -> OrderStory | None:
        """The order with this client id."""
        order_id = self.by_client.get(client_order_id)
        return None if order_id is None else self.orders[order_id]

    def story_of(self, client_order_id: str, broker_order_id: str) -> OrderStory | None:
        """Likewise, by the broker's id where the client's is not known."""
        order_id = self.by_client.get(client_order_id) or self.by_broker.get(broker_order_id)
        return None if order_id is None else self.orders[order_id]


class Truth:
    """All accounts. `check` is called with the new events of every commit, before they are counted in one by one by
    `count`."""

    def __init__(self, check: Callable[[AccountTruth, Sequence[Told]], None], expected: int) -> None:
        """`expected` accounts there will be."""
        self._expected = expected
        self.accounts: dict[str, AccountTruth] = {}
        self._numbers: dict[int, AccountTruth] = {}
        self._check = check

    def account(self, account_id: str) -> AccountTruth:
        """The account; an empty one where the journal has none yet."""
        return self.accounts.get(account_id) or AccountTruth(account_id, 0)

    def read(self, connection: sqlite3.Connection, commit: int) -> None:
        """Takes in what the commit brought."""
        select = sqlite3.Connection.execute
        if len(self._numbers) < self._expected:
            self._adopt(connection)
        for number, account in self._numbers.items():
            low, high = number << SEQUENCE_BITS | account.head, number << SEQUENCE_BITS | SEQUENCE_MASK
            rows = select(
                connection,
                "SELECT position, kind, time_ns, symbol, multiplier, body FROM events"
                " WHERE position > ? AND position <= ? ORDER BY position",
                (low, high),
            ).fetchall()
            if rows:
                self._check(account, [told(account, row, commit) for row in rows])

    def _adopt(self, connection: sqlite3.Connection) -> None:
        select = sqlite3.Connection.execute
        tables = select(connection, "SELECT 1 FROM sqlite_master WHERE name = 'accounts'").fetchone()
        if not tables:
            return
        for number, account_id in select(
            connection, "SELECT number, account_id FROM accounts ORDER BY number"
        ):
            if account_id not in self.accounts:
                self.accounts[account_id] = self._numbers[number] = AccountTruth(account_id, number)

    def rewind(self, connection: sqlite3.Connection) -> Iterator[tuple[AccountTruth, list[Told] | None]]:
        """The disk lost its tail. Gives each account anew and empty, with those of its events that are left, to be
        counted again; None where the disk holds others than were committed."""
        before, self.accounts, self._numbers = self._numbers, {}, {}
        self._adopt(connection)
        for number, account in self._numbers.items():
            bodies = [
                body
                for (body,) in connection.execute(
                    "SELECT body FROM events WHERE position > ? AND position <= ? ORDER BY position",
                    (number << SEQUENCE_BITS, number << SEQUENCE_BITS | SEQUENCE_MASK),
                )
            ]
            known = before[number].events[: len(bodies)]
            yield account, known if [event.body for event in known] == bodies else None


def told(account: AccountTruth, row: tuple[int, int, int, str, str | None, bytes], commit: int) -> Told:
    """A row of `events` as an event."""
    position, kind, stored_ns, symbol, multiplier, body = row
    event = event_pb2.Event.FromString(body)
    payload: Payload = None
    factor = ONE if multiplier is None else Decimal(multiplier)
    match event.WhichOneof("payload"):
        case "order":
            payload = Version(
                position & SEQUENCE_MASK,
                commit,
                OrderEventType(event.order.type),
                restore_order(event.order.order, factor),
                ErrorReason(event.order.reason),
                event.order.message,
                event.order.request_id,
            )
        case "fill":
            payload = restore_fill(event.fill.fill)
        case "position":
            payload = restore_position(event.position.position, factor)
        case "balance":
            payload = restore_balance(event.balance.balance)
        case "ledger_entry":
            payload = restore_ledger_entry(event.ledger_entry.entry)
        case "control":
            payload = event.control
        case "discrepancy":
            payload = event.discrepancy.discrepancy
        case _:
            pass  # it says that something happened, and holds nothing to check
    assert event.account_id == account.account_id
    assert event.sequence == position & SEQUENCE_MASK
    return Told(
        account.account_id,
        event.sequence,
        EventKind(kind),
        symbol,
        commit,
        stored_ns,
        restore_time(event.time),
        body,
        payload,
    )


def count(account: AccountTruth, event: Told) -> None:
    """Counts one event in."""
    account.events.append(event)
    payload = event.payload
    if isinstance(payload, Version):
        order = payload.order
        account.orders.setdefault(order.order_id, OrderStory()).versions.append(payload)
        if order.client_order_id:
            account.by_client.setdefault(order.client_order_id, order.order_id)
        if order.broker_order_id:
            account.by_broker[order.broker_order_id] = order.order_id
    elif isinstance(payload, Fill):
        account.fills[payload.key] = payload
    elif isinstance(payload, BrokerPosition):
        account.positions[payload.symbol] = payload
    elif isinstance(payload, BrokerBalance):
        account.balances[payload.currency] = payload
    elif isinstance(payload, LedgerEntry):
        account.ledger.append(payload)
    elif isinstance(payload, event_pb2.ControlEvent):
        account.controls.append(payload)
        if int(payload.type) == ControlEventType.TOMBSTONED:
            account.tombstones.setdefault(payload.message, event.commit)
    elif isinstance(payload, trading_control_pb2.Discrepancy):
        account.discrepancies[payload.discrepancy_id] = payload
