"""What came back from a call, and which of the contract's promises about errors it breaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from brokergate.v1.error_pb2 import Error, ErrorReason
from brokergate.v1.order_pb2 import Order
from tests.e2e.badinput.contract import Rpc, documented_reasons, is_map, names_a_field

DETAILS_KEY = "grpc-status-details-bin"
DOMAIN = "brokergate"
MAX_DETAILS_BYTES = 6 * 1024
MAX_VIOLATIONS = 16
MAX_VALUE_LENGTH = 64
PREFIX = "ERROR_REASON_"

_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error: of the call, or of one item in its answer."""

    code: grpc.StatusCode
    reason: str
    fields: tuple[str, ...]
    message: str = ""


@dataclass(slots=True)
class Answer:
    """What a call got: its status, and the messages before it."""

    code: grpc.StatusCode
    message: str = ""
    details: Sequence[bytes] = ()
    """Every value of the trailer `grpc-status-details-bin`."""
    messages: list[Message] = field(default_factory=list)
    cut_short: bool = False
    """Whether the caller, not the server, ended it."""

    def status(self) -> Status:
        """The details as they came; an empty one where there were none. Raises DecodeError."""
        return Status.FromString(self.details[0]) if self.details else Status()

    def detail(self, kind: type[Any]) -> Any | None:
        """The detail of this kind, if there is one."""
        for packed in self.status().details:
            if packed.Is(kind.DESCRIPTOR):
                found = kind()
                packed.Unpack(found)
                return found
        return None

    @property
    def reason(self) -> str:
        """The call's own reason; '' without one."""
        info: ErrorInfo | None = self.detail(ErrorInfo)
        return info.reason if info is not None else ""

    @property
    def violations(self) -> Sequence[Any]:
        """The call's own field violations."""
        request: BadRequest | None = self.detail(BadRequest)
        return request.field_violations if request is not None else ()

    def item_errors(self) -> list[Error]:
        """The errors inside its answers."""
        return [inner for message in self.messages for inner in _within(message, Error)]

    def refusals(self) -> list[Refusal]:
        """The call's own refusal, or those inside its answers."""
        if self.code is not grpc.StatusCode.OK:
            fields = tuple(violation.field for violation in self.violations)
            return [Refusal(self.code, self.reason, fields, self.message)]
        return [
            Refusal(
                _BY_NUMBER.get(error.code, grpc.StatusCode.UNKNOWN),
                ErrorReason.Name(error.reason).removeprefix(PREFIX),
                tuple(violation.field for violation in error.field_violations),
                error.message,
            )
            for error in self.item_errors()
        ]

    def orders(self) -> list[Order]:
        """Every order in its answers."""
        return [order for message in self.messages for order in _within(message, Order)]

    def reasons(self) -> set[str]:
        """Every reason that it shows: the call's, its items', and those of rejected orders."""
        shown = {refusal.reason for refusal in self.refusals()}
        shown |= {
            ErrorReason.Name(order.reject_reason).removeprefix(PREFIX)
            for order in self.orders()
            if order.reject_reason
        }
        shown |= {
            ErrorReason.Name(reason).removeprefix(PREFIX)
            for message in self.messages
            if (reason := _closing_reason(message))
        }
        return shown - {""}


def _closing_reason(message: Any) -> Any:
    return message.closing.reason if "closing" in message.DESCRIPTOR.fields_by_name else 0


def _within(message: Message, kind: type[Any]) -> Iterator[Any]:
    if isinstance(message, kind):
        yield message
        return
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None or is_map(descriptor):
            continue
        for inner in value if descriptor.is_repeated else (value,):
            yield from _within(inner, kind)


def faults(rpc: Rpc, answer: Answer) -> list[str]:
    """What is wrong with an answer, whatever the request was; nothing for one that keeps every promise."""
    found: list[str] = []
    if answer.code is not grpc.StatusCode.OK:
        found += _call_faults(rpc, answer)
    for error in answer.item_errors():
        found += _item_faults(rpc, error)
    return found


def _call_faults(rpc: Rpc, answer: Answer) -> Iterator[str]:
    if answer.code in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL):
        yield f"{answer.code.name}: {answer.message}"
    if len(answer.details) != 1:
        yield f"{answer.code.name} with {len(answer.details)} {DETAILS_KEY}: {answer.message}"
        return
    if len(answer.details[0]) >= MAX_DETAILS_BYTES:
        yield f"{len(answer.details[0])} bytes of details"
    try:
        status = answer.status()
        info = answer.detail(ErrorInfo)
    except DecodeError as error:
        yield f"details do not parse: {error}"
        return
    if status.code != answer.code.value[0] or status.message != answer.message:
        yield f"the details say {status.code} {status.message!r}, the status {answer.code} {answer.message!r}"
    if info is None or info.domain != DOMAIN:
        yield f"no ErrorInfo of the domain {DOMAIN}"
        return
    yield from _reason_faults(info.reason, answer.code)
    documented = documented_reasons().get(info.reason)
    if documented is not None and documented.retry_info and answer.detail(RetryInfo) is None:
        yield f"{info.reason} without RetryInfo"
    if answer.code is grpc.StatusCode.INVALID_ARGUMENT and info.reason == "INVALID_FIELD":
        yield from _needs_violations(answer.violations)
    yield from _violation_faults(rpc, answer.violations)


def _item_faults(rpc: Rpc, error: Error) -> Iterator[str]:
    reason = ErrorReason.Name(error.reason).removeprefix(PREFIX)
    code = _BY_NUMBER.get(error.code)
    if code is None or code in (
        grpc.StatusCode.OK,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
    ):
        yield f"an item's error with the code {error.code}: {error.message}"
        return
    yield from _reason_faults(reason, code, in_item=True)
    if reason == "INVALID_FIELD":
        yield from _needs_violations(error.field_violations)
    yield from _violation_faults(rpc, error.field_violations)


def _reason_faults(reason: str, code: grpc.StatusCode, in_item: bool = False) -> Iterator[str]:
    documented = documented_reasons().get(reason)
    if documented is None or reason == "UNSPECIFIED":
        yield f"{reason!r} is no reason of the contract"
    elif documented.code is None:
        # Documented for rejected orders alone: a call never fails for it.
        if not in_item:
            yield f"a call failed for {reason}, which is for rejected orders"
    elif documented.code is not code:
        yield f"{reason} came with {code.name}, documented is {documented.code.name}"


def _needs_violations(violations: Sequence[Any]) -> Iterator[str]:
    if not violations:
        yield "INVALID_FIELD that names no field"


def _violation_faults(rpc: Rpc, violations: Sequence[Any]) -> Iterator[str]:
    if len(violations) > MAX_VIOLATIONS:
        yield f"{len(violations)} violations"
    for violation in violations:
        if not names_a_field(rpc.fields, violation.field):
            yield f"{violation.field!r} names no field of {rpc.fields.name}"
        if not violation.description:
            yield f"{violation.field!r} without a description"
