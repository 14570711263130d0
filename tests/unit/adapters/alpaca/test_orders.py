"""Whose an order is, and what its updates mean."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from brokergate.adapters.alpaca import answers
from brokergate.adapters.alpaca.answers import Activity, TradeUpdate
from brokergate.adapters.alpaca.orders import Orders, replaced
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.fills import Money
from brokergate.domain.orders import OrderState, OrderType, ProtectiveLeg, Side, TimeInForce
from brokergate.domain.values import changed
from brokergate.ports.broker import FillReport, GroupKind, OrderGroup, OrderReport
from tests.unit.adapters.alpaca.shapes import fixture, order

D = Decimal
FRAMES = fixture("stream_orders")


def update(orders: Orders, name: str, client_order_id: str = "c1", **fields: Any) -> TradeUpdate:
    """A documented update, of the gateway's order of that id; of others' for an empty one."""
    told = answers.trade_update(FRAMES[name]["data"])
    venue_id = orders.ids.venue_id(client_order_id, 1) if client_order_id else "somebody-else"
    return changed(told, order=changed(told.order, client_order_id=venue_id, **fields))


@pytest.fixture
def orders() -> Orders:
    """Those of an account that has none yet."""
    return Orders("alpaca-paper")


def test_an_order_is_ours_by_its_name(orders: Orders) -> None:
    """In every generation; one of others never is, nor one of another account of the gateway."""
    shown = update(orders, "new").order
    assert orders.client_id(shown) == "c1"
    assert Orders("alpaca-other").client_id(shown) == ""
    assert orders.client_id(changed(shown, client_order_id="c1")) == ""
    third = changed(shown, client_order_id=orders.ids.venue_id("c1", 3))
    assert orders.client_id(third) == "c1"


def test_a_replace_never_takes_a_name_twice(orders: Orders) -> None:
    """Also where the one before came to nothing."""
    first = order()
    names = [orders.name(first), orders.next_name(first), orders.next_name(first)]
    assert len(set(names)) == 3
    assert {orders.ids.client_id(name) for name in names} == {("c1", 1), ("c1", 2), ("c1", 3)}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("new", OrderEventType.ACKNOWLEDGED),
        ("canceled", OrderEventType.CANCELED),
        ("expired", OrderEventType.EXPIRED),
        ("rejected", OrderEventType.REJECTED),
    ],
)
def test_what_happens_to_an_order(orders: Orders, name: str, kind: OrderEventType) -> None:
    """Is told under the gateway's id."""
    frame = name if name in FRAMES else "new"
    told = changed(update(orders, frame), event=name)
    (report,) = orders.reports(told)
    assert isinstance(report, OrderReport)
    assert (report.event, report.client_order_id, report.broker_order_id) == (kind, "c1", told.order.id)
    assert report.event_time_ns == told.time_ns


@pytest.mark.parametrize(
    "name", ["pending_cancel", "pending_replace", "done_for_day", "stopped", "calculated"]
)
def test_what_changes_nothing(orders: Orders, name: str) -> None:
    """It is under way, or goes on tomorrow."""
    assert orders.reports(changed(update(orders, "new"), event=name)) == []
    assert orders.reports(changed(update(orders, "new"), event="a word of next year")) == []


def test_refused_changes(orders: Orders) -> None:
    """The stream says so after the venue's yes."""
    for name, kind in (
        ("order_cancel_rejected", OrderEventType.CANCEL_REJECTED),
        ("order_replace_rejected", OrderEventType.REPLACE_REJECTED),
    ):
        (report,) = orders.reports(changed(update(orders, "new"), event=name))
        assert isinstance(report, OrderReport)
        assert report.event is kind


def test_an_order_of_others_is_no_report_until_it_ends(orders: Orders) -> None:
    """It is taken in where it is seen open."""
    assert orders.reports(update(orders, "new", "")) == []
    (report,) = orders.reports(changed(update(orders, "new", ""), event="canceled"))
    assert isinstance(report, OrderReport)
    assert (report.client_order_id, report.event) == ("", OrderEventType.CANCELED)


def test_a_fill(orders: Orders) -> None:
    """By its execution id; no fee is known, which is not a fee of zero."""
    told = update(orders, "partial_fill")
    (report,) = orders.reports(told)
    assert isinstance(report, FillReport)
    assert (report.client_order_id, report.execution_id) == ("c1", told.execution_id)
    assert (report.quantity, report.price) == (told.quantity, told.price)
    assert (report.fees, report.fees_final) == ((), False)


def test_an_execution_is_one_by_the_stream_and_by_the_activities(orders: Orders) -> None:
    """Its id ends alike; and where it would not, order, sum, quantity and price say that it is the same (law 7)."""
    told = update(orders, "partial_fill")
    orders.reports(told)
    assert told.quantity is not None
    assert told.price is not None
    activity = Activity(
        "20260316::drawn-anew",
        "drawn-anew",
        told.order.id,
        "AAPL",
        Side.BUY,
        told.quantity,
        told.price,
        told.order.filled,
        told.time_ns,
    )
    same = changed(activity, execution_id=told.execution_id)
    assert orders.missed(same, "c1", "AAPL").execution_id == told.execution_id
    assert orders.missed(activity, "c1", "AAPL").execution_id == told.execution_id
    other = changed(activity, cum=D(77))
    assert orders.missed(other, "c1", "AAPL").execution_id == "drawn-anew"


def test_a_fill_or_kill_order_that_is_cancelled_could_not_be_filled(orders: Orders) -> None:
    """Alpaca gives no reason; this one follows."""
    told = changed(update(orders, "new", time_in_force=TimeInForce.FOK), event="canceled")
    (report,) = orders.reports(told)
    assert isinstance(report, OrderReport)
    assert report.reason is ErrorReason.NOT_FILLABLE


