"""Icebergs, post-only, orders for an amount, ends and auctions."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import TimeInForce
from brokergate.ports.broker import Accepted, OrderReport, Rejected
from brokergate.sim.market import BookSnapshot, TradeUpdate
from tests.unit.sim.matching.desk import AAPL, Desk, quantity

GTD, OPEN, CLOSE, DAY, IOC = (
    TimeInForce.GTD,
    TimeInForce.AT_OPEN,
    TimeInForce.AT_CLOSE,
    TimeInForce.DAY,
    TimeInForce.IOC,
)


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.snapshot([(98, 5), (99, 5)], [(101, 5), (102, 5)])
    return desk


# Icebergs


def test_an_iceberg_fills_a_slice_by_a_trade_and_goes_behind(desk: Desk) -> None:
    """2 of 9 are shown behind 5 of others; after the slice all 5 that are shown stand before the next."""
    desk.send(1, 9, 99, display_quantity=2)
    assert desk.fills(desk.trade(99, 20, -1)) == [("c1", 99, 2)]
    assert desk.fills(desk.trade(99, 5, -1)) == []
    assert desk.fills(desk.trade(99, 1, -1)) == [("c1", 99, 1)]
    assert desk.fills(desk.trade(99, 9, -1)) == [("c1", 99, 1)]


def test_the_next_slice_stands_behind_our_own_orders_too(desk: Desk) -> None:
    """The order that came later is before the second slice."""
    desk.send(1, 9, 100, display_quantity=2)
    desk.buy(3, 100)
    assert desk.fills(desk.trade(100, 4, -1)) == [("c1", 100, 2), ("c2", 100, 2)]
    assert desk.fills(desk.trade(100, 2, -1)) == [("c2", 100, 1), ("c1", 100, 1)]


def test_a_market_that_goes_through_takes_all_of_an_iceberg(desk: Desk) -> None:
    """What is hidden is there, and the price does not pass it."""
    desk.send(1, 9, 99, display_quantity=2)
    assert desk.fills(desk.trade(97, 20, -1)) == [("c1", 99, 9)]


def test_an_iceberg_takes_at_once_with_all_it_has_and_keeps_its_place_smaller(desk: Desk) -> None:
    """Its display is for what rests; less of it keeps the place, another display loses it."""
    assert desk.fills(desk.send(1, 9, 101, display_quantity=2)) == [("c1", 101, 5)]
    desk.buy(3, 101)
    desk.replace("c1", 8, 101, display_quantity=2)
    assert desk.fills(desk.trade(101, 1, -1)) == [("c1", 101, 1)]
    desk.replace("c1", 8, 101, display_quantity=1)
    assert desk.fills(desk.trade(101, 4, -1)) == [("c2", 101, 3), ("c1", 101, 1)]


# Post-only


def test_post_only_is_refused_where_it_would_take_and_then_only_gives(desk: Desk) -> None:
    """At the ask it is refused, below it rests; a replace to the ask is refused too, and the order stays."""
    for limit in (101, 150):
        outcome = desk.send(1, 2, limit, post_only=True)
        assert isinstance(outcome, Rejected)
        assert outcome.reason is ErrorReason.WOULD_TAKE
    assert isinstance(desk.send(1, 2, 100, post_only=True), Accepted)
    moved = desk.replace("c3", 2, 101)
    assert isinstance(moved, Rejected)
    assert moved.reason is ErrorReason.WOULD_TAKE
    assert desk.fills(desk.snapshot([(90, 5)], [(100, 5)])) == [("c3", 100, 2)]
    assert {report.liquidity.name for report in desk.log if hasattr(report, "liquidity")} == {"MAKER"}


def test_post_only_does_not_meet_its_own_either(desk: Desk) -> None:
    """Our own sell at 100 stands in its way."""
    desk.sell(1, 100)
    assert isinstance(desk.send(1, 2, 100, post_only=True), Rejected)
    assert desk.changes() == []


# For an amount


@pytest.mark.parametrize(
    ("side", "amount", "fills", "lots"),
    [
        # 5 lots at 1.01 are 0.00505; the rest buys 2.4 at 1.02, rounded down.
        (1, "0.0075", [("c1", 101, 5), ("c1", 102, 2)], 7),
        (1, "0.00505", [("c1", 101, 5)], 5),
        (1, "0.00504", [("c1", 101, 4)], 4),
        (-1, "0.0060", [("c1", 99, 5), ("c1", 98, 1)], 6),
    ],
)
def test_an_amount_buys_what_it_pays_for_rounded_down(
    desk: Desk, side: int, amount: str, fills: list[tuple[str, int, int]], lots: int
) -> None:
    """Worked out level by level; the total that it came to is told first."""
    outcome = desk.send(side, 1000, tif=IOC, quantity=None, quote_quantity=Decimal(amount))
    assert desk.fills(outcome) == fills
    (told,) = [report for report in outcome.reports if isinstance(report, OrderReport)]
    assert (told.event.name, told.quantity) == ("REPLACED", quantity(lots))


def test_an_amount_buys_no_more_than_the_order_was_sent_with(desk: Desk) -> None:
    """It would pay for five; what is sent counts as it was sent, and nothing else is told."""
    outcome = desk.send(1, 3, tif=IOC, quantity=None, quote_quantity=Decimal("0.00505"))
    assert desk.fills(outcome) == [("c1", 101, 3)]
    assert not [report for report in outcome.reports if isinstance(report, OrderReport)]


def test_an_amount_is_not_counted_where_nothing_can_be_had() -> None:
    """A market of trades fills by those that come: how many lots an amount will be is not known."""
    desk = Desk()
    desk.trade(100, 5)
    outcome = desk.send(1, 3, quantity=None, quote_quantity=Decimal("1"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.NOT_FILLABLE


def test_an_amount_below_a_lot_is_refused(desk: Desk) -> None:
    """A lot costs 0.00101."""
    outcome = desk.send(1, 1, quantity=None, quote_quantity=Decimal("0.001"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.QUANTITY_OUT_OF_RANGE


# Ends


def test_a_gtd_order_ends_before_what_comes_at_its_end(desk: Desk) -> None:
    """A trade of the same instant finds it gone; one before fills it; a replace moves the end."""
    for end in (50_000, 60_000):
        desk.send(1, 3, 100, tif=GTD, expire_time_ns=end)
    desk.replace("c1", 3, 100, expire_time_ns=70_000)
    reports = desk.market(TradeUpdate(60_000, desk.symbol, 90, 4, -1))
    assert desk.changes(reports) == [("c2", "EXPIRED")]
    assert desk.fills(reports) == [("c1", 100, 3)]
    assert isinstance(desk.send(1, 3, 100, tif=GTD, expire_time_ns=60_000), Rejected)


def at(hour: int, minute: int, second: int = 0) -> int:
    """A moment of Monday, 2024-03-04, in New York's winter."""
    return int(datetime(2024, 3, 4, hour + 5, minute, second, tzinfo=UTC).timestamp()) * 10**9


