"""A broker outside the process whose every answer the test gives, and a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal

from brokergate.domain.accounts import BrokerAccountInfo, BrokerBalance, BrokerPosition, Environment
from brokergate.domain.capabilities import Capabilities, ReplaceSupport
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.market import BookView, MarketDatum, QuoteView
from brokergate.domain.money import ZERO
from brokergate.domain.orders import Order, OrderSpec, OrderType, TimeInForce
from brokergate.ports.broker import (
    AbstractBroker,
    Outcome,
    Preview,
    ReplaceCommand,
    Report,
    RestoredState,
    Unknown,
)

BTC = Instrument(
    "BTC/USDT", "BTCUSDT", InstrumentKind.SPOT, "BTC", "USDT", Decimal("0.01"), Decimal("0.00001"),
    min_quantity=Decimal("0.0001"), max_quantity=Decimal(1000), min_notional=Decimal(5),
)  # fmt: skip


class StillClock:
    """A clock that moves when the test moves it."""

    def __init__(self) -> None:
        self.ns = 1_700_000_000_000_000_000

    def now_ns(self) -> int:
        return self.ns

    def monotonic_ns(self) -> int:
        return self.ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


class ScriptedBroker(AbstractBroker):
    """Keeps what it was asked, and answers when the test says so."""

    name = "scripted"
    environment = Environment.TESTNET
    capabilities = Capabilities(
        order_types={
            OrderType.MARKET: frozenset({TimeInForce.GTC, TimeInForce.IOC}),
            OrderType.LIMIT: frozenset({TimeInForce.GTC, TimeInForce.IOC, TimeInForce.GTD}),
        },
        replace=ReplaceSupport.ATOMIC,
        default_time_in_force=TimeInForce.GTC,
    )

    def __init__(self) -> None:
        self.placed: list[Order] = []
        self.cancelled: list[Order] = []
        self.replaced: list[ReplaceCommand] = []
        self.answers: asyncio.Queue[Outcome] = asyncio.Queue()
        self.told: asyncio.Queue[Sequence[Report] | None] = asyncio.Queue()
        self.asked = asyncio.Event()
        self.fault: Exception | None = None

    async def connect(self, state: RestoredState) -> None:
        pass

    async def close(self) -> None:
        self.told.put_nowait(None)
        # As an adapter does: what was asked and not answered is unknown when the connection goes.
        for _ in range(100):
            self.answers.put_nowait(Unknown("the connection was closed"))

    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        self.placed.extend(orders)
        self.asked.set()
        if self.fault is not None:
            raise self.fault
        return [await self.answers.get() for _ in orders]

    async def replace_order(self, command: ReplaceCommand) -> Outcome:
        self.replaced.append(command)
        self.asked.set()
        return await self.answers.get()

    async def cancel_order(self, order: Order) -> Outcome:
        self.cancelled.append(order)
        self.asked.set()
        return await self.answers.get()

    async def preview_order(self, spec: OrderSpec) -> Preview:
        raise AssertionError("not asked for here")

    async def get_positions(self) -> Sequence[BrokerPosition]:
        return ()

    async def get_balances(self) -> Sequence[BrokerBalance]:
        return ()

    async def get_account_info(self) -> BrokerAccountInfo:
        return BrokerAccountInfo("USDT", ZERO, 0, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)

    async def list_instruments(self) -> Sequence[Instrument]:
        return (BTC,)

    async def events(self) -> AsyncIterator[Sequence[Report]]:
        while (reports := await self.told.get()) is not None:
            yield reports
            self.told.task_done()

    async def tell(self, *batches: Sequence[Report]) -> None:
        """Tells the gateway `batches`; returns when it has taken them."""
        for batch in batches:
            self.told.put_nowait(batch)
        await self.told.join()

    def quote(self, symbol: str) -> QuoteView | None:
        return None

    def book(self, symbol: str, depth: int) -> BookView | None:
        return None

    def subscribe_market_data(
        self, symbols: Sequence[str], listener: Callable[[MarketDatum], None]
    ) -> Callable[[], None]:
        return lambda: None
