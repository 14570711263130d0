"""What went wrong, by what the caller can do about it.

GatewayError                    anything below, and what has no class of its own
├── InvalidRequestError         a field is wrong; `violations` names it
│   └── InvalidNumberError      a number that cannot be sent, found before anything was; a `ValueError` as well
├── AuthenticationError         no token, or one that is unknown, expired or revoked
├── NotPermittedError           the token's scope or accounts do not allow it, or the account does not trade
├── NotFoundError               no such account, order, instrument …
├── AlreadyExistsError          the id was used for something else
├── PreconditionError           not in the present state of the order, the market or the broker
├── CursorExpiredError          the events after the cursor are no longer kept; `earliest_cursor` works
├── CursorEpochError            the cursor is of another journal: start again, best from a snapshot
├── UnavailableError            the gateway or the broker cannot be reached
├── DeadlineError               no answer in time
├── OutcomeUnknownError         the gateway does not know itself whether it was done: repeat with the same id
└── ClosedError                 this client was closed meanwhile
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import grpc

from brokergate.v1 import error_pb2
from brokergate_client.details import STATUS_DETAILS_KEY, Details, FieldViolation, parse_details
from brokergate_client.enums import ErrorReason, known, name_of


class GatewayError(Exception):
    """A call failed. Its text is for people and holds no secret.

    `code` is gRPC's, `reason` the contract's: UNSPECIFIED where the error is not the gateway's own (a connection that
    was refused), and with `reason_name` set where the gateway is newer than this client. `metadata` holds facts for
    programs. `retry_after_s`: the gateway's word on when to try again.

    Of a call that changes something: `request_id` is the id (for an order the client_order_id, for a batch that of its
    first order) under which it may be repeated safely; `outcome_unknown` says that it may have been carried out,
    because an answer was lost or the gateway does not know it itself.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: ErrorReason | int = ErrorReason.UNSPECIFIED,
        reason_name: str = "",
        violations: Sequence[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.reason_name = reason_name or name_of(reason)
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})
        self.retry_after_s = retry_after_s
        self.request_id = ""
        self.outcome_unknown = False

    def add_asked_again(self) -> None:
        """Make this the error of a call whose next attempt the deadline ended."""
        self.message += "; asked again, and no answer came before the deadline"
        self.args = (self.message,)

    def __str__(self) -> str:
        name = self.code.name if self.reason_name == ErrorReason.UNSPECIFIED.name else self.reason_name
        text = f"{name}: {self.message}"
        if self.outcome_unknown:
            text += f" (the outcome is unknown; repeat with id {self.request_id!r} to learn it)"
        return text


class InvalidRequestError(GatewayError):
    """A field is missing, malformed, out of range or contradicts another; `violations` names it."""


class InvalidNumberError(InvalidRequestError, ValueError):
    """A number that the contract has no form for; nothing was sent. `violations` names the field."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"{field}: {description}",
            reason=ErrorReason.INVALID_FIELD,
            violations=[FieldViolation(field, description)],
        )


class AuthenticationError(GatewayError):
    """There is no token, or one that is unknown, expired or revoked."""


class NotPermittedError(GatewayError):
    """The token's scope or accounts do not allow it, or the account does not trade."""


class NotFoundError(GatewayError):
    """There is no such account, order, instrument, position or broker."""


class AlreadyExistsError(GatewayError):
    """The id was used for something else; for an order metadata `order_id` names it."""


class PreconditionError(GatewayError):
    """It cannot be done in the present state of the order, the market or the broker."""


class CursorExpiredError(GatewayError):
    """The events after the cursor are no longer kept."""

    @property
    def earliest_cursor(self) -> str:
        """The earliest cursor that works; what came before it is lost to a stream."""
        return self.metadata.get("earliest_cursor", "")


class CursorEpochError(GatewayError):
    """The cursor is of another journal or epoch, or past the end: start again, best from a snapshot."""


class UnavailableError(GatewayError):
    """The gateway, or the broker behind it, cannot be reached."""


class DeadlineError(GatewayError):
    """No answer came in time."""


class OutcomeUnknownError(GatewayError):
    """The gateway's journal failed while this was written: it may have been done. Repeat with the same id."""


class ClosedError(GatewayError):
    """This client was closed while the call or the stream was under way."""


_BY_CODE: Mapping[grpc.StatusCode, type[GatewayError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.UNAUTHENTICATED: AuthenticationError,
    grpc.StatusCode.PERMISSION_DENIED: NotPermittedError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    grpc.StatusCode.FAILED_PRECONDITION: PreconditionError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
}
_BY_REASON: Mapping[int, type[GatewayError]] = {
    ErrorReason.CURSOR_EXPIRED: CursorExpiredError,
    ErrorReason.CURSOR_EPOCH: CursorEpochError,
    ErrorReason.TOKEN_REVOKED: AuthenticationError,
    ErrorReason.OUTCOME_UNKNOWN: OutcomeUnknownError,
}
_CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def _class_of(code: grpc.StatusCode, reason: int) -> type[GatewayError]:
    return _BY_REASON.get(reason) or _BY_CODE.get(code, GatewayError)


def from_rpc_error(error: grpc.aio.AioRpcError) -> GatewayError:
    """The error of a call, with the details that the gateway sent."""
    details = Details()
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_DETAILS_KEY:
            details = parse_details(value.encode() if isinstance(value, str) else value)
    reason = ErrorReason.__members__.get(details.reason, ErrorReason.UNSPECIFIED)
    return _class_of(error.code(), reason)(
        error.code(),
        error.details() or "no message",
        reason=reason,
        reason_name=details.reason,
        violations=details.violations,
        metadata=details.metadata,
        retry_after_s=details.retry_after_s,
    )


def from_message(error: error_pb2.Error) -> GatewayError:
    """The error of one item of an answer."""
    reason = known(ErrorReason, error.reason)
    code = _CODES.get(error.code, grpc.StatusCode.UNKNOWN)
    return _class_of(code, reason)(
        code,
        error.message,
        reason=reason,
        violations=[FieldViolation(v.field, v.description) for v in error.field_violations],
        metadata=error.metadata,
    )
