"""What becomes of orders: in groups, by the market, by the hours."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.domain.orders import Side
from tests.emulators.alpaca.bench import Bench, at, bracket, legs
from tests.emulators.alpaca.hours import Mode

D = Decimal


def test_legs_wait_for_the_whole_entry() -> None:
    bench = Bench()
    bench.show("AAPL", "189", "190", "4")
    placed = bracket(bench, limit_price="190")
    assert bench.events() == ["pending_new", "held", "held", "new", "partial_fill"]
    assert legs(bench, placed) == [("held", "10", "0"), ("held", "10", "0")]
    bench.show("AAPL", "189", "190", "100")
    assert legs(bench, placed) == [("new", "10", "0"), ("new", "10", "0")]


def test_what_one_leg_fills_the_other_is_less() -> None:
    bench = Bench()
    placed = bracket(bench)
    bench.show("AAPL", "200", "200.02", "3")
    assert legs(bench, placed) == [("partially_filled", "10", "3"), ("new", "7", "0")]
    bench.trade("AAPL", "180", "180.02", "100")
    assert legs(bench, placed) == [("canceled", "10", "3"), ("filled", "7", "7")]
    assert bench.desk.holdings.positions == {}


def test_one_cancel_ends_the_group() -> None:
    bench = Bench()
    placed = bracket(bench, limit_price="185")
    bench.desk.cancel(placed["legs"][0]["id"], bench.now_ns)
    assert bench.status(placed) == "canceled"
    assert [status for status, _, _ in legs(bench, placed)] == ["canceled", "canceled"]
    assert bench.desk.floor.open == []


def test_the_legs_follow_a_replaced_entry() -> None:
    bench = Bench()
    placed = bracket(bench, limit_price="185")
    new = bench.desk.replace(placed["id"], {"qty": "20"}, bench.now_ns)
    assert [qty for _, qty, _ in legs(bench, new)] == ["20", "20"]
    bench.show("AAPL", "184.9", "185")
    assert legs(bench, new) == [("new", "20", "0"), ("new", "20", "0")]


def test_a_leg_can_be_replaced_and_still_ends_the_other() -> None:
    bench = Bench()
    placed = bracket(bench)
    profit = bench.desk.replace(placed["legs"][0]["id"], {"limit_price": "195"}, bench.now_ns)
    bench.show("AAPL", "195", "195.02")
    assert bench.status(profit) == "filled"
    assert bench.status(placed["legs"][1]) == "canceled"


@pytest.mark.parametrize(("bid", "ask", "filled"), [("200", "200.1", "limit"), ("180", "180.1", "stop")])
def test_an_oco_ends_either_way(bid: str, ask: str, filled: str) -> None:
    bench = Bench()
    bench.place(qty="10")
    placed = bench.place(
        side="sell", type="limit", order_class="oco",
        take_profit={"limit_price": "200"}, stop_loss={"stop_price": "180"},
    )  # fmt: skip
    assert bench.status(placed) == "new"
    assert legs(bench, placed) == [("held", "10", "0")]
    bench.trade("AAPL", bid, ask)
    found = {"limit": bench.status(placed), "stop": legs(bench, placed)[0][0]}
    assert found.pop(filled) == "filled"
    assert list(found.values()) == ["canceled"]
    assert bench.desk.holdings.positions == {}


def test_legs_that_wait_can_be_replaced() -> None:
    bench = Bench()
    placed = bracket(bench, limit_price="185")
    profit = bench.desk.replace(placed["legs"][0]["id"], {"limit_price": "210"}, bench.now_ns)
    assert (profit["status"], bench.status(profit)) == ("held", "held")
    bench.show("AAPL", "184.9", "185")
    assert bench.status(profit) == "new"
    bench.show("AAPL", "205", "205.1")
    assert bench.status(profit) == "new"
    bench.show("AAPL", "210", "210.1")
    assert bench.status(profit) == "filled"


def test_an_oto_has_one_leg() -> None:
    bench = Bench()
    placed = bench.place(order_class="oto", stop_loss={"stop_price": "180", "limit_price": "179"})
    (leg,) = bench.order(placed)["legs"]
    assert (leg["type"], leg["side"], leg["status"]) == ("stop_limit", "sell", "new")


# The market


def test_a_market_order_gets_the_rest_when_there_is_something() -> None:
    bench = Bench()
    bench.show("AAPL", "190", "190.02", "4")
    placed = bench.place(qty="10")
    assert bench.status(placed) == "partially_filled"
    bench.show("AAPL", "190", "190.05", "3")
    assert bench.order(placed)["filled_qty"] == "7"
    bench.show("AAPL", "190", "190.05", "5")
    assert bench.status(placed) == "filled"
    bench.core.show("MSFT", [], [], bench.now_ns)
    waiting = bench.place("MSFT")
    bench.desk.cancel(waiting["id"], bench.now_ns)
    bench.show("MSFT", "420", "420.1")
    assert bench.status(waiting) == "canceled"


@pytest.mark.parametrize(("time_in_force", "filled"), [("ioc", "4"), ("fok", "0")])
def test_what_does_not_rest_is_canceled(time_in_force: str, filled: str) -> None:
    bench = Bench()
    bench.show("AAPL", "190", "190.02", "4")
    placed = bench.place(limit_price="191", time_in_force=time_in_force)
    order = bench.order(placed)
    assert (order["status"], order["filled_qty"]) == ("canceled", filled)
    assert bench.events()[-1] == "canceled"


def test_a_trailing_stop_tells_where_it_stands() -> None:
    bench = Bench()
    bench.place(qty="10")
    placed = bench.place(side="sell", type="trailing_stop", trail_price="5")
    bench.trade("AAPL", "200", "200.1")
    order = bench.order(placed)
    assert (order["hwm"], order["stop_price"]) == ("200", "195")
    bench.trade("AAPL", "194", "194.1")
    assert bench.status(placed) == "filled"


def test_orders_of_others_are_seen() -> None:
    bench = Bench()
    bench.core.add_fill("AAPL", Side.BUY, D(3), D(150), bench.now_ns)
    assert bench.events() == ["new", "fill"]
    assert bench.desk.holdings.positions["AAPL"].qty == 3
    (order,) = bench.desk.floor.orders
    assert (order.status, order.source) == ("filled", "access_key")


# Hours


def test_a_day_order_outside_hours_is_queued_and_comes_with_the_open() -> None:
    bench = Bench(at("2026-06-15T11:00:00Z"))
    placed = bench.place(time_in_force="day")
    assert (placed["status"], bench.status(placed)) == ("accepted", "accepted")
    assert bench.events() == ["accepted"]
    bench.go("2026-06-15T13:29:59Z")
    assert bench.status(placed) == "accepted"
    bench.go("2026-06-15T13:30:00Z")
    assert bench.events() == ["new", "fill"]


def test_a_day_order_expires_at_the_close_and_a_gtc_order_comes_again() -> None:
    bench = Bench()
    day, gtc = (bench.place(limit_price="180", time_in_force=kind) for kind in ("day", "gtc"))
    bench.go("2026-06-15T20:00:01Z")
    assert (bench.status(day), bench.status(gtc)) == ("expired", "new")
    assert bench.order(day)["expired_at"] == "2026-06-15T20:00:00.000000000Z"
    bench.show("AAPL", "179", "179.5")
    assert bench.status(gtc) == "new", "nothing trades at night"
    bench.go("2026-06-16T13:30:00Z")
    assert bench.status(gtc) == "filled"


def test_extended_hours_trade_before_and_after() -> None:
    bench = Bench(at("2026-06-15T11:00:00Z"))
    early = bench.place(limit_price="191", time_in_force="day", extended_hours=True)
    assert bench.status(early) == "filled"
    late = bench.place(limit_price="180", time_in_force="day", extended_hours=True)
    bench.go("2026-06-15T21:00:00Z")
    assert bench.status(late) == "new"
    bench.go("2026-06-16T00:00:00Z")
    assert bench.status(late) == "expired"


def test_the_night_and_the_weekend() -> None:
    bench = Bench(at("2026-06-13T15:00:00Z"))
    placed = bench.place(limit_price="191", time_in_force="day", extended_hours=True)
    assert bench.status(placed) == "accepted", "Saturday"
    bench.go("2026-06-15T00:00:00Z")
    assert bench.status(placed) == "filled", "Sunday, 20:00 in New York"


def test_orders_for_the_auctions() -> None:
    bench = Bench(at("2026-06-15T13:00:00Z"))
    opening = bench.place(time_in_force="opg")
    closing = bench.place(time_in_force="cls", limit_price="180")
    bench.go("2026-06-15T13:29:00Z")
    assert "opg orders are not accepted" in bench.refused(time_in_force="opg").message
    bench.go("2026-06-15T14:00:00Z")
    assert (bench.status(opening), bench.status(closing)) == ("filled", "accepted")
    bench.go("2026-06-15T19:55:00Z")
    assert "cls orders are not accepted" in bench.refused(time_in_force="cls").message
    bench.show("AAPL", "179", "179.5")
    bench.go("2026-06-15T20:00:00Z")
    assert bench.status(closing) == "filled"


def test_ioc_is_for_market_hours() -> None:
    bench = Bench(at("2026-06-15T11:00:00Z"))
    assert "market hours" in bench.refused(limit_price="191", time_in_force="ioc").message


def test_crypto_knows_no_hours() -> None:
    bench = Bench(at("2026-06-13T15:00:00Z"))
    assert bench.status(bench.place("BTC/USD", qty="0.1")) == "filled"


def test_hours_can_be_left_out() -> None:
    bench = Bench(at("2026-06-13T15:00:00Z"), Mode.ALWAYS)
    assert bench.status(bench.place(time_in_force="day")) == "filled"
    day = bench.place(limit_price="180", time_in_force="day")
    bench.go("2026-06-14T00:00:00Z")
    assert bench.status(day) == "expired"
