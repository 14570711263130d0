"""Markets of trades and of bars, without a book."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain.fills import Liquidity
from brokergate.domain.orders import OrderType, TriggerSource
from brokergate.ports.broker import Accepted, FillReport, Rejected, Report
from brokergate.sim.filling import FillTerms
from brokergate.sim.market import BarUpdate, CorporateAction, CorporateActionKind
from brokergate.sim.slippage import FixedSlippage, VolumeShareSlippage
from brokergate.sim.terms import AccountTerms
from tests.unit.sim.matching.desk import AAPL, FOK, IOC, RICH, Desk

SPAN = 1_000_000
D = Decimal


def desk_with(percent: str | None = "10", **terms: object) -> Desk:
    part = None if percent is None else D(percent)
    return Desk(terms=AccountTerms(RICH, fills=FillTerms(participation_percent=part, **terms)))  # type: ignore[arg-type]


def bar(
    desk: Desk, open_: int, high: int, low: int, close: int, volume: int = 1000, assumed: int = 0
) -> list[Report]:
    """The next bar: it opens now, and all that the desk did before it was there."""
    opened = desk.now_ns
    desk.now_ns += SPAN
    return desk.market(BarUpdate(opened + SPAN, desk.symbol, SPAN, open_, high, low, close, volume, assumed))


def makers(desk: Desk) -> list[bool]:
    return [report.liquidity is Liquidity.MAKER for report in desk.log if isinstance(report, FillReport)]


def test_a_market_order_fills_at_the_close_that_is_known_and_then_at_the_next_open() -> None:
    """10 per cent of 1000 lots; the rest waits."""
    desk = desk_with()
    bar(desk, 100, 110, 90, 105)
    assert desk.fills(desk.buy(150)) == [("c1", 105, 100)]
    assert desk.fills(bar(desk, 103, 104, 99, 100)) == [("c1", 103, 50)]
    assert makers(desk) == [False, False]


def test_our_orders_share_a_bar() -> None:
    """Both sides, those that wait and those that come after: 10 per cent of it in all."""
    desk = desk_with()
    bar(desk, 100, 100, 100, 100, 0)
    for side in (1, -1):
        assert isinstance(desk.send(side, 60), Accepted)
    assert desk.fills(bar(desk, 100, 100, 100, 100, 999)) == [("c1", 100, 60), ("c2", 100, 39)]
    assert desk.fills(desk.buy(5)) == []
    assert desk.fills(bar(desk, 101, 101, 101, 101, 300)) == [("c2", 101, 21), ("c3", 101, 5)]
    assert desk.fills(desk.buy(5)) == [("c4", 101, 4)]


def test_of_a_bar_of_unknown_volume_our_orders_get_what_is_assumed() -> None:
    """All together, whatever the participation is; VOLUME_SHARE slips by its limit, as where nothing is told."""
    desk = desk_with("1", slippage=VolumeShareSlippage(price_impact=D(10), volume_limit=D("0.1")))
    bar(desk, 100, 100, 100, 100, 0, 80)
    assert desk.fills(desk.buy(50)) == [("c1", 110, 50)]
    assert desk.fills(desk.sell(50)) == [("c2", 90, 30)]
    assert desk.fills(bar(desk, 100, 100, 100, 100, 0, 80)) == [("c2", 90, 20)]


def test_a_limit_needs_more_than_a_touch() -> None:
    desk = desk_with()
    bar(desk, 100, 101, 99, 100)
    desk.buy(5, 95)
    desk.sell(5, 105)
    assert desk.fills(bar(desk, 100, 105, 95, 100)) == []
    assert desk.fills(bar(desk, 100, 106, 94, 100)) == [("c1", 95, 5), ("c2", 105, 5)]
    assert makers(desk) == [True, True]


def test_a_favourable_gap_gives_the_open_and_counts_as_taking() -> None:
    """LEAN's EquityFillModel; price comes before time."""
    desk = desk_with("1")
    bar(desk, 100, 101, 99, 100)
    desk.buy(6, 95)
    desk.buy(6, 97)
    assert desk.fills(bar(desk, 90, 101, 89, 100)) == [("c2", 90, 6), ("c1", 90, 4)]
    assert makers(desk) == [False, False]


def test_a_stop_fills_at_its_trigger_or_at_an_open_beyond_it() -> None:
    for open_, price in ((100, 95), (93, 93)):
        desk = desk_with()
        bar(desk, 100, 101, 99, 100)
        desk.send(-1, 5, stop=95)
        assert desk.fills(bar(desk, open_, 101, 92, 100)) == [("c1", price, 5)]
        assert makers(desk) == [False]


def test_of_a_stop_and_a_limit_in_one_bar_the_stop_is_done() -> None:
    """Room for one of them: the worse is assumed."""
    desk = desk_with("1")
    bar(desk, 100, 101, 99, 100)
    desk.sell(10, 110)
    desk.send(-1, 10, stop=90)
    assert desk.fills(bar(desk, 100, 112, 88, 100)) == [("c2", 90, 10)]


