"""The filters of a symbol (filters.md), and that exchangeInfo tells them as they are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulators.binance.raw import Raw
from tests.emulators.client import Emulator


@pytest.fixture
def raw(venue: Emulator) -> Raw:
    """A client of an account that can pay much."""
    venue.do("deposit", currency="USDT", amount="100000000000")
    return Raw(venue)


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [
        ({"price": "49000.001"}, "Filter failure: PRICE_FILTER"),
        ({"price": "0"}, "Invalid price."),
        ({"price": "1000000.01"}, "Filter failure: PRICE_FILTER"),
        ({"price": "49000", "quantity": "0.000001"}, "Filter failure: LOT_SIZE"),
        ({"price": "49000", "quantity": "0.000015"}, "Filter failure: LOT_SIZE"),
        ({"price": "49000", "quantity": "9000.1"}, "Filter failure: LOT_SIZE"),
        ({"price": "49000", "quantity": "0"}, "Invalid quantity."),
        ({"type": "MARKET", "quantity": "100.1"}, "Filter failure: MARKET_LOT_SIZE"),
        ({"price": "49000", "quantity": "0.0001"}, "Filter failure: NOTIONAL"),
        ({"type": "MARKET", "quantity": "0.00001"}, "Filter failure: NOTIONAL"),
        ({"type": "MARKET", "quantity": None, "quoteOrderQty": "4"}, "Filter failure: NOTIONAL"),
        ({"type": "MARKET", "quantity": None, "quoteOrderQty": "0"}, "Invalid quote order quantity."),
        ({"price": "49000", "quantity": "200"}, "Filter failure: NOTIONAL"),
        ({"price": "9000"}, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"price": "260000", "side": "SELL"}, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"price": "49000", "icebergQty": "0.001"}, "Filter failure: ICEBERG_PARTS"),
        ({"price": "49000", "icebergQty": "0.000015"}, "Filter failure: LOT_SIZE"),
        ({"type": "STOP_LOSS", "trailingDelta": "5"}, "Filter failure: TRAILING_DELTA"),
        ({"type": "STOP_LOSS", "stopPrice": "51000.005"}, "Filter failure: PRICE_FILTER"),
    ],
)
def test_an_order_keeps_to_every_filter(raw: Raw, wanted: dict[str, Any], refusal: str) -> None:
    answer = raw.place(**wanted)
    assert (answer.status, answer.code, answer.body["msg"]) == (400, -1013, refusal)
    tested = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1"}
    if wanted.get("type", "LIMIT") == "LIMIT":
        tested["timeInForce"] = "GTC"
    tested = {name: value for name, value in (tested | wanted).items() if value is not None}
    assert raw.call("POST", "/api/v3/order/test", **tested).body["msg"] == refusal


def test_percent_price_goes_by_the_average_of_five_minutes(raw: Raw) -> None:
    for price, quantity in (("60000", "3"), ("10000", "1")):
        raw.venue.do("trade", symbol="ETHUSDT", price=price, quantity=quantity)
    # (3 × 60000 + 1 × 10000) / 4 = 47500: a fifth of it is 9500, five times 237500.
    assert raw.place(symbol="ETHUSDT", price="9499.99").body["msg"].endswith("PERCENT_PRICE_BY_SIDE")
    assert raw.place(symbol="ETHUSDT", price="9500").status == 200
    raw.venue.do("advance", seconds=301)
    assert raw.place(symbol="ETHUSDT", price="2000").status == 200, "the last trade's price alone"


def test_there_are_not_more_orders_than_the_symbol_allows(raw: Raw) -> None:
    raw.venue.do("limits", orders_10s=1000)
    for number in range(5):
        assert raw.place(type="STOP_LOSS", stopPrice="51000", newClientOrderId=f"stop{number}").status == 200
    answer = raw.place(type="STOP_LOSS", stopPrice="51000")
    assert answer.body["msg"] == "Filter failure: MAX_NUM_ALGO_ORDERS"
    for _ in range(195):
        assert raw.place(price="40000", quantity="0.001").status == 200
    assert raw.place(price="40000").body["msg"] == "Filter failure: MAX_NUM_ORDERS"
    assert raw.place(symbol="ETHBTC", price="0.03").status == 200


def test_a_symbol_that_is_not_trading_takes_no_orders_and_lets_them_be_cancelled(raw: Raw) -> None:
    raw.place(price="49000", newClientOrderId="one")
    raw.venue.do("symbol", symbol="BTCUSDT", status="CANCEL_ONLY")
    answer = raw.place(price="49000")
    assert (answer.code, answer.body["msg"]) == (-2010, "Market is closed.")
    assert raw.call("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="one").status == 200
    info = raw.ask("GET", "/api/v3/exchangeInfo", symbol="BTCUSDT").body
    assert info["symbols"][0]["status"] == "CANCEL_ONLY"


def test_an_account_that_may_not_trade_is_told_so(raw: Raw) -> None:
    raw.venue.do("account", disabled="This action is disabled on this account.")
    answer = raw.place(price="49000")
    assert (answer.code, answer.body["msg"]) == (-2010, "This action is disabled on this account.")
    assert raw.call("GET", "/api/v3/account").body["canTrade"] is False
