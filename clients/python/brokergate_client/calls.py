"""One call and its repeats.

Every call of the contract may be repeated: a read changes nothing, a mutation carries an id under which the gateway
does it once (law 2). So a call whose answer was lost is sent again, as it was, until the caller's time is over.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc

from brokergate_client.enums import ErrorReason
from brokergate_client.errors import ClosedError, GatewayError, from_rpc_error

log = logging.getLogger("brokergate_client")

_Answer = TypeVar("_Answer")

# What gRPC itself says of a connection that broke in the middle, besides UNAVAILABLE.
_LOST_CODES = frozenset({grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})
# What the gateway says before it has looked an id up.
_BEFORE_THE_ID = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
)


def _has_no_reason(error: GatewayError) -> bool:
    """Whether it is not the gateway's own, nor a newer one's: it would have a reason."""
    return error.reason == ErrorReason.UNSPECIFIED and error.reason_name == ErrorReason.UNSPECIFIED.name


def answer_was_lost(error: GatewayError) -> bool:
    """Whether the gateway may have done what was asked although this error came."""
    if error.code == grpc.StatusCode.DEADLINE_EXCEEDED or error.reason == ErrorReason.OUTCOME_UNKNOWN:
        return True
    return _has_no_reason(error) and (error.code == grpc.StatusCode.UNAVAILABLE or error.code in _LOST_CODES)


def is_late(error: GatewayError) -> bool:
    """Whether this is no more than a deadline that passed."""
    return error.code == grpc.StatusCode.DEADLINE_EXCEEDED and _has_no_reason(error)


def invites_repeat(error: GatewayError) -> bool:
    """Whether the same call may succeed now or later: its answer was lost, or the gateway says UNAVAILABLE."""
    if isinstance(error, ClosedError) or error.code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return False
    return error.code == grpc.StatusCode.UNAVAILABLE or answer_was_lost(error)


def leaves_open(error: GatewayError) -> bool:
    """Whether this error says nothing of what an earlier attempt did: it came before the id was looked up."""
    return isinstance(error, ClosedError) or error.code in _BEFORE_THE_ID or answer_was_lost(error)


@dataclass(slots=True)
class Backoff:
    """Growing pauses: each is drawn between nothing and a span that doubles from `first_s` to `longest_s`.

    The jitter keeps the clients of a gateway that comes back from knocking all at once.
    """

    first_s: float = 0.1
    longest_s: float = 2.0
    uniform: Callable[[float, float], float] = random.uniform
    _span_s: float = field(default=0.0, init=False)

    def next_s(self, at_least_s: float | None = None) -> float:
        """The next pause in seconds, never shorter than the gateway asked for."""
        self._span_s = min(self.longest_s, self._span_s * 2 if self._span_s else self.first_s)
        return max(self.uniform(0.0, self._span_s), at_least_s or 0.0)

    def reset(self) -> None:
        """Something went well: begin with short pauses again."""
        self._span_s = 0.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Makes unary calls. `attempt_timeout_s` bounds one attempt, so that a mute gateway is asked again in time.

    `closed` is set when the client is: gRPC cancels what is under way on a channel that it closes, and says of what is
    begun on it one thing here and another there.
    """

    metadata: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    attempt_timeout_s: float = 10.0
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    new_backoff: Callable[[], Backoff] = Backoff

    async def call(
        self,
        method: Callable[..., Awaitable[_Answer]],
        request: Any,
        *,
        timeout_s: float,
        request_id: str = "",
    ) -> _Answer:
        """The answer to `request`, asked for again within `timeout_s` as often as it takes.

        Raises `GatewayError`; for a mutation with `request_id` and whether its outcome is unknown.
        """
        deadline = self.monotonic() + timeout_s
        backoff = self.new_backoff()
        lost = False
        before: GatewayError | None = None
        while True:
            remaining_s = max(deadline - self.monotonic(), 0.0)
            try:
                return await self.attempt(method, request, min(self.attempt_timeout_s, remaining_s))
            except GatewayError as error:
                lost = lost or answer_was_lost(error)
                error.request_id = request_id
                # Any other error is the gateway's final word on the id, after it has looked the id up.
                error.outcome_unknown = lost and bool(request_id) and leaves_open(error)
                if not invites_repeat(error) and not is_late(error):
                    raise
                # An attempt that was cut short is no deadline of the call's.
                over = is_late(error) and remaining_s <= self.attempt_timeout_s
                pause_s = backoff.next_s(error.retry_after_s)
                if over or self.monotonic() + pause_s >= deadline:
                    if before is None or not is_late(error):
                        raise
                    # What went wrong before says more than that time ran out.
                    before.add_asked_again()
                    before.outcome_unknown = error.outcome_unknown
                    raise before from error
                if not is_late(error):
                    before = error
                log.info("%s; asking again in %.1f s", error, pause_s)
            await self.sleep(pause_s)

    async def attempt(
        self, method: Callable[..., Awaitable[_Answer]], request: Any, timeout_s: float
    ) -> _Answer:
        """The answer to one attempt. Raises `GatewayError`."""
        self.expect_open()
        try:
            return await method(request, timeout=timeout_s, metadata=self.metadata)
        except grpc.aio.AioRpcError as error:
            self.expect_open()
            raise from_rpc_error(error) from error
        except asyncio.CancelledError:
            self.expect_open_or_cancelled()
            raise

    def expect_open(self) -> None:
        """Raise `ClosedError` once the client is closed."""
        if self.closed.is_set():
            raise ClosedError(grpc.StatusCode.CANCELLED, "this client was closed") from None

    def expect_open_or_cancelled(self) -> None:
        """The same, but where somebody cancelled this very task."""
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            self.expect_open()
