"""Orders that only reduce a position."""

from __future__ import annotations

from random import Random

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import TimeInForce
from brokergate.ports.broker import Accepted, OrderReport, Rejected
from tests.unit.sim.matching.desk import EUR, IOC, Desk, quantity


@pytest.fixture
def desk() -> Desk:
    """Long 10 of what may go short."""
    desk = Desk(EUR)
    desk.snapshot([(99, 500)], [(100, 500)])
    desk.buy(10)
    return desk


def left(desk: Desk) -> dict[str, int]:
    return {order.client_order_id: order.left for order in desk.venue.open_orders()}


def test_what_only_reduces_is_refused_without_a_position() -> None:
    """Flat, or on the side that would grow it."""
    desk = Desk(EUR)
    desk.snapshot([(99, 500)], [(100, 500)])
    for side in (1, -1):
        outcome = desk.send(side, 5, reduce_only=True)
        assert isinstance(outcome, Rejected)
        assert outcome.reason is ErrorReason.NOTHING_TO_REDUCE
    desk.buy(10)
    assert isinstance(desk.send(1, 5, 90, reduce_only=True), Rejected)
    assert isinstance(desk.send(-1, 5, 120, reduce_only=True), Accepted)


def test_it_is_cut_to_what_closes(desk: Desk) -> None:
    """The new total is told before its fills, and the position ends flat."""
    outcome = desk.send(-1, 25, reduce_only=True)
    assert desk.fills(outcome) == [("c2", 99, 10)]
    (cut,) = [report for report in outcome.reports if isinstance(report, OrderReport)]
    assert (cut.event.name, cut.quantity) == ("REPLACED", quantity(10))
    assert desk.position().quantity == 0


def test_a_resting_one_shrinks_with_the_position(desk: Desk) -> None:
    """Several may each stand for all of it; what closes elsewhere cuts them, and ends them when it is closed."""
    desk.send(-1, 10, 110, reduce_only=True)
    desk.send(-1, 10, stop=90, reduce_only=True)
    desk.send(-1, 4, 120, reduce_only=True)
    desk.sell(3)
    assert left(desk) == {"c2": 7, "c3": 7, "c4": 4}
    desk.trade(111, 5, 1)
    assert left(desk) == {"c2": 2, "c3": 2, "c4": 2}
    reports = desk.snapshot([(89, 500)], [(90, 500)])
    assert desk.fills(reports) == []
    reports = desk.trade(90, 1, -1)
    assert desk.fills(reports) == [("c3", 89, 2)]
    assert left(desk) == {}
    ends = {report.client_order_id: report.reason for report in reports if isinstance(report, OrderReport)}
    assert ends["c2"] is ends["c4"] is ErrorReason.NOTHING_TO_REDUCE
    assert desk.position().quantity == 0


def test_it_sets_nothing_aside(desk: Desk) -> None:
    """It cannot open a position, so that two of them cost nothing, where a plain one counts as opening."""
    held = desk.balance("USD").held
    desk.send(-1, 10, 110, reduce_only=True)
    desk.send(-1, 10, 111, reduce_only=True)
    assert desk.balance("USD").held == held


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_it_never_grows_or_turns_the_position(seed: int) -> None:
    """Random orders and markets: an execution of an order that only reduces brings the position nearer to zero."""
    random, desk = Random(seed), Desk(EUR)
    reducing: set[str] = set()
    position, seen, reduced = 0, 0, 0
    for _ in range(600):
        middle = random.randint(95, 105)
        roll = random.random()
        if roll < 0.3:
            desk.snapshot([(middle - 1, random.randint(1, 9))], [(middle + 1, random.randint(1, 9))])
        elif roll < 0.5:
            desk.trade(middle, random.randint(1, 9), random.choice((-1, 0, 1)))
        else:
            only = random.random() < 0.6
            limit, stop = random.choice(((None, None), (middle, None), (None, middle), (middle, middle)))
            tif = random.choice((IOC, TimeInForce.GTC)) if stop is None else TimeInForce.GTC
            side, lots = random.choice((1, -1)), random.randint(1, 12)
            order = desk.order(side, lots, limit, stop, tif, reduce_only=only)
            if only:
                reducing.add(order.client_order_id)
            desk.place([order])
        sides = {name: 1 if order.spec.side.name == "BUY" else -1 for name, order in desk.orders.items()}
        fills = desk.fills()
        for name, _, lots in fills[seen:]:
            after = position + sides[name] * lots
            if name in reducing:
                assert abs(after) < abs(position)
                assert after * position >= 0
                reduced += 1
            position = after
        seen = len(fills)
        for working in desk.venue.open_orders():
            if working.client_order_id in reducing:
                assert 0 < working.leaves <= -working.side * position
    assert reduced > 10
