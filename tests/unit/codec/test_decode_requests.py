"""Every other request of the contract: what is taken, and what is named when it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf import descriptor_pool, message_factory

from brokergate.codec.decode import account, control, entry, lists, order, simulator, stream
from brokergate.codec.decode.target import Target
from brokergate.domain.commands import (
    CancelOrder,
    IfUnknown,
    OrderFailure,
    OrderRef,
    PlaceOrder,
    ReplaceOrder,
)
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.events import EventKind
from brokergate.domain.market import BarView, BookView, QuoteView, TradeView
from brokergate.domain.orders import OrderState, Side
from brokergate.domain.streams import StartPosition
from brokergate.ports.broker import TapeAction
from brokergate.v1 import account_pb2, order_pb2

SPEC = {"symbol": "BTC/USDT", "side": 1, "type": 1, "quantity": "1.5"}
REF = {"client_order_id": "c-1"}
QUOTE = {"symbol": "BTC/USDT", "bid_price": "1", "bid_quantity": "1", "ask_price": "2", "ask_quantity": "1"}
LEVELS = {"bids": [{"price": "1", "quantity": "1"}], "asks": [{"price": "2", "quantity": "1"}]}
REASON = {"request_id": "r", "reason": "because"}

GOOD: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "PlaceOrderRequest": (
        order.decode_place,
        {"account_id": "paper", "client_order_id": "c-1", "order": SPEC},
    ),
    "PreviewOrderRequest": (order.decode_preview, {"account_id": "paper", "order": SPEC}),
    "ReplaceOrderRequest": (
        order.decode_replace,
        {"account_id": "paper", "order": REF, "request_id": "r", "expected_generation": 1, "quantity": "2"},
    ),
    "CancelOrderRequest": (order.decode_cancel, {"account_id": "paper", "order": REF, "request_id": "r"}),
    "CancelAllOrdersRequest": (order.decode_cancel_all, {"account_id": "paper", "request_id": "r"}),
    "BatchPlaceOrdersRequest": (
        order.decode_batch_place,
        {"account_id": "paper", "orders": [{"client_order_id": "c-1", "order": SPEC}]},
    ),
    "BatchCancelOrdersRequest": (
        order.decode_batch_cancel,
        {"account_id": "paper", "request_id": "r", "orders": [REF]},
    ),
    "GetOrderRequest": (order.decode_get_order, {"account_id": "paper", "order": {"order_id": "paper-1-o1"}}),
    "ListOrdersRequest": (lists.decode_list_orders, {"account_id": "paper"}),
    "ListFillsRequest": (lists.decode_list_fills, {"account_id": "paper"}),
    "StreamOrderEntryRequest": (entry.decode_entry, {}),
    "ListPositionsRequest": (account.decode_list_positions, {"account_id": "paper"}),
    "GetPositionRequest": (account.decode_get_position, {"account_id": "paper", "symbol": "AAPL"}),
    "ClosePositionRequest": (
        account.decode_close_position,
        {"account_id": "paper", "symbol": "AAPL", "request_id": "r"},
    ),
    "GetAccountRequest": (account.decode_account, {"account_id": "paper"}),
    "ListBalancesRequest": (account.decode_account, {"account_id": "paper"}),
    "ListLedgerEntriesRequest": (lists.decode_list_ledger_entries, {"account_id": "paper"}),
    "StreamEventsRequest": (stream.decode_stream_events, {}),
    "StreamFillsRequest": (stream.decode_stream_fills, {}),
    "GetBrokerRequest": (account.decode_broker, {"name": "paper"}),
    "ReconnectBrokerRequest": (account.decode_reconnect, {"account_id": "paper", "request_id": "r"}),
    "ListInstrumentsRequest": (lists.decode_list_instruments, {"account_id": "paper"}),
    "GetInstrumentRequest": (account.decode_holding, {"account_id": "paper", "symbol": "AAPL"}),
    "GetQuoteRequest": (account.decode_holding, {"account_id": "paper", "symbol": "AAPL"}),
    "StreamMarketDataRequest": (
        stream.decode_stream_market_data,
        {"account_id": "paper", "symbols": ["AAPL"]},
    ),
    "CreatePaperAccountRequest": (
        simulator.decode_create,
        {
            "request_id": "r",
            "account_id": "p-2",
            "initial_balances": [{"amount": "1000", "currency_code": "USDT"}],
        },
    ),
    "ResetPaperAccountRequest": (simulator.decode_reset, {"request_id": "r", "account_id": "paper"}),
    "PushMarketDataRequest": (
        lambda request: simulator.decode_push(request, 9),
        {"account_id": "paper", "updates": [{"quote": QUOTE}]},
    ),
    "ControlTapeRequest": (
        simulator.decode_control_tape,
        {"request_id": "r", "account_id": "paper", "pause": {}},
    ),
    "GetTradingStateRequest": (control.decode_get_trading_state, {}),
    "EmergencyStopRequest": (control.decode_emergency_stop, REASON),
    "ResumeTradingRequest": (control.decode_resume_trading, REASON),
    "ListDiscrepanciesRequest": (lists.decode_list_discrepancies, {"account_id": "paper"}),
    "ClearFreezeRequest": (control.decode_clear_freeze, {**REASON, "account_id": "paper", "symbol": "AAPL"}),
    "ResolveOrderRequest": (
        control.decode_resolve_order,
        {**REASON, "account_id": "paper", "order": REF, "resolution": 1},
    ),
    "SetFaultsRequest": (
        simulator.decode_set_faults,
        {"request_id": "r", "account_id": "paper", "faults": [{"kind": 1, "rate_percent": "100"}]},
    ),
    "ListAuditRecordsRequest": (lists.decode_list_audit_records, {"account_id": "paper"}),
}
WITHOUT_FIELDS = {"ListAccountsRequest", "ListBrokersRequest"}


def message(name: str, fields: dict[str, Any]) -> Any:
    """A message of the contract by its name."""
    descriptor = descriptor_pool.Default().FindMessageTypeByName(f"brokergate.v1.{name}")
    return message_factory.GetMessageClass(descriptor)(**fields)


def decode(name: str, /, **changes: Any) -> Any:
    """A good request with some fields changed, decoded."""
    function, fields = GOOD[name]
    return function(message(name, {**fields, **changes}))


def violated(name: str, /, **changes: Any) -> list[str]:
    """The fields that are named as wrong."""
    with pytest.raises(GatewayError) as caught:
        decode(name, **changes)
    assert caught.value.reason is ErrorReason.INVALID_FIELD, caught.value
    return [violation.field for violation in caught.value.violations]


def test_every_request_is_decoded() -> None:
    """Every request message of every service has its function."""
    pool = descriptor_pool.Default()
    requests: set[str] = set()
    for name in [
        "account",
        "broker",
        "event",
        "instrument",
        "market_data",
        "order",
        "position",
        "simulator",
        "trading_control",
    ]:
        file = pool.FindFileByName(f"brokergate/v1/{name}.proto")
        requests |= {each for each in file.message_types_by_name if each.endswith("Request")}
    assert requests == set(GOOD) | WITHOUT_FIELDS


@pytest.mark.parametrize("name", GOOD)
def test_good_request(name: str) -> None:
    """A request that is right is taken, and again with a field that this release does not know."""
    function, fields = GOOD[name]
    request = message(name, fields)
    taken = function(request)
    request.MergeFromString(b"\xf8\x7f\x01")
    assert function(request) == taken


@pytest.mark.parametrize("name", GOOD)
def test_bad_account_and_request_ids(name: str) -> None:
    """An account_id or request_id of another form is named, wherever a request has one."""
    _, fields = GOOD[name]
    for field in ("account_id", "request_id"):
        if field in fields:
            for wrong in ("", "x" * 65, "a b", "ä"):
                if wrong or name != "PushMarketDataRequest":
                    assert field in violated(name, **{field: wrong})


@pytest.mark.parametrize(
    ("name", "changes", "fields"),
    [
        ("ReplaceOrderRequest", {"quantity": None}, ["quantity"]),
        ("ReplaceOrderRequest", {"quantity": "0"}, ["quantity"]),
        ("ReplaceOrderRequest", {"limit_price": "x"}, ["limit_price"]),
        ("ReplaceOrderRequest", {"expected_generation": 0}, ["expected_generation"]),
        ("ReplaceOrderRequest", {"trail_amount": "1", "trail_percent": "1"}, ["trail_percent"]),
        ("ReplaceOrderRequest", {"trail_percent": "100"}, ["trail_percent"]),
        ("ReplaceOrderRequest", {"display_quantity": "3"}, ["display_quantity"]),
        ("ReplaceOrderRequest", {"expire_time": {"nanos": -1}}, ["expire_time"]),
        ("ReplaceOrderRequest", {"order": None}, ["order"]),
        ("CancelOrderRequest", {"order": {"order_id": ""}}, ["order.order_id"]),
        ("CancelOrderRequest", {"order": {"order_id": "x" * 129}}, ["order.order_id"]),
        ("CancelOrderRequest", {"order": {"client_order_id": "a b"}}, ["order.client_order_id"]),
        ("CancelOrderRequest", {"if_unknown": 9}, ["if_unknown"]),
        ("CancelOrderRequest", {"if_unknown": 2, "order": {"order_id": "o"}}, ["order.client_order_id"]),
        ("CancelAllOrdersRequest", {"side": 3, "symbol": "?"}, ["symbol", "side"]),
        ("BatchPlaceOrdersRequest", {"orders": []}, ["orders"]),
        (
            "BatchPlaceOrdersRequest",
            {"orders": [{"client_order_id": "c", "order": SPEC}] * 501},
            ["orders"],
        ),
        ("BatchCancelOrdersRequest", {"orders": []}, ["orders"]),
        ("BatchCancelOrdersRequest", {"orders": [REF] * 501}, ["orders"]),
        ("BatchCancelOrdersRequest", {"orders": [REF, {}]}, ["orders[1]"]),
        ("ListOrdersRequest", {"states": [1, 99]}, ["states[1]"]),
        ("ListOrdersRequest", {"states": [0]}, ["states[0]"]),
        ("ListOrdersRequest", {"page_size": 1001}, ["page_size"]),
        ("ListOrdersRequest", {"page_size": -1}, ["page_size"]),
        ("ListOrdersRequest", {"start_time": {"seconds": 2}, "end_time": {"seconds": 1}}, ["end_time"]),
        ("ListOrdersRequest", {"start_time": {"seconds": -1}}, ["start_time"]),
        ("ListFillsRequest", {"order_id": "x" * 129}, ["order_id"]),
        ("ListFillsRequest", {"symbol": " "}, ["symbol"]),
        ("ListLedgerEntriesRequest", {"kinds": [77]}, ["kinds[0]"]),
        ("ListInstrumentsRequest", {"kinds": [0], "symbol_prefix": "\x00"}, ["kinds[0]", "symbol_prefix"]),
        ("StreamOrderEntryRequest", {"commands": [{}] * 501}, ["commands"]),
        (
            "StreamOrderEntryRequest",
            {"cancel_on_disconnect": {"enabled": True, "grace": {"seconds": 61}}},
            ["cancel_on_disconnect.grace"],
        ),
        ("GetPositionRequest", {"symbol": ""}, ["symbol"]),
        ("ClosePositionRequest", {"quantity": "-1"}, ["quantity"]),
        ("GetBrokerRequest", {"name": ""}, ["name"]),
        ("StreamEventsRequest", {"account_ids": ["a"] * 65}, ["account_ids"]),
        ("StreamEventsRequest", {"account_ids": ["a", ""]}, ["account_ids[1]"]),
        ("StreamEventsRequest", {"kinds": [0]}, ["kinds[0]"]),
        ("StreamEventsRequest", {"start_position": 9}, ["start_position"]),
        ("StreamEventsRequest", {"start_time": {"nanos": 10**9}}, ["start_time"]),
        ("StreamEventsRequest", {"heartbeat_interval": {"nanos": 1}}, ["heartbeat_interval"]),
        ("StreamEventsRequest", {"heartbeat_interval": {"seconds": 60, "nanos": 1}}, ["heartbeat_interval"]),
        ("StreamEventsRequest", {"heartbeat_interval": {"seconds": -1}}, ["heartbeat_interval"]),
        ("StreamFillsRequest", {"start_position": 3}, ["start_position"]),
        ("StreamFillsRequest", {"symbols": ["A"] * 65}, ["symbols"]),
        ("StreamMarketDataRequest", {"symbols": []}, ["symbols"]),
        ("StreamMarketDataRequest", {"symbols": ["AAPL", ""]}, ["symbols[1]"]),
        ("StreamMarketDataRequest", {"kinds": [4]}, ["kinds[0]"]),
        ("StreamMarketDataRequest", {"book_depth": 1001}, ["book_depth"]),
        ("StreamMarketDataRequest", {"min_interval": {"seconds": 61}}, ["min_interval"]),
        ("CreatePaperAccountRequest", {"account_id": "Upper"}, ["account_id"]),
        ("CreatePaperAccountRequest", {"account_id": "-x"}, ["account_id"]),
        ("CreatePaperAccountRequest", {"account_id": "x" * 33}, ["account_id"]),
        ("CreatePaperAccountRequest", {"initial_balances": []}, ["initial_balances"]),
        (
            "CreatePaperAccountRequest",
            {"initial_balances": [{"amount": "0", "currency_code": "US D"}]},
            ["initial_balances[0].amount", "initial_balances[0].currency_code"],
        ),
        (
            "CreatePaperAccountRequest",
            {"initial_balances": [{"amount": "1", "currency_code": "USD"}] * 2},
            ["initial_balances[1].currency_code"],
        ),
        ("CreatePaperAccountRequest", {"taker_fee_percent": "100"}, ["taker_fee_percent"]),
        ("CreatePaperAccountRequest", {"maker_fee_percent": "1%"}, ["maker_fee_percent"]),
        ("CreatePaperAccountRequest", {"push": {}}, ["push.instruments"]),
        ("CreatePaperAccountRequest", {"slippage": {}}, ["slippage.model"]),
        ("CreatePaperAccountRequest", {"slippage": {"fixed_amount": "-0.1"}}, ["slippage.fixed_amount"]),
        ("CreatePaperAccountRequest", {"slippage": {"percent": "100"}}, ["slippage.percent"]),
        (
            "CreatePaperAccountRequest",
            {"slippage": {"market_impact": {"average_volume": "0", "day_seconds": "1000001"}}},
            [
                "slippage.market_impact.average_volume",
                "slippage.market_impact.volatility_percent",
                "slippage.market_impact.day_seconds",
            ],
        ),
        ("CreatePaperAccountRequest", {"participation_percent": "0"}, ["participation_percent"]),
        ("CreatePaperAccountRequest", {"participation_percent": "100.5"}, ["participation_percent"]),
        (
            "CreatePaperAccountRequest",
            {
                "push": {
                    "instruments": [{"symbol": "AAPL", "price_increment": "0", "quantity_increment": "1"}]
                }
            },
            ["push.instruments[0].price_increment", "push.instruments[0].quote_currency"],
        ),
        ("ControlTapeRequest", {"pause": None}, ["action"]),
        ("ControlTapeRequest", {"speed": "0"}, ["speed"]),
        ("ControlTapeRequest", {"speed": "fast"}, ["speed"]),
        ("ControlTapeRequest", {"seek_time": {"nanos": -5}}, ["seek_time"]),
        ("PushMarketDataRequest", {"updates": [{}]}, ["updates[0]"]),
        ("PushMarketDataRequest", {"updates": [{"quote": QUOTE}] * 1001}, ["updates"]),
        (
            "PushMarketDataRequest",
            {"updates": [{"quote": {**QUOTE, "bid_price": "2"}}]},
            ["updates[0].quote.bid_price"],
        ),
        (
            "PushMarketDataRequest",
            {"updates": [{"quote": {**QUOTE, "ask_quantity": None}}]},
            ["updates[0].quote.ask_price"],
        ),
        (
            "PushMarketDataRequest",
            {"updates": [{"trade": {"symbol": "A", "price": "1", "quantity": "0", "aggressor_side": 5}}]},
            ["updates[0].trade.quantity", "updates[0].trade.aggressor_side"],
        ),
        (
            "PushMarketDataRequest",
            {"updates": [{"book": {**LEVELS, "symbol": "A", "asks": [{"price": "1", "quantity": "1"}]}}]},
            ["updates[0].book.bids"],
        ),
        (
            "PushMarketDataRequest",
            {"updates": [{"book": {"symbol": "A", "bids": LEVELS["bids"] * 2, "asks": LEVELS["asks"] * 2}}]},
            ["updates[0].book.bids", "updates[0].book.asks"],
        ),
        ("EmergencyStopRequest", {"reason": ""}, ["reason"]),
        ("EmergencyStopRequest", {"reason": "x" * 257}, ["reason"]),
        ("ClearFreezeRequest", {"symbol": ""}, ["symbol"]),
        ("EmergencyStopRequest", {"account_ids": ["a"] * 65}, ["account_ids"]),
        ("ResumeTradingRequest", {"account_ids": ["a", "a b"], "reason": ""}, ["account_ids[1]", "reason"]),
        ("ListDiscrepanciesRequest", {"page_size": 1001}, ["page_size"]),
        ("ListAuditRecordsRequest", {"actor": "x" * 257}, ["actor"]),
        (
            "ListAuditRecordsRequest",
            {"start_time": {"seconds": 2}, "end_time": {"seconds": 1}},
            ["end_time"],
        ),
        ("ResolveOrderRequest", {"resolution": 0}, ["resolution"]),
        ("ResolveOrderRequest", {"resolution": 9, "cum_quantity": "1"}, ["resolution"]),
        ("ResolveOrderRequest", {"resolution": 1, "cum_quantity": "1"}, ["cum_quantity"]),
        ("ResolveOrderRequest", {"resolution": 2, "cum_quantity": "-1"}, ["cum_quantity"]),
        ("ResolveOrderRequest", {"resolution": 1, "broker_order_id": "b"}, ["broker_order_id"]),
        ("ResolveOrderRequest", {"resolution": 3, "broker_order_id": "b" * 129}, ["broker_order_id"]),
        ("ResolveOrderRequest", {"resolution": 2}, ["cum_quantity"]),
        ("ResolveOrderRequest", {"resolution": 3}, ["broker_order_id"]),
        ("SetFaultsRequest", {"faults": [{"kind": 1, "rate_percent": "101"}]}, ["faults[0].rate_percent"]),
        ("SetFaultsRequest", {"faults": [{"kind": 0, "rate_percent": "1"}]}, ["faults[0].kind"]),
        ("SetFaultsRequest", {"faults": [{"kind": 1, "rate_percent": "1"}] * 17}, ["faults"]),
    ],
)
def test_wrong_field(name: str, changes: dict[str, Any], fields: list[str]) -> None:
    """A field that is wrong is named by its path, and no other."""
    assert violated(name, **changes) == fields


def test_replace_and_cancel() -> None:
    """The mutations say what to do, under which request id; equal commands have equal fingerprints."""
    replace = decode("ReplaceOrderRequest", limit_price="10.50")
    assert replace.request_id == "r"
    assert replace.command == ReplaceOrder(
        "paper", OrderRef(client_order_id="c-1"), 1, quantity=Decimal(2), limit_price=Decimal("10.5")
    )
    assert replace.fingerprint == decode("ReplaceOrderRequest", limit_price="10.5").fingerprint
    assert replace.fingerprint != decode("ReplaceOrderRequest", limit_price="10.6").fingerprint
    cancel = decode("CancelOrderRequest", if_unknown=2)
    assert cancel.command == CancelOrder("paper", OrderRef(client_order_id="c-1"), IfUnknown.TOMBSTONE)
    assert decode("CancelOrderRequest").command.if_unknown is IfUnknown.ERROR


def test_batch_answers_index_by_index() -> None:
    """A wrong order of a batch is a failure in its place with its path; the others are commands."""
    batch = decode(
        "BatchPlaceOrdersRequest",
        orders=[
            {"client_order_id": "a", "order": SPEC},
            {"client_order_id": "b", "order": {**SPEC, "quantity": "1e3"}},
            {"client_order_id": "c"},
            {
                "client_order_id": "d",
                "order": {**SPEC, "stop_loss": {"client_order_id": "x", "stop_price": "1"}},
            },
            {
                "client_order_id": "e",
                "order": {**SPEC, "stop_loss": {"client_order_id": "e", "stop_price": "1"}},
            },
        ],
    )
    good, number, missing, bracket, both = batch.orders
    assert isinstance(good, PlaceOrder)
    assert good.fingerprint == decode("PlaceOrderRequest").fingerprint
    assert isinstance(number, OrderFailure)
    assert isinstance(number.error, GatewayError)
    assert [violation.field for violation in number.error.violations] == ["orders[1].order.quantity"]
    assert isinstance(missing, OrderFailure)
    assert isinstance(bracket, PlaceOrder)
    assert bracket.linked == ("x",)
    assert isinstance(both, OrderFailure)
    assert isinstance(both.error, GatewayError)
    assert [found.field for found in both.error.violations] == ["orders[4].order.stop_loss.client_order_id"]


def test_entry_commands() -> None:
    """Each command of an order entry stream is taken or refused by itself; its name serves as the request id."""
    taken = decode(
        "StreamOrderEntryRequest",
        commands=[
            {"request_id": "1", "place": {"account_id": "paper", "client_order_id": "c", "order": SPEC}},
            {"request_id": "2", "cancel": {"account_id": "paper", "order": REF}},
            {"request_id": "3", "cancel": {"account_id": "paper", "order": REF, "request_id": "own"}},
            {"request_id": "4", "replace": {"account_id": "paper", "order": REF}},
            {"request_id": "5", "cancel_all": {"account_id": "paper"}},
            {"request_id": "6"},
            {"cancel_all": {"account_id": "paper"}},
        ],
        cancel_on_disconnect={"enabled": True, "grace": {"seconds": 1, "nanos": 500_000_000}},
    )
    assert taken.lease == entry.Lease(True, 1.5)
    commands = [each.command for each in taken.entries]
    assert isinstance(commands[0], PlaceOrder)
    assert [commands[index].request_id for index in (1, 2, 4)] == ["2", "own", "5"]
    wrong = [commands[3], commands[5], commands[6]]
    assert [[violation.field for violation in failure.error.violations] for failure in wrong] == [
        ["commands[3].replace.quantity", "commands[3].replace.expected_generation"],
        ["commands[5].command"],
        ["commands[6].request_id", "commands[6].cancel_all.request_id"],
    ]


def test_list_filters() -> None:
    """A list's filters, its page size and its place come out as they went in; 0 is a page of 100."""
    page = decode(
        "ListOrdersRequest",
        symbol="AAPL",
        states=[4, 5],
        open_only=True,
        start_time={"seconds": 1, "nanos": 2},
    )
    assert (page.limit, page.place, page.which.symbol, page.which.open_only) == (100, None, "AAPL", True)
    assert page.which.states == {OrderState.FILLED, OrderState.CANCELED}
    assert (page.which.start_time_ns, page.which.end_time_ns) == (1_000_000_002, None)
    assert decode("ListOrdersRequest", page_size=1000).limit == 1000


