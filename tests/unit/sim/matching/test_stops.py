"""Stops: set off once, by a declared source, and then at the market."""

from __future__ import annotations

import pytest

from brokergate.domain.orders import TriggerSource
from brokergate.ports.broker import Accepted
from tests.unit.sim.matching.desk import Desk

LAST, BID_ASK = TriggerSource.LAST, TriggerSource.BID_ASK


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.snapshot([(99, 5), (95, 50)], [(101, 5), (110, 50)])
    return desk


def test_a_gap_fills_at_the_market_and_not_at_the_trigger(desk: Desk) -> None:
    """A sell stop at 98 with the market suddenly at 90 sells at 90."""
    desk.send(-1, 4, stop=98, source=BID_ASK)
    reports = desk.snapshot([(90, 3), (89, 3)], [(101, 5)])
    assert desk.changes(reports) == [("c1", "TRIGGERED")]
    assert desk.fills(reports) == [("c1", 90, 3), ("c1", 89, 1)]


@pytest.mark.parametrize(("source", "by_trade"), [(LAST, True), (BID_ASK, False)])
def test_only_the_declared_source_sets_a_stop_off(desk: Desk, source: TriggerSource, by_trade: bool) -> None:
    """The last trade, or the ask of a buy: the other one reaching the trigger does nothing."""
    desk.send(1, 1, stop=105, source=source)
    traded = desk.trade(105, 1, 1)
    quoted = desk.snapshot([(104, 5)], [(105, 5)])
    assert bool(desk.fills(traded)) is by_trade
    assert bool(desk.fills(quoted)) is not by_trade


def test_an_order_that_names_no_source_goes_by_trades_once_there_are_any(desk: Desk) -> None:
    """By bid and ask on a market that has told no trade; by the last trade from the first one on."""
    desk.send(1, 1, stop=105)
    assert desk.fills(desk.snapshot([(104, 5)], [(105, 5)])) == [("c1", 105, 1)]
    desk.trade(100, 1)
    desk.send(1, 1, stop=105)
    assert desk.fills(desk.snapshot([(104, 5)], [(106, 5)])) == []
    assert desk.fills(desk.trade(105, 1)) == [("c2", 106, 1)]


def test_a_stop_is_set_off_once(desk: Desk) -> None:
    """A market that swings over the trigger again and again gives one trigger and one order's worth of fills."""
    desk.send(1, 2, stop=105, source=LAST)
    for price in (105, 90, 105, 90, 106):
        desk.trade(price, 1)
    assert desk.changes() == [("c1", "TRIGGERED")]
    assert sum(lots for _, _, lots in desk.fills()) == 2


def test_a_stop_limit_rests_at_its_limit_after_the_trigger(desk: Desk) -> None:
    """Set off, it is a limit order: here below what is offered."""
    desk.send(1, 2, limit=100, stop=103, source=LAST)
    assert desk.changes(desk.trade(103, 1, 1)) == [("c1", "TRIGGERED")]
    assert desk.fills() == []
    assert desk.fills(desk.trade(100, 1, -1)) == [("c1", 100, 1)]
    assert isinstance(desk.cancel("c1"), Accepted)


def test_a_trigger_that_is_reached_already_sets_off_at_once(desk: Desk) -> None:
    """A buy stop at or below the ask does not wait."""
    outcome = desk.send(1, 2, stop=101, source=BID_ASK)
    assert desk.changes(outcome.reports) == [("c1", "TRIGGERED")]
    assert desk.fills(outcome) == [("c1", 101, 2)]


def test_stops_go_off_in_the_order_in_which_the_market_reaches_them(desk: Desk) -> None:
    """The nearer trigger first, at one trigger the earlier order: they share what the book has."""
    for stop in (104, 103, 103):
        desk.send(1, 3, stop=stop, source=LAST)
    reports = desk.trade(104, 1)
    assert desk.fills(reports) == [("c2", 101, 3), ("c3", 101, 2), ("c3", 110, 1), ("c1", 110, 3)]


def test_nothing_is_set_off_in_a_gap(desk: Desk) -> None:
    """What traded meanwhile counts when the book is back."""
    desk.send(1, 2, stop=105, source=LAST)
    desk.gap()
    assert desk.trade(106, 1) == []
    reports = desk.snapshot([(104, 5)], [(107, 5)])
    assert desk.fills(reports) == [("c1", 107, 2)]


def test_a_stop_that_finds_nobody_is_cancelled(desk: Desk) -> None:
    """A market order without a market does not rest."""
    desk.send(-1, 2, stop=95, source=LAST)
    desk.snapshot([], [(101, 5)])
    reports = desk.trade(94, 1)
    assert desk.changes(reports) == [("c1", "TRIGGERED"), ("c1", "CANCELED")]
    assert desk.balance("BTC").held == 0


def test_a_stop_moves_its_trigger(desk: Desk) -> None:
    """Replaced before it is set off, the new trigger counts; moved to where the market is, it goes off at once."""
    desk.send(1, 2, stop=105, source=LAST)
    desk.replace("c1", 2, stop=108)
    assert desk.fills(desk.trade(106, 1)) == []
    outcome = desk.replace("c1", 2, stop=106)
    assert desk.changes(outcome.reports) == [("c1", "REPLACED"), ("c1", "TRIGGERED")]
    assert desk.fills(outcome) == [("c1", 101, 2)]
