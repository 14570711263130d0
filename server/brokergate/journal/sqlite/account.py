"""One account of the journal: its sequence, its newest events, its views, and how they are made again at opening."""

from __future__ import annotations

import sqlite3
from decimal import Decimal

from brokergate.codec.encode.event import EventEncoder
from brokergate.codec.restore import restore_balance, restore_fill, restore_order, restore_position
from brokergate.domain.events import (
    BalanceChanged,
    EventKind,
    EventPayload,
    FillBooked,
    OrderChanged,
    OrderEventType,
    PositionChanged,
)
from brokergate.domain.money import ONE
from brokergate.journal.sqlite.facts import facts_of
from brokergate.journal.sqlite.ids import number_of
from brokergate.journal.sqlite.ring import Ring
from brokergate.journal.sqlite.schema import SEQUENCE_BITS, SEQUENCE_MASK
from brokergate.journal.sqlite.views import AccountViews
from brokergate.ports.journal import StoredEvent
from brokergate.v1 import account_pb2, event_pb2, position_pb2


class Account:
    """What the journal keeps of an account in memory; none of it grows with the number of orders."""

    def __init__(self, number: int, account_id: str, event_prefix: str, cursor_prefix: str) -> None:
        self.number = number
        self.base = number << SEQUENCE_BITS
        self.account_id = account_id
        self.encode = EventEncoder(account_id, event_prefix, cursor_prefix)
        self.head = 0
        """The last committed sequence."""
        self.staged = 0
        """The last staged one."""
        self.time_ns = 0
        """The last event's time; the stored times never go back, so that they can be searched."""
        self.indexed = 0
        """The sequence up to which the views are written."""
        self.orders_drawn = 0
        self.fills_drawn = 0
        self.ring = Ring()
        self.views = AccountViews(number, account_id)


def multiplier_of(text: str | None) -> Decimal:
    """A multiplier as `views.multiplier_text` stored it."""
    return ONE if text is None else Decimal(text)


def payload_of(event: event_pb2.Event, multiplier: Decimal) -> EventPayload | None:
    """The payload of a stored event that the views follow from; None for the other kinds."""
    match event.WhichOneof("payload"):
        case "order":
            return OrderChanged(
                OrderEventType(event.order.type), restore_order(event.order.order, multiplier)
            )
        case "fill":
            return FillBooked(restore_fill(event.fill.fill))
        case "position":
            return PositionChanged(restore_position(event.position.position, multiplier))
        case "balance":
            return BalanceChanged(restore_balance(event.balance.balance))
        case _:
            return None


def load_account(connection: sqlite3.Connection, account: Account) -> None:
    """Finds an account's events of earlier runs, and takes those into its views that were not written there."""
    base, end = account.base, account.base | SEQUENCE_MASK
    row = connection.execute(
        "SELECT position & ?, time_ns FROM events WHERE position BETWEEN ? AND ? ORDER BY position DESC LIMIT 1",
        (SEQUENCE_MASK, base, end),
    ).fetchone()
    if row:
        account.head, account.time_ns = row
        account.staged = account.head
    _load_views(connection, account)
    events: list[StoredEvent] = []
    for position, kind, time_ns, symbol, fingerprint, multiplier, body in connection.execute(
        "SELECT * FROM events WHERE position > ? AND position <= ? ORDER BY position",
        (base | account.indexed, end),
    ):
        sequence = position & SEQUENCE_MASK
        events.append(StoredEvent(sequence, EventKind(kind), symbol, body))
        payload = payload_of(event_pb2.Event.FromString(body), multiplier_of(multiplier))
        if payload is None:
            continue
        account.views.apply(sequence, time_ns, payload, facts_of(payload)[3])
        if fingerprint is not None and isinstance(payload, OrderChanged):
            account.views.register(payload.order.client_order_id, fingerprint)
    if events:
        account.ring.extend(events)
    account.orders_drawn = account.views.last_order
    account.fills_drawn = account.views.last_fill


def _load_views(connection: sqlite3.Connection, account: Account) -> None:
    views = account.views
    row = connection.execute(
        "SELECT position & ? FROM orders WHERE position BETWEEN ? AND ? ORDER BY position DESC LIMIT 1",
        (SEQUENCE_MASK, account.base, account.base | SEQUENCE_MASK),
    ).fetchone()
    if row:
        views.last_order = row[0]
    # Fill ids are drawn in the order in which fills are journalled: the last one has the highest number.
    row = connection.execute(
        "SELECT e.body FROM fills f JOIN events e USING (position) WHERE f.position BETWEEN ? AND ? "
        "ORDER BY f.position DESC LIMIT 1",
        (account.base, account.base | SEQUENCE_MASK),
    ).fetchone()
    if row:
        views.last_fill = number_of(event_pb2.Event.FromString(row[0]).fill.fill.fill_id)
    for kind, name, multiplier, body in connection.execute(
        "SELECT kind, name, multiplier, body FROM holdings WHERE account = ?", (account.number,)
    ):
        if kind == EventKind.POSITION:
            position = position_pb2.Position.FromString(body)
            views.positions[name] = restore_position(position, multiplier_of(multiplier))
        else:
            views.balances[name] = restore_balance(account_pb2.Balance.FromString(body))
