"""Balances, positions, fees and what is set aside: exact."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain.errors import ErrorReason
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.money import total
from brokergate.ports.broker import Accepted, FillReport, Rejected
from brokergate.sim.fees import Commission, FeeSchedule
from brokergate.sim.positions import MAX_ENTRIES, FifoPosition
from brokergate.sim.terms import AccountTerms
from tests.unit.sim.matching.desk import AAPL, BTC, EUR, GTC, Desk

trades = st.lists(
    st.tuples(st.sampled_from([1, -1]), st.integers(1, 20), st.integers(1, 50)), min_size=1, max_size=60
)


def one_by_one(fills: list[tuple[int, int, int]]) -> tuple[int, int, int]:
    """Lots, cost and realised profit of (side, lots, price), each lot a queue's entry of its own."""
    queue: list[int] = []
    side = realized = 0
    for way, lots, price in fills:
        for _ in range(lots):
            if queue and side != way:
                realized += side * (price - queue.pop(0))
            else:
                side = way
                queue.append(price)
    return side * len(queue), side * sum(queue), realized


@given(trades)
def test_a_position_closes_first_in_first_out(fills: list[tuple[int, int, int]]) -> None:
    """Lots, cost and realised profit are those of a queue of single lots, through zero and back."""
    position = FifoPosition()
    for side, lots, price in fills:
        position.trade(side, lots, lots * price, price)
    assert (position.lots, position.cost, position.realized) == one_by_one(fills)
    assert position.cost_of_first(abs(position.lots)) == abs(position.cost)


@given(st.integers(1, 30), st.integers(1, 1000), trades)
def test_a_position_taken_up_from_a_journal_loses_nothing(
    lots: int, cost: int, fills: list[tuple[int, int, int]]
) -> None:
    """Its lots are one entry whose cost divides to whole units; the sum of cash, cost and profit stays exact."""
    position = FifoPosition()
    position.restore(lots, cost, 0, 0)
    cash = -cost
    for side, size, price in fills:
        position.trade(side, size, size * price, price)
        cash -= side * size * price
    assert position.lots == lots + sum(side * size for side, size, _ in fills)
    assert cash + position.cost == position.realized


def test_a_position_of_very_many_purchases_stays_small() -> None:
    """Beyond the bound the oldest are pooled, and nothing of the sum is lost."""
    position = FifoPosition()
    for number in range(2 * MAX_ENTRIES):
        position.trade(1, 2, 2 * (number + 1), number + 1)
    assert len(position.entries) == MAX_ENTRIES
    cost = position.cost
    position.trade(-1, 4 * MAX_ENTRIES, 0, 1)
    assert (position.lots, position.cost, position.realized) == (0, 0, -cost)


@given(
    st.decimals(0, "99.999", places=3),
    st.integers(0, 10**30),
    st.sampled_from([("USD", 7), ("JPY", 5), ("USDT", 8), ("XYZ", 12)]),
)
def test_a_fee_rounds_once_half_to_even(percent: Decimal, notional: int, where: tuple[str, int]) -> None:
    """It is per cent of the notional, rounded to the currency's own scale; what is set aside is never less."""
    currency, places = where
    commission = Commission(percent, currency, places)
    scale = {"USD": 2, "JPY": 0, "USDT": 8, "XYZ": 8}[currency]
    exact = Fraction(notional, 10**places) * Fraction(percent) / 100
    assert Fraction(commission.of(notional), 10**places) == round(exact * 10**scale) * Fraction(1, 10**scale)
    assert commission.at_most(notional) >= commission.of(notional)
    assert commission.at_most(notional) - commission.of(notional) <= 10 ** (places - scale)


@pytest.mark.parametrize(("notional", "fee"), [(500, 0), (1500, 200), (2500, 200), (2501, 300)])
def test_half_a_cent_goes_to_the_even_cent(notional: int, fee: int) -> None:
    """One per cent of 0.50, 1.50, 2.50 and 2.501 dollars, in thousandths of a cent."""
    assert Commission(Decimal(1), "USD", 5).of(notional * 100) == fee * 10


