"""Errors, by whose fault they are.

GatewayError                    the call is refused; carries the contract's ErrorReason
BrokerError                     what a broker's answer means
├── RecoverableError            the same request may succeed later
│   ├── RateLimitError
│   ├── TemporaryConnectionError
│   │   └── NotSent             nothing of the request left this machine
│   └── BrokerTimeoutError
├── FinalError                  the same request will fail again
│   ├── AuthenticationError
│   ├── InsufficientFundsError
│   ├── InvalidOrderError
│   ├── UnknownOrderError
│   ├── DuplicateOrderError
│   └── MarketClosedError
└── CriticalError               the account or the venue is out of service
    ├── AccountSuspendedError
    └── ExchangeMaintenanceError
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

VALUE_LENGTH = 64
"""Characters of a user's value that an error repeats."""

MAX_VIOLATIONS = 16
"""Field violations that an error lists; the rest are counted."""


class StatusCode(IntEnum):
    """gRPC status codes (grpc/doc/statuscodes.md), without grpc."""

    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class ErrorReason(IntEnum):
    """Why a call was refused or an order rejected; documented in `proto/brokergate/v1/error.proto`."""

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


_R = ErrorReason
_CODES: Mapping[StatusCode, Sequence[ErrorReason]] = {
    StatusCode.INVALID_ARGUMENT: (
        _R.MALFORMED_MESSAGE,
        _R.INVALID_FIELD,
        _R.PRICE_OFF_TICK,
        _R.QUANTITY_OFF_LOT,
        _R.QUANTITY_OUT_OF_RANGE,
        _R.BELOW_MIN_NOTIONAL,
        _R.CURSOR_INVALID,
        _R.PAGE_TOKEN_INVALID,
    ),
    StatusCode.UNAUTHENTICATED: (_R.TOKEN_INVALID, _R.TOKEN_EXPIRED, _R.TOKEN_REVOKED),
    StatusCode.PERMISSION_DENIED: (_R.SCOPE_INSUFFICIENT, _R.ACCOUNT_NOT_ALLOWED, _R.TRADING_DISABLED),
    StatusCode.NOT_FOUND: (
        _R.ACCOUNT_NOT_FOUND,
        _R.ORDER_NOT_FOUND,
        _R.INSTRUMENT_NOT_FOUND,
        _R.POSITION_NOT_FOUND,
        _R.BROKER_NOT_FOUND,
        _R.ROUTE_NOT_FOUND,
    ),
    StatusCode.ALREADY_EXISTS: (_R.CLIENT_ORDER_ID_REUSED, _R.REQUEST_ID_REUSED, _R.ACCOUNT_EXISTS),
    StatusCode.FAILED_PRECONDITION: (
        _R.GENERATION_MISMATCH,
        _R.ORDER_ENDED,
        _R.REPLACE_BELOW_FILLED,
        _R.REPLACE_PENDING,
        _R.TOMBSTONED,
        _R.ORDER_NOT_UNCERTAIN,
        _R.NOT_FROZEN,
        _R.UNSUPPORTED,
        _R.NOT_A_PAPER_ACCOUNT,
        _R.WRONG_FEED,
        _R.MARKET_CLOSED,
        _R.STALE_MARKET_DATA,
        _R.NO_REFERENCE_PRICE,
        _R.INSUFFICIENT_FUNDS,
        _R.RISK_LIMIT,
        _R.TRADING_STOPPED,
        _R.INSTRUMENT_FROZEN,
        _R.NOT_FILLABLE,
        _R.WOULD_TAKE,
        _R.LINKED_ORDER,
        _R.NOT_SHORTABLE,
        _R.SELF_TRADE,
        _R.NOTHING_TO_REDUCE,
        _R.BROKER_REJECTED,
        _R.NOT_SENT,
        _R.BROKER_AUTHENTICATION,
        _R.ACCOUNT_SUSPENDED,
    ),
    StatusCode.ABORTED: (_R.OUTCOME_UNKNOWN,),
    StatusCode.OUT_OF_RANGE: (_R.CURSOR_EXPIRED, _R.CURSOR_EPOCH),
    StatusCode.RESOURCE_EXHAUSTED: (_R.SLOW_CONSUMER, _R.TOO_MANY_STREAMS),
    StatusCode.UNAVAILABLE: (
        _R.BROKER_UNAVAILABLE,
        _R.RATE_LIMITED,
        _R.BROKER_MAINTENANCE,
        _R.SHUTTING_DOWN,
        _R.JOURNAL_UNAVAILABLE,
        _R.RECOVERING,
    ),
    StatusCode.UNIMPLEMENTED: (_R.UNIMPLEMENTED,),
    StatusCode.DEADLINE_EXCEEDED: (_R.DEADLINE_EXCEEDED,),
    StatusCode.INTERNAL: (_R.INTERNAL, _R.UNSPECIFIED),
}
STATUS_OF: Mapping[ErrorReason, StatusCode] = {
    reason: code for code, reasons in _CODES.items() for reason in reasons
}
"""The gRPC status code of each reason, as `error.proto` documents it."""


