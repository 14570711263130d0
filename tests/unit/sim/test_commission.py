"""What executions cost: presets against the brokers' own examples, orders that fill in parts, tiers, rebates."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain.fills import Liquidity
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.ports.broker import FillReport
from brokergate.sim.commission import Volumes
from brokergate.sim.fees import FeeSchedule, Tier, TierBasis, read_schedule
from brokergate.sim.packing import Packer, Unpacker
from brokergate.sim.presets import PRESETS
from brokergate.sim.terms import AccountTerms
from tests.unit.sim.matching.desk import IOC, Desk

D = Decimal
DAY_NS = 86_400_000_000_000
SHARE = Instrument("XYZ", "XYZ", InstrumentKind.EQUITY, "", "USD", D("0.01"), D(1))
PAIR = Instrument("BTC/USD", "BTC/USD", InstrumentKind.SPOT, "BTC", "USD", D("0.01"), D("0.001"))


def shares(schedule: FeeSchedule, instrument: Instrument = SHARE, start_ns: int = DAY_NS * 19_000) -> Desk:
    terms = AccountTerms({"USD": D(10**9), "BTC": D(1000)}, schedule)
    return Desk(instrument, terms=terms, start_ns=start_ns)


def told(desk: Desk) -> list[FillReport]:
    return [report for report in desk.log if isinstance(report, FillReport)]


def cost(desk: Desk, side: int, ticks: int, *sizes: int) -> list[Decimal]:
    """The fees of one market order that takes `sizes` lots, a level each, from `ticks` on."""
    levels = [(ticks + side * step, size) for step, size in enumerate(sizes)]
    desk.snapshot([], [])  # a level that is gone is new when it comes back
    desk.snapshot([] if side > 0 else levels, levels if side > 0 else [])
    before = len(told(desk))
    lot = desk.instruments[0].quantity_increment
    desk.place([desk.order(side, int(sum(sizes) * lot * 1000))])
    return [fill.fees[0].amount for fill in told(desk)[before:]]


@pytest.mark.parametrize(
    ("shares_sold", "cents", "fee"), [(100, 2500, "1.00"), (1000, 2500, "5.00"), (1000, 25, "2.50"), (10, 20, "0.02")]
)  # fmt: skip
def test_interactive_brokers_own_examples_fixed(shares_sold: int, cents: int, fee: str) -> None:
    """interactivebrokers.co.uk/en/pricing/commissions-stocks.php, examples of the fixed schedule, and the rule that the
    maximum counts where it is below the minimum; levies apart."""
    ibkr = dict(PRESETS["ibkr_fixed"].kinds)[InstrumentKind.EQUITY]
    bare = FeeSchedule(per_unit=ibkr.per_unit, minimum=ibkr.minimum, maximum_percent=ibkr.maximum_percent)
    assert sum(cost(shares(bare), 1, cents, shares_sold)) == D(fee)


def test_the_presets_levies_are_rounded_up() -> None:
    """A sale of 1000 shares at Alpaca: 0.0265 + 0.166 is 0.20; a purchase only the audit trail's 0.03."""
    desk = shares(PRESETS["alpaca"])
    assert cost(desk, 1, 10_000, 1000) == [D("0.03")]
    assert cost(desk, -1, 10_000, 1000) == [D("0.20")]
    assert sum(cost(shares(PRESETS["alpaca"]), -1, 100, 1_000_000)) == D("34.80")  # 26.50 + at most 8.30


def test_a_minimum_is_paid_by_the_first_execution_and_the_sum_is_the_orders() -> None:
    """0.005 a share, at least 1.00: parts of 100, 50, 150 and 300 shares are 3.00 in all."""
    fees = cost(shares(FeeSchedule(per_unit=D("0.005"), minimum=D(1))), 1, 2500, 100, 50, 150, 300)
    assert fees == [D(1), D(0), D("0.5"), D("1.5")]


