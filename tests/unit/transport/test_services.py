from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest

from brokergate.adapters.paper.broker import PaperTradingBroker
from brokergate.adapters.paper.config import PaperTradingConfig
from brokergate.domain.access import Scope
from brokergate.domain.errors import TemporaryConnectionError
from brokergate.domain.policy import AccountPolicy
from brokergate.ports.broker import Report
from brokergate.ports.clock import SystemClock
from brokergate.tokens import TokenStore
from brokergate.transport.settings import TransportSettings
from brokergate.v1 import (
    account_pb2,
    account_service_pb2_grpc,
    broker_pb2,
    broker_service_pb2_grpc,
    enums_pb2,
    error_pb2,
    instrument_pb2,
    instrument_service_pb2_grpc,
    market_data_pb2,
    order_pb2,
    order_service_pb2_grpc,
    position_pb2,
    position_service_pb2_grpc,
    simulator_pb2,
    simulator_service_pb2_grpc,
    trading_control_pb2,
    trading_control_service_pb2_grpc,
)
from tests.unit.transport.conftest import LOOPBACK, Serve, Served
from tests.unit.transport.desk import SYMBOL
from tests.unit.transport.errors import fields_of, has_retry, reason_of
from tests.unit.transport.orders import limit, market, place
from tests.unit.transport.test_auth import bearer, make_token
from tests.unit.transport.test_streams import events_of, until


def orders(served: Served) -> Any:
    return order_service_pb2_grpc.OrderServiceStub(served.channel())


