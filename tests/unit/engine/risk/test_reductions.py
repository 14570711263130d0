"""What only reduces a position stays possible, whatever limit is reached."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import OrderSpec, Side
from brokergate.domain.policy import RiskLimits, StopCause
from brokergate.domain.values import changed
from tests.unit.engine.risk.desk import Desk, passed, refusal, smaller, spec, usdt

BUY, SELL = Side.BUY, Side.SELL

EVERY_LIMIT = RiskLimits(
    instruments=frozenset({"EUR/USD"}),
    max_order_quantity={"BTC/USDT": Decimal(1)},
    max_order_notional=usdt("1"),
    max_position_quantity={"BTC/USDT": Decimal(1)},
    max_position_notional=usdt("1"),
    max_open_orders=1,
    price_collar_percent=Decimal(5),
    max_orders_per_second=1,
    max_daily_loss=usdt("1"),
)


@pytest.fixture
def at() -> Desk:
    """Long 10 with every limit reached: by the position, by an open order, by the pace and by the day's loss."""
    desk = Desk(EVERY_LIMIT)
    desk.quote("100", "100")
    desk.position("10", cost="1000")
    assert desk.risk.loss() is None
    desk.quote("99", "101")
    desk.position("10", cost="1010")
    assert desk.risk.loss() is not None
    desk.intend(spec(BUY, 1, "100"), external=True)
    return desk


@pytest.mark.parametrize(
    "asked",
    [spec(SELL, 10), spec(SELL, 3), spec(SELL, 10, "100"), spec(SELL, 10, "130"), spec(SELL, 10, None, "60")],
    ids=["all at the market", "a part", "at a limit", "a take-profit far away", "a stop far away"],
)
def test_a_reduction_passes_every_limit(at: Desk, asked: OrderSpec) -> None:
    """Of any size up to the position."""
    passed(at.place(asked))


def test_several_reductions_pass_as_long_as_they_fit_the_position_together(at: Desk) -> None:
    """The one that would open the other side is refused."""
    passed(at.place(spec(SELL, 6)))
    passed(at.place(spec(SELL, 4, "100")))
    refusal(at.place(spec(SELL, "0.001")))


@pytest.mark.parametrize("asked", [spec(BUY, 1), spec(SELL, "10.001"), spec(BUY, "0.001", "100")])
def test_what_is_no_reduction_is_refused(at: Desk, asked: OrderSpec) -> None:
    """More of the same side, or more than there is to close."""
    assert refusal(at.place(asked)).reason is ErrorReason.RISK_LIMIT


def test_a_short_position_is_reduced_by_buying(at: Desk) -> None:
    """The same the other way round; the order of others to buy counts."""
    at.position("-10", cost="-990")
    passed(at.place(spec(BUY, 9)))
    refusal(at.place(spec(BUY, 1)))
    refusal(at.place(spec(SELL, 1)))


def test_a_reduction_needs_no_quote(at: Desk) -> None:
    """With a limit too: without a market there is nothing that it could be far from."""
    at.quotes.clear()
    passed(at.place(spec(SELL, 5)))
    passed(at.place(spec(SELL, 5, "1")))
    assert refusal(at.place(spec(BUY, 1, "100"))).reason is ErrorReason.NO_REFERENCE_PRICE


def test_a_reduction_that_gives_money_away_is_refused() -> None:
    """A limit beyond the collar on the side where it would fill badly: a slip of the finger."""
    desk = Desk(RiskLimits(price_collar_percent=Decimal(5)))
    desk.quote("99", "101")
    desk.position("10")
    assert "give a limit_price from 95 to 105" in refusal(desk.place(spec(SELL, 10, "94.99"))).message
    passed(desk.place(spec(SELL, 5, "95")))
    desk.position("-10")
    refusal(desk.place(spec(BUY, 10, "105.01")))
    passed(desk.place(spec(BUY, 10, "50")))


def test_the_limit_of_a_stop_that_reduces_is_measured_from_the_stop() -> None:
    """That is where the market will be when it counts."""
    desk = Desk(RiskLimits(price_collar_percent=Decimal(5)))
    desk.quote("99", "101")
    desk.position("10")
    passed(desk.place(spec(SELL, 5, "57", "60")))
    assert "from its stop of BTC/USDT, 60" in refusal(desk.place(spec(SELL, 5, "56", "60"))).message


def test_an_order_that_may_only_reduce_counts_like_any_other() -> None:
    """If it filled first, an order of the same side beside it would open a position."""
    desk = Desk(RiskLimits(max_position_quantity={"BTC/USDT": Decimal(1)}))
    desk.position("10")
    passed(desk.place(changed(spec(SELL, 10), reduce_only=True)))
    passed(desk.place(spec(SELL, 1, "120")))
    refusal(desk.place(spec(SELL, 1, "120")))


def test_a_closing_order_beside_another_says_what_to_cancel(at: Desk) -> None:
    """A stop over the whole position and a closing order could both fill."""
    stop = passed(at.place(spec(SELL, 10, None, "60")))
    breach = refusal(at.place(spec(SELL, 10)))
    assert breach.reason is ErrorReason.RISK_LIMIT
    at.cancel(stop)
    passed(at.place(spec(SELL, 10)))


def test_at_the_days_loss_the_message_says_how_to_close_beside_a_stop() -> None:
    """The other order of the side is in the way."""
    desk = Desk(RiskLimits(max_daily_loss=usdt("1")))
    desk.quote("100", "100")
    desk.position("10", cost="1000")
    assert desk.risk.loss() is None
    desk.quote("99", "99")
    passed(desk.place(spec(SELL, 10, None, "60")))
    desk.wait(1)
    breach = refusal(desk.place(spec(SELL, 10)))
    assert breach.cause is StopCause.DAILY_LOSS
    assert breach.message.endswith("; cancel the other orders of this side to close the position")


def test_a_stop_beside_a_take_profit_may_still_be_moved(at: Desk) -> None:
    """Both close the whole position. Moving a price adds nothing; making it larger does."""
    passed(at.place(spec(SELL, 10, "130")))
    stop = at.intend(spec(SELL, 10, None, "60"), external=True)
    moved = at.replaced(passed(at.replace(stop, spec(SELL, 10, None, "70"))))
    refusal(at.replace(moved, smaller(moved.spec, 11)))
    passed(at.replace(moved, smaller(moved.spec, 9)))


def test_reductions_count_for_the_pace_without_waiting_for_it() -> None:
    """What opens a position waits behind them."""
    desk = Desk(RiskLimits(max_orders_per_second=2))
    desk.position("10")
    for _ in range(5):
        passed(desk.place(spec(SELL, 1)))
    refusal(desk.place(spec(BUY, 1)))
    desk.wait(1)
    passed(desk.place(spec(BUY, 1)))


def test_what_a_replace_makes_smaller_counts_as_it_was_until_that_is_proven(at: Desk) -> None:
    """An order that could open a position is not moved as if it were a reduction already."""
    order = at.acknowledge(at.intend(spec(SELL, 11, "130"), external=True))
    assert refusal(at.replace(order, spec(SELL, 10, "120"))).reason is ErrorReason.RISK_LIMIT
    order = at.replaced(passed(at.replace(order, spec(SELL, 10, "130"))))
    passed(at.replace(order, spec(SELL, 10, "120")))
