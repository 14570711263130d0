"""Messages of the event streams as bytes. StreamFillsResponse is StreamEventsResponse without the snapshots: its
fields have the same numbers, so that the same bytes serve both (a test holds the contract to it)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from brokergate.codec.encode.account import balance_fields, position_fields
from brokergate.codec.encode.order import order_fields
from brokergate.codec.encode.values import Fields, timestamp_fields
from brokergate.codec.wire import LENGTHS, delimited, delimited_tag
from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import Order
from brokergate.v1 import event_pb2, stream_pb2

_RESPONSE = event_pb2.StreamEventsResponse.DESCRIPTOR
_CURSOR = delimited_tag(_RESPONSE, "cursor")
_BATCH = delimited_tag(_RESPONSE, "batch")
_EVENTS = delimited_tag(event_pb2.EventBatch.DESCRIPTOR, "events")

_PREFIXES = tuple(_EVENTS + length for length in LENGTHS)
"""What stands before an event, by its length."""


def event_batch_bytes(cursor: str, bodies: Sequence[bytes]) -> bytes:
    """A message with a batch of events, each as it was stored."""
    prefixes = _PREFIXES
    try:
        batch = b"".join([part for body in bodies for part in (prefixes[len(body)], body)])
    except IndexError:
        batch = b"".join([delimited(_EVENTS, body) for body in bodies])
    return delimited(_CURSOR, cursor.encode()) + delimited(_BATCH, batch)


def _message(cursor: str, payload: str, fields: Fields) -> bytes:
    whole: Fields = {"cursor": cursor, payload: fields}
    return event_pb2.StreamEventsResponse(**whole).SerializeToString()


def opened_bytes(cursor: str, time_ns: int, epoch: int, server_version: str) -> bytes:
    """The first message."""
    fields = {"server_time": timestamp_fields(time_ns), "epoch": epoch, "server_version": server_version}
    return _message(cursor, "opened", fields)


def caught_up_bytes(cursor: str) -> bytes:
    """What follows is live."""
    return _message(cursor, "caught_up", {})


def heartbeat_bytes(cursor: str, time_ns: int) -> bytes:
    """Nothing happened."""
    return _message(cursor, "heartbeat", {"server_time": timestamp_fields(time_ns)})


def closing_bytes(cursor: str, reason: ErrorReason, message: str) -> bytes:
    """The gateway ends the stream."""
    return _message(cursor, "closing", {"reason": reason, "message": message})


def snapshot_bytes(
    cursor: str,
    orders: Iterable[Order],
    positions: Iterable[tuple[str, BrokerPosition]],
    balances: Iterable[tuple[str, BrokerBalance]],
    last: bool,
) -> bytes:
    """A page of state, positions and balances as (account id, value)."""
    fields = {
        "orders": [order_fields(order) for order in orders],
        "positions": [position_fields(account_id, position) for account_id, position in positions],
        "balances": [balance_fields(account_id, balance) for account_id, balance in balances],
        "last": last,
    }
    return _message(cursor, "snapshot", fields)


def encode_closing(reason: ErrorReason, message: str) -> stream_pb2.StreamClosing:
    """A StreamClosing, for the streams that are not of events."""
    fields: Fields = {"reason": reason, "message": message}
    return stream_pb2.StreamClosing(**fields)
