"""Repeats: what, how often, after how long; and the time that a request may take."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from brokergate.adapters.connection.errors import NotSent, OutcomeUnknown
from brokergate.domain.errors import (
    BrokerTimeoutError,
    InvalidOrderError,
    RateLimitError,
    TemporaryConnectionError,
)
from brokergate.resilience import Timeouts, never_arrived, with_exponential_backoff
from tests.unit.adapters.paper.hand_clock import HandClock


class Chance(random.Random):
    """Draws the same share every time."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def random(self) -> float:
        return self.share


class Waits:
    """A clock that keeps what it was asked to sleep, and does not."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._clock = HandClock()
        self.now_ns, self.monotonic_ns = self._clock.now_ns, self._clock.monotonic_ns

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


def failing(*errors: Exception) -> tuple[Callable[[], object], list[int]]:
    calls: list[int] = []

    async def work() -> str:
        calls.append(1)
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]
        return "done"

    return work, calls


LATE = BrokerTimeoutError("late")


async def test_the_longest_waits_double_up_to_the_most() -> None:
    waits = Waits()

    @with_exponential_backoff(6, base_delay=1.0, max_delay=10.0, clock=waits, rng=Chance(1.0))
    async def work() -> None:
        raise LATE

    with pytest.raises(BrokerTimeoutError) as raised:
        await work()
    assert raised.value is LATE
    assert waits.seconds == [1, 2, 4, 8, 10, 10]


async def test_jitter_takes_any_share_of_the_wait() -> None:
    waits = Waits()

    @with_exponential_backoff(200, base_delay=8.0, max_delay=8.0, clock=waits, rng=random.Random(3))
    async def work() -> None:
        raise LATE

    with pytest.raises(BrokerTimeoutError):
        await work()
    assert min(waits.seconds) < 0.5
    assert max(waits.seconds) > 7.5
    assert sum(waits.seconds) / 200 == pytest.approx(4, abs=0.5)


async def test_retry_after_is_the_least_wait() -> None:
    waits = Waits()
    errors = [RateLimitError("429", retry_after_ms=7000), RateLimitError("429", retry_after_ms=100)]

    @with_exponential_backoff(3, base_delay=1.0, clock=waits, rng=Chance(0.5))
    async def work() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    assert await work() == "done"
    assert waits.seconds == [7, 1]


@pytest.mark.parametrize(
    "error", [InvalidOrderError("tick"), ValueError("a mistake"), asyncio.CancelledError()]
)
async def test_what_will_fail_again_is_not_repeated(error: BaseException) -> None:
    calls = []

    @with_exponential_backoff(3, clock=Waits())
    async def work() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        await work()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (NotSent("refused"), 2),
        (RateLimitError("429"), 2),
        (OutcomeUnknown("the answer was lost"), 1),
        (BrokerTimeoutError("late"), 1),
        (TemporaryConnectionError("reset"), 1),
    ],
)
async def test_a_command_is_repeated_only_when_it_never_arrived(error: Exception, times: int) -> None:
    calls = []

    @with_exponential_backoff(1, repeats=never_arrived, clock=Waits())
    async def place() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        await place()
    assert len(calls) == times


async def test_calls_at_the_same_time_count_for_themselves() -> None:
    calls: dict[str, int] = {}

    @with_exponential_backoff(2, clock=Waits())
    async def work(name: str) -> str:
        calls[name] = calls.get(name, 0) + 1
        await asyncio.sleep(0)
        if calls[name] <= 2:
            raise LATE
        return name

    assert await asyncio.gather(*map(work, "abc")) == ["a", "b", "c"]
    assert calls == {"a": 3, "b": 3, "c": 3}


async def test_every_repeat_is_told() -> None:
    told = []

    @with_exponential_backoff(
        2, base_delay=4.0, clock=Waits(), rng=Chance(0.5), repeated=lambda *what: told.append(what)
    )
    async def work() -> None:
        raise LATE

    with pytest.raises(BrokerTimeoutError):
        await work()
    assert told == [(1, 2.0, LATE), (2, 4.0, LATE)]


def test_it_keeps_the_name_of_what_it_decorates() -> None:
    @with_exponential_backoff()
    async def fetch() -> None:
        """What it does."""

    assert (fetch.__name__, fetch.__doc__) == ("fetch", "What it does.")


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="0 is the least"):
        with_exponential_backoff(-1)
    with pytest.raises(TypeError, match="no coroutine function"):
        with_exponential_backoff()(lambda: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="read_s is 0 seconds"):
        Timeouts(read_s=0)


async def test_the_whole_takes_no_longer_than_it_may() -> None:
    with pytest.raises(BrokerTimeoutError, match=r"the query took longer than 0\.01 s"):
        async with Timeouts(total_s=0.01).whole("the query"):
            await asyncio.Event().wait()


async def test_a_timeout_from_within_is_left_as_it_is() -> None:
    with pytest.raises(TimeoutError) as raised:
        async with Timeouts(total_s=60).whole():
            raise TimeoutError("the socket's own")
    assert str(raised.value) == "the socket's own"


def test_a_deadline_is_counted_from_now() -> None:
    assert Timeouts(total_s=2.5).deadline(HandClock()) == 2_500_000_000
