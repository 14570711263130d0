"""What an adapter is given beside the configuration of its account."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from brokergate.adapters.connection.manager import ConnectionManager
from brokergate.ports.clock import Clock


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
    metrics: object
