"""A paper account on a synthetic market, and on one that a client pushes."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from brokergate.adapters.paper.broker import PaperTradingBroker
from brokergate.adapters.paper.making import create_paper_broker
from brokergate.adapters.registry import create_broker
from brokergate.config.accounts import AccountConfig
from brokergate.domain.accounts import BrokerBalance, ConnectionState
from brokergate.domain.commands import CreatePaperAccount, PushInstrument, Slippage
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.fills import Money
from brokergate.domain.instruments import InstrumentKind
from brokergate.domain.market import BarView, BookView, MarketDatum, QuoteView, TradeView
from brokergate.domain.orders import Side, TimeInForce
from brokergate.engine.paper_setting import from_setting, to_setting
from brokergate.ports.broker import (
    ConnectionReport,
    OrderReport,
    PushedUpdate,
    Rejected,
    ReplaceCommand,
    TapeAction,
)
from tests.context import broker_context
from tests.unit.adapters.paper.hand_clock import (
    NEW,
    WALL_NS,
    HandClock,
    Reader,
    accepted,
    broker,
    fills,
    order,
    settle,
)

PUSHED: dict[str, object] = {
    "push": {
        "instruments": [
            {"symbol": "BTC/USDT", "price_increment": "0.5", "quantity_increment": "0.1"},
            {"symbol": "EUR/USD", "price_increment": "0.0001", "quantity_increment": "1"},
            {"symbol": "XYZ", "price_increment": "0.01", "quantity_increment": "1", "quote_currency": "USD"},
        ]
    }
}


def quote(bid: str | None, ask: str | None, size: str = "10", time_ns: int = 5) -> PushedUpdate:
    return PushedUpdate(
        QuoteView(
            "BTC/USDT",
            None if bid is None else Decimal(bid),
            None if bid is None else Decimal(size),
            None if ask is None else Decimal(ask),
            None if ask is None else Decimal(size),
            time_ns,
            0,
        )
    )


def trade(price: str, quantity: str, symbol: str = "BTC/USDT") -> PushedUpdate:
    return PushedUpdate(TradeView(symbol, Decimal(price), Decimal(quantity), Side.SELL, 6, 0))


def book(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> PushedUpdate:
    def levels(side: list[tuple[str, str]]) -> tuple[tuple[Decimal, Decimal], ...]:
        return tuple((Decimal(price), Decimal(size)) for price, size in side)

    return PushedUpdate(BookView("BTC/USDT", levels(bids), levels(asks), 7, 0))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


async def story(clock: HandClock, seed: int) -> list[str]:
    """Everything that a synthetic account told in ten seconds of trading."""
    paper = broker(clock, {"synthetic": {"seed": seed}})
    await paper.connect(NEW)
    reader = Reader(paper)
    told: list[str] = []
    for number in range(10):
        await clock.advance(1)
        symbol = ("BTC/USDT", "EUR/USD", "AAPL")[number % 3]
        view = paper.quote(symbol)
        assert view is not None
        assert view.ask_price is not None
        orders = [
            order(symbol, 1, "2", name=f"m{seed}-{number}"),
            order(symbol, 1, "1", f"{view.ask_price}", name=f"l{seed}-{number}"),
        ]
        for outcome in await paper.place_orders(orders):
            accepted(outcome)
            told.append(repr(outcome))
    told.append(
        repr((await paper.get_positions(), await paper.get_balances(), await paper.get_account_info()))
    )
    await paper.close()
    await reader.task
    return [*told, repr(reader.reports)]


async def test_the_default_market_trades(clock: HandClock) -> None:
    """Bitcoin, euros and a stock, each with a book of both sides, filled at what was quoted; equity adds up."""
    paper = broker(clock, {})
    await paper.connect(NEW)
    await clock.advance(0.5)
    assert [instrument.symbol for instrument in await paper.list_instruments()] == [
        "AAPL",
        "BTC/USDT",
        "EUR/USD",
    ]
    for symbol in ("AAPL", "BTC/USDT", "EUR/USD"):
        view = paper.quote(symbol)
        assert view is not None
        outcome = await paper.place_order(order(symbol, 1, "1"))
        assert Decimal(fills(accepted(outcome))[0][0]) >= (view.ask_price or 0)
        shown = paper.book(symbol, 5)
        assert shown is not None
        assert len(shown.bids) == len(shown.asks) == 5
    info = await paper.get_account_info()
    assert info.equity is not None
    assert Decimal(1_999_000) < info.equity < Decimal(2_001_000)
    await paper.close()


async def test_the_same_seed_and_times_tell_the_same_story() -> None:
    """Law 12 through the adapter: reports, positions and balances to the byte; another seed tells another one."""
    first, second, other = [await story(HandClock(), seed) for seed in (7, 7, 8)]
    assert first == second
    assert first != other


async def test_a_market_that_overslept_catches_up(clock: HandClock) -> None:
    """After ten minutes of standstill the market is at its time again within a few turns of the loop."""
    paper = broker(clock, {"synthetic": {"seed": 1}})
    await paper.connect(NEW)
    await clock.advance(1)
    clock._elapsed_ns += 20 * 10**9
    await clock.advance(1)
    view = paper.quote("BTC/USDT")
    assert view is not None
    assert clock.now_ns() - view.event_time_ns < 10**9
    await paper.close()


async def test_a_pushed_quote_is_the_market(clock: HandClock) -> None:
    """Orders fill against it, its time is the client's, and the next one replaces it."""
    paper = broker(clock, PUSHED)
    await paper.connect(NEW)
    await paper.push([quote("100", "101")])
    view = paper.quote("BTC/USDT")
    assert view is not None
    assert (view.ask_price, view.event_time_ns, view.receive_time_ns) == (Decimal(101), 5, WALL_NS)
    outcome = await paper.place_order(order("BTC/USDT", 1, "12"))
    assert fills(outcome) == [("101", "10")]
    await paper.push([book([("99", "1"), ("99.5", "2")], [("103", "4"), ("102", "3")])])
    assert fills(await paper.place_order(order("BTC/USDT", 1, "5"))) == [("102", "3"), ("103", "2")]
    assert fills(await paper.place_order(order("BTC/USDT", -1, "3"))) == [("99.5", "2"), ("99", "1")]
    await paper.close()


