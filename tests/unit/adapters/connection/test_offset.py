"""The venue's clock is known by the sample that took the shortest way."""

from __future__ import annotations

import random

from brokergate.adapters.connection.offset import KEPT, MAX_AGE_NS, NS_PER_MS, ClockOffset
from brokergate.codec.encode.broker import encode_connection
from brokergate.engine.connection import Connection
from brokergate.resilience.metrics import BrokerMetrics
from tests.unit.adapters.paper.hand_clock import HandClock
from tests.unit.engine.street import Street

NOW_NS = 1_800_000_000_000_000_000
S = 1_000_000_000


def test_nothing_is_known_before_the_first_sample() -> None:
    clock = ClockOffset()
    assert (clock.offset_ns, clock.uncertainty_ns, clock.known, clock.due(NOW_NS)) == (0, None, False, True)


def test_pain_10_slow_samples_do_not_overshoot() -> None:
    """The venue is 1,500 ms ahead. Ways there and back differ wildly and lie all on one side, which drags an average
    along; the shortest way does not follow, and the truth lies within its bound."""
    rng, truth_ns, clock = random.Random(10), 1500 * NS_PER_MS, ClockOffset()
    now_ns, mean_error_ns = NOW_NS, 0
    for _ in range(100):
        there_ns = rng.randrange(5, 2000) * NS_PER_MS
        back_ns = rng.randrange(5, 20) * NS_PER_MS
        server_ms = (now_ns + there_ns + truth_ns) // NS_PER_MS
        clock.add(now_ns, now_ns + there_ns + back_ns, server_ms)
        mean_error_ns += (server_ms * NS_PER_MS - now_ns - (there_ns + back_ns) // 2 - truth_ns) // 100
        assert clock.uncertainty_ns is not None
        assert abs(clock.offset_ns - truth_ns) <= clock.uncertainty_ns
        now_ns += 5 * S
    assert abs(mean_error_ns) > 400 * NS_PER_MS
    assert abs(clock.offset_ns - truth_ns) < 150 * NS_PER_MS


def test_after_a_refused_timestamp_the_next_sample_counts_alone() -> None:
    """The clock of this machine was corrected by two seconds: old samples are of a clock that is no more."""
    clock = ClockOffset()
    clock.add(NOW_NS, NOW_NS + 2 * NS_PER_MS, NOW_NS // NS_PER_MS)
    clock.distrust()
    assert clock.due(NOW_NS + 1)
    assert abs(clock.offset_ns) <= NS_PER_MS
    clock.add(NOW_NS, NOW_NS + 80 * NS_PER_MS, (NOW_NS + 2 * S) // NS_PER_MS)
    assert not clock.due(NOW_NS + 80 * NS_PER_MS)
    assert abs(clock.offset_ns - 2 * S) <= 41 * NS_PER_MS
    assert abs(clock.drift_ns - 2 * S) <= 41 * NS_PER_MS


def test_pain_10_the_drift_is_shown() -> None:
    """The venue was two seconds ahead, and is half a second behind: `GetBroker` says both, each with its sign."""
    clock, metrics = ClockOffset(), BrokerMetrics(HandClock())
    metrics.watch_clock(clock.view)
    broker = Street()
    connection = Connection("main", broker, HandClock(), lambda *_, **__: None, metrics, lambda: None)
    assert not encode_connection(connection.view()).HasField("clock_offset")
    clock.add(NOW_NS, NOW_NS, (NOW_NS + 2 * S) // NS_PER_MS)
    clock.distrust()
    clock.add(NOW_NS, NOW_NS, (NOW_NS - S // 2) // NS_PER_MS)
    shown = encode_connection(connection.view())
    assert shown.clock_offset.ToNanoseconds() == -S // 2 + NS_PER_MS // 2
    assert shown.clock_drift.ToNanoseconds() == -5 * S // 2
    assert (shown.clock_offset.seconds, shown.clock_offset.nanos < 0) == (0, True)


def test_the_venue_is_asked_again_in_time() -> None:
    clock = ClockOffset(resync_ns=60 * S)
    clock.add(NOW_NS, NOW_NS + 10, NOW_NS // NS_PER_MS)
    assert not clock.due(NOW_NS + 59 * S)
    assert clock.due(NOW_NS + 61 * S)
    # Set back, this machine's clock says nothing about how long ago that was.
    assert clock.due(NOW_NS - S)


def test_old_samples_are_forgotten() -> None:
    """A short way of yesterday says nothing about a clock that has drifted since."""
    clock = ClockOffset()
    clock.add(NOW_NS, NOW_NS, NOW_NS // NS_PER_MS)
    later_ns = NOW_NS + MAX_AGE_NS + 1
    clock.add(later_ns, later_ns + 20 * NS_PER_MS, (later_ns + S) // NS_PER_MS)
    assert abs(clock.offset_ns - S) <= 11 * NS_PER_MS
    for number in range(10 * KEPT):
        clock.add(later_ns + number, later_ns + number + NS_PER_MS, later_ns // NS_PER_MS)
    assert abs(clock.offset_ns) <= 2 * NS_PER_MS


def test_time_that_runs_backwards_is_no_sample() -> None:
    clock = ClockOffset()
    clock.add(NOW_NS, NOW_NS - S, NOW_NS // NS_PER_MS)
    assert not clock.known


def test_the_venues_time() -> None:
    clock = ClockOffset()
    clock.add(NOW_NS, NOW_NS, NOW_NS // NS_PER_MS - 3000)
    assert abs(clock.venue_ns(NOW_NS) - (NOW_NS - 3 * S)) <= NS_PER_MS