def test_page_tokens() -> None:
    """A token leads on with the same filters, whatever the page size, and is refused with others."""
    first = decode("ListOrdersRequest", symbol="AAPL")
    token = first.next_token(42)
    assert decode("ListOrdersRequest", symbol="AAPL", page_token=token, page_size=7).place == 42
    symbols = decode("ListInstrumentsRequest")
    assert (
        decode("ListInstrumentsRequest", page_token=symbols.next_token("BTC/USDT:USDT")).place
        == "BTC/USDT:USDT"
    )
    for name, fields in [
        ("ListOrdersRequest", {"symbol": "MSFT"}),
        ("ListOrdersRequest", {"symbol": "AAPL", "account_id": "other"}),
        ("ListFillsRequest", {"symbol": "AAPL"}),
    ]:
        with pytest.raises(GatewayError) as caught:
            decode(name, page_token=token, **fields)
        assert caught.value.reason is ErrorReason.PAGE_TOKEN_INVALID


@pytest.mark.parametrize(
    "change", ["x", "1", "1.2", "0" * 200, "{}.0", "{}.-1", "{}.x", "{}.1e3", "{}.٣", "{}.1.1", "{}."]
)
def test_page_token_of_somebody(change: str) -> None:
    """A token that no list gave is PAGE_TOKEN_INVALID."""
    prefix = decode("ListOrdersRequest").next_token(1).rpartition(".")[0]
    with pytest.raises(GatewayError) as caught:
        decode("ListOrdersRequest", page_token=change.format(prefix))
    assert caught.value.reason is ErrorReason.PAGE_TOKEN_INVALID


