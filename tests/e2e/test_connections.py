"""Connections to both emulators over real sockets: what is lost, mute or away is found, filled and told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

import pytest

from brokergate.adapters.alpaca.broker import AlpacaBroker
from brokergate.adapters.binance.broker import BinanceBroker
from brokergate.adapters.connection.manager import ConnectionManager
from brokergate.adapters.context import BrokerContext
from brokergate.config.accounts import AccountConfig
from brokergate.config.policy import policy_of
from brokergate.domain.accounts import ConnectionState
from brokergate.domain.commands import OrderRef, PlaceOrder
from brokergate.domain.orders import OrderSpec, OrderState, OrderType, Side, TimeInForce
from brokergate.engine.gateway import Gateway
from brokergate.journal.memory import MemoryJournal
from brokergate.ports.broker import AbstractBroker
from brokergate.ports.clock import SystemClock
from brokergate.v1 import event_pb2, fill_pb2
from tests.conformance import alpaca, binance
from tests.emulators.client import Emulator
from tests.unit.engine.street import no_paper

PATIENCE_S = 30.0
CLOCK = SystemClock()


@dataclass(frozen=True)
class Kind:
    """What differs between the two."""

    make: Callable[[AccountConfig, BrokerContext], AbstractBroker]
    config: Callable[[Emulator], AccountConfig]
    symbol: str
    venue_symbol: str
    balances: Mapping[str, str]
    probe: str
    """What the venue is asked for a sign of life by, as its log names it."""


KINDS = {
    "binance": Kind(BinanceBroker, binance.account, "BTC/USDT", "BTCUSDT", {"USDT": "1000000"}, "ping"),
    "alpaca": Kind(
        AlpacaBroker,
        lambda venue: alpaca.account(venue, instruments=["AAPL"], requests_per_minute=10_000),
        "AAPL",
        "AAPL",
        {"USD": "1000000"},
        "listen",
    ),
}
BOUNDS = {
    "request_timeout_ms": 2000,
    "poll_interval_ms": 300,
    "quiet_timeout_ms": 1000,
    "quiet_period_ms": 200,
}


@dataclass
class House:
    """A gateway with accounts that have one key at one venue."""

    kind: Kind
    venue: Emulator
    gateway: Gateway
    journal: MemoryJournal
    connections: ConnectionManager
    log: list[str] = field(default_factory=list)

    async def add(self, account_id: str) -> None:
        """Another account with the same key."""
        config = self.kind.config(self.venue)
        config = config.model_copy(update={"connection": config.connection.model_copy(update=BOUNDS)})
        context = BrokerContext(
            account_id=account_id,
            clock=CLOCK,
            random=random.Random(7),
            log=lambda *_, **__: None,
            connections=self.connections,
            metrics=alpaca.context().metrics,
        )
        self.gateway.open_account(account_id, self.kind.make(config, context), policy_of(config))
        await self.gateway.tried(account_id)
        assert self.state(account_id) is ConnectionState.CONNECTED

    def state(self, account_id: str = "main") -> ConnectionState:
        return self.gateway.accounts[account_id].connection.state

    def events(self, account_id: str = "main") -> list[event_pb2.Event]:
        self.journal.flush()
        return [event_pb2.Event.FromString(each.body) for each in self.journal.read(account_id, 0, 10_000)]

    def states(self, account_id: str = "main") -> list[str]:
        events = self.events(account_id)
        return [ConnectionState(each.connection.state).name for each in events if each.HasField("connection")]

    def fills(self, account_id: str = "main") -> list[fill_pb2.Fill]:
        return [each.fill.fill for each in self.events(account_id) if each.HasField("fill")]

    async def rest(self, name: str, account_id: str = "main") -> None:
        """Buys one at 90, which waits."""
        spec = OrderSpec(
            self.kind.symbol,
            Side.BUY,
            OrderType.LIMIT,
            Decimal(1),
            limit_price=Decimal(90),
            time_in_force=TimeInForce.GTC,
        )
        placed = await self.gateway.place_order(PlaceOrder(account_id, name, spec, b"body"))
        assert placed.order.state is OrderState.NEW, placed.order

    async def fill(self) -> None:
        """The market trades through what waits."""
        await self.venue.trade(self.kind.venue_symbol, 89, 100, "sell")

    def came_back(self, account_id: str) -> bool:
        return self.states(account_id).count("CONNECTED") == 2

    async def tells(self, name: str) -> None:
        """Another order is filled, and the stream tells it, though a poll may book it first."""
        connection, before = self.gateway.accounts["main"].connection, len(self.fills())
        await self.rest(name)
        heard_ns = connection.last_data_ns
        await self.fill()
        await self.until(lambda: len(self.fills()) > before and connection.last_data_ns > heard_ns)

    def order_state(self, name: str, account_id: str = "main") -> OrderState:
        return self.gateway.get_order(account_id, OrderRef(client_order_id=name)).state

    async def until(self, there: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if there():
                    return
                await asyncio.sleep(0.01)


@pytest.fixture(params=KINDS, scope="module")
def process(request: pytest.FixtureRequest) -> Iterable[tuple[Kind, Emulator]]:
    started = Emulator.start(request.param)
    yield KINDS[request.param], started
    started.close()


@asynccontextmanager
async def opened(kind: Kind, venue: Emulator) -> AsyncIterator[House]:
    await venue.reset(kind.balances)
    await venue.show(kind.venue_symbol, [(95, 100)], [(105, 100)])
    journal = MemoryJournal(random.Random(1).getrandbits)
    log: list[str] = []
    gateway = Gateway(journal, CLOCK, lambda what, **_: log.append(what), no_paper)
    async with ConnectionManager(CLOCK) as connections:
        made = House(kind, venue, gateway, journal, connections, log)
        await made.add("main")
        yield made
        await gateway.close()
    journal.close()


@pytest.fixture
async def house(process: tuple[Kind, Emulator]) -> AsyncIterator[House]:
    async with opened(*process) as made:
        yield made


async def test_pain_3_a_fill_of_while_the_stream_was_away_is_booked_before_connected(house: House) -> None:
    """Once; and the stream that comes after tells the next one."""
    await house.rest("a")
    await house.rest("b")
    await house.venue.drop_streams()
    await house.fill()
    await house.until(lambda: house.states().count("CONNECTED") == 2)
    assert house.order_state("a") is house.order_state("b") is OrderState.FILLED
    assert house.states() == ["CONNECTING", "CONNECTED", "RECONNECTING", "RECONNECTING", "CONNECTED"]
    order = [each.WhichOneof("payload") for each in house.events()]
    last_connected = len(order) - 1 - order[::-1].index("connection")
    assert all(place < last_connected for place, what in enumerate(order) if what == "fill")
    await house.tells("c")
    assert len(await house.venue.fills()) == 3


async def test_pain_5_a_mute_stream_is_given_up_and_the_next_one_tells(house: House) -> None:
    """The venue answers pings and questions and tells nothing: polls book what happened, once, and another stream is
    made."""
    await house.rest("a")
    await house.venue.fault("mute_stream", on="orders")
    await house.fill()
    await house.until(lambda: house.order_state("a") is OrderState.FILLED)
    await house.until(lambda: "RECONNECTING" in house.states())
    said = [each.connection.message for each in house.events() if each.HasField("connection")]
    assert any("mute" in message for message in said), said
    await house.venue.clear_faults()
    await house.until(lambda: house.state() is ConnectionState.CONNECTED)
    await house.tells("b")
    assert len(await house.venue.fills()) == 2


async def test_two_accounts_with_one_key_share_one_stream(house: House) -> None:
    """Each has its own orders, and neither takes the other's for its own; a loss is a loss for both, and in the end
    they are on one stream again."""

    async def private() -> int:
        return [kind for kind in await house.venue.streams() if kind != "market"].count("orders")

    await house.add("second")
    assert await private() == 1
    await house.rest("a", "main")
    await house.rest("a", "second")
    await house.fill()
    await house.until(lambda: len(house.fills("main")) >= 1 and len(house.fills("second")) >= 1)
    assert house.order_state("a", "main") is house.order_state("a", "second") is OrderState.FILLED
    await house.venue.drop_streams()
    for account_id in ("main", "second"):
        await house.until(partial(house.came_back, account_id))
    assert await private() == 1


async def test_while_the_venue_is_under_maintenance_its_last_word_is_shown(house: House) -> None:
    await house.rest("a")
    await house.fill()
    await house.until(lambda: len(house.fills()) == 1)
    before = await house.gateway.list_positions("main", False)
    assert before.stale is False
    await house.venue.fault("maintenance")
    await house.until(lambda: house.state() is not ConnectionState.CONNECTED)
    reads: list[Callable[[], Awaitable[object]]] = [
        lambda: house.gateway.list_positions("main", False),
        lambda: house.gateway.get_position("main", before.value[0].symbol),
        lambda: house.gateway.list_balances("main"),
        lambda: house.gateway.get_account("main"),
    ]
    for read in reads:
        shown = await read()
        assert getattr(shown, "stale") is True  # noqa: B009 - several classes have it
    after = await house.gateway.list_positions("main", False)
    assert [held.quantity for held in after.value] == [held.quantity for held in before.value]
    assert house.gateway.list_instruments("main").stale is True
    await house.venue.clear_faults()
    await house.until(lambda: house.state() is ConnectionState.CONNECTED)
    assert (await house.gateway.list_positions("main", False)).stale is False


async def test_a_stream_that_is_quiet_because_nothing_happens_stays(house: House) -> None:
    """It is asked for a sign of life, and gives one."""
    async with asyncio.timeout(PATIENCE_S):
        while [entry["kind"] for entry in await house.venue.log()].count(house.kind.probe) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert house.states() == ["CONNECTING", "CONNECTED"]
    assert house.state() is ConnectionState.CONNECTED
