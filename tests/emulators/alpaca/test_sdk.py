"""Certification: alpaca-py, Alpaca's own SDK, trades on the emulator and hears of it, over REST and streams."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical.crypto import CryptoHistoricalDataClient
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.live.crypto import CryptoDataStream
from alpaca.data.live.stock import StockDataStream
from alpaca.data.requests import (
    CryptoLatestOrderbookRequest,
    CryptoLatestQuoteRequest,
    CryptoLatestTradeRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
)
from alpaca.trading.enums import (
    AccountStatus,
    AssetClass,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionSide,
    QueryOrderStatus,
    TimeInForce,
    TradeEvent,
)
from alpaca.trading.models import NonTradeActivity, Order, TradeActivity, TradeUpdate
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)
from alpaca.trading.stream import TradingStream

from tests.emulators.alpaca.sdk import Heard, asked, call, running, trading
from tests.emulators.client import Emulator

BUY, SELL = OrderSide.BUY, OrderSide.SELL
DAY, GTC = TimeInForce.DAY, TimeInForce.GTC


def limit(symbol: str, side: OrderSide, qty: float, price: float, **more: Any) -> LimitOrderRequest:
    more.setdefault("time_in_force", GTC)
    return LimitOrderRequest(symbol=symbol, side=side, qty=qty, limit_price=price, **more)


def market(symbol: str, side: OrderSide, qty: float, **more: Any) -> MarketOrderRequest:
    more.setdefault("time_in_force", GTC)
    return MarketOrderRequest(symbol=symbol, side=side, qty=qty, **more)


def events(updates: list[TradeUpdate]) -> list[str]:
    return [TradeEvent(update.event).value for update in updates]


# REST


def test_the_sdk_reads_account_assets_clock_and_calendar(venue: Emulator) -> None:
    client = trading(venue)
    account = client.get_account()
    assert account.status is AccountStatus.ACTIVE
    assert (account.cash, account.buying_power, account.multiplier) == ("100000", "200000", "2")
    assert account.daytrade_count is None, "removed from answers on 2026-07-06"
    crypto = client.get_all_assets(GetAssetsRequest(asset_class=AssetClass.CRYPTO))
    assert {asset.symbol for asset in crypto} == {"BTC/USD", "ETH/USD"}
    assert all(asset.min_trade_increment and asset.price_increment for asset in crypto)
    apple = client.get_asset("AAPL")
    assert client.get_asset(str(apple.id)).symbol == "AAPL"
    assert client.get_clock().is_open
    days = client.get_calendar(GetCalendarRequest(start=date(2026, 11, 23), end=date(2026, 11, 27)))
    assert [day.date.day for day in days] == [23, 24, 25, 27], "no Thanksgiving"
    assert days[-1].close.hour == 13, "and a short Friday"
    assert client.get_account_configurations().fractional_trading


def test_the_sdk_places_finds_replaces_and_cancels(venue: Emulator) -> None:
    client = trading(venue)
    placed = client.submit_order(limit("AAPL", BUY, 10, 180, client_order_id="mine"))
    assert placed.status is OrderStatus.PENDING_NEW
    found = client.get_order_by_client_id("mine")
    assert (found.id, found.status, found.qty) == (placed.id, OrderStatus.NEW, "10")
    new = client.replace_order_by_id(placed.id, ReplaceOrderRequest(qty=12, limit_price=181))
    assert new.id != placed.id
    assert new.replaces == placed.id
    old = client.get_order_by_id(placed.id)
    assert (old.status, old.replaced_by) == (OrderStatus.REPLACED, new.id)
    assert [(order.id, order.qty, order.limit_price) for order in client.get_orders()] == [
        (new.id, "12", "181")
    ]
    client.cancel_order_by_id(new.id)
    assert client.get_order_by_id(new.id).status is OrderStatus.CANCELED
    assert client.get_orders() == []
    with pytest.raises(APIError) as refused:
        client.cancel_order_by_id(new.id)
    assert (refused.value.status_code, refused.value.code) == (422, 42210000)


@pytest.mark.parametrize(
    ("request_", "type_"),
    [
        (market("MSFT", BUY, 3, time_in_force=DAY), OrderType.MARKET),
        (market("BTC/USD", BUY, 0.5), OrderType.MARKET),
        (MarketOrderRequest(symbol="SPY", side=BUY, notional=1000, time_in_force=DAY), OrderType.MARKET),
        (limit("AAPL", BUY, 5, 191), OrderType.LIMIT),
        (limit("ETH/USD", BUY, 1.5, 3001, time_in_force=TimeInForce.IOC), OrderType.LIMIT),
        (limit("AAPL", BUY, 5, 191, time_in_force=TimeInForce.FOK), OrderType.LIMIT),
    ],
    ids=lambda value: "" if isinstance(value, OrderType) else f"{value.symbol}-{value.time_in_force.value}",
)
def test_every_marketable_order_fills(venue: Emulator, request_: Any, type_: OrderType) -> None:
    client = trading(venue)
    order = client.get_order_by_id(client.submit_order(request_).id)
    assert (order.status, order.type) == (OrderStatus.FILLED, type_)
    assert float(order.filled_qty) > 0
    assert float(order.filled_avg_price) > 0
    position = client.get_open_position(request_.symbol.replace("/", ""))
    assert position.side is PositionSide.LONG


@pytest.mark.parametrize(
    "request_",
    [
        StopOrderRequest(symbol="AAPL", side=BUY, qty=5, stop_price=195, time_in_force=DAY),
        StopLimitOrderRequest(
            symbol="BTC/USD", side=BUY, qty=0.1, stop_price=61000, limit_price=61100, time_in_force=GTC
        ),
        TrailingStopOrderRequest(symbol="AAPL", side=BUY, qty=5, trail_price=1.5, time_in_force=DAY),
        TrailingStopOrderRequest(symbol="MSFT", side=BUY, qty=5, trail_percent=2, time_in_force=GTC),
    ],
    ids=["stop", "stop_limit", "trail_price", "trail_percent"],
)
def test_every_waiting_order_waits_and_is_canceled(venue: Emulator, request_: Any) -> None:
    client = trading(venue)
    order = client.get_order_by_id(client.submit_order(request_).id)
    assert (order.status, order.type) == (OrderStatus.NEW, request_.type)
    assert order.stop_price is not None
    told = client.cancel_orders()
    assert [(each.id, each.status) for each in told] == [(order.id, 200)]


def test_a_bracket_works_leg_by_leg(venue: Emulator) -> None:
    client = trading(venue)
    bracket = client.submit_order(
        market(
            "AAPL", BUY, 10, order_class=OrderClass.BRACKET,
            take_profit=TakeProfitRequest(limit_price=200), stop_loss=StopLossRequest(stop_price=180),
        )
    )  # fmt: skip
    assert [leg.status for leg in bracket.legs] == [OrderStatus.HELD, OrderStatus.HELD]
    profit, loss = bracket.legs
    assert (profit.type, loss.type) == (OrderType.LIMIT, OrderType.STOP)
    nested = client.get_order_by_id(bracket.id, GetOrderByIdRequest(nested=True))
    assert nested.status is OrderStatus.FILLED
    assert [leg.status for leg in nested.legs] == [OrderStatus.NEW, OrderStatus.NEW]
    listed = client.get_orders(GetOrdersRequest(nested=True))
    assert {order.id for order in listed} == {profit.id, loss.id}, "legs are open, their parent is not"
    venue.do("show", symbol="AAPL", bids=[["201", "100"]], asks=[["201.02", "100"]])
    assert client.get_order_by_id(profit.id).status is OrderStatus.FILLED
    assert client.get_order_by_id(loss.id).status is OrderStatus.CANCELED
    assert client.get_all_positions() == []


def test_positions_are_closed_in_part_one_by_one_and_all_at_once(venue: Emulator) -> None:
    client = trading(venue)
    for symbol, qty in (("AAPL", 10), ("BTC/USD", 0.2), ("SPY", 4)):
        client.submit_order(market(symbol, BUY, qty))
    assert {position.symbol: position.qty for position in client.get_all_positions()} == {
        "AAPL": "10",
        "BTCUSD": "0.1995",
        "SPY": "4",
    }, "the fee of crypto is taken out of what is bought"
    client.close_position("AAPL", ClosePositionRequest(qty="4"))
    assert client.get_open_position("AAPL").qty == "6"
    client.close_position("AAPL", ClosePositionRequest(percentage="50"))
    assert client.get_open_position("AAPL").qty == "3"
    told = client.close_all_positions(cancel_orders=True)
    assert {each.symbol: each.status for each in told} == {"AAPL": 200, "BTCUSD": 200, "SPY": 200}
    assert all(isinstance(each.body, Order) for each in told)
    assert client.get_all_positions() == []
    with pytest.raises(APIError) as refused:
        client.close_position("AAPL")
    assert (refused.value.status_code, refused.value.code) == (404, 40410000)


def test_a_short_position_opens_and_closes(venue: Emulator) -> None:
    client = trading(venue)
    client.submit_order(market("AAPL", SELL, 5, time_in_force=DAY))
    position = client.get_open_position("AAPL")
    assert (position.side, position.qty, position.avg_entry_price) == (PositionSide.SHORT, "-5", "190")
    client.close_position("AAPL")
    assert client.get_all_positions() == []


def test_listing_filters_orders(venue: Emulator) -> None:
    client = trading(venue)
    first = client.submit_order(limit("AAPL", BUY, 1, 100))
    second = client.submit_order(limit("MSFT", BUY, 1, 100))
    third = client.submit_order(limit("BTC/USD", BUY, 0.01, 1000))
    client.cancel_order_by_id(second.id)

    def ids(**filters: Any) -> list[UUID]:
        return [order.id for order in client.get_orders(GetOrdersRequest(**filters))]

    assert ids() == [third.id, first.id], "the latest first"
    assert ids(status=QueryOrderStatus.ALL, direction="asc") == [first.id, second.id, third.id]
    assert ids(status=QueryOrderStatus.CLOSED) == [second.id]
    assert ids(symbols=["AAPL", "MSFT"], status=QueryOrderStatus.ALL) == [second.id, first.id]
    assert ids(status=QueryOrderStatus.ALL, limit=1) == [third.id]
    assert ids(status=QueryOrderStatus.ALL, after=first.submitted_at + timedelta(microseconds=1)) == [
        third.id, second.id,
    ]  # fmt: skip
    assert ids(until=datetime(2020, 1, 1, tzinfo=UTC)) == []


def test_the_activities_parse_as_the_sdk_has_them(venue: Emulator) -> None:
    client = trading(venue, raw_data=True)
    client.submit_order(market("ETH/USD", BUY, 1))
    account_id = client.get_account()["id"]
    (fill,) = client.get("/account/activities/FILL")
    parsed = TradeActivity(account_id=account_id, **fill)
    assert (parsed.symbol, parsed.qty, parsed.order_status) == ("ETH/USD", 1.0, OrderStatus.FILLED)
    assert client.get("/account/activities/CFEE") == [], "posted when the day is over"
    venue.do("advance", seconds=86400)
    (fee,) = client.get("/account/activities", {"activity_types": "CFEE"})
    assert NonTradeActivity(account_id=account_id, **fee).qty == -0.0025


def test_a_wrong_key_is_refused(venue: Emulator) -> None:
    client = trading(venue)
    client._secret_key = "another"
    with pytest.raises(APIError) as refused:
        client.get_account()
    assert (refused.value.status_code, refused.value.code) == (403, 40110000)


def test_the_sdk_sends_a_timed_out_order_again_and_it_is_one_order(venue: Emulator) -> None:
    client = trading(venue)
    client._retry_wait = 0
    venue.do("fault", kind="status", code=504, accept=True, on="place")
    with pytest.raises(APIError) as refused:
        client.submit_order(market("AAPL", BUY, 1, client_order_id="once"))
    assert (refused.value.status_code, refused.value.code) == (422, 40010001)
    assert client.get_order_by_client_id("once").status is OrderStatus.FILLED
    assert client.get_open_position("AAPL").qty == "1"
    assert [entry["status"] for entry in venue.do("log") if entry["kind"] == "place"] == [504, 422]


def test_the_sdk_waits_for_the_limit_of_requests(venue: Emulator) -> None:
    client = trading(venue)
    client._retry_wait = 0
    venue.do("fault", kind="status", code=429, count=2)
    assert client.get_clock().is_open


# Streams


async def test_the_trade_stream_tells_a_life(venue: Emulator) -> None:
    client, heard = trading(venue), Heard()
    stream = TradingStream(venue.key, venue.secret, url_override=f"{venue.ws_url}/stream")
    stream.subscribe_trade_updates(heard.take)
    async with running(venue, stream, "listen"):
        order = await call(client.submit_order, limit("AAPL", BUY, 10, 189))
        new = await call(client.replace_order_by_id, order.id, ReplaceOrderRequest(limit_price=189.5))
        await venue.show("AAPL", bids=[("189", "10")], asks=[("189.4", "4")])
        await call(client.cancel_order_by_id, new.id)
        updates = await heard.until(lambda all_: len(all_) >= 8)
    assert events(updates) == [
        "pending_new", "new", "pending_replace", "replaced", "new", "partial_fill", "pending_cancel", "canceled",
    ]  # fmt: skip
    fill = updates[5]
    assert (fill.order.id, fill.qty, fill.price, fill.position_qty) == (new.id, 4.0, 189.5, 4.0)
    assert fill.order.filled_qty == "4"
    activity = (await call(trading(venue, raw_data=True).get, "/account/activities/FILL"))[0]
    assert activity["id"].endswith(str(fill.execution_id)), "the same execution under the same id"


async def test_the_trade_stream_raw(venue: Emulator) -> None:
    client, heard = trading(venue, raw_data=True), Heard()
    stream = TradingStream(venue.key, venue.secret, raw_data=True, url_override=f"{venue.ws_url}/stream")
    stream.subscribe_trade_updates(heard.take)
    async with running(venue, stream, "listen"):
        placed = await call(client.submit_order, market("BTC/USD", BUY, 0.1))
        updates = await heard.until(lambda all_: len(all_) >= 3)
    last = updates[-1]["data"]
    assert updates[-1]["stream"] == "trade_updates"
    assert (last["event"], last["order"]["id"], last["qty"]) == ("fill", placed["id"], "0.1")
    assert last["position_qty"] == "0.09975"


async def test_stock_data_over_rest_and_stream(venue: Emulator) -> None:
    client: Any = StockHistoricalDataClient(venue.key, venue.secret, url_override=venue.url)
    quotes, trades = Heard(), Heard()
    stream = StockDataStream(venue.key, venue.secret, url_override=f"{venue.ws_url}/v2/iex")
    stream.subscribe_quotes(quotes.take, "AAPL", "BRK.B")
    stream.subscribe_trades(trades.take, "AAPL")
    async with running(venue, stream, "subscribe"):
        await venue.show("AAPL", bids=[("191", "7")], asks=[("191.05", "8")])
        await venue.trade("AAPL", "191.05", "3", "buy")
        (quote,) = await quotes.until(lambda all_: len(all_) >= 1)
        (trade,) = await trades.until(lambda all_: len(all_) >= 1)
    assert (quote.symbol, quote.bid_price, quote.ask_size) == ("AAPL", 191.0, 8.0)
    assert (trade.price, trade.size) == (191.05, 3.0)
    latest = await call(
        client.get_stock_latest_quote, StockLatestQuoteRequest(symbol_or_symbols=["AAPL", "MSFT"])
    )
    assert (latest["AAPL"].ask_price, latest["MSFT"].bid_price) == (191.05, 420.0)
    last = await call(client.get_stock_latest_trade, StockLatestTradeRequest(symbol_or_symbols="AAPL"))
    assert (last["AAPL"].price, last["AAPL"].timestamp) == (191.05, trade.timestamp)


async def test_crypto_data_over_rest_and_stream(venue: Emulator) -> None:
    client: Any = CryptoHistoricalDataClient(venue.key, venue.secret, url_override=venue.url)
    books, quotes = Heard(), Heard()
    stream = CryptoDataStream(venue.key, venue.secret, url_override=f"{venue.ws_url}/v1beta3/crypto/us")
    stream.subscribe_orderbooks(books.take, "BTC/USD")
    stream.subscribe_quotes(quotes.take, "*")
    async with running(venue, stream, "subscribe"):
        await books.until(lambda all_: len(all_) >= 1)
        await venue.show("BTC/USD", bids=[("60000", "5"), ("59990", "2")], asks=[("60020", "1")])
        whole, change = await books.until(lambda all_: len(all_) >= 2)
        await quotes.until(lambda all_: len(all_) >= 1)
    assert (whole.reset, [level.price for level in whole.asks]) == (True, [60010.0])
    assert not change.reset
    assert [(level.price, level.size) for level in change.bids] == [(59990.0, 2.0)]
    assert [(level.price, level.size) for level in change.asks] == [(60010.0, 0.0), (60020.0, 1.0)]
    book = await call(
        client.get_crypto_latest_orderbook, CryptoLatestOrderbookRequest(symbol_or_symbols="BTC/USD")
    )
    assert [level.price for level in book["BTC/USD"].bids] == [60000.0, 59990.0]
    quote = await call(
        client.get_crypto_latest_quote, CryptoLatestQuoteRequest(symbol_or_symbols=["BTC/USD"])
    )
    assert quote["BTC/USD"].ask_price == 60020.0
    await venue.trade("BTC/USD", "60020", "0.5", "buy")
    trade = await call(client.get_crypto_latest_trade, CryptoLatestTradeRequest(symbol_or_symbols="BTC/USD"))
    assert trade["BTC/USD"].size == 0.5


async def test_the_stream_comes_back_after_a_cut(venue: Emulator) -> None:
    client, heard = trading(venue), Heard()
    stream = TradingStream(venue.key, venue.secret, url_override=f"{venue.ws_url}/stream")
    stream._reconnect_min_backoff = 0.01
    stream.subscribe_trade_updates(heard.take)
    async with running(venue, stream, "listen"):
        assert await venue.drop_streams() == 1
        await asked(venue, "listen", 2)
        await call(client.submit_order, market("AAPL", BUY, 1))
        updates = await heard.until(lambda all_: len(all_) >= 3)
    assert events(updates)[-1] == "fill"
