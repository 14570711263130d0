"""One account's connection to its broker: where it stands, since when, and how it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from brokergate.domain.accounts import BrokerAccountInfo, BrokerPosition, ConnectionState
from brokergate.engine.views import ConnectionView
from brokergate.ports.broker import AbstractBroker
from brokergate.ports.clock import Clock
from brokergate.resilience.health import BrokerHealthMonitor
from brokergate.resilience.metrics import BrokerMetrics

NS_PER_MS = 1_000_000


@dataclass(slots=True)
class LastWord:
    """What the broker said last when it was asked: shown, as stale, while it cannot be asked. `as_of_ns` is 0 before
    the first time."""

    positions: Mapping[str, BrokerPosition] = field(default_factory=dict)
    info: BrokerAccountInfo | None = None
    as_of_ns: int = 0


_AS_IT_SHOULD_BE = (ConnectionState.CONNECTING, ConnectionState.CONNECTED)


class Connection:
    """The state of a connection. Every change is logged and counted in `metrics`; `changed` is called after it."""

    def __init__(
        self,
        account_id: str,
        broker: AbstractBroker,
        clock: Clock,
        log: Callable[..., object],
        metrics: BrokerMetrics,
        changed: Callable[[], None],
    ) -> None:
        self.account_id = account_id
        self.broker = broker
        self.state = ConnectionState.DISCONNECTED
        self.message = ""
        self.since_ns = clock.now_ns()
        self.last_data_ns = 0
        self.recovering = False
        """Whether the broker is there and the gateway fills the gap."""
        self.maintenance = False
        """Whether the broker says that it is under maintenance."""
        self.last = LastWord()
        self.monitor = BrokerHealthMonitor(clock, metrics)
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._changed = metrics.health_changed = changed

    def enter(self, state: ConnectionState, message: str = "") -> None:
        """The connection is now in `state`, for the reason `message`. An attempt, which has none, is no warning."""
        before, now_ns = self.state, self._clock.now_ns()
        self._log(
            "connection",
            level="warning" if message and state not in _AS_IT_SHOULD_BE else "info",
            account=self.account_id,
            broker=self.broker.name,
            before=before.name,
            state=state.name,
            reason=message,
            after_ms=(now_ns - self.since_ns) // NS_PER_MS,
        )
        self.state, self.message, self.since_ns = state, message, now_ns
        self._metrics.record_connection(state)
        self._changed()

    def heard(self) -> None:
        """Data came from the broker."""
        self.last_data_ns = self._clock.now_ns()

    def view(self) -> ConnectionView:
        """As it is shown."""
        heard_ns = max(self.last_data_ns, self.last.as_of_ns)
        return ConnectionView(
            self.account_id,
            self.broker.environment,
            self.state,
            self.since_ns,
            self.message,
            self.last_data_ns,
            self.monitor.assess(self.state, self.message, heard_ns, maintenance=self.maintenance),
            self._metrics.venue_clock(),
        )