def test_stream_requests() -> None:
    """A stream's start, filter and heartbeat come out as they went in; the defaults are the contract's."""
    plain = decode("StreamEventsRequest")
    assert (plain.account_ids, plain.after_cursor, plain.start_time_ns, plain.start_position) == (
        (),
        None,
        None,
        None,
    )
    assert (plain.kinds, plain.heartbeat_s) == (frozenset(), 10.0)
    asked = decode(
        "StreamEventsRequest",
        account_ids=["b", "a", "b"],
        after_cursor="1.x",
        kinds=[1, 10],
        heartbeat_interval={"seconds": 1, "nanos": 500_000_000},
    )
    assert (asked.account_ids, asked.after_cursor, asked.heartbeat_s) == (("b", "a"), "1.x", 1.5)
    assert asked.kinds == {EventKind.ORDER, EventKind.CONTROL}
    assert decode("StreamEventsRequest", start_position=0).start_position is StartPosition.LIVE
    assert decode("StreamEventsRequest", start_position=3).start_position is StartPosition.SNAPSHOT
    assert decode("StreamEventsRequest", start_time={"seconds": 3}).start_time_ns == 3_000_000_000
    fills = decode("StreamFillsRequest", symbols=["AAPL"])
    assert (fills.kinds, fills.symbols) == ({EventKind.FILL, EventKind.FILL_FEES}, {"AAPL"})


