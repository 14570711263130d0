"""A paper account on the market of another account."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.adapters.paper.broker import PaperTradingBroker
from brokergate.adapters.paper.making import market_order
from brokergate.adapters.registry import BROKERS, create_broker
from brokergate.config import ConfigError
from brokergate.config.loading import load_config
from brokergate.domain.errors import BrokerError, ErrorReason, GatewayError, TemporaryConnectionError
from brokergate.domain.market import MarketDatum, QuoteView, TradeView
from brokergate.domain.orders import Side
from brokergate.ports.broker import PushedUpdate, Rejected
from brokergate.ports.market import Absence, MarketSource
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
    stop,
)
from tests.unit.adapters.paper.test_live import PUSHED, book, quote, trade


@dataclass
class Pair:
    """An account that is pushed to, and one that follows it."""

    clock: HandClock
    source: PaperTradingBroker
    paper: PaperTradingBroker
    absence: list[Absence] = field(default_factory=list)

    def leave(self) -> None:
        """The source's broker goes away."""
        self.absence.append(Absence(self.clock.now_ns(), "its broker is RECONNECTING, the line was cut"))


async def paired(clock: HandClock, **settings: object) -> Pair:
    source = broker(clock, PUSHED)
    await source.connect(NEW)
    pair = Pair(clock, source, broker(clock, {"account": "main"}, **settings))
    pair.paper.follow(lambda _: MarketSource(source, lambda: pair.absence[-1] if pair.absence else None))
    return pair


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


async def test_the_present_market_is_taken_and_followed(clock: HandClock) -> None:
    """Instruments, quotes, books and trades are the other account's; its orders and money are not."""
    pair = await paired(clock)
    await pair.source.push([quote("100", "101")])
    await pair.paper.connect(NEW)
    assert [item.symbol for item in await pair.paper.list_instruments()] == ["BTC/USDT", "EUR/USD", "XYZ"]
    reader = Reader(pair.paper)
    assert fills(await pair.paper.place_order(order("BTC/USDT", 1, "12"))) == [("101", "10")]
    await pair.source.push([book([("99", "1")], [("103", "4"), ("102", "3")])])
    assert fills(await pair.paper.place_order(order("BTC/USDT", 1, "5"))) == [("102", "3"), ("103", "2")]
    assert fills(await pair.source.place_order(order("BTC/USDT", 1, "1"))) == [("102", "1")]
    accepted(await pair.paper.place_order(order("BTC/USDT", 1, "2", "99.5")))
    await pair.source.push([trade("99", "1.5")])
    await settle()
    assert fills(reader.reports) == [("99.5", "1.5")]
    await pair.paper.close()


async def test_the_markets_own_time_is_told_on(clock: HandClock) -> None:
    """A listener of the follower hears when it happened at the source."""
    pair = await paired(clock)
    await pair.paper.connect(NEW)
    heard: list[MarketDatum] = []
    pair.paper.subscribe_market_data(["BTC/USDT"], heard.append)
    await pair.source.push([trade("100", "0.1")])
    await settle()
    assert heard == [TradeView("BTC/USDT", Decimal(100), Decimal("0.1"), Side.SELL, 6, WALL_NS)]
    await pair.paper.close()