async def test_a_pushed_trade_fills_what_rests(clock: HandClock) -> None:
    """The fill comes by events, stamped with the gateway's time."""
    paper = broker(clock, PUSHED)
    await paper.connect(NEW)
    reader = Reader(paper)
    await paper.push([quote("100", "101")])
    await paper.place_order(order("BTC/USDT", 1, "2", "100.5"))
    await clock.advance(1)
    await paper.push([trade("100", "1.5")])
    await settle()
    assert fills(reader.reports) == [("100.5", "1.5")]
    heard: list[MarketDatum] = []
    paper.subscribe_market_data(["BTC/USDT"], heard.append)
    await paper.push([trade("100", "0.1")])
    assert [(datum.event_time_ns, type(datum)) for datum in heard] == [(6, TradeView)]
    await paper.close()
    await reader.task


@pytest.mark.parametrize(
    ("update", "reason", "field"),
    [
        (trade("100", "1", "ETH/USDT"), ErrorReason.INSTRUMENT_NOT_FOUND, "updates[1].trade.symbol"),
        (trade("100.25", "1"), ErrorReason.PRICE_OFF_TICK, "updates[1].trade.price"),
        (trade("100", "0.05"), ErrorReason.QUANTITY_OFF_LOT, "updates[1].trade.quantity"),
        (trade("0", "1"), ErrorReason.INVALID_FIELD, "updates[1].trade.price"),
        (trade("100", "-1"), ErrorReason.INVALID_FIELD, "updates[1].trade.quantity"),
        (quote("101.5", "101"), ErrorReason.INVALID_FIELD, "updates[1].quote"),
        (quote("101.3", None), ErrorReason.PRICE_OFF_TICK, "updates[1].quote.bid_price"),
        (book([("99", "1"), ("99", "2")], []), ErrorReason.INVALID_FIELD, "updates[1].book.bids"),
        (book([("99", "1")], [("99", "1")]), ErrorReason.INVALID_FIELD, "updates[1].book"),
        (book([], [("98", "0.01")]), ErrorReason.QUANTITY_OFF_LOT, "updates[1].book.asks[0].quantity"),
        (
            PushedUpdate(QuoteView("BTC/USDT", Decimal(1), None, None, None, 0, 0)),
            ErrorReason.INVALID_FIELD,
            "updates[1].quote.bid_quantity",
        ),
    ],
)
async def test_a_bad_push_is_refused_whole(
    clock: HandClock, update: PushedUpdate, reason: ErrorReason, field: str
) -> None:
    """The error names the update and the field, and the good one before it does not count either."""
    paper = broker(clock, PUSHED)
    await paper.connect(NEW)
    with pytest.raises(GatewayError) as refused:
        await paper.push([quote("100", "101"), update])
    assert refused.value.reason is reason
    assert [violation.field for violation in refused.value.violations] == [field]
    assert paper.quote("BTC/USDT") is None
    await paper.close()


