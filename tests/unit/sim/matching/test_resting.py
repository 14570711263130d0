"""Orders that wait at their limit."""

from __future__ import annotations

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Liquidity
from brokergate.ports.broker import Accepted, FillReport, Rejected
from tests.unit.sim.matching.desk import Desk

BIDS, ASKS = [(99, 5), (98, 5)], [(101, 5), (102, 5)]


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.snapshot(BIDS, ASKS)
    return desk


def test_a_trade_at_the_limit_first_uses_up_what_stood_ahead(desk: Desk) -> None:
    """Five were shown at 99 when the order came: the sixth lot sold there is its first."""
    desk.buy(4, 99)
    assert desk.fills(desk.trade(99, 3, -1)) == []
    assert desk.fills(desk.trade(99, 3, -1)) == [("c1", 99, 1)]
    assert desk.fills(desk.trade(99, 9, -1)) == [("c1", 99, 3)]


def test_a_resting_order_gives_at_its_limit_as_maker(desk: Desk) -> None:
    """However far the market went through, never better than the limit and never more than was traded."""
    desk.buy(4, 99)
    (fill, *_) = desk.trade(90, 3, -1)
    assert isinstance(fill, FillReport)
    assert (fill.liquidity, desk.fills([fill])) == (Liquidity.MAKER, [("c1", 99, 3)])


def test_what_a_buyer_takes_does_not_fill_a_bid_at_that_price(desk: Desk) -> None:
    """A trade counts against the side that gave; where the feed does not tell, against the side it can reach."""
    desk.buy(4, 100)
    assert desk.fills(desk.trade(100, 9, 1)) == []
    assert desk.fills(desk.trade(100, 1, 0)) == [("c1", 100, 1)]
    desk.sell(4, 100)
    assert desk.fills(desk.trade(100, 2, 1)) == [("c2", 100, 2)]


def test_less_shown_is_less_ahead(desk: Desk) -> None:
    """The queue ahead is never longer than what the feed shows at the price; more shown stands behind."""
    desk.buy(2, 99)
    desk.delta(bids=[(99, 2)])
    desk.delta(bids=[(99, 50)])
    assert desk.fills(desk.trade(99, 3, -1)) == [("c1", 99, 1)]
    desk.delta(bids=[(99, 0)])
    assert desk.fills(desk.trade(99, 1, -1)) == [("c1", 99, 1)]


def test_the_feed_coming_through_fills_with_what_it_shows(desk: Desk) -> None:
    """An ask at or below our bid gives its size, which is gone for everybody after us."""
    desk.buy(4, 99)
    desk.buy(4, 100)
    reports = desk.snapshot([(95, 5)], [(98, 3), (99, 3), (103, 9)])
    assert desk.fills(reports) == [("c2", 100, 4), ("c1", 99, 2)]
    assert desk.venue.book("BTC/USDT", 9).asks[0][0] == 103 * desk.instruments[0].price_increment  # type: ignore[union-attr]


def test_our_orders_share_a_trade_by_price_then_time(desk: Desk) -> None:
    """Best price first, then the earlier; together never more than was traded."""
    for limit in (98, 100, 100):
        desk.buy(3, limit)
    assert desk.fills(desk.trade(97, 7, -1)) == [("c2", 100, 3), ("c3", 100, 3), ("c1", 98, 1)]


def test_our_orders_at_one_price_stand_behind_the_same_others_once(desk: Desk) -> None:
    """Five of others, then two of ours: nine lots sold there are five, three and one."""
    desk.buy(3, 99)
    desk.buy(3, 99)
    assert desk.fills(desk.trade(99, 9, -1)) == [("c1", 99, 3), ("c2", 99, 1)]