def test_market_data_request() -> None:
    """Market data defaults to quotes, twenty levels and no pause."""
    request = decode("StreamMarketDataRequest", symbols=["AAPL", "MSFT", "AAPL"])
    assert request == stream.MarketDataRequest(
        Target("paper", ""), ("AAPL", "MSFT"), frozenset({stream.MarketDataKind.QUOTE}), 20, 0.0
    )


def test_create_paper_account() -> None:
    """A paper account is synthetic with seed 0 unless it says otherwise; a pair's quote currency is its symbol's."""
    plain = decode("CreatePaperAccountRequest").command
    assert (plain.seed, plain.push_instruments, plain.taker_fee_percent) == (0, (), Decimal(0))
    assert (plain.slippage, plain.participation_percent) == (None, None)
    assert decode("CreatePaperAccountRequest", synthetic={"seed": 2**64 - 1}).command.seed == 2**64 - 1
    pair = {"symbol": "BTC/USDT", "price_increment": "0.01", "quantity_increment": "0.001"}
    pushed = decode(
        "CreatePaperAccountRequest", push={"instruments": [pair]}, maker_fee_percent="-0.01"
    ).command
    assert pushed.seed is None
    assert pushed.push_instruments[0].quote_currency == "USDT"
    assert pushed.maker_fee_percent == Decimal("-0.01")