async def test_time_passes_for_a_pushed_market_too(clock: HandClock) -> None:
    """A DAY order expires at midnight though nobody pushes anything."""
    paper = broker(clock, PUSHED)
    await paper.connect(NEW)
    reader = Reader(paper)
    await paper.place_order(order("BTC/USDT", 1, "1", "90", TimeInForce.DAY))
    await clock.advance(16 * 3600)
    assert [r.event.name for r in reader.reports if isinstance(r, OrderReport)] == ["EXPIRED"]
    await paper.close()
    await reader.task


async def test_a_reset_carries_what_was_told_before_it(clock: HandClock) -> None:
    """Nothing that the market filled is lost: it comes before the reset's own reports."""
    paper = broker(clock, PUSHED)
    await paper.connect(NEW)
    await paper.push([quote("100", "101")])
    await paper.place_order(order("BTC/USDT", 1, "2", "100.5"))
    await paper.push([trade("100", "1.5")])
    reports = await paper.reset({"USDT": Decimal(5)})
    assert fills(reports) == [("100.5", "1.5")]
    last = {report.currency: report.total for report in reports if isinstance(report, BrokerBalance)}
    assert last == {"BTC": 0, "USD": 0, "USDT": 5}
    with pytest.raises(GatewayError) as refused:
        await paper.reset({"USDT": Decimal(0)})
    assert refused.value.reason is ErrorReason.INVALID_FIELD
    await paper.close()


async def test_each_feed_is_steered_in_its_own_way(clock: HandClock) -> None:
    """A tape's controls and a push are refused where the feed is another one."""
    synthetic, pushed = broker(clock, {}), broker(clock, PUSHED)
    for paper in (synthetic, pushed):
        await paper.connect(NEW)
        with pytest.raises(GatewayError) as refused:
            await paper.control_tape(TapeAction(pause=True))
        assert refused.value.reason is ErrorReason.WRONG_FEED
    with pytest.raises(GatewayError) as refused:
        await synthetic.push([quote("100", "101")])
    assert refused.value.reason is ErrorReason.WRONG_FEED
    for paper in (synthetic, pushed):
        await paper.close()