def test_spot_moves_both_currencies() -> None:
    """A buy brings the base and takes the notional and the fee; a sell the other way."""
    desk = Desk(terms=AccountTerms({"USDT": Decimal(100)}, FeeSchedule(Decimal("0.1"))))
    desk.snapshot([(9900, 2000)], [(10000, 2000)])
    outcome = desk.buy(500)
    (fill,) = [report for report in outcome.reports if isinstance(report, FillReport)]
    assert [(fee.amount, fee.currency) for fee in fill.fees] == [(Decimal("0.05"), "USDT")]
    assert (desk.balance("USDT").total, desk.balance("BTC").total) == (Decimal("49.95"), Decimal("0.5"))
    desk.sell(200)
    assert desk.balance("USDT").total == Decimal("49.95") + Decimal("19.8") - Decimal("0.0198")
    position = desk.position()
    assert (position.quantity, position.cost, position.realized_pnl) == (
        Decimal("0.3"),
        Decimal(30),
        Decimal("-0.2"),
    )
    assert (position.mark_price, position.unrealized_pnl) == (Decimal("99.5"), Decimal("-0.15"))
    assert [fee.amount for fee in position.fees] == [Decimal("0.0698")]


def test_spot_sells_what_is_held_and_no_more() -> None:
    """INSUFFICIENT_FUNDS names the currency, what is needed and what is available, open orders counted."""
    desk = Desk(balances={"BTC": Decimal("0.01"), "USDT": Decimal(1)})
    desk.snapshot([(100, 50)], [(101, 50)])
    assert isinstance(desk.sell(6, 200), Accepted)
    outcome = desk.sell(5)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.INSUFFICIENT_FUNDS
    assert outcome.message == (
        "BTC/USDT: the order needs 0.005 BTC, available are 0.004; order less or cancel open orders"
    )
    assert isinstance(desk.sell(4), Accepted)


def test_a_buy_needs_its_fee_too() -> None:
    """To the last hundred-millionth: the notional alone is not enough."""
    terms = AccountTerms({"USDT": Decimal("1.00099999")}, FeeSchedule(Decimal("0.1")))
    enough = AccountTerms({"USDT": Decimal("1.001")}, FeeSchedule(Decimal("0.1")))
    for given_terms, answer in ((terms, Rejected), (enough, Accepted)):
        desk = Desk(terms=given_terms)
        desk.snapshot([], [(100, 5000)])
        assert isinstance(desk.buy(1000), answer)
        assert desk.balance("USDT").total == (Decimal(0) if answer is Accepted else Decimal("1.00099999"))


def test_what_open_orders_set_aside_comes_back_exactly() -> None:
    """After fills, replaces and cancels of every kind nothing is left held."""
    random = Random(5)
    desk = Desk(
        terms=AccountTerms({"USDT": Decimal(10**6), "BTC": Decimal(50)}, FeeSchedule(Decimal("0.07")))
    )
    desk.snapshot([(9990, 10)], [(10010, 10)])
    for _ in range(200):
        stop = random.choice((None, None, 12000))
        outcome = desk.send(random.choice((1, -1)), random.randint(1, 30), random.randint(9950, 10050), stop)
        assert isinstance(outcome, Accepted)
        desk.trade(random.randint(9950, 10050), random.randint(1, 20))
    assert desk.balance("USDT").held > 0
    for name in desk.orders:
        desk.cancel(name)
    assert {desk.balance("USDT").held, desk.balance("BTC").held} == {Decimal(0)}


@pytest.mark.parametrize("instrument", [EUR, AAPL])
def test_a_short_position_ties_up_twice_what_it_was_sold_for(instrument: Instrument) -> None:
    """The proceeds and as much again: the cash that was there covers exactly as much short."""
    desk = Desk(instrument, balances={"USD": Decimal(100)})
    desk.snapshot([(1000, 99_000)], [(1001, 99_000)])
    assert isinstance(desk.sell(10_001), Rejected)
    assert isinstance(desk.sell(10_000), Accepted)
    balance = desk.balance("USD")
    assert (balance.total, balance.held) == (Decimal(200), Decimal(200))
    assert isinstance(desk.sell(1), Rejected)
    assert (desk.position().quantity, desk.position().cost) == (Decimal(-10), Decimal(-100))
    desk.buy(10_000)
    assert (desk.balance("USD").total, desk.balance("USD").held) == (Decimal("99.9"), Decimal(0))
    assert desk.position().realized_pnl == Decimal("-0.1")


