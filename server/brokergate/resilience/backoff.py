"""Repeats a coroutine that failed, after growing waits of random length ("full jitter": between nothing and the whole,
so that those who failed together do not come back together).

Source of the rule: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from brokergate.domain.errors import BrokerError, RateLimitError, RecoverableError
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
    """A mutation may be repeated after these alone: it was put off, unread. After a timeout or a lost connection it may
    have been done (law 3)."""
    return isinstance(error, RateLimitError)


def with_exponential_backoff(
    max_retries: int = 3,
    *,
    base_delay: float = 0.5,
    max_delay: float = 60.0,
    repeats: Repeats = recoverable,
    clock: Clock | None = None,
    rng: random.Random | None = None,
    repeated: Callable[[int, float, Exception], None] | None = None,
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Decorates a coroutine function: up to `max_retries` repeats, before the n-th a wait of 0 … `base_delay` · 2ⁿ⁻¹
    seconds, at most `max_delay`, and never less than the venue's Retry-After. `repeated` is told of every repeat: its
    number, the wait in seconds, the error. The last error is raised as it came. What an open breaker refuses is never
    repeated."""
    if max_retries < 0:
        raise ValueError(f"max_retries is {max_retries}; 0 is the least")
    clock = clock or SystemClock()
    # Jitter is no secret, and an order that depends on it is none of ours.
    rng = rng or random.Random()

    def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @functools.wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            number = 0
            while True:
                try:
                    return await function(*args, **kwargs)
                except CircuitBreakerError:
                    raise
                except Exception as error:
                    if number >= max_retries or not repeats(error):
                        raise
                    number += 1
                    wait_s = rng.random() * min(max_delay, base_delay * 2 ** (number - 1))
                    if isinstance(error, BrokerError) and error.retry_after_ms is not None:
                        wait_s = max(wait_s, error.retry_after_ms / 1000)
                    if repeated is not None:
                        repeated(number, wait_s, error)
                await clock.sleep(wait_s)

        return call

    return decorate
