"""The contract's enums, with its numbers (tests hold them equal).

A server that is newer than this client may send a number that is not here. It is carried through as the plain `int`
that it is, so every field is annotated `Side | int` and the like; `name_of` writes either.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

_E = TypeVar("_E", bound=IntEnum)


def known(enum: type[_E], number: int) -> _E | int:
    """The member of `enum` with this number, or the number where this client does not know it."""
    return enum._value2member_map_.get(number, number)  # type: ignore[return-value]


def name_of(value: int) -> str:
    """The name of an enum's member; for a number that this client does not know, its digits."""
    return value.name if isinstance(value, IntEnum) else str(value)


class Side(IntEnum):
    """Which way an order or a fill goes."""

    UNSPECIFIED = 0
    BUY = 1
    SELL = 2


class OrderType(IntEnum):
    """How an order finds its price (FIX tag 40)."""

    UNSPECIFIED = 0
    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4
    TRAILING_STOP = 5
    MARKET_IF_TOUCHED = 6
    LIMIT_IF_TOUCHED = 7


class TimeInForce(IntEnum):
    """How long an order works (FIX tag 59); UNSPECIFIED is the venue's default."""

    UNSPECIFIED = 0
    DAY = 1
    GTC = 2
    GTD = 3
    IOC = 4
    FOK = 5
    AT_OPEN = 6
    AT_CLOSE = 7


class TriggerSource(IntEnum):
    """Which price sets a stop off."""

    UNSPECIFIED = 0
    LAST = 1
    BID_ASK = 2
    MARK = 3


class SelfTradePrevention(IntEnum):
    """What happens when an order would trade with another one of the same account."""

    UNSPECIFIED = 0
    CANCEL_TAKER = 1
    CANCEL_MAKER = 2
    CANCEL_BOTH = 3


class OrderState(IntEnum):
    """What the venue last proved of an order (FIX tag 39)."""

    UNSPECIFIED = 0
    PENDING_NEW = 1
    NEW = 2
    PARTIALLY_FILLED = 3
    FILLED = 4
    CANCELED = 5
    REJECTED = 6
    EXPIRED = 7


class OrderOrigin(IntEnum):
    """Whose order it is: placed through the gateway, or by others."""

    UNSPECIFIED = 0
    GATEWAY = 1
    EXTERNAL = 2


class PendingActionKind(IntEnum):
    """What is under way on an order."""

    UNSPECIFIED = 0
    NEW = 1
    REPLACE = 2
    CANCEL = 3


class IfUnknown(IntEnum):
    """What to do with a cancel whose order is not known."""

    UNSPECIFIED = 0
    ERROR = 1
    TOMBSTONE = 2


class Liquidity(IntEnum):
    """Whether a fill took liquidity or gave it."""

    UNSPECIFIED = 0
    MAKER = 1
    TAKER = 2


class FillOrigin(IntEnum):
    """How the gateway came to know a fill: as it happened, or by asking after a gap."""

    UNSPECIFIED = 0
    LIVE = 1
    BACKFILL = 2


class FillKind(IntEnum):
    """What a fill does to the ones before it."""

    UNSPECIFIED = 0
    NORMAL = 1
    CORRECTION = 2
    BUST = 3


class ValueSource(IntEnum):
    """Who worked out an absolute value: the gateway, or the venue."""

    UNSPECIFIED = 0
    DERIVED = 1
    VENUE = 2


class Environment(IntEnum):
    """Which of a broker's worlds an account lives in."""

    UNSPECIFIED = 0
    LIVE = 1
    PAPER = 2
    TESTNET = 3
    DEMO = 4


class LedgerEntryKind(IntEnum):
    """Why cash moved other than by a fill."""

    UNSPECIFIED = 0
    DEPOSIT = 1
    WITHDRAWAL = 2
    FUNDING = 3
    DIVIDEND = 4
    SPLIT = 5
    INTEREST = 6
    RESET = 7
    ADJUSTMENT = 8


class InstrumentKind(IntEnum):
    """What an instrument is."""

    UNSPECIFIED = 0
    SPOT = 1
    EQUITY = 2
    FOREX = 3
    PERPETUAL = 4
    FUTURE = 5
    OPTION = 6


class InstrumentTradingState(IntEnum):
    """Whether an instrument takes orders."""

    UNSPECIFIED = 0
    TRADING = 1
    HALTED = 2
    CLOSED = 3
    CANCEL_ONLY = 4


class ConnectionState(IntEnum):
    """Where the connection to a broker stands."""

    UNSPECIFIED = 0
    DISCONNECTED = 1
    CONNECTING = 2
    CONNECTED = 3
    RECONNECTING = 4
    ERROR = 5