def test_an_amount_comes_to_what_is_filled(orders: Orders) -> None:
    """More or less than it was counted as: the total is told before the fill that shows it."""
    orders.count(order(type=OrderType.MARKET, quantity=None, quote_quantity=D(100)))
    partial = update(orders, "partial_fill", quantity=None, notional=D(100), filled=D("1.2"))
    reports = orders.reports(partial)
    assert [type(report) for report in reports] == [OrderReport, FillReport]
    total = reports[0]
    assert isinstance(total, OrderReport)
    assert total.quantity is not None
    assert total.quantity > D("1.2")
    last = changed(partial, event="fill", execution_id="e2", order=changed(partial.order, filled=D("1.5")))
    total = orders.reports(last)[0]
    assert isinstance(total, OrderReport)
    assert (total.event, total.quantity) == (OrderEventType.REPLACED, D("1.5"))


def test_a_total_that_the_venue_changes(orders: Orders) -> None:
    """One of an OCO filled in part, or the shares were split."""
    (report,) = orders.reports(changed(update(orders, "new", quantity=D(1)), event="restated"))
    assert isinstance(report, OrderReport)
    assert (report.event, report.quantity) == (OrderEventType.REPLACED, D(1))


def test_an_order_that_others_replaced_has_ended(orders: Orders) -> None:
    """Theirs takes its place; a generation of ours goes on."""
    told = changed(update(orders, "new"), event="replaced")
    theirs = replaced(told, "c1", changed(told.order, id="x"), own=False)
    assert (theirs.event, theirs.broker_order_id) == (OrderEventType.CANCELED, told.order.id)
    ours = replaced(told, "c1", changed(told.order, id="x"), own=True)
    assert (ours.event, ours.broker_order_id, ours.quantity) == (OrderEventType.REPLACED, "x", None)


def test_the_legs_of_a_group_are_known_by_the_venues_ids(orders: Orders) -> None:
    """They have no name of ours."""
    shown = answers.order(fixture("order_bracket"))
    entry = order("e", "o-e", take_profit=ProtectiveLeg("p", D(200)), stop_loss=ProtectiveLeg("l"))
    profit = order("p", "o-e", side=Side.SELL, limit_price=D(200))
    loss = order("l", "o-e", side=Side.SELL, type=OrderType.STOP, limit_price=None, stop_price=D(180))
    found = orders.learn_group(OrderGroup(GroupKind.BRACKET, (entry, profit, loss)), shown)
    assert {name: each.type for name, each in found.items()} == {
        "e": OrderType.LIMIT,
        "p": OrderType.LIMIT,
        "l": OrderType.STOP,
    }
    assert [orders.client_id(leg) for leg in shown.legs] == ["p", "l"]
    anew = Orders("alpaca-paper")
    anew.load(
        [changed(each, broker_order_id=found[each.client_order_id].id) for each in (entry, profit, loss)]
    )
    assert [anew.client_id(leg) for leg in shown.legs] == ["p", "l"]
    assert anew.parents.get("o-e") == ("e", shown.id)


def test_a_view(orders: Orders) -> None:
    """As the port has it; a rejected one with why, as far as Alpaca says it."""
    shown = update(orders, "new").order
    view = orders.view(shown)
    assert (view.client_order_id, view.state, view.quantity) == ("c1", OrderState.NEW, shown.quantity)
    rejected = orders.view(changed(shown, status="rejected"))
    assert (rejected.state, rejected.reason) == (OrderState.REJECTED, ErrorReason.BROKER_REJECTED)


def coin(orders: Orders, side: Side, quantity: str, position: str | None, execution_id: str) -> FillReport:
    """A fill of crypto."""
    told = update(orders, "partial_fill", symbol="BTC/USD", side=side)
    told = changed(
        told,
        quantity=D(quantity),
        position=None if position is None else D(position),
        execution_id=execution_id,
    )
    report = orders.reports(told)[-1]
    assert isinstance(report, FillReport)
    return report


def test_the_fee_of_a_purchase_of_coins_is_what_did_not_arrive(orders: Orders) -> None:
    """The position after it shows that; a sale's fee is in dollars, and not known."""
    orders.coins.start([("BTC/USD", D(1))])
    bought = coin(orders, Side.BUY, "2", "2.995", "e1")
    assert (bought.fees, bought.fees_final) == ((Money(D("0.005"), "BTC"),), True)
    sold = coin(orders, Side.SELL, "1", "1.995", "e2")
    assert (sold.fees, sold.fees_final) == ((), False)
    odd = coin(orders, Side.BUY, "1", "9", "e3")
    assert (odd.fees, odd.fees_final) == ((), False)
    assert coin(orders, Side.BUY, "1", None, "e4").fees == ()


def test_fees_of_missed_purchases_are_shared(orders: Orders) -> None:
    """Those of a page explain the position together; what the journal has already is left out."""
    orders.coins.start([("BTC/USD", D(1))])
    fills = [coin(Orders("b"), Side.BUY, quantity, None, f"e{quantity}") for quantity in ("4", "1", "3")]
    found = orders.coins.missed(fills[1:], {"BTC/USD": D("4.99")})
    assert [fill.fees for fill in found] == [(Money(D("0.0025"), "BTC"),), (Money(D("0.0075"), "BTC"),)]
    again = Orders("c")
    again.coins.start([("BTC/USD", D("4.99"))])
    found = again.coins.missed(fills, {"BTC/USD": D("7.98")})
    assert [fill.fees for fill in found] == [(), (), (Money(D("0.01"), "BTC"),)]
