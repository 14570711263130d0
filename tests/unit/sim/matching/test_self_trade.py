"""Orders of one account never fill each other: what happens instead."""

from __future__ import annotations

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import SelfTradePrevention
from brokergate.ports.broker import Accepted, OrderReport, Rejected
from tests.unit.sim.matching.desk import FOK, IOC, Desk

TAKER, MAKER, BOTH = (
    SelfTradePrevention.CANCEL_TAKER,
    SelfTradePrevention.CANCEL_MAKER,
    SelfTradePrevention.CANCEL_BOTH,
)


@pytest.fixture
def desk() -> Desk:
    """Asks of 5 at 100, 101 and 103; an own sell of 4 at 101."""
    desk = Desk()
    desk.snapshot([(98, 9)], [(100, 5), (101, 5), (103, 5)])
    desk.sell(4, 101)
    return desk


def test_a_taker_that_meets_its_own_order_is_refused_where_it_asks_for_that() -> None:
    """With nothing to take before it, CANCEL_TAKER refuses; the maker stays."""
    desk = Desk()
    desk.snapshot([(98, 9)], [(105, 5)])
    desk.sell(4, 101)
    for limit, tif in ((None, IOC), (102, IOC), (101, FOK)):
        outcome = desk.send(1, 2, limit, tif=tif, self_trade_prevention=TAKER)
        assert isinstance(outcome, Rejected)
        assert outcome.reason is ErrorReason.SELF_TRADE
    assert [order.client_order_id for order in desk.venue.open_orders()] == ["c1"]


def test_what_a_taker_reaches_before_its_own_order_is_taken(desk: Desk) -> None:
    """Five at 100 stand before the own order at 101, which counts before others at its price."""
    outcome = desk.send(1, 8, 103, self_trade_prevention=TAKER)
    assert desk.fills(outcome) == [("c2", 100, 5)]
    (end,) = [report for report in outcome.reports if isinstance(report, OrderReport)]
    assert (end.client_order_id, end.event.name, end.reason) == ("c2", "CANCELED", ErrorReason.SELF_TRADE)
    assert [order.client_order_id for order in desk.venue.open_orders()] == ["c1"]


@pytest.mark.parametrize("way", [SelfTradePrevention.UNSPECIFIED, MAKER])
def test_the_maker_is_cancelled_and_the_taker_goes_on(desk: Desk, way: SelfTradePrevention) -> None:
    """Also where nothing is said."""
    outcome = desk.send(1, 12, 103, self_trade_prevention=way)
    assert desk.fills(outcome) == [("c2", 100, 5), ("c2", 101, 5), ("c2", 103, 2)]
    assert desk.changes() == [("c1", "CANCELED")]


def test_both_are_cancelled(desk: Desk) -> None:
    """The taker keeps what it took before."""
    outcome = desk.send(1, 12, 103, self_trade_prevention=BOTH)
    assert desk.fills(outcome) == [("c2", 100, 5)]
    assert desk.changes() == [("c1", "CANCELED"), ("c2", "CANCELED")]
    assert not desk.venue.open_orders()


def test_a_taker_that_is_full_before_meets_nobody(desk: Desk) -> None:
    """Its limit reaches the own order; its size does not."""
    assert desk.fills(desk.send(1, 5, 103, self_trade_prevention=TAKER)) == [("c2", 100, 5)]
    assert desk.changes() == []


def test_an_order_would_not_come_to_rest_behind_its_own(desk: Desk) -> None:
    """Inside the spread there is nobody else: own orders do not cross either."""
    desk.snapshot([(90, 9)], [(110, 5)])
    assert isinstance(desk.send(1, 2, 105, self_trade_prevention=TAKER), Rejected)
    assert isinstance(desk.send(1, 2, 105), Accepted)
    assert [order.client_order_id for order in desk.venue.open_orders()] == ["c3"]


def test_a_stop_that_is_set_off_keeps_to_its_way(desk: Desk) -> None:
    """It too meets the own order, when it comes to the market."""
    desk.send(1, 7, stop=101, self_trade_prevention=TAKER)
    reports = desk.trade(101, 1, 1)
    assert desk.fills(reports) == [("c2", 100, 5)]
    assert desk.changes(reports) == [("c2", "TRIGGERED"), ("c2", "CANCELED")]
