"""Event streams: a cursor, a pull from the journal, and nothing held in between (law 8)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.events import EventKind
from brokergate.domain.orders import Order


class StartPosition(IntEnum):
    """Where a stream starts, other than at a cursor or a time."""

    UNSPECIFIED = 0
    EARLIEST = 1
    LIVE = 2
    SNAPSHOT = 3


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What a subscriber asks for. Exactly one of the three starts is set; `account_ids` are known and allowed."""

    account_ids: tuple[str, ...]
    after_cursor: str | None = None
    start_time_ns: int | None = None
    start_position: StartPosition | None = None
    kinds: frozenset[EventKind] = frozenset()
    symbols: frozenset[str] = frozenset()
    heartbeat_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Opened:
    """The stream is open."""

    cursor: str
    time_ns: int
    epoch: int


@dataclass(frozen=True, slots=True)
class SnapshotPage:
    """A page of state, as (account id, value); `cursor` is empty but on the last page."""

    cursor: str
    orders: Sequence[Order]
    positions: Sequence[tuple[str, BrokerPosition]]
    balances: Sequence[tuple[str, BrokerBalance]]
    last: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Serialised `brokergate.v1.Event`s, as stored: 1 to 500."""

    cursor: str
    bodies: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What follows is live."""

    cursor: str


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing happened; the cursor has advanced."""

    cursor: str
    time_ns: int


StreamItem = Opened | SnapshotPage | Batch | CaughtUp | Beat


class EventStreams:
    """Follows the journal for subscribers."""

    def follow(self, request: StreamRequest) -> AsyncIterator[StreamItem]:
        """The stream's items, for ever. Raises GatewayError CURSOR_INVALID, CURSOR_EPOCH or CURSOR_EXPIRED."""
        raise NotImplementedError
