"""The invariants of the paper venue on random days of random books and orders of every kind, judged from outside.

One judge looks at all of them at once (`judge.py`), so that each day tries their combinations; what it finds names the
invariant by its number. That it would find it is tried as well, by telling it something else than what happened. What
is narrower has its own tests: latency and faults beside the channel, margin beside the funds.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokergate.domain.events import OrderEventType
from brokergate.domain.fills import Liquidity, Money
from brokergate.domain.orders import Side
from brokergate.ports.broker import FillReport, OrderReport, Report
from brokergate.sim.filling import FillTerms
from brokergate.sim.market import BookSnapshot
from brokergate.sim.queue import ProbabilisticQueue
from brokergate.sim.slippage import FixedSlippage, PercentageSlippage, SlippageModel
from brokergate.sim.terms import AccountTerms
from tests.unit.sim.invariants.script import FEES, START, WIDTH, Day, Row, rows
from tests.unit.sim.matching.desk import IOC, RICH, Desk

INVARIANTS = {
    1: "never worse than its own limit, and a maker exactly at it",
    2: "nothing but what was shown or traded, each lot once",
    3: "fills and leaves are the quantity, nothing after the end, one end",
    4: "cash and position are what the fills say",
    5: "price, then time",
    6: "stops are set off once, by their price, and not missed",
    7: "time in force",
    8: "post-only gives, reduce-only reduces",
    10: "no report before its cause, none after the present",
}
SEEDS = range(16)
STEPS = 500
ROOT = Path(__file__).resolve().parents[4]
days = st.lists(st.tuples(*[st.integers(0, 255)] * WIDTH), max_size=60)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(days)
def test_every_invariant_on_any_day(day: list[Row]) -> None:
    """Short days, so that a breach comes with the shortest one that shows it."""
    assert Day().play(day) == []


@pytest.fixture(scope="module")
def found() -> list[str]:
    """What the judge found on long days, with hundreds of orders beside each other."""
    return [f"day {seed}: {finding}" for seed in SEEDS for finding in Day().play(rows(seed, STEPS))]


@pytest.mark.parametrize(("number", "what"), INVARIANTS.items(), ids=INVARIANTS.values())
def test_invariant(found: list[str], number: int, what: str) -> None:
    """On long days."""
    assert [finding for finding in found if f"invariant {number}:" in finding] == [], what


def test_the_days_try_what_they_are_for() -> None:
    """Every kind of event, makers and takers, every reason for which a flag refuses."""
    seen: set[str] = set()
    for seed in SEEDS:
        day = Day()
        day.play(rows(seed, STEPS))
        seen |= day.outcomes.keys()
        for report in day.log:
            if isinstance(report, OrderReport):
                seen.add(report.event.name)
            elif isinstance(report, FillReport):
                seen.add(report.liquidity.name)
    assert seen >= {"accepted", "MAKER", "TAKER", "TRIGGERED", "REPLACED", "CANCELED", "EXPIRED"}
    assert seen >= {"NOT_FILLABLE", "WOULD_TAKE", "NOTHING_TO_REDUCE", "SELF_TRADE", "INSUFFICIENT_FUNDS"}


# That the judge would find it

Lie = Callable[[list[Report]], list[Report]]


def each(change: Callable[[Report], list[Report]]) -> Lie:
    return lambda reports: [told for report in reports for told in change(report)]


def worse(report: Report) -> list[Report]:
    if isinstance(report, FillReport) and report.liquidity is Liquidity.MAKER:
        return [replace(report, price=report.price + (1 if report.side is Side.BUY else Decimal("-0.1")))]
    return [report]


def more(report: Report) -> list[Report]:
    return [replace(report, quantity=report.quantity * 50)] if isinstance(report, FillReport) else [report]


def twice(report: Report) -> list[Report]:
    ended = isinstance(report, OrderReport) and report.event is OrderEventType.CANCELED
    return [report, report] if ended else [report]


def dearer(report: Report) -> list[Report]:
    if isinstance(report, FillReport):
        return [replace(report, fees=(Money(Decimal("0.00000001"), report.fees[0].currency),))]
    return [report]


def untriggered(report: Report) -> list[Report]:
    return [] if isinstance(report, OrderReport) and report.event is OrderEventType.TRIGGERED else [report]


def endless(report: Report) -> list[Report]:
    return [] if isinstance(report, OrderReport) and report.event is OrderEventType.EXPIRED else [report]


def taking(report: Report) -> list[Report]:
    return [replace(report, liquidity=Liquidity.TAKER)] if isinstance(report, FillReport) else [report]


def early(report: Report) -> list[Report]:
    if isinstance(report, FillReport | OrderReport):
        return [replace(report, event_time_ns=report.event_time_ns - 10**9)]
    return [report]


def backwards(reports: list[Report]) -> list[Report]:
    return reports[::-1]


LIES: dict[int, Lie] = {
    1: each(worse),
    2: each(more),
    3: each(twice),
    4: each(dearer),
    5: backwards,
    6: each(untriggered),
    7: each(endless),
    8: each(taking),
    10: each(early),
}


class Liar(Day):
    """A day whose judge is told something else than what happened, and goes on after what it finds."""

    def __init__(self, lie: Lie) -> None:
        self._lie = lie
        super().__init__()

    def _hear(self, reports: Sequence[Report], symbol: str = "") -> None:
        super()._hear(self._lie(list(reports)), symbol)


@pytest.mark.parametrize("number", LIES, ids=[INVARIANTS[number] for number in LIES])
def test_a_breach_of_the_invariant_would_be_found(number: int) -> None:
    """On one of the same days."""
    for seed in SEEDS:
        day = Liar(LIES[number])
        for row in rows(seed, STEPS):
            day.step(row)
            day.check()
            if any(f"invariant {number}:" in finding for finding in day.judge.findings):
                return
    pytest.fail("nobody noticed")


# Other ways to fill


@pytest.mark.parametrize(
    ("fills", "share"),
    [
        (FillTerms(queue=ProbabilisticQueue()), Decimal(1)),
        (FillTerms(participation_percent=Decimal(40)), Decimal("0.4")),
    ],
    ids=["probabilistic queue", "participation"],
)
def test_9_our_orders_share_their_part_of_a_trade(fills: FillTerms, share: Decimal) -> None:
    """All of the above, and no more than the part that the terms name."""
    terms = AccountTerms(START, FEES, fills=fills)
    for seed in SEEDS:
        assert Day(terms, share).play(rows(seed, STEPS)) == []


levels = st.lists(st.integers(1, 9), min_size=1, max_size=6)


@given(
    levels,
    st.integers(1, 60),
    st.sampled_from([FixedSlippage(Decimal("0.013")), PercentageSlippage(Decimal("0.7"))]),
)
def test_9_slippage_is_adverse_and_never_through_the_limit(
    sizes: list[int], lots: int, model: SlippageModel
) -> None:
    """Buys pay more and sells get less than without it, both by as much, and neither goes through its limit."""
    paid: dict[tuple[int, bool], list[tuple[int, int]]] = {}
    for side in (1, -1):
        for slips in (False, True):
            fills = FillTerms(slippage=model, slippage_told="tried") if slips else FillTerms()
            desk = Desk(terms=AccountTerms(RICH, fills=fills))
            book = tuple((1000 + side * (1 + place), size) for place, size in enumerate(sizes))
            other = ((1000 - side, 5),)
            bids, asks = (other, book) if side > 0 else (book, other)
            desk.market(BookSnapshot(desk.tick(), desk.symbol, bids, asks))
            limit = 1000 + side * 4
            told = desk.fills(desk.send(side, lots, limit, tif=IOC))
            assert all(side * (limit - at) >= 0 for _, at, _ in told)
            market = desk.fills(desk.send(side, lots))
            paid[side, slips] = [(at, size) for _, at, size in market]
    for side in (1, -1):
        for (plain, size), (slipped, other_size) in zip(paid[side, False], paid[side, True], strict=False):
            if size == other_size:
                assert side * (slipped - plain) >= 0


def told(seed: int) -> str:
    """All that was told on a day, in one number."""
    day = Day()
    day.play(rows(seed, STEPS))
    return sha256(repr(day.log).encode()).hexdigest()


@pytest.mark.parametrize("seed", [3, 5])
def test_12_the_same_day_is_told_alike_to_the_byte_in_two_processes(seed: int) -> None:
    """With hashes seeded otherwise, too."""
    script = f"from tests.unit.sim.invariants.test_invariants import told; print(told({seed}))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT / 'server'}:{ROOT}"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
    assert outputs == {told(seed)}
    assert told(seed) != told(seed + 1)
