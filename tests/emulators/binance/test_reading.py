"""What can be read of the account and of the market."""

from __future__ import annotations

import pytest

from tests.emulators.binance.raw import Answer, Raw, now_ms
from tests.emulators.client import Emulator

DAY_MS = 86_400_000


@pytest.fixture
def raw(venue: Emulator) -> Raw:
    """A client of an account with three fills, two of them of one order."""
    raw = Raw(venue)
    raw.place(type="MARKET", quantity="2")
    raw.place(type="MARKET", side="SELL", quantity="0.5")
    return raw


def trades(raw: Raw, **parameters: object) -> Answer:
    return raw.call("GET", "/api/v3/myTrades", symbol="BTCUSDT", **parameters)


def test_fills_are_read_by_page_or_by_time_or_by_order(raw: Raw) -> None:
    def numbers(**parameters: object) -> list[int]:
        return [row["id"] for row in trades(raw, **parameters).body]

    assert numbers() == [1, 2, 3]
    assert numbers(limit=2) == [2, 3], "the latest"
    assert numbers(fromId=2) == [2, 3]
    assert numbers(fromId=1, limit=2) == [1, 2], "from there on"
    assert numbers(orderId=2) == [3]
    assert numbers(orderId=1, fromId=2) == [2]
    assert numbers(startTime=now_ms() - 60_000) == [1, 2, 3]
    assert numbers(startTime=now_ms() - 60_000, limit=1) == [1]
    assert numbers(endTime=now_ms() - 60_000) == []
    assert numbers(startTime=now_ms() - 2 * DAY_MS) == [], "24 hours from there are over"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"startTime": 1, "endTime": 1 + DAY_MS + 1}, -1127),
        ({"startTime": 2, "endTime": 1}, -1128),
        ({"startTime": 1, "fromId": 1}, -1128),
        ({"orderId": 1, "startTime": 1}, -1128),
        ({"limit": 0}, -1130),
        ({"fromId": "x"}, -1100),
    ],
)
def test_what_fills_cannot_be_read_by(raw: Raw, parameters: dict[str, object], code: int) -> None:
    assert trades(raw, **parameters).code == code


def test_a_fill_tells_its_fee_in_what_was_received(raw: Raw) -> None:
    bought, _, sold = trades(raw).body
    assert (bought["isBuyer"], bought["commission"], bought["commissionAsset"]) == (True, "0.00100000", "BTC")
    assert (sold["isBuyer"], sold["commission"], sold["commissionAsset"]) == (False, "25.00000000", "USDT")
    assert (sold["isMaker"], sold["quoteQty"]) == (False, "25000.00000000")


def test_orders_are_read_from_an_id_on_or_by_time(raw: Raw) -> None:
    def numbers(**parameters: object) -> list[int]:
        rows = raw.call("GET", "/api/v3/allOrders", symbol="BTCUSDT", **parameters).body
        return [row["orderId"] for row in rows]

    assert numbers() == [1, 2]
    assert numbers(orderId=2) == [2]
    assert numbers(limit=1) == [2]
    assert numbers(startTime=now_ms() - 60_000) == [1, 2]
    too_long = raw.call("GET", "/api/v3/allOrders", symbol="BTCUSDT", startTime=1, endTime=2 + DAY_MS)
    assert too_long.code == -1127


def test_balances_are_what_was_traded_less_fees_and_locks(raw: Raw) -> None:
    raw.place(price="40000", quantity="1")
    rows = {row["asset"]: row for row in raw.call("GET", "/api/v3/account").body["balances"]}
    # 10 + 2 - 0.002 - 0.5 and 1000000 - 50010 - 50020 + 25000 - 25 - 40000
    assert rows["BTC"]["free"] == "11.49800000"
    assert (rows["USDT"]["free"], rows["USDT"]["locked"]) == ("884945.00000000", "40000.00000000")


def test_the_market_is_what_is_left_of_it(raw: Raw) -> None:
    depth = raw.ask("GET", "/api/v3/depth", symbol="BTCUSDT").body
    assert depth["asks"] == [["50020.00000000", "1.00000000"]]
    assert depth["bids"] == [["50000.00000000", "0.50000000"]]
    ticker = raw.ask("GET", "/api/v3/ticker/bookTicker", symbol="BTCUSDT").body
    assert (ticker["bidQty"], ticker["askPrice"]) == ("0.50000000", "50020.00000000")
    assert len(raw.ask("GET", "/api/v3/ticker/bookTicker").body) == 3
    assert raw.ask("GET", "/api/v3/ticker/price", symbol="BTCUSDT").body["price"] == "50000.00000000"
    public = raw.ask("GET", "/api/v3/trades", symbol="BTCUSDT").body
    assert [(row["id"], row["isBuyerMaker"]) for row in public] == [(1, False), (2, False), (3, True)]
    assert [row["a"] for row in raw.ask("GET", "/api/v3/aggTrades", symbol="BTCUSDT", fromId=2).body] == [
        2,
        3,
    ]
    average = raw.ask("GET", "/api/v3/avgPrice", symbol="BTCUSDT").body
    assert average["price"] == "50012.00000000"


def test_candles_are_made_of_trades(raw: Raw) -> None:
    (candle,) = raw.ask("GET", "/api/v3/klines", symbol="BTCUSDT", interval="1d").body[-1:]
    assert candle[1:6] == [
        "50010.00000000",
        "50020.00000000",
        "50000.00000000",
        "50000.00000000",
        "2.50000000",
    ]
    assert raw.ask("GET", "/api/v3/klines", symbol="BTCUSDT", interval="7m").code == -1120


def test_commissions_and_the_venue_s_time(raw: Raw) -> None:
    rates = raw.call("GET", "/api/v3/account/commission", symbol="BTCUSDT").body
    assert rates["standardCommission"]["maker"] == "0.00100000"
    assert abs(raw.ask("GET", "/api/v3/time").body["serverTime"] - now_ms()) < 5000
    assert raw.call("GET", "/api/v3/myFilters", symbol="BTCUSDT").body["symbolFilters"] == []
    tested = raw.call(
        "POST", "/api/v3/order/test", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="1",
        computeCommissionRates="true",
    )  # fmt: skip
    assert tested.body["standardCommissionForOrder"]["taker"] == "0.00100000"
    assert len(raw.venue.do("orders")) == 2
