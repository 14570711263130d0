"""Calls by the rules: what is not answered is repeated with the same ids until it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from brokergate_client.details import STATUS_DETAILS_KEY, parse_details

CALL_TIMEOUT_S = 1.5
PAUSE_S = 0.03
"""Between two attempts."""

FINAL = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)
"""What the gateway says with them stands: this request, however often repeated, gets no other answer now."""


class Refused(Exception):
    """The gateway's last word on a request: it refuses it."""

    def __init__(self, code: grpc.StatusCode, reason: str, message: str) -> None:
        super().__init__(f"{code.name} {reason}: {message}")
        self.code = code
        self.reason = reason


class Fault(Exception):
    """The gateway says INTERNAL, or what the contract does not know: a fault of its own."""


def reason_of(error: grpc.RpcError) -> str:
    """The contract's reason; empty for an error that the gateway has not made."""
    for key, value in (error.trailing_metadata() or ()) if isinstance(error, grpc.aio.AioRpcError) else ():
        if key == STATUS_DETAILS_KEY:
            return parse_details(value if isinstance(value, bytes) else value.encode("latin-1")).reason
    return ""


def judge(error: grpc.aio.AioRpcError) -> None:
    """Returns where the request is to be repeated; raises `Refused` or `Fault` where it is not."""
    reason = reason_of(error)
    if not reason:
        return  # the connection's word, not the gateway's
    if error.code() in FINAL:
        raise Refused(error.code(), reason, error.details() or "")
    if error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED):
        raise Fault(f"{error.code().name} {reason}: {error.details()}")


class Calls:
    """Repeats. `open` says what is still unanswered, and why: for whoever waits in vain."""

    def __init__(self) -> None:
        self.answered = 0
        self.repeated = 0
        self.open: dict[str, str] = {}

    async def __call__(self, method: Callable[..., Any], request: Any, name: str) -> Any:
        """The answer to `request`. Raises `Refused` and `Fault`."""
        self.open[name] = "sent"
        try:
            while True:
                try:
                    answer = await method(request, timeout=CALL_TIMEOUT_S)
                except grpc.aio.AioRpcError as error:
                    judge(error)
                    self.open[name] = f"{error.code().name} {reason_of(error)}: {error.details()}"
                    self.repeated += 1
                    await asyncio.sleep(PAUSE_S)
                    continue
                self.answered += 1
                return answer
        finally:
            del self.open[name]