def test_a_fixed_fee_is_paid_once() -> None:
    """4.95 an order, however it fills, and nothing without a fill."""
    desk = shares(FeeSchedule(fixed=D("4.95")))
    assert cost(desk, 1, 2500, 1, 2, 3) == [D("4.95"), D(0), D(0)]
    desk.place([desk.order(1, 1000, 1, tif=IOC)])
    assert desk.balance("USD").total == D(10**9) - D("4.95") - D("25.00") - 2 * D("25.01") - 3 * D("25.02")


def test_a_rebate_pays_the_maker() -> None:
    """Maker −0.02 %: 10 at 100.00 bring 0.20 beside the position."""
    desk = Desk(PAIR, terms=AccountTerms({"USD": D(10**6)}, FeeSchedule(D("0.05"), D("-0.02"))))
    desk.snapshot([(9_990, 1)], [(10_010, 1)])
    desk.place([desk.order(1, 10_000, 10_000)])
    desk.trade(9_999, 10_000, -1)
    fill = told(desk)[-1]
    assert (fill.liquidity, fill.fees[0].amount) == (Liquidity.MAKER, D("-0.2"))
    assert desk.balance("USD").total == D(10**6) - 1000 + D("0.2")
    assert desk.balance("USD").held == 0


def test_tiers_go_by_thirty_days_of_turnover() -> None:
    """Kraken's ladder: 0.40 until 10,000, then 0.35; a day falls out of the sum 30 days later."""
    desk = shares(PRESETS["kraken"], PAIR)
    assert cost(desk, 1, 1_000_000, 1000) == [D("40")]  # one coin at 10,000.00
    assert cost(desk, 1, 1_000_000, 1000) == [D("35")]
    desk.now_ns += 29 * DAY_NS
    assert cost(desk, 1, 1_000_000, 1000) == [D("35")]
    desk.now_ns += DAY_NS  # the first day no longer counts, the last trade does
    assert cost(desk, 1, 1_000_000, 1000) == [D("35")]
    desk.now_ns += 60 * DAY_NS
    assert cost(desk, 1, 1_000_000, 1000) == [D("40")]


def test_tiers_by_the_shares_of_the_month_begin_anew_with_it() -> None:
    """Interactive Brokers, tiered: 300,000 shares at 0.0035, then 0.002, and 0.0035 again in the next month."""
    tiered = dict(PRESETS["ibkr_tiered"].kinds)[InstrumentKind.EQUITY]
    bare = FeeSchedule(per_unit=tiered.per_unit, tiers=tiered.tiers, basis=tiered.basis)
    first_of_june = 19_509 * DAY_NS  # 2023-06-01
    desk = shares(bare, start_ns=first_of_june)
    assert sum(cost(desk, 1, 5000, 300_000)) == D("1050")
    assert sum(cost(desk, 1, 5000, 10_000)) == D("20")
    desk.now_ns += 29 * DAY_NS
    assert sum(cost(desk, 1, 5000, 10_000)) == D("20")
    desk.now_ns += DAY_NS
    assert sum(cost(desk, 1, 5000, 10_000)) == D("35")


def test_a_resting_order_sets_aside_the_most_it_can_cost() -> None:
    """100 shares at 25.00 rest: 2500, the minimum of 1.00 and the fixed 0.50."""
    desk = shares(FeeSchedule(per_unit=D("0.005"), minimum=D(1), fixed=D("0.5")))
    desk.snapshot([(2400, 1)], [(2600, 1)])
    desk.place([desk.order(1, 100_000, 2500)])
    assert desk.balance("USD").held == D("2501.5")


