"""Watermarks and what executions make."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.adapters.binance.executions import Held, Ledger
from brokergate.adapters.binance.parse import Execution, Malformed
from brokergate.domain.fills import Liquidity, Money
from brokergate.domain.orders import Side

D = Decimal


def executed(side: Side, quantity: str, price: str, fee: str = "0", asset: str = "USDT") -> Execution:
    fees = (Money(D(fee), asset),) if D(fee) else ()
    return Execution("BTCUSDT", 7, "1", side, D(price), D(quantity), fees, Liquidity.TAKER, 0)


def held(*executions: Execution) -> tuple[Decimal, Decimal]:
    so_far = Held(-1)
    for execution in executions:
        so_far = so_far.after(execution, "BTC")
    return so_far.quantity, so_far.cost


BUY, SELL = Side.BUY, Side.SELL


@pytest.mark.parametrize(
    ("executions", "quantity", "cost"),
    [
        ([executed(BUY, "2", "100")], "2", "200"),
        ([executed(BUY, "2", "100", "0.002", "BTC")], "1.998", "200"),
        ([executed(BUY, "2", "100", "1", "BNB")], "2", "200"),
        ([executed(BUY, "2", "100"), executed(BUY, "1", "103")], "3", "303"),
        ([executed(BUY, "4", "100"), executed(SELL, "1", "150")], "3", "300"),
        ([executed(BUY, "2", "100"), executed(SELL, "2", "150")], "0", "0"),
        ([executed(BUY, "2", "100"), executed(SELL, "5", "150")], "-3", "-450"),
        ([executed(SELL, "2", "100"), executed(BUY, "1", "90")], "-1", "-100"),
    ],
)
def test_what_executions_make(executions: list[Execution], quantity: str, cost: str) -> None:
    assert held(*executions) == (D(quantity), D(cost))


AMOUNTS = st.decimals(min_value=0, max_value=10**12, places=8)


@given(
    st.integers(0, 2**50),
    st.dictionaries(st.text("ABC1", min_size=1), AMOUNTS),
    st.dictionaries(st.text("ABC1", min_size=1), st.builds(Held, st.integers(-1, 2**60), AMOUNTS, AMOUNTS)),
)
def test_a_watermark_comes_back_as_it_was(
    since: int, assets: dict[str, Decimal], kept: dict[str, Held]
) -> None:
    ledger = Ledger(since, assets, kept)
    assert Ledger.of(ledger.text()) == ledger


@pytest.mark.parametrize("text", ["{}", "x", "[]", '{"since": 1, "assets": {}, "held": {"A": [1]}}', "null"])
def test_a_watermark_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="watermark of this account is none"):
        Ledger.of(text)
