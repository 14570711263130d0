"""A broker inside the process for the transport's tests: market orders fill at 100, others rest until cancelled, and
the market is what the test says. What it costs in realism it gives in being there at once: no matching, no money."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal

from brokergate.domain.accounts import BrokerAccountInfo, BrokerBalance, BrokerPosition, Environment
from brokergate.domain.capabilities import Capabilities, ReplaceSupport
from brokergate.domain.events import OrderEventType
from brokergate.domain.fills import Liquidity, Money
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.market import BookView, MarketDatum, QuoteView
from brokergate.domain.money import ZERO
from brokergate.domain.orders import Order, OrderSpec, OrderType, TimeInForce
from brokergate.ports.broker import (
    AbstractBroker,
    Accepted,
    FillReport,
    OrderReport,
    Outcome,
    Preview,
    ReplaceCommand,
    Report,
    RestoredState,
)

SYMBOL = "BTC/USDT"
BTC = Instrument(
    SYMBOL, "BTCUSDT", InstrumentKind.SPOT, "BTC", "USDT", Decimal("0.01"), Decimal("0.00001"),
    min_quantity=Decimal("0.0001"), max_quantity=Decimal(1000), min_notional=Decimal(5),
)  # fmt: skip

TIMES = frozenset({TimeInForce.GTC, TimeInForce.IOC})


class Desk(AbstractBroker):
    """See the module."""

    name = "desk"
    environment = Environment.TESTNET
    in_process = False
    capabilities = Capabilities(
        order_types={OrderType.MARKET: TIMES, OrderType.LIMIT: TIMES},
        replace=ReplaceSupport.ATOMIC,
        default_time_in_force=TimeInForce.GTC,
        streams_quotes=True,
        streams_trades=True,
        streams_book=True,
    )

    def __init__(self) -> None:
        self.placed: list[Order] = []
        self.cancelled: list[str] = []
        self.hold = asyncio.Event()
        """While it is not set, no order is answered."""
        self.hold.set()
        self.books: dict[str, BookView] = {}
        self.quotes: dict[str, QuoteView] = {}
        self.listeners: list[Callable[[MarketDatum], None]] = []
        self._ended = asyncio.Event()
        self._executions = 0

    async def connect(self, state: RestoredState) -> None:
        self._ended.clear()

    async def close(self) -> None:
        self._ended.set()

    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        self.placed.extend(orders)
        if not self.hold.is_set():
            await self.hold.wait()
        return [self._place(order) for order in orders]

    def _place(self, order: Order) -> Outcome:
        broker_order_id = f"d{len(self.placed)}-{order.client_order_id}"
        if order.spec.type is not OrderType.MARKET:
            return Accepted(broker_order_id)
        self._executions += 1
        fill = FillReport(
            order.client_order_id,
            broker_order_id,
            f"x{self._executions}",
            order.spec.symbol,
            order.spec.side,
            order.quantity,
            Decimal(100),
            (Money(Decimal("0.1"), "USDT"),),
            Liquidity.TAKER,
            order.create_time_ns,
        )
        return Accepted(broker_order_id, (fill,))

    async def replace_order(self, command: ReplaceCommand) -> Outcome:
        order = command.order
        report = OrderReport(
            OrderEventType.REPLACED, order.client_order_id, order.broker_order_id + "r", order.update_time_ns
        )
        return Accepted(order.broker_order_id + "r", (report,))

    async def cancel_order(self, order: Order) -> Outcome:
        self.cancelled.append(order.client_order_id)
        report = OrderReport(
            OrderEventType.CANCELED, order.client_order_id, order.broker_order_id, order.update_time_ns
        )
        return Accepted(order.broker_order_id, (report,))

    async def preview_order(self, spec: OrderSpec) -> Preview:
        notional = Money(Decimal(100), "USDT")
        return Preview(Decimal(100), Decimal(1), notional, (), notional)

    async def get_positions(self) -> Sequence[BrokerPosition]:
        return (BrokerPosition(SYMBOL, Decimal(2), Decimal(200), "USDT", 1),)

    async def get_balances(self) -> Sequence[BrokerBalance]:
        return (BrokerBalance("USDT", Decimal(1000), Decimal(10), 1),)

    async def get_account_info(self) -> BrokerAccountInfo:
        return BrokerAccountInfo(
            "USDT", Decimal(1000), 1, Decimal(1200), ZERO, ZERO, Decimal(990), ZERO, ZERO
        )

    async def list_instruments(self) -> Sequence[Instrument]:
        return (BTC,)

    async def events(self) -> AsyncIterator[Sequence[Report]]:
        await self._ended.wait()
        for _ in ():
            yield ()

    def quote(self, symbol: str) -> QuoteView | None:
        return self.quotes.get(symbol)

    def book(self, symbol: str, depth: int) -> BookView | None:
        book = self.books.get(symbol)
        if book is None:
            return None
        return BookView(
            symbol, book.bids[:depth], book.asks[:depth], book.event_time_ns, book.receive_time_ns
        )

    def tell(self, datum: MarketDatum) -> None:
        """The market moves."""
        for listener in self.listeners:
            listener(datum)

    def subscribe_market_data(
        self, symbols: Sequence[str], listener: Callable[[MarketDatum], None]
    ) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)
