"""Certification: binance-sdk-spot, the venue's own SDK, trades on the emulator and hears of it, through every door."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import binance_sdk_spot
import pytest
from binance_common.errors import BadRequestError, UnauthorizedError

from tests.emulators.binance.conftest import ED25519_KEY, KeyPair
from tests.emulators.binance.emulator import Binance
from tests.emulators.binance.sdk import Heard, connected, plain, spot
from tests.emulators.binance.ws_api import SESSION_METHODS
from tests.emulators.client import Emulator


@pytest.fixture(params=["hmac", "ed25519"])
def pair(request: pytest.FixtureRequest, key_pair: KeyPair) -> KeyPair | None:
    """Signed with each kind of key; None for HMAC."""
    return key_pair if request.param == "ed25519" else None


def placed(api: Any, **more: Any) -> dict[str, Any]:
    wanted = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "time_in_force": "GTC"} | more
    told: dict[str, Any] = plain(api.new_order(**wanted).data())
    return told


def test_rest_places_replaces_cancels_and_sees_its_fills(venue: Emulator, pair: KeyPair | None) -> None:
    api = spot(venue, pair).rest_api
    order = placed(api, quantity=0.5, price=49000, new_client_order_id="one")
    assert (order["status"], order["executedQty"]) == ("NEW", "0.00000000")
    replaced = plain(
        api.order_cancel_replace(
            symbol="BTCUSDT",
            side="BUY",
            type="LIMIT",
            time_in_force="GTC",
            quantity=0.5,
            price=50010,
            cancel_replace_mode="STOP_ON_FAILURE",
            cancel_orig_client_order_id="one",
            new_client_order_id="two",
        ).data()
    )
    assert (replaced["cancelResult"], replaced["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert plain(api.get_order(symbol="BTCUSDT", orig_client_order_id="one").data())["status"] == "CANCELED"
    filled = plain(api.get_order(symbol="BTCUSDT", orig_client_order_id="two").data())
    assert (filled["status"], filled["executedQty"]) == ("FILLED", "0.50000000")
    (fill,) = [plain(row) for row in api.my_trades(symbol="BTCUSDT").data()]
    assert (fill["price"], fill["qty"]) == ("50010.00000000", "0.50000000")
    assert (fill["commission"], fill["commissionAsset"]) == ("0.00050000", "BTC")
    placed(api, quantity=0.5, price=49000, new_client_order_id="three")
    cancelled = plain(api.delete_order(symbol="BTCUSDT", orig_client_order_id="three").data())
    assert (cancelled["status"], cancelled["origClientOrderId"]) == ("CANCELED", "three")
    assert api.get_open_orders().data() == []


def test_rest_knows_the_account_and_the_venue(venue: Emulator, pair: KeyPair | None) -> None:
    api = spot(venue, pair).rest_api
    placed(api, quantity=1, price=40000)
    account = plain(api.get_account(omit_zero_balances=True).data())
    usdt = next(row for row in account["balances"] if row["asset"] == "USDT")
    assert (usdt["free"], usdt["locked"]) == ("960000.00000000", "40000.00000000")
    info = plain(api.exchange_info(symbols=["BTCUSDT", "ETHBTC"]).data())
    assert [symbol["symbol"] for symbol in info["symbols"]] == ["BTCUSDT", "ETHBTC"]
    assert {limit["rateLimitType"] for limit in info["rateLimits"]} >= {"REQUEST_WEIGHT", "ORDERS"}
    commission = plain(api.account_commission(symbol="BTCUSDT").data())
    assert commission["standardCommission"]["taker"] == "0.00100000"
    depth = plain(api.depth(symbol="BTCUSDT", limit=5).data())
    assert depth["bids"] == [["50000.00000000", "1.00000000"]]
    assert [row["count"] for row in map(plain, api.rate_limit_order().data())] == [1, 1]


def test_rest_amends_in_place(venue: Emulator) -> None:
    api = spot(venue).rest_api
    order = placed(api, quantity=2, price=49000, new_client_order_id="mine")
    amended = plain(
        api.order_amend_keep_priority(
            symbol="BTCUSDT", order_id=order["orderId"], new_qty=1, new_client_order_id="less"
        ).data()
    )["amendedOrder"]
    assert (amended["qty"], amended["clientOrderId"]) == ("1.00000000", "less")


def test_rest_places_lists(venue: Emulator) -> None:
    venue.do("trade", symbol="BTCUSDT", price="50005", quantity="0.1", taker="buy")
    api = spot(venue).rest_api
    oco = plain(
        api.order_list_oco(
            symbol="BTCUSDT",
            side="SELL",
            quantity=1,
            above_type="LIMIT_MAKER",
            above_price=51000,
            below_type="STOP_LOSS_LIMIT",
            below_price=48900,
            below_stop_price=49000,
            below_time_in_force="GTC",
        ).data()
    )
    assert oco["contingencyType"] == "OCO"
    otoco = plain(
        api.order_list_otoco(
            symbol="BTCUSDT",
            working_type="LIMIT",
            working_side="BUY",
            working_price=50010,
            working_quantity=1,
            working_time_in_force="GTC",
            pending_side="SELL",
            pending_quantity=0.9,
            pending_above_type="TAKE_PROFIT_LIMIT",
            pending_above_price=52000,
            pending_above_stop_price=52000,
            pending_above_time_in_force="GTC",
            pending_below_type="STOP_LOSS",
            pending_below_stop_price=48000,
        ).data()
    )
    states = {row["clientOrderId"]: row["status"] for row in otoco["orderReports"]}
    assert sorted(states.values()) == ["FILLED", "NEW", "NEW"]
    ended = plain(api.delete_order_list(symbol="BTCUSDT", order_list_id=otoco["orderListId"]).data())
    assert ended["listOrderStatus"] == "ALL_DONE"
    assert len(api.open_order_list().data()) == 1


def test_rest_refusals_carry_the_venue_s_codes(venue: Emulator) -> None:
    api = spot(venue).rest_api
    with pytest.raises(BadRequestError) as refused:
        placed(api, quantity=1, price=49000.001)
    assert refused.value.status_code == -1013
    with pytest.raises(BadRequestError) as refused:
        placed(api, quantity=50, price=49000)
    assert refused.value.status_code == -2010
    venue.do("permissions", trade=False)
    with pytest.raises(UnauthorizedError) as unauthorized:
        placed(api, quantity=1, price=49000)
    assert unauthorized.value.status_code == -2015


async def test_websocket_api_places_replaces_cancels_and_hears_its_fills(
    venue: Emulator, pair: KeyPair | None
) -> None:
    heard = Heard()
    async with connected(spot(venue, pair).websocket_api) as api:
        if pair is None:
            subscribed = await api.user_data_stream_subscribe_signature()
        else:
            logon = await api.session_logon()
            assert plain(logon.data())["status"] == 200
            subscribed = await api.user_data_stream_subscribe()
        subscribed.stream.on("message", heard)
        order = await api.order_place(
            symbol="BTCUSDT",
            side="BUY",
            type="LIMIT",
            time_in_force="GTC",
            quantity=1.5,
            price=49000,
            new_client_order_id="one",
        )
        assert plain(order.data())["result"]["status"] == "NEW"
        replaced = await api.order_cancel_replace(
            symbol="BTCUSDT",
            cancel_replace_mode="STOP_ON_FAILURE",
            side="BUY",
            type="LIMIT",
            time_in_force="GTC",
            quantity=1.5,
            price=50010,
            cancel_orig_client_order_id="one",
            new_client_order_id="two",
        )
        assert plain(replaced.data())["result"]["newOrderResult"] == "SUCCESS"
        state = plain((await api.order_status(symbol="BTCUSDT", orig_client_order_id="two")).data())["result"]
        assert (state["status"], state["executedQty"]) == ("PARTIALLY_FILLED", "1.00000000")
        await api.order_cancel(symbol="BTCUSDT", orig_client_order_id="two")
        await heard.until(
            lambda events: any(event.get("X") == "CANCELED" and event["C"] == "two" for event in events)
        )
        account = plain((await api.account_status()).data())["result"]
    assert heard.reports() == [
        ("NEW", "NEW"),
        ("CANCELED", "CANCELED"),
        ("NEW", "NEW"),
        ("TRADE", "PARTIALLY_FILLED"),
        ("CANCELED", "CANCELED"),
    ]
    btc = next(row for row in account["balances"] if row["asset"] == "BTC")
    assert Decimal(btc["free"]) == Decimal("10.999")
    assert any(event["e"] == "outboundAccountPosition" for event in heard.events)


async def test_websocket_api_answers_everything_else(venue: Emulator, key_pair: KeyPair) -> None:
    async with connected(spot(venue, key_pair).websocket_api) as api:
        await api.session_logon()
        assert plain((await api.ping()).data())["status"] == 200
        assert plain((await api.time()).data())["result"]["serverTime"] > 0
        info = plain((await api.exchange_info(symbols=["ETHUSDT"])).data())
        # The SDK takes the answer for the result, and keeps what it did not expect.
        assert info["additional_properties"]["result"]["symbols"][0]["symbol"] == "ETHUSDT"
        for price in (49000, 48000):
            await api.order_place(
                symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", quantity=1, price=price
            )
        found = plain((await api.open_orders_status(symbol="BTCUSDT")).data())["result"]
        assert len(found) == 2
        await api.open_orders_cancel_all(symbol="BTCUSDT")
        assert plain((await api.open_orders_status()).data())["result"] == []
        assert plain((await api.session_status()).data())["result"]["apiKey"] == "ed25519-key"


async def test_streams_tell_quotes_trades_and_depth(venue: Emulator) -> None:
    quotes, trades, depth = Heard(), Heard(), Heard()
    async with connected(spot(venue).websocket_streams) as streams:
        (await streams.book_ticker(symbol="btcusdt")).on("message", quotes)
        (await streams.trade(symbol="btcusdt")).on("message", trades)
        (await streams.diff_book_depth(symbol="btcusdt", update_speed="100ms")).on("message", depth)
        await venue.trade("BTCUSDT", "50010", "0.25", "buy")
        await venue.show("BTCUSDT", [("50001", "2")], [("50011", "3")])
        (quote,) = (await quotes.until(bool))[-1:]
        (trade,) = await trades.until(bool)
        (change,) = await depth.until(bool)
    assert (quote["b"], quote["B"], quote["a"]) == ("50001.00000000", "2.00000000", "50011.00000000")
    assert (trade["p"], trade["q"], trade["m"]) == ("50010.00000000", "0.25000000", False)
    assert change["b"] == [["50000.00000000", "0.00000000"], ["50001.00000000", "2.00000000"]]


async def test_what_others_do_is_heard(venue: Emulator) -> None:
    heard = Heard()
    async with connected(spot(venue).websocket_api) as api:
        subscribed = await api.user_data_stream_subscribe_signature()
        subscribed.stream.on("message", heard)
        await venue.add_fill("BTCUSDT", "buy", "1", "50000")
        await venue.deposit("USDT", "5")
        await heard.until(lambda events: any(event["e"] == "balanceUpdate" for event in events))
    assert heard.reports() == [("NEW", "NEW"), ("TRADE", "FILLED")]


def test_every_request_that_it_knows_is_one_of_the_sdk_s() -> None:
    """No path and no method is misspelt, and what the SDK can ask beyond them is known (docs/emulators.md)."""
    sources = [path.read_text() for path in Path(binance_sdk_spot.__file__).parent.rglob("api/*.py")]
    text = "\n".join(sources)
    methods = set(re.findall(r'"method": "/([\w.]+)"', text))
    paths = {" ".join(found) for found in re.findall(r'method="(\w+)",\s*path="([^"]+)"', text)}
    emulator = Binance("key", "secret")
    emulator.listen()
    known = {*emulator.by_method, *SESSION_METHODS}
    assert known <= methods
    assert set(emulator.by_rest) <= paths
    assert {method.partition(".")[0] for method in methods - known} == {
        *("blockTrades", "executionRules", "myAllocations", "myPreventedMatches", "order", "orderList"),
        *("referencePrice", "sor", "ticker", "trades", "uiKlines"),
    }
    assert "order.amendments" in methods - known


async def test_a_process_that_was_told_nothing_has_a_market(key_pair: KeyPair, tmp_path: Path) -> None:
    public = tmp_path / "public.pem"
    public.write_text(key_pair.public)
    async with Emulator.start("binance", "--public-key", str(public), key=ED25519_KEY) as emulator:
        api = spot(emulator, key_pair).rest_api
        for symbol in ("BTCUSDT", "ETHUSDT", "ETHBTC"):
            bought = plain(api.new_order(symbol=symbol, side="BUY", type="MARKET", quantity=0.5).data())
            assert bought["status"] == "FILLED"
            assert len(api.my_trades(symbol=symbol).data()) == 1
        stop = plain(
            api.new_order(
                symbol="BTCUSDT", side="SELL", type="STOP_LOSS", quantity=0.5, stop_price=45000
            ).data()
        )
        assert stop["orderId"] == 4
