"""What is under way on a line: how long, in which order, and by which chance."""

from __future__ import annotations

from decimal import Decimal
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain.faults import Fault, FaultKind, FaultPlan
from brokergate.sim.channel import Channel
from brokergate.sim.dice import Dice
from brokergate.sim.latency import ConstantLatency, NormalLatency, RecordedLatency
from brokergate.sim.mishaps import Mishaps

MS = 1_000_000


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 200)), min_size=1, max_size=60))
def test_nothing_arrives_before_its_latency_and_nothing_overtakes(messages: list[tuple[int, int]]) -> None:
    """Invariant 10, whatever the latencies are."""
    channel: Channel[int] = Channel()
    now, sent = 0, []
    for number, (pause, latency) in enumerate(messages):
        now += pause
        sent.append(now + latency)
        channel.send(number, now, latency)
    arrived = []
    for until in range(now + 201):
        for moment, number in channel.arrivals(until):
            assert sent[number] <= moment == until
            arrived.append(number)
    assert arrived == list(range(len(messages)))
    assert channel.next_ns is None


def test_what_goes_astray_is_overtaken_and_holds_nothing_up() -> None:
    channel: Channel[str] = Channel()
    channel.send("first", 0, 10, astray_ns=100)
    channel.send("second", 1, 10)
    assert list(channel.arrivals(50)) == [(11, "second")]
    assert list(channel.arrivals(200)) == [(110, "first")]


def test_what_is_sent_while_messages_arrive_arrives_too_where_it_is_time() -> None:
    channel: Channel[str] = Channel()
    channel.send("first", 0, 10)
    seen = []
    for moment, message in channel.arrivals(30):
        seen.append((moment, message))
        if message == "first":
            channel.send("answer", moment, 15)
    assert seen == [(10, "first"), (25, "answer")]


def test_the_dice_are_splitmix64() -> None:
    """The reference's first numbers for the seed 1234567 (Vigna's splitmix64.c), cut to 53 bits."""
    dice = Dice(0, "")
    dice._start = 1234567
    expected = (6457827717110365317, 3203168211198807973, 9817491932198370423)
    assert [dice.whole() for _ in expected] == [number >> 11 for number in expected]


def test_dice_go_on_from_their_count_and_know_nothing_of_others() -> None:
    dice, again, other = Dice(7, "a"), Dice(7, "a"), Dice(7, "b")
    first = [dice.uniform() for _ in range(20)]
    again.thrown = 12
    assert [again.uniform() for _ in range(8)] == first[12:]
    assert [other.uniform() for _ in range(20)] != first


def test_a_normal_latency_has_its_mean_and_deviation_and_is_never_below_zero() -> None:
    model = NormalLatency(40 * MS, 5 * MS, Dice(1, "request"))
    drawn = [model.next_ns() for _ in range(20_000)]
    # Four standard errors of the mean are 0.14 ms; of the deviation 0.1 ms.
    assert abs(fmean(drawn) - 40 * MS) < 0.14 * MS
    assert abs(pstdev(drawn) - 5 * MS) < 0.1 * MS
    low = NormalLatency(1 * MS, 5 * MS, Dice(1, "request"))
    assert min(low.next_ns() for _ in range(1_000)) == 0


def test_a_recorded_latency_is_told_in_its_order_and_again() -> None:
    model = RecordedLatency([3, 1, 2])
    assert [model.next_ns() for _ in range(7)] == [3, 1, 2, 3, 1, 2, 3]
    again = RecordedLatency([3, 1, 2])
    again.drawn = 4
    assert again.next_ns() == 1


def test_a_recorded_latency_by_chance_goes_on_from_where_it_stood() -> None:
    first, again = (RecordedLatency(range(1000), Dice(3, "x")) for _ in range(2))
    drawn = [first.next_ns() for _ in range(10)]
    assert len(set(drawn)) > 5
    again.drawn = 6
    assert [again.next_ns() for _ in range(4)] == drawn[6:]


@pytest.mark.parametrize("latencies", [[], [5, -1]])
def test_a_recording_without_a_latency_or_with_one_below_zero_is_refused(latencies: list[int]) -> None:
    with pytest.raises(ValueError, match=r"no latency|below 0"):
        RecordedLatency(latencies)
    with pytest.raises(ValueError, match="below 0"):
        ConstantLatency(-1)


def test_a_fault_happens_at_its_rate() -> None:
    mishaps = Mishaps(5)
    mishaps.set(FaultPlan((Fault(FaultKind.REJECTION, Decimal(20)),)))
    struck = sum(mishaps.struck(FaultKind.REJECTION) is not None for _ in range(10_000))
    # Four standard deviations of 10,000 throws at 0.2 are 160.
    assert abs(struck - 2_000) < 160
    assert mishaps.struck(FaultKind.MUTE_STREAM) is None


def test_a_fault_that_lasts_is_over_after_its_delay_or_with_the_faults() -> None:
    mishaps = Mishaps(5)
    mishaps.set(FaultPlan((Fault(FaultKind.DISCONNECT, delay_ns=50),), since_ns=100))
    assert [mishaps.left_ns(FaultKind.DISCONNECT, now) for now in (100, 149, 150)] == [50, 1, 0]
    mishaps.set(FaultPlan((Fault(FaultKind.DISCONNECT),), since_ns=100))
    assert mishaps.left_ns(FaultKind.DISCONNECT, 10**18) is None
    mishaps.set(FaultPlan())
    assert mishaps.left_ns(FaultKind.DISCONNECT, 0) == 0


def test_a_command_sets_off_what_lasts_by_rate() -> None:
    mishaps = Mishaps(5)
    mishaps.set(FaultPlan((Fault(FaultKind.MAINTENANCE, Decimal(50), 30),), since_ns=0))
    assert mishaps.left_ns(FaultKind.MAINTENANCE, 0) == 0
    assert any(mishaps.set_off(FaultKind.MAINTENANCE, 7) for _ in range(50))
    assert mishaps.left_ns(FaultKind.MAINTENANCE, 10) == 27
