"""Orders that take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Liquidity
from brokergate.domain.orders import TimeInForce
from brokergate.ports.broker import Accepted, FillReport, Rejected
from tests.unit.sim.matching.desk import DAY, FOK, GTC, IOC, Desk

BIDS, ASKS = [(99, 5), (98, 5), (95, 10)], [(101, 5), (102, 5), (105, 10)]

books = st.lists(
    st.tuples(st.integers(101, 120), st.integers(1, 9)), max_size=8, unique_by=lambda level: level[0]
)


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.snapshot(BIDS, ASKS)
    return desk


@pytest.mark.parametrize("tif", [GTC, DAY, IOC])
def test_a_market_order_walks_the_book_and_its_rest_is_cancelled(desk: Desk, tif: TimeInForce) -> None:
    """One fill a level, as taker; what the book has not is cancelled with a reason, whatever the time in force."""
    outcome = desk.buy(23, tif=tif)
    assert desk.fills(outcome) == [("c1", 101, 5), ("c1", 102, 5), ("c1", 105, 10)]
    assert {r.liquidity for r in outcome.reports if isinstance(r, FillReport)} == {Liquidity.TAKER}
    assert desk.changes(outcome.reports) == [("c1", "CANCELED")]
    assert desk.venue.book("BTC/USDT", 9).asks == ()  # type: ignore[union-attr]


def test_a_sell_walks_the_bids(desk: Desk) -> None:
    """The other way round the same."""
    assert desk.fills(desk.sell(7)) == [("c1", 99, 5), ("c1", 98, 2)]
    assert desk.fills(desk.sell(4, 96)) == [("c2", 98, 3)]


def test_two_takers_never_take_the_same_lots(desk: Desk) -> None:
    """The second goes on where the first stopped, in one batch as in two."""
    outcomes = desk.place([desk.order(1, 3), desk.order(1, 3), desk.order(1, 3, tif=IOC)])
    assert [desk.fills(outcome) for outcome in outcomes] == [
        [("c1", 101, 3)],
        [("c2", 101, 2), ("c2", 102, 1)],
        [("c3", 102, 3)],
    ]


def test_positions_and_balances_are_told_once_however_often_they_change(desk: Desk) -> None:
    """The outcomes carry their fills alone; the account is asked for after all of them, and then has nothing new."""
    outcomes = desk.place([desk.order(1, 1), desk.order(1, 2), desk.order(-1, 1)])
    kinds = [[type(report).__name__ for report in outcome.reports] for outcome in outcomes]
    assert kinds == [["FillReport"], ["FillReport"], ["FillReport"]]
    told = desk.venue.changed_holdings()
    assert [type(value).__name__ for value in told] == ["BrokerPosition", "BrokerBalance", "BrokerBalance"]
    assert desk.venue.changed_holdings() == []


def test_an_ioc_order_never_rests(desk: Desk) -> None:
    """It takes what its limit allows; the rest is cancelled."""
    outcome = desk.buy(9, 101, IOC)
    assert (desk.fills(outcome), desk.changes(outcome.reports)) == ([("c1", 101, 5)], [("c1", "CANCELED")])
    assert isinstance(desk.buy(9, 100, IOC), Accepted)
    assert desk.changes()[-1] == ("c2", "CANCELED")
    assert desk.trade(50, 100) == []


@pytest.mark.parametrize(
    ("lots", "limit", "filled"), [(10, 102, 10), (11, 102, 0), (20, None, 20), (21, None, 0)]
)
def test_a_fok_order_fills_wholly_or_is_rejected(
    desk: Desk, lots: int, limit: int | None, filled: int
) -> None:
    """All of it at once, or NOT_FILLABLE and not a lot taken."""
    outcome = desk.buy(lots, limit, FOK)
    assert sum(fill[2] for fill in desk.fills(outcome)) == filled
    if not filled:
        assert isinstance(outcome, Rejected)
        assert outcome.reason is ErrorReason.NOT_FILLABLE
        assert desk.fills(desk.buy(20)) == [("c2", 101, 5), ("c2", 102, 5), ("c2", 105, 10)]


def test_nobody_to_trade_with_is_no_reference_price(desk: Desk) -> None:
    """A market order against an empty side, and before any market data, is rejected; a limit order rests."""
    desk.snapshot([], ASKS)
    fresh = Desk()
    for outcome in (desk.sell(1), fresh.buy(1), fresh.buy(1, 100, FOK), fresh.buy(1, 100, IOC)):
        assert isinstance(outcome, Rejected)
        assert outcome.reason is ErrorReason.NO_REFERENCE_PRICE
    assert isinstance(fresh.buy(1, 100), Accepted)


def test_nothing_fills_in_a_gap(desk: Desk) -> None:
    """Between a gap and the next snapshot takers are rejected as stale, and what rests stays whatever trades."""
    desk.buy(5, 99)
    desk.gap()
    outcome = desk.buy(1)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.STALE_MARKET_DATA
    assert "lost" in outcome.message
    assert desk.trade(90, 100) == []
    assert desk.venue.quote("BTC/USDT") is None
    desk.snapshot([(89, 5)], [(91, 4)])
    assert desk.fills() == [("c1", 99, 4)]


def test_the_books_of_a_quote_feed_have_one_level(desk: Desk) -> None:
    """A quote is all there is to take: nothing beyond its size, and nothing again by the same quote."""
    desk.quote((99, 4), (101, 4))
    assert desk.fills(desk.buy(6)) == [("c1", 101, 4)]
    assert isinstance(desk.buy(1), Rejected)
    desk.quote((99, 4), (101, 4))
    assert isinstance(desk.buy(1), Rejected)
    desk.quote((99, 4), (101, 6))
    assert desk.fills(desk.buy(6, 103)) == [("c4", 101, 2)]
    desk.quote((99, 4), (102, 4))
    assert desk.fills()[-1] == ("c4", 103, 4)


def test_an_advisory_quote_is_not_matched_on(desk: Desk) -> None:
    """Beside a full book, a quote that runs ahead of it gives no fills."""
    desk.quote((200, 1), (201, 1), advisory=True)
    assert desk.fills(desk.sell(1)) == [("c1", 99, 1)]


@given(books, st.integers(1, 40), st.none() | st.integers(95, 125), st.sampled_from([GTC, IOC, FOK]))
def test_a_taker_is_never_worse_than_its_limit_and_takes_only_what_is_shown(
    asks: list[tuple[int, int]], lots: int, limit: int | None, tif: TimeInForce
) -> None:
    """Invariants 1, 2, 3 and 7: prices and sizes exist in the book, Σ fills + leaves is the quantity, FOK is whole."""
    desk = Desk()
    desk.snapshot([(90, 1)], asks)
    outcome = desk.buy(lots, limit, tif)
    fills = desk.fills(outcome)
    shown = dict(asks)
    assert all(size <= shown[price] for _, price, size in fills)
    assert len({price for _, price, _ in fills}) == len(fills)
    assert [price for _, price, _ in fills] == sorted(price for _, price, _ in fills)
    assert all(limit is None or price <= limit for _, price, _ in fills)
    filled = sum(size for _, _, size in fills)
    reachable = sum(size for price, size in asks if limit is None or price <= limit)
    if tif is FOK:
        assert filled in (0, lots)
        assert (filled == lots) == (reachable >= lots)
    else:
        assert filled == min(lots, reachable)
    rests = limit is not None and tif is GTC and filled < lots
    if rests:
        desk.cancel("c1")
        assert desk.changes()[-1] == ("c1", "CANCELED")
    elif isinstance(outcome, Accepted):
        assert desk.changes(outcome.reports) == ([] if filled == lots else [("c1", "CANCELED")])
