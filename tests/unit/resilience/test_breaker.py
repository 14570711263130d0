"""The circuit breaker, under a clock that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from brokergate.domain.errors import (
    BrokerTimeoutError,
    ExchangeMaintenanceError,
    InvalidOrderError,
    RateLimitError,
    TemporaryConnectionError,
)
from brokergate.resilience import BreakerState, CircuitBreaker, CircuitBreakerError, Lane
from tests.unit.adapters.paper.hand_clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def state(breaker: CircuitBreaker) -> BreakerState:
    """Its state now: asked anew, for the type checker too."""
    return breaker.state


async def call(breaker: CircuitBreaker, error: BaseException | None = None, lane: Lane = Lane.NEW) -> None:
    """One request that ends so; only what it raised itself is swallowed."""
    try:
        async with breaker.guard(lane):
            if error is not None:
                raise error
    except BaseException as raised:
        if raised is not error:
            raise


async def open_breaker(clock: HandClock, failures: int = 3) -> CircuitBreaker:
    breaker = CircuitBreaker(failures, 30.0, name="binance-main", clock=clock)
    for _ in range(failures):
        await call(breaker, TemporaryConnectionError("refused"))
    assert state(breaker) is BreakerState.OPEN
    return breaker


async def test_it_opens_after_so_many_failures_in_a_row(clock: HandClock) -> None:
    breaker = CircuitBreaker(3, 30.0, clock=clock)
    for _ in range(2):
        await call(breaker, BrokerTimeoutError("late"))
    await call(breaker)
    for _ in range(2):
        await call(breaker, BrokerTimeoutError("late"))
    assert state(breaker) is BreakerState.CLOSED
    await call(breaker, ExchangeMaintenanceError("closed"))
    assert state(breaker) is BreakerState.OPEN


async def test_what_the_venue_refuses_or_puts_off_is_no_failure(clock: HandClock) -> None:
    """It answers: that ends a row of failures too."""
    breaker = CircuitBreaker(2, 30.0, clock=clock)
    for answer in (InvalidOrderError("tick"), RateLimitError("429")):
        await call(breaker, BrokerTimeoutError("late"))
        await call(breaker, answer)
        await call(breaker, answer)
    assert state(breaker) is BreakerState.CLOSED


async def test_an_answer_that_says_so_is_a_failure_though_nothing_is_raised(clock: HandClock) -> None:
    """A 5xx is an answer, and its meaning is found elsewhere."""
    breaker = CircuitBreaker(2, 30.0, clock=clock)
    for _ in range(2):
        async with breaker.guard(Lane.NEW) as way:
            way.failed()
    assert state(breaker) is BreakerState.OPEN


async def test_what_counts_can_be_said(clock: HandClock) -> None:
    counts: Callable[[BaseException], bool] = lambda error: isinstance(error, RateLimitError)  # noqa: E731
    breaker = CircuitBreaker(1, 30.0, is_failure=counts, clock=clock)
    await call(breaker, BrokerTimeoutError("late"))
    assert state(breaker) is BreakerState.CLOSED
    await call(breaker, RateLimitError("429"))
    assert state(breaker) is BreakerState.OPEN


async def test_open_it_lets_nothing_through_but_cancels(clock: HandClock) -> None:
    breaker = await open_breaker(clock)
    for lane in (Lane.CLOSE, Lane.NEW, Lane.QUERY):
        with pytest.raises(
            CircuitBreakerError, match=r"binance-main has failed 3 times .* in 30\.0 s"
        ) as error:
            await call(breaker, lane=lane)
        assert error.value.retry_after_ms == 30_000
    for lane in (Lane.CANCEL, Lane.CANCEL_EMERGENCY):
        await call(breaker, lane=lane)
    # A cancel that got through is no probe.
    assert state(breaker) is BreakerState.OPEN


async def test_one_probe_goes_out_and_closes_it(clock: HandClock) -> None:
    breaker = await open_breaker(clock)
    await clock.advance(29.9)
    assert state(breaker) is BreakerState.OPEN
    await clock.advance(0.1)
    assert state(breaker) is BreakerState.HALF_OPEN
    async with breaker:
        with pytest.raises(CircuitBreakerError, match="a probe is under way"):
            await call(breaker)
        await call(breaker, lane=Lane.CANCEL)
        assert state(breaker) is BreakerState.HALF_OPEN
    assert state(breaker) is BreakerState.CLOSED
    await call(breaker)


async def test_a_probe_that_fails_opens_it_for_another_while(clock: HandClock) -> None:
    breaker = await open_breaker(clock)
    await clock.advance(30)
    await call(breaker, BrokerTimeoutError("late"))
    assert state(breaker) is BreakerState.OPEN
    await clock.advance(29)
    with pytest.raises(CircuitBreakerError):
        await call(breaker)
    await clock.advance(1)
    await call(breaker)
    assert state(breaker) is BreakerState.CLOSED


async def test_a_probe_that_is_refused_closes_it(clock: HandClock) -> None:
    breaker = await open_breaker(clock)
    await clock.advance(30)
    await call(breaker, InvalidOrderError("tick"))
    assert state(breaker) is BreakerState.CLOSED


async def test_a_probe_that_is_cancelled_leaves_its_place_to_the_next(clock: HandClock) -> None:
    breaker = await open_breaker(clock)
    await clock.advance(30)
    await call(breaker, asyncio.CancelledError())
    await call(breaker)
    assert state(breaker) is BreakerState.CLOSED


async def test_what_began_before_it_opened_says_nothing_of_the_time_after(clock: HandClock) -> None:
    breaker = CircuitBreaker(1, 30.0, clock=clock)
    async with breaker.guard():
        await call(breaker, BrokerTimeoutError("late"))
        assert state(breaker) is BreakerState.OPEN
    assert state(breaker) is BreakerState.OPEN


async def test_tasks_that_share_it_do_not_mix_their_requests_up(clock: HandClock) -> None:
    """`async with breaker` in many tasks at once: each end belongs to its own beginning."""
    breaker = CircuitBreaker(2, 30.0, clock=clock)

    async def one(fails: bool) -> None:
        async with breaker:
            await asyncio.sleep(0)
            if fails:
                raise ConnectionError

    await asyncio.gather(*(one(False) for _ in range(5)), one(True), one(True), return_exceptions=True)
    assert state(breaker) is BreakerState.OPEN
    assert breaker._entered == {}


async def test_every_change_is_told(clock: HandClock) -> None:
    breaker = CircuitBreaker(1, 30.0, clock=clock)
    told: list[BreakerState] = []
    breaker.on_change(told.append)
    await call(breaker, ConnectionError())
    await clock.advance(30)
    await call(breaker)
    assert told == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]


def test_a_threshold_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        CircuitBreaker(0)
