"""An adapter at an emulated TWS, and what it told."""

from __future__ import annotations

import asyncio
import atexit
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any, Self

from brokergate.adapters.connection.manager import ConnectionManager
from brokergate.adapters.context import BrokerContext
from brokergate.adapters.ibkr.broker import InteractiveBrokersBroker
from brokergate.adapters.ibkr.config import IBKR, InteractiveBrokersConfig
from brokergate.config.accounts import AccountConfig
from brokergate.domain.errors import BrokerError
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import Order, OrderState, OrderType, Side, TimeInForce
from brokergate.ports.broker import (
    Accepted,
    FillReport,
    OrderReport,
    Outcome,
    ReplaceCommand,
    Report,
    RestoredState,
)
from brokergate.ports.clock import Clock, SystemClock
from brokergate.resilience.metrics import BrokerMetrics
from tests.emulators.client import Emulator
from tests.unit.adapters.ibkr.shapes import spec

PATIENCE_S = 20.0
FIRST, SECOND = "DU1000001", "DU1000002"
NUMBERS = iter(range(1, 1_000_000))


@cache
def emulator() -> Emulator:
    """The process that serves the tests of this one: a login with two paper accounts."""
    started = Emulator.start("tws", "--server-version", "178", "--accounts", f"{FIRST},{SECOND}")
    atexit.register(started.close)
    return started


class IbkrAccount(AccountConfig):
    """An account's configuration, with the section that the registry gives it otherwise."""

    ibkr: InteractiveBrokersConfig


def restored(orders: Sequence[Order] = ()) -> RestoredState:
    """What a journal knows that has these orders open."""
    return RestoredState(open_orders=orders, positions=(), balances=(), fills=0, orders=0)


class LaterClock:
    """A clock by which it may be later than it is."""

    later_ns = 0

    def __init__(self) -> None:
        self._true = SystemClock()

    def now_ns(self) -> int:
        """The true time and so much more."""
        return self._true.now_ns() + self.later_ns

    def monotonic_ns(self) -> int:
        """Likewise."""
        return self._true.monotonic_ns() + self.later_ns

    async def sleep(self, seconds: float) -> None:
        """Sleeps for as long as it says."""
        await self._true.sleep(seconds)


class House:
    """What accounts of one process share."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.connections = ConnectionManager(self.clock)
        self.log: list[tuple[str, dict[str, object]]] = []

    def context(self, account_id: str) -> BrokerContext:
        """What an adapter is given."""
        return BrokerContext(
            account_id=account_id,
            clock=self.clock,
            random=random.Random(next(NUMBERS)),
            log=lambda event, **more: self.log.append((event, more)),
            connections=self.connections,
            metrics=BrokerMetrics(self.clock),
        )


class Account:
    """A connected adapter."""

    def __init__(
        self,
        port: int,
        *,
        account_id: str = "first",
        environment: str = "paper",
        house: House | None = None,
        request_timeout_ms: int = 1_500,
        quiet_timeout_ms: int = 30_000,
        state: RestoredState | None = None,
        **settings: object,
    ) -> None:
        self.house = house or House()
        usual: dict[str, object] = {"port": port, "account": FIRST, "instruments": ["AAPL", "MSFT"]}
        self.config = IbkrAccount.model_validate(
            {
                "broker": IBKR,
                "environment": environment,
                "connection": {
                    "request_timeout_ms": request_timeout_ms,
                    "quiet_timeout_ms": quiet_timeout_ms,
                },
                "ibkr": {**usual, "absence_after_ms": 0, **settings},
            }
        )
        self.broker = InteractiveBrokersBroker(self.config, self.house.context(account_id))
        self.state = state or restored()
        self.told: list[Report] = []
        self.ended: BaseException | None = None
        self._news = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
        await self.house.connections.close()

    async def connect(self) -> None:
        """Connects, and follows what is told."""
        await self.broker.connect(self.state)
        self.ended = None
        self._reader = asyncio.create_task(self._read())

    async def close(self) -> None:
        """Ends the connection."""
        await self.broker.close()
        if self._reader is not None:
            await asyncio.gather(self._reader, return_exceptions=True)

    async def again(self, *placed: Order) -> None:
        """Connects once more, until it works, as the engine does with what the journal has open."""
        self.state = restored(placed)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await self.close()
                try:
                    return await self.connect()
                except BrokerError:
                    await asyncio.sleep(0.05)

    async def _read(self) -> None:
        try:
            async for reports in self.broker.events():
                self.told.extend(reports)
                self._news.set()
        except BrokerError as error:
            self.ended = error
        self.ended = self.ended or EOFError()
        self._news.set()

    async def until(self, there: Callable[[], object]) -> None:
        """Waits until it was told."""
        async with asyncio.timeout(PATIENCE_S):
            while not there():
                self._news.clear()
                await self._news.wait()

    def of(self, kind: OrderEventType, client_order_id: str = "c1") -> list[OrderReport]:
        """The reports of that kind on an order."""
        return [
            report
            for report in self.told
            if isinstance(report, OrderReport)
            and (report.event, report.client_order_id) == (kind, client_order_id)
        ]

    def fills(self, client_order_id: str = "c1") -> dict[str, FillReport]:
        """The executions of an order as they were told last."""
        return {
            report.execution_id: report
            for report in self.told
            if isinstance(report, FillReport) and report.client_order_id == client_order_id
        }

    def filled(self, client_order_id: str = "c1") -> Decimal:
        """What was told of fills."""
        return sum((fill.quantity for fill in self.fills(client_order_id).values()), Decimal(0))

    def order(self, name: str = "c1", **fields: Any) -> Order:
        """An order of now: a bid for ten at 90 unless said otherwise."""
        kind = fields.pop("type", OrderType.LIMIT)
        if kind is OrderType.LIMIT:
            fields.setdefault("limit_price", Decimal(90))
        asked = spec(kind, **fields)
        now_ns = self.house.clock.now_ns()
        assert asked.quantity is not None
        return Order(
            order_id=f"o-{name}",
            client_order_id=name,
            account_id="first",
            spec=asked,
            quantity=asked.quantity,
            leaves_quantity=asked.quantity,
            state=OrderState.PENDING_NEW,
            create_time_ns=now_ns,
            update_time_ns=now_ns,
        )

    async def place(self, name: str = "c1", **fields: Any) -> tuple[Order, Outcome]:
        """Places it; the order as the engine has it then, and the outcome."""
        asked = self.order(name, **fields)
        outcome = await self.broker.place_order(asked)
        if isinstance(outcome, Accepted):
            asked = replace(asked, broker_order_id=outcome.broker_order_id, state=OrderState.NEW)
        return asked, outcome

    async def market(
        self, name: str = "c1", quantity: int = 10, side: Side = Side.BUY
    ) -> tuple[Order, Outcome]:
        """Places a market order."""
        return await self.place(
            name,
            type=OrderType.MARKET,
            side=side,
            quantity=Decimal(quantity),
            time_in_force=TimeInForce.DAY,
        )


async def sent(venue: Emulator, kind: str) -> list[dict[str, Any]]:
    """What arrived at the emulator of a kind."""
    return [one for one in await venue.log() if one["kind"] == kind]


def change(order: Order, quantity: int, price: str) -> ReplaceCommand:
    """A change of a limit order."""
    return ReplaceCommand(order, replace(order.spec, limit_price=Decimal(price)), Decimal(quantity))