def test_closing_needs_no_funds_and_is_not_counted_twice() -> None:
    """With all cash in the position a take-profit rests, a second one on the same lots is refused."""
    desk = Desk(AAPL, balances={"USD": Decimal(100)})
    desk.snapshot([(999, 99_000)], [(1000, 99_000)])
    desk.buy(10_000)
    assert desk.balance("USD").total == 0
    assert isinstance(desk.sell(10_000, 1100), Accepted)
    assert isinstance(desk.sell(1, 1100), Rejected)
    assert desk.fills(desk.trade(1101, 20_000, 1)) == [("c2", 1100, 10_000)]
    assert (desk.balance("USD").total, desk.balance("USD").held) == (Decimal(110), Decimal(0))


def test_an_order_that_can_no_longer_close_sets_aside_what_it_would_open() -> None:
    """The market order closed what the resting one stood ready for: that one now holds its notional."""
    desk = Desk(AAPL, balances={"USD": Decimal(200)})
    desk.snapshot([(1000, 99_000)], [(1001, 99_000)])
    desk.buy(5_000)
    desk.sell(5_000, 1100)
    assert desk.balance("USD").held == 0
    desk.sell(2_000)
    assert desk.balance("USD").held == 2 * 11
    desk.cancel("c2")
    assert desk.balance("USD").held == 0


def test_a_short_may_be_closed_at_a_loss_while_there_is_cash() -> None:
    """Buying back dearer than sold lowers the cash; beyond all of it the order is refused."""
    desk = Desk(AAPL, balances={"USD": Decimal(100)})
    desk.snapshot([(1000, 99_000)], [(1001, 99_000)])
    desk.sell(10_000)
    desk.snapshot([], [(1999, 4_000), (2001, 99_000)])
    assert isinstance(desk.buy(10_000), Rejected)
    assert isinstance(desk.buy(4_000), Accepted)
    assert desk.balance("USD").total == Decimal("200") - Decimal("79.96")
    assert desk.balance("USD").held == Decimal(120)


def test_equity_is_cash_and_positions_at_their_marks() -> None:
    """In the base currency, a dollar coin at par; what nothing values is named instead of left out."""
    desk = Desk(BTC, EUR, AAPL, balances={"USDT": Decimal(1000), "USD": Decimal(1000)})
    for symbol in ("BTC/USDT", "EUR/USD", "AAPL"):
        desk.snapshot([(1000, 9000)], [(1002, 9000)], symbol)
    desk.send(1, 1000, symbol="BTC/USDT")
    desk.send(-1, 2000, symbol="EUR/USD")
    desk.send(1, 3000, symbol="AAPL")
    info = desk.venue.info()
    assert (info.base_currency, info.equity) == ("USDT", Decimal(2000) - Decimal("0.01") * 6)
    assert (info.unrealized_pnl, info.realized_pnl) == (Decimal("-0.06"), Decimal(0))
    assert info.cash == Decimal(1000) - Decimal("10.02")
    assert info.initial_margin == Decimal(20)
    unpriced = Desk(BTC, balances={"USDT": Decimal(1000), "BTC": Decimal(1)}).venue.info()
    assert (unpriced.equity, unpriced.unvalued_currencies) == (None, ("BTC",))


@pytest.mark.parametrize("instrument", [BTC, EUR, AAPL])
@pytest.mark.parametrize("seed", range(3))
def test_cash_is_the_start_less_what_was_bought_and_paid(instrument: Instrument, seed: int) -> None:
    """Invariant 4 through hundreds of fills and flips through zero: cash, position, equity, all exact."""
    random = Random(seed)
    currency = instrument.quote_currency
    start = {currency: Decimal("5000")} | ({"BTC": Decimal(40)} if instrument is BTC else {})
    terms = AccountTerms(start, FeeSchedule(Decimal("0.11"), Decimal("0.03")), base_currency=currency)
    desk = Desk(instrument, terms=terms)
    middle = 5000
    for _ in range(400):
        middle += random.randint(-20, 20)
        desk.snapshot([(middle - 1, 50), (middle - 3, 500)], [(middle + 1, 50), (middle + 3, 500)])
        desk.send(random.choice((1, -1)), random.randint(1, 300), random.choice((None, middle, middle + 3)))
        desk.trade(middle, random.randint(1, 90))
    fills = [report for report in desk.log if isinstance(report, FillReport)]
    assert len(fills) > 300
    cash, held, cost = Fraction(5000), Fraction(0), Fraction(0)
    for fill in fills:
        sign = 1 if fill.side == 1 else -1
        cash -= sign * Fraction(fill.price) * Fraction(fill.quantity) + Fraction(fill.fees[0].amount)
        held += sign * Fraction(fill.quantity)
        cost += sign * Fraction(fill.price) * Fraction(fill.quantity)
    position = desk.position()
    assert Fraction(desk.balance(currency).total) == cash
    assert Fraction(position.quantity) == held
    assert Fraction(position.cost) - Fraction(position.realized_pnl) == cost
    assert Fraction(position.fees[0].amount) == sum(Fraction(fill.fees[0].amount) for fill in fills)
    equity = desk.venue.info().equity
    assert equity is not None
    mark = Fraction(position.mark_price or 0)
    own = Fraction(desk.balance("BTC").total) if instrument is BTC else held
    assert Fraction(equity) == cash + own * mark
    assert position.unrealized_pnl is not None
    assert Fraction(position.unrealized_pnl) == held * mark - Fraction(position.cost)