async def test_an_account_made_at_run_time_is_what_was_asked_for(clock: HandClock) -> None:
    """Balances, fees, instruments and their kinds; settings that cannot be are named."""
    command = CreatePaperAccount(
        account_id="x",
        initial_balances=(Money(Decimal(50), "USDT"),),
        seed=None,
        push_instruments=(
            PushInstrument("BTC/USDT", Decimal("0.5"), Decimal("0.1"), ""),
            PushInstrument("EUR/USD", Decimal("0.5"), Decimal("0.1"), "USD"),
            PushInstrument("XYZ", Decimal("0.5"), Decimal("0.1"), "USD"),
        ),
        taker_fee_percent=Decimal("0.1"),
        maker_fee_percent=Decimal(0),
    )
    paper = create_paper_broker(command, clock)
    await paper.connect(NEW)
    kinds = {instrument.symbol: instrument.kind for instrument in await paper.list_instruments()}
    assert kinds == {
        "BTC/USDT": InstrumentKind.SPOT,
        "EUR/USD": InstrumentKind.FOREX,
        "XYZ": InstrumentKind.EQUITY,
    }
    assert {b.currency: b.total for b in await paper.get_balances()} == {"BTC": 0, "USD": 0, "USDT": 50}
    await paper.close()
    bad = replace(command, push_instruments=(PushInstrument("XYZ", Decimal(1), Decimal(1), ""),))
    with pytest.raises(GatewayError, match=r"push\.instruments\[0\].*quote_currency"):
        create_paper_broker(bad, clock)


async def test_an_account_made_at_run_time_slips_as_was_asked_for(clock: HandClock) -> None:
    """The definition comes out of the journal as it went in, and an order pays by it; one of before has no slippage."""
    command = CreatePaperAccount(
        account_id="x",
        initial_balances=(Money(Decimal(5000), "USDT"),),
        seed=None,
        push_instruments=(PushInstrument("BTC/USDT", Decimal("0.5"), Decimal("0.1"), ""),),
        taker_fee_percent=Decimal(0),
        maker_fee_percent=Decimal(0),
        slippage=Slippage("PERCENTAGE", (("percent", Decimal("1.2")),)),
        participation_percent=Decimal(25),
    )
    kept = to_setting(command)
    assert from_setting("x", kept) == command
    old = json.loads(kept)
    del old["slippage"], old["participation_percent"]
    plain = from_setting("x", json.dumps(old))
    assert plain == replace(command, slippage=None, participation_percent=None)
    paid = []
    for asked in (command, plain):
        paper = create_paper_broker(asked, clock)
        assert isinstance(paper, PaperTradingBroker)
        await paper.connect(NEW)
        await paper.push([quote("100", "101")])
        paid += [price for price, _ in fills(await paper.place_order(order("BTC/USDT", 1, "1")))]
        await paper.close()
    assert paid == ["102.5", "101"]
    bad = replace(command, slippage=Slippage("FIXED", ()))
    with pytest.raises(GatewayError, match=r"slippage.*lacks amount"):
        create_paper_broker(bad, clock)


