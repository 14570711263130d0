"""What becomes of orders (rest-api.md "Trading endpoints", enums.md)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulators.binance.raw import Answer, Raw, shown
from tests.emulators.client import Emulator

ORDER = "/api/v3/order"


@pytest.fixture
def raw(venue: Emulator) -> Raw:
    """A client of a market of 50000.00 × 1 to 50010.00 × 1, 50020.00 × 2, whose last trade was at 50005."""
    venue.do("trade", symbol="BTCUSDT", price="50005", quantity="0.001", taker="buy")
    return Raw(venue)


def trade(raw: Raw, price: str, quantity: str = "0.001") -> None:
    raw.venue.do("trade", symbol="BTCUSDT", price=price, quantity=quantity)


def states(raw: Raw) -> dict[str, str]:
    return {name: order["status"] for name, order in shown(raw.venue).items()}


# Types and times in force


@pytest.mark.parametrize(
    ("wanted", "status", "executed"),
    [
        ({"price": "49000"}, "NEW", "0"),
        ({"price": "50015", "quantity": "3"}, "PARTIALLY_FILLED", "1"),
        ({"price": "50020", "quantity": "3"}, "FILLED", "3"),
        ({"price": "50015", "quantity": "3", "timeInForce": "IOC"}, "EXPIRED", "1"),
        ({"price": "49000", "timeInForce": "IOC"}, "EXPIRED", "0"),
        ({"price": "50015", "quantity": "3", "timeInForce": "FOK"}, "EXPIRED", "0"),
        ({"price": "50020", "quantity": "3", "timeInForce": "FOK"}, "FILLED", "3"),
        ({"type": "LIMIT_MAKER", "price": "50009.99"}, "NEW", "0"),
        ({"type": "MARKET", "quantity": "2"}, "FILLED", "2"),
        ({"type": "MARKET", "quantity": "4"}, "EXPIRED", "3"),
        ({"type": "MARKET", "side": "SELL", "quantity": "1"}, "FILLED", "1"),
        ({"price": "49000", "quantity": "1", "icebergQty": "0.1"}, "NEW", "0"),
    ],
)
def test_types_and_times_in_force(raw: Raw, wanted: dict[str, Any], status: str, executed: str) -> None:
    answer = raw.place(newClientOrderId="mine", newOrderRespType="RESULT", **wanted).body
    queried = raw.call("GET", ORDER, symbol="BTCUSDT", origClientOrderId="mine").body
    for told in (answer, queried):
        assert (told["status"], float(told["executedQty"])) == (status, float(executed))
        assert told["type"] == wanted.get("type", "LIMIT")
    assert queried["isWorking"] is True


def test_how_much_is_answered(raw: Raw) -> None:
    full = raw.place(type="MARKET", quantity="2").body
    assert [(fill["price"], fill["qty"], fill["tradeId"]) for fill in full["fills"]] == [
        ("50010.00000000", "1.00000000", 2),
        ("50020.00000000", "1.00000000", 3),
    ]
    assert "fills" not in raw.place(price="49000", newOrderRespType="RESULT").body
    assert "status" not in raw.place(price="49000", newOrderRespType="ACK").body
    assert "status" not in raw.place(type="STOP_LOSS", side="SELL", stopPrice="49000").body


def test_an_amount_buys_what_it_pays_for(raw: Raw) -> None:
    answer = raw.place(type="MARKET", quantity=None, quoteOrderQty="75000").body
    assert (answer["executedQty"], answer["cummulativeQuoteQty"]) == ("1.49960000", "74999.99200000")
    assert answer["origQuoteOrderQty"] == "75000.00000000"


def test_what_the_matching_engine_refuses(raw: Raw) -> None:
    assert (
        raw.place(type="LIMIT_MAKER", price="50010").body["msg"] == "Order would immediately match and take."
    )
    assert raw.place(price="49000", quantity="50").body["msg"].startswith("Account has insufficient balance")
    assert raw.place(side="SELL", price="51000", quantity="10.1").code == -2010
    for side, kind, stop in (("SELL", "STOP_LOSS", "50005"), ("BUY", "TAKE_PROFIT", "50006")):
        answer = raw.place(side=side, type=kind, stopPrice=stop)
        assert (answer.code, answer.body["msg"]) == (-2010, "Stop price would trigger immediately.")
    assert raw.venue.do("orders") == []


@pytest.mark.parametrize(
    ("side", "kind", "stop", "price", "before", "at"),
    [
        ("SELL", "STOP_LOSS", "49000", None, "49000.01", "49000"),
        ("BUY", "STOP_LOSS", "51000", None, "50999.99", "51000"),
        ("SELL", "TAKE_PROFIT", "51000", None, "50999.99", "51000"),
        ("BUY", "TAKE_PROFIT", "49000", None, "49000.01", "49000"),
        ("SELL", "STOP_LOSS_LIMIT", "49000", "48000", "49000.01", "49000"),
        ("SELL", "TAKE_PROFIT_LIMIT", "51000", "49000", "50999.99", "51000"),
    ],
)
def test_a_trigger_waits_for_the_last_price(
    raw: Raw, side: str, kind: str, stop: str, price: str | None, before: str, at: str
) -> None:
    raw.place(side=side, type=kind, stopPrice=stop, price=price, quantity="0.5", newClientOrderId="stop")
    trade(raw, before)
    assert shown(raw.venue)["stop"]["isWorking"] is False
    trade(raw, at)
    assert states(raw)["stop"] == "FILLED"


def test_a_stop_with_ioc_does_not_rest(raw: Raw) -> None:
    raw.place(
        side="SELL", type="STOP_LOSS_LIMIT", stopPrice="49000", price="50000", timeInForce="IOC",
        quantity="2", newClientOrderId="stop",
    )  # fmt: skip
    trade(raw, "49000")
    assert shown(raw.venue)["stop"]["status"] == "EXPIRED"
    assert shown(raw.venue)["stop"]["executedQty"] == "1.00000000"


@pytest.mark.parametrize(
    ("side", "kind", "prices", "ends_at"),
    [
        # One per cent, which the last price must take back from the best that was seen.
        ("SELL", "STOP_LOSS", ["50500", "50000", "51000", "50490.01"], "50490"),
        ("BUY", "STOP_LOSS", ["49000", "49400", "49489.99"], "49490"),
        ("SELL", "TAKE_PROFIT", ["49000", "49489.99"], "49490"),
        ("BUY", "TAKE_PROFIT", ["51000", "50490.01"], "50490"),
    ],
)
def test_a_trailing_stop_follows_and_never_goes_back(
    raw: Raw, side: str, kind: str, prices: list[str], ends_at: str
) -> None:
    raw.place(side=side, type=kind, trailingDelta="100", quantity="0.5", newClientOrderId="trail")
    for price in prices:
        trade(raw, price)
        assert states(raw)["trail"] == "NEW", price
    trade(raw, ends_at)
    assert states(raw)["trail"] == "FILLED"


def test_a_trailing_stop_may_wait_for_its_start(raw: Raw) -> None:
    raw.place(
        side="SELL",
        type="STOP_LOSS",
        trailingDelta="100",
        stopPrice="49000",
        quantity="0.5",
        newClientOrderId="trail",
    )
    for price in ("49500", "48500"):
        trade(raw, price)
        assert states(raw)["trail"] == "NEW", "it begins to trail at 48500"
    trade(raw, "48015")
    assert states(raw)["trail"] == "FILLED"


@pytest.mark.parametrize(
    ("mode", "maker", "taker"),
    [
        ("EXPIRE_MAKER", "EXPIRED_IN_MATCH", "FILLED"),
        ("EXPIRE_TAKER", "NEW", "EXPIRED_IN_MATCH"),
        ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"),
    ],
)
def test_orders_of_the_account_do_not_trade_with_each_other(
    raw: Raw, mode: str, maker: str, taker: str
) -> None:
    raw.place(side="SELL", price="50010", quantity="0.1", newClientOrderId="maker")
    raw.place(price="50010", quantity="0.5", selfTradePreventionMode=mode, newClientOrderId="taker")
    assert states(raw) == {"maker": maker, "taker": taker}


# Client ids


def test_a_client_id_is_unique_among_open_orders_only(raw: Raw) -> None:
    raw.place(price="49000", newClientOrderId="mine")
    assert raw.place(price="49000", newClientOrderId="mine").body["msg"] == "Duplicate order sent."
    assert raw.place(symbol="ETHUSDT", price="49000", newClientOrderId="mine").code == -2010
    cancelled = raw.call("DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="mine").body
    assert cancelled["clientOrderId"] != "mine"
    second = raw.place(price="49000", newClientOrderId="mine").body
    assert (
        raw.call("GET", ORDER, symbol="BTCUSDT", origClientOrderId="mine").body["orderId"]
        == second["orderId"]
    )


def test_orders_are_found_by_either_id_of_their_symbol(raw: Raw) -> None:
    number = raw.place(price="49000", newClientOrderId="mine").body["orderId"]

    def find(**by: Any) -> Answer:
        return raw.call("GET", ORDER, **{"symbol": "BTCUSDT"} | by)

    assert find(orderId=number).body["clientOrderId"] == "mine"
    assert find(orderId=number, origClientOrderId="mine").status == 200
    assert find(orderId=number, origClientOrderId="other").code == -2039
    assert find().code == -1102
    assert find(origClientOrderId="other").code == -2013
    assert find(symbol="ETHUSDT", orderId=number).code == -2013
    assert find(orderId=99).code == -2013


# Cancelling and changing


def test_what_cannot_be_cancelled(raw: Raw) -> None:
    for by in ({"origClientOrderId": "none"}, {"orderId": 7}):
        answer = raw.call("DELETE", ORDER, symbol="BTCUSDT", **by)
        assert (answer.status, answer.code, answer.body["msg"]) == (400, -2011, "Unknown order sent.")
    assert raw.call("DELETE", ORDER, symbol="BTCUSDT").code == -1102
    assert raw.call("DELETE", "/api/v3/openOrders", symbol="BTCUSDT").code == -2011
    assert raw.call("DELETE", "/api/v3/openOrders").code == -1102
    raw.place(price="49000", newClientOrderId="mine")
    restricted = {"symbol": "BTCUSDT", "origClientOrderId": "mine"}
    assert raw.call("DELETE", ORDER, **restricted, cancelRestrictions="ONLY_PARTIALLY_FILLED").code == -2011
    assert raw.call("DELETE", ORDER, **restricted, cancelRestrictions="SOME").code == -1145
    assert raw.call("DELETE", ORDER, **restricted, cancelRestrictions="ONLY_NEW").status == 200


def test_all_of_one_symbol_are_cancelled_and_no_others(raw: Raw) -> None:
    for number, symbol in enumerate(("BTCUSDT", "BTCUSDT", "ETHUSDT")):
        raw.place(
            symbol=symbol, price="2000" if symbol == "ETHUSDT" else "49000", newClientOrderId=f"o{number}"
        )
    gone = raw.call("DELETE", "/api/v3/openOrders", symbol="BTCUSDT").body
    assert [order["origClientOrderId"] for order in gone] == ["o0", "o1"]
    assert states(raw) == {"o0": "CANCELED", "o1": "CANCELED", "o2": "NEW"}


def replace(raw: Raw, mode: str, cancel: str, **new: Any) -> Answer:
    wanted = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1"}
    return raw.call(
        "POST",
        "/api/v3/order/cancelReplace",
        cancelReplaceMode=mode,
        cancelOrigClientOrderId=cancel,
        **wanted | {"price": "48000", "newClientOrderId": "new"} | new,
    )


def test_a_replace_says_which_half_of_it_was_done(raw: Raw) -> None:
    raw.place(price="49000", newClientOrderId="old")
    both = replace(raw, "STOP_ON_FAILURE", "old")
    assert (both.status, both.body["cancelResult"], both.body["newOrderResult"]) == (
        200,
        "SUCCESS",
        "SUCCESS",
    )
    nothing = replace(raw, "STOP_ON_FAILURE", "gone")
    assert (nothing.status, nothing.code) == (400, -2022)
    assert nothing.body["data"]["newOrderResult"] == "NOT_ATTEMPTED"
    assert nothing.body["data"]["cancelResponse"]["code"] == -2011
    half = replace(raw, "STOP_ON_FAILURE", "new", quantity="100", newClientOrderId="big")
    assert (half.status, half.code, half.body["data"]["cancelResult"]) == (409, -2021, "SUCCESS")
    assert half.body["data"]["newOrderResponse"]["code"] == -2010
    other_half = replace(raw, "ALLOW_FAILURE", "gone", newClientOrderId="late")
    assert (other_half.status, other_half.body["data"]["newOrderResult"]) == (409, "SUCCESS")
    assert replace(raw, "ALLOW_FAILURE", "gone", newClientOrderId="late").code == -2022
    assert states(raw) == {"old": "CANCELED", "new": "CANCELED", "late": "NEW"}


def test_a_replace_that_breaks_a_filter_leaves_the_order(raw: Raw) -> None:
    raw.place(price="49000", newClientOrderId="old")
    assert replace(raw, "STOP_ON_FAILURE", "old", price="48000.001").code == -1013
    assert states(raw) == {"old": "NEW"}


def test_an_amended_order_is_smaller_and_keeps_its_place(raw: Raw) -> None:
    raw.place(price="50000", quantity="1", newClientOrderId="first")
    path = "/api/v3/order/amend/keepPriority"

    def amend(quantity: str, **more: Any) -> Answer:
        return raw.call(
            "PUT", path, symbol="BTCUSDT", newQty=quantity, **{"origClientOrderId": "first"} | more
        )

    assert amend("1").code == -2038
    assert amend("2").code == -2038
    assert amend("0.5", origClientOrderId="none").code == -2011
    assert amend("0.000001").code == -1013
    assert amend("0.5", newClientOrderId="first").body["amendedOrder"]["qty"] == "0.50000000"
    # One of others stands before it, as when it came.
    trade(raw, "50000", "1.3")
    assert shown(raw.venue)["first"]["executedQty"] == "0.30000000"
    anonymous = amend("0.4").body["amendedOrder"]
    assert (anonymous["origClientOrderId"], anonymous["executedQty"]) == ("first", "0.30000000")
    assert anonymous["clientOrderId"] != "first"


# Lists


def oco(raw: Raw, **more: Any) -> Answer:
    wanted = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "1",
        "aboveType": "LIMIT_MAKER",
        "abovePrice": "51000",
        "aboveClientOrderId": "above",
        "belowType": "STOP_LOSS_LIMIT",
        "belowPrice": "48000",
        "belowStopPrice": "49000",
        "belowTimeInForce": "GTC",
        "belowClientOrderId": "below",
        "listClientOrderId": "list",
    }
    wanted = {name: value for name, value in (wanted | more).items() if value is not None}
    return raw.call("POST", "/api/v3/orderList/oco", **wanted)


def test_of_an_oco_one_leg_ends_the_other(raw: Raw) -> None:
    placed = oco(raw).body
    assert [order["clientOrderId"] for order in placed["orders"]] == ["above", "below"]
    assert raw.venue.do("balances")["BTC"]["locked"] == "1"
    trade(raw, "51000", "0.4")
    assert states(raw) == {"above": "PARTIALLY_FILLED", "below": "EXPIRED"}
    trade(raw, "51000", "5")
    listed = raw.call("GET", "/api/v3/orderList", orderListId=placed["orderListId"]).body
    assert listed["listOrderStatus"] == "ALL_DONE"


def test_a_leg_that_is_set_off_ends_the_other(raw: Raw) -> None:
    oco(raw)
    trade(raw, "49000")
    assert states(raw) == {"above": "EXPIRED", "below": "FILLED"}


def test_whoever_cancels_a_leg_cancels_the_list(raw: Raw) -> None:
    oco(raw)
    gone = raw.call("DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="below").body
    assert (gone["listOrderStatus"], len(gone["orderReports"])) == ("ALL_DONE", 2)
    assert states(raw) == {"above": "CANCELED", "below": "CANCELED"}
    assert raw.call("DELETE", "/api/v3/orderList", symbol="BTCUSDT", listClientOrderId="list").code == -2011
    assert raw.venue.do("balances")["BTC"]["locked"] == "0"


def test_lists_that_cannot_be(raw: Raw) -> None:
    wrong_side = oco(raw, abovePrice="48000")
    assert (wrong_side.code, wrong_side.body["msg"].startswith("The relationship of the prices")) == (
        -2010,
        True,
    )
    assert oco(raw, belowType="LIMIT_MAKER", belowStopPrice=None, belowTimeInForce=None).code == -1128
    assert oco(raw, quantity="11").code == -2010
    assert oco(raw, aboveClientOrderId="same", belowClientOrderId="same").code == -2010
    assert oco(raw, belowTimeInForce=None).code == -1102
    assert raw.call("GET", "/api/v3/openOrderList").body == []
    assert oco(raw).status == 200
    assert oco(raw, aboveClientOrderId="a", belowClientOrderId="b").code == -2010, "the list's id is taken"


def otoco(raw: Raw, **more: Any) -> Answer:
    wanted = {
        "symbol": "BTCUSDT",
        "workingType": "LIMIT",
        "workingSide": "BUY",
        "workingPrice": "49500",
        "workingQuantity": "1",
        "workingTimeInForce": "GTC",
        "workingClientOrderId": "entry",
        "pendingSide": "SELL",
        "pendingQuantity": "0.999",
        "pendingAboveType": "LIMIT_MAKER",
        "pendingAbovePrice": "51000",
        "pendingAboveClientOrderId": "above",
        "pendingBelowType": "STOP_LOSS",
        "pendingBelowStopPrice": "48000",
        "pendingBelowClientOrderId": "below",
    }
    return raw.call("POST", "/api/v3/orderList/otoco", **wanted | more)


def test_a_bracket_waits_for_its_entry_to_be_full(raw: Raw) -> None:
    assert otoco(raw).status == 200
    assert states(raw) == {"entry": "NEW", "above": "PENDING_NEW", "below": "PENDING_NEW"}
    assert raw.venue.do("balances")["BTC"]["locked"] == "0"
    trade(raw, "49500", "0.4")
    assert states(raw)["above"] == "PENDING_NEW"
    trade(raw, "49500", "0.6")
    assert states(raw) == {"entry": "FILLED", "above": "NEW", "below": "NEW"}
    trade(raw, "51000", "1")
    assert states(raw) == {"entry": "FILLED", "above": "FILLED", "below": "EXPIRED"}


def test_a_bracket_whose_entry_ends_early_is_over(raw: Raw) -> None:
    otoco(raw)
    trade(raw, "49500", "0.4")
    raw.venue.do("cancel", client_order_id="entry")
    assert states(raw) == {"entry": "CANCELED", "above": "EXPIRED", "below": "EXPIRED"}


def test_a_bracket_that_fills_at_once_is_at_work_at_once(raw: Raw) -> None:
    answer = otoco(raw, workingPrice="50010").body
    assert [report["status"] for report in answer["orderReports"]] == ["FILLED", "NEW", "NEW"]
    assert raw.venue.do("balances")["BTC"]["locked"] == "0.999"


def test_an_entry_that_is_refused_leaves_nothing(raw: Raw) -> None:
    assert otoco(raw, workingQuantity="100").code == -2010
    assert raw.call("GET", "/api/v3/openOrders").body == []
    assert raw.call("GET", "/api/v3/openOrderList").body == []


def test_an_oto_has_one_order_that_waits(raw: Raw) -> None:
    answer = raw.call(
        "POST",
        "/api/v3/orderList/oto",
        symbol="BTCUSDT",
        workingType="LIMIT_MAKER",
        workingSide="BUY",
        workingPrice="49500",
        workingQuantity="1",
        workingClientOrderId="entry",
        pendingType="LIMIT",
        pendingSide="SELL",
        pendingPrice="51000",
        pendingQuantity="0.999",
        pendingTimeInForce="GTC",
        pendingClientOrderId="exit",
    )
    assert answer.body["contingencyType"] == "OTO"
    trade(raw, "49500", "1")
    assert states(raw) == {"entry": "FILLED", "exit": "NEW"}
    lists = raw.call("GET", "/api/v3/allOrderList").body
    assert [each["listOrderStatus"] for each in lists] == ["EXECUTING"]
