"""What a request may say (errors.md, "11xx - Request issues")."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulators.binance.raw import FORM, Raw, now_ms
from tests.emulators.client import Emulator


@pytest.fixture
def raw(venue: Emulator) -> Raw:
    """A client with the HMAC key."""
    return Raw(venue)


@pytest.mark.parametrize(
    ("wanted", "code", "words"),
    [
        ({"symbol": None}, -1102, "Mandatory parameter 'symbol'"),
        ({"symbol": "btcusdt"}, -1100, "'symbol'"),
        ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
        ({"side": "HOLD"}, -1117, "Invalid side."),
        ({"type": "PEGGED"}, -1116, "Invalid orderType."),
        ({"timeInForce": None}, -1102, "'timeInForce'"),
        ({"timeInForce": "DAY"}, -1115, "Invalid timeInForce."),
        ({"price": None}, -1102, "'price'"),
        ({"price": ""}, -1105, "'price' was empty"),
        ({"price": "1e5"}, -1100, "'price'"),
        ({"price": "-1"}, -1100, "'price'"),
        ({"price": "50000.123456789"}, -1111, "too much precision"),
        ({"quantity": None}, -1102, "'quantity'"),
        ({"stopPrice": "1"}, -1106, "'stopPrice' sent when not required"),
        ({"trailingDelta": "100"}, -1106, "'trailingDelta'"),
        ({"quoteOrderQty": "10"}, -1106, "'quoteOrderQty'"),
        ({"icebergQty": "1", "timeInForce": "IOC"}, -1106, "'icebergQty'"),
        ({"newClientOrderId": "a b"}, -1100, "'newClientOrderId'"),
        ({"newClientOrderId": "x" * 37}, -1100, "{1,36}"),
        ({"newOrderRespType": "SOME"}, -1130, "'newOrderRespType'"),
        ({"selfTradePreventionMode": "NONE"}, -2010, "self-trade prevention"),
        ({"selfTradePreventionMode": "OTHER"}, -1130, "'selfTradePreventionMode'"),
        ({"strategyType": "5"}, -1134, "1000000"),
        ({"strategyId": str(2**63)}, -1108, "overflowed"),
        ({"colour": "red"}, -1104, "read '8' parameter(s) but was sent '9'"),
        ({"type": "MARKET", "quantity": None, "price": None}, -1102, "'quantity'"),
        ({"type": "MARKET", "quoteOrderQty": "10", "price": None}, -1128, "Combination"),
        ({"type": "MARKET", "price": None, "timeInForce": "GTC"}, -1106, "'timeInForce'"),
        ({"type": "LIMIT_MAKER", "timeInForce": "GTC"}, -1106, "'timeInForce'"),
        ({"type": "STOP_LOSS", "price": None}, -1102, "stopPrice or trailingDelta"),
    ],
)
def test_an_order_says_what_its_type_needs_and_no_more(
    raw: Raw, wanted: dict[str, Any], code: int, words: str
) -> None:
    answer = raw.place(**{"price": "49000"} | wanted)
    assert (answer.status, answer.code) == (400, code)
    assert words in answer.body["msg"]
    assert raw.venue.do("orders") == []


def test_a_parameter_is_there_once_and_the_query_s_counts(raw: Raw) -> None:
    twice = f"symbol=BTCUSDT&symbol=ETHUSDT&timestamp={now_ms()}"
    assert raw.send("GET", f"/api/v3/openOrders?{twice}&signature={raw.sign(twice)}").code == -1101
    query = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1"
    body = f"symbol=NOPE&timestamp={now_ms()}"
    answer = raw.send(
        "POST",
        f"/api/v3/order/test?{query}",
        f"{body}&signature={raw.sign(query + body)}",
        {"Content-Type": FORM},
    )
    assert answer.status == 200


def test_a_body_that_is_no_form_is_not_read(raw: Raw) -> None:
    query = f"symbol=BTCUSDT&timestamp={now_ms()}"
    answer = raw.send(
        "POST",
        f"/api/v3/order?{query}&signature={raw.sign(query)}",
        '{"side": "BUY"}',
        {"Content-Type": "application/json"},
    )
    assert answer.status == 400
    assert answer.code in (-1022, -1104)


def test_what_looks_like_an_attack_meets_the_firewall(raw: Raw) -> None:
    answer = raw.place(price="49000", newClientOrderId="1 UNION SELECT 2")
    assert answer.status == 403
    assert b"<html>" in answer.body


def test_the_same_is_refused_where_there_is_nothing(raw: Raw) -> None:
    assert raw.ask("GET", "/api/v3/nothing").status == 404
    assert raw.ask("POST", "/api/v3/userDataStream").status == 410, "listen keys: removed on 2026-02-20"


def test_lists_of_symbols_are_json(raw: Raw) -> None:
    def info(**parameters: str) -> Any:
        return raw.ask("GET", "/api/v3/exchangeInfo", **parameters)

    assert [each["symbol"] for each in info(symbols='["ETHBTC"]').body["symbols"]] == ["ETHBTC"]
    assert len(info().body["symbols"]) == 3
    assert info(symbols="ETHBTC").code == -1100
    assert info(symbols='["ETHBTC","ETHBTC"]').code == -1151
    assert info(symbols='["NOPE"]').code == -1121
    assert info(symbol="ETHBTC", symbols='["ETHBTC"]').code == -1128
    raw.venue.do("symbol", symbol="ETHBTC", status="BREAK")
    assert [each["symbol"] for each in info(symbolStatus="BREAK").body["symbols"]] == ["ETHBTC"]
