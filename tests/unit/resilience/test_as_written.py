"""The names of issue 5, used as it writes them."""

from __future__ import annotations

import pytest

from brokergate.domain.errors import RecoverableError
from brokergate.resilience import (
    AdaptiveRateLimiter,
    CircuitBreaker,
    CircuitBreakerError,
    MultiEndpointRateLimiter,
    with_exponential_backoff,
)


async def test_adaptive_rate_limiter() -> None:
    async with AdaptiveRateLimiter(10, 1.0) as limiter:
        assert limiter.utilisation == pytest.approx(0.1)


async def test_multi_endpoint_rate_limiter() -> None:
    limiter = MultiEndpointRateLimiter({"/v1/orders": (10, 1.0)})
    async with limiter.limit("/v1/orders"):
        assert limiter.utilisation == {"/v1/orders": pytest.approx(0.1)}
    async with MultiEndpointRateLimiter({"/v1/orders": (10, 1.0)}).limit("/v1/orders"):
        pass


async def test_backoff_on_a_coroutine() -> None:
    calls = []

    @with_exponential_backoff(max_retries=3, base_delay=0)
    async def query(symbol: str) -> str:
        calls.append(symbol)
        if len(calls) < 3:
            raise RecoverableError("not now")
        return "done"

    assert await query("AAPL") == "done"
    assert calls == ["AAPL"] * 3


async def test_circuit_breaker_opens_and_backoff_does_not_repeat_that() -> None:
    breaker = CircuitBreaker(failure_threshold=5)
    for _ in range(5):
        with pytest.raises(ConnectionError):
            async with breaker:
                raise ConnectionError("nobody there")
    with pytest.raises(CircuitBreakerError, match="nothing was sent"):
        async with breaker:
            raise AssertionError("the breaker is open")
    calls = []

    @with_exponential_backoff(max_retries=3)
    async def guarded() -> None:
        calls.append(1)
        async with breaker:
            pass

    with pytest.raises(CircuitBreakerError):
        await guarded()
    assert len(calls) == 1
