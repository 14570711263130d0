"""The limiter, case by case, under a clock that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from brokergate.domain.errors import RateLimitError
from brokergate.resilience import AdaptiveRateLimiter, Lane, Limit, MultiEndpointRateLimiter
from tests.unit.adapters.paper.hand_clock import HandClock, settle

NS = 1_000_000_000


class Sent:
    """Who got through, in that order."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._tasks: list[asyncio.Task[Any]] = []

    def soon(self, name: str, sending: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        async def send() -> None:
            await sending
            self.names.append(name)

        self._tasks.append(asyncio.create_task(send()))
        return self._tasks[-1]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def sent() -> Sent:
    return Sent()


async def test_what_was_spent_comes_back_one_window_later_and_not_before(
    clock: HandClock, sent: Sent
) -> None:
    limiter = AdaptiveRateLimiter(2, 1.0, clock=clock)
    for name in "abcd":
        sent.soon(name, limiter.acquire())
    await settle()
    assert sent.names == ["a", "b"]
    await clock.advance(0.999)
    assert sent.names == ["a", "b"]
    await clock.advance(0.001)
    assert sent.names == ["a", "b", "c", "d"]


async def test_what_is_under_way_comes_back_a_window_after_its_end(clock: HandClock, sent: Sent) -> None:
    """The venue may have counted it at any time until then."""
    limiter = AdaptiveRateLimiter(1, 1.0, clock=clock)
    async with limiter.limit():
        await clock.advance(5)
    sent.soon("next", limiter.acquire())
    await clock.advance(0.99)
    assert sent.names == []
    await clock.advance(0.02)
    assert sent.names == ["next"]


async def test_lanes_go_by_rank_and_each_in_turn(clock: HandClock, sent: Sent) -> None:
    limiter = AdaptiveRateLimiter(1, 1.0, clock=clock)
    await limiter.acquire()
    for lane in (Lane.QUERY, Lane.NEW, Lane.CLOSE, Lane.CANCEL, Lane.CANCEL_EMERGENCY):
        for turn in (1, 2):
            sent.soon(f"{lane.name} {turn}", limiter.acquire(1, lane))
    await clock.advance(10)
    assert sent.names == [
        f"{lane} {turn}"
        for lane in ("CANCEL_EMERGENCY", "CANCEL", "CLOSE", "NEW", "QUERY")
        for turn in (1, 2)
    ]


async def test_a_reserve_is_left_to_cancels(clock: HandClock, sent: Sent) -> None:
    limiter = AdaptiveRateLimiter(3, 1.0, reserve=1, clock=clock)
    for name in "abc":
        sent.soon(name, limiter.acquire(1, Lane.NEW))
    await settle()
    sent.soon("cancel", limiter.acquire(1, Lane.CANCEL))
    await settle()
    assert sent.names == ["a", "b", "cancel"]


async def test_a_heavy_request_is_not_starved_by_light_ones(clock: HandClock, sent: Sent) -> None:
    limiter = AdaptiveRateLimiter(4, 1.0, clock=clock)
    await limiter.acquire(3)
    sent.soon("heavy", limiter.acquire(4))
    sent.soon("light", limiter.acquire(1))
    await settle()
    assert sent.names == []
    await clock.advance(1)
    assert sent.names == ["heavy"]


async def test_linked_limits_are_charged_all_or_none(clock: HandClock, sent: Sent) -> None:
    """An order that lacks one token takes none of the others, and holds up nobody who does not need that one."""
    limiter = MultiEndpointRateLimiter(
        {"order": ["weight", "orders"], "query": {"weight": 2}},
        limits={"weight": Limit(10, 60.0), "orders": Limit(1, 10.0)},
        clock=clock,
    )
    for name in ("first", "second"):
        sent.soon(name, limiter.limit("order", lane=Lane.NEW).__aenter__())
    await settle()
    assert sent.names == ["first"]
    assert limiter.utilisation == {"weight": 0.1, "orders": 1.0}
    sent.soon("query", limiter.limit("query").__aenter__())
    await settle()
    assert sent.names == ["first", "query"]


async def test_weights_multiply_or_name_what_they_replace(clock: HandClock) -> None:
    limiter = MultiEndpointRateLimiter(
        {"batch": {"weight": 2, "orders": 1}},
        limits={"weight": Limit(100, 60.0), "orders": Limit(100, 10.0)},
        clock=clock,
    )
    async with limiter.limit("batch", 5):
        assert limiter.utilisation == {"weight": 0.1, "orders": 0.05}
    async with limiter.limit("batch", {"orders": 20}):
        assert limiter.utilisation == {"weight": 0.12, "orders": 0.25}


class TestDeadline:
    async def test_a_request_that_cannot_make_it_fails_at_once_and_costs_nothing(
        self, clock: HandClock
    ) -> None:
        limiter = AdaptiveRateLimiter(1, 1.0, clock=clock)
        await limiter.acquire()
        with pytest.raises(RateLimitError, match=r"room in 1\.000 s") as caught:
            await asyncio.wait_for(limiter.acquire(deadline=clock.monotonic_ns() + NS // 2), 5)
        assert caught.value.retry_after_ms == 1000
        assert (limiter.waiting, limiter.utilisation) == (0, 1.0)
        await clock.advance(1)
        await asyncio.wait_for(limiter.acquire(), 5)

    async def test_the_queue_ahead_counts(self, clock: HandClock, sent: Sent) -> None:
        limiter = AdaptiveRateLimiter(2, 1.0, clock=clock)
        for number in range(6):
            sent.soon(str(number), limiter.acquire())
        await settle()
        # Two went; two go after 1 s, two after 2 s; the next two after 3 s.
        late = sent.soon("late", limiter.acquire(deadline=clock.monotonic_ns() + 3 * NS - 1))
        good = sent.soon("good", limiter.acquire(deadline=clock.monotonic_ns() + 3 * NS))
        ahead = sent.soon("ahead", limiter.acquire(1, Lane.NEW, clock.monotonic_ns() + NS))
        await settle()
        assert late.done()
        assert isinstance(late.exception(), RateLimitError)
        await clock.advance(1)
        assert ahead.done()
        await clock.advance(2)
        assert good.done()

    async def test_one_that_is_overtaken_fails_at_its_deadline(self, clock: HandClock, sent: Sent) -> None:
        limiter = AdaptiveRateLimiter(1, 1.0, clock=clock)
        await limiter.acquire()
        query = sent.soon("query", limiter.acquire(deadline=clock.monotonic_ns() + NS + 5))
        await settle()
        sent.soon("cancel", limiter.acquire(1, Lane.CANCEL))
        await clock.advance(0.999)
        assert not query.done()
        await clock.advance(0.1)
        assert isinstance(query.exception(), RateLimitError)
        assert sent.names == ["cancel"]

    async def test_a_ban_fails_those_who_cannot_outwait_it(self, clock: HandClock, sent: Sent) -> None:
        limiter = AdaptiveRateLimiter(1, 1.0, clock=clock)
        await limiter.acquire()
        short = sent.soon("short", limiter.acquire(deadline=clock.monotonic_ns() + 5 * NS))
        patient = sent.soon("patient", limiter.acquire(deadline=clock.monotonic_ns() + 500 * NS))
        await settle()
        limiter.close_for(120)
        await settle()
        assert isinstance(short.exception(), RateLimitError)
        cancel = sent.soon("cancel", limiter.acquire(1, Lane.CANCEL_EMERGENCY))
        await clock.advance(119.9)
        assert not patient.done()
        assert not cancel.done()
        await clock.advance(1.2)
        assert sent.names == ["cancel", "patient"]

    async def test_one_in_the_past_is_refused_though_there_is_room(self, clock: HandClock) -> None:
        await clock.advance(1)
        limiter = AdaptiveRateLimiter(1, 1.0, clock=clock)
        with pytest.raises(RateLimitError):
            await limiter.acquire(deadline=clock.monotonic_ns())
        assert limiter.utilisation == 0

    async def test_seconds_are_refused(self) -> None:
        with pytest.raises(TypeError, match="nanoseconds"):
            AdaptiveRateLimiter(1, 1.0).limit(deadline=1.5)  # type: ignore[arg-type]


class TestGivingUp:
    async def test_who_gives_up_leaves_no_hole(self, clock: HandClock, sent: Sent) -> None:
        """The one behind takes the place, at the time it was due."""
        limiter = AdaptiveRateLimiter(1, 1.0, clock=clock)
        await limiter.acquire()
        tasks = [sent.soon(name, limiter.acquire()) for name in ("a", "b", "c")]
        await clock.advance(0.5)
        tasks[0].cancel()
        tasks[1].cancel()
        await clock.advance(0.5)
        assert sent.names == ["c"]
        assert limiter.waiting == 0

    async def test_a_heavy_one_that_gives_up_lets_those_behind_it_go_now(
        self, clock: HandClock, sent: Sent
    ) -> None:
        limiter = AdaptiveRateLimiter(4, 1.0, clock=clock)
        await limiter.acquire(3)
        heavy = sent.soon("heavy", limiter.acquire(4))
        sent.soon("light", limiter.acquire(1))
        await settle()
        heavy.cancel()
        await settle()
        assert sent.names == ["light"]

    async def test_one_that_was_let_through_and_never_sent_gives_its_tokens_back(
        self, clock: HandClock, sent: Sent
    ) -> None:
        """Cancelled between being let through and noticing it."""
        limiter = AdaptiveRateLimiter(1, 1.0, clock=clock)
        async with limiter.limit() as permit:
            unlucky = sent.soon("unlucky", limiter.acquire())
            await settle()
            permit.refund()
            unlucky.cancel()
            await settle()
        assert sent.names == []
        assert limiter.utilisation == 0

    async def test_a_refund_lets_the_next_one_go(self, clock: HandClock, sent: Sent) -> None:
        limiter = AdaptiveRateLimiter(1, 1.0, clock=clock)
        async with limiter.limit() as permit:
            sent.soon("next", limiter.acquire())
            await settle()
            permit.refund()
            await settle()
            assert sent.names == ["next"]
        assert limiter.utilisation == 1


class TestTheVenuesWord:
    async def test_use_by_others_counts_until_the_venue_forgets_it(
        self, clock: HandClock, sent: Sent
    ) -> None:
        limiter = AdaptiveRateLimiter(10, 60.0, clock=clock)
        limiter.hear(used=10, reset_after=7)
        sent.soon("mine", limiter.acquire())
        await clock.advance(6.9)
        assert sent.names == []
        await clock.advance(0.1)
        assert sent.names == ["mine"]

    async def test_less_than_was_thought_frees_tokens_at_once(self, clock: HandClock, sent: Sent) -> None:
        """A venue whose minute is the clock's has forgotten what it counted in the last one."""
        limiter = AdaptiveRateLimiter(2, 60.0, clock=clock)
        await limiter.acquire()
        async with limiter.limit() as permit:
            sent.soon("next", limiter.acquire())
            await settle()
            assert sent.names == []
            permit.hear(used=1)
            await settle()
            assert sent.names == ["next"]

    async def test_an_older_answer_takes_nothing_back(self, clock: HandClock) -> None:
        """It left the venue before the later request came there."""
        limiter = AdaptiveRateLimiter(10, 60.0, clock=clock)
        async with limiter.limit() as old, limiter.limit() as new:
            new.hear(used=2)
            old.hear(used=1)
        assert limiter.utilisation == pytest.approx(0.2)

    async def test_what_is_under_way_is_no_use_by_others(self, clock: HandClock) -> None:
        limiter = AdaptiveRateLimiter(10, 60.0, clock=clock)
        async with limiter.limit(), limiter.limit() as mine:
            mine.hear(used=1)
            assert limiter.utilisation == pytest.approx(0.2)

    async def test_remaining_and_limit(self, clock: HandClock) -> None:
        limiter = MultiEndpointRateLimiter({"/v2/orders": (200, 60.0)}, clock=clock)
        async with limiter.limit("/v2/orders") as permit:
            permit.hear("/v2/orders", limit=1000, remaining=899, reset_after=60)
        assert limiter.utilisation["/v2/orders"] == pytest.approx(0.101)

    async def test_a_limit_that_shrinks_below_its_reserve_still_lets_one_through(
        self, clock: HandClock, sent: Sent
    ) -> None:
        limiter = AdaptiveRateLimiter(100, 1.0, reserve=10, clock=clock)
        limiter.hear(limit=5)
        sent.soon("one", limiter.acquire(1, Lane.NEW))
        await settle()
        assert sent.names == ["one"]


class TestBadInput:
    @pytest.mark.parametrize(
        ("most", "seconds", "reserve", "problem"),
        [(0, 1.0, 0, "at least 1"), (1, 0.0, 0, "above 0"), (2, 1.0, 2, "leave something")],
    )
    def test_a_limit_that_lets_nothing_through(
        self, most: int, seconds: float, reserve: int, problem: str
    ) -> None:
        with pytest.raises(ValueError, match=problem):
            AdaptiveRateLimiter(most, seconds, reserve=reserve)

    def test_a_request_that_never_fits(self) -> None:
        with pytest.raises(ValueError, match="never fits the limit of 8"):
            AdaptiveRateLimiter(10, 1.0, reserve=2).limit(9, Lane.NEW)

    def test_an_endpoint_that_there_is_not(self) -> None:
        with pytest.raises(LookupError, match="no endpoint '/v1/order'; there are: /v1/orders"):
            MultiEndpointRateLimiter({"/v1/orders": (10, 1.0)}).limit("/v1/order")

    def test_a_limit_that_there_is_not(self) -> None:
        with pytest.raises(LookupError, match="no limit 'wieght'; there are: weight"):
            MultiEndpointRateLimiter({"a": ["wieght"]}, limits={"weight": Limit(1, 1.0)})


async def test_another_account_at_the_same_address_shares_its_limit_alone(clock: HandClock) -> None:
    limiter = MultiEndpointRateLimiter(
        {"a order": ["address", "a orders"]},
        limits={"address": Limit(10, 60.0), "a orders": Limit(5, 10.0)},
        clock=clock,
    )
    limiter.add(
        {"b order": ["address", "b orders"]},
        limits={"address": Limit(10, 60.0), "b orders": Limit(5, 10.0)},
    )
    async with limiter.limit("a order"), limiter.limit("b order"):
        assert limiter.utilisation == {"address": 0.2, "a orders": 0.2, "b orders": 0.2}


async def test_a_bucket_stays_small_however_much_goes_through_it(clock: HandClock) -> None:
    """What it costs does not grow with what it lets through: 300,000 in five minutes are kept in 65 sums."""
    limiter = AdaptiveRateLimiter(300_000, 300.0, clock=clock)
    for _ in range(3000):
        await limiter.acquire()
        clock._elapsed_ns += NS // 10
    assert len(limiter._bucket._slots) <= 65
    assert limiter.utilisation == pytest.approx(0.01)
