"""What an account may ask for, and what becomes of its orders: without a socket, by a clock of the test's own."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest

from brokergate.domain.orders import Side
from tests.emulators.alpaca.assets import Assets
from tests.emulators.alpaca.core import AlpacaCore
from tests.emulators.alpaca.desk import Desk
from tests.emulators.alpaca.hours import Hours, Mode
from tests.emulators.alpaca.numbers import moment_ns
from tests.emulators.alpaca.refusal import Refused

D = Decimal


def at(text: str) -> int:
    moment = moment_ns(text)
    assert moment is not None
    return moment


MONDAY = at("2026-06-15T14:00:00Z")
"""10:00 in New York."""


class Bench:
    """A desk, its clock and what it told."""

    def __init__(self, now_ns: int = MONDAY, mode: Mode = Mode.NYSE, cash: str = "100000") -> None:
        self.now_ns = now_ns
        self.told: list[dict[str, Any]] = []
        self.assets = Assets()
        self.core = AlpacaCore(self.assets, {"USD": D(cash)}, now_ns)
        self.desk = Desk(self.core, self.assets, Hours(mode), Random(1), self.told.append)

    def place(
        self, symbol: str = "AAPL", side: str = "buy", qty: str | None = "10", **more: Any
    ) -> dict[str, Any]:
        type_ = "limit" if "limit_price" in more else "market"
        body = {"symbol": symbol, "side": side, "qty": qty, "type": type_, "time_in_force": "gtc", **more}
        return self.desk.place(body, self.now_ns)

    def order(self, placed: dict[str, Any]) -> dict[str, Any]:
        return self.desk.floor.shape(self.desk.order(placed["id"]))

    def status(self, placed: dict[str, Any]) -> str:
        return str(self.order(placed)["status"])

    def show(self, symbol: str, bid: str, ask: str, size: str = "1000") -> None:
        self.core.show(symbol, [(D(bid), D(size))], [(D(ask), D(size))], self.now_ns)

    def trade(self, symbol: str, bid: str, ask: str, size: str = "1000") -> None:
        """The market moves there, and others trade at the bid: what sets stops off."""
        self.show(symbol, bid, ask, size)
        self.core.trade(symbol, D(bid), D(1), "sell", self.now_ns)

    def go(self, text: str) -> None:
        """Time passes until then."""
        self.now_ns = at(text)
        self.core.advance(self.now_ns)

    def events(self) -> list[str]:
        told = [str(each["event"]) for each in self.told]
        self.told.clear()
        return told

    def refused(self, **order: Any) -> Refused:
        with pytest.raises(Refused) as refused:
            self.place(**order)
        return refused.value


# Funds, shares, flags


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


# Replace and cancel


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


# Groups


def bracket(bench: Bench, **more: Any) -> dict[str, Any]:
    return bench.place(
        order_class="bracket", take_profit={"limit_price": "200"}, stop_loss={"stop_price": "180"}, **more
    )


def legs(bench: Bench, placed: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(leg["status"], leg["qty"], leg["filled_qty"]) for leg in bench.order(placed)["legs"]]


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


# Activities


def test_activities_are_paged_and_bounded() -> None:
    bench = Bench()
    for minute in range(5):
        bench.go(f"2026-06-15T14:0{minute}:00Z")
        bench.place("ETH/USD", qty="1")
    activities = bench.desk.floor.activities
    ids = [each["id"] for each in activities.page({"direction": "asc"}, {"FILL"}, bench.now_ns)]
    assert ids == sorted(ids)
    assert len(ids) == 5
    newest = activities.page({"page_size": "2"}, {"FILL"}, bench.now_ns)
    assert [each["id"] for each in newest] == [ids[4], ids[3]]
    second = activities.page({"page_size": "2", "page_token": ids[3]}, {"FILL"}, bench.now_ns)
    assert [each["id"] for each in second] == [ids[2], ids[1]]
    after = activities.page({"after": "2026-06-15T14:03:00Z"}, {"FILL"}, bench.now_ns)
    assert [each["id"] for each in after] == [ids[4]]
    until = activities.page({"until": "2026-06-15T14:01:00Z"}, {"FILL"}, bench.now_ns)
    assert [each["id"] for each in until] == [ids[0]]
    assert len(activities.page({"date": "2026-06-15"}, {"FILL"}, bench.now_ns)) == 5
    assert activities.page({"date": "2026-06-14"}, {"FILL"}, bench.now_ns) == []
    for bad in ({"page_size": "101"}, {"direction": "up"}, {"page_token": "x"}, {"after": "soon"}):
        with pytest.raises(Refused):
            activities.page(bad, None, bench.now_ns)


def test_a_fee_of_crypto_is_told_when_the_day_is_over_and_sorts_before_it() -> None:
    bench = Bench()
    bench.place("ETH/USD", qty="1")
    activities = bench.desk.floor.activities
    assert [each["activity_type"] for each in activities.page({}, None, bench.now_ns)] == ["FILL"]
    bench.go("2026-06-16T04:00:00Z")
    kinds = [each["activity_type"] for each in activities.page({"direction": "asc"}, None, bench.now_ns)]
    assert kinds == ["CFEE", "FILL"]
