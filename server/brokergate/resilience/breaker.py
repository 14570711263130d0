"""A circuit breaker: after so many failures in a row nothing is sent for a while, then one probe.

    CLOSED ── failure_threshold in a row ──► OPEN ── recovery_time ──► HALF_OPEN ── the probe succeeds ──► CLOSED
                                                       ▲                            │
                                                       └────── the probe fails ─────┘

Cancels pass in every state, and change none but CLOSED: what takes risk off is tried whatever the odds.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import Self

from brokergate.domain.errors import FinalError, NotSent, RateLimitError
from brokergate.ports.clock import Clock, SystemClock
from brokergate.resilience.bucket import NS_PER_S
from brokergate.resilience.lanes import Lane


class BreakerState(Enum):
    """See the module."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class CircuitBreakerError(NotSent):
    """The breaker is open: nothing was sent."""


def is_failure(error: BaseException) -> bool:
    """Whether an error says that the venue does not work. An answer that refuses (FinalError) or puts off
    (RateLimitError) is the word of a venue that does; a cancelled call says nothing."""
    return isinstance(error, Exception) and not isinstance(error, (FinalError, RateLimitError))


class Passage:
    """One request's way through a breaker: `async with` it around the sending. Good for one request."""

    def __init__(self, breaker: CircuitBreaker, lane: Lane) -> None:
        self._breaker = breaker
        self._lane = lane
        self._round = -1
        self._failed = False

    def failed(self) -> None:
        """The answer says that the venue does not work, though nothing is raised here: a 5xx."""
        self._failed = True

    async def __aenter__(self) -> Self:
        """Raises `CircuitBreakerError` when the breaker is open and this is no cancel."""
        self._round = self._breaker._enter(self._lane)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._breaker._leave(self._round, error, failed=self._failed)


class CircuitBreaker:
    """See the module. `recovery_time` in seconds. `is_failure` says which errors count. Safe among tasks, and among
    threads with loops of their own."""

    def __init__(
        self,
        failure_threshold: int = 5,
        recovery_time: float = 30.0,
        *,
        name: str = "the broker",
        is_failure: Callable[[BaseException], bool] = is_failure,
        clock: Clock | None = None,
    ) -> None:
        if failure_threshold < 1:
            raise ValueError(f"failure_threshold is {failure_threshold}; at least 1 is needed")
        self._threshold = failure_threshold
        self._recovery_ns = round(recovery_time * NS_PER_S)
        self.name = name
        self._is_failure = is_failure
        self._listeners: list[Callable[[BreakerState], object]] = []
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._opened_ns = 0
        self._round = 1
        """Rises with every change of state: a request that began in another round says nothing of this one."""
        self._probing = False
        self._entered: dict[asyncio.Task[object] | None, list[int]] = {}

    @property
    def state(self) -> BreakerState:
        """Where it stands. HALF_OPEN from the moment on at which a probe may go out."""
        if self._state is BreakerState.OPEN and self._wait_ns() <= 0:
            return BreakerState.HALF_OPEN
        return self._state

    def on_change(self, listener: Callable[[BreakerState], object]) -> None:
        """`listener` is told of every change of state, in the thread that brings it about."""
        self._listeners.append(listener)

    def guard(self, lane: Lane = Lane.QUERY) -> Passage:
        """The way of one request of this lane."""
        return Passage(self, lane)

    async def __aenter__(self) -> Self:
        """As `guard()`. Raises `CircuitBreakerError` when the breaker is open."""
        task = asyncio.current_task()
        self._entered.setdefault(task, []).append(self._enter(Lane.QUERY))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        entered = self._entered[task]
        self._leave(entered.pop(), error)
        if not entered:
            del self._entered[task]

    def _enter(self, lane: Lane) -> int:
        """The round that the request belongs to; 0 for one whose outcome counts for nothing."""
        with self._lock:
            if self._state is BreakerState.CLOSED:
                return self._round
            if lane.cancels:
                return 0
            wait_ns = self._wait_ns()
            if self._probing or wait_ns > 0:
                raise self._refusal(max(0, wait_ns))
            self._enter_state(BreakerState.HALF_OPEN)
            self._probing = True
            return self._round

    def _wait_ns(self) -> int:
        return self._opened_ns + self._recovery_ns - self._clock.monotonic_ns()

    def _leave(self, began: int, error: BaseException | None, *, failed: bool = False) -> None:
        with self._lock:
            if began != self._round:
                return
            probed, self._probing = self._probing, False
            if failed or (error is not None and self._is_failure(error)):
                self._failures += 1
                if probed or self._failures >= self._threshold:
                    self._opened_ns = self._clock.monotonic_ns()
                    self._enter_state(BreakerState.OPEN)
            elif error is None or isinstance(error, Exception):
                self._failures = 0
                if probed:
                    self._enter_state(BreakerState.CLOSED)
            elif probed:
                # Cancelled: it has shown nothing, and the next one probes.
                self._enter_state(BreakerState.OPEN)

    def _enter_state(self, state: BreakerState) -> None:
        self._state = state
        self._round += 1
        for listener in self._listeners:
            listener(state)

    def _refusal(self, wait_ns: int) -> CircuitBreakerError:
        after = f"it is tried again in {wait_ns / NS_PER_S:.1f} s" if wait_ns else "a probe is under way"
        return CircuitBreakerError(
            f"{self.name} has failed {self._failures} times in a row and is left alone: {after}; nothing was sent",
            retry_after_ms=-(-wait_ns // 1_000_000),
        )
