"""Statistics against numbers that were worked by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.backtest import statistics
from brokergate.backtest.statistics import Execution, Wish
from brokergate.domain.fills import Money
from brokergate.domain.money import quotient

BUY = Execution(
    time_ns=1,
    symbol="XYZ",
    sign=1,
    quantity=D(100),
    price=D("30.05"),
    multiplier=D(1),
    currency="USD",
    fees=(Money(D("1.50"), "USD"),),
    maker=False,
    arrival_mid=D("30.00"),
)
WISH = Wish(
    symbol="XYZ",
    sign=1,
    ordered=D(500),
    filled=D(300),
    multiplier=D(1),
    currency="USD",
    outcome="partly filled",
    reason="",
    arrival_mid=D("30.00"),
    last_mid=D("31.00"),
    queue_wait_ns=None,
    rested=False,
)


def test_the_shortfall_of_an_order_is_what_filling_cost_and_what_not_filling_cost() -> None:
    """500 to buy at 30.00; 100 at 30.05 and 200 at 30.20, the rest left at 31.00: paper gains 500, trading
    95 + 160 = 255 (31 - 30.05 on 100, 31 - 30.20 on 200), so the shortfall is 245 = 45 + 200."""
    fills = [BUY, replace(BUY, quantity=D(200), price=D("30.20"))]
    (cost,) = statistics.shortfalls(fills, [WISH]).values()
    assert cost.execution == D("45.00")
    assert cost.opportunity == D("200.00")
    assert cost.execution_bps == D(50)  # 45 of 9,000
    paper, traded = D(500), D(100) * D("0.95") + D(200) * D("0.80")
    assert cost.execution + cost.opportunity == paper - traded


def test_selling_below_the_mid_costs_and_above_it_pays() -> None:
    below = replace(BUY, sign=-1, price=D("29.97"))
    assert statistics.slippage(below) == D(3)
    assert statistics.slippage_bps(below) == D(10)
    assert statistics.slippage(replace(below, price=D("30.03"))) == D(-3)


def test_a_multiplier_counts_in_money_and_not_in_basis_points() -> None:
    future = replace(BUY, multiplier=D(50))
    assert statistics.slippage(future) == D(250)
    assert statistics.slippage_bps(future) == statistics.slippage_bps(BUY)


def test_what_has_no_mid_is_counted_apart() -> None:
    (cost,) = statistics.shortfalls(
        [replace(BUY, arrival_mid=None), BUY], [replace(WISH, last_mid=None)]
    ).values()
    assert (cost.execution, cost.unknown) == (D(5), 2)


def test_refused_orders_are_in_no_sum() -> None:
    refused = replace(WISH, outcome="refused", filled=D(0), reason="PRICE_OFF_TICK")
    assert statistics.shortfalls([], [refused]) == {}
    assert statistics.fill_ratios([refused])["XYZ"].ratio is None
    assert statistics.refusals([refused, WISH]) == {"PRICE_OFF_TICK": 1}
    assert statistics.outcomes([refused, WISH]) == {
        "filled": 0,
        "partly filled": 1,
        "not filled": 0,
        "refused": 1,
    }


def test_the_fill_ratio_is_of_quantities() -> None:
    ratio = statistics.fill_ratios([WISH, replace(WISH, ordered=D(100), filled=D(0))])["XYZ"]
    assert (ratio.ordered, ratio.filled, ratio.ratio) == (D(600), D(300), D("0.5"))


def test_the_drawdown_is_the_largest_fall_and_the_longest_time_below_a_peak() -> None:
    """100 → 120 → 90 → 120 is a fall of 30 (25 %) that took two steps to come back; 130 → 125 → 128 lasts for four."""
    curve = [(0, 100), (1, 120), (2, 90), (3, 120), (4, 130), (5, 125), (8, 128)]
    fall = statistics.drawdown([(time, D(equity)) for time, equity in curve])
    assert fall is not None
    assert (fall.amount, fall.share, fall.peak_ns, fall.trough_ns) == (D(30), D("0.25"), 1, 2)
    assert fall.longest_ns == 4


def test_a_curve_that_only_rises_has_no_drawdown() -> None:
    fall = statistics.drawdown([(0, D(1)), (1, D(1)), (2, D(3))])
    assert fall is not None
    assert (fall.amount, fall.longest_ns) == (D(0), 0)
    assert statistics.drawdown([]) is None


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=40))
def test_the_drawdown_is_what_every_pair_of_moments_says(values: list[int]) -> None:
    fall = statistics.drawdown([(index, D(value)) for index, value in enumerate(values)])
    assert fall is not None
    falls = [values[i] - values[j] for i in range(len(values)) for j in range(i, len(values))]
    assert fall.amount == max(falls)
    assert values[fall.peak_ns] - values[fall.trough_ns] == fall.amount


@pytest.mark.parametrize(("percent", "rank"), [(5, 15), (30, 20), (40, 20), (50, 35), (100, 50)])
def test_a_quantile_is_a_value_that_was(percent: int, rank: int) -> None:
    """The nearest ranks of 15, 20, 35, 40, 50: the 30th and 40th percentile are 20, the 50th 35, the 100th 50."""
    assert statistics.nearest_rank([15, 20, 35, 40, 50], percent) == rank


def test_queue_waits_tell_of_those_that_never_filled() -> None:
    rested = replace(WISH, rested=True)
    wishes = [replace(rested, queue_wait_ns=wait) for wait in (30, 10, 20, None)]
    waits = statistics.queue_waits([*wishes, WISH])
    assert waits is not None
    assert (waits.count, waits.shortest_ns, waits.median_ns, waits.p90_ns, waits.longest_ns) == (
        3,
        10,
        20,
        30,
        30,
    )
    assert waits.never == 1
    assert statistics.queue_waits([WISH]) is None


def test_volume_and_fees_are_by_currency() -> None:
    sold = replace(
        BUY, sign=-1, maker=True, quantity=D(10), fees=(Money(D("-0.10"), "USD"), Money(D(2), "BNB"))
    )
    euro = replace(BUY, currency="EUR", fees=())
    volume = statistics.volumes([BUY, sold, euro])
    assert volume["USD"].turnover == D("3305.50")
    assert volume["USD"].maker == D("300.50")
    assert volume["USD"].maker_share == quotient(D("300.50"), D("3305.50"))
    assert volume["EUR"].maker == 0
    assert statistics.fees([BUY, sold, euro]) == {"BNB": D(2), "USD": D("1.40")}
