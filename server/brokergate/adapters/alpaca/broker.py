"""An account at Alpaca, behind the gateway's port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from brokergate.adapters.alpaca import answers, wire
from brokergate.adapters.alpaca.abilities import CAPABILITIES
from brokergate.adapters.alpaca.access import access
from brokergate.adapters.alpaca.answers import Account, TradeUpdate
from brokergate.adapters.alpaca.client import AlpacaClient
from brokergate.adapters.alpaca.commands import Commands
from brokergate.adapters.alpaca.config import ALPACA, AlpacaConfig
from brokergate.adapters.alpaca.listing import Listing
from brokergate.adapters.alpaca.lookups import Lookups
from brokergate.adapters.alpaca.market import Market
from brokergate.adapters.alpaca.orders import Orders, replaced
from brokergate.adapters.alpaca.preview import preview
from brokergate.adapters.alpaca.values import WireError, load, mapping
from brokergate.adapters.connection.sharing import StreamReader
from brokergate.adapters.context import BrokerContext
from brokergate.config.accounts import AccountConfig
from brokergate.domain.accounts import BrokerAccountInfo, BrokerBalance, BrokerPosition
from brokergate.domain.errors import (
    AccountSuspendedError,
    AuthenticationError,
    BrokerError,
    ErrorReason,
    GatewayError,
    RecoverableError,
    TemporaryConnectionError,
)
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, MarketDatum, QuoteView
from brokergate.domain.money import ZERO, add, multiply, subtract, total
from brokergate.domain.orders import Order, OrderSpec, Side
from brokergate.domain.values import changed
from brokergate.ports.broker import (
    AbstractBroker,
    AccessReport,
    FillPage,
    FindResult,
    OrderGroup,
    Outcome,
    Preview,
    ReplaceCommand,
    Report,
    RestoredState,
    VenueOrder,
)


class AlpacaBroker(AbstractBroker):
    """One account at Alpaca."""

    name = ALPACA

    def __init__(self, account: AccountConfig, context: BrokerContext) -> None:
        settings = account.settings(AlpacaConfig)
        self.environment = account.environment
        self.capabilities = replace(CAPABILITIES, absence_after_ms=settings.absence_after_ms)
        self._context = context
        self._client = AlpacaClient(account, settings, context)
        self._listing = Listing(self._client, context.clock, settings.instruments)
        self._orders = Orders(context.account_id)
        self._lookups = Lookups(self._client, self._orders, self._listing.symbol_of)
        self._commands = Commands(
            self._client,
            self._orders,
            self._lookups,
            context,
            self._listing.get,
        )
        self._market = Market(self._client, settings, context)
        self._reader: StreamReader | None = None

    # The connection

    async def connect(self, state: RestoredState) -> None:
        await self._leave_stream()
        self._orders.load(state.open_orders)
        self._orders.coins.start((position.symbol, position.quantity) for position in state.positions)
        self._lookups.unnamed = {
            order.client_order_id
            for order in state.open_orders
            if order.client_order_id and (not order.broker_order_id or order.pending)
        }
        try:
            check_usable(await self._client.ask(wire.ACCOUNT, answers.account), self._context.account_id)
            # Buffered from here on, while the gap is filled.
            self._reader = await self._client.trade_stream()
            await self._listing.load()
        except AuthenticationError as error:
            raise AuthenticationError(self._way_out(error), code=error.code) from None
        self._market.start()

    def _way_out(self, error: BrokerError) -> str:
        world = self.environment.name.lower()
        return (
            f"account {self._context.account_id!r}: {self._client.host} refuses the credentials ({error}); check "
            f"api_key and api_secret, and that they are of a {world} account at Alpaca: each has keys of its own"
        )

    async def close(self) -> None:
        await self._leave_stream()
        await self._market.close()

    async def _leave_stream(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.give_up()

    async def events(self) -> AsyncIterator[Sequence[Report]]:
        if self._reader is None:
            raise TemporaryConnectionError("Alpaca is not connected")
        async for frame in self._reader:
            try:
                update = _update(frame)
            except WireError as error:
                # What it said is asked for when the gap is filled.
                raise RecoverableError(f"a trade update does not parse: {error}") from None
            if update is not None and (reports := await self._reports(update)):
                yield reports

    async def _reports(self, update: TradeUpdate) -> list[Report]:
        """What an update means. One of an order that nobody knows may be of a group whose answer is on its way."""
        if not self._orders.client_id(update.order):
            await self._commands.linked.wait()
        shown = changed(update.order, symbol=self._listing.symbol_of(update.order.symbol))
        update = changed(update, order=shown)
        client_order_id = self._orders.client_id(shown)
        if client_order_id:
            self._orders.learn(shown, client_order_id)
        if update.event != "replaced" or not shown.replaced_by:
            return self._orders.reports(update)
        if not client_order_id:
            return []
        successor = await self._lookups.order(shown.replaced_by)
        own = self._lookups.own(successor, client_order_id)
        return [replaced(update, client_order_id, successor, own=own)]

    # Commands

    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        # Each is sent in the first step of its task, so that they leave in their order.
        return await asyncio.gather(*(self._commands.place(order) for order in orders))

    async def place_group(self, group: OrderGroup) -> Sequence[Outcome]:
        return await self._commands.place_group(group)

    async def replace_order(self, command: ReplaceCommand) -> Outcome:
        return await self._commands.replace(command)

    async def cancel_order(self, order: Order) -> Outcome:
        return await self._commands.cancel(order)

    async def cancel_all_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        return await self._commands.cancel_all(orders)

    async def preview_order(self, spec: OrderSpec) -> Preview:
        instrument = self._listing.get(spec.symbol)
        if instrument is None:
            raise GatewayError(ErrorReason.INSTRUMENT_NOT_FOUND, f"Alpaca has no instrument {spec.symbol!r}")
        account, hours, quote = await asyncio.gather(
            self._client.ask(wire.ACCOUNT, answers.account),
            self._client.ask(wire.CLOCK, answers.market_clock),
            self._market.latest(spec.symbol),
        )
        quantity = spec.quantity if spec.quantity is not None else self.quantity_for(spec)
        against = self._commands.refusal(spec)
        refusal = None if against is None else (against.reason, against.message)
        book = self._market.book(spec.symbol, 1_000)
        return preview(spec, quantity, instrument, quote, book, account, refusal, hours)

    def quantity_for(self, spec: OrderSpec) -> Decimal:
        return self._market.quantity_for(spec, self._listing.get(spec.symbol))

    # Queries

    async def find_order(self, order: Order) -> FindResult:
        return await self._lookups.find(order)

    async def list_open_orders(self) -> Sequence[VenueOrder]:
        shown = await self._lookups.open_orders()
        return [
            self._orders.view(changed(each, symbol=self._listing.symbol_of(each.symbol))) for each in shown
        ]

    async def list_fills(self, watermark: str) -> FillPage:
        return await self._lookups.fills(watermark)

    async def get_positions(self) -> Sequence[BrokerPosition]:
        now_ns = self._context.clock.now_ns()
        positions = [
            BrokerPosition(
                symbol=self._listing.symbol_of(held.symbol),
                quantity=held.quantity,
                cost=held.cost,
                quote_currency="USD",
                as_of_ns=now_ns,
                mark_price=held.mark_price,
                unrealized_pnl=held.unrealized,
            )
            for held in await self._client.ask(wire.POSITIONS, answers.positions)
        ]
        self._orders.coins.learn({position.symbol: position.quantity for position in positions})
        return positions

    async def get_balances(self) -> Sequence[BrokerBalance]:
        """The cash. What open purchases set aside is worked out, since Alpaca does not say it: their limits, or stops,
        times what is left of them."""
        account, shown = await asyncio.gather(
            self._client.ask(wire.ACCOUNT, answers.account), self._lookups.open_orders()
        )
        held = ZERO
        for order in shown:
            price = order.limit_price if order.limit_price is not None else order.stop_price
            if order.side is Side.BUY and order.quantity is not None and price is not None:
                held = add(held, multiply(price, subtract(order.quantity, order.filled)))
        return [BrokerBalance(account.currency, account.cash, held, self._context.clock.now_ns())]

    async def get_account_info(self) -> BrokerAccountInfo:
        account, held = await asyncio.gather(
            self._client.ask(wire.ACCOUNT, answers.account),
            self._client.ask(wire.POSITIONS, answers.positions),
        )
        gains = [position.unrealized for position in held if position.unrealized is not None]
        unrealized = total(gains) if len(gains) == len(held) else None
        return BrokerAccountInfo(
            base_currency=account.currency,
            cash=account.cash,
            as_of_ns=self._context.clock.now_ns(),
            equity=account.equity,
            initial_margin=account.initial_margin,
            maintenance_margin=account.maintenance_margin,
            buying_power=account.buying_power,
            unrealized_pnl=unrealized,
            realized_pnl=None,
        )

    async def check_access(self) -> AccessReport:
        return await access(self._client, self._context.clock)

    async def list_instruments(self) -> Sequence[Instrument]:
        await self._listing.load()
        return list(self._listing.instruments.values())

    # The market

    def quote(self, symbol: str) -> QuoteView | None:
        return self._market.quote(symbol)

    def last_quote(self, symbol: str) -> QuoteView | None:
        return self._market.last_quote(symbol)

    def book(self, symbol: str, depth: int) -> BookView | None:
        return self._market.book(symbol, depth)

    def subscribe_market_data(
        self, symbols: Sequence[str], listener: Callable[[MarketDatum], None]
    ) -> Callable[[], None]:
        return self._market.subscribe(symbols, listener)


def check_usable(account: Account, account_id: str) -> None:
    """Raises AccountSuspendedError for an account that may not trade, with the way out."""
    problem = ""
    if account.account_blocked:
        problem = "Alpaca has blocked it; ask Alpaca's support"
    elif account.suspended_by_user:
        problem = "its owner has suspended trading; allow it again in the account's settings at Alpaca"
    elif account.trading_blocked:
        problem = "Alpaca has blocked its trading; ask Alpaca's support"
    elif account.status != "ACTIVE":
        problem = f"Alpaca says that it is {account.status}, not ACTIVE; finish its opening, or ask Alpaca's support"
    if problem:
        raise AccountSuspendedError(f"account {account_id!r}: {problem}", code=account.status)


def _update(frame: str | bytes) -> TradeUpdate | None:
    """The trade update of a frame; None for another message, such as the answer to a probe."""
    message = mapping(load(frame), "a frame")
    if message.get("stream") != "trade_updates":
        return None
    return answers.trade_update(message.get("data"))
