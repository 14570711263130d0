"""Orders a second."""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain import lifecycle
from brokergate.domain.orders import Side
from brokergate.domain.policy import RiskLimits
from tests.unit.engine.risk.desk import INSTRUMENTS, Desk, passed, refusal, smaller, spec

BUY = Side.BUY


def test_no_second_has_more_orders_than_the_limit() -> None:
    """Not the second by the clock: any second. The message says how long to wait."""
    at = Desk(RiskLimits(max_orders_per_second=2))
    passed(at.place(spec(BUY, 1)))
    at.wait(0.75)
    passed(at.place(spec(BUY, 1)))
    assert refusal(at.place(spec(BUY, 1))).message == (
        "risk_limits.max_orders_per_second is 2 and so many were placed in the last second; wait 250 ms"
    )
    at.wait(0.25)
    passed(at.place(spec(BUY, 1)))
    refusal(at.place(spec(BUY, 1)))
    at.wait(0.749999999)
    assert refusal(at.place(spec(BUY, 1))).message.endswith("wait 1 ms")
    at.wait(0.000000001)
    passed(at.place(spec(BUY, 1)))


def test_replaces_count_and_cancels_do_not() -> None:
    """Nor does what another limit refuses."""
    at = Desk(RiskLimits(max_orders_per_second=2, max_order_quantity={"BTC/USDT": Decimal(5)}))
    order = at.acknowledge(passed(at.place(spec(BUY, 1, "90"))))
    refusal(at.place(spec(BUY, 6)))
    at.cancel(order)
    order = at.acknowledge(passed(at.place(spec(BUY, 1, "90"))))
    assert "max_orders_per_second" in refusal(at.replace(order, smaller(order.spec, 2))).message
    at.wait(1)
    order = at.replaced(passed(at.replace(order, smaller(order.spec, 2))))
    passed(at.place(spec(BUY, 1)))
    refusal(at.place(spec(BUY, 1)))
    passed(at.replace(order, smaller(order.spec, 1)))


def test_orders_of_before_a_start_and_of_others_do_not_count() -> None:
    """Nobody placed them now."""
    at = Desk(RiskLimits(max_orders_per_second=1))
    at.intend(spec(BUY, 1))
    at.intend(spec(BUY, 1), external=True)
    passed(at.place(spec(BUY, 1)))


def test_an_order_that_was_held_back_counted_when_it_came() -> None:
    """Not again when it is sent, and it does not wait for its turn."""
    at = Desk(RiskLimits(max_orders_per_second=2))
    asked = spec(BUY, 1, "90")
    held = [at.hold(lifecycle.hold_back(passed(at.place(asked)))) for _ in range(2)]
    for order in held:
        assert at.risk.check(asked, Decimal(1), INSTRUMENTS[asked.symbol], order) is None
    at.wait(1)
    for order in held:
        assert at.risk.check(asked, Decimal(1), INSTRUMENTS[asked.symbol], order) is None
    passed(at.place(asked))
    passed(at.place(asked))
    refusal(at.place(asked))
