"""Runs over a market that is written by hand: what acts when, what a strategy hears, and what is noted."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from brokergate.backtest import results, runner
from brokergate.backtest.commands import Cancel, Given, Place, Replace
from brokergate.backtest.line import LatencyLine
from brokergate.backtest.market import Market
from brokergate.backtest.page import render
from brokergate.backtest.recording import PriceSeries, thinned
from brokergate.backtest.runner import Finished, Run, RunawayStrategy, StrategyFailed
from brokergate.backtest.strategy import Strategy, Trader, View
from brokergate.domain.accounts import LedgerEntryKind
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderChanged, OrderEventType
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.orders import OrderSpec, OrderState, OrderType, Side
from brokergate.ports.broker import FillReport
from brokergate.sim.latency import ConstantLatency, RecordedLatency
from brokergate.sim.margin import MarginTerms, Rates
from brokergate.sim.market import BookDelta, BookSnapshot, MarketUpdate, TradeUpdate
from brokergate.sim.terms import AccountTerms

START = 1_700_000_000_000_000_000
MS = 1_000_000
XYZ = Instrument("XYZ", "XYZ", InstrumentKind.EQUITY, "", "USD", Decimal("0.01"), Decimal(1))
TERMS = AccountTerms({"USD": Decimal(100_000)}, base_currency="USD")


def book(at_ms: int, bid: int, ask: int, size: int = 100) -> BookSnapshot:
    return BookSnapshot(START + at_ms * MS, "XYZ", ((bid, size),), ((ask, size),))


UPDATES: tuple[MarketUpdate, ...] = (
    book(0, 9_990, 10_010),
    book(100, 9_995, 10_005),
    TradeUpdate(START + 200 * MS, "XYZ", 9_995, 150, -1),
    BookDelta(START + 300 * MS, "XYZ", ((9_995, 0), (9_900, 100)), ((10_005, 0), (9_910, 100))),
    book(400, 9_900, 9_910),
)


def market(updates: tuple[MarketUpdate, ...] = UPDATES) -> Market:
    def play() -> Iterator[MarketUpdate]:
        return iter(updates)

    return Market("by hand", (XYZ,), START, START + 500 * MS, False, play)


def order(side: Side, quantity: int, limit: str | None = None) -> OrderSpec:
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    return OrderSpec(
        "XYZ", side, kind, Decimal(quantity), limit_price=None if limit is None else Decimal(limit)
    )


def scripted(*commands: tuple[int, Place | Cancel | Replace], until_ms: int = 500) -> Finished:
    script = [Given(START + at_ms * MS, command) for at_ms, command in commands]
    return Run(market(), TERMS, script=script, until_ns=START + until_ms * MS)()


DELAYED = LatencyLine(ConstantLatency(50 * MS), ConstantLatency(30 * MS))


def test_a_command_acts_after_the_market_of_its_own_moment() -> None:
    run = scripted((100, Place("now", order(Side.BUY, 10))), (99, Place("before", order(Side.BUY, 10))))
    assert [(fill.client_order_id, fill.price) for fill in run.blotter.fills] == [
        ("before", Decimal("100.10")),
        ("now", Decimal("100.05")),
    ]
    assert run.blotter.records["before"].arrival_mid == Decimal(100)


def test_a_resting_order_waits_in_the_queue_until_a_trade_reaches_it() -> None:
    """100 stand before it; the trade of 150 leaves 50 for it, and the cross at 300 ms the rest."""
    run = scripted((110, Place("rest", order(Side.BUY, 80, "99.95"))))
    record = run.blotter.records["rest"]
    assert [(fill.event_time_ns - START, fill.quantity) for fill in run.blotter.fills] == [
        (200 * MS, Decimal(50)),
        (300 * MS, Decimal(30)),
    ]
    assert (record.rested_ns, record.first_maker_ns, record.ended_ns) == (
        START + 110 * MS,
        START + 200 * MS,
        START + 300 * MS,
    )
    assert record.order.state is OrderState.FILLED


def test_the_run_ends_where_it_is_told_to() -> None:
    run = scripted((110, Place("rest", order(Side.BUY, 80, "99.95"))), until_ms=200)
    assert run.updates == 3
    assert run.blotter.records["rest"].order.state is OrderState.PARTIALLY_FILLED
    assert run.recorder.equity[-1].time_ns == START + 200 * MS


def test_equity_is_cash_and_position_at_the_mid() -> None:
    run = scripted((110, Place("take", order(Side.BUY, 100))))
    at = {point.time_ns - START: point.equity for point in run.recorder.equity}
    assert at[0] == Decimal(100_000)
    # 100 bought at 100.05; of the asks nothing is left, so the last trade, or none yet, values them.
    assert at[500 * MS] == Decimal(100_000) - Decimal("10005") + Decimal("9905")


def test_what_is_refused_is_noted_with_its_reason() -> None:
    run = scripted(
        (10, Place("off-tick", order(Side.BUY, 1, "99.999"))),
        (10, Place("too-much", order(Side.BUY, 10_000, "99.99"))),
        (20, Cancel("nobody")),
        (30, Place("gone", order(Side.BUY, 1))),
        (40, Replace("gone", Decimal(2))),
        (50, Place("kept", order(Side.BUY, 1, "90.00"))),
        (60, Replace("kept", limit_price=Decimal("90.001"))),
    )
    reasons = {name: record.order.reject_reason for name, record in run.blotter.records.items()}
    assert reasons["off-tick"] is ErrorReason.PRICE_OFF_TICK
    assert reasons["too-much"] is ErrorReason.INSUFFICIENT_FUNDS
    refused = [(each.command, each.client_order_id, each.reason) for each in run.blotter.refused]
    assert refused == [
        ("cancel", "nobody", ErrorReason.ORDER_NOT_FOUND),
        ("replace", "gone", ErrorReason.ORDER_ENDED),
        ("replace", "kept", ErrorReason.PRICE_OFF_TICK),
    ]
    assert run.blotter.records["kept"].order.state is OrderState.NEW


def test_a_replace_and_a_cancel_do_what_they_say() -> None:
    run = scripted(
        (10, Place("a", order(Side.BUY, 5, "90.00"))),
        (20, Replace("a", Decimal(7), Decimal("91.00"))),
        (30, Cancel("a")),
    )
    record = run.blotter.records["a"]
    assert (record.order.quantity, record.order.spec.limit_price) == (Decimal(7), Decimal("91.00"))
    assert (record.order.state, record.ended_ns) == (OrderState.CANCELED, START + 30 * MS)
    assert run.blotter.refused == []


def test_a_liquidation_is_an_order_of_the_venues_with_its_fee_and_its_notice() -> None:
    """10,000 of equity hold 900 at 100.10 on a leverage of ten; at 90.00 they are sold by the venue."""
    crash = (book(0, 9_990, 10_010, 1_000), book(100, 9_000, 9_010, 1_000))
    margin = MarginTerms(Rates(Decimal(10)), liquidation_fee_percent=Decimal(1))
    terms = AccountTerms({"USD": Decimal(10_000)}, base_currency="USD", margin=margin)
    script = [Given(START + 10 * MS, Place("long", order(Side.BUY, 900)))]
    run = Run(market(crash), terms, script=script)()
    sold = [record for name, record in run.blotter.records.items() if name.startswith("venue:")]
    assert sold
    assert all(record.order.state is OrderState.FILLED for record in sold)
    assert run.blotter.notices[-1].message.startswith("liquidation: ")
    assert [entry.kind for entry in run.blotter.entries] == [LedgerEntryKind.ADJUSTMENT] * len(sold)
    document = results.document(run, {}, {})
    closed = sum(Decimal(fill["quantity"]) for fill in document["fills"] if fill["side"] == "SELL")
    last = document["position_steps"]["XYZ"][-1]
    assert last == ["2023-11-14T22:13:20.100000000Z", str(900 - closed)]
    assert [entry["kind"] for entry in document["ledger"]] == ["ADJUSTMENT"] * len(sold)
    assert {fill["client_order_id"] for fill in document["fills"]} == set(run.blotter.records)
    assert "liquidation" in render(run, document)


class Diarist(Strategy):
    """Buys once, and writes down what it hears and when."""

    def __init__(self, at_ms: int = 100) -> None:
        self.at_ns = START + at_ms * MS
        self.heard: list[tuple[int, str]] = []
        self.position = Decimal(0)
        self.name = ""

    def on_start(self, trader: Trader) -> None:
        trader.wake(self.at_ns)

    def on_time(self, trader: Trader) -> None:
        self.name = trader.place(order(Side.BUY, 10))
        assert [open_order.client_order_id for open_order in trader.open_orders()] == [self.name]
        assert trader.position("XYZ") == 0

    def on_order(self, trader: Trader, change: OrderChanged) -> None:
        self.heard.append((trader.now_ns - START, change.type.name))

    def on_fill(self, trader: Trader, fill: FillReport) -> None:
        self.heard.append((trader.now_ns - START, f"{fill.quantity}"))
        self.position = trader.position("XYZ")
        assert trader.open_orders() == []
        told = trader.order(self.name)
        assert told is not None
        assert told.state is OrderState.FILLED


def test_a_strategy_hears_after_its_call_has_returned() -> None:
    strategy = Diarist()
    run = Run(market(), TERMS, strategy=strategy)()
    assert strategy.heard == [(100 * MS, "ACKNOWLEDGED"), (100 * MS, "10")]
    assert strategy.position == 10
    assert len(run.blotter.fills) == 1


def test_with_a_delay_an_order_meets_the_book_of_its_arrival_and_is_heard_of_later() -> None:
    """Decided at 60 ms at a mid of 100.00 with asks at 100.10; it arrives at 110 ms, when they are at 100.05."""
    strategy = Diarist(60)
    run = Run(market(), TERMS, strategy=strategy, line=DELAYED)()
    (fill,) = run.blotter.fills
    assert (fill.price, fill.event_time_ns) == (Decimal("100.05"), START + 110 * MS)
    assert run.blotter.records[strategy.name].arrival_mid == Decimal(100)
    assert [at for at, _ in strategy.heard] == [140 * MS, 140 * MS]


def test_an_answer_and_its_fill_travel_as_one_and_nothing_overtakes() -> None:
    """Of two orders the second is drawn no latency: it arrives with the first, and so does what is told of it."""

    class Two(Diarist):
        def on_time(self, trader: Trader) -> None:
            for name in ("one", "two"):
                self.name = trader.place(order(Side.BUY, 10), name)

        def on_fill(self, trader: Trader, fill: FillReport) -> None:
            self.heard.append((trader.now_ns - START, fill.client_order_id))

    strategy = Two(60)
    way = LatencyLine(RecordedLatency([50 * MS, 0]), RecordedLatency([30 * MS, 0]))
    run = Run(market(), TERMS, strategy=strategy, line=way)()
    assert [fill.event_time_ns - START for fill in run.blotter.fills] == [110 * MS, 110 * MS]
    assert strategy.heard == [
        (140 * MS, "ACKNOWLEDGED"),
        (140 * MS, "one"),
        (140 * MS, "ACKNOWLEDGED"),
        (140 * MS, "two"),
    ]


class Endless(Strategy):
    """Answers each refusal with the next order."""

    def on_start(self, trader: Trader) -> None:
        trader.place(order(Side.BUY, 1, "0.001"))

    def on_order(self, trader: Trader, change: OrderChanged) -> None:
        assert change.type is OrderEventType.REJECTED
        trader.place(order(Side.BUY, 1, "0.001"))


def test_a_strategy_that_answers_itself_for_ever_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MAX_AT_ONCE", 1000)
    with pytest.raises(RunawayStrategy, match="answers itself for ever"):
        Run(market(), TERMS, strategy=Endless())()


class Failing(Strategy):
    """Fails on the second update."""

    def __init__(self) -> None:
        self.updates = 0

    def on_update(self, trader: Trader, view: View) -> None:
        self.updates += 1
        if self.updates == 2:
            raise KeyError(view.symbol)


def test_a_strategy_that_fails_is_told_with_its_call_and_time() -> None:
    with pytest.raises(
        StrategyFailed, match=r"failed in on_update at 2023-11-14T22:13:20\.100000000Z: KeyError\('XYZ'\)"
    ):
        Run(market(), TERMS, strategy=Failing())()


def test_an_id_is_used_once() -> None:
    class Twice(Strategy):
        def on_start(self, trader: Trader) -> None:
            trader.place(order(Side.BUY, 1), "mine")
            trader.place(order(Side.BUY, 1), "mine")

    with pytest.raises(StrategyFailed, match="placed as 'mine' already"):
        Run(market(), TERMS, strategy=Twice())()


def test_the_dice_of_a_strategy_are_of_the_seed() -> None:
    class Chance(Strategy):
        seen: list[float] = []  # noqa: RUF012

        def on_start(self, trader: Trader) -> None:
            self.seen.append(trader.random.random())

    for seed in (1, 1, 2):
        Run(market(), TERMS, strategy=Chance(), seed=seed)()
    first, again, other = Chance.seen
    assert first == again != other


def test_a_series_that_is_full_keeps_its_lows_and_highs() -> None:
    values = [5, 9, 1, 4, 7, 7, 2, 8, 3]
    assert thinned(list(enumerate(values))) == [(1, 9), (2, 1), (6, 2), (7, 8), (8, 3)]
    series = PriceSeries(100)
    for time in range(1000):
        series.add(time, (time * 7919) % 1009)
    prices = [price for _, price in series.points]
    assert len(prices) <= 100
    assert {min(prices), max(prices)} == {
        min(t * 7919 % 1009 for t in range(1000)),
        max(t * 7919 % 1009 for t in range(1000)),
    }
    assert series.points == sorted(series.points)
