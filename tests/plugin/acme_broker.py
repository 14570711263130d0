"""Acme, a broker that is not of brokergate: one module, one entry point. It fills every order at once, at one price.

What a real one does over the network stands here in memory; everything else is as in any adapter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal

from brokergate.adapters.context import BrokerContext
from brokergate.config import AccountConfig, Amount, Section
from brokergate.config.brokers import BrokerKind
from brokergate.domain.accounts import BrokerAccountInfo, BrokerBalance, BrokerPosition, Environment
from brokergate.domain.capabilities import Capabilities, ReplaceSupport
from brokergate.domain.errors import AuthenticationError, ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.fills import Liquidity, Money
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.market import BookView, MarketDatum, QuoteView
from brokergate.domain.money import ZERO, multiply
from brokergate.domain.orders import Order, OrderSpec, OrderState, OrderType, Side, TimeInForce
from brokergate.ports.broker import (
    Absent,
    AbstractBroker,
    Accepted,
    AccessReport,
    FillPage,
    FillReport,
    FindResult,
    Found,
    OrderReport,
    Outcome,
    Preview,
    Rejected,
    ReplaceCommand,
    Report,
    RestoredState,
    VenueOrder,
)

SYMBOL = "WIDGET/USD"


class AcmeConfig(Section):
    """An account at Acme."""

    price: Amount = Decimal(10)
    """What a widget costs. Default 10."""


class AcmeBroker(AbstractBroker):
    """One account at Acme."""

    name = "acme"
    capabilities = Capabilities(
        order_types={
            OrderType.MARKET: frozenset({TimeInForce.IOC}),
            OrderType.LIMIT: frozenset({TimeInForce.IOC}),
        },
        replace=ReplaceSupport.NONE,
        default_time_in_force=TimeInForce.IOC,
        absence_after_ms=0,
        replays_fills=True,
    )

    def __init__(self, account: AccountConfig, context: BrokerContext) -> None:
        self.environment = account.environment
        self._token = account.credentials["token"]
        self._price = account.settings(AcmeConfig).price
        self._context = context
        self._fills: list[FillReport] = []
        self._orders: dict[str, VenueOrder] = {}
        self._closed = asyncio.Event()

    async def connect(self, state: RestoredState) -> None:
        # The byte of use: nowhere else is the token anything but a SecretStr.
        if not self._token.get_secret_value().startswith("acme-"):
            raise AuthenticationError("Acme refuses the token; check accounts' credentials.token")
        self._closed.clear()
        self._context.log("acme is connected", price=str(self._price))

    async def close(self) -> None:
        self._closed.set()

    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        return [self._place(order) for order in orders]

    def _place(self, order: Order) -> Outcome:
        if order.spec.limit_price is not None and order.spec.limit_price < self._price:
            return Rejected(ErrorReason.BROKER_REJECTED, f"a widget costs {self._price}")
        now_ns, number = self._context.clock.now_ns(), str(len(self._fills) + 1)
        fill = FillReport(
            order.client_order_id, number, f"x{number}", SYMBOL, order.spec.side, order.quantity, self._price,
            (), Liquidity.TAKER, now_ns,
        )  # fmt: skip
        self._fills.append(fill)
        self._orders[order.client_order_id] = VenueOrder(
            order.client_order_id, number, SYMBOL, order.spec.side, order.spec.type, order.quantity, order.quantity,
            OrderState.FILLED, now_ns,
        )  # fmt: skip
        taken = OrderReport(OrderEventType.ACKNOWLEDGED, order.client_order_id, number, now_ns)
        return Accepted(number, (taken, fill))

    async def replace_order(self, command: ReplaceCommand) -> Outcome:
        return Rejected(ErrorReason.UNSUPPORTED, "Acme changes no order")

    async def cancel_order(self, order: Order) -> Outcome:
        return Rejected(ErrorReason.ORDER_ENDED, "Acme's orders are filled at once")

    async def preview_order(self, spec: OrderSpec) -> Preview:
        cost = Money(multiply(self._price, spec.quantity or ZERO), "USD")
        return Preview(self._price, spec.quantity or ZERO, cost, (), cost)

    async def find_order(self, order: Order) -> FindResult:
        found = self._orders.get(order.client_order_id)
        return Absent() if found is None else Found(found)

    async def list_open_orders(self) -> Sequence[VenueOrder]:
        return ()

    async def list_fills(self, watermark: str) -> FillPage:
        after = int(watermark or 0)
        return FillPage(self._fills[after:], str(len(self._fills)), complete=True)

    async def get_positions(self) -> Sequence[BrokerPosition]:
        held = sum(map(_signed, self._fills), ZERO)
        position = BrokerPosition(
            SYMBOL, held, multiply(held, self._price), "USD", self._context.clock.now_ns()
        )
        return (position,) if self._fills else ()

    async def get_balances(self) -> Sequence[BrokerBalance]:
        spent = sum((multiply(_signed(fill), fill.price) for fill in self._fills), ZERO)
        return (BrokerBalance("USD", Decimal(1000) - spent, ZERO, self._context.clock.now_ns()),)

    async def get_account_info(self) -> BrokerAccountInfo:
        (cash,) = await self.get_balances()
        return BrokerAccountInfo(
            "USD", cash.total, cash.as_of_ns, cash.total, ZERO, ZERO, cash.total, None, None
        )

    async def check_access(self) -> AccessReport:
        return AccessReport(may_trade=True, permissions=("WIDGETS",))

    async def list_instruments(self) -> Sequence[Instrument]:
        tick, lot = Decimal("0.01"), Decimal(1)
        return (Instrument(SYMBOL, "widget", InstrumentKind.SPOT, "WIDGET", "USD", tick, lot),)

    async def events(self) -> AsyncIterator[Sequence[Report]]:
        while not self._closed.is_set():
            await self._closed.wait()
            yield ()

    def quote(self, symbol: str) -> QuoteView | None:
        return None

    def book(self, symbol: str, depth: int) -> BookView | None:
        return None

    def subscribe_market_data(
        self, symbols: Sequence[str], listener: Callable[[MarketDatum], None]
    ) -> Callable[[], None]:
        return lambda: None


def _signed(fill: FillReport) -> Decimal:
    return fill.quantity if fill.side is Side.BUY else -fill.quantity


KIND = BrokerKind(
    "acme",
    AcmeConfig,
    "acme_broker:AcmeBroker",
    environments=(Environment.DEMO, Environment.LIVE),
    credentials=(("token",),),
)
"""What the entry point names."""
