"""Splits and dividends: lots exact, nothing of cash or cost lost, orders cancelled, marks divided."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain.accounts import LedgerEntry, LedgerEntryKind
from brokergate.domain.events import OrderEventType
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.ports.broker import OrderReport
from brokergate.sim.market import CorporateAction, CorporateActionKind
from brokergate.sim.terms import AccountTerms
from tests.unit.sim.matching.desk import Desk

D = Decimal
SHARE = Instrument("XYZ", "XYZ", InstrumentKind.EQUITY, "", "USD", D("0.01"), D(1))
DEEP = 10**9


def desk_with(side: int, *buys: tuple[int, int]) -> Desk:
    """A desk that holds shares bought (or sold short) in parts: (shares, cents)."""
    desk = Desk(SHARE, terms=AccountTerms({"USD": D(10**6)}, base_currency="USD"))
    for shares, cents in buys:
        desk.snapshot([(cents, DEEP)], [(cents + 1, DEEP)])
        desk.send(side, shares * 1000)
    return desk


def act(desk: Desk, kind: CorporateActionKind, ratio: tuple[int, int] = (1, 1), amount: str = "0") -> None:
    desk.market(CorporateAction(desk.tick(), "XYZ", kind, ratio, D(amount)))


def entries(desk: Desk) -> list[tuple[LedgerEntryKind, Decimal]]:
    return [(each.kind, each.amount.amount) for each in desk.log if isinstance(each, LedgerEntry)][1:]


def test_two_for_one_doubles_and_keeps_the_cost() -> None:
    """30 shares at two prices become 60 of the same cost; the mark is halved, the profit stays; first in, first out
    goes on with the old costs."""
    desk = desk_with(1, (10, 9999), (20, 11999))
    before = desk.position()
    act(desk, CorporateActionKind.SPLIT, (2, 1))
    after = desk.position()
    assert (after.quantity, after.cost) == (D(60), before.cost)
    assert after.mark_price == D("60")
    assert after.unrealized_pnl is not None
    assert after.unrealized_pnl == D(60) * D(60) - before.cost
    assert entries(desk) == [(LedgerEntryKind.SPLIT, D(0))]
    desk.trade(6000, 1)
    desk.snapshot([(6000, DEEP)], [(6001, DEEP)])
    desk.sell(20_000)
    assert desk.position().realized_pnl == 20 * D(60) - 10 * D(100)


@pytest.mark.parametrize(("side", "cash"), [(1, "33.33"), (-1, "-33.34")])
def test_what_a_reverse_split_leaves_over_is_paid_in_cash(side: int, cash: str) -> None:
    """1 for 3 of 10 shares at about 33.33: three are left, and a third of a new share is paid at 3 × the mark."""
    desk = desk_with(side, (10, 3333))
    cost = desk.position().cost
    act(desk, CorporateActionKind.SPLIT, (1, 3))
    position = desk.position()
    assert position.quantity == side * D(3)
    kind, paid = entries(desk)[0]
    assert kind is LedgerEntryKind.SPLIT
    assert abs(paid - D(cash)) <= D("0.01")
    assert position.cost == cost - paid


def test_a_position_below_one_share_is_paid_out_whole() -> None:
    """1 for 20 of 10 shares at 5.00 bought at 4.01: 50 in cash, flat, and the profit is realised."""
    desk = desk_with(1, (10, 400))
    desk.snapshot([(499, DEEP)], [(501, DEEP)])
    act(desk, CorporateActionKind.SPLIT, (1, 20))
    position = desk.position()
    assert (position.quantity, position.cost, position.realized_pnl) == (D(0), D(0), D(50) - D("40.1"))
    assert entries(desk) == [(LedgerEntryKind.SPLIT, D(50))]


def test_open_orders_are_cancelled_with_the_reason() -> None:
    """Limits and stops of before mean another price: they end, and what they set aside is free."""
    desk = desk_with(1, (10, 9999))
    desk.buy(1_000, 9_000)
    desk.send(-1, 5_000, stop=9_000)
    act(desk, CorporateActionKind.SPLIT, (2, 1))
    ended = [
        each for each in desk.log if isinstance(each, OrderReport) and each.event is OrderEventType.CANCELED
    ]
    assert [each.message for each in ended] == ["a split of 2 for 1: enter it anew"] * 2
    assert desk.venue.open_orders() == []
    assert desk.balance("USD").held == 0
    desk.trade(5000, 1)
    assert not [
        each for each in desk.log if isinstance(each, OrderReport) and each.event is OrderEventType.TRIGGERED
    ]


@pytest.mark.parametrize(("side", "paid"), [(1, "2.4"), (-1, "-2.4")])
def test_dividends_go_to_longs_and_from_shorts(side: int, paid: str) -> None:
    """0.24 a share on 10 shares; a flat account gets nothing."""
    desk = desk_with(side, (10, 9999))
    total = desk.balance("USD").total
    act(desk, CorporateActionKind.DIVIDEND, amount="0.24")
    assert entries(desk) == [(LedgerEntryKind.DIVIDEND, D(paid))]
    assert desk.balance("USD").total == total + D(paid)
    desk.send(-side, 10_000)
    act(desk, CorporateActionKind.DIVIDEND, amount="0.24")
    assert len(entries(desk)) == 1


@given(
    st.sampled_from([1, -1]),
    st.lists(st.tuples(st.integers(1, 500), st.integers(100, 9000)), min_size=1, max_size=6),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_a_split_loses_nothing(side: int, buys: list[tuple[int, int]], new: int, old: int) -> None:
    """Lots are the whole part of the ratio, the entries add up to them and to the cost, and cash, cost and profit still
    say the same: cash + cost − realised is what was put in."""
    desk = desk_with(side, *buys)
    shares = sum(count for count, _ in buys)
    before = desk.position()
    act(desk, CorporateActionKind.SPLIT, (new, old))
    position, money = desk.position(), desk.balance("USD")
    assert abs(position.quantity) == shares * new // old
    assert money.total + position.cost - position.realized_pnl == D(10**6)
    (_, paid) = entries(desk)[0]
    left = Fraction(shares * new % old, old) * side
    assert before.mark_price is not None
    exact = left * Fraction(before.mark_price) * old / new
    assert abs(Fraction(paid) - exact) <= Fraction(1, 200)
    entered = desk.venue.listings["XYZ"].funds.position.entries
    assert sum(entry[0] for entry in entered) == abs(position.quantity)
    assert sum(entry[1] for entry in entered) == abs(desk.venue.listings["XYZ"].funds.position.cost)


def test_cash_for_a_fraction_of_a_short_frees_what_its_cost_tied_up() -> None:
    """10 sold short at 33.33 tie up twice their cost; after 1 for 3 and cash for a third of a share, twice the lower
    one; and covered, nothing."""
    desk = desk_with(-1, (10, 3333))
    act(desk, CorporateActionKind.SPLIT, (1, 3))
    assert desk.balance("USD").held == -2 * desk.position().cost
    desk.snapshot([(9999, DEEP)], [(9999 + 1, DEEP)])
    desk.send(1, 3_000)
    assert (desk.position().quantity, desk.balance("USD").held) == (D(0), D(0))


@pytest.mark.parametrize("side", [1, -1])
def test_cash_for_a_fraction_beyond_the_cost_of_the_rest_is_a_profit(side: int) -> None:
    """8 at 0.10 are worth 100.00 each when 7 become one: a seventh of a share is 100.00, far above what all cost. The
    cost stays at zero, no lot's goes below, and what the account has free is what it has."""
    desk = desk_with(side, (8, 10))
    cost = desk.position().cost
    desk.snapshot([(9_999, DEEP)], [(10_001, DEEP)])
    act(desk, CorporateActionKind.SPLIT, (1, 7))
    position = desk.position()
    assert (position.quantity, position.cost) == (side * D(1), D(0))
    assert position.realized_pnl == side * D(100) - cost
    desk.snapshot([(70_000, DEEP)], [(70_001, DEEP)])
    desk.send(-side, 1_000)
    assert desk.balance("USD").held == 0
    position = desk.position()
    assert (position.quantity, position.cost) == (D(0), D(0))
    assert desk.balance("USD").total == D(10**6) + position.realized_pnl
