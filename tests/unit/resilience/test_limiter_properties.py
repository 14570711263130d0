"""What holds of the limiter whatever comes to it, in whatever order."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from brokergate.resilience import Lane, Limit, MultiEndpointRateLimiter
from tests.unit.adapters.paper.hand_clock import HandClock
from tests.unit.resilience.traffic import MS, Visit, most_in_any_window, run

WINDOW_MS = 1000
CAPACITY = 6
LONG_MS = 4000
LONG_CAPACITY = 12
"""The account's own, beside the one of the address."""
CHARGES = {"order": {"address": 1, "account": 1}, "query": {"address": 1}, "heavy": {"address": 1}}


def limiter(clock: HandClock, reserve: int = 0) -> MultiEndpointRateLimiter:
    return MultiEndpointRateLimiter(
        CHARGES,
        limits={
            "address": Limit(CAPACITY, WINDOW_MS / 1000, reserve),
            "account": Limit(LONG_CAPACITY, LONG_MS / 1000),
        },
        clock=clock,
    )


def visits(endpoints: list[str], *, deadlines: bool = True) -> st.SearchStrategy[list[Visit]]:
    patience = st.none() | st.integers(1, 6000)
    never = st.none()
    return st.lists(
        st.builds(
            Visit,
            at_ms=st.integers(0, 3000),
            endpoint=st.sampled_from(endpoints),
            weight=st.integers(1, 3),
            lane=st.sampled_from(Lane),
            deadline_ms=patience if deadlines else never,
            gives_up_ms=patience if deadlines else never,
            lasts_ms=st.sampled_from((0, 0, 30, 400)),
        ),
        max_size=40,
    )


@settings(max_examples=150)
@given(visits(list(CHARGES)))
def test_no_window_sees_more_than_is_allowed(traffic: list[Visit]) -> None:
    clock = HandClock()
    asyncio.run(run(limiter(clock), clock, traffic, 60))
    for name, capacity, window_ms in (("address", CAPACITY, WINDOW_MS), ("account", LONG_CAPACITY, LONG_MS)):
        weights = {endpoint: charges.get(name, 0) for endpoint, charges in CHARGES.items()}
        assert most_in_any_window(traffic, weights, window_ms * MS) <= capacity


@settings(max_examples=150)
@given(visits(list(CHARGES), deadlines=False))
def test_whoever_waits_is_sent_in_the_end(traffic: list[Visit]) -> None:
    """40 requests of at most 3 take at most 120 of the account's 12 in 4 s and of the address's 6 in 1 s; one that is
    under way holds its tokens, and one that does not fit lets some idle."""
    clock = HandClock()
    asyncio.run(run(limiter(clock), clock, traffic, 200))
    assert [visit for visit in traffic if visit.sent_ns < 0] == []


@settings(max_examples=150)
@given(visits(list(CHARGES)))
def test_first_come_first_served_within_a_lane(traffic: list[Visit]) -> None:
    clock = HandClock()
    asyncio.run(run(limiter(clock), clock, traffic, 60))
    for endpoint in CHARGES:
        for lane in Lane:
            sent = [
                visit.sent_ns
                for visit in sorted(traffic, key=lambda visit: visit.number)
                if (visit.endpoint, visit.lane) == (endpoint, lane) and visit.sent_ns >= 0
            ]
            assert sent == sorted(sent)


@settings(max_examples=150)
@given(visits(["query"]))
def test_a_higher_lane_waits_for_no_lower_one(traffic: list[Visit]) -> None:
    """While a cancel waits nothing of a lower lane is sent, however light: it cannot be starved."""
    clock = HandClock()
    asyncio.run(run(limiter(clock), clock, traffic, 60))
    for lower in traffic:
        if lower.sent_ns >= 0:
            passed = [v for v in traffic if v.lane < lower.lane and v.waited_at(lower.sent_ns)]
            assert passed == []


@settings(max_examples=150)
@given(visits(["query"]))
def test_what_is_sent_is_sent_before_its_deadline_and_what_is_refused_costs_nothing(
    traffic: list[Visit],
) -> None:
    clock = HandClock()
    with_refused, without = limiter(clock), HandClock()
    asyncio.run(run(with_refused, clock, traffic, 60))
    for visit in traffic:
        if visit.deadline_ms is not None and visit.sent_ns >= 0:
            assert visit.sent_ns <= visit.came_ns + visit.deadline_ms * MS
        if visit.refused_ns >= 0:
            assert visit.deadline_ms is not None
            assert visit.refused_ns <= visit.came_ns + visit.deadline_ms * MS
    # The same traffic without those that were refused on arrival goes out at the same times.
    again = [
        Visit(v.at_ms, v.endpoint, v.weight, v.lane, v.deadline_ms, v.gives_up_ms, v.lasts_ms)
        for v in sorted(traffic, key=lambda visit: visit.number)
        if v.refused_ns != v.came_ns
    ]
    asyncio.run(run(limiter(without), without, again, 60))
    before = [v.sent_ns for v in sorted(traffic, key=lambda visit: visit.number) if v.refused_ns != v.came_ns]
    assert [visit.sent_ns for visit in again] == before


@settings(max_examples=150)
@given(visits(["query"], deadlines=False), st.integers(1, CAPACITY - 3))
def test_the_reserve_is_there_for_cancels(traffic: list[Visit], reserve: int) -> None:
    """Others leave the reserve of every window alone."""
    clock = HandClock()
    asyncio.run(run(limiter(clock, reserve), clock, traffic, 200))
    others = [visit for visit in traffic if not visit.lane.cancels]
    assert most_in_any_window(others, {"query": 1}, WINDOW_MS * MS) <= CAPACITY - reserve
    assert [visit for visit in traffic if visit.sent_ns < 0] == []
