"""What the random days found, each as the shortest day that shows it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import SelfTradePrevention, TimeInForce
from brokergate.ports.broker import Accepted, GroupKind, OrderGroup, OrderReport, Rejected, ReplaceCommand
from brokergate.sim.book import UNKNOWN
from brokergate.sim.packing import Packer, Unpacker
from brokergate.sim.venue import Venue
from tests.unit.sim.matching.desk import EUR, NEW, Desk, price, quantity
from tests.unit.sim.portrait import difference


def test_a_bracket_whose_entry_grows_and_fills_in_one_step_grows_its_legs() -> None:
    """Its legs kept the entry's old size, and one of them filled more than it was told to have (invariant 3)."""
    desk = Desk()
    desk.snapshot([(99, 5)], [(101, 9)])
    entry, profit = desk.order(1, 4, 98), desk.order(-1, 4, 103)
    loss = desk.order(-1, 4, stop=95)
    desk.venue.place_group(OrderGroup(GroupKind.BRACKET, (entry, profit, loss)), desk.tick())
    spec = replace(entry.spec, quantity=quantity(8), limit_price=price(101))
    outcome = desk.venue.replace(ReplaceCommand(entry, spec, quantity(8)), desk.tick())
    assert isinstance(outcome, Accepted)
    assert desk.fills(outcome) == [("c1", 101, 8)]
    grown = [
        report.quantity for report in outcome.reports if isinstance(report, OrderReport) and report.quantity
    ]
    assert grown == [quantity(8), quantity(8)]
    assert desk.fills(desk.trade(104, 7, 1)) == [("c2", 103, 7)]
    shown = {order.client_order_id: (order.filled, order.left) for order in desk.venue.open_orders()}
    assert shown == {"c2": (7, 1), "c3": (0, 1)}


def test_a_leg_that_waits_to_wake_is_held_back_with_the_position() -> None:
    """One trade fills the entry, and sells what is held: the leg kept more than the position (invariant 8)."""
    desk = Desk(EUR)
    desk.trade(100, 20)
    entry, profit = desk.order(1, 3), desk.order(-1, 3, 105)
    loss = desk.order(-1, 3, stop=50)
    desk.venue.place_group(OrderGroup(GroupKind.BRACKET, (entry, profit, loss)), desk.tick())
    desk.cancel("c3")
    desk.trade(100, 20)
    desk.sell(2)
    desk.trade(100, 30)
    assert desk.position().quantity == quantity(1)
    shown = {order.client_order_id: order.left for order in desk.venue.open_orders()}
    assert shown == {"c2": 1}
    assert desk.fills(desk.trade(106, 500)) == [("c2", 105, 1)]
    assert desk.position().quantity == 0


@pytest.mark.parametrize("kind", [SelfTradePrevention.CANCEL_TAKER, SelfTradePrevention.CANCEL_MAKER])
def test_a_post_only_order_that_meets_ones_own_is_refused(kind: SelfTradePrevention) -> None:
    """With CANCEL_TAKER nobody is cancelled, and the message looked for his price: an IndexError."""
    desk = Desk()
    desk.snapshot([(99, 5)], [(109, 5)])
    desk.sell(3, 105)
    outcome = desk.send(1, 3, 105, post_only=True, self_trade_prevention=kind)
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, "1.05" in outcome.message) == (ErrorReason.WOULD_TAKE, True)


def test_an_order_that_ended_as_its_cancel_came_ends_once() -> None:
    """The cancel comes at the instant at which its time is over, or later: EXPIRED and then CANCELED was told."""
    desk = Desk()
    desk.snapshot([(99, 5)], [(109, 5)])
    end_ns = desk.now_ns + 10_000
    for _ in range(2):
        desk.send(1, 3, 90, tif=TimeInForce.GTD, expire_time_ns=end_ns)
    desk.now_ns = end_ns
    outcome = desk.cancel("c1")
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.ORDER_ENDED
    outcome = desk.replace("c2", 3, 91)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.ORDER_ENDED
    assert desk.changes() == [("c1", "EXPIRED"), ("c2", "EXPIRED")]


def test_a_leg_that_filled_what_was_awake_is_in_no_place() -> None:
    """It counted as placed, so that funds were set aside for it while it took; a venue that was kept and taken up
    again was another one."""
    desk = Desk(EUR)
    desk.snapshot([(99, 5)], [(101, 9)])
    entry, profit = desk.order(1, 4, 98), desk.order(-1, 4, 103)
    loss = desk.order(-1, 4, stop=95)
    desk.venue.place_group(OrderGroup(GroupKind.BRACKET, (entry, profit, loss)), desk.tick())
    desk.trade(97, 2, -1)
    assert desk.fills(desk.trade(104, 9, 1)) == [("c2", 103, 2)]
    desk.venue.changed_holdings()
    pack = Packer("found", 1)
    desk.venue.save(pack)
    again = Venue((EUR,), desk.terms, NEW, 0)
    again.load(Unpacker(pack.document(), "found", 1))
    assert difference(desk.venue, again) == ""


def test_taking_all_that_is_shown_puts_nobody_in_front_of_the_queue_beyond() -> None:
    """A quote shows one price. Once we had taken all of it, the prices below counted as empty, and an order there as
    the first in its queue (invariant 5)."""
    desk = Desk()
    desk.quote((99, 5), (101, 5))
    desk.buy(4, 95)
    desk.sell(5)
    desk.quote((99, 5), (101, 5))
    assert [order.ahead for order in desk.venue.open_orders()] == [UNKNOWN]
    assert desk.fills(desk.trade(95, 4, -1)) == []
