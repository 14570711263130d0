"""An adapter to the venue behind the socket, as a real one is built: what it cannot know, it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import Field

from brokergate.adapters.context import BrokerContext
from brokergate.config.accounts import AccountConfig
from brokergate.config.section import Count, Section, Text
from brokergate.domain.accounts import BrokerAccountInfo, BrokerBalance, BrokerPosition, Environment
from brokergate.domain.capabilities import Capabilities, ReplaceSupport
from brokergate.domain.errors import BrokerError, ErrorReason, RecoverableError, TemporaryConnectionError
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, MarketDatum, QuoteView
from brokergate.domain.money import format_decimal
from brokergate.domain.orders import Order, OrderSpec, OrderType, TimeInForce, TriggerSource
from brokergate.ports.broker import (
    Absent,
    AbstractBroker,
    Accepted,
    Failed,
    FillPage,
    FindResult,
    Found,
    Outcome,
    Preview,
    Rejected,
    ReplaceCommand,
    Report,
    RestoredState,
    Unknown,
    VenueOrder,
)
from tests.venue.link import Link
from tests.venue.wire import WireError, dump, load, load_any, order_fields

NAME = "socket"
ENVIRONMENTS = (Environment.PAPER, Environment.LIVE, Environment.TESTNET, Environment.DEMO)
T = TypeVar("T")

_AT_ONCE_TOO = frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK})
_WAITING = frozenset({TimeInForce.DAY, TimeInForce.GTC})
CAPABILITIES = Capabilities(
    order_types={
        OrderType.MARKET: _AT_ONCE_TOO,
        OrderType.LIMIT: _AT_ONCE_TOO,
        OrderType.STOP: _WAITING,
        OrderType.STOP_LIMIT: _WAITING,
    },
    replace=ReplaceSupport.ATOMIC,
    default_time_in_force=TimeInForce.GTC,
    trigger_sources=(TriggerSource.LAST, TriggerSource.BID_ASK),
    replays_fills=True,
    streams_quotes=True,
    short_selling=True,
)


class SocketConfig(Section):
    """A venue behind a socket."""

    host: Text = "127.0.0.1"
    """Where it is. Default 127.0.0.1."""
    port: Annotated[Count, Field(ge=1, le=65535)] = 7001
    """Its port. Default 7001."""
    absence_after_ms: Annotated[Count, Field(ge=0, le=600_000)] | None = None
    """How long after sending the venue's "no such order" is to be believed. Default: never."""


class SocketBroker(AbstractBroker):
    """One account at the venue."""

    name = NAME

    def __init__(self, account: AccountConfig, context: BrokerContext) -> None:
        self.environment = account.environment
        self._config = account.settings(SocketConfig)
        self.capabilities = replace(CAPABILITIES, absence_after_ms=self._config.absence_after_ms)
        self._timeout_s = account.connection.request_timeout_ms / 1000
        self._clock = context.clock
        self._link: Link | None = None
        self._quotes: dict[str, QuoteView] = {}
        self._listeners: list[tuple[frozenset[str], Callable[[MarketDatum], None]]] = []

    # The connection

    async def connect(self, state: RestoredState) -> None:
        if self._link is not None:
            await self._link.close()
        link = await Link.open(self._config.host, self._config.port, self._timeout_s, self._quoted)
        try:
            await link.ask("subscribe")
        except BrokerError:
            await link.close()
            raise
        self._link = link

    async def close(self) -> None:
        if self._link is not None:
            await self._link.close()

    async def events(self) -> AsyncIterator[Sequence[Report]]:
        async for reports in self._linked().events():
            yield reports

    def _linked(self) -> Link:
        if self._link is None or not self._link.alive:
            raise TemporaryConnectionError("the venue is not connected")
        return self._link

    # Commands

    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        # Each is sent in the first step of its task, so that they leave in their order.
        requests = [self._command("place", order, order.spec, order.quantity) for order in orders]
        return await asyncio.gather(*requests)

    async def replace_order(self, command: ReplaceCommand) -> Outcome:
        return await self._command("replace", command.order, command.spec, command.quantity)

    async def cancel_order(self, order: Order) -> Outcome:
        return await self._command("cancel", order, order.spec, order.quantity)

    async def cancel_all_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        return await asyncio.gather(*(self.cancel_order(order) for order in orders))

    async def _command(self, op: str, order: Order, spec: OrderSpec, quantity: Decimal) -> Outcome:
        """Sends a command. Where there is no connection nothing left; after that only the venue's word counts."""
        link = self._link
        if link is None or not link.alive:
            return Rejected(ErrorReason.BROKER_UNAVAILABLE, "the venue is not connected; nothing was sent")
        fields = order_fields(order) | {"order": dump(spec), "quantity": format_decimal(quantity)}
        try:
            outcome = load_any(await link.ask(op, fields))
        except (BrokerError, WireError) as error:
            return Unknown(str(error))
        return outcome if isinstance(outcome, Accepted | Rejected) else Unknown(f"answered {outcome!r}")

    async def preview_order(self, spec: OrderSpec) -> Preview:
        return self._read(Preview, await self._linked().ask("preview", {"order": dump(spec)}))

    # Queries

    async def find_order(self, order: Order) -> FindResult:
        try:
            found = await self._linked().ask("find", order_fields(order))
            return Absent() if found is None else Found(load(VenueOrder, found))
        except (BrokerError, WireError) as error:
            return Failed(str(error))

    async def list_open_orders(self) -> Sequence[VenueOrder]:
        return await self._list("open_orders", VenueOrder)

    async def list_fills(self, watermark: str) -> FillPage:
        answer = await self._linked().ask("fills", {"after": watermark or "0"})
        return self._read(FillPage, answer)

    async def get_positions(self) -> Sequence[BrokerPosition]:
        return await self._list("positions", BrokerPosition)

    async def get_balances(self) -> Sequence[BrokerBalance]:
        return await self._list("balances", BrokerBalance)

    async def get_account_info(self) -> BrokerAccountInfo:
        return self._read(BrokerAccountInfo, await self._linked().ask("info"))

    async def list_instruments(self) -> Sequence[Instrument]:
        return await self._list("instruments", Instrument)

    async def _list(self, op: str, kind: type[T]) -> Sequence[T]:
        answer = await self._linked().ask(op)
        if not isinstance(answer, list):
            raise RecoverableError(f"the answer to {op!r} does not parse")
        return [self._read(kind, each) for each in answer]

    @staticmethod
    def _read(kind: type[T], answer: object) -> T:
        try:
            return load(kind, answer)
        except WireError as error:
            raise RecoverableError(f"the answer does not parse: {error}") from error

    # The market

    def _quoted(self, quote: QuoteView) -> None:
        quote = replace(quote, receive_time_ns=self._clock.now_ns())
        self._quotes[quote.symbol] = quote
        for symbols, listener in self._listeners:
            if quote.symbol in symbols:
                listener(quote)

    def quote(self, symbol: str) -> QuoteView | None:
        return self._quotes.get(symbol)

    def book(self, symbol: str, depth: int) -> BookView | None:
        return None

    def subscribe_market_data(
        self, symbols: Sequence[str], listener: Callable[[MarketDatum], None]
    ) -> Callable[[], None]:
        entry = (frozenset(symbols), listener)
        self._listeners.append(entry)
        return lambda: self._listeners.remove(entry)