async def test_a_stale_push_refuses_orders(clock: HandClock) -> None:
    """With stale_after_ms set, a market that nobody pushes any more takes no orders."""
    paper = broker(clock, PUSHED, stale_after_ms="1500")
    await paper.connect(NEW)
    await paper.push([quote("100", "101")])
    await clock.advance(2)
    outcome = await paper.place_order(order("BTC/USDT", 1, "1"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.STALE_MARKET_DATA
    await paper.push([quote("100", "101")])
    accepted(await paper.place_order(order("BTC/USDT", 1, "1")))
    await paper.close()


class BrokenClock(HandClock):
    """A clock that breaks when somebody sleeps on it."""

    async def sleep(self, seconds: float) -> None:
        raise OSError("no timers left")


async def test_a_market_that_stops_by_an_error_is_told() -> None:
    """Whatever ends the market's task, the account is in ERROR and takes no orders: it would fill at old prices."""
    paper = broker(BrokenClock(), {})
    await paper.connect(NEW)
    reader = Reader(paper)
    await settle()
    (report,) = [r for r in reader.reports if isinstance(r, ConnectionReport)]
    assert (report.state, "no timers left" in report.message) == (ConnectionState.ERROR, True)
    outcome = await paper.place_order(order("AAPL", 1, "1"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.BROKER_UNAVAILABLE
    await paper.close()
    await reader.task


async def test_an_order_is_changed_in_one_step(clock: HandClock) -> None:
    """The replace's answer carries the new generation's id and what the new price took at once."""
    paper = broker(clock, PUSHED)
    await paper.connect(NEW)
    await paper.push([quote("100", "101")])
    placed = order("BTC/USDT", 1, "2", "100")
    accepted(await paper.place_order(placed))
    spec = replace(placed.spec, limit_price=Decimal(101), quantity=Decimal(3))
    outcome = await paper.replace_order(ReplaceCommand(placed, spec, Decimal(3)))
    assert fills(accepted(outcome)) == [("101", "3")]
    assert accepted(outcome).broker_order_id == "P1-2"
    gone = await paper.replace_order(ReplaceCommand(placed, spec, Decimal(3)))
    assert isinstance(gone, Rejected)
    assert gone.reason is ErrorReason.ORDER_ENDED
    await paper.close()


async def test_a_preview_says_what_an_order_would_do(clock: HandClock) -> None:
    """Without a time in force it is previewed as GTC; nothing is taken by it."""
    paper = broker(clock, PUSHED, taker_fee_percent="0.1")
    await paper.connect(NEW)
    await paper.push([quote("100", "101")])
    spec = replace(order("BTC/USDT", 1, "2").spec, time_in_force=TimeInForce.UNSPECIFIED)
    preview = await paper.preview_order(spec)
    assert (preview.estimated_price, preview.estimated_fill_quantity) == (Decimal(101), Decimal(2))
    assert preview.required_funds == Money(Decimal("202.202"), "USDT")
    assert fills(await paper.place_order(order("BTC/USDT", 1, "10"))) == [("101", "10")]
    with pytest.raises(GatewayError):
        await paper.preview_order(replace(spec, symbol="ETH/USDT"))
    await paper.close()


def test_a_configured_account_gets_its_broker(clock: HandClock) -> None:
    """By the name in its configuration; one that nobody registered is an error."""
    assert isinstance(create_broker(AccountConfig(broker="paper"), broker_context(clock)), PaperTradingBroker)
    with pytest.raises(ValueError, match=r"there are .*paper"):
        create_broker(AccountConfig(broker="nobody"), broker_context(clock))


async def test_a_price_near_the_end_of_the_digits_makes_no_amount_beyond_them(clock: HandClock) -> None:
    """An order at it is refused with what is the most; holdings are told without a value, and nothing of 21 digits
    is told anywhere."""
    paper = broker(clock, PUSHED, initial_balance={"USDT": "1000", "BTC": "1000", "USD": "1000"})
    await paper.connect(NEW)
    await paper.push([quote("0.5", "1", "1000")])
    accepted(await paper.place_order(order("BTC/USDT", 1, "1000")))
    await paper.push([quote("99999999999999999999", "99999999999999999999", "1000")])
    for refused in (
        order("BTC/USDT", -1, "1000"),
        order("BTC/USDT", -1, "0.1", "99999999999999999999"),
        order("BTC/USDT", 1, "99999999999999999999", "1"),
    ):
        outcome = await paper.place_order(refused)
        assert isinstance(outcome, Rejected)
        assert outcome.reason is ErrorReason.QUANTITY_OUT_OF_RANGE
        assert "order less" in outcome.message
        with pytest.raises(GatewayError, match="more than an account can hold") as preview:
            await paper.preview_order(refused.spec)
        assert preview.value.reason is ErrorReason.QUANTITY_OUT_OF_RANGE
        assert [violation.field for violation in preview.value.violations] == ["order.quantity"]
    (position,) = await paper.get_positions()
    assert position.unrealized_pnl is None
    info = await paper.get_account_info()
    assert info.equity is None
    assert info.cash == Decimal(0)
    await paper.push([quote("100", "101", "1000")])
    accepted(await paper.place_order(order("BTC/USDT", -1, "1000")))
    (position,) = await paper.get_positions()
    assert position.realized_pnl == Decimal(99_000)
    await paper.close()


async def test_a_synthetic_market_has_the_instruments_that_are_configured(clock: HandClock) -> None:
    """With their increments, about their price and spread, and with orders filled on them."""
    instrument = {"symbol": "ETH/USDT", "price_increment": "0.01", "quantity_increment": "0.001"}
    habits = {"start_price": "3000", "spread": "0.5", "annual_volatility_percent": "10"}
    paper = broker(clock, {"synthetic": {"seed": 4, "instruments": [instrument | habits]}})
    await paper.connect(NEW)
    await clock.advance(60)
    (listed,) = await paper.list_instruments()
    assert (listed.symbol, listed.kind, listed.price_increment) == (
        "ETH/USDT",
        InstrumentKind.SPOT,
        Decimal("0.01"),
    )
    view = paper.quote("ETH/USDT")
    assert view is not None
    assert view.bid_price is not None
    assert view.ask_price is not None
    assert abs(view.bid_price - 3000) < 5
    assert Decimal("0.1") < view.ask_price - view.bid_price < Decimal(2)
    assert fills(await paper.place_order(order("ETH/USDT", 1, "0.001"))) == [
        (f"{view.ask_price.normalize():f}", "0.001")
    ]
    await paper.close()


async def test_a_minute_without_market_data_is_too_old(clock: HandClock) -> None:
    """Where nothing else is set; 0 is no limit. What rests and stops meet the market where it is when it is back."""
    for limit, filled in ((None, False), ("0", True)):
        settings = {} if limit is None else {"stale_after_ms": limit}
        paper = broker(clock, PUSHED, **settings)
        await paper.connect(NEW)
        reader = Reader(paper)
        await paper.push([quote("100", "101")])
        accepted(await paper.place_order(order("BTC/USDT", 1, "1", "90")))
        await clock.advance(61)
        outcome = await paper.place_order(order("BTC/USDT", 1, "1"))
        assert bool(fills(outcome)) is filled
        if isinstance(outcome, Rejected):
            assert outcome.reason is ErrorReason.STALE_MARKET_DATA
            assert "no market data since" in outcome.message
        await paper.push([quote("80", "85")])
        await settle()
        assert fills(reader.reports) == [("90", "1")]
        assert fills(await paper.place_order(order("BTC/USDT", -1, "1"))) == [("80", "1")]
        await paper.close()


async def test_a_pushed_bar_is_taken_whole_or_not_at_all(clock: HandClock) -> None:
    """On the tick and on the lot, its prices in order; what is wrong is named."""

    def bar(**changed: str) -> PushedUpdate:
        texts = {"open": "100", "high": "102", "low": "99.5", "close": "101", "volume": "3.1"} | changed
        opened, high, low, close, volume = (Decimal(text) for text in texts.values())
        return PushedUpdate(BarView("BTC/USDT", 60 * 10**9, opened, high, low, close, volume, 5, 0))

    paper = broker(clock, PUSHED)
    await paper.connect(NEW)
    for changed, reason, field in (
        ({"high": "102.2"}, ErrorReason.PRICE_OFF_TICK, "high_price"),
        ({"low": "100.5"}, ErrorReason.INVALID_FIELD, "low_price"),
        ({"high": "100.5"}, ErrorReason.INVALID_FIELD, "high_price"),
        ({"open": "0"}, ErrorReason.INVALID_FIELD, "open_price"),
        ({"volume": "0.05"}, ErrorReason.QUANTITY_OFF_LOT, "volume"),
    ):
        with pytest.raises(GatewayError) as refused:
            await paper.push([bar(), bar(**changed)])
        assert refused.value.reason is reason
        assert [violation.field for violation in refused.value.violations] == [f"updates[1].bar.{field}"]
    await paper.push([bar()])
    await paper.close()
