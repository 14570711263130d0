"""What is to be said of an account's broker: by the state of its connection, the age of its data, its circuit breakers
and the broker's own word on maintenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from brokergate.domain.accounts import ConnectionState
from brokergate.ports.clock import Clock
from brokergate.resilience.breaker import BreakerState
from brokergate.resilience.bucket import NS_PER_S
from brokergate.resilience.metrics import BrokerMetrics


class HealthLevel(IntEnum):
    """Numbered as the contract has them."""

    HEALTHY = 1
    DEGRADED = 2
    """Connected, with something that is not as it should be."""
    DOWN = 3
    """No order is taken there now."""


@dataclass(frozen=True, slots=True)
class Health:
    """The level, and what is not as it should be, for people."""

    level: HealthLevel
    problems: Sequence[str] = ()


class BrokerHealthMonitor:
    """One account's health. `max_data_age_s`: how old the latest data of a connected broker may be; None where silence
    is no sign."""

    def __init__(self, clock: Clock, metrics: BrokerMetrics, max_data_age_s: float | None = None) -> None:
        self.max_data_age_s = max_data_age_s
        self._clock = clock
        self._metrics = metrics

    def assess(self, state: ConnectionState, message: str, last_data_ns: int, *, maintenance: bool) -> Health:
        """The health of a connection in `state`, for the reason `message`. `last_data_ns`: when its latest data came,
        nanoseconds since the epoch, 0 for never."""
        if maintenance:
            return Health(HealthLevel.DOWN, (f"the broker is under maintenance: {message}",))
        if state is not ConnectionState.CONNECTED:
            because = f": {message}" if message else ""
            return Health(HealthLevel.DOWN, (f"the connection is {state.name}{because}",))
        problems = []
        level = HealthLevel.HEALTHY
        for breaker in self._metrics.breakers:
            if breaker.state is not BreakerState.CLOSED:
                down = breaker.state is BreakerState.OPEN
                level = max(level, HealthLevel.DOWN if down else HealthLevel.DEGRADED)
                problems.append(f"the circuit breaker of {breaker.name} is {breaker.state.value}")
        age_s = (self._clock.now_ns() - last_data_ns) / NS_PER_S
        if last_data_ns and self.max_data_age_s is not None and age_s > self.max_data_age_s:
            level = max(level, HealthLevel.DEGRADED)
            problems.append(f"no data for {age_s:.0f} s; at most {self.max_data_age_s:g} s are usual")
        for name, share in self._metrics.limits().items():
            if share >= 1:
                level = max(level, HealthLevel.DEGRADED)
                problems.append(f"the rate limit {name!r} is used up")
        return Health(level, tuple(problems))