@pytest.mark.parametrize("side", [1, -1])
def test_of_a_stop_and_an_order_to_be_touched_the_stop_is_done(side: int) -> None:
    """Whichever side: the worse is assumed of both, with room for one."""
    desk = desk_with("1")
    bar(desk, 100, 101, 99, 100)
    desk.send(side, 10, stop=100 - 10 * side, type=OrderType.MARKET_IF_TOUCHED)
    desk.send(side, 10, stop=100 + 10 * side)
    assert desk.fills(bar(desk, 100, 112, 88, 100)) == [("c2", 100 + 10 * side, 10)]


@pytest.mark.parametrize("side", [1, -1])
def test_a_trailing_stop_is_tested_before_it_follows(side: int) -> None:
    """5 behind 100: a bar from 96 to 120 does not reach 95, then draws the trigger to 115 (of which the close of 118
    is not yet short); the next opens at 117 and goes through it. For a buyer the mirror of it."""

    def mirrored(*prices: int) -> tuple[int, ...]:
        return prices if side < 0 else (200 - prices[0], 200 - prices[2], 200 - prices[1], 200 - prices[3])

    desk = desk_with()
    bar(desk, *mirrored(100, 100, 100, 100))
    desk.send(side, 5, type=OrderType.TRAILING_STOP, trail_amount=5, source=TriggerSource.LAST)
    assert desk.fills(bar(desk, *mirrored(100, 120, 96, 118))) == []
    assert desk.fills(bar(desk, *mirrored(117, 117, 110, 112))) == [("c1", 115 if side < 0 else 85, 5)]


def test_a_split_leaves_nothing_of_the_bar_before_it() -> None:
    """Two for one: nobody buys at the old price, and the next bar is a new one."""
    desk = Desk(AAPL, terms=AccountTerms(RICH, fills=FillTerms(participation_percent=D(10))))
    bar(desk, 100, 100, 100, 100)
    desk.market(CorporateAction(desk.tick(), "AAPL", CorporateActionKind.SPLIT, (2, 1)))
    assert desk.fills(desk.buy(5)) == []
    assert desk.fills(bar(desk, 50, 51, 49, 50)) == [("c1", 50, 5)]


def test_a_stop_that_gets_too_little_takes_the_rest_at_the_next_open() -> None:
    desk = desk_with("1")
    bar(desk, 100, 101, 99, 100)
    desk.send(-1, 15, stop=90)
    assert desk.fills(bar(desk, 100, 101, 80, 85)) == [("c1", 90, 10)]
    assert desk.fills(bar(desk, 84, 101, 80, 100)) == [("c1", 84, 5)]


def test_what_comes_while_a_bar_runs_knows_only_its_close() -> None:
    """Neither the open nor the low was surely after it."""
    desk = desk_with("1")
    bar(desk, 100, 101, 99, 100)
    opened = desk.now_ns
    desk.now_ns += SPAN // 2
    desk.buy(12)
    desk.buy(5, 95)
    desk.buy(5, 97)
    desk.now_ns = opened + SPAN
    update = BarUpdate(opened + SPAN, desk.symbol, SPAN, 90, 101, 80, 96, 1000)
    assert desk.fills(desk.market(update)) == [("c1", 96, 2), ("c3", 97, 5)]


def test_at_once_or_all_of_it() -> None:
    """An IOC takes what is left of the bar, an FOK all of itself or nothing; neither waits."""
    desk = desk_with("1")
    bar(desk, 100, 101, 99, 100)
    assert isinstance(desk.buy(11, None, FOK), Rejected)
    assert desk.fills(desk.buy(6, 100, FOK)) == [("c2", 100, 6)]
    assert desk.fills(desk.buy(6, 105, IOC)) == [("c3", 100, 4)]
    assert desk.fills(desk.buy(6, 99, IOC)) == []
    assert isinstance(desk.buy(1, None, IOC), Rejected)
    assert not desk.venue.open_orders()


def test_trades_alone_fill_a_market_order_by_their_share() -> None:
    """After the one that it found; a limit only by trades beyond it."""
    desk = desk_with()
    desk.trade(100, 50)
    desk.buy(7)
    desk.buy(5, 99)
    assert desk.fills() == []
    assert desk.fills(desk.trade(100, 50)) == [("c1", 100, 5)]
    assert desk.fills(desk.trade(99, 25)) == [("c1", 99, 2)]
    assert desk.fills(desk.trade(98, 25)) == [("c2", 99, 2)]
    assert makers(desk) == [False, False, True]


def test_a_gap_in_trades_makes_nothing_doubtful() -> None:
    desk = desk_with()
    desk.trade(100, 50)
    desk.buy(5)
    desk.gap()
    assert desk.fills(desk.trade(101, 50)) == [("c1", 101, 5)]


