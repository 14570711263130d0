"""Margin accounts: what an order needs, what an account is told, calls and liquidation; perpetuals and borrowing."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain.accounts import LedgerEntry, LedgerEntryKind
from brokergate.domain.errors import ErrorReason
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.ports.broker import Accepted, FillReport, MarginReport, OrderReport, Rejected, VenueOrder
from brokergate.sim.clearing import FundingTerms
from brokergate.sim.fees import FeeSchedule
from brokergate.sim.margin import MarginTerms, Rates
from brokergate.sim.market import FundingUpdate, MarkUpdate
from brokergate.sim.shorting import ShortTerms
from brokergate.sim.terms import SHORTABLE, AccountTerms
from tests.unit.sim.matching.desk import AAPL, EUR, IOC, LOT, TICK, Desk

D = Decimal
PERP = Instrument("BTC/USDT:USDT", "BTCUSDT", InstrumentKind.PERPETUAL, "", "USDT", TICK, LOT)
FIVE = MarginTerms(Rates(D(5), maintenance_percent=D(10)))
DEEP = 10**9


def margined(
    *instruments: Instrument,
    balance: str = "1000",
    margin: MarginTerms | None = FIVE,
    fees: FeeSchedule = FeeSchedule(),  # noqa: B008 - it does not change
    **more: object,
) -> Desk:
    currency = instruments[0].quote_currency
    terms = AccountTerms(
        {currency: D(balance)},
        fees,
        base_currency=currency,
        margin=margin,
        **more,  # type: ignore[arg-type]
    )
    return Desk(*instruments, terms=terms)


def told(desk: Desk, kind: type) -> list[object]:
    return [report for report in desk.log if isinstance(report, kind)]


def test_leverage_five_carries_five_times_the_equity_and_not_a_lot_more() -> None:
    """1000 at 5 is 5000 of notional: 50 shares at 100.00 and then nothing more, with the figures."""
    desk = margined(AAPL)
    desk.snapshot([(10_000, DEEP)], [(10_000 + 1, DEEP), (10_002, DEEP)])
    desk.snapshot([(9_999, DEEP)], [(10_000, DEEP)])
    refused = desk.buy(50_001)
    assert isinstance(refused, Rejected)
    assert refused.reason is ErrorReason.INSUFFICIENT_FUNDS
    assert "needs 1000.02 USD of initial margin" in refused.message
    assert "free are 1000" in refused.message
    assert isinstance(desk.buy(50_000), Accepted)
    assert desk.balance("USD").total == D(-4000)


def test_an_account_is_told_its_margin() -> None:
    """LEAN's and nautilus's definition by hand: 10 at mark 100.00 at 20 % and 10 %, an order of 5 at 90 beside it."""
    desk = margined(AAPL)
    desk.snapshot([(9_999, DEEP)], [(10_001, DEEP)])
    desk.buy(10_000)  # at 100.01
    desk.buy(5_000, 9_000)
    info = desk.venue.info()
    assert (info.cash, info.equity) == (D("-0.1"), D("999.9"))
    assert info.initial_margin == D(200) + D(90)
    assert info.maintenance_margin == D(100)
    assert info.buying_power == (D("999.9") - D(290)) * 5
    assert desk.balance("USD").held == D(90)


def test_closing_needs_no_margin_and_turning_frees_what_it_closes() -> None:
    """Used up to the last cent: sell all is taken, sell twice as much too, sell three times as much is not."""
    desk = margined(AAPL)
    desk.snapshot([(10_000, DEEP)], [(10_000 + 1, DEEP)])
    desk.sell(49_000)
    assert isinstance(desk.buy(150_000), Rejected)
    assert isinstance(desk.buy(97_000), Accepted)
    assert isinstance(desk.sell(48_000), Accepted)
    assert desk.position().quantity == 0
    assert desk.venue.info().maintenance_margin == 0


def test_rates_go_by_symbol_then_kind_then_account() -> None:
    """Percentages and leverage of three layers, and half of the initial share where no maintenance is named."""
    terms = MarginTerms(
        Rates(D(2)),
        ((InstrumentKind.FOREX, Rates(D(30))),),
        (("AAPL", Rates(initial_percent=D(30), maintenance_percent=D(25))),),
    )
    shares = {each.symbol: [Fraction(*share) for share in terms.shares(each)] for each in (AAPL, EUR, PERP)}
    assert shares == {
        "AAPL": [Fraction(3, 10), Fraction(1, 4)],
        "EUR/USD": [Fraction(1, 30), Fraction(1, 60)],
        "BTC/USDT:USDT": [Fraction(1, 2), Fraction(1, 4)],
    }


def test_a_position_without_a_mark_refuses_new_ones() -> None:
    """Euros are paid in a currency that nothing values: no order opens, and the reason says so."""
    terms = AccountTerms({"JPY": D(10**6)}, base_currency="JPY", margin=FIVE)
    desk = Desk(EUR, terms=terms)
    desk.snapshot([(100, 10)], [(101, 10)])
    refused = desk.buy(1)
    assert isinstance(refused, Rejected)
    assert refused.reason is ErrorReason.NO_REFERENCE_PRICE
    assert "nothing says what USD is worth in JPY" in refused.message


def test_a_margin_call_comes_once_and_again_after_it_was_well() -> None:
    """Long 40 at 100 with 1000: equity 375 at 84.375 is below 125 % of 337.5; liquidation would be at 83.33."""
    desk = margined(AAPL)
    desk.snapshot([(10_000, DEEP)], [(10_000 + 1, DEEP)])
    desk.buy(40_000)
    for bid in (8_700, 8_500, 8_490, 9_500, 8_500):
        desk.quote((bid, DEEP), (bid + 1, DEEP))
    calls = told(desk, MarginReport)
    assert [call.liquidation for call in calls if isinstance(call, MarginReport)] == [False, False]
    assert "margin call at 125 %" in str(calls[0])
    assert desk.position().quantity == 40


def test_liquidation_reduces_the_worst_loser_until_the_account_is_well() -> None:
    """Two longs; one falls. Orders that hold margin go first, then as much of the loser as it takes, by the venue's own
    orders, which are told before their fills; the fee is charged; the winner is not touched."""
    terms = MarginTerms(Rates(D(5), maintenance_percent=D(10)), liquidation_fee_percent=D(1))
    desk = margined(AAPL, EUR, margin=terms, fees=FeeSchedule(D("0.1")))
    desk.snapshot([(9_999, DEEP)], [(10_000, DEEP)])
    desk.snapshot([(99, DEEP)], [(100, DEEP)], symbol="EUR/USD")
    desk.buy(30_000)
    desk.send(1, 500_000, symbol="EUR/USD")
    desk.buy(1_000, 7_000)
    desk.log.clear()
    desk.quote((7_400, DEEP), (7_401, DEEP))
    kinds = [type(report).__name__ for report in desk.log if not isinstance(report, LedgerEntry)]
    assert kinds[:3] == ["MarginReport", "OrderReport", "VenueOrder"]
    (cancelled,) = told(desk, OrderReport)
    assert isinstance(cancelled, OrderReport)
    assert cancelled.message == "the account is being liquidated"
    fills = [fill for fill in told(desk, FillReport) if isinstance(fill, FillReport)]
    shown = [order for order in told(desk, VenueOrder) if isinstance(order, VenueOrder)]
    assert {fill.symbol for fill in fills} == {"AAPL"}
    assert [fill.broker_order_id for fill in fills] == [order.broker_order_id for order in shown]
    assert [fill.quantity for fill in fills] == [order.quantity for order in shown]
    assert 0 < desk.position("AAPL").quantity < 30
    assert desk.position("EUR/USD").quantity == 500
    info = desk.venue.info()
    assert info.equity is not None
    assert info.equity > info.maintenance_margin * D("1.25")
    fees = [entry.amount.amount for entry in told(desk, LedgerEntry) if isinstance(entry, LedgerEntry)]
    charged = [-round(fill.price * fill.quantity / 100, 2) for fill in fills]
    assert fees == [fee for fee in charged if fee]


def test_a_thin_book_is_gone_on_with_at_the_next_update() -> None:
    """Only 5 can be sold at first; the rest follows when the feed shows more, and nothing is sold twice."""
    desk = margined(AAPL)
    desk.snapshot([(9_999, DEEP)], [(10_000, DEEP)])
    desk.buy(49_000)
    desk.quote((7_900, 5_000), (7_901, DEEP))
    assert desk.position().quantity == 44
    desk.quote((7_900, 20_000), (7_901, DEEP))
    assert desk.position().quantity == 29  # of the 20 that are shown, 5 were sold already
    desk.quote((7_900, DEEP), (7_901, DEEP))
    assert desk.position().quantity == 0
    assert desk.balance("USD").total == 1000 - 49 * D(100) + 49 * D(79)
    assert desk.venue.info().equity == D(-29)
    assert len(told(desk, MarginReport)) == 1


moves = st.lists(
    st.tuples(st.sampled_from(["AAPL", "EUR/USD"]), st.integers(20, 400), st.integers(0, 60)), max_size=12
)
trades = st.lists(
    st.tuples(st.sampled_from(["AAPL", "EUR/USD"]), st.sampled_from([1, -1]), st.integers(1, 3000)),
    max_size=8,
)


@given(trades, moves, st.sampled_from(["0", "0.25"]), st.sampled_from(["0", "1.5"]))
def test_liquidation_only_reduces_and_ends_flat_or_solvent(
    orders: list[tuple[str, int, int]], steps: list[tuple[str, int, int]], fee: str, liquidation_fee: str
) -> None:
    """Invariant 11 on random books: what the venue sells is never more than there was and never turns a position; cash
    is what fills, fees and ledger say, exactly; while a book has lots left, the account is flat or above the call."""
    terms = MarginTerms(Rates(D(10)), liquidation_fee_percent=D(liquidation_fee))
    desk = margined(AAPL, EUR, margin=terms, fees=FeeSchedule(D(fee), D(fee)), balance="50")
    for symbol in ("AAPL", "EUR/USD"):
        desk.snapshot([(199, DEEP)], [(200, DEEP)], symbol=symbol)
    for symbol, side, lots in orders:
        free = margin_free(desk)
        before = desk.venue.info().initial_margin
        outcome = desk.send(side, lots, tif=IOC, symbol=symbol)
        if isinstance(outcome, Accepted) and desk.venue.info().initial_margin > before:
            assert free >= 0
    for symbol, middle, lots in steps:
        held = {each: holding(desk, each) for each in ("AAPL", "EUR/USD")}
        reports = desk.snapshot(
            [(middle - 1, lots)] if lots else [], [(middle + 1, lots)] if lots else [], symbol
        )
        for report in reports:
            if not isinstance(report, FillReport):
                continue
            side = 1 if report.side.name == "BUY" else -1
            assert side * held[report.symbol] < 0
            held[report.symbol] += side * report.quantity
            assert side * held[report.symbol] <= 0
        check_cash(desk)
        info = desk.venue.info()
        if info.equity is None:  # nobody bids or asks: there is no price to judge by
            continue
        if info.maintenance_margin and info.equity <= info.maintenance_margin:
            for each in ("AAPL", "EUR/USD"):
                book = desk.venue.book(each, 1)
                assert book is not None
                assert holding(desk, each) == 0 or not (book.bids if holding(desk, each) > 0 else book.asks)


def margin_free(desk: Desk) -> Decimal:
    info = desk.venue.info()
    assert info.equity is not None
    return info.equity - info.initial_margin


def holding(desk: Desk, symbol: str) -> Decimal:
    return {position.symbol: position.quantity for position in desk.venue.positions()}.get(symbol, D(0))


def check_cash(desk: Desk) -> None:
    """Invariant 4, from what was told alone."""
    cash: dict[str, Fraction] = {}
    for report in desk.log:
        if isinstance(report, LedgerEntry):
            money = report.amount
            cash[money.currency] = cash.get(money.currency, Fraction(0)) + Fraction(money.amount)
        elif isinstance(report, FillReport):
            sign = 1 if report.side.name == "BUY" else -1
            fee = report.fees[0]
            moved = sign * Fraction(report.price) * Fraction(report.quantity) + Fraction(fee.amount)
            cash[fee.currency] = cash.get(fee.currency, Fraction(0)) - moved
    for position in desk.venue.positions():
        if ":" in position.symbol:  # settled: what is open was not paid for
            cash[position.quote_currency] += Fraction(position.cost)
    for currency, amount in cash.items():
        assert Fraction(desk.balance(currency).total) == amount


perp_steps = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.sampled_from([1, -1]), st.integers(1, 50)),
        st.tuples(st.just("move"), st.integers(50, 200), st.integers(1, 99)),
        st.tuples(st.just("fund"), st.integers(-300, 300), st.just(0)),
        st.tuples(st.just("mark"), st.integers(50, 200), st.just(0)),
    ),
    max_size=20,
)


@given(perp_steps)
def test_a_perpetual_is_settled_exactly(steps: Iterable[tuple[str, int, int]]) -> None:
    """Invariant 4 through zero: cash = start + realised − fees + funding, equity = cash + unrealised; the position is
    Σ side × quantity."""
    desk = margined(PERP, balance="100000", fees=FeeSchedule(D("0.055"), D("0.02")))
    desk.snapshot([(99, DEEP)], [(101, DEEP)])
    for kind, first, second in steps:
        if kind == "trade":
            desk.send(first, second * 1000)
        elif kind == "move":
            desk.snapshot([(first - 1, DEEP)], [(first + 1, DEEP)])
        elif kind == "fund":
            desk.market(FundingUpdate(desk.tick(), PERP.symbol, D(first) / 100_000))
        else:
            desk.market(MarkUpdate(desk.tick(), PERP.symbol, first))
        check_cash(desk)
        fills = [report for report in desk.log if isinstance(report, FillReport)]
        signed = [fill.quantity if fill.side.name == "BUY" else -fill.quantity for fill in fills]
        assert holding(desk, PERP.symbol) == sum(signed)
        info = desk.venue.info()
        assert info.equity == info.cash + (info.unrealized_pnl or 0)


def test_funding_is_paid_by_longs_at_the_mark() -> None:
    """0.01 % of 2 at the mark 50000.00 is 10.00; below zero the short pays (Binance's and Bybit's formula: rate ×
    mark × quantity)."""
    desk = margined(PERP, balance="100000")
    desk.snapshot([(4_999_999, DEEP)], [(5_000_001, DEEP)])
    desk.buy(2_000)
    desk.market(
        MarkUpdate(desk.tick(), PERP.symbol, 5_000_000), FundingUpdate(desk.tick(), PERP.symbol, D("0.0001"))
    )
    desk.sell(4_000)
    desk.market(FundingUpdate(desk.tick(), PERP.symbol, D("-0.0002")))
    entries = [entry for entry in told(desk, LedgerEntry) if isinstance(entry, LedgerEntry)][1:]
    assert [(entry.kind, entry.amount.amount, entry.symbol) for entry in entries] == [
        (LedgerEntryKind.FUNDING, D(-10), PERP.symbol),
        (LedgerEntryKind.FUNDING, D(-20), PERP.symbol),
    ]
    assert "0.01 % of the mark 50000" in entries[0].description


def test_funding_by_schedule_falls_due_at_its_hours() -> None:
    """Every eight hours from midnight UTC: a day in one step is paid three times, and a flat account pays nothing."""
    desk = margined(PERP, balance="100000", funding=FundingTerms(8, D("0.01")))
    hour = 3_600_000_000_000
    desk.snapshot([(9_999, DEEP)], [(10_001, DEEP)])
    desk.now_ns = 7 * hour
    desk.buy(10_000)
    desk.now_ns = 8 * hour - 1_000
    desk.log.extend(desk.venue.advance(desk.tick()))
    assert [entry.amount.amount for entry in told(desk, LedgerEntry) if isinstance(entry, LedgerEntry)][
        1:
    ] == [D("-0.1")]
    desk.now_ns = 32 * hour
    desk.quote((9_999, DEEP), (10_001, DEEP))
    assert desk.balance("USDT").total == D(100_000) - D("0.4")
    desk.sell(10_000)
    desk.now_ns = 90 * hour
    desk.log.extend(desk.venue.advance(desk.tick()))
    assert desk.balance("USDT").total == D(100_000) - D("0.4") - D("0.2")


def test_a_perpetual_in_a_cash_account_is_carried_in_full() -> None:
    """Without a margin section: one times, both ways."""
    desk = margined(PERP, balance="1000", margin=None)
    desk.snapshot([(10_000, DEEP)], [(10_001, DEEP)])
    assert isinstance(desk.sell(10_001), Rejected)
    assert isinstance(desk.sell(10_000), Accepted)
    assert desk.balance("USDT").total == D(1000)


def test_what_cannot_be_borrowed_is_not_sold_short() -> None:
    """10 can be borrowed: 4 sold, 5 on order, then 2 are one too many; a symbol nobody lends; a kind that does not go
    short. What is held is sold whatever the terms."""
    desk = margined(AAPL, balance="100000", short=ShortTerms(available=(("AAPL", D(10)),)))
    desk.snapshot([(100, DEEP)], [(101, DEEP)])
    assert isinstance(desk.sell(4_000), Accepted)
    assert isinstance(desk.sell(5_000, 200), Accepted)
    refused = desk.sell(2_000, 200)
    assert isinstance(refused, Rejected)
    assert refused.reason is ErrorReason.NOT_SHORTABLE
    assert "would borrow 2; 10 can be borrowed in all, 1 of it still" in refused.message
    assert isinstance(desk.sell(1_000), Accepted)
    nobody_lends = ShortTerms(not_shortable=frozenset({"AAPL"}))
    for short, kinds in ((nobody_lends, SHORTABLE), (ShortTerms(), frozenset[InstrumentKind]())):
        desk = margined(AAPL, balance="100000", short=short, shortable=kinds)
        desk.snapshot([(100, DEEP)], [(101, DEEP)])
        desk.buy(3_000)
        assert isinstance(desk.sell(2_000, 200), Accepted)
        refused = desk.sell(2_000)
        assert isinstance(refused, Rejected)
        assert refused.reason is ErrorReason.NOT_SHORTABLE
        assert isinstance(desk.sell(1_000), Accepted)


def test_funding_of_what_is_no_perpetual_is_an_error() -> None:
    """A feed that is wired wrongly."""
    desk = margined(AAPL)
    with pytest.raises(ValueError, match="no perpetual"):
        desk.market(FundingUpdate(desk.tick(), "AAPL", D("0.01")))
    with pytest.raises(ValueError, match="mark price of 0"):
        desk.market(MarkUpdate(desk.tick(), "AAPL", 0))


def test_a_liquidation_that_the_owner_ended_is_over() -> None:
    """The book has nobody left to sell to; then the owner's own resting order closes the position. What is opened next
    is healthy: it was liquidated on, and its orders were cancelled."""
    desk = margined(AAPL)
    desk.snapshot([(9_999, DEEP)], [(10_000, DEEP)])
    desk.buy(40_000, 10_000)
    desk.snapshot([], [(8_000, DEEP)])
    desk.trade(7_900, 1)
    assert [report.liquidation for report in told(desk, MarginReport)] == [True]  # type: ignore[attr-defined]
    desk.sell(40_000, 8_100)
    desk.trade(8_200, DEEP, 1)
    assert desk.position().quantity == 0
    desk.snapshot([(8_099, DEEP)], [(8_100, DEEP)])
    desk.buy(1_000, 8_100)
    desk.buy(1_000, 7_000)
    desk.snapshot([(8_098, DEEP)], [(8_101, DEEP)])
    assert [order.limit for order in desk.venue.open_orders()] == [7_000]
