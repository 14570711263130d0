"""Fees that a venue takes out of what was bought: the position is what is left, and has cost as much as all of it."""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain.fills import Fill, Liquidity, Money
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.orders import Side
from brokergate.engine.holdings import DerivedPositions

D = Decimal
COIN = Instrument("BTC/USD", "BTC/USD", InstrumentKind.SPOT, "BTC", "USD", D("0.01"), D("0.0001"))
SHARE = Instrument("AAPL", "AAPL", InstrumentKind.EQUITY, "", "USD", D("0.01"), D(1))


def fill(side: Side, quantity: str, price: str, *fees: Money, symbol: str = "BTC/USD") -> Fill:
    """An execution."""
    return Fill(
        "f", "a", "o", "c", "b", "e", symbol, side, D(quantity), D(price), fees, Liquidity.TAKER, 1, 1
    )


def test_what_is_bought_is_less_by_its_fee() -> None:
    """A sale of the rest makes it flat, and what was won is reckoned from all that was paid."""
    derived = DerivedPositions(())
    bought = derived.fill(fill(Side.BUY, "2", "100", Money(D("0.005"), "BTC")), COIN)
    assert (bought.quantity, bought.cost) == (D("1.995"), D(200))
    assert bought.fees == (Money(D("0.005"), "BTC"),)
    sold = derived.fill(fill(Side.SELL, "1.995", "110", Money(D("0.55"), "USD")), COIN)
    assert (sold.quantity, sold.cost) == (D(0), D(0))
    assert sold.realized_pnl == D("219.45") - D(200)


def test_fees_in_money_leave_the_position_alone() -> None:
    """As they always did."""
    derived = DerivedPositions(())
    assert derived.fill(fill(Side.BUY, "2", "100", Money(D("0.5"), "USD")), COIN).quantity == 2
    share = fill(Side.BUY, "2", "100", Money(D(1), "AAPL"), symbol="AAPL")
    assert derived.fill(share, SHARE).quantity == 2


def test_a_fee_that_is_more_than_the_newest_lot() -> None:
    """The rest is one lot then, and the sum is right."""
    derived = DerivedPositions(())
    derived.fill(fill(Side.BUY, "5", "100"), COIN)
    after = derived.fill(fill(Side.BUY, "1", "100", Money(D(2), "BTC")), COIN)
    assert (after.quantity, after.cost) == (D(4), D(600))
    assert derived.fill(fill(Side.SELL, "4", "150"), COIN).realized_pnl == 0
