"""The price collar on orders that may open a position."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.domain import lifecycle
from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import OrderSpec, Side
from brokergate.domain.policy import RiskLimits
from tests.unit.engine.risk.desk import Desk, passed, refusal, smaller, spec

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def at() -> Desk:
    """A collar of 5 per cent around 100, the middle of 99 and 101."""
    desk = Desk(RiskLimits(price_collar_percent=Decimal(5)))
    desk.quote("99", "101")
    return desk


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize(
    ("price", "passes"), [("95", True), ("105", True), ("94.99", False), ("105.01", False)]
)
def test_a_limit_lies_within_the_collar_on_either_side(
    at: Desk, side: Side, price: str, passes: bool
) -> None:
    """Too far on the good side fills nothing, and is a slip of the finger all the same. The edge is inside."""
    answer = at.place(spec(side, 1, price))
    if passes:
        passed(answer)
    else:
        assert refusal(answer).reason is ErrorReason.RISK_LIMIT


def test_the_message_names_the_price_the_reference_and_what_would_pass(at: Desk) -> None:
    """To the tick."""
    at.quote("99.995", "101.01")
    assert refusal(at.place(spec(BUY, 1, "200"))).message == (
        "risk_limits.price_collar_percent is 5 and the order's limit_price 200 is further than that from the reference "
        "price of BTC/USDT, 100.5025; give a limit_price from 95.48 to 105.52"
    )
    passed(at.place(spec(BUY, 1, "95.48")))
    passed(at.place(spec(BUY, 1, "105.52")))


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (spec(BUY, 1, None, "106"), "stop_price 106"),
        (spec(SELL, 1, None, "94"), "stop_price 94"),
        (spec(BUY, 1, "104", "106"), "stop_price 106"),
        (spec(BUY, 1, "110", "104"), "limit_price 110"),
    ],
)
def test_stops_are_measured_too(at: Desk, asked: OrderSpec, field: str) -> None:
    """From the reference price; the limit behind a stop from the stop."""
    assert field in refusal(at.place(asked)).message
    passed(at.place(spec(BUY, 1, "109", "104")))


def test_orders_without_a_price_have_no_collar(at: Desk) -> None:
    """A market order, and one that trails; they need no quote either."""
    at.quotes.clear()
    passed(at.place(spec(BUY, 1)))
    passed(at.place(spec(SELL, 1, trail_percent="50")))


def test_without_a_fresh_quote_there_is_no_reference() -> None:
    """None at all, an empty book, one that is too old: each is said."""
    at = Desk(RiskLimits(price_collar_percent=Decimal(5), quote_max_age_ns=2_000_000_000))
    breach = refusal(at.place(spec(BUY, 1, "100")))
    assert (breach.reason, breach.message) == (
        ErrorReason.NO_REFERENCE_PRICE,
        "risk_limits.price_collar_percent needs a quote of BTC/USDT, and there is none yet; wait for one",
    )
    at.problems["BTC/USDT"] = "not subscribed to; subscribe"
    needs = "needs a quote of BTC/USDT, and there is none: not subscribed to; subscribe"
    assert needs in refusal(at.place(spec(BUY, 1, "100"))).message
    at.quote(None, None)
    assert "its book is empty" in refusal(at.place(spec(BUY, 1, "100"))).message
    at.quote("99", "101")
    at.wait(2)
    passed(at.place(spec(BUY, 1, "100")))
    at.wait(0.001)
    assert refusal(at.place(spec(BUY, 1, "100"))).message == (
        "risk_limits.price_collar_percent needs a quote of BTC/USDT, and the last one is 2001 ms old; wait for one "
        "that is younger than risk_limits.quote_max_age_ms, 2000"
    )


def test_one_side_of_a_book_is_a_reference() -> None:
    """Where nobody offers, what is bid is the market."""
    at = Desk(RiskLimits(price_collar_percent=Decimal(5)))
    at.quote("100", None)
    passed(at.place(spec(BUY, 1, "105")))
    refusal(at.place(spec(BUY, 1, "105.01")))
    at.quote(None, "200")
    passed(at.place(spec(BUY, 1, "190")))


def test_a_change_of_quantity_is_not_held_to_a_market_that_moved_away(at: Desk) -> None:
    """New prices are measured, also of an order that was within the collar when it came."""
    order = passed(at.place(spec(BUY, 2, "100")))
    at.quote("199", "201")
    order = at.replaced(passed(at.replace(at.acknowledge(order), smaller(order.spec, 3))))
    refusal(at.replace(order, spec(BUY, 3, "101")))
    passed(at.replace(order, spec(BUY, 3, "190")))


def test_after_a_stop_was_set_off_its_limit_is_measured_from_the_market(at: Desk) -> None:
    """The stop is over."""
    order = at.acknowledge(passed(at.place(spec(BUY, 1, "104", "103"))))
    at.quote("79", "81")
    triggered = at.hold(lifecycle.trigger(order, at.clock.ns))
    assert "from the reference price" in refusal(at.replace(triggered, spec(BUY, 1, "104.5", "103"))).message
    passed(at.replace(triggered, spec(BUY, 1, "81", "103")))


def test_a_collar_of_more_than_everything_is_one_sided(at: Desk) -> None:
    """200 per cent: any price up to three times the reference."""
    desk = Desk(RiskLimits(price_collar_percent=Decimal(200)))
    desk.quote("99", "101")
    passed(desk.place(spec(BUY, 1, "0.01")))
    assert refusal(desk.place(spec(BUY, 1, "301"))).message.endswith("from 0.01 to 300")
