"""Errors on their way out: `GatewayError` to a gRPC status with `google.rpc` details.

gRPC turns a call whose trailers pass 8 KiB into RESOURCE_EXHAUSTED, so everything stays under 6 KiB as it is on the
wire: the message percent-encoded, the details in base64.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status

from brokergate.domain.errors import MAX_VIOLATIONS, GatewayError, StatusCode, shorten

DOMAIN: Final = "brokergate"
DETAILS_KEY: Final = "grpc-status-details-bin"

MAX_TRAILER_BYTES: Final = 6 * 1024
MAX_MESSAGE_BYTES: Final = 1024
"""Of the message, percent-encoded."""
MAX_DETAILS_BYTES: Final = (MAX_TRAILER_BYTES - MAX_MESSAGE_BYTES - 64) * 3 // 4
"""Of the details before base64; the key and the padding have their room."""
MAX_DESCRIPTION_LENGTH: Final = 200
"""Characters of one field violation's description."""
MAX_METADATA_ENTRIES: Final = 12
MAX_CURSOR_LENGTH: Final = 3000
"""Characters. A cursor is for programs to send back: never cut, and left out where it is longer."""

DEFAULT_RETRY_MS: Final = 1_000

FIRST_REQUEST_S: Final = 0.2
"""How long a call that is refused unread may take to send its first request."""

CODES: Final[Mapping[StatusCode, grpc.StatusCode]] = {code: grpc.StatusCode[code.name] for code in StatusCode}

_control = re.compile("[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class RpcStatus:
    """What `ServicerContext.abort` takes."""

    code: grpc.StatusCode
    message: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


def rpc_status(error: GatewayError) -> RpcStatus:
    """`error` as a gRPC status, its trailers under 6 KiB."""
    message = clean(error.message)
    metadata = _metadata(error.metadata)
    violations = min(len(error.violations), MAX_VIOLATIONS)
    body = _serialize(error, message, metadata, violations)
    while len(body) > MAX_DETAILS_BYTES and (violations or metadata):
        if violations:
            violations -= 1
        else:
            metadata.popitem()
        body = _serialize(error, message, metadata, violations)
    return RpcStatus(CODES[error.code], message, ((DETAILS_KEY, body),))


async def refuse(context: Any, error: GatewayError) -> None:
    """Ends a call whose requests nobody has read, with `error`. It reads the first before: a client of grpc.aio that
    is still writing when the status comes shows its own INTERNAL in place of it. Does not return."""
    status = rpc_status(error)
    with suppress(TimeoutError):
        async with asyncio.timeout(FIRST_REQUEST_S):
            await context.read()
    await context.abort(status.code, status.message, status.trailing_metadata)


def clean(text: str) -> str:
    """`text` as a header can carry it: one line, no lone surrogates, at most 1 KiB when percent-encoded."""
    text = _control.sub(" ", text.encode("utf-8", "replace").decode())
    while len(quote(text, safe=" ")) > MAX_MESSAGE_BYTES:
        text = text[: len(text) * 3 // 4] + "…"
    return text


def _serialize(error: GatewayError, message: str, metadata: Mapping[str, str], violations: int) -> bytes:
    status = Status(code=int(error.code), message=message)
    for detail in _details(error, message, metadata, violations):
        status.details.add().Pack(detail)
    return status.SerializeToString()


def _details(
    error: GatewayError, message: str, metadata: Mapping[str, str], violations: int
) -> list[Message]:
    info = ErrorInfo(reason=error.reason.name, domain=DOMAIN, metadata=metadata)
    if omitted := len(error.violations) - violations:
        # Those that were never listed are counted by who made the error.
        omitted += int(error.metadata.get("violations_omitted", 0))
        info.metadata["violations_omitted"] = str(omitted)
    details: list[Message] = [info]
    if violations:
        request = BadRequest()
        for violation in error.violations[:violations]:
            request.field_violations.add(
                field=_cut(violation.field, MAX_DESCRIPTION_LENGTH),
                description=_cut(violation.description, MAX_DESCRIPTION_LENGTH),
            )
        details.append(request)
    match error.code:
        case StatusCode.FAILED_PRECONDITION:
            failure = PreconditionFailure()
            failure.violations.add(type=error.reason.name, subject=_subject(info), description=message[:200])
            details.append(failure)
        case StatusCode.RESOURCE_EXHAUSTED:
            quota = QuotaFailure()
            quota.violations.add(subject=_subject(info), description=message[:200])
            details.append(quota)
        case StatusCode.UNAVAILABLE:
            after_ms = DEFAULT_RETRY_MS if error.retry_after_ms is None else error.retry_after_ms
            retry = RetryInfo()
            retry.retry_delay.FromMilliseconds(after_ms)
            details.append(retry)
        case _:
            pass
    return details


def _metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Cut for the wire; cursors first, and whole or not at all."""
    kept: dict[str, str] = {}
    for key, value in sorted(metadata.items(), key=lambda item: not item[0].endswith("cursor")):
        if not key.endswith("cursor"):
            kept[_cut(key)] = _cut(value)
        elif value.isascii() and len(value) <= MAX_CURSOR_LENGTH:
            kept[_cut(key)] = value
    return dict(list(kept.items())[:MAX_METADATA_ENTRIES])


def _subject(info: ErrorInfo) -> str:
    """What a violation is about, by the error's own facts."""
    for key in ("order_id", "client_order_id", "symbol", "account_id", "limit"):
        if key in info.metadata:
            return f"{key}:{info.metadata[key]}"
    return ""


def _cut(text: str, length: int = 0) -> str:
    """Without lone surrogates, which protobuf refuses, and at most `length` characters long, or a value's length."""
    text = text.encode("utf-8", "replace").decode()
    if not length:
        return shorten(text)
    return text if len(text) <= length else text[: length - 1] + "…"
