"""What the emulator answers has the shape that Alpaca documents (`tests/fixtures/alpaca`)."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import ClientSession, WSMsgType

from tests.emulators.client import Emulator

FIXTURES = Path(__file__).parents[2] / "fixtures" / "alpaca"
MAY_BE_NULL = frozenset(
    {
        "filled_at", "expired_at", "canceled_at", "failed_at", "replaced_at", "replaced_by", "replaces", "notional",
        "qty", "filled_avg_price", "limit_price", "stop_price", "legs", "trail_percent", "trail_price", "hwm",
        "subtag", "source", "max_options_trading_level",
    }
)  # fmt: skip


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))


def ask(venue: Emulator, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", venue.port, timeout=20)
    headers = {"APCA-API-KEY-ID": venue.key, "APCA-API-SECRET-KEY": venue.secret}
    target = path + ("?" + urlencode(query) if query else "")
    connection.request(method, target, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text) if text else None


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "flag"
    return "number" if isinstance(value, int | float) else type(value).__name__


def hold(given: Any, documented: Any, where: str = "") -> None:
    """Whether both have the same fields of the same kinds; of a list the first of each is looked at."""
    if isinstance(documented, dict):
        assert isinstance(given, dict), where
        assert set(given) == set(documented), where
        for name, value in documented.items():
            if name in MAY_BE_NULL and (given[name] is None or value is None):
                continue
            hold(given[name], value, f"{where}.{name}")
    elif isinstance(documented, list):
        assert isinstance(given, list), where
        if documented and given:
            hold(given[0], documented[0], f"{where}[0]")
    else:
        assert kind(given) == kind(documented), where


def order(symbol: str = "AAPL", **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "side": "buy", "qty": "2", "type": "market", "time_in_force": "gtc"} | more


LIMIT = order(type="limit", limit_price="180")
BRACKET = order(order_class="bracket", take_profit={"limit_price": "200"}, stop_loss={"stop_price": "180"})


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("order", LIMIT),
        ("order_notional", order(qty=None, notional="500", time_in_force="day")),
        ("order_crypto", order("BTC/USD", qty="0.021", type="limit", limit_price="59000")),
        ("order_trailing_stop", order(type="trailing_stop", trail_price="6.1")),
        ("order_bracket", BRACKET),
    ],
)
def test_an_order_looks_as_documented(venue: Emulator, name: str, body: dict[str, Any]) -> None:
    documented = fixture(name)
    status, answer = ask(venue, "POST", "/v2/orders", body)
    assert status == 200
    hold(answer, documented)
    _, found = ask(venue, "GET", f"/v2/orders/{answer['id']}", nested="true")
    hold(found, documented)
    if name == "order_trailing_stop":
        assert found["hwm"] is not None
        assert found["stop_price"] is not None


def test_a_replaced_order_looks_as_documented(venue: Emulator) -> None:
    _, placed = ask(venue, "POST", "/v2/orders", LIMIT)
    ask(venue, "PATCH", f"/v2/orders/{placed['id']}", {"limit_price": "181"})
    _, found = ask(venue, "GET", f"/v2/orders/{placed['id']}")
    hold(found, fixture("order_replaced"))
    assert found["replaced_by"] is not None
    assert found["replaced_at"] is not None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v2/account", "account"),
        ("/v2/account/configurations", "account_configurations"),
        ("/v2/assets/AAPL", "asset"),
        ("/v2/assets/BTC%2FUSD", "asset_crypto"),
        ("/v2/clock", "clock"),
        ("/v2/calendar?start=2026-06-15&end=2026-06-15", "calendar"),
    ],
)
def test_a_query_is_answered_as_documented(venue: Emulator, path: str, name: str) -> None:
    status, answer = ask(venue, "GET", path)
    assert status == 200
    hold(answer, fixture(name))


def test_positions_and_activities_look_as_documented(venue: Emulator) -> None:
    for symbol, side, qty in (("AAPL", "buy", "2"), ("MSFT", "sell", "2"), ("BTC/USD", "buy", "0.2")):
        ask(venue, "POST", "/v2/orders", order(symbol, side=side, qty=qty))
    for symbol, name in (("AAPL", "position"), ("MSFT", "position_short"), ("BTCUSD", "position_crypto")):
        _, answer = ask(venue, "GET", f"/v2/positions/{symbol}")
        documented = fixture(name)
        hold(answer, documented)
        for field in ("symbol", "side", "asset_class") if symbol != "MSFT" else ("side",):
            assert answer[field] == documented[field]
    _, fills = ask(venue, "GET", "/v2/account/activities/FILL")
    hold(fills, fixture("activities_fill"))
    venue.do("advance", seconds=86400)
    _, fees = ask(venue, "GET", "/v2/account/activities", activity_types="CFEE")
    hold(fees, fixture("activities_fees"))
    _, closed = ask(venue, "DELETE", "/v2/positions")
    hold(closed, fixture("close_all"))


def test_a_cancel_of_all_looks_as_documented(venue: Emulator) -> None:
    ask(venue, "POST", "/v2/orders", LIMIT)
    status, answer = ask(venue, "DELETE", "/v2/orders")
    assert status == 207
    hold(answer, fixture("cancel_all"))


def test_errors_look_as_documented(venue: Emulator) -> None:
    documented = fixture("errors")
    placed = order(type="limit", limit_price="180", client_order_id="x")
    _, resting = ask(venue, "POST", "/v2/orders", placed)
    _, filled = ask(venue, "POST", "/v2/orders", order("MSFT"))
    ask(venue, "POST", "/v2/orders", order("MSFT", side="sell", type="limit", limit_price="500"))
    ask(venue, "POST", "/v2/orders", order("ETH/USD"))
    missing = "/v2/orders/61e69015-8549-4bfd-b9c3-01e75843f47d"
    asked = {
        "order_not_found": ("GET", missing, None),
        "position_not_found": ("DELETE", "/v2/positions/SPY", None),
        "duplicate": ("POST", "/v2/orders", placed),
        "sub_penny": ("POST", "/v2/orders", order(type="limit", limit_price="190.123")),
        "crypto_time_in_force": ("POST", "/v2/orders", order("BTC/USD", time_in_force="day")),
        "not_cancelable": ("DELETE", f"/v2/orders/{filled['id']}", None),
        "buying_power": ("POST", "/v2/orders", order(qty="10000")),
        "balance": ("POST", "/v2/orders", order("ETH/USD", side="sell", qty="3")),
        "qty": ("POST", "/v2/orders", order("MSFT", side="sell")),
        "wash_trade": ("POST", "/v2/orders", order(side="sell", type="limit", limit_price="180")),
        "minimal_cost": ("POST", "/v2/orders", order("BTC/USD", qty="0.0001")),
        "not_shortable": ("POST", "/v2/orders", order("GME", side="sell")),
    }
    for name, (method, path, body) in asked.items():
        status, answer = ask(venue, method, path, body)
        assert (status, answer["code"]) == (documented[name]["status"], documented[name]["body"]["code"]), (
            name
        )
        hold(answer, documented[name]["body"], name)
        if name not in ("order_not_found", "balance", "qty"):
            assert answer["message"] == documented[name]["body"]["message"]
    assert resting["client_order_id"] == "x"
    venue.do("flags", trade_suspended_by_user=True)
    assert ask(venue, "POST", "/v2/orders", order()) == _error(documented, "suspended")
    venue.do("flags", trade_suspended_by_user=False)
    venue.do("asset", symbol="AAPL", tradable=False)
    assert ask(venue, "POST", "/v2/orders", order()) == _error(documented, "not_tradable")
    venue.do("fault", kind="key_revoked")
    assert ask(venue, "GET", "/v2/account") == _error(documented, "wrong_key")
    venue.do("clear_faults")
    venue.do("limits", requests=0)
    assert ask(venue, "GET", "/v2/account") == _error(documented, "rate_limit")


def _error(documented: Any, name: str) -> tuple[int, Any]:
    return documented[name]["status"], documented[name]["body"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v2/stocks/quotes/latest?symbols=AAPL", "stock_quotes"),
        ("/v2/stocks/AAPL/quotes/latest", "stock_quote"),
        ("/v2/stocks/trades/latest?symbols=AAPL", "stock_trades"),
        ("/v2/stocks/AAPL/trades/latest", "stock_trade"),
        ("/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD", "crypto_quotes"),
        ("/v1beta3/crypto/us/latest/trades?symbols=BTC%2FUSD", "crypto_trades"),
        ("/v1beta3/crypto/us/latest/orderbooks?symbols=BTC/USD", "crypto_orderbooks"),
    ],
)
def test_market_data_looks_as_documented(venue: Emulator, path: str, name: str) -> None:
    for symbol, price in (("AAPL", "190.01"), ("BTC/USD", "60005.5")):
        venue.do("trade", symbol=symbol, price=price, quantity="0.5", taker="buy")
    status, answer = ask(venue, "GET", path)
    assert status == 200
    hold(answer, fixture("market")[name])


async def test_the_order_stream_looks_as_documented(venue: Emulator) -> None:
    documented = fixture("stream_orders")
    async with ClientSession() as session, session.ws_connect(f"{venue.ws_url}/stream") as socket:
        wrong = {"action": "authenticate", "data": {"key_id": venue.key, "secret_key": "wrong"}}
        await socket.send_json(wrong)
        refused = await socket.receive()
        assert refused.type is WSMsgType.BINARY, "the paper host sends binary frames"
        assert json.loads(refused.data) == documented["unauthorized"]
        assert (await socket.receive()).type is WSMsgType.CLOSE
    async with ClientSession() as session, session.ws_connect(f"{venue.ws_url}/stream") as socket:
        right = {"action": "authenticate", "data": {"key_id": venue.key, "secret_key": venue.secret}}
        await socket.send_json(right)
        assert json.loads(await socket.receive_bytes()) == documented["authorized"]
        await socket.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
        assert json.loads(await socket.receive_bytes()) == documented["listening"]
        await venue.show("AAPL", bids=[("190", "5")], asks=[("190.02", "1")])
        _, placed = ask(venue, "POST", "/v2/orders", order(type="limit", limit_price="191", qty="3"))
        await venue.show("AAPL", bids=[("190", "5")], asks=[("190.02", "1")])
        ask(venue, "DELETE", f"/v2/orders/{placed['id']}")
        await venue.show("AAPL", bids=[("190", "5")], asks=[("190.02", "1")])
        ask(venue, "POST", "/v2/orders", order(type="limit", limit_price="191", qty="1"))
        seen: set[str] = set()
        while seen < set(documented) - {"authorized", "unauthorized", "listening"}:
            frame = json.loads(await socket.receive_bytes())
            event = frame["data"]["event"]
            if event in documented:
                hold(frame, documented[event], event)
                seen.add(event)


@pytest.mark.parametrize(
    ("path", "asked", "names"),
    [
        (
            "/v2/iex",
            {"trades": ["AAPL"], "quotes": ["AAPL"]},
            {"q": "stock_quote", "t": "stock_trade", "subscription": "stock_subscription"},
        ),
        (
            "/v1beta3/crypto/us",
            {"orderbooks": ["BTC/USD"], "trades": ["*"], "quotes": ["*"]},
            {"q": "crypto_quote", "t": "crypto_trade", "o": "crypto_orderbook"},
        ),
    ],
)
async def test_the_market_streams_look_as_documented(
    venue: Emulator, path: str, asked: dict[str, Any], names: dict[str, str]
) -> None:
    documented = fixture("stream_market")
    async with ClientSession() as session, session.ws_connect(venue.ws_url + path) as socket:
        assert await socket.receive_json() == documented["connected"]
        await socket.send_json({"action": "auth", "key": venue.key, "secret": "wrong"})
        assert await socket.receive_json() == documented["auth_failed"]
    async with ClientSession() as session, session.ws_connect(venue.ws_url + path) as socket:
        await socket.receive_json()
        await socket.send_json({"action": "auth", "key": venue.key, "secret": venue.secret})
        assert await socket.receive_json() == documented["authenticated"]
        await socket.send_json({"action": "subscribe", **asked})
        symbol = "AAPL" if path == "/v2/iex" else "BTC/USD"
        prices = ("190", "190.03") if path == "/v2/iex" else ("60000", "60020")
        await venue.show(symbol, bids=[(prices[0], "5")], asks=[(prices[1], "1")])
        await venue.trade(symbol, prices[1], "0.5", "buy")
        missing = set(names)
        while missing:
            (message,) = await socket.receive_json()
            if message["T"] in missing:
                hold([message], documented[names[message["T"]]], message["T"])
                missing.remove(message["T"])
