"""How an account's broker does, counted since the gateway started. Bounded, however long that is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from brokergate.domain.accounts import ConnectionState
from brokergate.ports.clock import Clock, SystemClock
from brokergate.resilience.breaker import CircuitBreaker

LATENCY_SAMPLES = 1024
"""The latest orders, from which the latency figures are worked out."""
ERROR_CLASSES = 64
"""Classes of errors that are counted by name; what comes beyond them is counted as `other`."""


@dataclass(frozen=True, slots=True)
class MetricsView:
    """The figures of one or several accounts."""

    orders_sent: int
    orders_rejected: int
    fills: int
    order_latency_mean_ns: int
    order_latency_p99_ns: int
    orders_ended: int = 0
    """Orders that the broker took and that have ended."""
    orders_filled: int = 0
    """Those of them that were filled completely."""
    observed_ns: int = 0
    connected_ns: int = 0
    reconnects: int = 0
    """How often a connection that stood was lost."""
    errors: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    """The share of each rate limit that is used, the fullest of those with one name."""

    @property
    def fill_rate(self) -> float | None:
        """The share of ended orders that were filled completely; None before the first has ended."""
        return self.orders_filled / self.orders_ended if self.orders_ended else None

    @property
    def uptime(self) -> float | None:
        """The share of the time that the broker was connected; None before any has passed."""
        return self.connected_ns / self.observed_ns if self.observed_ns else None


class VenueClock(NamedTuple):
    """How far the venue's clock is ahead of the gateway's, and how far that has moved since it was first known, in
    nanoseconds."""

    offset_ns: int
    drift_ns: int


class BrokerMetrics:
    """The figures of one account. Adapters record errors and name their limiters, the engine the rest."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self.orders_sent = 0
        self.orders_rejected = 0
        self.fills = 0
        self.orders_ended = 0
        self.orders_filled = 0
        self.reconnects = 0
        self._latencies_ns: deque[int] = deque(maxlen=LATENCY_SAMPLES)
        self._errors: dict[str, int] = {}
        self._utilisations: list[Callable[[], Mapping[str, float]]] = []
        self._venue_clock: Callable[[], VenueClock | None] = lambda: None
        self.breakers: list[CircuitBreaker] = []
        self.health_changed: Callable[[], None] = lambda: None
        """Called when a breaker changes its state."""
        self._begun_ns = self._since_ns = self._clock.monotonic_ns()
        self._connected = False
        self._connected_ns = 0

    def record_order_latency(self, latency_ns: int, orders: int = 1) -> None:
        """`orders` were sent in one step, and answered after `latency_ns`."""
        self.orders_sent += orders
        self._latencies_ns.append(latency_ns)

    def record_connection(self, state: ConnectionState) -> None:
        """The connection is now in `state`."""
        now_ns = self._clock.monotonic_ns()
        connected = state is ConnectionState.CONNECTED
        if self._connected:
            self._connected_ns += now_ns - self._since_ns
            self.reconnects += not connected
        self._connected, self._since_ns = connected, now_ns

    def record_error(self, error: BaseException) -> None:
        """A request to the broker has failed."""
        name = type(error).__name__
        if name not in self._errors and len(self._errors) >= ERROR_CLASSES:
            name = "other"
        self._errors[name] = self._errors.get(name, 0) + 1

    def watch_limits(self, utilisation: Callable[[], Mapping[str, float]]) -> None:
        """`utilisation` gives the share of each rate limit that is used now, whenever somebody looks."""
        self._utilisations.append(utilisation)

    def watch_clock(self, clock: Callable[[], VenueClock | None]) -> None:
        """`clock` gives what is known of the venue's clock, whenever somebody looks."""
        self._venue_clock = clock

    def venue_clock(self) -> VenueClock | None:
        """What is known of the venue's clock; None for a venue that asks for no time."""
        return self._venue_clock()

    def watch_breaker(self, breaker: CircuitBreaker) -> None:
        """The account's health follows the breaker's state."""
        self.breakers.append(breaker)
        breaker.on_change(lambda _: self.health_changed())

    def limits(self) -> Mapping[str, float]:
        """The share of each rate limit that is used now, the fullest of those with one name."""
        limits: dict[str, float] = {}
        for utilisation in self._utilisations:
            for name, share in utilisation().items():
                limits[name] = max(share, limits.get(name, 0.0))
        return limits

    def view(self) -> MetricsView:
        """The figures now."""
        return metrics_of([self])


def metrics_of(several: Sequence[BrokerMetrics]) -> MetricsView:
    """The figures of several accounts together; their times add up."""
    latencies = sorted(value for metrics in several for value in metrics._latencies_ns)
    errors: dict[str, int] = {}
    limits: dict[str, float] = {}
    observed_ns = connected_ns = 0
    for metrics in several:
        now_ns = metrics._clock.monotonic_ns()
        observed_ns += now_ns - metrics._begun_ns
        connected_ns += metrics._connected_ns + (now_ns - metrics._since_ns if metrics._connected else 0)
        for name, count in metrics._errors.items():
            errors[name] = errors.get(name, 0) + count
        for name, share in metrics.limits().items():
            limits[name] = max(share, limits.get(name, 0.0))
    return MetricsView(
        orders_sent=sum(metrics.orders_sent for metrics in several),
        orders_rejected=sum(metrics.orders_rejected for metrics in several),
        fills=sum(metrics.fills for metrics in several),
        order_latency_mean_ns=sum(latencies) // len(latencies) if latencies else 0,
        order_latency_p99_ns=latencies[(len(latencies) * 99) // 100] if latencies else 0,
        orders_ended=sum(metrics.orders_ended for metrics in several),
        orders_filled=sum(metrics.orders_filled for metrics in several),
        observed_ns=observed_ns,
        connected_ns=connected_ns,
        reconnects=sum(metrics.reconnects for metrics in several),
        errors=errors,
        limits=limits,
    )
