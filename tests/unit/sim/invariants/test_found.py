"""What the random days found, each as the shortest day that shows it."""

from __future__ import annotations

from dataclasses import replace

from brokergate.ports.broker import Accepted, GroupKind, OrderGroup, OrderReport, ReplaceCommand
from tests.unit.sim.matching.desk import Desk, price, quantity


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