def stocks(hour: int, minute: int) -> Desk:
    return Desk(AAPL, start_ns=at(hour, minute))


def book(desk: Desk, time_ns: int, bid: int, ask: int) -> list[object]:
    return list(desk.market(BookSnapshot(time_ns, desk.symbol, ((bid, 5),), ((ask, 5),))))


def test_at_open_comes_with_the_first_book_of_the_session() -> None:
    """Not with one before it; what it does not get is cancelled; a limit holds."""
    desk = stocks(8, 0)
    book(desk, at(8, 0, 1), 98, 99)
    desk.send(1, 8, tif=OPEN)
    desk.send(1, 4, 100, tif=OPEN)
    book(desk, at(9, 29, 59), 99, 100)
    assert desk.changes() == []
    book(desk, at(9, 30), 104, 105)
    assert desk.fills() == [("c1", 105, 5)]
    assert desk.changes() == [("c1", "CANCELED"), ("c2", "CANCELED")]


def test_at_close_comes_at_the_close_against_the_book_as_it_stands() -> None:
    """The book that comes at 16:00 is too late, also for a DAY order."""
    desk = stocks(15, 0)
    book(desk, at(15, 0, 1), 99, 100)
    desk.send(1, 3, tif=CLOSE)
    desk.send(1, 3, 98, tif=DAY)
    desk.send(1, 3, 90, tif=CLOSE)
    book(desk, at(16, 0), 80, 81)
    assert desk.fills() == [("c1", 100, 3)]
    assert sorted(desk.changes()) == [("c2", "EXPIRED"), ("c3", "CANCELED")]


def test_an_order_for_an_auction_can_be_cancelled() -> None:
    """Until it has come."""
    desk = stocks(8, 0)
    book(desk, at(8, 0, 1), 98, 99)
    held = desk.balance("USD").held
    desk.send(1, 4, 100, tif=OPEN)
    desk.send(1, 4, 100, tif=CLOSE)
    assert desk.balance("USD").held > held
    desk.cancel("c1")
    desk.cancel("c2")
    assert desk.balance("USD").held == held
    book(desk, at(9, 30), 90, 91)
    book(desk, at(16, 0), 90, 91)
    assert desk.fills() == []


def test_round_the_clock_there_is_no_auction(desk: Desk) -> None:
    """It says so."""
    outcome = desk.send(1, 4, 100, tif=OPEN)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.UNSUPPORTED
    assert "no auctions" in outcome.message
