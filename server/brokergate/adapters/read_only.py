"""A broker that takes no orders, for accounts that are only read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal

from brokergate.domain.accounts import BrokerAccountInfo, BrokerBalance, BrokerPosition
from brokergate.domain.errors import ErrorReason
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, MarketDatum, QuoteView
from brokergate.domain.orders import Order, OrderSpec
from brokergate.ports.broker import (
    AbstractBroker,
    AccessReport,
    FillPage,
    FindResult,
    OrderGroup,
    Outcome,
    Preview,
    Rejected,
    ReplaceCommand,
    Report,
    RestoredState,
    VenueOrder,
)


class ReadOnlyBroker(AbstractBroker):
    """Passes on everything but new orders and replaces, which are refused here; a cancel takes nobody's money."""

    def __init__(self, broker: AbstractBroker, refusal: str) -> None:
        """`refusal` says why, and the way out."""
        self.name = broker.name
        self.environment = broker.environment
        self.capabilities = broker.capabilities
        self.in_process = broker.in_process
        self.tells_of_others = broker.tells_of_others
        self._broker = broker
        self._refusal = Rejected(ErrorReason.TRADING_DISABLED, refusal)

    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        return [self._refusal for _ in orders]

    async def place_group(self, group: OrderGroup) -> Sequence[Outcome]:
        return [self._refusal for _ in group.orders]

    async def replace_order(self, command: ReplaceCommand) -> Outcome:
        return self._refusal

    async def connect(self, state: RestoredState) -> None:
        await self._broker.connect(state)

    async def close(self) -> None:
        await self._broker.close()

    async def cancel_order(self, order: Order) -> Outcome:
        return await self._broker.cancel_order(order)

    async def cancel_all_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        return await self._broker.cancel_all_orders(orders)

    async def preview_order(self, spec: OrderSpec) -> Preview:
        return await self._broker.preview_order(spec)

    def quantity_for(self, spec: OrderSpec) -> Decimal:
        return self._broker.quantity_for(spec)

    async def find_order(self, order: Order) -> FindResult:
        return await self._broker.find_order(order)

    async def list_open_orders(self) -> Sequence[VenueOrder]:
        return await self._broker.list_open_orders()

    async def list_fills(self, watermark: str) -> FillPage:
        return await self._broker.list_fills(watermark)

    async def get_positions(self) -> Sequence[BrokerPosition]:
        return await self._broker.get_positions()

    async def get_balances(self) -> Sequence[BrokerBalance]:
        return await self._broker.get_balances()

    async def get_account_info(self) -> BrokerAccountInfo:
        return await self._broker.get_account_info()

    async def check_access(self) -> AccessReport:
        return await self._broker.check_access()

    async def list_instruments(self) -> Sequence[Instrument]:
        return await self._broker.list_instruments()

    def untold(self) -> Sequence[Report]:
        return self._broker.untold()

    def venue_time_ns(self) -> int | None:
        return self._broker.venue_time_ns()

    def events(self) -> AsyncIterator[Sequence[Report]]:
        return self._broker.events()

    def quote(self, symbol: str) -> QuoteView | None:
        return self._broker.quote(symbol)

    def last_quote(self, symbol: str) -> QuoteView | None:
        return self._broker.last_quote(symbol)

    def problem_with(self, symbol: str) -> str:
        return self._broker.problem_with(symbol)

    def book(self, symbol: str, depth: int) -> BookView | None:
        return self._broker.book(symbol, depth)

    def subscribe_market_data(
        self, symbols: Sequence[str], listener: Callable[[MarketDatum], None]
    ) -> Callable[[], None]:
        return self._broker.subscribe_market_data(symbols, listener)
