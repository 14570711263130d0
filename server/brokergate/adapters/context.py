"""What an adapter is given beside the configuration of its account."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brokergate.ports.clock import Clock
from brokergate.ports.market import MarketOf, no_markets
from brokergate.resilience.breaker import CircuitBreaker
from brokergate.resilience.metrics import BrokerMetrics

if TYPE_CHECKING:
    from brokergate.adapters.connection.manager import ConnectionManager


BREAKER_FAILURES = 10
"""In a row: a poll that fails is three or four."""
BREAKER_RECOVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class BrokerContext:
    """One account's share of the process. Nothing in an adapter reads the machine's clock or chance by itself
    (law 12)."""

    account_id: str
    clock: Clock
    random: random.Random
    log: Callable[..., object]
    """`log("event", key=value)`: structured; never a secret."""
    connections: ConnectionManager
    """Sessions, streams and budgets that accounts share."""
    metrics: BrokerMetrics
    market_of: MarketOf = no_markets
    """Other accounts' markets, for a paper account that follows one."""


def watched_breaker(context: BrokerContext) -> CircuitBreaker:
    """The circuit breaker for an account's requests to its venue, which its health follows. Few seconds: the engine's
    own waits between attempts to connect grow, and the first request after them is the probe."""
    breaker = CircuitBreaker(
        BREAKER_FAILURES, BREAKER_RECOVERY_S, name=f"account {context.account_id!r}", clock=context.clock
    )
    breaker.on_change(
        lambda state: context.log("circuit breaker", account=context.account_id, state=state.value)
    )
    context.metrics.watch_breaker(breaker)
    return breaker