def test_a_contract_of_many_units_costs_its_multiplier() -> None:
    """Notional, fee, cost and profit count price × quantity × multiplier."""
    future = Instrument(
        "ESZ6", "ESZ6", InstrumentKind.EQUITY, "", "USD", Decimal("0.25"), Decimal(1), multiplier=Decimal(50)
    )
    terms = AccountTerms({"USD": Decimal(10**6)}, FeeSchedule(Decimal("0.01")))
    desk = Desk(future, terms=terms)
    desk.snapshot([(20_000, 5)], [(20_001, 5)])
    order = desk.order(1, 2000, tif=GTC)
    desk.place([order])
    position = desk.position()
    assert position.cost == total([Decimal("5000.25") * 100])
    assert position.unrealized_pnl == Decimal("-12.5")
    assert desk.balance("USD").total == Decimal(10**6) - position.cost - position.fees[0].amount


def test_places_that_a_currency_needs_are_kept() -> None:
    """Nine places of price and eight of quantity make seventeen of money, and none is lost; more are refused."""
    tick, lot = Decimal("0.000000001"), Decimal("0.00000001")
    fine = Instrument("A/B", "AB", InstrumentKind.SPOT, "A", "B", tick, lot)
    desk = Desk(fine, balances={"B": Decimal(1)})
    desk.snapshot([(123456788, 10**6)], [(123456789, 10**6)])
    desk.place([replace(desk.order(1, 1), quantity=Decimal("0.00000003"))])
    assert desk.balance("A").total == Decimal("0.00000003")
    assert desk.balance("B").total == Decimal(1) - Decimal("0.00000000370370367")
    assert desk.position().unrealized_pnl == Decimal("-0.000000000000000015")
    with pytest.raises(ValueError, match=r"A/B: .* 18 places"):
        Desk(replace(fine, quantity_increment=tick))


@pytest.mark.parametrize("seed", range(3))
def test_what_is_held_is_what_orders_and_short_positions_need(seed: int) -> None:
    """After every step of a trader who goes long and short: held is the sum of both, and no lot is closed twice."""
    random = Random(seed)
    desk = Desk(AAPL, terms=AccountTerms({"USD": Decimal(60)}, FeeSchedule(Decimal("0.2"), Decimal("0.1"))))
    funds = desk.venue.listings["AAPL"].funds
    middle, turns, lots_before = 1000, 0, 0
    for _ in range(1500):
        middle = max(900, middle + random.randint(-3, 3))
        desk.snapshot([(middle - 1, 900), (middle - 3, 900)], [(middle + 1, 900), (middle + 3, 900)])
        limit = random.choice((None, middle, middle + 5, middle - 5))
        desk.send(
            random.choice((1, -1)), random.randint(1, 3000), limit, random.choice((None, None, middle + 9))
        )
        desk.trade(middle, random.randint(1, 900))
        if random.random() < 0.5:
            desk.cancel(random.choice(list(desk.orders)))
        working = list(desk.venue._open.by_name.values())
        short = -2 * funds.position.cost if funds.position.lots < 0 else 0
        assert funds.quote.held == sum(order.hold for order in working) + short
        for side in (1, -1):
            closing = sum(order.closing for order in working if order.side == side)
            assert closing <= max(0, -side * funds.position.lots)
        assert all(order.hold >= 0 for order in working)
        assert funds.position.claimed == sum(order.closing for order in working)
        turns += lots_before * funds.position.lots < 0
        lots_before = funds.position.lots or lots_before
    assert turns > 10
    for name in desk.orders:
        desk.cancel(name)
    assert funds.quote.held == (-2 * funds.position.cost if funds.position.lots < 0 else 0)
