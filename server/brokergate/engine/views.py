"""What the engine shows of accounts, brokers and connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from brokergate.domain.accounts import BrokerAccountInfo, ConnectionState, Environment, TradingState
from brokergate.domain.capabilities import Capabilities
from brokergate.resilience.health import Health, HealthLevel
from brokergate.resilience.metrics import MetricsView, VenueClock


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account with its figures."""

    account_id: str
    broker: str
    environment: Environment
    trading_enabled: bool
    info: BrokerAccountInfo | None
    """None while the broker was never reached."""
    stale: bool


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """One account's connection; times in nanoseconds since the epoch."""

    account_id: str
    environment: Environment
    state: ConnectionState
    since_ns: int
    message: str
    last_data_ns: int
    health: Health
    clock: VenueClock | None = None
    """How the broker's clock goes, where that is known."""


@dataclass(frozen=True, slots=True)
class BrokerView:
    """One adapter and its accounts."""

    name: str
    capabilities: Capabilities
    connections: Sequence[ConnectionView]
    metrics: MetricsView

    @property
    def healthy(self) -> bool:
        """Whether all its accounts are connected, and none is down."""
        return all(
            connection.state is ConnectionState.CONNECTED and connection.health.level is not HealthLevel.DOWN
            for connection in self.connections
        )


@dataclass(frozen=True, slots=True)
class TradingView:
    """Whether an account takes new orders, and why not."""

    account_id: str
    state: TradingState
    reason: str
    since_ns: int
    stop_operation_id: str = ""
    frozen_symbols: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class StopView:
    """An emergency stop that was asked for: its id, and where the accounts stand."""

    operation_id: str
    states: Sequence[TradingView]
