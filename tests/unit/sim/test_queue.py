"""Queue models: hftbacktest's definitions in numbers, and what both never do."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain.orders import OrderType, TimeInForce, TriggerSource
from brokergate.sim.book import UNKNOWN
from brokergate.sim.filling import FillTerms
from brokergate.sim.orders import WorkingOrder
from brokergate.sim.queue import ConservativeQueue, ProbabilisticQueue, QueueFunction, QueueModel
from brokergate.sim.terms import AccountTerms
from tests.unit.sim.matching.desk import RICH, Desk

LINEAR = ProbabilisticQueue(QueueFunction.POWER, 1.0)
SQUARE = ProbabilisticQueue()
LOG = ProbabilisticQueue(QueueFunction.LOG)


def resting(model: QueueModel, shown: int) -> WorkingOrder:
    order = WorkingOrder(
        "c", "P1", "X", 1, OrderType.LIMIT, TimeInForce.GTC, 5, 100, None, TriggerSource.UNSPECIFIED
    )
    model.join(order, shown)
    return order


def standing(model: QueueModel, ahead: int, before: int) -> WorkingOrder:
    """An order with `ahead` before it where `before` was shown last."""
    order = resting(model, ahead)
    model.depth(order, before)
    assert order.ahead == ahead
    return order


@pytest.mark.parametrize(
    ("model", "ahead", "before", "shown", "result"),
    [
        # est = ahead - (1-p)·c + min(behind - p·c, 0), p = f(behind) / (f(behind) + f(ahead)); `ProbQueueModel::depth`
        (LINEAR, 10, 20, 14, 7),  # c 6, behind 10, p 1/2: 10 - 3
        (SQUARE, 10, 20, 14, 7),  # whatever the n: half stands behind
        (LOG, 10, 20, 14, 7),
        (LINEAR, 10, 40, 36, 9),  # behind 30, p 3/4, c 4: 10 - 1
        (LINEAR, 30, 40, 36, 27),  # behind 10, p 1/4, c 4: 30 - 3
        (SQUARE, 10, 20, 5, 3),  # c 15, p 1/2: 10 - 7.5 + min(10 - 7.5, 0) = 2.5, up to 3
        (LOG, 1000, 1010, 910, 910),  # p·c 25.8 is more than the 10 behind: all that is left stands ahead
        (LINEAR, 10, 10, 4, 4),  # nobody behind
        (LINEAR, 10, 20, 25, 10),  # a level that grows grows behind
        (LINEAR, 0, 20, 3, 0),
    ],
)
def test_hftbacktests_definition_in_numbers(
    model: QueueModel, ahead: int, before: int, shown: int, result: int
) -> None:
    """nkaz001/hftbacktest:hftbacktest/src/backtest/models/queue.rs, worked by hand."""
    order = standing(model, ahead, before)
    model.depth(order, shown)
    assert order.ahead == result


def test_what_traded_is_not_counted_twice() -> None:
    """20 shown, 10 ahead, 4 trade; of the 6 that are then missing 2 left. behind is 20 - 6: p 0.7, 6 - 0.6 is 5.4."""
    order = standing(LINEAR, 10, 20)
    assert LINEAR.trade(order, 4, 4) == 0
    assert order.ahead == 6
    LINEAR.depth(order, 14)
    assert order.ahead == 6
    assert LINEAR.trade(order, 8, 8) == 2
    assert order.ahead == 0


def test_the_conservative_queue_moves_by_trades_and_by_what_cannot_be() -> None:
    order = resting(ConservativeQueue(), 10)
    ConservativeQueue().depth(order, 12)
    assert order.ahead == 10
    ConservativeQueue().depth(order, 7)
    assert order.ahead == 7
    assert ConservativeQueue().trade(order, 9, 9) == 2
    ConservativeQueue().depth(order, UNKNOWN)
    assert order.ahead == 0


@pytest.mark.parametrize("model", [ConservativeQueue(), LINEAR, LOG])
def test_what_nothing_shows_is_learned_when_it_is_shown(model: QueueModel) -> None:
    order = resting(model, UNKNOWN)
    model.depth(order, UNKNOWN)
    assert order.ahead == UNKNOWN
    model.depth(order, 8)
    assert order.ahead == 8


@given(
    st.integers(0, 60),
    st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=12),
    st.sampled_from([LINEAR, SQUARE, LOG, ProbabilisticQueue(QueueFunction.POWER, 0.5)]),
)
def test_it_stands_where_the_definition_says_or_further_back(
    shown: int, steps: list[tuple[bool, int]], model: ProbabilisticQueue
) -> None:
    """One change at a time, from where whole lots had brought it: rounded up, by less than a lot. Whatever comes, it
    never falls back, never stands behind more than is shown, nor behind where the conservative queue has it."""
    order, plain = resting(model, shown), resting(ConservativeQueue(), shown)
    for is_trade, lots in steps:
        before = (order.ahead, order.seen, order.traded)
        if is_trade:
            model.trade(order, lots, lots)
            ConservativeQueue().trade(plain, lots, lots)
        else:
            model.depth(order, lots)
            ConservativeQueue().depth(plain, lots)
            assert order.ahead <= lots
            ahead, seen, traded = before
            exact = definition_step(model, ahead, seen, traded, lots)
            assert exact - Fraction(1, 10**6) <= order.ahead <= max(0, ceil(exact + Fraction(1, 10**6)))
        assert 0 <= order.ahead <= min(before[0], plain.ahead)


def definition_step(model: ProbabilisticQueue, ahead: int, before: int, traded: int, shown: int) -> Fraction:
    def f(x: int) -> Fraction:
        return Fraction(log(1 + x) if model.function is QueueFunction.LOG else x**model.exponent)

    gone, behind = before - shown - traded, before - ahead
    if gone < 0 or not (behind or ahead):
        return Fraction(min(ahead, shown))
    p = f(behind) / (f(behind) + f(ahead))
    return max(
        Fraction(0), min(ahead - (1 - p) * gone + min(behind - p * gone, Fraction(0)), Fraction(shown))
    )


def test_the_queue_that_is_chosen_decides_when_an_order_fills() -> None:
    """20 stand at 99 as we come, 20 come behind us; 20 leave without a trade. Then 12 trade."""
    fills = {}
    for model in (ConservativeQueue(), LINEAR):
        desk = Desk(terms=AccountTerms(RICH, fills=FillTerms(queue=model)))
        desk.snapshot([(99, 20)], [(101, 5)])
        desk.buy(5, 99)
        desk.delta([(99, 40)])
        desk.delta([(99, 20)])
        desk.trade(99, 12, -1)
        fills[model] = desk.fills()
    assert fills == {ConservativeQueue(): [], LINEAR: [("c1", 99, 2)]}


def test_an_order_that_came_later_is_not_overtaken_by_its_elders_doubt() -> None:
    """However the model guesses, the earlier order at a price fills first."""
    desk = Desk(terms=AccountTerms(RICH, fills=FillTerms(queue=ProbabilisticQueue(exponent=3.0))))
    desk.snapshot([(99, 100)], [(101, 5)])
    desk.buy(5, 99)
    for shown in (140, 130, 170, 60, 90, 40):
        desk.delta([(99, shown)])
        desk.buy(5, 99)
    for _ in range(60):
        desk.trade(99, 2, -1)
    names = [name for name, _, _ in desk.fills()]
    assert names == sorted(names)
    assert len(set(names)) > 1
