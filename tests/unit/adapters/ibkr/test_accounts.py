"""The accounts of a login: which one is meant, what it has, and what it holds."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.adapters.ibkr.accounts import account_info, balances, chosen, position
from brokergate.adapters.ibkr.contracts import Contracts
from brokergate.adapters.ibkr.frames import AccountValue, MarkShown, PositionShown
from brokergate.adapters.ibkr.values import WireError
from brokergate.domain.accounts import Environment
from brokergate.domain.errors import AuthenticationError
from tests.unit.adapters.ibkr.shapes import AAPL, CORN, corn, share

D = Decimal
PAPER, LIVE = Environment.PAPER, Environment.LIVE

FIGURES = (
    ("AccountType", "INDIVIDUAL", ""),
    ("NetLiquidation", "1003456.78", "USD"),
    ("TotalCashValue", "900000.25", "USD"),
    ("InitMarginReq", "2500.00", "USD"),
    ("MaintMarginReq", "2000.00", "USD"),
    ("BuyingPower", "4003826.12", "USD"),
    ("CashBalance", "890000.25", "USD"),
    ("CashBalance", "-9210.33", "EUR"),
    ("CashBalance", "900000.25", "BASE"),
    ("UnrealizedPnL", "11.50", "USD"),
    ("UnrealizedPnL", "12.75", "BASE"),
    ("RealizedPnL", "-3.20", "BASE"),
)


def told(*rows: tuple[str, str, str]) -> list[AccountValue]:
    return [AccountValue(1, "DU1", *row) for row in rows]


def test_the_only_account_is_the_one() -> None:
    assert chosen(None, ["DU1"], PAPER, "ib") == "DU1"
    assert chosen("U2", ["U1", "U2"], LIVE, "ib") == "U2"


@pytest.mark.parametrize(
    ("wanted", "accounts", "environment", "text"),
    [
        (None, ["DU1", "DU2"], PAPER, r"logged in to 2 accounts \(DU1, DU2\); say which one"),
        (None, [], PAPER, r"logged in to 0 accounts \(none\)"),
        ("DU9", ["DU1"], PAPER, "logged in to DU1 and not to DU9; correct"),
        (None, ["DU1"], LIVE, "DU1 is a paper account, and its environment is live; .*environment: paper"),
        ("U1", ["U1"], PAPER, "U1 is a live account, and its environment is paper; .*environment: live"),
    ],
)
def test_a_wrong_account_is_refused_by_name(
    wanted: str | None, accounts: list[str], environment: Environment, text: str
) -> None:
    with pytest.raises(AuthenticationError, match=f"account 'ib': .*{text}"):
        chosen(wanted, accounts, environment, "ib")


@pytest.mark.parametrize("prefix", ["", "$LEDGER-"])
def test_balances_are_the_cash_of_each_currency(prefix: str) -> None:
    rows = [(prefix + tag if tag == "CashBalance" else tag, value, code) for tag, value, code in FIGURES]
    found = balances(told(*rows), 7)
    assert [(each.currency, each.total, each.held) for each in found] == [
        ("EUR", D("-9210.33"), D(0)),
        ("USD", D("890000.25"), D(0)),
    ]


def test_the_account_as_a_whole() -> None:
    found = account_info(told(*FIGURES), 7)
    assert (found.base_currency, found.cash, found.equity) == ("USD", D("900000.25"), D("1003456.78"))
    assert (found.initial_margin, found.maintenance_margin) == (D(2500), D(2000))
    assert found.buying_power == D("4003826.12")
    assert (found.unrealized_pnl, found.realized_pnl) == (D("12.75"), D("-3.2"))


@pytest.mark.parametrize("tag", ["NetLiquidation", "TotalCashValue", "InitMarginReq", "BuyingPower"])
def test_an_answer_without_a_figure_that_all_have_is_none(tag: str) -> None:
    with pytest.raises(WireError, match=f"{tag} is missing"):
        account_info(told(*(row for row in FIGURES if row[0] != tag)), 7)


def test_gains_that_are_not_told_are_not_zero() -> None:
    found = account_info(told(*(row for row in FIGURES if "PnL" not in row[0])), 7)
    assert (found.unrealized_pnl, found.realized_pnl) == (None, None)


def test_a_position_costs_what_was_paid_in_the_currency() -> None:
    """IB's average cost of a future has the multiplier in it, and is in dollars where its quotes are in cents."""
    known = Contracts()
    known.put([corn()])
    found = position(PositionShown("DU1", CORN, D(-2), D("22262.5")), known, 7)
    assert (found.symbol, found.quantity, found.cost) == ("ZCZ6", D(-2), D(-44525))
    assert (found.multiplier, found.quote_currency, found.average_price) == (D(5000), "USD", D("4.4525"))


def test_a_position_that_nobody_listed() -> None:
    found = position(PositionShown("DU1", CORN, D(1), D(5)), Contracts(), 7)
    assert (found.symbol, found.multiplier) == ("ZCZ6", D(5000))
    known = Contracts()
    known.put([share()])
    flat = position(PositionShown("DU1", AAPL, D(0), D(0)), known, 7)
    assert (flat.symbol, flat.quantity, flat.cost, flat.average_price) == ("AAPL", D(0), D(0), None)


@pytest.mark.parametrize("price", ["445.25", "4.4525"])
@pytest.mark.parametrize("quantity", [2, -2])
def test_a_mark_is_in_the_currency_whatever_the_contract_is_quoted_in(price: str, quantity: int) -> None:
    """Corn is quoted in cents: what its position is worth says in which of the two its price is told."""
    contracts = Contracts()
    contracts.put([corn()])
    held = PositionShown("DU1", CORN, D(quantity), D("22260"))
    mark = MarkShown("DU1", CORN.con_id, D(quantity), D(price), quantity * D("22262.50"), D(5))
    assert position(held, contracts, 1, mark).mark_price == D("4.4525")


def test_a_mark_that_is_not_told_is_none() -> None:
    contracts = Contracts()
    contracts.put([corn()])
    held = PositionShown("DU1", CORN, D(1), D("22260"))
    assert (
        position(held, contracts, 1, MarkShown("DU1", CORN.con_id, D(1), None, None, None)).mark_price is None
    )
