"""The adapter at the emulator, and an engine's ears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import count
from typing import Any, TypeVar

from brokergate.adapters.binance.broker import BinanceBroker
from brokergate.domain import lifecycle
from brokergate.domain.errors import BrokerError
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side, TimeInForce
from brokergate.ports.broker import Accepted, Outcome, Report, RestoredState
from brokergate.ports.clock import SystemClock
from tests.conformance.binance import EMPTY, Ear, account, context, emulator, until
from tests.emulators.client import Emulator

SYMBOL = "BTC/USDT"
ReportT = TypeVar("ReportT")
_numbers = count(1)


class Hurried:
    """A clock that goes so many times as fast as the machine's."""

    def __init__(self, speed: int = 1) -> None:
        self._speed = speed
        self._machine = SystemClock()

    def now_ns(self) -> int:
        return self._machine.now_ns()

    def monotonic_ns(self) -> int:
        return self._machine.monotonic_ns() * self._speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


def order(
    side: Side = Side.BUY,
    quantity: str = "1",
    limit: str | None = "9500",
    kind: OrderType | None = None,
    name: str = "",
    **fields: Any,
) -> Order:
    """An order as the engine hands it over."""
    kind = kind or (OrderType.MARKET if limit is None else OrderType.LIMIT)
    spec = OrderSpec(
        symbol=fields.pop("symbol", SYMBOL),
        side=side,
        type=kind,
        quantity=Decimal(quantity) if "quote_quantity" not in fields else None,
        limit_price=None if limit is None else Decimal(limit),
        time_in_force=fields.pop("time_in_force", TimeInForce.IOC if limit is None else TimeInForce.GTC),
        **fields,
    )
    name = name or f"h{next(_numbers)}"
    return lifecycle.intend(
        order_id=name,
        client_order_id=name,
        account_id="house",
        spec=spec,
        quantity=Decimal(quantity),
        multiplier=Decimal(1),
        now_ns=SystemClock().now_ns(),
    )


class House:
    """A connected broker, and everything that it told by itself."""

    def __init__(self, broker: BinanceBroker, venue: Emulator, ear: Ear) -> None:
        self.broker = broker
        self.venue = venue
        self.told: list[Report] = []
        self.failure: BrokerError | None = None
        self._ear = ear
        self._reader: asyncio.Task[None] | None = None

    async def connect(self, state: RestoredState = EMPTY) -> None:
        """Connects, and listens."""
        await self.broker.connect(state)
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for batch in self.broker.events():
                self.told.extend(batch)
        except BrokerError as error:
            self.failure = error

    async def close(self) -> None:
        """Ends the connection."""
        await self.broker.close()
        if self._reader is not None:
            await self._reader

    async def hear(self) -> None:
        """Returns when all is told that happened by now."""
        await self._ear.drained()

    async def until_lost(self) -> BrokerError:
        """Why the connection was lost, once it is."""
        await until(lambda: self.failure is not None)
        assert self.failure is not None
        return self.failure

    def of(self, kind: type[ReportT]) -> list[ReportT]:
        """What was told of this kind."""
        return [report for report in self.told if isinstance(report, kind)]

    async def place(self, *arguments: Any, **fields: Any) -> tuple[Order, Outcome]:
        """Places an order; gives it with Binance's number."""
        placed = order(*arguments, **fields)
        outcome = await self.broker.place_order(placed)
        return known(placed, outcome), outcome

    async def requests(self, kind: str) -> list[dict[str, Any]]:
        """What the venue received of this kind."""
        return [entry for entry in await self.venue.log() if entry["kind"] == kind]


def known(placed: Order, outcome: Outcome) -> Order:
    """The order after its acknowledgement."""
    if isinstance(outcome, Accepted):
        return lifecycle.acknowledge(placed, outcome.broker_order_id, placed.create_time_ns)
    return placed


@asynccontextmanager
async def open_house(
    balances: dict[str, str] | None = None, *, speed: int = 1, connect: bool = True, **settings: Any
) -> AsyncIterator[House]:
    """The adapter at a new account with a book: bids at 9900, asks at 10100 and 10200."""
    venue = emulator()
    await venue.reset(balances or {"USDT": "1000000", "BTC": "10"})
    await venue.show(SYMBOL, [("9900", "5")], [("10100", "2"), ("10200", "6")])
    given = context("house", clock=Hurried(speed))
    broker = BinanceBroker(account(venue, **settings), given)
    ear = Ear(broker, given.connections)
    house = House(broker, venue, ear)
    try:
        if connect:
            await house.connect()
        yield house
    finally:
        await ear.close()
        await house.close()
        await given.connections.close()


def quantities(reports: Sequence[Any]) -> list[Decimal]:
    """The quantity of each."""
    return [report.quantity for report in reports]
