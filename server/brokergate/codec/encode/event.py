"""Journal entries as bytes: what is stored is what goes out."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from brokergate.codec.encode.account import balance_bytes, ledger_entry_fields, position_bytes
from brokergate.codec.encode.control import discrepancy_bytes, stop_progress_fields
from brokergate.codec.encode.fill import fill_bytes
from brokergate.codec.encode.order import order_bytes
from brokergate.codec.encode.values import Fields, money_fields, timestamp_bytes, timestamp_fields
from brokergate.codec.wire import LENGTHS, delimited, delimited_tag, varint, varint_tag
from brokergate.domain.events import (
    BalanceChanged,
    ConnectionChanged,
    ControlChanged,
    DiscrepancyChanged,
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
_DISCREPANCY = delimited_tag(_EVENT, "discrepancy")
_CONTROL = delimited_tag(_EVENT, "control")
_ORDER_IN_EVENT = delimited_tag(event_pb2.OrderEvent.DESCRIPTOR, "order")
_FILL_IN_EVENT = delimited_tag(event_pb2.FillEvent.DESCRIPTOR, "fill")
_POSITION_IN_EVENT = delimited_tag(event_pb2.PositionEvent.DESCRIPTOR, "position")
_BALANCE_IN_EVENT = delimited_tag(event_pb2.BalanceEvent.DESCRIPTOR, "balance")
_DISCREPANCY_IN_EVENT = delimited_tag(event_pb2.DiscrepancyEvent.DESCRIPTOR, "discrepancy")
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


def _discrepancy(account_id: str, payload: DiscrepancyChanged) -> bytes:
    return delimited(_DISCREPANCY, delimited(_DISCREPANCY_IN_EVENT, discrepancy_bytes(payload.discrepancy)))


def _control(account_id: str, payload: ControlChanged) -> bytes:
    fields: Fields = {
        "type": payload.type,
        "request_id": payload.request_id,
        "message": payload.message,
        "actor": payload.actor,
        "operation_id": payload.operation_id,
    }
    if payload.stop is not None:
        fields["stop"] = stop_progress_fields(payload.stop)
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
    DiscrepancyChanged: _discrepancy,
    ControlChanged: _control,
}


_EVENT_ID = delimited_tag(_EVENT, "event_id")
_ACCOUNT_ID = delimited_tag(_EVENT, "account_id")
_SEQUENCE = varint_tag(_EVENT, "sequence")
_CURSOR = delimited_tag(_EVENT, "cursor")
_TIME = delimited_tag(_EVENT, "time")

_LOW = tuple(bytes((low | 0x80,)) for low in range(128))
"""The first byte of a varint of two or more."""

_high = lru_cache(maxsize=256)(varint)


class EventEncoder:
    """Encodes the events of one account.

    Their heads differ in the sequence alone, which stands in the id, in the cursor and by itself: the rest is a
    pattern, made anew when the time or the sequence's number of digits is another one.
    """

    __slots__ = ("_account_id", "_cursor_prefix", "_event_prefix", "_limit", "_pattern", "_time_ns")

    def __init__(self, account_id: str, event_prefix: str, cursor_prefix: str) -> None:
        """An event's id is `event_prefix` and its sequence; its cursor is `cursor_prefix` and its sequence."""
        self._account_id = account_id
        self._event_prefix = event_prefix.encode()
        self._cursor_prefix = cursor_prefix.encode()
        self._time_ns = -1
        self._limit = range(0)
        self._pattern = b""

    def __call__(self, sequence: int, time_ns: int, payload: EventPayload) -> bytes:
        """A serialised Event. An order in it is encoded once, however many messages carry it."""
        if time_ns != self._time_ns or sequence not in self._limit:
            self._turn(sequence, time_ns)
        high = sequence >> 7
        number = _LOW[sequence & 0x7F] + _high(high) if high else LENGTHS[sequence]
        return self._pattern % (sequence, number, sequence) + _PAYLOADS[type(payload)](
            self._account_id, payload
        )

    def _turn(self, sequence: int, time_ns: int) -> None:
        digits = len(str(sequence))
        self._time_ns = time_ns
        self._limit = range(10 ** (digits - 1), 10**digits)

        def fixed(text: bytes) -> bytes:
            return text.replace(b"%", b"%%")

        def counted(tag: bytes, prefix: bytes) -> bytes:
            return fixed(tag + varint(len(prefix) + digits) + prefix) + b"%d"

        self._pattern = (
            counted(_EVENT_ID, self._event_prefix)
            + fixed(delimited(_ACCOUNT_ID, self._account_id.encode()))
            + fixed(_SEQUENCE)
            + b"%b"
            + counted(_CURSOR, self._cursor_prefix)
            + fixed(delimited(_TIME, timestamp_bytes(time_ns)))
        )