def test_our_own_orders_never_trade_with_each_other(desk: Desk) -> None:
    """A taker walks the market of others alone; our own order in its way is cancelled where nothing else is said."""
    desk.sell(5, 100)
    assert desk.fills(desk.buy(2, 101)) == [("c2", 101, 2)]
    assert desk.changes() == [("c1", "CANCELED")]
    assert desk.fills(desk.trade(100, 1, 1)) == []


def test_beyond_the_worst_level_the_queue_is_what_is_shown_first(desk: Desk) -> None:
    """An order deeper than the feed shows waits until its price is shown, and stands behind all of that."""
    desk.buy(2, 90)
    assert desk.fills(desk.trade(90, 50, -1)) == []
    desk.snapshot([(90, 6)], [(101, 5)])
    assert desk.fills(desk.trade(90, 7, -1)) == [("c1", 90, 1)]


def test_the_rest_of_a_taker_rests(desk: Desk) -> None:
    """A limit order takes what it can as taker and gives the rest as maker."""
    desk.buy(8, 101)
    assert desk.fills() == [("c1", 101, 5)]
    reports = desk.trade(101, 2, -1)
    assert desk.fills(reports) == [("c1", 101, 2)]


def test_a_smaller_order_keeps_its_place(desk: Desk) -> None:
    """Quantity down at the same price stays before the one behind it."""
    desk.buy(5, 100)
    desk.buy(5, 100)
    assert isinstance(desk.replace("c1", 3, 100), Accepted)
    assert desk.fills(desk.trade(100, 4, -1)) == [("c1", 100, 3), ("c2", 100, 1)]


@pytest.mark.parametrize("lots", [6, 5])
def test_a_larger_or_moved_order_goes_to_the_end(desk: Desk, lots: int) -> None:
    """Quantity up loses the place, and so does a move away and back."""
    desk.buy(5, 100)
    desk.buy(5, 100)
    if lots == 5:
        desk.replace("c1", 5, 98)
    desk.replace("c1", lots, 100)
    assert desk.fills(desk.trade(100, 6, -1)) == [("c2", 100, 5), ("c1", 100, 1)]


def test_a_replace_may_take_at_once(desk: Desk) -> None:
    """Moved to where others offer, the order takes there, under its next generation's id."""
    desk.buy(3, 99)
    outcome = desk.replace("c1", 3, 101)
    assert isinstance(outcome, Accepted)
    assert (outcome.broker_order_id, desk.fills(outcome)) == ("P1-2", [("c1", 101, 3)])
    assert desk.changes(outcome.reports) == [("c1", "REPLACED")]
    assert isinstance(desk.cancel("c1"), Rejected)


def test_a_refused_replace_leaves_the_order_as_it_was(desk: Desk) -> None:
    """Below what is filled, or beyond what can be paid: the order keeps its price, its size and its place."""
    desk.buy(5, 100)
    desk.buy(5, 100)
    desk.trade(100, 2, -1)
    held = desk.balance("USDT").held
    too_small, too_large = desk.replace("c1", 2, 100), desk.replace("c1", 10**15, 100)
    assert isinstance(too_small, Rejected)
    assert isinstance(too_large, Rejected)
    assert (too_small.reason, too_large.reason) == (
        ErrorReason.REPLACE_BELOW_FILLED,
        ErrorReason.INSUFFICIENT_FUNDS,
    )
    assert desk.balance("USDT").held == held
    assert desk.fills(desk.trade(100, 4, -1)) == [("c1", 100, 3), ("c2", 100, 1)]


def test_a_cancelled_order_is_gone(desk: Desk) -> None:
    """It no longer fills, and cancelling or replacing it again is ORDER_ENDED."""
    desk.buy(5, 100)
    assert isinstance(desk.cancel("c1"), Accepted)
    assert desk.fills(desk.trade(90, 9, -1)) == []
    for again in (desk.cancel("c1"), desk.replace("c1", 9, 100)):
        assert isinstance(again, Rejected)
        assert again.reason is ErrorReason.ORDER_ENDED
    assert desk.balance("USDT").held == 0
