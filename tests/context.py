"""What a broker is given, for tests that make one alone."""

from __future__ import annotations

import random

from brokergate.adapters.connection.manager import ConnectionManager
from brokergate.adapters.context import BrokerContext
from brokergate.ports.clock import Clock, SystemClock
from brokergate.resilience import BrokerMetrics


def broker_context(clock: Clock | None = None, account_id: str = "test") -> BrokerContext:
    """A context whose chance is the same every time, and whose log goes nowhere."""
    return BrokerContext(
        account_id=account_id,
        clock=SystemClock() if clock is None else clock,
        random=random.Random(7),
        log=lambda event, **_: None,
        connections=ConnectionManager(clock),
        metrics=BrokerMetrics(clock),
    )