async def refusal(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return reason_of(caught.value)


def ref(name: str) -> order_pb2.OrderRef:
    return order_pb2.OrderRef(client_order_id=name)


async def test_a_list_is_paged_newest_first_without_a_hole(served: Served) -> None:
    """Pages of orders and of fills together hold each once, newest first; their cursor is where a stream goes on."""
    for number in range(7):
        await place(served, market(f"c{number}"))
    stub = orders(served)
    for name in ("ListOrders", "ListFills"):
        pages: list[Any] = []
        while not pages or pages[-1].next_page_token:
            token = pages[-1].next_page_token if pages else ""
            request = getattr(order_pb2, f"{name}Request")(account_id="main", page_size=3, page_token=token)
            pages.append(await getattr(stub, name)(request))
        items = [item for page in pages for item in (page.orders if name == "ListOrders" else page.fills)]
        assert [item.client_order_id for item in items] == [f"c{number}" for number in reversed(range(7))]
        assert len(pages) == 3
        stream = events_of(served.channel(), account_ids=["main"], after_cursor=pages[-1].cursor)
        assert [(await stream.read()).WhichOneof("payload") for _ in range(2)] == ["opened", "caught_up"]


async def test_a_page_token_belongs_to_its_list(served: Served) -> None:
    """A token is refused with other filters, for another account, on another list, and when it is made up."""
    for number in range(3):
        await place(served, market(f"c{number}"))
    stub = orders(served)
    first = await stub.ListOrders(order_pb2.ListOrdersRequest(account_id="main", page_size=1))
    token = first.next_page_token
    again = order_pb2.ListOrdersRequest(account_id="main", page_size=2, page_token=token)
    assert len((await stub.ListOrders(again)).orders) == 2
    for request in (
        order_pb2.ListOrdersRequest(account_id="main", page_token=token, symbol=SYMBOL),
        order_pb2.ListOrdersRequest(account_id="other", page_token=token),
        order_pb2.ListOrdersRequest(account_id="main", page_token=token + "0x"),
        order_pb2.ListOrdersRequest(account_id="main", page_token="é" * 500),
    ):
        assert await refusal(stub.ListOrders(request)) == "PAGE_TOKEN_INVALID"
    fills = order_pb2.ListFillsRequest(account_id="main", page_token=token)
    assert await refusal(stub.ListFills(fills)) == "PAGE_TOKEN_INVALID"


async def test_a_batch_answers_index_by_index(served: Served) -> None:
    """Of a batch each order has its answer in its place: taken, wrong, known already, refused."""
    await place(served, market("known"))
    request = order_pb2.BatchPlaceOrdersRequest(account_id="main")
    for name in ("b0", "", "known", "b3"):
        request.orders.add(client_order_id=name, order=market("x").order)
    request.orders[3].order.limit_price = "5"
    request.orders.add(client_order_id="known", order=limit("x").order)
    results = (await orders(served).BatchPlaceOrders(request)).results
    reasons = [error_pb2.ErrorReason.Name(result.error.reason)[13:] for result in results]
    assert reasons == [
        "UNSPECIFIED",
        "INVALID_FIELD",
        "UNSPECIFIED",
        "INVALID_FIELD",
        "CLIENT_ORDER_ID_REUSED",
    ]
    assert [result.already_existed for result in results] == [False, False, True, False, False]
    assert results[1].error.field_violations[0].field == "orders[1].client_order_id"
    empty = order_pb2.BatchPlaceOrdersRequest(account_id="none")
    empty.orders.add(client_order_id="")
    assert await refusal(orders(served).BatchPlaceOrders(empty)) == "ACCOUNT_NOT_FOUND"


async def test_mutations_repeat_their_answer(served: Served) -> None:
    """The same request again has the same answer and no second effect; another body under its id is refused."""
    for name in ("c1", "c2"):
        await place(served, limit(name))
    stub = orders(served)
    cancel = order_pb2.CancelOrderRequest(account_id="main", order=ref("c1"), request_id="r1")
    answers = [await stub.CancelOrder(cancel) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert served.desk.cancelled == ["c1"]
    other = order_pb2.CancelOrderRequest(account_id="main", order=ref("c2"), request_id="r1")
    assert await refusal(stub.CancelOrder(other)) == "REQUEST_ID_REUSED"
    batch = order_pb2.BatchCancelOrdersRequest(
        account_id="main", request_id="r2", orders=[ref("c2"), ref("zz")]
    )
    results = (await stub.BatchCancelOrders(batch)).results
    assert results[0].order.state == enums_pb2.ORDER_STATE_CANCELED
    assert results[1].error.reason == error_pb2.ERROR_REASON_ORDER_NOT_FOUND
    everything = order_pb2.CancelAllOrdersRequest(account_id="main", request_id="r3")
    assert list((await stub.CancelAllOrders(everything)).results) == []
    tombstone = order_pb2.CancelOrderRequest(
        account_id="main", order=ref("never"), request_id="r4", if_unknown=order_pb2.IF_UNKNOWN_TOMBSTONE
    )
    assert not (await stub.CancelOrder(tombstone)).HasField("order")
    late = await place(served, market("never"))
    assert late.order.reject_reason == error_pb2.ERROR_REASON_TOMBSTONED


async def test_reads_show_the_account(served: Served) -> None:
    """Positions, balances, the account and its instruments are what the broker says, with the journal's cursor."""
    positions: Any = position_service_pb2_grpc.PositionServiceStub(served.channel())
    accounts: Any = account_service_pb2_grpc.AccountServiceStub(served.channel())
    instruments: Any = instrument_service_pb2_grpc.InstrumentServiceStub(served.channel())
    listed = await positions.ListPositions(position_pb2.ListPositionsRequest(account_id="main"))
    assert [
        (position.symbol, position.quantity, position.average_price) for position in listed.positions
    ] == [(SYMBOL, "2", "100.000000000000000000")]
    one = await positions.GetPosition(position_pb2.GetPositionRequest(account_id="main", symbol=SYMBOL))
    assert one.position == listed.positions[0]
    assert one.cursor == listed.cursor
    balances = await accounts.ListBalances(account_pb2.ListBalancesRequest(account_id="main"))
    assert [(balance.total, balance.available) for balance in balances.balances] == [("1000", "990")]
    account = await accounts.GetAccount(account_pb2.GetAccountRequest(account_id="main"))
    assert (account.account.broker, account.account.equity.amount) == ("desk", "1200")
    entries = await accounts.ListLedgerEntries(account_pb2.ListLedgerEntriesRequest(account_id="main"))
    assert (list(entries.entries), entries.next_page_token) == ([], "")
    found = await instruments.ListInstruments(instrument_pb2.ListInstrumentsRequest(account_id="main"))
    shown = await instruments.GetInstrument(
        instrument_pb2.GetInstrumentRequest(account_id="main", symbol=SYMBOL)
    )
    assert list(found.instruments) == [shown.instrument]
    none = instrument_pb2.ListInstrumentsRequest(account_id="main", symbol_prefix="ETH")
    assert list((await instruments.ListInstruments(none)).instruments) == []
    closed = await positions.ClosePosition(
        position_pb2.ClosePositionRequest(account_id="main", symbol=SYMBOL, request_id="close")
    )
    assert (closed.order.spec.side, closed.order.cum_quantity) == (enums_pb2.SIDE_SELL, "2")
    preview = await orders(served).PreviewOrder(
        order_pb2.PreviewOrderRequest(account_id="main", order=market("x").order)
    )
    assert (preview.account_id, preview.estimated_price) == ("main", "100")


async def test_a_broker_is_shown_to_those_who_trade_there(serve: Serve, tokens: TokenStore) -> None:
    """A token sees the brokers of its accounts, with its own connections alone, and its own trading states."""
    served = await serve(authenticator=tokens)
    mine = bearer(make_token(tokens, "mine", Scope.ADMIN, ["main"]))
    nobody = bearer(make_token(tokens, "nobody", Scope.ADMIN, ["elsewhere"]))
    brokers: Any = broker_service_pb2_grpc.BrokerServiceStub(served.channel())
    control: Any = trading_control_service_pb2_grpc.TradingControlServiceStub(served.channel())
    listed = await brokers.ListBrokers(broker_pb2.ListBrokersRequest(), metadata=mine)
    assert [[link.account_id for link in broker.connections] for broker in listed.brokers] == [["main"]]
    assert listed.brokers[0].healthy
    desk = broker_pb2.GetBrokerRequest(name="desk")
    shown = (await brokers.GetBroker(desk, metadata=mine)).broker
    for broker in (shown, listed.brokers[0]):
        assert 0 < broker.metrics.uptime <= 1
        broker.metrics.ClearField("uptime")  # It moves between the two.
    assert shown == listed.brokers[0]
    assert await refusal(brokers.GetBroker(desk, metadata=nobody)) == "BROKER_NOT_FOUND"
    states = await control.GetTradingState(trading_control_pb2.GetTradingStateRequest(), metadata=mine)
    assert [state.account_id for state in states.states] == ["main"]
    theirs = trading_control_pb2.GetTradingStateRequest(account_id="other")
    assert await refusal(control.GetTradingState(theirs, metadata=mine)) == "ACCOUNT_NOT_ALLOWED"
    again = broker_pb2.ReconnectBrokerRequest(account_id="main", request_id="r1")
    first = await brokers.ReconnectBroker(again, metadata=mine)
    assert first.connection.state == broker_pb2.CONNECTION_STATE_CONNECTED
    assert await brokers.ReconnectBroker(again, metadata=mine) == first


async def test_a_query_that_fails_is_not_an_empty_answer(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positions that the broker did not tell are the last known ones and say so; what trades by them is UNAVAILABLE
    with RetryInfo (law 4)."""

    async def away() -> None:
        raise TemporaryConnectionError("connection reset")

    positions: Any = position_service_pb2_grpc.PositionServiceStub(served.channel())
    wanted = position_pb2.ListPositionsRequest(account_id="main", include_flat=True)
    before = await positions.ListPositions(wanted)
    assert before.positions
    monkeypatch.setattr(served.desk, "get_positions", away)
    shown = await positions.ListPositions(wanted)
    assert (list(shown.positions), shown.as_of) == (list(before.positions), before.as_of)
    assert (before.stale, shown.stale) == (False, True)
    close = position_pb2.ClosePositionRequest(account_id="main", symbol="BTC/USDT", request_id="r1")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await positions.ClosePosition(close)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert reason_of(caught.value) == "BROKER_UNAVAILABLE"
    assert has_retry(caught.value)


async def test_only_paper_accounts_are_simulated(served: Served) -> None:
    """The simulator's calls on another account are NOT_A_PAPER_ACCOUNT; pushing needs its account, the same
    throughout."""
    stub: Any = simulator_service_pb2_grpc.SimulatorServiceStub(served.channel())
    reset = simulator_pb2.ResetPaperAccountRequest(account_id="main", request_id="r1")
    assert await refusal(stub.ResetPaperAccount(reset)) == "NOT_A_PAPER_ACCOUNT"
    tape = simulator_pb2.ControlTapeRequest(
        account_id="main", request_id="r2", pause=simulator_pb2.PauseTape()
    )
    assert await refusal(stub.ControlTape(tape)) == "NOT_A_PAPER_ACCOUNT"
    push = simulator_pb2.PushMarketDataRequest
    assert await refusal(stub.PushMarketData(iter([push(account_id="main")]))) == "NOT_A_PAPER_ACCOUNT"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.PushMarketData(iter([push()]))
    assert (reason_of(caught.value), fields_of(caught.value)) == ("INVALID_FIELD", ["account_id"])
    assert (await stub.PushMarketData(iter([]))).accepted_updates == 0


class LateReader(PaperTradingBroker):
    """A paper venue whose reports nobody comes for until `due`."""

    due: asyncio.Event

    async def events(self) -> AsyncIterator[Sequence[Report]]:
        await self.due.wait()
        async for batch in super().events():
            yield batch


async def test_what_a_push_brought_about_can_be_streamed_once_it_is_answered(served: Served) -> None:
    """The fill of a resting order, though the reader of the venue's reports has not had its turn."""
    feed = {"instruments": [{"symbol": SYMBOL, "price_increment": "0.01", "quantity_increment": "0.1"}]}
    config = {"feed": {"push": feed}, "initial_balance": {"USDT": "1000"}}
    paper = LateReader(PaperTradingConfig.model_validate(config), SystemClock())
    paper.due = asyncio.Event()
    await served.gateway.add_account("paper", paper, AccountPolicy())
    await place(served, limit("c1", "paper"))
    channel = served.channel()
    quote = market_data_pb2.Quote(
        symbol=SYMBOL, bid_price="0.01", bid_quantity="5", ask_price="0.02", ask_quantity="5"
    )
    push = simulator_pb2.PushMarketDataRequest(
        account_id="paper", updates=[market_data_pb2.MarketDataUpdate(quote=quote)]
    )
    stub: Any = simulator_service_pb2_grpc.SimulatorServiceStub(channel)
    assert (await stub.PushMarketData(iter([push]))).accepted_updates == 1
    seen = []
    async for message in events_of(channel, account_ids=["paper"], start_position="START_POSITION_EARLIEST"):
        seen.extend(message.batch.events)
        if message.HasField("caught_up"):
            break
    paper.due.set()
    assert [event.fill.fill.client_order_id for event in seen if event.HasField("fill")] == ["c1"]


async def test_calls_on_one_connection_are_bounded(serve: Serve) -> None:
    """Beyond the limit a connection's further calls wait in the client, and go on when one ends."""
    served = await serve(TransportSettings(listeners=LOOPBACK, max_concurrent_streams=2))
    channel = served.channel()
    open_ = [events_of(channel) for _ in range(2)]
    for stream in open_:
        await stream.read()
    stub: Any = order_service_pb2_grpc.OrderServiceStub(channel)
    waiting = stub.PlaceOrder(market("c1"), timeout=20)
    assert (await place(served, market("c2"))).order.cum_quantity == "1", "another connection has its own"
    assert not waiting.done()
    open_[0].cancel()
    assert (await waiting).order.cum_quantity == "1"
    await until(lambda: served.server.streams == 1)


async def test_callers_who_knock_all_day_do_not_fill_the_log(serve: Serve, tokens: TokenStore) -> None:
    """Of many refusals in a second ten are logged, and the rest counted in a later line; none holds the token."""
    make_token(tokens, "first", Scope.READ)
    served = await serve(authenticator=tokens)
    channel = served.channel()
    call: Any = channel.unary_unary("/brokergate.v1.OrderService/ListOrders")
    for _ in range(40):
        with pytest.raises(grpc.aio.AioRpcError):
            await call(b"", metadata=bearer("bg_not_a_token"))
    lines = [line for line in served.log.lines if line["event"] == "caller refused"]
    assert 10 <= len(lines) <= 20
    assert lines[0]["reason"] == "TOKEN_INVALID"
    assert not any("bg_not_a_token" in str(line) for line in served.log.lines)
