"""What is stored beside an event's body: its kind, what it is about, and what its body lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from brokergate.domain.events import (
    BalanceChanged,
    ConnectionChanged,
    ControlChanged,
    DiscrepancyChanged,
    EventKind,
    EventPayload,
    FillBooked,
    FillFeesKnown,
    GapFound,
    LedgerEntryBooked,
    OrderChanged,
    PositionChanged,
)
from brokergate.domain.money import ONE, format_decimal
from brokergate.journal.sqlite.ids import number_of

Facts = tuple[EventKind, int, str, int, str | None]
"""The kind, the kind as a plain integer (SQLite adapts an enum's member at six times the cost), the symbol or '', the
number of the order's, fill's or discrepancy's id or 0, the multiplier as it is stored."""


def multiplier_text(multiplier: Decimal) -> str | None:
    """How a multiplier is stored: 1, as nearly all are, as nothing."""
    return None if multiplier == ONE else format_decimal(multiplier)


def _order(payload: OrderChanged) -> Facts:
    order = payload.order
    number = number_of(order.order_id)
    return EventKind.ORDER, 1, order.spec.symbol, number, multiplier_text(order.multiplier)


def _fill(payload: FillBooked) -> Facts:
    fill = payload.fill
    if fill.order_id:  # none for an execution of others' order that was never seen open
        number_of(fill.order_id)
    return EventKind.FILL, 2, fill.symbol, number_of(fill.fill_id), None


def _position(payload: PositionChanged) -> Facts:
    position = payload.position
    return EventKind.POSITION, 4, position.symbol, 0, multiplier_text(position.multiplier)


def _discrepancy(payload: DiscrepancyChanged) -> Facts:
    found = payload.discrepancy
    return EventKind.DISCREPANCY, 9, found.symbol, number_of(found.discrepancy_id), None


def _about_symbol(kind: EventKind) -> Callable[[Any], Facts]:
    return lambda payload: (kind, int(kind), payload.symbol, 0, None)


def _about_nothing(kind: EventKind) -> Callable[[Any], Facts]:
    facts: Facts = (kind, int(kind), "", 0, None)
    return lambda payload: facts


_FACTS: Mapping[type, Callable[[Any], Facts]] = {
    OrderChanged: _order,
    FillBooked: _fill,
    FillFeesKnown: _about_symbol(EventKind.FILL_FEES),
    PositionChanged: _position,
    BalanceChanged: _about_nothing(EventKind.BALANCE),
    LedgerEntryBooked: lambda payload: (EventKind.LEDGER_ENTRY, 6, payload.entry.symbol, 0, None),
    ConnectionChanged: _about_nothing(EventKind.CONNECTION),
    GapFound: _about_nothing(EventKind.GAP),
    DiscrepancyChanged: _discrepancy,
    ControlChanged: _about_nothing(EventKind.CONTROL),
}


def facts_of(payload: EventPayload) -> Facts:
    """What is stored beside the body of an event with `payload`. Raises `ValueError` for an order, a fill or a
    disagreement whose id the journal never gave."""
    return _FACTS[type(payload)](payload)
