"""The rules of form: what a request for an order may look like, and what it is refused with."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.emulators.alpaca.asked import read_change, read_order
from tests.emulators.alpaca.assets import Assets
from tests.emulators.alpaca.refusal import Refused

D = Decimal
ORDER = {
    "symbol": "AAPL",
    "side": "buy",
    "qty": "2",
    "type": "limit",
    "limit_price": "180",
    "time_in_force": "day",
}
MARKET = {"type": "market", "limit_price": None}
COIN = {"symbol": "BTC/USD", "time_in_force": "gtc", "qty": "0.5"}
BRACKET = {
    "order_class": "bracket",
    "take_profit": {"limit_price": "200"},
    "stop_loss": {"stop_price": "170"},
}
TRAILING = {"type": "trailing_stop", "limit_price": None}


@pytest.mark.parametrize(
    "changes",
    [
        {"qty": 2},
        {"qty": D("2.0")},
        {"limit_price": D("180.01")},
        {"qty": "0.5"},
        {**MARKET, "qty": None, "notional": "500.25"},
        {**MARKET, "time_in_force": "opg"},
        {"time_in_force": "cls"},
        {"time_in_force": "ioc"},
        {"extended_hours": True},
        {"extended_hours": True, "time_in_force": "gtc"},
        {"symbol": "SIRI", "limit_price": "0.9512"},
        {"type": "stop", "limit_price": None, "stop_price": "190"},
        {"type": "stop_limit", "stop_price": "190"},
        {**TRAILING, "trail_price": "1.5"},
        {**TRAILING, "trail_percent": "2", "time_in_force": "gtc"},
        {"order_class": "simple"},
        BRACKET,
        {**BRACKET, "stop_loss": {"stop_price": "170", "limit_price": "169"}},
        {"order_class": "oto", "stop_loss": {"stop_price": "170"}},
        {**BRACKET, "order_class": "oco", "side": "sell", "limit_price": None},
        COIN,
        {**COIN, "symbol": "BTCUSD", "time_in_force": "ioc"},
        {**COIN, "type": "stop_limit", "stop_price": "61000", "limit_price": "61100.25"},
        {**COIN, **MARKET, "qty": None, "notional": "25"},
        {"client_order_id": "x" * 128},
        {"symbol": "86769ced-b1b5-5fcf-b81c-d70fc70879a5"},
    ],
)  # fmt: skip
def test_good_orders_are_read(changes: dict[str, Any]) -> None:
    asked = read_order({**ORDER, **changes}, Assets())
    assert asked.asset.symbol in ("AAPL", "SIRI", "BTC/USD")


@pytest.mark.parametrize(
    ("changes", "status", "code", "text"),
    [
        ({"symbol": None}, 422, 40010001, "symbol is required"),
        ({"symbol": "FOO"}, 422, 42210000, 'asset "FOO" not found'),
        ({"symbol": "TWTR"}, 422, 42210000, "not active"),
        ({"side": "hold"}, 422, 40010001, "invalid side"),
        ({"side": None}, 422, 40010001, "side is required"),
        ({"type": "iceberg"}, 422, 40010001, "invalid type"),
        ({"time_in_force": "gtd"}, 422, 40010001, "invalid time_in_force"),
        ({"time_in_force": None}, 422, 40010001, "time_in_force is required"),
        ({"qty": None}, 422, 40010001, "qty or notional is required"),
        ({"notional": "5"}, 422, 40010001, "only one of"),
        ({"qty": "-2"}, 422, 40010001, "qty must be > 0"),
        ({"qty": 0}, 422, 40010001, "qty must be > 0"),
        ({"qty": "two"}, 422, 40010001, "must be a number"),
        ({"qty": "NaN"}, 422, 40010001, "must be a number"),
        ({"qty": True}, 422, 40010001, "must be a number"),
        ({"qty": "0.1234567891"}, 422, 42210000, "decimal places"),
        ({"limit_price": None}, 422, 40010001, "require limit price"),
        ({"type": "market"}, 422, 40010001, "cannot have limit price"),
        ({"limit_price": "180.001"}, 422, 42210000, "sub-penny"),
        ({"limit_price": D("180.001")}, 422, 42210000, "sub-penny"),
        ({"symbol": "SIRI", "limit_price": "0.95121"}, 422, 42210000, "sub-penny"),
        ({"symbol": "BRK.B", "qty": "0.5"}, 403, 40310000, "not fractionable"),
        ({"qty": "0.5", "time_in_force": "gtc"}, 422, 42210000, "must be DAY orders"),
        ({"qty": None, "notional": "500"}, 422, 42210000, "must be market orders"),
        ({**MARKET, "qty": None, "notional": "500.123"}, 422, 42210000, "2 decimal places"),
        ({**MARKET, "qty": None, "notional": "0.5"}, 403, 40310000, "cost basis must be >="),
        ({**MARKET, "extended_hours": True}, 422, 42210000, "extended hours"),
        ({"extended_hours": True, "time_in_force": "ioc"}, 422, 42210000, "extended hours"),
        ({"extended_hours": "yes"}, 422, 40010001, "must be a boolean"),
        ({"type": "stop", "limit_price": None, "stop_price": "1", "time_in_force": "ioc"}, 422, 42210000, "ioc orders"),
        (TRAILING, 422, 40010001, "trail_price or trail_percent"),
        ({**TRAILING, "trail_price": "1", "trail_percent": "1"}, 422, 40010001, "trail_price or trail_percent"),
        ({"client_order_id": "x" * 129}, 422, 40010001, "128"),
        ({"order_class": "mleg"}, 422, 40010001, "invalid order_class"),
        ({"take_profit": {"limit_price": "200"}}, 422, 42210000, "simple orders"),
        ({**BRACKET, "stop_loss": None}, 422, 42210000, "stop_loss.stop_price"),
        ({**BRACKET, "take_profit": {}}, 422, 42210000, "take_profit.limit_price"),
        ({**BRACKET, "time_in_force": "ioc"}, 422, 42210000, "DAY or GTC"),
        ({**BRACKET, "take_profit": {"limit_price": "160"}}, 422, 42210000, "beyond stop_loss"),
        ({**BRACKET, "take_profit": {"limit_price": "180"}}, 422, 42210000, ">= base_price"),
        ({**BRACKET, "stop_loss": {"stop_price": "181"}}, 422, 42210000, "<= base_price"),
        ({**BRACKET, "stop_loss": {"stop_price": "170", "limit_price": "171"}}, 422, 42210000, "stop_loss.limit"),
        ({**BRACKET, "qty": "0.5"}, 422, 42210000, "simple orders"),
        ({"order_class": "oto"}, 422, 42210000, "one of take_profit or stop_loss"),
        ({**BRACKET, "order_class": "oco", **MARKET, "side": "sell"}, 422, 40010001, "cannot have limit price"),
        ({**COIN, "time_in_force": "day"}, 422, 42210000, "invalid crypto time_in_force"),
        ({**COIN, "time_in_force": "fok"}, 422, 42210000, "invalid crypto time_in_force"),
        ({**COIN, "time_in_force": "gtx"}, 422, 40010001, "invalid time_in_force"),
        ({**COIN, "type": "stop", "limit_price": None, "stop_price": "1"}, 422, 42210000, "invalid order type"),
        ({**COIN, "limit_price": "60000.001"}, 422, 42210000, "multiple of 0.01"),
        ({**COIN, **BRACKET}, 422, 42210000, "advanced order_class"),
        ({**COIN, "extended_hours": True}, 422, 42210000, "extended hours"),
    ],
)  # fmt: skip
def test_bad_orders_are_refused(changes: dict[str, Any], status: int, code: int, text: str) -> None:
    with pytest.raises(Refused, match=text.replace(".", r"\.")) as refused:
        read_order({**ORDER, **changes}, Assets())
    assert (refused.value.status, refused.value.code) == (status, code)


def test_a_body_that_is_no_object_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        read_order([1], Assets())
    assert refused.value.body() == {"code": 40010001, "message": "request body format is invalid"}


def test_an_asset_that_is_halted_is_refused() -> None:
    assets = Assets()
    assets.change("AAPL", tradable=False)
    with pytest.raises(Refused, match="not tradable"):
        read_order(ORDER, assets)


@pytest.mark.parametrize(
    ("type_", "body", "text"),
    [
        ("limit", {}, "not changed"),
        ("limit", {"stop_price": "1"}, "cannot have a stop price"),
        ("stop", {"limit_price": "1"}, "cannot have a limit price"),
        ("limit", {"trail": "1"}, "cannot have a trail"),
        ("limit", {"limit_price": "180.001"}, "sub-penny"),
        ("limit", {"qty": "0"}, "must be > 0"),
        ("limit", {"time_in_force": "gtd"}, "invalid time_in_force"),
        ("limit", None, "format is invalid"),
    ],
)
def test_bad_changes_are_refused(type_: str, body: Any, text: str) -> None:
    asset = Assets().find("AAPL")
    assert asset is not None
    with pytest.raises(Refused, match=text):
        read_change(body, type_, asset)
