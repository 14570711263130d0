"""What is journalled: one union of payloads, one envelope. Field by field as `event.proto`."""

from __future__ import annotations

from enum import IntEnum

from brokergate.domain.accounts import BrokerBalance, BrokerPosition, ConnectionState, LedgerEntry
from brokergate.domain.control import Discrepancy, StopProgress
from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Fill, Money
from brokergate.domain.orders import Order
from brokergate.domain.values import value


class EventKind(IntEnum):
    """The kinds of event."""

    UNSPECIFIED = 0
    ORDER = 1
    FILL = 2
    FILL_FEES = 3
    POSITION = 4
    BALANCE = 5
    LEDGER_ENTRY = 6
    CONNECTION = 7
    GAP = 8
    DISCREPANCY = 9
    CONTROL = 10


class OrderEventType(IntEnum):
    """What changed on an order."""

    UNSPECIFIED = 0
    INTENT = 1
    DISPATCHED = 2
    ACKNOWLEDGED = 3
    REJECTED = 4
    TRIGGERED = 5
    PARTIALLY_FILLED = 6
    FILLED = 7
    CANCEL_REQUESTED = 8
    CANCELED = 9
    CANCEL_REJECTED = 10
    REPLACE_REQUESTED = 11
    REPLACED = 12
    REPLACE_REJECTED = 13
    EXPIRED = 14
    UNCERTAIN = 15
    RESOLVED = 16
    CORRECTED = 17
    EXTERNAL = 18


class ControlEventType(IntEnum):
    """What changed in what may be traded, or on a paper account."""

    UNSPECIFIED = 0
    ACCOUNT_CREATED = 1
    ACCOUNT_RESET = 2
    STOPPED = 3
    STOP_PROGRESS = 4
    RESUMED = 5
    FREEZE_CLEARED = 6
    TAPE = 7
    TOMBSTONED = 8
    ORDER_RESOLVED = 9
    MARGIN_CALL = 10
    LIQUIDATION = 11
    FAULTS = 12


@value
class OrderChanged:
    """An order changed; `order` is as it stands after the change."""

    type: OrderEventType
    order: Order
    request_id: str = ""
    reason: ErrorReason = ErrorReason.UNSPECIFIED
    message: str = ""


@value
class FillBooked:
    """An execution was booked."""

    fill: Fill


@value
class FillFeesKnown:
    """All fees of an execution, in place of what was known."""

    fill_id: str
    order_id: str
    symbol: str
    fees: tuple[Money, ...]


@value
class PositionChanged:
    """A position after a change."""

    position: BrokerPosition


@value
class BalanceChanged:
    """A balance after a change."""

    balance: BrokerBalance


@value
class LedgerEntryBooked:
    """Cash moved other than by a fill."""

    entry: LedgerEntry


@value
class ConnectionChanged:
    """The connection to the broker changed."""

    state: ConnectionState
    message: str = ""


@value
class GapFound:
    """The broker may have kept something from the gateway between the two times."""

    start_time_ns: int
    end_time_ns: int
    message: str = ""


@value
class ControlChanged:
    """What may be traded changed, or a paper account did; `actor` is the token's name."""

    type: ControlEventType
    request_id: str = ""
    message: str = ""
    actor: str = ""
    operation_id: str = ""
    stop: StopProgress | None = None


@value
class DiscrepancyChanged:
    """The broker and the journal disagree, or no longer do."""

    discrepancy: Discrepancy


EventPayload = (
    OrderChanged
    | FillBooked
    | FillFeesKnown
    | PositionChanged
    | BalanceChanged
    | LedgerEntryBooked
    | ConnectionChanged
    | GapFound
    | ControlChanged
    | DiscrepancyChanged
)


@value
class Event:
    """One entry of an account's journal. `time_ns` is the gateway's clock at the commit's staging."""

    account_id: str
    sequence: int
    time_ns: int
    payload: EventPayload
