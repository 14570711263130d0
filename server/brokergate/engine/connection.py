"""One account's connection to its broker: where it stands, since when, and how it does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from brokergate.domain.accounts import BrokerPosition, ConnectionState
from brokergate.engine.views import ConnectionView, MetricsView
from brokergate.ports.broker import AbstractBroker
from brokergate.ports.clock import Clock

LATENCY_SAMPLES = 1024
"""Latest orders that the latency figures are worked out from."""


class Connection:
    """The state of a connection. `changed` is called after every change."""

    def __init__(
        self, account_id: str, broker: AbstractBroker, clock: Clock, changed: Callable[[], None]
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
        self.told_positions: dict[str, BrokerPosition] = {}
        """The positions as the broker itself told them last, by symbol: derived ones are held against them."""
        self._clock = clock
        self._changed = changed

    def enter(self, state: ConnectionState, message: str = "") -> None:
        """The connection is now in `state`, for the reason `message`."""
        self.state, self.message, self.since_ns = state, message, self._clock.now_ns()
        self._changed()

    def heard(self) -> None:
        """Data came from the broker."""
        self.last_data_ns = self._clock.now_ns()

    def view(self) -> ConnectionView:
        """As it is shown."""
        return ConnectionView(
            self.account_id,
            self.broker.environment,
            self.state,
            self.since_ns,
            self.message,
            self.last_data_ns,
        )


class Metrics:
    """How an account does since the gateway started."""

    def __init__(self) -> None:
        self.orders_sent = 0
        self.orders_rejected = 0
        self.fills = 0
        self._latencies_ns: deque[int] = deque(maxlen=LATENCY_SAMPLES)

    def sent(self, orders: int, latency_ns: int) -> None:
        """`orders` were sent in one step that took `latency_ns`."""
        self.orders_sent += orders
        self._latencies_ns.append(latency_ns)

    @staticmethod
    def view(several: list[Metrics]) -> MetricsView:
        """The figures of several accounts together."""
        latencies = sorted(value for metrics in several for value in metrics._latencies_ns)
        return MetricsView(
            orders_sent=sum(metrics.orders_sent for metrics in several),
            orders_rejected=sum(metrics.orders_rejected for metrics in several),
            fills=sum(metrics.fills for metrics in several),
            order_latency_mean_ns=sum(latencies) // len(latencies) if latencies else 0,
            order_latency_p99_ns=latencies[(len(latencies) * 99) // 100] if latencies else 0,
        )
