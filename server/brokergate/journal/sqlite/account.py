"""One account of the journal: its sequence, its newest events, its views, and how they are made again at opening."""

from __future__ import annotations

from decimal import Decimal

from brokergate.codec.encode.event import EventEncoder
from brokergate.codec.restore import (
    restore_balance,
    restore_fill,
    restore_money,
    restore_order,
    restore_position,
)
from brokergate.domain.events import (
    BalanceChanged,
    EventKind,
    EventPayload,
    FillBooked,
    FillFeesKnown,
    OrderChanged,
    OrderEventType,
    PositionChanged,
)
from brokergate.domain.money import ONE
from brokergate.journal.sqlite import queries
from brokergate.journal.sqlite.facts import facts_of
from brokergate.journal.sqlite.ids import number_of
from brokergate.journal.sqlite.ring import Ring
from brokergate.journal.sqlite.schema import SEQUENCE_BITS, SEQUENCE_MASK
from brokergate.journal.sqlite.store import Store
from brokergate.journal.sqlite.views import AccountViews
from brokergate.ports.journal import JournalError, StoredEvent
from brokergate.v1 import account_pb2, event_pb2, position_pb2


class Account:
    """What the journal keeps of an account in memory; none of it grows with the number of orders."""

    def __init__(
        self, number: int, account_id: str, event_prefix: str, cursor_prefix: str, *, durable: bool
    ) -> None:
        self.durable = durable
        """Whether what is committed is published only when it is on the disk."""
        self.number = number
        self.base = number << SEQUENCE_BITS
        self.account_id = account_id
        self.encode = EventEncoder(account_id, event_prefix, cursor_prefix)
        self.head = 0
        """The last published sequence."""
        self.first = 1
        """The first sequence that is kept."""
        self.staged = 0
        """The last staged one."""
        self.time_ns = 0
        """The last event's time; the stored times never go back, so that they can be searched."""
        self.indexed = 0
        """The sequence up to which the views are written."""
        self.orders_drawn = 0
        self.fills_drawn = 0
        self.discrepancies_drawn = 0
        self.commands = 0
        """The number of the last answer in the audit."""
        self.steps_drawn = 0
        """How many rows of venue steps there were."""
        self.ring = Ring()
        self.views = AccountViews(number, account_id)

    def go_on_from(self, before: Account) -> None:
        """Draws no id that was drawn before the journal failed."""
        self.orders_drawn = max(self.orders_drawn, before.orders_drawn)
        self.fills_drawn = max(self.fills_drawn, before.fills_drawn)
        self.discrepancies_drawn = max(self.discrepancies_drawn, before.discrepancies_drawn)


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
        case "fill_fees":
            told = event.fill_fees
            fees = tuple(restore_money(fee) for fee in told.fees)
            # Its symbol is beside its body; no view asks for it.
            return FillFeesKnown(told.fill_id, told.order_id, "", fees)
        case _:
            return None


def load_account(store: Store, account: Account) -> None:
    """Finds an account's events of earlier runs, and takes those into its views that were not written there."""
    base, end = account.base, account.base | SEQUENCE_MASK
    row = store.row(queries.LAST_EVENT, (base, end))
    if row:
        account.head, account.time_ns = row[0] & SEQUENCE_MASK, row[1]
        account.staged = account.head
    _load_views(store, account)
    events: list[StoredEvent] = []
    for position, kind, time_ns, symbol, fingerprint, multiplier, body, caller in store.rows(
        queries.EVENTS_FROM, (base | account.indexed, end)
    ):
        sequence = position & SEQUENCE_MASK
        if sequence != account.indexed + len(events) + 1:
            raise JournalError(
                f"journal {store.path!r} is damaged: account {account.account_id!r} has no event "
                f"{account.indexed + len(events) + 1}; restore it from a copy"
            )
        events.append(StoredEvent(sequence, EventKind(kind), symbol, body))
        payload = payload_of(event_pb2.Event.FromString(body), multiplier_of(multiplier))
        if payload is None:
            continue
        account.views.apply(sequence, time_ns, payload, facts_of(payload)[3])
        if fingerprint is not None and isinstance(payload, OrderChanged):
            account.views.register(payload.order.client_order_id, fingerprint, caller)
    if events:
        account.ring.extend(events)
    account.orders_drawn = account.views.last_order
    account.fills_drawn = account.views.last_fill
    last = store.row(queries.LAST_DISCREPANCY, (base, end))
    account.discrepancies_drawn = last[0] & SEQUENCE_MASK if last else 0
    last = store.row(queries.LAST_VENUE_STEP, (base, end))
    account.steps_drawn = last[0] & SEQUENCE_MASK if last else 0


def _load_views(store: Store, account: Account) -> None:
    views = account.views
    bounds = (account.base, account.base | SEQUENCE_MASK)
    row = store.row(queries.LAST_ORDER, bounds)
    if row:
        views.last_order = row[0] & SEQUENCE_MASK
    # Fill ids are drawn in the order in which fills are journalled: the last one has the highest number.
    row = store.row(queries.LAST_FILL, bounds)
    if row:
        views.last_fill = number_of(event_pb2.Event.FromString(row[1]).fill.fill.fill_id)
    for kind, name, multiplier, body in store.rows(queries.HOLDINGS, (account.number,)):
        if kind == EventKind.POSITION:
            position = position_pb2.Position.FromString(body)
            views.positions[name] = restore_position(position, multiplier_of(multiplier))
        else:
            views.balances[name] = restore_balance(account_pb2.Balance.FromString(body))