class DiscrepancyState(IntEnum):
    """Where a disagreement between broker and journal stands."""

    UNSPECIFIED = 0
    OPEN = 1
    RESOLVED = 2


class TradingState(IntEnum):
    """Whether an account takes new orders."""

    UNSPECIFIED = 0
    ACTIVE = 1
    READ_ONLY = 2
    STOPPED = 3
    PAUSED = 4


class StopPhase(IntEnum):
    """How far an emergency stop is on an account; DONE is proven."""

    UNSPECIFIED = 0
    CANCELLING = 1
    FLATTENING = 2
    DONE = 3


class OrderResolution(IntEnum):
    """What a person says of an order whose outcome cannot be proven."""

    UNSPECIFIED = 0
    NEVER_PLACED = 1
    ENDED = 2
    WORKING = 3


class EventKind(IntEnum):
    """The kinds of event, to filter by."""

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


class FaultKind(IntEnum):
    """What goes wrong on purpose on a paper account."""

    UNSPECIFIED = 0
    LOST_ACKNOWLEDGEMENT = 1
    DELAYED_EVENTS = 2
    DUPLICATED_EVENTS = 3
    REORDERED_EVENTS = 4
    MUTE_STREAM = 5
    DISCONNECT = 6
    REJECTION = 7
    MAINTENANCE = 8


class StartPosition(IntEnum):
    """Where a stream starts, other than at a cursor or a time."""

    UNSPECIFIED = 0
    EARLIEST = 1
    LIVE = 2
    SNAPSHOT = 3


class ErrorReason(IntEnum):
    """Why a call was refused or an order rejected; see `error.proto` for each."""

    UNSPECIFIED = 0
    MALFORMED_MESSAGE = 1
    INVALID_FIELD = 2
    PRICE_OFF_TICK = 3
    QUANTITY_OFF_LOT = 4
    QUANTITY_OUT_OF_RANGE = 5
    BELOW_MIN_NOTIONAL = 6
    CURSOR_INVALID = 7
    PAGE_TOKEN_INVALID = 8
    TOKEN_INVALID = 20
    TOKEN_EXPIRED = 21
    TOKEN_REVOKED = 22
    SCOPE_INSUFFICIENT = 23
    ACCOUNT_NOT_ALLOWED = 24
    TRADING_DISABLED = 25
    ACCOUNT_NOT_FOUND = 40
    ORDER_NOT_FOUND = 41
    INSTRUMENT_NOT_FOUND = 42
    POSITION_NOT_FOUND = 43
    BROKER_NOT_FOUND = 44
    ROUTE_NOT_FOUND = 45
    CLIENT_ORDER_ID_REUSED = 60
    REQUEST_ID_REUSED = 61
    ACCOUNT_EXISTS = 62
    GENERATION_MISMATCH = 63
    ORDER_ENDED = 64
    REPLACE_BELOW_FILLED = 65
    REPLACE_PENDING = 66
    TOMBSTONED = 67
    ORDER_NOT_UNCERTAIN = 68
    NOT_FROZEN = 69
    UNSUPPORTED = 80
    UNIMPLEMENTED = 81
    NOT_A_PAPER_ACCOUNT = 82
    WRONG_FEED = 83
    MARKET_CLOSED = 100
    STALE_MARKET_DATA = 101
    NO_REFERENCE_PRICE = 102
    INSUFFICIENT_FUNDS = 103
    RISK_LIMIT = 104
    TRADING_STOPPED = 105
    INSTRUMENT_FROZEN = 106
    NOT_FILLABLE = 107
    WOULD_TAKE = 108
    LINKED_ORDER = 109
    NOT_SHORTABLE = 110
    SELF_TRADE = 111
    NOTHING_TO_REDUCE = 112
    CURSOR_EXPIRED = 120
    CURSOR_EPOCH = 121
    SLOW_CONSUMER = 122
    TOO_MANY_STREAMS = 123
    BROKER_REJECTED = 140
    BROKER_UNAVAILABLE = 141
    RATE_LIMITED = 142
    NOT_SENT = 143
    BROKER_AUTHENTICATION = 144
    ACCOUNT_SUSPENDED = 145
    BROKER_MAINTENANCE = 146
    SHUTTING_DOWN = 160
    JOURNAL_UNAVAILABLE = 161
    RECOVERING = 162
    INTERNAL = 163
    DEADLINE_EXCEEDED = 164
    OUTCOME_UNKNOWN = 165


class ServingStatus(IntEnum):
    """How a service is: `grpc.health.v1.HealthCheckResponse.ServingStatus`."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3
