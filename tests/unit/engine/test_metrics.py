"""What `brokers()` says of how a broker does, and that every change of a connection is logged."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from brokergate.domain.accounts import ConnectionState
from brokergate.domain.commands import CancelOrder, OrderRef
from brokergate.domain.errors import ErrorReason, GatewayError, TemporaryConnectionError
from brokergate.domain.events import OrderEventType
from brokergate.domain.policy import AccountPolicy
from brokergate.engine.gateway import Gateway
from brokergate.engine.views import BrokerView
from brokergate.journal.memory import MemoryJournal
from brokergate.ports.broker import Accepted, OrderReport, Outcome, Rejected, RestoredState
from brokergate.resilience import BrokerMetrics, CircuitBreaker
from brokergate.resilience.health import HealthLevel
from tests.unit.adapters.paper.hand_clock import settle
from tests.unit.engine.conftest import no_paper
from tests.unit.engine.scripted import ScriptedBroker, StillClock
from tests.unit.engine.test_laws import fill, place, request


class Site(ScriptedBroker):
    """A scripted broker that can be away."""

    away = False

    async def connect(self, state: RestoredState) -> None:
        if self.away:
            raise TemporaryConnectionError("nobody answers")
        self.told = asyncio.Queue()


@dataclass
class Watched:
    gateway: Gateway
    broker: Site
    clock: StillClock
    metrics: BrokerMetrics
    logged: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def log(self, event: str, **fields: object) -> None:
        self.logged.append((event, fields))

    def view(self) -> BrokerView:
        return self.gateway.brokers()[0]

    async def place(self, name: str, outcome: Outcome) -> None:
        self.broker.answers.put_nowait(outcome)
        await self.gateway.place_order(place(name))


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    clock, broker = StillClock(), Site()
    journal = MemoryJournal(random.Random(1).getrandbits)
    made = Watched(None, broker, clock, BrokerMetrics(clock))  # type: ignore[arg-type]
    made.gateway = Gateway(journal, clock, made.log, no_paper)
    await made.gateway.add_account("main", broker, AccountPolicy(), made.metrics)
    yield made
    await made.gateway.close()
    journal.close()


async def test_the_fill_rate_counts_what_ended_and_not_what_was_refused(watched: Watched) -> None:
    assert watched.view().metrics.fill_rate is None
    await watched.place("filled", Accepted("B1"))
    await watched.place("cancelled", Accepted("B2"))
    await watched.place("works", Accepted("B3"))
    await watched.place("refused", Rejected(ErrorReason.INSUFFICIENT_FUNDS, "no"))
    await watched.broker.tell([fill("X1", "0.5", "filled")])
    await watched.broker.tell([fill("X2", "0.5", "filled")])
    watched.broker.answers.put_nowait(
        Accepted(reports=(OrderReport(OrderEventType.CANCELED, "cancelled", "B2", 6),))
    )
    cancel = CancelOrder("main", OrderRef(client_order_id="cancelled"))
    await watched.gateway.cancel_order(cancel, request("r1"))
    # One that comes after the end ends nothing again.
    await watched.broker.tell([fill("X3", "0.1", "cancelled")])

    metrics = watched.view().metrics
    assert (metrics.orders_sent, metrics.orders_rejected, metrics.fills) == (4, 1, 3)
    assert (metrics.orders_ended, metrics.orders_filled, metrics.fill_rate) == (2, 1, 0.5)


async def test_every_change_of_the_connection_is_logged_with_both_states(watched: Watched) -> None:
    await watched.gateway.reconnect("main", request("again", "ReconnectBroker"))
    told = [fields for event, fields in watched.logged if event == "connection"]
    assert [(fields["before"], fields["state"], fields["level"]) for fields in told] == [
        ("DISCONNECTED", "CONNECTING", "info"),
        ("CONNECTING", "CONNECTED", "info"),
        ("CONNECTED", "RECONNECTING", "warning"),
        ("RECONNECTING", "RECONNECTING", "warning"),
        ("RECONNECTING", "CONNECTED", "info"),
    ]
    assert {(fields["account"], fields["broker"]) for fields in told} == {("main", "scripted")}


async def test_an_attempt_is_no_warning_and_what_came_of_it_is(watched: Watched) -> None:
    """While a broker is away for hours, the log has one warning an attempt, with its reason."""
    connection = watched.gateway.account("main").connection
    watched.logged.clear()
    connection.enter(ConnectionState.RECONNECTING)
    connection.enter(ConnectionState.ERROR, "nobody answers")
    assert [(fields["state"], fields["level"], fields["reason"]) for _, fields in watched.logged] == [
        ("RECONNECTING", "info", ""),
        ("ERROR", "warning", "nobody answers"),
    ]


async def test_uptime_counts_the_time_that_the_connection_stood(watched: Watched) -> None:
    watched.clock.ns += 9_000_000_000
    watched.broker.away = True
    with pytest.raises(GatewayError, match="nobody answers"):
        await watched.gateway.reconnect("main", request("again", "ReconnectBroker"))
    watched.clock.ns += 1_000_000_000
    metrics = watched.view().metrics
    assert (metrics.uptime, metrics.reconnects) == (0.9, 1)
    assert metrics.errors == {"TemporaryConnectionError": 1}
    assert not watched.view().healthy


async def test_an_open_breaker_takes_the_broker_down_and_tells_who_watches(watched: Watched) -> None:
    breaker = CircuitBreaker(1, 30.0, name="orders", clock=watched.clock)
    watched.metrics.watch_breaker(breaker)
    changes = watched.gateway.on_health()
    await anext(changes)
    assert watched.view().healthy
    with pytest.raises(ConnectionError):
        async with breaker:
            raise ConnectionError
    await anext(changes)
    connection = watched.view().connections[0]
    assert not watched.view().healthy
    assert connection.health.level is HealthLevel.DOWN
    assert connection.health.problems == ("the circuit breaker of orders is open",)
    watched.clock.ns += 30_000_000_000
    assert watched.view().connections[0].health.level is HealthLevel.DEGRADED
    async with breaker:
        pass
    await settle()
    assert watched.view().connections[0].health.level is HealthLevel.HEALTHY


async def test_a_broker_that_is_not_heard_of_for_three_polls_is_in_doubt(watched: Watched) -> None:
    """Its connection stands, and nobody answers."""
    watched.clock.ns += 89 * 1_000_000_000
    assert watched.view().connections[0].health.level is HealthLevel.HEALTHY
    watched.clock.ns += 2 * 1_000_000_000
    health = watched.view().connections[0].health
    assert (health.level, health.problems) == (
        HealthLevel.DEGRADED,
        ("no data for 91 s; at most 90 s are usual",),
    )
    await watched.broker.tell([fill("X1", "0.5", "nobody")])
    assert watched.view().connections[0].health.level is HealthLevel.HEALTHY
