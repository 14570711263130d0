"""The client: one object, one connection, the whole of trading."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, cast

import grpc
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from brokergate.v1 import (
    account_pb2,
    account_service_pb2_grpc,
    enums_pb2,
    event_pb2,
    event_service_pb2_grpc,
    instrument_pb2,
    instrument_service_pb2_grpc,
    market_data_pb2,
    market_data_service_pb2_grpc,
    order_pb2,
    order_service_pb2_grpc,
    position_pb2,
    position_service_pb2_grpc,
    simulator_service_pb2_grpc,
    trading_control_service_pb2_grpc,
)
from brokergate_client import decode, encode
from brokergate_client.calls import Caller
from brokergate_client.connection import Tls, Token, is_loopback, open_channel
from brokergate_client.contract import contract_method
from brokergate_client.enums import (
    EventKind,
    IfUnknown,
    InstrumentKind,
    OrderState,
    ServingStatus,
    Side,
    StartPosition,
    known,
)
from brokergate_client.errors import ClosedError, from_rpc_error
from brokergate_client.events import Fill
from brokergate_client.exact import Number, timestamp_of
from brokergate_client.ids import new_id
from brokergate_client.instruments import Instrument, Quote
from brokergate_client.money import Account, Balance, Position
from brokergate_client.orders import (
    BatchOrder,
    LinkedOrder,
    Order,
    OrderResult,
    OrderSpec,
    Placed,
    Preview,
)
from brokergate_client.pages import Listing, Page, Pages
from brokergate_client.quotes import follow_quotes
from brokergate_client.simulator import Simulator
from brokergate_client.streams import EventStream, FillStream, Start, StreamOptions
from brokergate_client.trading import TradingControl

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_TIMEOUT_S = 10.0
DEFAULT_CLIENT_NAME = "brokergate-client"
PAGE_SIZE = 500
HEARTBEAT_S = 10.0


class Gateway:
    """A connection to a gateway: `async with Gateway.connect("127.0.0.1:50051") as gateway: …`.

    Prices and quantities are `Decimal` (`int` and `str` are taken too, floats refused), times aware and UTC. Every
    method raises `GatewayError`; a call whose answer was lost, or that the gateway answers UNAVAILABLE, is asked again
    under the same id until its time (`timeout_s`, or `within`) is over, which never does a thing twice. One object may
    be used by many tasks at once.
    """

    @classmethod
    def connect(
        cls,
        address: str = DEFAULT_ADDRESS,
        *,
        token: str | None = None,
        tls: Tls | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        connect_timeout_s: float | None = 10.0,
        allow_plaintext_token: bool = False,
        client_name: str = DEFAULT_CLIENT_NAME,
    ) -> Self:
        """A gateway that connects when it is entered (`async with`), or by `open`.

        `address` is `host:port` or `unix:/path`. Without `tls` nothing is encrypted, so a `token` is then sent to this
        machine alone, unless `allow_plaintext_token` (a tunnel or a mesh that encrypts): `ValueError` otherwise.
        `timeout_s` bounds every call with its repeats, `connect_timeout_s` the first connection; None connects
        when it is first used. `client_name`, up to 64 characters of printable ASCII, is what the gateway's audit
        calls this program beside its token's name.
        """
        if not (client_name.isascii() and client_name.isprintable() and 0 < len(client_name.strip()) <= 64):
            raise ValueError(
                f"client_name {client_name[:64]!r} must be 1 to 64 characters of printable ASCII"
            )
        if token is not None and tls is None and not is_loopback(address) and not allow_plaintext_token:
            raise ValueError(
                f"a token for {address!r} would be sent unencrypted; give tls=Tls(), or allow_plaintext_token=True "
                "where something else encrypts"
            )
        return cls(
            address, None if token is None else Token(token), tls, timeout_s, connect_timeout_s, client_name
        )

    def __init__(
        self,
        address: str,
        token: Token | None,
        tls: Tls | None,
        timeout_s: float,
        connect_timeout_s: float | None,
        client_name: str,
    ) -> None:
        self.address = address
        self._client_name = client_name
        self._tls = tls
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._caller = Caller(() if token is None else token.metadata())
        self._channel: grpc.aio.Channel | None = None

    def __repr__(self) -> str:
        return f"Gateway({self.address!r})"

    async def open(self) -> None:
        """Connect. Raises `UnavailableError` when the gateway does not answer within `connect_timeout_s`."""
        channel = open_channel(self.address, self._tls, self._client_name)
        self._channel = channel
        self._orders = order_service_pb2_grpc.OrderServiceStub(channel)
        self._positions = position_service_pb2_grpc.PositionServiceStub(channel)
        self._accounts = account_service_pb2_grpc.AccountServiceStub(channel)
        self._events = event_service_pb2_grpc.EventServiceStub(channel)
        self._instruments = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
        self._market_data = market_data_service_pb2_grpc.MarketDataServiceStub(channel)
        self._control = trading_control_service_pb2_grpc.TradingControlServiceStub(channel)
        self._simulator = simulator_service_pb2_grpc.SimulatorServiceStub(channel)
        # grpc.health.v1 without a dependency on its package: a message with one string, answered by one number.
        self._check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=Int32Value.FromString,
        )
        if self._connect_timeout_s is None:
            return
        try:
            await self.within(self._connect_timeout_s).health()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection; calls and streams that are under way raise `ClosedError`."""
        self._caller.closed.set()
        if self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def within(self, timeout_s: float) -> Self:
        """The same connection with another time for its calls: `await gateway.within(2).place(…)`."""
        other = copy.copy(self)
        other._timeout_s = timeout_s
        return other

    async def _call(self, method: Any, request: Any, request_id: str = "") -> Any:
        return await self._caller.call(method, request, timeout_s=self._timeout_s, request_id=request_id)

    async def call(self, rpc: str, request: Any, *, request_id: str = "") -> Any:
        """The answer to any unary RPC of the contract, in its generated types: `await gateway.call(
        "SimulatorService/ResetPaperAccount", simulator_pb2.ResetPaperAccountRequest(…), request_id=…)`.

        It is repeated as every other call is; `request_id` is the id that the request of a mutation holds, and that an
        error then names.
        """
        method = contract_method(rpc)
        call = self._open_channel.unary_unary(
            method.path,
            request_serializer=method.request_type.SerializeToString,
            response_deserializer=method.response_type.FromString,
        )
        return await self._call(call, request, request_id)

    async def stream(
        self, rpc: str, requests: Sequence[Any], *, timeout_s: float | None = None
    ) -> AsyncGenerator[Any, None]:
        """The answers of a streaming RPC of the contract, in its generated types, to `requests`, after which the
        client's side of the stream is closed. Nothing is repeated; leaving the loop cancels the call."""
        method = contract_method(rpc)
        channel = self._open_channel
        kind: Any = channel.stream_stream if method.client_streaming else channel.unary_stream
        if method.client_streaming and not method.server_streaming:
            kind = channel.stream_unary
        stub: Any = kind(
            method.path,
            request_serializer=method.request_type.SerializeToString,
            response_deserializer=method.response_type.FromString,
        )
        self._caller.expect_open()
        sent = iter(requests) if method.client_streaming else requests[0]
        call = stub(sent, timeout=timeout_s, metadata=self._caller.metadata)
        try:
            if not method.server_streaming:
                yield await call
                return
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            self._caller.expect_open()
            raise from_rpc_error(error) from error
        finally:
            call.cancel()

    @property
    def _open_channel(self) -> grpc.aio.Channel:
        if self._channel is None:
            raise ClosedError(grpc.StatusCode.CANCELLED, "this client was not opened")
        return self._channel

    async def health(self, service: str = "") -> ServingStatus | int:
        """How the gateway is, or one of its services (`brokergate.v1.OrderService`, `brokergate.broker.paper`)."""
        answer: Int32Value = await self._call(self._check, StringValue(value=service))
        return known(ServingStatus, answer.value)

    @property
    def control(self) -> TradingControl:
        """What may be traded: emergency stops, discrepancies, orders that nobody can prove, the audit."""
        return TradingControl(self._call, self._control, self._control_events)

    @property
    def simulator(self) -> Simulator:
        """What can be done to a paper account beside trading."""
        return Simulator(self._call, self._simulator)

    def _control_events(self, start: Start, account_ids: Sequence[str]) -> EventStream:
        return self.events(start=start, account_ids=account_ids, kinds=[EventKind.CONTROL])

    # Orders

    async def place(
        self,
        account_id: str | None,
        order: OrderSpec,
        *,
        route: str | None = None,
        client_order_id: str | None = None,
        oco: Sequence[LinkedOrder] = (),
        allow_emulated: bool = False,
    ) -> Placed:
        """Place an order; see `market_order`, `limit_order` … for what to give.

        An id is made where none is given; to repeat safely after this program was restarted, give one and keep it.
        What a rule or the venue refuses is an answer: state REJECTED, with its `reject_reason`.

        With `route`, and None for the account, it goes to the first account of the route that can take it, and stays
        there: the answer's `order.account_id` says which. Orders of a route are found, changed and cancelled by it.

        With `bracket(…)` around it the order comes with those that close it, and with `oco` it is one of a group of
        which one that fills takes as much from the others. All of a group is placed, or nothing; the others are the
        answer's `linked_orders`.
        """
        client_order_id = new_id() if client_order_id is None else client_order_id
        answer: order_pb2.PlaceOrderResponse = await self._call(
            self._orders.PlaceOrder,
            encode.aim(
                order_pb2.PlaceOrderRequest(
                    client_order_id=client_order_id,
                    order=encode.order_spec(encode.named(order, client_order_id)),
                    oco_orders=encode.linked_orders(oco, client_order_id),
                    allow_emulated=allow_emulated,
                ),
                account_id,
                route,
            ),
            client_order_id,
        )
        linked = tuple(decode.order(linked) for linked in answer.linked_orders)
        return Placed(decode.order(answer.order), answer.already_existed, linked)

    async def batch_place(
        self, account_id: str | None, orders: Sequence[BatchOrder], *, route: str | None = None
    ) -> list[OrderResult]:
        """Place up to 500 orders in one call; the results stand in the order of `orders`. One that fails stops none.

        After an error whose outcome is unknown give the same `orders`, which hold their ids, again.
        """
        request = encode.aim(order_pb2.BatchPlaceOrdersRequest(), account_id, route)
        for order in orders:
            spec = encode.named(order.spec, order.client_order_id)
            request.orders.add(client_order_id=order.client_order_id, order=encode.order_spec(spec))
        answer: order_pb2.BatchPlaceOrdersResponse = await self._call(
            self._orders.BatchPlaceOrders, request, orders[0].client_order_id if orders else ""
        )
        return [decode.order_result(result) for result in answer.results]

    async def preview(self, account_id: str | None, order: OrderSpec, *, route: str | None = None) -> Preview:
        """What an order would cost and fill at this moment, and whether it would be taken; of a route on the account
        that it would go to now."""
        request = order_pb2.PreviewOrderRequest(order=encode.order_spec(encode.named(order, "preview")))
        return decode.preview(
            await self._call(self._orders.PreviewOrder, encode.aim(request, account_id, route))
        )

    async def replace(
        self,
        account_id: str | None,
        *,
        route: str | None = None,
        order_id: str | None = None,
        client_order_id: str | None = None,
        expected_generation: int,
        quantity: Number | None = None,
        limit_price: Number | None = None,
        stop_price: Number | None = None,
        trail_amount: Number | None = None,
        trail_percent: Number | None = None,
        expire_time: datetime | None = None,
        display_quantity: Number | None = None,
        request_id: str | None = None,
    ) -> Order:
        """Change a working order; what is None stays. `quantity` is the new total, including what is filled.

        `expected_generation` is that of the order as it was last seen: `PreconditionError` where it has changed since.
        """
        request_id = request_id or new_id()
        answer: order_pb2.ReplaceOrderResponse = await self._call(
            self._orders.ReplaceOrder,
            encode.aim(
                order_pb2.ReplaceOrderRequest(
                    order=encode.order_ref(order_id, client_order_id),
                    request_id=request_id,
                    expected_generation=expected_generation,
                    quantity=encode.optional_text(quantity, "quantity"),
                    limit_price=encode.optional_text(limit_price, "limit_price"),
                    stop_price=encode.optional_text(stop_price, "stop_price"),
                    trail_amount=encode.optional_text(trail_amount, "trail_amount"),
                    trail_percent=encode.optional_text(trail_percent, "trail_percent"),
                    display_quantity=encode.optional_text(display_quantity, "display_quantity"),
                    expire_time=None if expire_time is None else timestamp_of(expire_time),
                ),
                account_id,
                route,
            ),
            request_id,
        )
        return decode.order(answer.order)

    async def cancel(
        self,
        account_id: str | None,
        *,
        route: str | None = None,
        order_id: str | None = None,
        client_order_id: str | None = None,
        if_unknown: IfUnknown = IfUnknown.ERROR,
        request_id: str | None = None,
    ) -> Order | None:
        """Cancel a working order and return it as it then stands: it may have filled first.

        With `IfUnknown.TOMBSTONE` an order that is not known yet never will be, and the answer is None.
        """
        request_id = request_id or new_id()
        answer: order_pb2.CancelOrderResponse = await self._call(
            self._orders.CancelOrder,
            encode.aim(
                order_pb2.CancelOrderRequest(
                    order=encode.order_ref(order_id, client_order_id),
                    request_id=request_id,
                    if_unknown=cast(order_pb2.IfUnknown.ValueType, if_unknown),
                ),
                account_id,
                route,
            ),
            request_id,
        )
        return decode.order(answer.order) if answer.HasField("order") else None

    async def cancel_all(
        self,
        account_id: str,
        *,
        symbol: str = "",
        side: Side = Side.UNSPECIFIED,
        request_id: str | None = None,
    ) -> list[OrderResult]:
        """Cancel every working order of an account, or those of one symbol or side; one result for each."""
        request_id = request_id or new_id()
        answer: order_pb2.CancelAllOrdersResponse = await self._call(
            self._orders.CancelAllOrders,
            order_pb2.CancelAllOrdersRequest(
                account_id=account_id,
                request_id=request_id,
                symbol=symbol,
                side=cast(enums_pb2.Side.ValueType, side),
            ),
            request_id,
        )
        return [decode.order_result(result) for result in answer.results]

    async def order(
        self,
        account_id: str | None,
        *,
        route: str | None = None,
        order_id: str | None = None,
        client_order_id: str | None = None,
    ) -> Order:
        """One order as it now stands."""
        request = order_pb2.GetOrderRequest(order=encode.order_ref(order_id, client_order_id))
        answer: order_pb2.GetOrderResponse = await self._call(
            self._orders.GetOrder, encode.aim(request, account_id, route)
        )
        return decode.order(answer.order)

    def orders(
        self,
        account_id: str,
        *,
        symbol: str = "",
        states: Iterable[OrderState] = (),
        open_only: bool = False,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> Pages[Order]:
        """Orders, newest first; created at or after `start_time` and before `end_time`, where given."""
        request = order_pb2.ListOrdersRequest(
            account_id=account_id,
            symbol=symbol,
            states=cast("list[enums_pb2.OrderState.ValueType]", list(states)),
            open_only=open_only,
            start_time=None if start_time is None else timestamp_of(start_time),
            end_time=None if end_time is None else timestamp_of(end_time),
            page_size=PAGE_SIZE,
        )

        async def read(page_token: str) -> Page[Order]:
            request.page_token = page_token
            answer: order_pb2.ListOrdersResponse = await self._call(self._orders.ListOrders, request)
            return Page(map(decode.order, answer.orders), answer.next_page_token, answer.cursor)

        return Pages(read)

    def fill_history(
        self,
        account_id: str,
        *,
        symbol: str = "",
        order_id: str = "",
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> Pages[Fill]:
        """Fills so far, newest first; booked at or after `start_time` and before `end_time`, where given."""
        request = order_pb2.ListFillsRequest(
            account_id=account_id,
            symbol=symbol,
            order_id=order_id,
            start_time=None if start_time is None else timestamp_of(start_time),
            end_time=None if end_time is None else timestamp_of(end_time),
            page_size=PAGE_SIZE,
        )

        async def read(page_token: str) -> Page[Fill]:
            request.page_token = page_token
            answer: order_pb2.ListFillsResponse = await self._call(self._orders.ListFills, request)
            return Page(map(decode.fill, answer.fills), answer.next_page_token, answer.cursor)

        return Pages(read)

    # Accounts and markets

    async def accounts(self) -> list[Account]:
        """The accounts that this caller may see."""
        answer: account_pb2.ListAccountsResponse = await self._call(
            self._accounts.ListAccounts, account_pb2.ListAccountsRequest()
        )
        return [decode.account(account) for account in answer.accounts]

    async def account(self, account_id: str) -> Account:
        """One account: equity, margin, buying power."""
        answer: account_pb2.GetAccountResponse = await self._call(
            self._accounts.GetAccount, account_pb2.GetAccountRequest(account_id=account_id)
        )
        return decode.account(answer.account)

    async def cursor(self, account_id: str) -> str:
        """Where the account's journal stands now: take it before placing, and stream fills after it."""
        answer: account_pb2.GetAccountResponse = await self._call(
            self._accounts.GetAccount, account_pb2.GetAccountRequest(account_id=account_id)
        )
        return answer.cursor

    async def balances(self, account_id: str) -> Listing[Balance]:
        """What the account holds, by currency."""
        answer: account_pb2.ListBalancesResponse = await self._call(
            self._accounts.ListBalances, account_pb2.ListBalancesRequest(account_id=account_id)
        )
        return decode.listing(map(decode.balance, answer.balances), answer)

    async def positions(self, account_id: str, *, include_flat: bool = False) -> Listing[Position]:
        """The account's positions, by symbol."""
        answer: position_pb2.ListPositionsResponse = await self._call(
            self._positions.ListPositions,
            position_pb2.ListPositionsRequest(account_id=account_id, include_flat=include_flat),
        )
        return decode.listing(map(decode.position, answer.positions), answer)

    def instruments(
        self, account_id: str, *, kinds: Iterable[InstrumentKind] = (), symbol_prefix: str = ""
    ) -> Pages[Instrument]:
        """What the account can trade, by symbol."""
        request = instrument_pb2.ListInstrumentsRequest(
            account_id=account_id,
            kinds=cast("list[instrument_pb2.InstrumentKind.ValueType]", list(kinds)),
            symbol_prefix=symbol_prefix,
            page_size=PAGE_SIZE,
        )

        async def read(page_token: str) -> Page[Instrument]:
            request.page_token = page_token
            answer: instrument_pb2.ListInstrumentsResponse = await self._call(
                self._instruments.ListInstruments, request
            )
            return Page(map(decode.instrument, answer.instruments), answer.next_page_token)

        return Pages(read)

    async def quote(self, account_id: str | None, symbol: str, *, route: str | None = None) -> Quote:
        """The best bid and ask; of a route on its first account that is connected. Raises `PreconditionError`
        (NO_REFERENCE_PRICE) before there is one."""
        answer: market_data_pb2.GetQuoteResponse = await self._call(
            self._market_data.GetQuote,
            encode.aim(market_data_pb2.GetQuoteRequest(symbol=symbol), account_id, route),
        )
        return decode.quote(answer.quote, stale=answer.stale)

    async def instrument(self, account_id: str, symbol: str) -> Instrument:
        """One instrument, with its tick and lot."""
        answer: instrument_pb2.GetInstrumentResponse = await self._call(
            self._instruments.GetInstrument,
            instrument_pb2.GetInstrumentRequest(account_id=account_id, symbol=symbol),
        )
        return decode.instrument(answer.instrument)

    async def close_position(
        self, account_id: str, symbol: str, *, quantity: Number | None = None, request_id: str | None = None
    ) -> Order:
        """Close a position, or `quantity` of it, at the market; returns the order that does. Raises `NotFoundError`
        (POSITION_NOT_FOUND) where there is none."""
        request_id = request_id or new_id()
        answer: position_pb2.ClosePositionResponse = await self._call(
            self._positions.ClosePosition,
            position_pb2.ClosePositionRequest(
                account_id=account_id,
                symbol=symbol,
                request_id=request_id,
                quantity=encode.optional_text(quantity, "quantity"),
            ),
            request_id,
        )
        return decode.order(answer.order)

    # Streams

    def quotes(
        self, account_id: str | None, *symbols: str, route: str | None = None, min_interval_s: float = 0.0
    ) -> AsyncGenerator[Quote, None]:
        """The present quotes and then each new one, for ever: `async for quote in gateway.quotes("paper", "BTC/USDT")`.

        Whoever is slow gets the latest, at most one in `min_interval_s` of each symbol. A connection that breaks is
        made anew. Raises `GatewayError` where that cannot help.
        """
        request = encode.aim(
            market_data_pb2.StreamMarketDataRequest(
                symbols=symbols, kinds=[market_data_pb2.MARKET_DATA_KIND_QUOTE]
            ),
            account_id,
            route,
        )
        request.min_interval.FromMilliseconds(round(min_interval_s * 1000))
        return follow_quotes(lambda: self.stream("MarketDataService/StreamMarketData", [request]))

    def fills(
        self,
        *,
        after: str | None = None,
        start: Start = StartPosition.LIVE,
        account_ids: Sequence[str] = (),
        symbols: Sequence[str] = (),
        heartbeat_s: float = HEARTBEAT_S,
    ) -> FillStream:
        """Fills for ever: `async for fill in gateway.fills(after=cursor): …; cursor = fill.cursor`.

        They begin after the cursor `after`, of an earlier fill or a list, else at `start`: LIVE is what is booked from
        the first iteration on, EARLIEST all that is kept, a `datetime` from that time on. Connections that break,
        fall silent for three heartbeats or are closed by a gateway that restarts are made anew; no fill is lost, none
        comes twice. No accounts means every one that the caller may see, as of now.

        With one account a fill's cursor is exact. With several, a program that starts again from the cursor of a fill
        may get up to one batch again; (`account_id`, `sequence`) tells what it had.
        """
        options = StreamOptions(account_ids, start, heartbeat_s, {"symbols": symbols})
        return FillStream(
            self._events.StreamFills, event_pb2.StreamFillsRequest, options, after, self._caller
        )

    def events(
        self,
        *,
        after: str | None = None,
        start: Start = StartPosition.LIVE,
        account_ids: Sequence[str] = (),
        kinds: Sequence[EventKind] = (),
        heartbeat_s: float = HEARTBEAT_S,
    ) -> EventStream:
        """Everything that is journalled, for ever, as `fills`; `CaughtUp` parts what was before from what is live.

        With `StartPosition.SNAPSHOT` the first item is a `Snapshot` of the accounts' state.
        """
        options = StreamOptions(account_ids, start, heartbeat_s, {"kinds": list(kinds)})
        return EventStream(
            self._events.StreamEvents, event_pb2.StreamEventsRequest, options, after, self._caller
        )
