"""Repeats a coroutine that failed, after growing waits of random length ("full jitter": between nothing and the whole,
so that those who failed together do not come back together).

Source of the rule: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. tenacity does the repeating; clock
and chance are handed in to it.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import tenacity

from brokergate.domain.errors import BrokerError, NotSent, RateLimitError, RecoverableError
from brokergate.ports.clock import Clock, SystemClock
from brokergate.resilience.breaker import CircuitBreakerError

P = ParamSpec("P")
T = TypeVar("T")

Repeats = Callable[[Exception], bool]
"""Whether what failed so may be done again."""


def recoverable(error: Exception) -> bool:
    """A query may be repeated after these."""
    return isinstance(error, RecoverableError)


def never_arrived(error: Exception) -> bool:
    """A mutation may be repeated after these alone: it did not leave this machine, or was put off unread. After a
    timeout it may have been done (law 3)."""
    return isinstance(error, (NotSent, RateLimitError))


def with_exponential_backoff(
    max_retries: int = 3,
    *,
    base_delay: float = 0.5,
    max_delay: float = 60.0,
    repeats: Repeats = recoverable,
    clock: Clock | None = None,
    rng: random.Random | None = None,
    repeated: Callable[[int, float, BaseException], None] | None = None,
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Decorates a coroutine function: up to `max_retries` repeats, before the n-th a wait of 0 … `base_delay` · 2ⁿ⁻¹
    seconds, at most `max_delay`, and never less than the venue's Retry-After. `repeated` is told of every repeat: its
    number, the wait in seconds, the error. The last error is raised as it came. What an open breaker refuses is never
    repeated. For a command that changes something, `repeats=never_arrived`."""
    if max_retries < 0:
        raise ValueError(f"max_retries is {max_retries}; 0 is the least")
    chance = rng or random.Random()

    def again(error: BaseException) -> bool:
        return isinstance(error, Exception) and not isinstance(error, CircuitBreakerError) and repeats(error)

    def wait_s(state: tenacity.RetryCallState) -> float:
        error = None if state.outcome is None else state.outcome.exception()
        most = min(max_delay, base_delay * 2.0 ** min(state.attempt_number - 1, 64))
        wait = chance.random() * most
        if isinstance(error, BrokerError) and error.retry_after_ms is not None:
            wait = max(wait, error.retry_after_ms / 1000)
        return wait

    def tell(state: tenacity.RetryCallState) -> None:
        error = None if state.outcome is None else state.outcome.exception()
        if repeated is not None and error is not None:
            repeated(state.attempt_number, state.upcoming_sleep, error)

    def decorate(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{function!r} is no coroutine function")
        retrying = tenacity.AsyncRetrying(
            sleep=(clock or SystemClock()).sleep,
            stop=tenacity.stop_after_attempt(max_retries + 1),
            wait=wait_s,
            retry=tenacity.retry_if_exception(again),
            before_sleep=tell,
            reraise=True,
        )
        return retrying.wraps(function)

    return decorate
