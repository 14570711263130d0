"""The figures of a broker, and what is said of its health."""

from __future__ import annotations

import pytest

from brokergate.domain.accounts import ConnectionState
from brokergate.domain.errors import BrokerTimeoutError
from brokergate.resilience import BrokerHealthMonitor, BrokerMetrics, CircuitBreaker, HealthLevel
from brokergate.resilience.metrics import ERROR_CLASSES, LATENCY_SAMPLES, metrics_of
from tests.unit.adapters.paper.hand_clock import WALL_NS, HandClock

MS = 1_000_000
UP = ConnectionState.CONNECTED


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_latency_mean_and_p99_are_of_the_latest_orders(clock: HandClock) -> None:
    metrics = BrokerMetrics(clock)
    assert (metrics.view().order_latency_mean_ns, metrics.view().order_latency_p99_ns) == (0, 0)
    for _ in range(LATENCY_SAMPLES):
        metrics.record_order_latency(1000 * MS)
    for milliseconds in range(1, LATENCY_SAMPLES + 1):
        metrics.record_order_latency(milliseconds * MS, 2)
    view = metrics.view()
    assert view.orders_sent == 3 * LATENCY_SAMPLES
    assert view.order_latency_mean_ns == 512_500_000
    assert view.order_latency_p99_ns == 1014 * MS


def test_errors_are_counted_by_class_and_no_more_classes_than_there_is_room_for(clock: HandClock) -> None:
    metrics = BrokerMetrics(clock)
    for _ in range(3):
        metrics.record_error(BrokerTimeoutError("late"))
    for number in range(2 * ERROR_CLASSES):
        metrics.record_error(type(f"Odd{number}", (Exception,), {})())
    errors = metrics.view().errors
    assert errors["BrokerTimeoutError"] == 3
    assert errors["other"] == ERROR_CLASSES + 1
    assert len(errors) == ERROR_CLASSES + 1


async def test_accounts_add_up_and_the_fullest_limit_is_shown(clock: HandClock) -> None:
    both = [BrokerMetrics(clock), BrokerMetrics(clock)]
    both[0].watch_limits(lambda: {"weight": 0.25, "orders": 0.5})
    both[1].watch_limits(lambda: {"weight": 0.75})
    both[0].record_connection(UP)
    both[0].record_order_latency(2 * MS)
    both[1].record_order_latency(4 * MS)
    both[0].orders_ended, both[0].orders_filled, both[1].orders_ended = 1, 1, 1
    await clock.advance(10)
    view = metrics_of(both)
    assert view.limits == {"weight": 0.75, "orders": 0.5}
    assert (view.uptime, view.fill_rate, view.order_latency_mean_ns) == (0.5, 0.5, 3 * MS)


async def test_uptime_and_reconnects(clock: HandClock) -> None:
    metrics = BrokerMetrics(clock)
    assert metrics.view().uptime is None
    for state, seconds in (
        (ConnectionState.CONNECTING, 1),
        (UP, 6),
        (ConnectionState.RECONNECTING, 1),
        (ConnectionState.ERROR, 1),
        (UP, 1),
    ):
        metrics.record_connection(state)
        await clock.advance(seconds)
    assert (metrics.view().uptime, metrics.view().reconnects) == (0.7, 1)


class TestHealth:
    def test_a_connection_that_does_not_stand_is_down(self, clock: HandClock) -> None:
        monitor = BrokerHealthMonitor(clock, BrokerMetrics(clock))
        health = monitor.assess(ConnectionState.RECONNECTING, "connection reset", 0, maintenance=False)
        assert health.level is HealthLevel.DOWN
        assert health.problems == ("the connection is RECONNECTING: connection reset",)

    def test_maintenance_is_said_so(self, clock: HandClock) -> None:
        monitor = BrokerHealthMonitor(clock, BrokerMetrics(clock))
        health = monitor.assess(ConnectionState.ERROR, "back at 06:00", 0, maintenance=True)
        assert health.problems == ("the broker is under maintenance: back at 06:00",)

    async def test_old_data_degrades(self, clock: HandClock) -> None:
        monitor = BrokerHealthMonitor(clock, BrokerMetrics(clock), max_data_age_s=30)
        assert monitor.assess(UP, "", WALL_NS, maintenance=False).level is HealthLevel.HEALTHY
        await clock.advance(31)
        health = monitor.assess(UP, "", WALL_NS, maintenance=False)
        assert health.level is HealthLevel.DEGRADED
        assert health.problems == ("no data for 31 s; at most 30 s are usual",)

    async def test_a_breaker_takes_it_down_and_its_probe_is_a_doubt(self, clock: HandClock) -> None:
        metrics = BrokerMetrics(clock)
        breaker = CircuitBreaker(1, 30.0, name="the venue", clock=clock)
        metrics.watch_breaker(breaker)
        monitor = BrokerHealthMonitor(clock, metrics)
        with pytest.raises(ConnectionError):
            async with breaker:
                raise ConnectionError
        assert monitor.assess(UP, "", 0, maintenance=False).level is HealthLevel.DOWN
        await clock.advance(30)
        assert monitor.assess(UP, "", 0, maintenance=False).level is HealthLevel.DEGRADED

    def test_a_limit_that_is_used_up_degrades(self, clock: HandClock) -> None:
        metrics = BrokerMetrics(clock)
        metrics.watch_limits(lambda: {"weight": 1.0})
        health = BrokerHealthMonitor(clock, metrics).assess(UP, "", 0, maintenance=False)
        assert (health.level, health.problems) == (
            HealthLevel.DEGRADED,
            ("the rate limit 'weight' is used up",),
        )
