"""What happened on accounts: executions, and every other entry of the journal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from brokergate_client.control import StopProgress
from brokergate_client.enums import (
    ConnectionState,
    ControlEventType,
    DiscrepancyState,
    ErrorReason,
    EventKind,
    FillKind,
    FillOrigin,
    Liquidity,
    OrderEventType,
    Side,
)
from brokergate_client.exact import time_of
from brokergate_client.money import Balance, LedgerEntry, Money, Position
from brokergate_client.orders import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution. `fees` are costs, rebates below zero; empty with `fees_final` false they are not known yet.

    `cursor` is the one to keep once the fill has been dealt with; `event_id` and `sequence` are its place in the
    account's journal. All three are of streams: in a list they are empty.
    """

    fill_id: str
    order_id: str
    client_order_id: str
    broker_order_id: str
    broker_execution_id: str
    account_id: str
    symbol: str
    side: Side | int
    quantity: Decimal
    price: Decimal
    fees: tuple[Money, ...]
    fees_final: bool
    liquidity: Liquidity | int
    event_time_ns: int
    receive_time_ns: int
    origin: FillOrigin | int
    kind: FillKind | int
    corrects_fill_id: str
    event_id: str = ""
    sequence: int = 0
    cursor: str = ""

    @property
    def event_time(self) -> datetime:
        """When it happened, by the broker's clock."""
        return time_of(self.event_time_ns)

    @property
    def receive_time(self) -> datetime:
        """When the gateway learned of it, by its own clock."""
        return time_of(self.receive_time_ns)


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """An order changed; `order` is as it stands after the change."""

    type: OrderEventType | int
    order: Order
    request_id: str
    reason: ErrorReason | int
    message: str


@dataclass(frozen=True, slots=True)
class FillFees:
    """All the fees of an execution, in place of what was known."""

    fill_id: str
    order_id: str
    fees: tuple[Money, ...]


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """The connection to the broker changed."""

    state: ConnectionState | int
    message: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Between the two times the broker may have kept something from the gateway."""

    start_time_ns: int
    end_time_ns: int
    message: str


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """The broker and the journal disagree, and nothing explains it; OPEN freezes `symbol` on the account."""

    discrepancy_id: str
    symbol: str
    order_id: str
    expected: str
    actual: str
    message: str
    state: DiscrepancyState | int
    account_id: str = ""
    detect_time_ns: int = 0

    @property
    def detect_time(self) -> datetime:
        """When it was found."""
        return time_of(self.detect_time_ns)


@dataclass(frozen=True, slots=True)
class ControlChanged:
    """What may be traded changed, or a paper account did; `actor` is the name of the token that did it, empty where
    the gateway did by itself. `operation_id` and `stop` are of emergency stops."""

    type: ControlEventType | int
    request_id: str
    message: str
    actor: str
    operation_id: str = ""
    stop: StopProgress | None = None


@dataclass(frozen=True, slots=True)
class UnknownPayload:
    """Something that this client is too old to know."""


EventPayload = (
    OrderChanged
    | Fill
    | FillFees
    | Position
    | Balance
    | LedgerEntry
    | ConnectionChanged
    | Gap
    | Discrepancy
    | ControlChanged
    | UnknownPayload
)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of an account's journal. Sequences run 1, 2, 3 … without a hole, over all kinds."""

    event_id: str
    account_id: str
    sequence: int
    cursor: str
    time_ns: int
    kind: EventKind | int
    payload: EventPayload

    @property
    def time(self) -> datetime:
        """When it was journalled, by the gateway's clock."""
        return time_of(self.time_ns)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the accounts at `cursor`: orders that have not ended, positions that are not flat, balances."""

    cursor: str
    orders: tuple[Order, ...]
    positions: tuple[Position, ...]
    balances: tuple[Balance, ...]


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """All that was journalled before the stream was opened has been given; what follows is live.

    Comes again after every reconnect.
    """

    cursor: str


EventItem = Event | Snapshot | CaughtUp
"""What `Gateway.events` gives."""