def shorten(value: str) -> str:
    """A user's value as an error repeats it: at most 64 characters."""
    return value if len(value) <= VALUE_LENGTH else value[: VALUE_LENGTH - 1] + "…"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that is wrong: its path from the request, and what is wrong, with the value and the way out."""

    field: str
    description: str


class GatewayError(Exception):
    """The call is refused for `reason`. Its text is for people; `metadata` is for programs and holds no secret."""

    def __init__(
        self,
        reason: ErrorReason,
        message: str,
        *,
        violations: Sequence[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})
        self.retry_after_ms = retry_after_ms

    @property
    def code(self) -> StatusCode:
        """The gRPC status code that goes with the reason."""
        return STATUS_OF[self.reason]


def within(error: GatewayError, path: str) -> GatewayError:
    """`error` of one item of a request as the whole request has it: `path` (`orders[3].`) stands before its fields."""
    return _renamed(error, lambda field: path + field)


def outside(error: GatewayError, path: str) -> GatewayError:
    """`error` of a request that has the fields of its `path` (`order.`) as its own."""
    return _renamed(error, lambda field: field.removeprefix(path))


def _renamed(error: GatewayError, rename: Callable[[str], str]) -> GatewayError:
    if not error.violations:
        return error
    first, message = error.violations[0].field, error.message
    if message.startswith(f"{first}: "):
        message = rename(first) + message.removeprefix(first)
    return GatewayError(
        error.reason,
        message,
        violations=[FieldViolation(rename(wrong.field), wrong.description) for wrong in error.violations],
        metadata=error.metadata,
        retry_after_ms=error.retry_after_ms,
    )


def invalid_field(field: str, description: str) -> GatewayError:
    """An INVALID_FIELD error about one field."""
    return GatewayError(
        ErrorReason.INVALID_FIELD, f"{field}: {description}", violations=[FieldViolation(field, description)]
    )


def invites_repeat(error: Exception) -> bool:
    """Whether the caller is told to try again: UNAVAILABLE, which says that nothing was done."""
    return isinstance(error, GatewayError) and error.code is StatusCode.UNAVAILABLE


class BrokerError(Exception):
    """What a broker's answer means; `code` is the venue's own and `retry_after_ms` its Retry-After, where it gave
    one."""

    def __init__(self, message: str, *, code: str = "", retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_ms = retry_after_ms


class RecoverableError(BrokerError):
    """The same request may succeed later."""


class RateLimitError(RecoverableError):
    """Too many requests."""


class TemporaryConnectionError(RecoverableError):
    """The broker could not be reached."""


class NotSent(TemporaryConnectionError):
    """Nothing of the request left this machine: there was no connection, or no budget before its deadline. A command
    that ends so was not placed, and may be reported `NOT_SENT`."""


class BrokerTimeoutError(RecoverableError):
    """The broker did not answer in time; for an order the outcome is unknown."""


class FinalError(BrokerError):
    """The same request will fail again."""


class AuthenticationError(FinalError):
    """The credentials are refused."""


class InsufficientFundsError(FinalError):
    """The account cannot pay for it."""


class InvalidOrderError(FinalError):
    """The venue's rules refuse it."""


class UnknownOrderError(FinalError):
    """The venue does not know the order, or it has ended."""


class DuplicateOrderError(FinalError):
    """The venue has an order with this client id."""


class MarketClosedError(FinalError):
    """The market is closed."""


class CriticalError(BrokerError):
    """The account or the venue is out of service."""


class AccountSuspendedError(CriticalError):
    """The broker suspended the account."""


class ExchangeMaintenanceError(CriticalError):
    """The venue is under maintenance."""
