"""Keeps requests to a broker within its limits and away from one that fails. Usable alone: docs/resilience.md."""

from __future__ import annotations

from brokergate.domain.errors import RateLimitError
from brokergate.resilience.backoff import never_arrived, recoverable, with_exponential_backoff
from brokergate.resilience.breaker import BreakerState, CircuitBreaker, CircuitBreakerError, is_failure
from brokergate.resilience.bucket import Limit
from brokergate.resilience.health import BrokerHealthMonitor, Health, HealthLevel
from brokergate.resilience.lanes import Lane
from brokergate.resilience.limiter import AdaptiveRateLimiter, MultiEndpointRateLimiter, Permit
from brokergate.resilience.metrics import BrokerMetrics, MetricsView
from brokergate.resilience.timeouts import Timeouts

__all__ = [
    "AdaptiveRateLimiter",
    "BreakerState",
    "BrokerHealthMonitor",
    "BrokerMetrics",
    "CircuitBreaker",
    "CircuitBreakerError",
    "Health",
    "HealthLevel",
    "Lane",
    "Limit",
    "MetricsView",
    "MultiEndpointRateLimiter",
    "Permit",
    "RateLimitError",
    "Timeouts",
    "is_failure",
    "never_arrived",
    "recoverable",
    "with_exponential_backoff",
]
