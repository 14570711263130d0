"""An account at Interactive Brokers, behind the gateway's port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from brokergate.adapters.context import BrokerContext
from brokergate.adapters.ibkr import accounts
from brokergate.adapters.ibkr.abilities import CAPABILITIES
from brokergate.adapters.ibkr.commands import Commands
from brokergate.adapters.ibkr.config import IBKR, InteractiveBrokersConfig
from brokergate.adapters.ibkr.desk import Desk
from brokergate.adapters.ibkr.doubts import Doubts
from brokergate.adapters.ibkr.line import Line, LineSettings
from brokergate.adapters.ibkr.listing import Listing
from brokergate.adapters.ibkr.lookups import Lookups
from brokergate.adapters.ibkr.market import Market
from brokergate.adapters.ibkr.preview import preview, refusal_of
from brokergate.adapters.ibkr.values import NS_PER_S, WireError
from brokergate.config.accounts import AccountConfig
from brokergate.domain.accounts import BrokerAccountInfo, BrokerBalance, BrokerPosition
from brokergate.domain.errors import (
    AuthenticationError,
    BrokerError,
    ErrorReason,
    FinalError,
    GatewayError,
    RecoverableError,
)
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, MarketDatum, QuoteView
from brokergate.domain.orders import Order, OrderSpec, TimeInForce
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

LONGEST_PROBE_S = 10.0
"""For the answer to a probe, however long the connection may be quiet."""


class InteractiveBrokersBroker(AbstractBroker):
    """One account of a login at Interactive Brokers."""

    name = IBKR
    tells_of_others = False

    def __init__(self, account: AccountConfig, context: BrokerContext) -> None:
        settings = account.settings(InteractiveBrokersConfig)
        self.environment = account.environment
        self.capabilities = replace(CAPABILITIES, absence_after_ms=settings.absence_after_ms)
        self._settings = settings
        self._base_currency = ""
        self._context = context
        self._line = shared_line(account, settings, context)
        context.metrics.watch_limits(lambda: {"ibkr messages": max(self._line.limiter.utilisation.values())})
        self._listing = Listing(
            self._line.ask, context.clock, settings.instruments or (), settings.described(), context.log
        )
        contracts = self._listing.contracts
        self._desk = Desk(context.account_id, settings.client_id, contracts, context.clock, context.random)
        self._lookups = Lookups(self._line, self._desk, contracts, context.clock, settings.time_zone)
        self._commands = Commands(self._line, self._desk, self._lookups, contracts, context)
        self._doubts = Doubts(self._desk, self._lookups, context.log)
        self._market = Market(self._line.market, contracts, context.clock, context.log)

    # The connection

    async def connect(self, state: RestoredState) -> None:
        await self._market.close()
        await self._line.give_up(self._desk)
        self._desk.load(state.open_orders)
        try:
            await self._line.join(self._desk)
            account = accounts.chosen(
                self._settings.account, self._line.accounts, self.environment, self._context.account_id
            )
            await self._listing.load()
            # Before, it takes nothing: a fill has its symbol and its price from the listing.
            self._desk.account = account
            # The desk learns from it which orders there are, now that it knows whose it is.
            await self._line.ask.open_orders()
        except BaseException as error:
            await self._line.leave(self._desk)
            if isinstance(error, AuthenticationError) and "321" in error.code:
                raise AuthenticationError(self._read_only(error), code=error.code) from None
            raise
        self._market.start()

    def _read_only(self, error: BrokerError) -> str:
        return (
            f"account {self._context.account_id!r}: the API of TWS at {self._line.settings.place} is read-only "
            f"({error}); clear 'Read-Only API' in its API settings: without that it shows no orders either"
        )

    async def close(self) -> None:
        await self._doubts.close()
        await self._market.close()
        await self._line.give_up(self._desk)
        self._desk.outbox.close()

    async def events(self) -> AsyncIterator[Sequence[Report]]:
        async for reports in self._desk.outbox.batches():
            yield reports

    # Commands

    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        return await self._commands.place_all(orders)

    async def place_group(self, group: OrderGroup) -> Sequence[Outcome]:
        return await self._commands.place_group(group)

    async def replace_order(self, command: ReplaceCommand) -> Outcome:
        return await self._commands.replace(command)

    async def cancel_order(self, order: Order) -> Outcome:
        return await self._commands.cancel(order)

    async def cancel_all_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        return await self._commands.cancel_all(orders)

    async def preview_order(self, spec: OrderSpec) -> Preview:
        listed = self._listing.contracts.get(spec.symbol)
        if listed is None:
            raise GatewayError(
                ErrorReason.INSTRUMENT_NOT_FOUND, f"{spec.symbol!r} is not among the account's instruments"
            )
        if spec.time_in_force is TimeInForce.UNSPECIFIED:
            # As the gateway places it; of a preview it leaves that to the broker.
            spec = changed(spec, time_in_force=self.capabilities.default_time_in_force)
        quantity = spec.quantity if spec.quantity is not None else self.quantity_for(spec)
        against = self._commands.refusal(spec)
        quote = await self._latest(spec.symbol)
        told, refused = None, None if against is None else (against.reason, against.message)
        if refused is None:
            try:
                told = await self._commands.what_if(spec, quantity, listed)
            except FinalError as error:
                refused = refusal_of(error)
        base = self._base_currency or (await self.get_account_info()).base_currency
        self._base_currency = base
        return preview(spec, quantity, listed, quote, told, base, refused)

    async def _latest(self, symbol: str) -> QuoteView | None:
        """The present quote, waited for where it was not followed yet; None where it does not come."""
        there = asyncio.Event()
        end = self.subscribe_market_data((symbol,), lambda _: there.set())
        try:
            async with asyncio.timeout(self._line.settings.timeout_s):
                while self.quote(symbol) is None and symbol not in self._market.problems:
                    there.clear()
                    await there.wait()
        except TimeoutError:
            self._context.log("no quote in time", symbol=symbol)
        finally:
            end()
        return self.quote(symbol)

    # Queries

    async def find_order(self, order: Order) -> FindResult:
        return await self._lookups.find(order)

    async def list_open_orders(self) -> Sequence[VenueOrder]:
        return await self._lookups.open_orders()

    async def list_fills(self, watermark: str) -> FillPage:
        return await self._lookups.fills(watermark)

    async def get_positions(self) -> Sequence[BrokerPosition]:
        account, contracts = self._desk.account, self._listing.contracts
        told = [each for each in await self._line.ask.positions() if each.account == account]
        marks = await self._line.ask.marks(account) if any(each.quantity for each in told) else {}
        now_ns = self._context.clock.now_ns()
        try:
            return [
                accounts.position(each, contracts, now_ns, marks.get(each.contract.con_id)) for each in told
            ]
        except WireError as error:
            raise RecoverableError(f"TWS tells a position that cannot be read: {error}") from None

    async def get_balances(self) -> Sequence[BrokerBalance]:
        """The cash. What open purchases set aside is worked out, since TWS counts it as margin of the account as a
        whole: their limits, or stops, times what is left of them."""
        told = await self._line.ask.account_values(self._desk.account)
        held = self._lookups.set_aside(await self._lookups.open_orders())
        try:
            return accounts.balances(told, self._context.clock.now_ns(), held)
        except WireError as error:
            raise RecoverableError(f"TWS tells a balance that cannot be read: {error}") from None

    async def get_account_info(self) -> BrokerAccountInfo:
        told = await self._line.ask.account_values(self._desk.account)
        try:
            return accounts.account_info(told, self._context.clock.now_ns())
        except WireError as error:
            raise RecoverableError(f"TWS tells a figure that cannot be read: {error}") from None

    async def list_instruments(self) -> Sequence[Instrument]:
        await self._listing.load()
        return self._listing.contracts.instruments()

    async def check_access(self) -> AccessReport:
        asked_ns = self._context.clock.now_ns()
        seconds = await self._line.ask.current_time()
        now_ns = self._context.clock.now_ns()
        # TWS tells whole seconds: half of one is what it is off by, on average.
        offset_ns = seconds * NS_PER_S + NS_PER_S // 2 - (asked_ns + now_ns) // 2
        unresolved = tuple(self._listing.unresolved.values())
        return AccessReport(
            may_trade=None,
            permissions=(f"TWS account {self._desk.account} of {', '.join(self._line.accounts)}",),
            warnings=unresolved,
            clock_offset_ns=offset_ns,
        )

    # The market

    def quantity_for(self, spec: OrderSpec) -> Decimal:
        return self._market.quantity_for(spec)

    def quote(self, symbol: str) -> QuoteView | None:
        return self._market.quote(symbol)

    def last_quote(self, symbol: str) -> QuoteView | None:
        return self._market.last_quote(symbol)

    def problem_with(self, symbol: str) -> str:
        return self._listing.unresolved.get(symbol) or self._market.problem_with(symbol)

    def book(self, symbol: str, depth: int) -> BookView | None:
        return self._market.book(symbol, depth)

    def subscribe_market_data(
        self, symbols: Sequence[str], listener: Callable[[MarketDatum], None]
    ) -> Callable[[], None]:
        return self._market.subscribe(symbols, listener)


def shared_line(account: AccountConfig, settings: InteractiveBrokersConfig, context: BrokerContext) -> Line:
    """The one connection of the process to this TWS by this client id."""
    connection = account.connection
    quiet_s = connection.quiet_timeout_ms / 1000
    place = settings.host, settings.api_port(account.environment)
    made = LineSettings(
        host=place[0],
        port=place[1],
        client_id=settings.client_id,
        messages_per_second=settings.messages_per_second,
        time_zone=settings.time_zone,
        timeout_s=connection.request_timeout_ms / 1000,
        quiet_s=quiet_s,
        probe_timeout_s=min(quiet_s, LONGEST_PROBE_S),
        market_data_type=settings.market_data_type.number,
        market_data_lines=settings.market_data_lines,
    )
    return context.connections.shared(
        (IBKR, place[0], str(place[1]), str(settings.client_id)),
        lambda: Line(made, context.clock, context.log),
    )