@pytest.mark.parametrize(
    ("fields", "action"),
    [
        ({}, TapeAction(pause=True)),
        ({"resume": {}}, TapeAction(resume=True)),
        ({"seek_time": {"seconds": 5}}, TapeAction(seek_time_ns=5_000_000_000)),
        ({"speed": "max"}, TapeAction(speed="max")),
        ({"speed": "0.5"}, TapeAction(speed="0.5")),
    ],
)
def test_tape(fields: dict[str, Any], action: TapeAction) -> None:
    """Each of the tape's actions is the port's."""
    assert decode("ControlTapeRequest", **fields).command.action == action


BAR: dict[str, Any] = {
    "symbol": "A",
    "span": {"seconds": 60},
    "open_price": "2",
    "high_price": "4",
    "low_price": "1",
    "close_price": "3",
    "volume": "0",
    "event_time": {"seconds": 5},
}


def test_pushed_data() -> None:
    """Pushed quotes, trades and books are the domain's, with the time at which they came."""
    pushed = decode(
        "PushMarketDataRequest",
        updates=[
            {
                "quote": {
                    "symbol": "A",
                    "ask_price": "2.50",
                    "ask_quantity": "1",
                    "event_time": {"seconds": 1},
                }
            },
            {"trade": {"symbol": "A", "price": "2", "quantity": "1"}},
            {"book": {**LEVELS, "symbol": "A"}},
            {"bar": BAR},
        ],
    )
    assert [update.datum for update in pushed.updates] == [
        QuoteView("A", None, None, Decimal("2.5"), Decimal(1), 1_000_000_000, 9),
        TradeView("A", Decimal(2), Decimal(1), Side.UNSPECIFIED, 0, 9),
        BookView("A", ((Decimal(1), Decimal(1)),), ((Decimal(2), Decimal(1)),), 0, 9),
        BarView("A", 60 * 10**9, Decimal(2), Decimal(4), Decimal(1), Decimal(3), Decimal(0), 5 * 10**9, 9),
    ]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"low_price": "5"}, "low_price"),
        ({"open_price": "4.5"}, "open_price"),
        ({"close_price": "0.5"}, "close_price"),
        ({"high_price": "NaN"}, "high_price"),
        ({"volume": "-1"}, "volume"),
        ({"span": {}}, "span"),
        ({"span": {"seconds": 32 * 86_400}}, "span"),
    ],
)
def test_a_bar_that_cannot_be_is_refused(changed: dict[str, Any], field: str) -> None:
    """The field that is wrong is named, and no other."""
    with pytest.raises(GatewayError) as refused:
        decode("PushMarketDataRequest", updates=[{"bar": BAR | changed}])
    assert [violation.field for violation in refused.value.violations] == [f"updates[0].bar.{field}"]


def test_the_first_violation_is_in_the_message() -> None:
    """The error's own text names the first field, its value and the way out."""
    with pytest.raises(GatewayError, match=r"account_id: 'a b' is no id; use 1 to 64 of"):
        account.decode_account(account_pb2.GetAccountRequest(account_id="a b"))
    with pytest.raises(GatewayError, match=r"order: is required; give its order_id or client_order_id"):
        order.decode_get_order(order_pb2.GetOrderRequest(account_id="a"))
