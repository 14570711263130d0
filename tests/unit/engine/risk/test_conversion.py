"""Limits in another currency than the instrument's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Money
from brokergate.domain.orders import Side
from brokergate.domain.policy import RiskLimits
from tests.unit.engine.risk.desk import Desk, passed, refusal, spec, usd, usdt

BUY = Side.BUY


def test_a_pair_of_the_account_converts() -> None:
    """Euros into dollars at the middle of EUR/USD."""
    at = Desk(RiskLimits(max_order_notional=usd("1000")))
    at.quote("1.0999", "1.1001", "EUR/USD")
    passed(at.place(spec(BUY, 10, "90", symbol="SAP")))
    breach = refusal(at.place(spec(BUY, 10, "91", symbol="SAP")))
    assert breach.message == (
        "risk_limits.max_order_notional is 1000 USD and 10 SAP come to 1001 USD; order at most 9"
    )


def test_so_does_the_inverse_pair() -> None:
    """Dollars into euros by the same quote."""
    at = Desk(RiskLimits(max_order_notional=Money(Decimal(200000), "EUR")))
    at.quote("1.25", "1.25", "EUR/USD")
    passed(at.place(spec(BUY, 1, "5000", symbol="ESZ6")))
    refusal(at.place(spec(BUY, 1, "5000.25", symbol="ESZ6")))


def test_the_same_currency_needs_no_quote() -> None:
    """A limit of USDT on what is priced in USDT."""
    passed(Desk(RiskLimits(max_order_notional=usdt("100"))).place(spec(BUY, 1, "100")))


def test_a_stablecoin_is_no_dollar() -> None:
    """Nothing converts what no instrument trades."""
    at = Desk(RiskLimits(max_order_notional=usd("1000000")))
    at.quote("99", "101")
    breach = refusal(at.place(spec(BUY, 1, "100")))
    assert (breach.reason, breach.message) == (
        ErrorReason.NO_REFERENCE_PRICE,
        "risk_limits.max_order_notional needs USDT in USD, and no instrument of the account converts one into the "
        "other; give the limit in USDT",
    )


def test_a_perpetual_exchanges_no_currencies() -> None:
    """Its price is that of a bet."""
    at = Desk(RiskLimits(max_order_notional=Money(Decimal(1000), "BTC")))
    at.quote("50000", "50000.5", "BTC/USD:USD")
    assert (
        "needs USD in BTC, and no instrument"
        in refusal(at.place(spec(BUY, 1, "5000", symbol="ESZ6"))).message
    )


@pytest.mark.parametrize("age_s", [None, 61])
def test_without_a_fresh_quote_of_the_pair_nothing_is_converted(age_s: int | None) -> None:
    """None at all, or one that is too old."""
    at = Desk(RiskLimits(max_position_notional=usd("1000000")))
    if age_s is not None:
        at.quote("1.1", "1.1", "EUR/USD")
        at.wait(age_s)
    breach = refusal(at.place(spec(BUY, 1, "90", symbol="SAP")))
    assert breach.reason is ErrorReason.NO_REFERENCE_PRICE
    assert breach.message.startswith("risk_limits.max_position_notional needs a quote of EUR/USD")


def test_a_market_order_needs_the_side_that_it_takes() -> None:
    """A book with bids alone has no price for a buy; a limit is a price of its own."""
    at = Desk(RiskLimits(max_order_notional=usdt("1000")))
    at.quote("100", None)
    assert "needs the ask of BTC/USDT, and that side is empty" in refusal(at.place(spec(BUY, 1))).message
    passed(at.place(spec(BUY, 1, "100")))
    passed(at.place(spec(Side.SELL, 1)))
