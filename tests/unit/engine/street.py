"""A broker outside the process with orders, fills and positions that the test writes down, and a house on it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from brokergate.domain.accounts import BrokerPosition, ConnectionState
from brokergate.domain.capabilities import Capabilities, ReplaceSupport
from brokergate.domain.commands import CreatePaperAccount, OrderRef, PlaceOrder, Request
from brokergate.domain.errors import TemporaryConnectionError
from brokergate.domain.events import OrderEventType
from brokergate.domain.fills import Liquidity
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import QuoteView
from brokergate.domain.money import ZERO
from brokergate.domain.orders import Order, OrderSpec, OrderState, OrderType, Side, TimeInForce
from brokergate.domain.policy import AccountPolicy
from brokergate.domain.values import changed
from brokergate.engine.gateway import Gateway
from brokergate.journal.memory import MemoryJournal
from brokergate.ports.broker import (
    Absent,
    AbstractBroker,
    Accepted,
    Failed,
    FillPage,
    FillReport,
    FindResult,
    Found,
    OrderGroup,
    OrderReport,
    Outcome,
    RestoredState,
    VenueOrder,
)
from brokergate.ports.journal import Journal
from brokergate.v1 import event_pb2
from tests.unit.adapters.paper.hand_clock import HandClock
from tests.unit.engine.scripted import BTC, ScriptedBroker

ETH = Instrument(
    "ETH/USDT", "ETHUSDT", BTC.kind, "ETH", "USDT", Decimal("0.01"), Decimal("0.0001"),
    min_quantity=Decimal("0.001"), min_notional=Decimal(5),
)  # fmt: skip
TYPES = frozenset({TimeInForce.GTC, TimeInForce.IOC})


class Street(ScriptedBroker):
    """What the venue has stands in `orders`, `fills` and `positions`; `place` says what becomes of an order."""

    name = "street"

    def __init__(self, absence_after_ms: int | None = 1000) -> None:
        super().__init__()
        self.capabilities = Capabilities(
            order_types=dict.fromkeys((OrderType.MARKET, OrderType.LIMIT, OrderType.STOP), TYPES),
            replace=ReplaceSupport.ATOMIC,
            default_time_in_force=TimeInForce.GTC,
            absence_after_ms=absence_after_ms,
            replays_fills=True,
        )
        self.orders: dict[str, VenueOrder] = {}
        self.fills: list[FillReport] = []
        self.positions: dict[str, BrokerPosition] = {}
        self.place: Callable[[Order], Outcome] = self.works
        self.groups: list[OrderGroup] = []
        self.link: Callable[[OrderGroup], Sequence[Outcome]] = self.links
        self.reachable = True
        self.queries_fail = False
        self.hidden: set[str] = set()
        """Orders that queries do not show yet."""
        self.asked_for: list[str] = []
        self.quotes: dict[str, QuoteView] = {}
        self.problems: dict[str, str] = {}

    async def connect(self, state: RestoredState) -> None:
        self.told = asyncio.Queue()
        if not self.reachable:
            raise TemporaryConnectionError("the street is closed")

    async def close(self) -> None:
        self.told.put_nowait(None)

    def lose(self) -> None:
        """The connection is lost."""
        self.told.put_nowait(None)

    async def list_instruments(self) -> Sequence[Instrument]:
        return (BTC, ETH)

    def works(self, order: Order) -> Outcome:
        """The order rests at the venue."""
        name = f"B{len(self.orders) + 1}"
        self.orders[order.client_order_id] = venue_order(order, name)
        return Accepted(name)

    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        self.placed.extend(orders)
        self.asked.set()
        return [self.place(order) for order in orders]

    def links(self, group: OrderGroup) -> Sequence[Outcome]:
        """The orders rest at the venue, linked."""
        return [self.works(order) for order in group.orders]

    async def place_group(self, group: OrderGroup) -> Sequence[Outcome]:
        self.groups.append(group)
        self.asked.set()
        return self.link(group)

    async def cancel_order(self, order: Order) -> Outcome:
        self.cancelled.append(order)
        name = order.client_order_id or order.broker_order_id
        shown = self.orders[name]
        self.orders[name] = changed(shown, state=OrderState.CANCELED)
        report = OrderReport(OrderEventType.CANCELED, order.client_order_id, shown.broker_order_id, 1)
        return Accepted(shown.broker_order_id, (report,))

    def _query(self) -> None:
        if self.queries_fail:
            raise TemporaryConnectionError("no answer")

    async def find_order(self, order: Order) -> FindResult:
        self.asked_for.append(order.client_order_id)
        if self.queries_fail:
            return Failed("no answer")
        name = order.client_order_id or order.broker_order_id
        shown = None if name in self.hidden else self.orders.get(name)
        return Absent() if shown is None else Found(shown)

    async def list_open_orders(self) -> Sequence[VenueOrder]:
        self._query()
        return [
            order
            for name, order in self.orders.items()
            if order.state in (OrderState.NEW, OrderState.PARTIALLY_FILLED) and name not in self.hidden
        ]

    async def list_fills(self, watermark: str) -> FillPage:
        self._query()
        start = int(watermark or 0)
        page = self.fills[start : start + 2]
        return FillPage(page, str(start + len(page)), start + len(page) == len(self.fills))

    async def get_positions(self) -> Sequence[BrokerPosition]:
        self._query()
        return list(self.positions.values())

    def quote(self, symbol: str) -> QuoteView | None:
        return self.quotes.get(symbol)

    def problem_with(self, symbol: str) -> str:
        return self.problems.get(symbol, "")

    def fill(self, client_order_id: str, quantity: str, *, ends: bool = False) -> FillReport:
        """Part of an order fills at the venue, at 100, told to nobody yet."""
        shown = self.orders[client_order_id]
        report = FillReport(
            client_order_id, shown.broker_order_id, f"X{len(self.fills) + 1}", shown.symbol, shown.side,
            Decimal(quantity), Decimal(100), (), Liquidity.MAKER, 7,
        )  # fmt: skip
        self.fills.append(report)
        state = OrderState.FILLED if ends else OrderState.PARTIALLY_FILLED
        self.orders[client_order_id] = changed(
            shown, state=state, cum_quantity=shown.cum_quantity + report.quantity
        )
        held = self.positions.get(shown.symbol, position(shown.symbol, "0"))
        sign = 1 if shown.side is Side.BUY else -1
        self.positions[shown.symbol] = changed(held, quantity=held.quantity + sign * report.quantity)
        return report


def position(symbol: str, quantity: str) -> BrokerPosition:
    return BrokerPosition(symbol, Decimal(quantity), ZERO, "USDT", 1)


def venue_order(order: Order, name: str) -> VenueOrder:
    spec = order.spec
    return VenueOrder(
        order.client_order_id, name, spec.symbol, spec.side, spec.type, order.quantity, ZERO, OrderState.NEW, 1,
        spec.limit_price, spec.stop_price,
    )  # fmt: skip


def no_paper(command: CreatePaperAccount) -> AbstractBroker:
    raise AssertionError("no paper account is made here")


@dataclass
class House:
    """A gateway with the account `main` on the street; `again` is the gateway after a crash."""

    broker: Street
    policy: AccountPolicy = field(default_factory=AccountPolicy)
    clock: HandClock = field(default_factory=HandClock)
    journal: Journal = field(default_factory=lambda: MemoryJournal(random.Random(1).getrandbits))
    gateway: Gateway = field(init=False)
    log: list[tuple[object, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gateway = Gateway(self.journal, self.clock, lambda *what, **_: self.log.append(what), no_paper)

    async def open(self, seconds: float = 0) -> None:
        """Opens the account, and lets so much time pass."""
        self.gateway.open_account("main", self.broker, self.policy)
        await self.clock.advance(seconds)

    async def again(self, seconds: float = 0) -> None:
        """The gateway dies, and another one starts on the same journal."""
        await self.gateway.close()
        self.__post_init__()
        await self.open(seconds)

    def order(self, client_order_id: str) -> Order:
        return self.gateway.get_order("main", OrderRef(client_order_id=client_order_id))

    def connected(self) -> bool:
        return self.gateway.account("main").connection.state is ConnectionState.CONNECTED

    def events(self) -> list[event_pb2.Event]:
        self.journal.flush()
        return [event_pb2.Event.FromString(stored.body) for stored in self.journal.read("main", 0, 10_000)]

    def order_events(self) -> list[str]:
        return [OrderEventType(event.order.type).name for event in self.events() if event.HasField("order")]


@asynccontextmanager
async def living(
    absence_after_ms: int | None = 1000, policy: AccountPolicy | None = None
) -> AsyncIterator[House]:
    """A house whose account is connected."""
    house = House(Street(absence_after_ms), policy or AccountPolicy())
    await house.open()
    yield house
    await house.gateway.close()
    house.journal.close()


def place(
    client_order_id: str, quantity: str = "1", symbol: str = "BTC/USDT", side: Side = Side.BUY
) -> PlaceOrder:
    """A limit order at 100."""
    spec = OrderSpec(symbol, side, OrderType.LIMIT, Decimal(quantity), limit_price=Decimal("100.00"))
    return PlaceOrder("main", client_order_id, spec, b"body")


def request(request_id: str, method: str = "Some") -> Request:
    return Request(request_id, method, b"body", lambda result: repr(result).encode())
