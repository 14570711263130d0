"""Journal entries as bytes: what is stored is what goes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brokergate.codec.encode.account import balance_bytes, ledger_entry_fields, position_bytes
from brokergate.codec.encode.fill import fill_bytes
from brokergate.codec.encode.order import order_bytes
from brokergate.codec.encode.values import Fields, money_fields, timestamp_bytes, timestamp_fields
from brokergate.codec.wire import LENGTHS, delimited, delimited_tag, template, varint
from brokergate.domain.events import (
    BalanceChanged,
    ConnectionChanged,
    ControlChanged,
    Event,
    EventPayload,
    FillBooked,
    FillFeesKnown,
    GapFound,
    LedgerEntryBooked,
    OrderChanged,
    OrderEventType,
    PositionChanged,
)
from brokergate.v1 import event_pb2

_EVENT = event_pb2.Event.DESCRIPTOR
_ORDER = delimited_tag(_EVENT, "order")
_FILL = delimited_tag(_EVENT, "fill")
_FILL_FEES = delimited_tag(_EVENT, "fill_fees")
_POSITION = delimited_tag(_EVENT, "position")
_BALANCE = delimited_tag(_EVENT, "balance")
_LEDGER_ENTRY = delimited_tag(_EVENT, "ledger_entry")
_CONNECTION = delimited_tag(_EVENT, "connection")
_GAP = delimited_tag(_EVENT, "gap")
_CONTROL = delimited_tag(_EVENT, "control")
_ORDER_IN_EVENT = delimited_tag(event_pb2.OrderEvent.DESCRIPTOR, "order")
_FILL_IN_EVENT = delimited_tag(event_pb2.FillEvent.DESCRIPTOR, "fill")
_POSITION_IN_EVENT = delimited_tag(event_pb2.PositionEvent.DESCRIPTOR, "position")
_BALANCE_IN_EVENT = delimited_tag(event_pb2.BalanceEvent.DESCRIPTOR, "balance")
_ORDER_EVENT_TYPES = {
    kind: event_pb2.OrderEvent(type=event_pb2.OrderEventType.ValueType(kind)).SerializeToString()
    for kind in OrderEventType
}


def _order(account_id: str, payload: OrderChanged) -> bytes:
    body = _ORDER_EVENT_TYPES[payload.type] + delimited(_ORDER_IN_EVENT, order_bytes(payload.order))
    if payload.request_id or payload.reason or payload.message:
        body += event_pb2.OrderEvent(
            request_id=payload.request_id,
            reason=payload.reason,  # type: ignore[arg-type]  # an IntEnum with the contract's numbers
            message=payload.message,
        ).SerializeToString()
    return delimited(_ORDER, body)


def _fill(account_id: str, payload: FillBooked) -> bytes:
    return delimited(_FILL, delimited(_FILL_IN_EVENT, fill_bytes(payload.fill)))


def _fill_fees(account_id: str, payload: FillFeesKnown) -> bytes:
    fields: Fields = {
        "fill_id": payload.fill_id,
        "order_id": payload.order_id,
        "fees": [money_fields(fee) for fee in payload.fees],
    }
    return delimited(_FILL_FEES, event_pb2.FillFeesEvent(**fields).SerializeToString())


def _position(account_id: str, payload: PositionChanged) -> bytes:
    body = position_bytes(account_id, payload.position)
    return delimited(_POSITION, delimited(_POSITION_IN_EVENT, body))


def _balance(account_id: str, payload: BalanceChanged) -> bytes:
    return delimited(_BALANCE, delimited(_BALANCE_IN_EVENT, balance_bytes(account_id, payload.balance)))


def _ledger_entry(account_id: str, payload: LedgerEntryBooked) -> bytes:
    fields: Fields = {"entry": ledger_entry_fields(account_id, payload.entry)}
    return delimited(_LEDGER_ENTRY, event_pb2.LedgerEntryEvent(**fields).SerializeToString())


def _connection(account_id: str, payload: ConnectionChanged) -> bytes:
    fields: Fields = {"state": payload.state, "message": payload.message}
    return delimited(_CONNECTION, event_pb2.ConnectionEvent(**fields).SerializeToString())


def _gap(account_id: str, payload: GapFound) -> bytes:
    fields: Fields = {
        "start_time": timestamp_fields(payload.start_time_ns),
        "end_time": timestamp_fields(payload.end_time_ns),
        "message": payload.message,
    }
    return delimited(_GAP, event_pb2.GapEvent(**fields).SerializeToString())


def _control(account_id: str, payload: ControlChanged) -> bytes:
    fields: Fields = {
        "type": payload.type,
        "request_id": payload.request_id,
        "message": payload.message,
        "actor": payload.actor,
    }
    return delimited(_CONTROL, event_pb2.ControlEvent(**fields).SerializeToString())


_PAYLOADS: dict[type, Callable[[str, Any], bytes]] = {
    OrderChanged: _order,
    FillBooked: _fill,
    FillFeesKnown: _fill_fees,
    PositionChanged: _position,
    BalanceChanged: _balance,
    LedgerEntryBooked: _ledger_entry,
    ConnectionChanged: _connection,
    GapFound: _gap,
    ControlChanged: _control,
}


_HEAD = template(_EVENT, "event_id", "account_id", "sequence", "cursor", "time")


def event_bytes(
    account_id: str, sequence: int, time_ns: int, payload: EventPayload, event_id: str, cursor: str
) -> bytes:
    """A serialised Event. An order in it is encoded once, however many messages carry it."""
    identifier, account, place = event_id.encode(), account_id.encode(), cursor.encode()
    time = timestamp_bytes(time_ns)
    head = _HEAD % (
        LENGTHS[len(identifier)],
        identifier,
        LENGTHS[len(account)],
        account,
        varint(sequence),
        LENGTHS[len(place)],
        place,
        LENGTHS[len(time)],
        time,
    )
    return head + _PAYLOADS[type(payload)](account_id, payload)


def encode_event(event: Event, event_id: str, cursor: str) -> bytes:
    """A serialised Event."""
    return event_bytes(event.account_id, event.sequence, event.time_ns, event.payload, event_id, cursor)