rates = st.decimals(0, 5, places=6)
amounts = st.decimals(0, 50, places=4)
schedules = st.builds(
    FeeSchedule,
    taker_percent=rates,
    maker_percent=rates,
    per_unit=st.decimals(0, 1, places=6),
    minimum=amounts,
    maximum_percent=st.none() | rates,
    fixed=amounts,
    levy_per_unit=st.decimals(0, 1, places=7),
    sell_levy_percent=rates,
    sell_levy_per_unit=st.decimals(0, 1, places=7),
    sell_levy_maximum=st.none() | amounts,
    tiers=st.sampled_from([(), (Tier(D(1000), D("0.01"), D(0), D("0.001")),)]),
    basis=st.sampled_from(TierBasis),
    kinds=st.just(()),
)


@given(schedules, st.sampled_from([1, -1]), st.lists(st.integers(1, 999), min_size=1, max_size=6))
def test_the_parts_of_an_order_cost_what_the_order_costs(
    schedule: FeeSchedule, side: int, sizes: list[int]
) -> None:
    """Σ fees of the executions = the schedule's formula on the whole order, worked out in fractions, exact; and what is
    told is what the cash lost."""
    if schedule.plain:
        return
    schedule = FeeSchedule(
        **{name: getattr(schedule, name) for name in schedule.__slots__ if name != "tiers"}
    )
    desk = shares(schedule)
    fees = cost(desk, side, 5000, *sizes)
    fills = told(desk)
    notional = sum(Fraction(fill.price) * Fraction(fill.quantity) for fill in fills)
    lots = sum(sizes)
    fine = notional * Fraction(schedule.taker_percent) / 100 + lots * Fraction(schedule.per_unit)
    fine = max(fine, Fraction(schedule.minimum))
    if schedule.maximum_percent is not None:
        fine = min(fine, notional * Fraction(schedule.maximum_percent) / 100)
    fine += Fraction(schedule.fixed)
    levies = lots * Fraction(schedule.levy_per_unit)
    if side < 0:
        by_unit = lots * Fraction(schedule.sell_levy_per_unit)
        most = schedule.sell_levy_maximum
        levies += by_unit if most is None else min(by_unit, Fraction(most))
        levies += notional * Fraction(schedule.sell_levy_percent) / 100
    cents = round(fine * 100) + -(-levies * 100 // 1)
    assert sum(fees) == D(int(cents)) / 100
    assert desk.balance("USD").total == D(10**9) - side * sum(f.price * f.quantity for f in fills) - sum(fees)


@given(schedules)
def test_a_schedule_is_read_as_it_was_written(schedule: FeeSchedule) -> None:
    """With schedules of kinds inside it."""
    whole = FeeSchedule(D(1), kinds=((InstrumentKind.EQUITY, schedule),))
    assert read_schedule(whole.text()) == whole


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_writing_and_has_rising_tiers(name: str) -> None:
    """Each tier is at most as dear as the one before."""
    preset = PRESETS[name]
    assert read_schedule(preset.text()) == preset
    for schedule in (preset, *dict(preset.kinds).values()):
        ladder = (
            Tier(D(0), schedule.taker_percent, schedule.maker_percent, schedule.per_unit),
            *schedule.tiers,
        )
        for lower, upper in pairwise(ladder):
            assert lower.above < upper.above
            assert (upper.taker_percent, upper.maker_percent, upper.per_unit) <= (
                lower.taker_percent,
                lower.maker_percent,
                lower.per_unit,
            )


def test_what_is_no_schedule_is_refused() -> None:
    """Kept text that is damaged."""
    for text in ("7", "{}", '{"taker_percent":"x","tiers":[]}'):
        with pytest.raises(ValueError, match="no schedule of fees"):
            read_schedule(text)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 10**30))))
def test_volumes_are_kept(trades: list[tuple[int, int]]) -> None:
    """What was written is read again, and sums are those of the days asked for."""
    volumes = Volumes()
    for day, amount in sorted(trades):
        volumes.add("USD", day, amount)
    pack = Packer("test", 1)
    volumes.save(pack)
    read = Volumes()
    read.load(Unpacker(pack.document(), "test", 1))
    last = max((day for day, _ in trades), default=0)
    assert read.since("USD", last - 29) == sum(amount for day, amount in trades if day > last - 30)
