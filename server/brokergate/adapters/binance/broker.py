"""One account at Binance spot behind the port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal

from brokergate.adapters.binance import parse, wire
from brokergate.adapters.binance.abilities import capabilities
from brokergate.adapters.binance.access import access
from brokergate.adapters.binance.client import SAMPLES, BinanceClient
from brokergate.adapters.binance.commands import Commands, unlisted
from brokergate.adapters.binance.config import BinanceConfig
from brokergate.adapters.binance.desk import Desk
from brokergate.adapters.binance.executions import Executions
from brokergate.adapters.binance.limits import Budget, address_limits
from brokergate.adapters.binance.listing import listing
from brokergate.adapters.binance.lookups import Lookups
from brokergate.adapters.binance.market import Market
from brokergate.adapters.binance.private import ECHO_S, PrivateStream
from brokergate.adapters.binance.replacing import Replacing
from brokergate.adapters.binance.signing import signer_of
from brokergate.adapters.binance.telling import Telling
from brokergate.adapters.binance.views import Views, refused_preview
from brokergate.adapters.connection.hub import MarketDataHub
from brokergate.adapters.connection.ids import VenueIds
from brokergate.adapters.connection.manager import credential_id
from brokergate.adapters.connection.offset import ClockOffset
from brokergate.adapters.connection.outbox import Outbox
from brokergate.adapters.connection.public import PublicStream
from brokergate.adapters.connection.settings import http_timeouts, stream_settings
from brokergate.adapters.context import BrokerContext, watched_breaker
from brokergate.config.accounts import AccountConfig
from brokergate.domain.accounts import (
    BrokerAccountInfo,
    BrokerBalance,
    BrokerPosition,
    LedgerEntry,
    LedgerEntryKind,
)
from brokergate.domain.errors import (
    BrokerError,
    TemporaryConnectionError,
)
from brokergate.domain.fills import Money
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, MarketDatum, QuoteView
from brokergate.domain.money import ZERO
from brokergate.domain.orders import Order, OrderSpec
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


class BinanceBroker(AbstractBroker):
    """See the module. `ValueError` for credentials or an environment that cannot be."""

    name = "binance"

    def __init__(self, account: AccountConfig, context: BrokerContext) -> None:
        config = account.settings(BinanceConfig)
        self.environment = account.environment
        self.capabilities = capabilities(config.recv_window_ms)
        self._account_id = context.account_id
        self._context = context
        self._clock = context.clock
        self._hosts = config.hosts(account.environment)
        self._signer = signer_of(account.credentials)
        # The secret is part of it: what an account with a wrong one is refused must not be another one's.
        secrets = [secret for _, secret in sorted(account.credentials.items())]
        self._credential = credential_id(self._hosts.rest_url, *secrets)
        self._connection = account.connection
        self._timeout_ms = account.connection.request_timeout_ms
        self._recv_window_ms = config.recv_window_ms
        self._valuation_currency = config.valuation_currency
        self._hub = MarketDataHub(self._clock)
        self._tasks: list[asyncio.Task[None]] = []
        self._desk: Desk | None = None

    def _furnish(self) -> Desk:
        """What needs a running loop, made at the first connection and kept: what is known outlives one connection."""
        context, clock, host = self._context, self._clock, self._hosts.rest_url
        limiter = context.connections.shared(("binance", "limits", host), lambda: address_limits(clock))
        settings = stream_settings(self._connection)
        budget = Budget(limiter, self._credential)
        context.metrics.watch_limits(budget.utilisation)
        offset = context.connections.shared(("binance", "clock", host), ClockOffset)
        context.metrics.watch_clock(offset.view)
        client = BinanceClient(
            context.connections.http(
                "binance",
                self._credential,
                host,
                http_timeouts(self._connection),
            ),
            self._signer,
            budget,
            offset,
            clock,
            recv_window_ms=self._recv_window_ms,
            timeout_ms=self._timeout_ms,
            breaker=watched_breaker(context),
            metrics=context.metrics,
        )
        stream = PrivateStream(
            client, context.connections, self._credential, self._hosts.websocket_api_url, clock, settings
        )
        ids = VenueIds(self._account_id, wire.CLIENT_ID_LENGTH)
        absence_after_ms = self.capabilities.absence_after_ms
        assert absence_after_ms is not None
        desk = Desk(client, stream, Telling(ids, lambda: desk.listing), clock, absence_after_ms)
        self._executions = Executions(client, lambda: desk.listing, clock, desk.see)
        self._commands = Commands(desk, self._executions)
        self._replacing = Replacing(desk, self._executions, self._commands)
        self._lookups = Lookups(desk, self._executions)
        self._views = Views(desk, self._valuation_currency)
        self._market = Market(
            client, self._hub, self._hosts.stream_url, clock, lambda: desk.listing, context.log, settings
        )
        self._public = PublicStream(self._hub, self._market, clock, context.random, context.log)
        return desk

    # The connection

    async def connect(self, state: RestoredState) -> None:
        """Measures the clock, learns instruments and limits, subscribes to the private stream, and then looks at the
        account: what happens meanwhile is buffered."""
        await self.close()
        if self._desk is None:
            self._desk = self._furnish()
        desk = self._desk
        await desk.client.sync(SAMPLES)
        desk.listing = listing(await desk.client.ask(wire.exchange_info()))
        desk.client.budget.learn(desk.listing.limits)
        desk.telling.load(list(state.open_orders))
        desk.hold(balance for balance in state.balances if balance.currency not in desk.balances)
        desk.outbox = Outbox()
        await desk.stream.open()
        try:
            account = parse.account(await desk.client.ask(wire.account()), self._clock.now_ns())
        except BaseException:
            await desk.stream.close()
            raise
        if not account.can_trade:
            self._context.log("Binance lets this account or key not trade", account=self._account_id)
        desk.see(account)
        self._executions.begin(account)
        self._executions.touch(
            desk.listing.venue_symbol(order.spec.symbol)
            for order in state.open_orders
            if desk.listed(order.spec.symbol) is not None
        )
        self._tasks = [
            asyncio.create_task(self._read(desk, desk.outbox), name=f"events of {self._account_id}"),
            asyncio.create_task(self._watch(desk, desk.outbox), name=f"silence of {self._account_id}"),
        ]
        self._public.start()

    async def close(self) -> None:
        if self._desk is None:
            return
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._desk.stream.close()
        await self._public.close()
        await self._market.close()
        self._desk.outbox.close()

    async def _read(self, desk: Desk, outbox: Outbox) -> None:
        """Takes what the private stream tells, until it is lost."""
        failure: BrokerError = TemporaryConnectionError("Binance closed the private stream")
        try:
            async for event in desk.stream.events():
                outbox.add(self._reports(desk, event))
        except BrokerError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a stream that nobody reads is mute: it is given up, and asked for
            failure = TemporaryConnectionError(
                f"what the private stream told cannot be taken ({type(error).__name__})"
            )
        outbox.fail(failure)

    async def _watch(self, desk: Desk, outbox: Outbox) -> None:
        await desk.stream.until_mute()
        message = (
            f"the private stream is connected and mute: what a command did was not told within {ECHO_S:g} s"
        )
        outbox.fail(TemporaryConnectionError(message))

    def _reports(self, desk: Desk, event: parse.Json) -> list[Report]:
        kind = event.get("e")
        if kind == "executionReport":
            told = parse.order_event(event)
            desk.stream.heard(told.order.order_id)
            self._executions.touch((told.order.symbol,))
            return desk.telling.event(told)
        if kind == "outboundAccountPosition":
            balances = parse.balances_event(event)
            desk.hold(balances)
            return list(balances)
        if kind == "balanceUpdate":
            asset, amount, at_ns = parse.balance_move(event)
            moved = LedgerEntryKind.WITHDRAWAL if amount < ZERO else LedgerEntryKind.DEPOSIT
            entry_id = f"{asset}-{event.get('E', at_ns)}"
            return [LedgerEntry(entry_id, moved, Money(amount, asset), at_ns)]
        # listStatus says of a list what its orders' own reports say; externalLockUpdate is in the next balances.
        return []

    @property
    def _connected(self) -> Desk:
        if self._desk is None:
            raise TemporaryConnectionError(f"account {self._account_id!r} was never connected to Binance")
        return self._desk

    def events(self) -> AsyncIterator[Sequence[Report]]:
        return self._connected.outbox.batches()

    # Commands

    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        return await self._commands.place_all(orders)

    async def place_group(self, group: OrderGroup) -> Sequence[Outcome]:
        return await self._commands.place_group(group)

    async def replace_order(self, command: ReplaceCommand) -> Outcome:
        return await self._replacing.replace(command)

    async def cancel_order(self, order: Order) -> Outcome:
        return await self._commands.cancel(order)

    async def cancel_all_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        return await self._commands.cancel_all(orders)

    def quantity_for(self, spec: OrderSpec) -> Decimal:
        listed = self._connected.listed(spec.symbol)
        return self._hub.quantity_for(spec, listed.instrument if listed is not None else None)

    async def preview_order(self, spec: OrderSpec) -> Preview:
        listed = self._connected.listed(spec.symbol)
        if listed is None:
            return refused_preview(unlisted(spec.symbol), self._valuation_currency)
        quantity = self.quantity_for(spec) if spec.quantity is None else spec.quantity
        return await self._views.preview(spec, listed, quantity)

    # Questions

    async def find_order(self, order: Order) -> FindResult:
        return await self._lookups.find(order)

    async def list_open_orders(self) -> Sequence[VenueOrder]:
        return await self._lookups.open_orders()

    async def list_fills(self, watermark: str) -> FillPage:
        return await self._lookups.fills(watermark)

    async def get_positions(self) -> Sequence[BrokerPosition]:
        return await self._executions.positions()

    async def get_balances(self) -> Sequence[BrokerBalance]:
        return await self._views.balances()

    async def get_account_info(self) -> BrokerAccountInfo:
        return await self._views.account()

    async def check_access(self) -> AccessReport:
        return await access(self._connected)

    async def list_instruments(self) -> Sequence[Instrument]:
        return self._connected.listing.instruments()

    # The market

    def quote(self, symbol: str) -> QuoteView | None:
        return self._hub.quote(symbol)

    def last_quote(self, symbol: str) -> QuoteView | None:
        return self._hub.last_quote(symbol)

    def book(self, symbol: str, depth: int) -> BookView | None:
        return self._hub.book(symbol, depth)

    def subscribe_market_data(
        self, symbols: Sequence[str], listener: Callable[[MarketDatum], None]
    ) -> Callable[[], None]:
        return self._hub.subscribe_market_data(symbols, listener)
