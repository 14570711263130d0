"""Each limit by itself: what it refuses, and what it says."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.domain import lifecycle
from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import PendingActionKind, Side
from brokergate.domain.policy import RiskLimits
from tests.unit.engine.risk.desk import BTC, Desk, passed, refusal, smaller, spec, usd, usdt

BUY, SELL = Side.BUY, Side.SELL


def desk(limits: RiskLimits) -> Desk:
    """An account with a market: BTC/USDT at 99 to 101."""
    made = Desk(limits)
    made.quote("99", "101")
    return made


def test_only_named_instruments_are_traded() -> None:
    """Another one is refused, and the message has those that may be traded."""
    at = desk(RiskLimits(instruments=frozenset({"BTC/USDT", "EUR/USD"})))
    passed(at.place(spec(BUY, 1)))
    breach = refusal(at.place(spec(BUY, 1, symbol="ETH/BTC")))
    assert breach.reason is ErrorReason.RISK_LIMIT
    assert breach.cause is None
    assert breach.message == (
        "risk_limits.instruments has BTC/USDT, EUR/USD and not ETH/BTC; trade one of them, or only reduce a position "
        "in ETH/BTC"
    )


def test_a_long_list_of_instruments_is_cut_in_the_message() -> None:
    """Eight are named, the rest are counted."""
    names = frozenset(f"S{number}" for number in range(10, 30))
    assert (
        "S17 and 12 more and not BTC/USDT"
        in refusal(desk(RiskLimits(instruments=names)).place(spec(BUY, 1))).message
    )


def test_an_orders_quantity_is_limited_by_symbol() -> None:
    """Up to the limit passes, more does not; an instrument that is not named has no limit."""
    at = desk(RiskLimits(max_order_quantity={"BTC/USDT": Decimal("2.50")}))
    passed(at.place(spec(BUY, "2.5")))
    passed(at.place(spec(BUY, 1000, symbol="ETH/BTC")))
    assert refusal(at.place(spec(BUY, "2.501"))).message == (
        "risk_limits.max_order_quantity of BTC/USDT is 2.5 and the order is 2.501; order at most 2.5"
    )


@pytest.mark.parametrize(
    ("side", "limit", "stop", "price"),
    [
        (BUY, None, None, "101"),
        (SELL, None, None, "99"),
        (BUY, "90", None, "90"),
        (BUY, "120", None, "120"),
        (SELL, "120", None, "120"),
        (SELL, "0.01", None, "99"),
        (BUY, None, "130", "130"),
        (BUY, None, "90", "101"),
        (SELL, None, "90", "99"),
        (SELL, "80", "90", "99"),
        (BUY, "131", "130", "131"),
    ],
)
def test_an_order_is_worth_what_it_may_come_to(
    side: Side, limit: str | None, stop: str | None, price: str
) -> None:
    """A buy its limit; anything else the far side of the quote, or its own price where that is more."""
    most = str(Decimal(price) * 2)
    at = desk(RiskLimits(max_order_notional=usdt(most)))
    passed(at.place(spec(side, 2, limit, stop)))
    breach = refusal(at.place(spec(side, "2.001", limit, stop)))
    assert breach.reason is ErrorReason.RISK_LIMIT
    assert breach.message.startswith(
        f"risk_limits.max_order_notional is {most.removesuffix('.00')} USDT and 2.001 "
    )
    assert breach.message.endswith("; order at most 2")


def test_a_trailing_buy_is_worth_what_it_would_trigger_at() -> None:
    """The ask and its distance on top, in money or in per cent; a trailing sale is worth the bid."""
    at = desk(RiskLimits(max_order_notional=usdt("111.1")))
    passed(at.place(spec(BUY, 1, trail_amount="10")))
    passed(at.place(spec(BUY, 1, trail_percent="10")))
    refusal(at.place(spec(BUY, 1, trail_amount="11")))
    refusal(at.place(spec(BUY, 1, trail_percent="11")))
    passed(at.place(spec(SELL, 1, trail_amount="50")))


def test_what_may_be_ordered_instead_passes() -> None:
    """Also where it is no round number: to the lot, and never a lot too much."""
    at = desk(RiskLimits(max_order_notional=usdt("100")))
    message = refusal(at.place(spec(BUY, 7, "33.33"))).message
    assert message.endswith("order at most 3")
    passed(at.place(spec(BUY, 3, "33.33")))
    assert refusal(at.place(spec(BUY, "3.001", "33.33"))).message.endswith("order at most 3")


def test_a_lot_that_does_not_fit_is_not_offered() -> None:
    """Where not even the smallest order passes, the way out is another."""
    at = desk(RiskLimits(max_order_notional=usdt("0.05")))
    assert refusal(at.place(spec(BUY, 1))).message.endswith(
        "cancel open orders of this side, or reduce the position first"
    )


def test_two_orders_that_do_not_fit_together_do_not_both_pass() -> None:
    """The first counts before the second is asked about, without any word of the venue."""
    at = desk(RiskLimits(max_position_quantity={"BTC/USDT": Decimal(5)}))
    passed(at.place(spec(BUY, 3)))
    assert refusal(at.place(spec(BUY, 3))).message == (
        "risk_limits.max_position_quantity of BTC/USDT is 5 and the order could make it 6: the position is 0, and 3 "
        "more are on order to buy; order at most 2"
    )
    passed(at.place(spec(BUY, 2)))


def test_each_side_is_its_own_worst_case() -> None:
    """Orders to sell make no room for orders to buy, since only these may fill."""
    at = desk(RiskLimits(max_position_quantity={"BTC/USDT": Decimal(5)}))
    at.position("2")
    passed(at.place(spec(SELL, 7, "120")))
    refusal(at.place(spec(SELL, "0.001", "120")))
    passed(at.place(spec(BUY, 3, "90")))
    refusal(at.place(spec(BUY, "0.001", "90")))


def test_a_fill_moves_the_position_at_once() -> None:
    """What an order leaves and what is held stay the same sum, and so does the room."""
    at = desk(RiskLimits(max_position_quantity={"BTC/USDT": Decimal(5)}))
    order = at.fill(at.acknowledge(passed(at.place(spec(BUY, 4)))), 1)
    assert "order at most 1" in refusal(at.place(spec(BUY, 2))).message
    at.cancel(order)
    assert "order at most 4" in refusal(at.place(spec(BUY, 5))).message


def test_the_absolute_word_on_a_position_counts() -> None:
    """It takes the place of what the fills made."""
    at = desk(RiskLimits(max_position_quantity={"BTC/USDT": Decimal(5)}))
    at.position("-5")
    refusal(at.place(spec(SELL, 1)))
    at.position("5")
    refusal(at.place(spec(BUY, 1)))
    at.position("0")
    passed(at.place(spec(BUY, 5)))


def test_uncertain_orders_count_in_full_until_their_end_is_proven() -> None:
    """Neither silence nor a cancel that is asked for gives room back."""
    at = desk(RiskLimits(max_position_quantity={"BTC/USDT": Decimal(5)}))
    order = at.doubt(passed(at.place(spec(BUY, 5))), PendingActionKind.NEW)
    refusal(at.place(spec(BUY, 1)))
    at.cancel(order)
    passed(at.place(spec(BUY, 1)))


def test_orders_of_others_count() -> None:
    """Against the position and among the open orders."""
    at = desk(RiskLimits(max_position_quantity={"BTC/USDT": Decimal(5)}, max_open_orders=2))
    at.intend(spec(BUY, 4), external=True)
    refusal(at.place(spec(BUY, 2)))
    passed(at.place(spec(BUY, 1)))
    assert refusal(at.place(spec(SELL, 1))).message == (
        "risk_limits.max_open_orders is 2 and 2 are open, those of others among them; cancel one first"
    )


def test_while_a_replace_is_under_way_the_larger_counts() -> None:
    """Up and down, until the venue says which it is."""
    at = desk(RiskLimits(max_position_quantity={"BTC/USDT": Decimal(5)}))
    asked = spec(BUY, 2, "90")
    order = passed(at.replace(at.acknowledge(passed(at.place(asked))), smaller(asked, 4)))
    refusal(at.place(spec(BUY, 2)))
    order = at.replaced(order)
    refusal(at.place(spec(BUY, 2)))
    order = passed(at.replace(order, smaller(asked, 1)))
    refusal(at.place(spec(BUY, 2)))
    order = at.doubt(order, PendingActionKind.REPLACE)
    refusal(at.place(spec(BUY, 2)))
    order = at.refused(order)
    refusal(at.place(spec(BUY, 2)))
    at.replaced(passed(at.replace(order, smaller(asked, 1))))
    passed(at.place(spec(BUY, 4)))


def test_a_replace_is_held_to_the_limits() -> None:
    """Its total counts with what has filled, and the way out names a total."""
    at = desk(
        RiskLimits(
            max_position_quantity={"BTC/USDT": Decimal(5)}, max_order_quantity={"BTC/USDT": Decimal(6)}
        )
    )
    asked = spec(BUY, 3, "90")
    order = at.fill(at.acknowledge(passed(at.place(asked))), 1)
    assert refusal(at.replace(order, smaller(asked, 6))).message.endswith(
        "the order could make it 6: the position is 1, and 0 more are on order to buy; order at most 5"
    )
    assert "max_order_quantity of BTC/USDT is 6" in refusal(at.replace(order, smaller(asked, 7))).message
    passed(at.replace(order, smaller(asked, 5)))


def test_a_replace_that_makes_nothing_larger_passes_at_the_limit() -> None:
    """Limits may have been lowered since, or others have traded: a smaller order is no new risk."""
    at = desk(
        RiskLimits(
            max_position_quantity={"BTC/USDT": Decimal(1)},
            max_order_quantity={"BTC/USDT": Decimal(1)},
            max_order_notional=usdt("10"),
            max_position_notional=usdt("10"),
            max_open_orders=1,
        )
    )
    asked = spec(BUY, 5, "90")
    order = at.intend(asked, external=True)
    passed(at.replace(order, smaller(asked, 4)))
    refusal(at.replace(order, smaller(asked, 6)))
    passed(at.replace(order, spec(BUY, 5, "89")))
    refusal(at.replace(order, spec(BUY, 5, "91")))


def test_a_position_is_worth_what_is_held_and_what_is_on_order() -> None:
    """What is held at the middle of the quote, each order at its own worst price: two limits below the market count
    what they would cost, not what the market asks."""
    at = desk(RiskLimits(max_position_notional=usdt("1000")))
    at.position("5")
    passed(at.place(spec(BUY, 5, "80")))
    assert refusal(at.place(spec(BUY, 2, "80"))).message == (
        "risk_limits.max_position_notional is 1000 USDT and the order could make BTC/USDT 1060 USDT: the position is "
        "5, and 5 more are on order to buy; order at most 1.25"
    )
    passed(at.place(spec(BUY, "1.25", "80")))
    refusal(at.place(spec(BUY, "0.001")))


def test_a_sale_below_the_market_is_worth_what_the_market_gives() -> None:
    """Two sales at next to nothing do not both pass because they name a low price."""
    at = desk(RiskLimits(max_position_notional=usdt("100")))
    passed(at.place(spec(SELL, 1, "0.01")))
    refusal(at.place(spec(SELL, 1, "0.01")))


def test_an_order_that_turns_a_position_counts_for_what_it_opens() -> None:
    """Five sold of three held are two short."""
    at = desk(RiskLimits(max_position_notional=usdt("240")))
    at.position("3")
    passed(at.place(spec(SELL, 5, "120")))
    assert "max_position_notional" in refusal(at.place(spec(SELL, "0.001", "120"))).message


def test_orders_of_before_a_start_are_valued_when_there_is_a_quote() -> None:
    """Without one nothing more is opened; with one they count."""
    at = Desk(RiskLimits(max_position_notional=usdt("500")))
    at.intend(spec(BUY, 3))
    at.intend(spec(SELL, 1, "0.01"))
    breach = refusal(at.place(spec(BUY, 1, "90")))
    assert breach.reason is ErrorReason.NO_REFERENCE_PRICE
    assert breach.message == (
        "risk_limits.max_position_notional needs a quote of BTC/USDT for the orders that are open; wait for one"
    )
    at.quote("99", "101")
    passed(at.place(spec(BUY, 1, "90")))
    assert "could make BTC/USDT 594 USDT" in refusal(at.place(spec(BUY, "2.01", "100"))).message


def test_contracts_count_with_their_multiplier() -> None:
    """One ES contract at 5,000 is worth 250,000 dollars."""
    at = Desk(RiskLimits(max_order_notional=usd("500000"), max_position_notional=usd("750000")))
    at.quote("5000", "5000", "ESZ6")
    passed(at.place(spec(BUY, 2, "5000", symbol="ESZ6")))
    assert refusal(at.place(spec(BUY, 3, "5000", symbol="ESZ6"))).message.endswith("order at most 2")
    assert "max_position_notional" in refusal(at.place(spec(BUY, 2, "5000", symbol="ESZ6"))).message
    passed(at.place(spec(BUY, 1, "5000", symbol="ESZ6")))


def test_an_order_that_was_held_back_is_checked_again_without_itself() -> None:
    """As a new one: it does not count twice, and what changed meanwhile counts."""
    at = desk(
        RiskLimits(
            max_position_quantity={"BTC/USDT": Decimal(5)}, max_open_orders=2, max_orders_per_second=2,
            price_collar_percent=Decimal(5), max_position_notional=usdt("600"),
        )
    )  # fmt: skip
    asked = spec(BUY, 5, "100")
    order = at.hold(lifecycle.hold_back(passed(at.place(asked))))
    passed(at.place(spec(SELL, 1, "100")))
    assert at.risk.check(asked, Decimal(5), BTC, order) is None
    at.position("1")
    assert "could make it 6" in refusal(at.risk.check(asked, Decimal(5), BTC, order)).message
    at.position("0")
    at.quote("80", "82")
    assert "price_collar_percent" in refusal(at.risk.check(asked, Decimal(5), BTC, order)).message


def test_looking_counts_nothing() -> None:
    """A preview says what a check would, and leaves the pace alone."""
    at = desk(RiskLimits(max_orders_per_second=1))
    for _ in range(3):
        assert at.risk.preview(spec(BUY, 1), Decimal(1), BTC) is None
    passed(at.place(spec(BUY, 1)))
    refusal(at.risk.preview(spec(BUY, 1), Decimal(1), BTC))


def test_symbols_that_the_account_does_not_have_are_told() -> None:
    """A limit on a misspelt symbol is a limit that nothing is held to."""
    limits = RiskLimits(
        instruments=frozenset({"BTC/USDT", "BTCUSDT"}),
        max_order_quantity={"AAPL": Decimal(1)},
        max_position_quantity={"EUR/USD": Decimal(1)},
    )
    assert desk(limits).risk.unknown_symbols() == ["AAPL", "BTCUSDT"]


def test_telling_an_order_again_changes_nothing() -> None:
    """An order is known by its id, whatever the caller says it was before."""
    at = desk(RiskLimits(max_position_quantity={"BTC/USDT": Decimal(5)}, max_open_orders=5))
    order = passed(at.place(spec(BUY, 4)))
    for _ in range(3):
        at.risk.hold(None, order)
    passed(at.place(spec(BUY, 1)))
    ended = at.cancel(order)
    at.risk.hold(None, ended)
    passed(at.place(spec(BUY, 4)))
