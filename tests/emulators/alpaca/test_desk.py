"""What an account may ask for, and what it is refused: funds, shares, flags, changes of orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.emulators.alpaca.bench import MONDAY, Bench, at, bracket
from tests.emulators.alpaca.refusal import Refused

D = Decimal


def test_stocks_are_bought_on_margin_and_crypto_is_paid_in_full() -> None:
    bench = Bench()
    assert bench.desk.holdings.figures([]).buying_power == 200_000
    bench.place("AAPL", qty="1000")
    figures = bench.desk.holdings.figures([])
    assert figures.cash == 100_000 - 190_020
    assert figures.equity == 100_000
    assert figures.buying_power == 200_000 - 190_020
    refusal = bench.refused(qty="60")
    assert (refusal.code, refusal.message) == (40310000, "insufficient buying power")
    assert refusal.fields == {"buying_power": "9980", "cost_basis": "11401.2"}
    assert bench.refused(symbol="BTC/USD", qty="0.1").message.startswith("insufficient balance for USD")
    bench.place("BTC/USD", qty="0.08")


def test_an_open_order_ties_up_buying_power_until_it_ends() -> None:
    bench = Bench()
    placed = bench.place(limit_price="150", qty="1000")
    assert bench.desk.holdings.figures(bench.desk.floor.open).buying_power == 50_000
    assert bench.refused(limit_price="150", qty="400").message == "insufficient buying power"
    bench.desk.cancel(placed["id"], bench.now_ns)
    assert bench.desk.holdings.figures(bench.desk.floor.open).buying_power == 200_000


def test_a_cash_account_has_no_leverage_and_sells_nothing_short() -> None:
    bench = Bench()
    bench.desk.holdings.multiplier = 1
    assert bench.desk.holdings.figures([]).buying_power == 100_000
    assert bench.refused(side="sell").message == "account is not allowed to short"


def test_what_is_held_for_orders_cannot_be_sold_again() -> None:
    bench = Bench()
    bench.place(qty="10")
    first = bench.place(side="sell", qty="10", limit_price="200")
    refusal = bench.refused(side="sell", qty="1", limit_price="200")
    assert refusal.message == "insufficient qty available for order (requested: 1, available: 0)"
    assert refusal.fields["related_orders"] == [first["id"]]
    assert refusal.fields["held_for_orders"] == "10"
    apple = bench.assets.find("AAPL")
    assert apple is not None
    assert bench.desk.position_shape(apple)["qty_available"] == "0"


def test_the_orders_of_a_group_hold_their_shares_once() -> None:
    bench = Bench()
    bracket(bench)
    refusal = bench.refused(side="sell", qty="1", limit_price="210")
    assert refusal.fields["held_for_orders"] == "10"
    assert len(refusal.fields["related_orders"]) == 2


def test_an_order_does_not_turn_a_position_around() -> None:
    bench = Bench()
    bench.place(qty="10")
    assert bench.refused(side="sell", qty="15").code == 40310000


def test_crypto_is_never_short_and_costs_its_fee_in_coins() -> None:
    bench = Bench()
    bench.place("BTC/USD", qty="1")
    assert bench.desk.holdings.positions["BTC/USD"].qty == D("0.9975")
    refusal = bench.refused(symbol="BTC/USD", side="sell", qty="1")
    assert refusal.message == "insufficient balance for BTC (requested: 1, available: 0.9975)"
    assert bench.refused(symbol="ETH/USD", side="sell", qty="1").message.startswith(
        "insufficient balance for ETH"
    )
    before = bench.core.totals["USD"]
    bench.place("BTC/USD", side="sell", qty="0.5")
    assert bench.core.totals["USD"] - before == D("30000") * (1 - D("0.0025"))


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ({"symbol": "BTC/USD", "qty": "0.0001"}, "cost basis must be >= minimal amount of order 10"),
        ({"symbol": "ETH/USD", "qty": "0.0009", "limit_price": "30000"}, "minimal qty"),
        ({"symbol": "GME", "side": "sell"}, "cannot be sold short"),
        ({"side": "sell", "qty": "0.5", "time_in_force": "day"}, "fractional orders cannot be sold short"),
        (
            {"order_class": "oco", "side": "sell", "limit_price": "200", "stop_loss": {"stop_price": "180"}},
            "exit",
        ),
    ],
)
def test_what_the_account_may_not(order: dict[str, Any], text: str) -> None:
    assert text in Bench().refused(**order).message


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ({"trading_blocked": True}, "not allowed to trade"),
        ({"account_blocked": True}, "account is blocked"),
        ({"trade_suspended_by_user": True}, "new orders are rejected by user request"),
        ({"status": "ACCOUNT_CLOSED"}, "not allowed to trade"),
    ],
)
def test_flags_stop_new_orders_and_no_cancels(flag: dict[str, Any], text: str) -> None:
    bench = Bench()
    placed = bench.place(limit_price="150")
    bench.desk.flags.change(flag)
    refusal = bench.refused()
    assert (refusal.status, refusal.code) == (403, 40310000)
    assert text in refusal.message
    bench.desk.cancel(placed["id"], bench.now_ns)
    assert bench.status(placed) == "canceled"


def test_a_wash_trade_is_refused() -> None:
    bench = Bench()
    bench.place(qty="10")
    resting = bench.place(qty="5", limit_price="185")
    refusal = bench.refused(side="sell", qty="5", limit_price="185")
    assert refusal.fields == {
        "existing_order_id": resting["id"],
        "reject_reason": "opposite side limit order exists",
    }
    assert bench.refused(side="sell", qty="5").message.startswith("potential wash trade")
    bench.place(side="sell", qty="5", limit_price="195")


def test_a_client_order_id_is_unique_for_ever() -> None:
    bench = Bench()
    placed = bench.place(limit_price="150", client_order_id="once")
    bench.desk.cancel(placed["id"], bench.now_ns)
    refusal = bench.refused(client_order_id="once")
    assert (refusal.status, refusal.code) == (422, 40010001)
    assert refusal.message == "client_order_id must be unique"
    other = bench.place(limit_price="150", client_order_id="twice")
    with pytest.raises(Refused, match="must be unique"):
        bench.desk.replace(other["id"], {"limit_price": "151", "client_order_id": "once"}, bench.now_ns)


def test_a_replace_keeps_what_has_filled_and_links_both() -> None:
    bench = Bench()
    bench.show("AAPL", "189", "190", "4")
    placed = bench.place(qty="10", limit_price="190", client_order_id="a")
    assert bench.order(placed)["filled_qty"] == "4"
    bench.events()
    new = bench.desk.replace(placed["id"], {"qty": 12, "client_order_id": "b"}, bench.now_ns)
    assert bench.events() == ["pending_replace", "replaced", "new"]
    assert (new["replaces"], new["filled_qty"], new["client_order_id"]) == (placed["id"], "4", "b")
    assert bench.order(placed)["replaced_by"] == new["id"]
    bench.show("AAPL", "189", "190", "100")
    done = bench.order(new)
    assert (done["status"], done["filled_qty"], done["filled_avg_price"]) == ("filled", "12", "190")
    assert bench.desk.holdings.positions["AAPL"].qty == 12


@pytest.mark.parametrize(
    ("order", "change", "text"),
    [
        ({"limit_price": "150", "extended_hours": False, "time_in_force": "opg"}, {"limit_price": "151"}, "accepted"),
        ({"limit_price": "190.02"}, {"limit_price": "191"}, 'already in "filled"'),
        ({"limit_price": "150"}, {"limit_price": "200000"}, "insufficient buying power"),
    ],
)  # fmt: skip
def test_what_cannot_be_replaced(order: dict[str, Any], change: dict[str, Any], text: str) -> None:
    bench = Bench(at("2026-06-15T13:00:00Z") if "time_in_force" in order else MONDAY)
    placed = bench.place(**order)
    before = bench.status(placed)
    with pytest.raises(Refused, match=text):
        bench.desk.replace(placed["id"], change, bench.now_ns)
    assert bench.status(placed) == before


def test_an_order_for_an_amount_is_not_replaced() -> None:
    bench = Bench()
    bench.core.show("AAPL", [], [], bench.now_ns)
    placed = bench.place(qty=None, notional="500", time_in_force="day")
    assert bench.status(placed) == "new"
    with pytest.raises(Refused, match="notional orders cannot be replaced"):
        bench.desk.replace(placed["id"], {"qty": "5"}, bench.now_ns)


def test_a_cancel_of_what_has_ended_or_never_was() -> None:
    bench = Bench()
    placed = bench.place()
    with pytest.raises(Refused, match='already in "filled" state'):
        bench.desk.cancel(placed["id"], bench.now_ns)
    with pytest.raises(Refused) as refused:
        bench.desk.cancel("61e69015-8549-4bfd-b9c3-01e75843f47d", bench.now_ns)
    assert (refused.value.status, refused.value.code) == (404, 40410000)


def test_a_replace_is_no_wash_trade_either() -> None:
    bench = Bench()
    bench.place(qty="10")
    bench.place(side="sell", limit_price="195")
    buying = bench.place(limit_price="185")
    with pytest.raises(Refused, match="wash trade"):
        bench.desk.replace(buying["id"], {"limit_price": "195"}, bench.now_ns)


@pytest.mark.parametrize("kind", ["ioc", "fok", "opg", "cls"])
def test_an_open_order_does_not_become_one_that_never_rests(kind: str) -> None:
    bench = Bench()
    placed = bench.place(limit_price="185")
    with pytest.raises(Refused, match="cannot become"):
        bench.desk.replace(placed["id"], {"time_in_force": kind}, bench.now_ns)
    new = bench.desk.replace(placed["id"], {"time_in_force": "day"}, bench.now_ns)
    bench.go("2026-06-15T20:00:00Z")
    assert bench.status(new) == "expired"


def test_an_order_for_an_amount_gets_all_of_it_level_by_level() -> None:
    bench = Bench()
    bench.show("AAPL", "190", "190.02", "1")
    placed = bench.place(qty=None, notional="500", time_in_force="day")
    order = bench.order(placed)
    assert (order["status"], order["filled_qty"], order["qty"]) == ("partially_filled", "1", None)
    bench.show("AAPL", "190", "200", "100")
    order = bench.order(placed)
    assert order["status"] == "filled"
    assert D("499.99999") < D(order["filled_qty"]) * D(order["filled_avg_price"]) <= 500


def test_a_fill_comes_before_a_cancel_that_is_pending() -> None:
    bench = Bench()
    placed = bench.place(limit_price="185")
    bench.desk.floor.hold_back()
    bench.desk.cancel(placed["id"], bench.now_ns)
    assert bench.status(placed) == "pending_cancel"
    with pytest.raises(Refused, match="pending_cancel"):
        bench.desk.cancel(placed["id"], bench.now_ns)
    with pytest.raises(Refused, match="cannot replace order in pending_cancel"):
        bench.desk.replace(placed["id"], {"qty": "5"}, bench.now_ns)
    bench.show("AAPL", "184.9", "185")
    assert bench.desk.floor.release() == 1
    assert bench.status(placed) == "filled"
    assert bench.events() == ["pending_new", "new", "pending_cancel", "fill", "order_cancel_rejected"]


def test_a_fill_comes_before_a_replace_that_is_pending() -> None:
    bench = Bench()
    bench.desk.floor.hold_back()
    gone, part = (bench.place(limit_price="185", qty=qty) for qty in ("10", "20"))
    first = bench.desk.replace(gone["id"], {"limit_price": "184"}, bench.now_ns)
    second = bench.desk.replace(part["id"], {"qty": "30"}, bench.now_ns)
    assert [bench.status(order) for order in (gone, part)] == ["pending_replace", "pending_replace"]
    bench.show("AAPL", "184.9", "185", "15")
    bench.events()
    bench.desk.floor.release()
    assert bench.events() == ["order_replace_rejected", "rejected", "replaced", "new"]
    assert [bench.status(order) for order in (gone, first, part, second)] == [
        "filled", "rejected", "replaced", "partially_filled",
    ]  # fmt: skip
    assert bench.order(second)["filled_qty"] == "5", "what filled until then counts"


def test_a_test_can_tell_what_the_market_behind_has_not() -> None:
    bench = Bench()
    placed = bench.place(limit_price="185")
    bench.events()
    for event in ("calculated", "stopped", "suspended", "done_for_day"):
        bench.desk.floor.announce(bench.desk.order(placed["id"]), event)
        assert bench.status(placed) == event
    assert bench.events() == ["calculated", "stopped", "suspended", "done_for_day"]
    bench.desk.cancel(placed["id"], bench.now_ns)
    assert bench.status(placed) == "canceled"
