"""What is sent."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.adapters.binance import wire
from brokergate.domain.orders import OrderSpec, OrderType, SelfTradePrevention, Side, TimeInForce

D = Decimal
T = OrderType
GTC, IOC = TimeInForce.GTC, TimeInForce.IOC


def spec(kind: OrderType, side: Side = Side.BUY, **fields: object) -> OrderSpec:
    values: dict[str, object] = {"time_in_force": GTC, "quantity": D("1.50"), **fields}
    return OrderSpec(symbol="BTC/USDT", side=side, type=kind, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "query"),
    [
        (spec(T.MARKET, time_in_force=IOC), "type=MARKET&quantity=1.5"),
        (
            spec(T.MARKET, time_in_force=IOC, quantity=None, quote_quantity=D("100.0")),
            "type=MARKET&quoteOrderQty=100",
        ),
        (spec(T.LIMIT, limit_price=D("0.00001000")), "type=LIMIT&timeInForce=GTC&quantity=1.5&price=0.00001"),
        (spec(T.LIMIT, limit_price=D(90000), post_only=True), "type=LIMIT_MAKER&quantity=1.5&price=90000"),
        (spec(T.STOP, stop_price=D(9)), "type=STOP_LOSS&quantity=1.5&stopPrice=9"),
        (
            spec(T.STOP_LIMIT, stop_price=D(9), limit_price=D(8), time_in_force=IOC),
            "type=STOP_LOSS_LIMIT&timeInForce=IOC&quantity=1.5&price=8&stopPrice=9",
        ),
        (spec(T.MARKET_IF_TOUCHED, stop_price=D(9)), "type=TAKE_PROFIT&quantity=1.5&stopPrice=9"),
        (
            spec(T.LIMIT_IF_TOUCHED, stop_price=D(9), limit_price=D(8)),
            "type=TAKE_PROFIT_LIMIT&timeInForce=GTC&quantity=1.5&price=8&stopPrice=9",
        ),
        (spec(T.TRAILING_STOP, trail_percent=D("0.25")), "type=STOP_LOSS&quantity=1.5&trailingDelta=25"),
        (
            spec(
                T.LIMIT,
                limit_price=D(9),
                display_quantity=D("0.10"),
                self_trade_prevention=SelfTradePrevention.CANCEL_BOTH,
            ),
            "type=LIMIT&timeInForce=GTC&quantity=1.5&price=9&icebergQty=0.1&selfTradePreventionMode=EXPIRE_BOTH",
        ),
    ],
)
def test_an_order(given: OrderSpec, query: str) -> None:
    params = wire.order_params("BTCUSDT", given, D("1.50"), "id-1")
    assert (
        wire.encode(params) == f"symbol=BTCUSDT&side=BUY&{query}&newClientOrderId=id-1&newOrderRespType=FULL"
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (spec(T.TRAILING_STOP, trail_amount=D(5)), "give trail_percent"),
        (spec(T.TRAILING_STOP, trail_percent=D("0.123")), "steps of 0.01 %"),
        (spec(T.STOP_LIMIT, stop_price=D(9), limit_price=D(8), post_only=True), "post_only for LIMIT orders"),
    ],
)
def test_what_binance_has_not_is_refused_in_words(given: OrderSpec, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wire.order_params("BTCUSDT", given, D(1), "id")


def leg(kind: OrderType, side: Side, **fields: object) -> tuple[OrderSpec, str]:
    return spec(kind, side, **fields), kind.name.lower()


def test_a_stop_below_and_a_profit_above_close_what_was_bought() -> None:
    legs = [leg(T.LIMIT, Side.SELL, limit_price=D(12)), leg(T.STOP, Side.SELL, stop_price=D(8))]
    assert wire.encode(wire.oco_params("BTCUSDT", "list", legs, D(2))) == (
        "symbol=BTCUSDT&listClientOrderId=list&side=SELL&quantity=2"
        "&aboveType=LIMIT_MAKER&aboveClientOrderId=limit&abovePrice=12"
        "&belowType=STOP_LOSS&belowClientOrderId=stop&belowStopPrice=8&newOrderRespType=FULL"
    )


def test_a_stop_above_and_a_profit_below_close_what_was_sold() -> None:
    legs = [
        leg(T.LIMIT_IF_TOUCHED, Side.BUY, limit_price=D(8), stop_price=D(9)),
        leg(T.STOP_LIMIT, Side.BUY, limit_price=D(13), stop_price=D(12)),
    ]
    assert wire.encode(wire.oco_params("BTCUSDT", "list", legs, D(2))) == (
        "symbol=BTCUSDT&listClientOrderId=list&side=BUY&quantity=2"
        "&aboveType=STOP_LOSS_LIMIT&aboveClientOrderId=stop_limit&abovePrice=13&aboveStopPrice=12&aboveTimeInForce=GTC"
        "&belowType=TAKE_PROFIT_LIMIT&belowClientOrderId=limit_if_touched&belowPrice=8&belowStopPrice=9"
        "&belowTimeInForce=GTC&newOrderRespType=FULL"
    )


def test_a_bracket_has_its_entry_and_two_legs_or_one() -> None:
    entry = (spec(T.LIMIT, limit_price=D(10)), "entry")
    profit = leg(T.LIMIT, Side.SELL, limit_price=D(12))
    loss = leg(T.STOP, Side.SELL, stop_price=D(8))
    kind, params = wire.bracket_params("BTCUSDT", "list", entry, [profit, loss], D(2))
    head = (
        "symbol=BTCUSDT&listClientOrderId=list&workingType=LIMIT&workingSide=BUY&workingClientOrderId=entry"
        "&workingQuantity=2&workingPrice=10&workingTimeInForce=GTC&pendingSide=SELL&pendingQuantity=2"
    )
    assert (kind, wire.encode(params)) == (
        "otoco",
        f"{head}&pendingAboveType=LIMIT_MAKER&pendingAboveClientOrderId=limit&pendingAbovePrice=12"
        "&pendingBelowType=STOP_LOSS&pendingBelowClientOrderId=stop&pendingBelowStopPrice=8&newOrderRespType=FULL",
    )
    kind, params = wire.bracket_params("BTCUSDT", "list", entry, [loss], D(2))
    assert (kind, wire.encode(params)) == (
        "oto",
        f"{head}&pendingType=STOP_LOSS&pendingClientOrderId=stop&pendingStopPrice=8&newOrderRespType=FULL",
    )
    kind, params = wire.bracket_params("BTCUSDT", "list", entry, [profit], D(2))
    assert ("pendingType", "LIMIT") in params
    assert ("pendingTimeInForce", "GTC") in params


@pytest.mark.parametrize(
    ("legs", "words"),
    [
        ([leg(T.LIMIT, Side.SELL, limit_price=D(12))], "links two orders, not 1"),
        (
            [leg(T.LIMIT, Side.SELL, limit_price=D(12)), leg(T.LIMIT, Side.SELL, limit_price=D(13))],
            "give one of each",
        ),
        ([leg(T.MARKET, Side.SELL), leg(T.STOP, Side.SELL, stop_price=D(8))], "no MARKET order"),
    ],
)
def test_groups_that_binance_does_not_link(legs: list[tuple[OrderSpec, str]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wire.oco_params("BTCUSDT", "list", legs, D(1))


def test_an_entry_has_to_be_a_limit_order() -> None:
    with pytest.raises(ValueError, match="LIMIT order alone as the entry"):
        wire.bracket_params(
            "BTCUSDT", "l", (spec(T.MARKET), "e"), [leg(T.STOP, Side.SELL, stop_price=D(8))], D(1)
        )


def test_only_questions_and_cancels_are_sent_again() -> None:
    params = wire.order_params("BTCUSDT", spec(T.LIMIT, limit_price=D(9)), D(1), "id")
    again = [
        wire.open_orders(),
        wire.account(),
        wire.cancel("BTCUSDT", "1", "id"),
        wire.cancel_all("BTCUSDT"),
    ]
    once = [wire.place(params), wire.cancel_replace("1", params, "x"), wire.amend("BTCUSDT", "1", D(1), "id")]
    assert all(request.repeatable for request in again)
    assert not any(request.repeatable for request in (*once, wire.place_list("oco", params, 2)))


def test_an_order_is_named_by_its_number_where_it_has_one() -> None:
    assert ("orderId", "28") in wire.get_order("BTCUSDT", "28", "id").params
    assert ("origClientOrderId", "id") in wire.get_order("BTCUSDT", "", "id").params