async def test_while_the_other_is_away_orders_are_refused_with_the_time(clock: HandClock) -> None:
    """Not filled at the old price; when it is back, stops and resting orders meet the market where it now is."""
    pair = await paired(clock)
    await pair.source.push([quote("100", "101")])
    await pair.paper.connect(NEW)
    reader = Reader(pair.paper)
    accepted(await pair.paper.place_order(stop("BTC/USDT", 1, "1", "105")))
    accepted(await pair.paper.place_order(order("BTC/USDT", 1, "1", "100")))
    pair.leave()
    outcome = await pair.paper.place_order(order("BTC/USDT", 1, "1"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.STALE_MARKET_DATA
    assert "away since 2027-01-15T08:00:00.000+00:00: its broker is RECONNECTING" in outcome.message
    assert pair.paper.quote("BTC/USDT") is None
    await pair.source.push([quote("110", "111")])
    await clock.advance(2)
    assert fills(reader.reports) == []
    pair.absence.clear()
    await clock.advance(2)
    assert fills(reader.reports) == [("111", "1")]
    assert fills(await pair.paper.place_order(order("BTC/USDT", -1, "1"))) == [("110", "1")]
    await pair.paper.close()


async def test_who_is_away_at_the_start_is_waited_for(clock: HandClock) -> None:
    """The engine tries again; an account or an instrument that there is not is an error."""
    pair = await paired(clock)
    pair.leave()
    with pytest.raises(TemporaryConnectionError, match="the market of account 'main' is away"):
        await pair.paper.connect(NEW)
    pair.absence.clear()
    await pair.paper.connect(NEW)
    await pair.paper.close()
    alone = broker(clock, {"account": "nobody"})
    with pytest.raises(BrokerError, match="no account 'nobody'"):
        await alone.connect(NEW)
    chosen = broker(clock, {"account": "main", "instruments": ["DOGE/USDT"]})
    chosen.follow(lambda _: MarketSource(pair.source, lambda: None))
    with pytest.raises(BrokerError, match="has no instrument 'DOGE/USDT'"):
        await chosen.connect(NEW)


async def test_a_market_that_was_old_when_it_was_taken_is_as_old_as_it_is(clock: HandClock) -> None:
    """A minute after the last word orders are refused, also where the follower only just came."""
    pair = await paired(clock)
    await pair.source.push([quote("100", "101")])
    await clock.advance(61)
    await pair.paper.connect(NEW)
    outcome = await pair.paper.place_order(order("BTC/USDT", 1, "1"))
    assert isinstance(outcome, Rejected)
    assert "no market data since 2027-01-15T08:00:00.000+00:00" in outcome.message
    await pair.source.push([quote("100", "101")])
    assert fills(await pair.paper.place_order(order("BTC/USDT", 1, "1"))) == [("101", "1")]
    await pair.paper.close()


async def test_what_cannot_be_is_a_gap(clock: HandClock) -> None:
    """Nothing fills on it, and the next good quote is a market."""
    pair = await paired(clock)
    source = Teller(pair.source)
    pair.paper.follow(lambda _: MarketSource(source, lambda: None))  # type: ignore[arg-type]
    await pair.paper.connect(NEW)
    for bid, ask in (("101", "100"), ("NaN", "100"), ("-1", "100"), ("Infinity", "100")):
        source.tell("100", "101")
        await settle()
        assert pair.paper.quote("BTC/USDT") is not None
        source.tell(bid, ask)
        outcome = await pair.paper.place_order(order("BTC/USDT", 1, "1"))
        assert isinstance(outcome, Rejected)
        assert outcome.reason is ErrorReason.STALE_MARKET_DATA
    source.tell("100.3", "100.7", "2.37")
    await settle()
    view = pair.paper.quote("BTC/USDT")
    assert view is not None
    assert (view.bid_price, view.ask_price, view.ask_quantity) == (Decimal(100), Decimal(101), Decimal("2.3"))
    await pair.paper.close()


class Teller:
    """A broker with quotes alone, which may be anything."""

    def __init__(self, real: PaperTradingBroker) -> None:
        self.capabilities = replace(real.capabilities, streams_book=False)
        self.list_instruments = real.list_instruments
        self._quote: QuoteView | None = None
        self._listener: object = None

    def quote(self, symbol: str) -> QuoteView | None:
        return self._quote if symbol == "BTC/USDT" else None

    def subscribe_market_data(self, symbols: object, listener: object) -> object:
        self._listener = listener
        return lambda: None

    def tell(self, bid: str, ask: str, size: str = "5") -> None:
        self._quote = QuoteView(
            "BTC/USDT", Decimal(bid), Decimal(size), Decimal(ask), Decimal(size), WALL_NS, WALL_NS
        )
        self._listener(self._quote)  # type: ignore[operator]


async def test_nobody_pushes_to_a_follower(clock: HandClock) -> None:
    """Its market is the other's."""
    pair = await paired(clock)
    await pair.paper.connect(NEW)
    with pytest.raises(GatewayError, match="not pushed") as refused:
        await pair.paper.push([PushedUpdate(quote("1", "2").datum)])
    assert refused.value.reason is ErrorReason.WRONG_FEED
    await pair.paper.close()


def test_who_is_followed_comes_first(clock: HandClock, tmp_path: Path) -> None:
    """Whatever the order in the configuration."""

    path = tmp_path / "config.yaml"
    path.write_text(
        "accounts:\n"
        "  c: {broker: paper, paper: {feed: {account: b}}}\n"
        "  b: {broker: paper, paper: {feed: {account: a}}}\n"
        "  x: {broker: paper}\n"
        "  a: {broker: paper}\n"
    )
    accounts = load_config([path], brokers=BROKERS, environment={}).accounts
    assert market_order(accounts) == ["a", "b", "c", "x"]
    assert isinstance(create_broker(accounts["c"], broker_context(clock)), PaperTradingBroker)


@pytest.mark.parametrize(
    ("followed", "says"),
    [
        ("y", "('y') is not an account; write one of: b, c"),
        ("x", "('x') follows itself: x → x; give one of them a market of its own"),
        ("b", "('b') follows itself: x → b → c → x"),
    ],
)
def test_a_circle_and_an_unknown_account_are_refused(tmp_path: Path, followed: str, says: str) -> None:
    """Before anything is started, with the line and the way out."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "accounts:\n"
        f"  x: {{broker: paper, paper: {{feed: {{account: {followed}}}}}}}\n"
        "  b: {broker: paper, paper: {feed: {account: c}}}\n"
        "  c: {broker: paper, paper: {feed: {account: x}}}\n"
    )
    with pytest.raises(ConfigError) as refused:
        load_config([path], brokers=BROKERS, environment={})
    assert f"{path}:2: accounts.x.paper.feed.account {says}" in str(refused.value)