def test_the_first_book_ends_it() -> None:
    """What waits takes from the book, the rest ends as everywhere; later bars fill nothing."""
    desk = desk_with()
    desk.trade(100, 50)
    desk.buy(7)
    desk.snapshot([(99, 4)], [(101, 4)])
    assert desk.fills() == [("c1", 101, 4)]
    assert desk.changes()[-1] == ("c1", "CANCELED")
    desk.buy(5, 98)
    assert desk.fills(bar(desk, 90, 90, 90, 90)) == []


def test_takers_slip_on_bars_with_the_volume_of_the_bar() -> None:
    """price × 1000 × share²: 20 of 1000 lots at 1.00 is 0.4; who rests does not slip."""
    desk = desk_with("10", slippage=VolumeShareSlippage(D(1000), D("0.1")))
    bar(desk, 100, 100, 100, 100)
    assert desk.fills(desk.buy(20)) == [("c1", 140, 20)]
    desk.sell(5, 120)
    assert desk.fills(bar(desk, 110, 130, 100, 100)) == [("c2", 120, 5)]


def test_what_waits_sets_funds_aside_and_ends_when_they_are_gone() -> None:
    """60 lots at 1.00 are 0.06 USDT, of 0.1; at the next open of 2.00 the account cannot pay."""
    desk = Desk(terms=AccountTerms({"USDT": D("0.1")}, fills=FillTerms(participation_percent=D(10))))
    bar(desk, 100, 100, 100, 100, 0)
    desk.buy(60)
    assert desk.balance("USDT").held == D("0.06")
    assert isinstance(desk.buy(60), Rejected)
    bar(desk, 200, 200, 200, 200)
    assert desk.changes()[-1] == ("c1", "CANCELED")
    assert desk.balance("USDT").held == 0


def test_a_market_order_that_waits_can_be_cancelled() -> None:
    desk = desk_with()
    desk.trade(100, 50)
    desk.buy(7)
    assert isinstance(desk.cancel("c1"), Accepted)
    assert desk.fills(desk.trade(100, 50)) == []


@pytest.mark.parametrize("prices", [(0, 1, 0, 1), (5, 4, 3, 4), (5, 6, 5, 4)])
def test_a_bar_that_cannot_be_is_refused(prices: tuple[int, int, int, int]) -> None:
    desk = desk_with()
    with pytest.raises(ValueError, match="a bar with open"):
        bar(desk, *prices)


bars = st.tuples(st.lists(st.integers(90, 110), min_size=4, max_size=4), st.integers(0, 60), st.booleans())
orders = st.tuples(
    st.sampled_from([1, -1]), st.integers(1, 9), st.one_of(st.none(), st.integers(88, 112)), st.booleans()
)


@given(st.lists(st.one_of(bars, orders), max_size=30), st.sampled_from(["5", "33", "100"]), st.booleans())
def test_whatever_the_bars_nobody_gets_more_or_better_than_they_bring(
    steps: list[tuple[object, ...]], percent: str, slips: bool
) -> None:
    """The cap holds for all orders of a bar together, until the next; no fill is better than the bar's best price nor
    worse than its limit, a maker's is its limit; fills and what is left are the quantity."""
    desk = desk_with(percent, slippage=FixedSlippage(D("0.01")) if slips else None)
    left, low, high = 0, 0, 0
    asked: dict[str, tuple[int, int, int | None]] = {}
    for step in steps:
        if isinstance(step[0], list):
            prices, volume, late = step
            assert isinstance(prices, list)
            assert isinstance(volume, int)
            if late:
                desk.now_ns += SPAN // 3
            left, low, high = volume * int(percent) // 100, min(prices), max(prices)
            told = bar(desk, prices[0], high, low, prices[3], volume)
        else:
            side, lots, price, stopped = step
            assert isinstance(side, int)
            assert isinstance(lots, int)
            assert price is None or isinstance(price, int)
            stop = stopped and price is not None
            outcome = desk.send(side, lots, None if stop else price, price if stop else None)
            if isinstance(outcome, Rejected):
                continue
            asked[f"c{len(desk.orders)}"] = (side, lots, None if stop else price)
            told = list(outcome.reports)
        for report in told:
            if isinstance(report, FillReport):
                side, _, limit = asked[report.client_order_id]
                paid, lots = int(report.price.scaleb(2)), int(report.quantity.scaleb(3))
                left -= lots
                if report.liquidity is Liquidity.MAKER:
                    assert paid == limit
                if limit is not None:
                    assert side * paid <= side * limit
                assert paid >= low if side > 0 else paid <= high
        assert left >= 0
    filled: dict[str, int] = {}
    for name, _, lots in desk.fills():
        filled[name] = filled.get(name, 0) + lots
    open_lots = {order.client_order_id: order.leaves for order in desk.venue.open_orders()}
    ended = {name for name, what in desk.changes() if what == "CANCELED"}
    for name, (_, lots, _) in asked.items():
        assert filled.get(name, 0) + open_lots.get(name, 0) == lots or name in ended
