"""Market data: ticks, the lines that a login has, and the quotes and trades of an account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from brokergate.adapters.ibkr.contracts import Contracts, IbContract, listed
from brokergate.adapters.ibkr.frames import DataTypeShown, ErrorShown, Frame, TickShown, TimeShown
from brokergate.adapters.ibkr.lines import MarketLines
from brokergate.adapters.ibkr.market import SWEEP_S, Market
from brokergate.adapters.ibkr.ticks import DELAYED, FROZEN, LIVE, News, Ticks
from brokergate.domain.errors import NotSent
from brokergate.domain.market import MarketDatum, QuoteView, TradeView
from brokergate.resilience.lanes import Lane
from tests.unit.adapters.ibkr.shapes import AAPL, corn, details, share
from tests.unit.adapters.paper.hand_clock import WALL_NS, HandClock, settle

D = Decimal
BID_SIZE, BID, ASK, ASK_SIZE, LAST, LAST_SIZE = range(6)


class Wire:
    """A connection that writes down what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.gone = False
        self._next = 100

    def take_id(self) -> int:
        self._next += 1
        return self._next

    async def turn(self, lane: Lane, what: str, *, patient: bool = False) -> None:
        assert lane is Lane.QUERY
        assert patient
        if self.gone:
            raise NotSent("there is no connection to TWS")

    def subscribe(self, request_id: int, contract: IbContract) -> None:
        self.sent.append(("subscribe", request_id, contract.symbol))

    def send(self, request: str, *arguments: object) -> None:
        self.sent.append((request, *arguments))

    def id_of(self, symbol: str) -> int:
        """The latest request for a symbol."""
        return next(
            int(sent[1]) for sent in reversed(self.sent) if sent[0] == "subscribe" and sent[2] == symbol
        )


class Venue:
    """Lines of a wire, and accounts on them."""

    def __init__(self, limit: int = 100, data_type: int = 1) -> None:
        self.wire = Wire()
        self.lines = MarketLines(self.wire, limit, data_type)
        self.clock = HandClock()
        self.log: list[tuple[str, Any]] = []
        self.markets: list[Market] = []

    def account(self, *symbols: str) -> Market:
        """An account that has AAPL, corn, and `symbols`."""
        contracts = Contracts()
        others = [
            listed(symbol, details(replace(AAPL, con_id=number, symbol=symbol)))
            for number, symbol in enumerate(symbols, 1)
        ]
        contracts.put([share(), corn(), *others])
        market = Market(
            self.lines, contracts, self.clock, lambda event, **more: self.log.append((event, more))
        )
        market.start()
        self.markets.append(market)
        return market

    def hear(self, symbol: str, kind: int, price: str | None, size: str | None) -> None:
        """TWS tells a tick."""
        self.tell(
            TickShown(
                self.wire.id_of(symbol),
                kind,
                None if price is None else D(price),
                None if size is None else D(size),
            )
        )

    def tell(self, frame: Frame) -> None:
        assert self.lines.hear(frame)


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    made = Venue()
    yield made
    for market in made.markets:
        await market.close()


# Ticks


def test_a_side_has_its_price_and_its_size() -> None:
    ticks = Ticks()
    assert ticks.take(BID, D("99.5"), D(300)) is News.QUOTE
    assert ticks.take(BID_SIZE, None, D(300)) is News.NOTHING
    assert ticks.take(BID_SIZE, None, D(200)) is News.QUOTE
    assert ticks.take(ASK_SIZE, None, D(5)) is News.NOTHING
    assert (ticks.bid, ticks.bid_size, ticks.ask, ticks.ask_size) == (D("99.5"), D(200), None, None)


@pytest.mark.parametrize(("price", "size"), [("-1", "0"), ("-1", None), ("0", "0")])
def test_what_is_not_there_is_no_price(price: str, size: str | None) -> None:
    ticks = Ticks(bid=D(5), bid_size=D(1))
    assert ticks.take(BID, D(price), None if size is None else D(size)) is News.QUOTE
    assert (ticks.bid, ticks.bid_size) == (None, None)


def test_a_size_below_nothing_is_none() -> None:
    ticks = Ticks()
    ticks.take(BID, D("99.5"), D(-1))
    ticks.take(ASK, D("99.6"), D(7))
    ticks.take(ASK_SIZE, None, D(-1))
    assert (ticks.bid, ticks.bid_size, ticks.ask, ticks.ask_size) == (D("99.5"), None, D("99.6"), None)


def test_the_first_last_price_is_no_trade_and_the_next_are() -> None:
    ticks = Ticks()
    assert ticks.take(LAST, D(100), D(10)) is News.QUOTE
    assert ticks.take(LAST_SIZE, None, D(10)) is News.NOTHING
    assert ticks.take(LAST, D(101), D(20)) is News.TRADE
    assert ticks.take(LAST_SIZE, None, D(20)) is News.NOTHING
    assert ticks.take(LAST_SIZE, None, D(30)) is News.TRADE
    assert ticks.take(LAST, D(-1), D(0)) is News.NOTHING
    assert (ticks.last, ticks.last_size) == (D(101), D(30))


@pytest.mark.parametrize(("kind", "live"), [(66, BID), (67, ASK)])
def test_delayed_ticks_are_told_by_their_kind(kind: int, live: int) -> None:
    delayed, present = Ticks(), Ticks()
    delayed.take(kind, D(5), D(1))
    present.take(live, D(5), D(1))
    assert (delayed.bid, delayed.ask) == (present.bid, present.ask)
    assert (delayed.delayed, delayed.live) == (True, False)
    assert (present.delayed, present.live) == (False, True)


# An account's market


async def test_who_asks_gets_a_line_and_the_next_question_the_quote(venue: Venue) -> None:
    market = venue.account()
    assert market.quote("AAPL") is None
    await settle()
    assert venue.wire.sent == [("subscribe", 101, "AAPL")]
    venue.hear("AAPL", BID, "99.98", "300")
    venue.hear("AAPL", ASK, "100.02", "100")
    venue.hear("AAPL", LAST, "100", "50")
    quote = market.quote("AAPL")
    assert quote == QuoteView(
        "AAPL", D("99.98"), D(300), D("100.02"), D(100), WALL_NS, WALL_NS, last_price=D(100)
    )


async def test_prices_are_ours(venue: Venue) -> None:
    market = venue.account()
    heard: list[MarketDatum] = []
    market.subscribe(["ZCZ6"], heard.append)
    await settle()
    venue.hear("ZC", BID, "445.25", "16")
    venue.hear("ZC", LAST, "445", "1")
    venue.hear("ZC", LAST, "445.25", "3")
    quote, _, trade = heard
    assert isinstance(quote, QuoteView)
    assert isinstance(trade, TradeView)
    assert (quote.bid_price, trade.price, trade.quantity) == (D("4.4525"), D("4.4525"), D(3))


async def test_what_nobody_listens_to_any_more_is_ended(venue: Venue) -> None:
    market = venue.account()
    end = market.subscribe(["AAPL"], lambda _: None)
    await settle()
    venue.hear("AAPL", BID, "1", "1")
    end()
    await settle()
    assert venue.wire.sent == [("subscribe", 101, "AAPL"), ("cancelMktData", 101)]
    venue.tell(TickShown(101, BID, D(2), D(2)))
    last = market.last_quote("AAPL")
    assert last is not None
    assert last.bid_price == D(1)


async def test_delayed_data_is_marked_and_orders_are_not_measured_by_it() -> None:
    venue = Venue(data_type=DELAYED)
    market = venue.account()
    heard: list[Any] = []
    market.subscribe(["AAPL"], heard.append)
    await settle()
    assert venue.wire.sent == [("reqMarketDataType", 3), ("subscribe", 101, "AAPL")]
    venue.tell(DataTypeShown(101, DELAYED))
    venue.tell(TickShown(101, 88, text="1799999100"))
    venue.hear("AAPL", 66, "99", "1")
    venue.hear("AAPL", 68, "99", "1")
    venue.hear("AAPL", 68, "99.5", "1")
    assert [each.delayed for each in heard] == [True, True, True]
    assert {each.event_time_ns for each in heard} == {1_799_999_100_000_000_000}
    assert market.quote("AAPL") is None
    assert market.last_quote("AAPL") is not None
    assert "its market data is delayed, and nothing is measured by it" in market.problem_with("AAPL")
    await market.close()


async def test_a_frozen_market_is_shown_and_not_traded_by(venue: Venue) -> None:
    market = venue.account()
    market.quote("AAPL")
    await settle()
    venue.hear("AAPL", BID, "99", "1")
    assert market.quote("AAPL") is not None
    venue.tell(DataTypeShown(venue.wire.id_of("AAPL"), FROZEN))
    assert market.quote("AAPL") is None
    last = market.last_quote("AAPL")
    assert last is not None
    assert not last.delayed
    assert "its market is closed" in market.problem_with("AAPL")
    venue.tell(DataTypeShown(venue.wire.id_of("AAPL"), LIVE))
    assert market.problem_with("AAPL") == ""


async def test_while_a_market_data_farm_is_away_its_quotes_are_old(venue: Venue) -> None:
    """Until all that went are back; a line that is taken meanwhile is told of it too."""
    market = venue.account("MSFT")
    market.quote("AAPL")
    await settle()
    venue.hear("AAPL", BID, "99", "1")
    for farm in ("usfarm", "eufarm"):
        assert not venue.lines.hear(ErrorShown(-1, 2103, f"Market data farm connection is broken:{farm}"))
    market.quote("MSFT")
    await settle()
    venue.hear("MSFT", BID, "5", "1")
    assert (market.quote("AAPL"), market.quote("MSFT")) == (None, None)
    assert "farm is away" in market.problem_with("AAPL")
    venue.lines.hear(ErrorShown(-1, 2104, "Market data farm connection is OK:usfarm"))
    assert market.quote("AAPL") is None
    venue.lines.hear(ErrorShown(-1, 2104, "Market data farm connection is OK:eufarm"))
    assert market.quote("AAPL") is not None
    assert market.quote("MSFT") is not None
    assert market.problem_with("AAPL") == ""


async def test_what_is_not_subscribed_to_is_one_clear_word_and_leaves_the_others(venue: Venue) -> None:
    market = venue.account("MSFT")
    market.subscribe(["AAPL", "MSFT"], lambda _: None)
    await settle()
    refused = venue.wire.id_of("AAPL")
    venue.tell(ErrorShown(refused, 354, "Requested market data is not subscribed."))
    venue.hear("MSFT", BID, "5", "1")
    (event,) = venue.log
    assert event[0] == "no market data"
    assert "354: Requested market data is not subscribed.; subscribe to it" in event[1]["reason"]
    assert market.problems == {"AAPL": event[1]["reason"]}
    assert market.quote("MSFT") is not None
    market.quote("ZCZ6")
    await settle()
    assert venue.wire.id_of("AAPL") == refused, (
        "what was refused a moment ago is not asked for with every wish"
    )
    await venue.clock.advance(SWEEP_S)
    assert venue.wire.id_of("AAPL") != refused
    venue.tell(ErrorShown(venue.wire.id_of("AAPL"), 354, "Requested market data is not subscribed."))
    assert len(venue.log) == 1
    await venue.clock.advance(SWEEP_S)
    venue.hear("AAPL", BID, "5", "1")
    assert market.problems == {}


async def test_a_competing_session_has_its_own_way_out(venue: Venue) -> None:
    market = venue.account()
    market.quote("AAPL")
    await settle()
    venue.tell(ErrorShown(101, 10197, "No market data during competing live session"))
    assert "another session of this login has its market data; end that one" in market.problems["AAPL"]


async def test_a_note_about_a_line_leaves_it(venue: Venue) -> None:
    market = venue.account()
    market.quote("AAPL")
    await settle()
    venue.tell(ErrorShown(101, 10167, "Displaying delayed market data."))
    venue.hear("AAPL", BID, "5", "1")
    assert market.problems == {}
    assert not venue.lines.hear(ErrorShown(55, 201, "Order rejected"))
    assert not venue.lines.hear(TimeShown(1))


async def test_no_more_lines_than_the_login_has() -> None:
    """Who listens has them before who only asked, and what is given back is taken."""
    venue = Venue(limit=2)
    market = venue.account("A", "B", "C")
    market.quote("A")
    await settle()
    ends = [market.subscribe([symbol], lambda _: None) for symbol in ("B", "C", "AAPL")]
    await settle()
    subscribed = [sent[2] for sent in venue.wire.sent if sent[0] == "subscribe"]
    assert subscribed == ["A", "AAPL", "B"]
    assert ("cancelMktData", 101) in venue.wire.sent
    assert len(venue.lines) == 2
    assert "all 2 market data lines are in use" in market.problems["C"]
    ends[0]()
    await settle()
    assert venue.wire.sent[-2:] == [("cancelMktData", venue.wire.id_of("B")), ("subscribe", 104, "C")]
    await market.close()


async def test_the_venues_word_on_the_limit_is_taken() -> None:
    venue = Venue(limit=5)
    market = venue.account("A", "B", "C")
    for symbol in ("A", "B", "C"):
        market.subscribe([symbol], lambda _: None)
    await settle()
    venue.tell(ErrorShown(venue.wire.id_of("C"), 101, "Max number of tickers has been reached"))
    assert (venue.lines.limit, len(venue.lines)) == (2, 2)
    assert "set `market_data_lines`" in market.problems["C"]
    await market.close()


async def test_accounts_of_one_login_share_a_line(venue: Venue) -> None:
    one, other = venue.account(), venue.account()
    end = one.subscribe(["AAPL"], lambda _: None)
    await settle()
    venue.hear("AAPL", BID, "5", "1")
    other.quote("AAPL")
    await settle()
    assert venue.wire.sent == [("subscribe", 101, "AAPL")]
    assert other.quote("AAPL") is not None
    end()
    await settle()
    venue.hear("AAPL", BID, "6", "1")
    quote = other.quote("AAPL")
    assert quote is not None
    assert quote.bid_price == D(6)
    await other.close()
    assert venue.wire.sent == [("subscribe", 101, "AAPL")]


async def test_a_line_that_nobody_uses_gives_way() -> None:
    venue = Venue(limit=1)
    one, other = venue.account("A"), venue.account("B")
    one.quote("A")
    await settle()
    await one.close()
    other.quote("B")
    await settle()
    # `B` of the other account is the same contract as `A` of the first.
    assert venue.wire.sent == [("subscribe", 101, "A")]
    other.subscribe(["AAPL"], lambda _: None)
    await settle()
    assert venue.wire.sent[1:] == [("cancelMktData", 101), ("subscribe", 102, "AAPL")]
    await other.close()


async def test_two_accounts_that_want_one_line_at_once_get_one() -> None:
    """Also where the connection goes before it is asked for: both ask anew when there is another."""
    venue = Venue(limit=1)
    before, one, other = venue.account("A"), venue.account(), venue.account()
    before.quote("A")
    await settle()
    await before.close()
    one.subscribe(["AAPL"], lambda _: None)
    other.subscribe(["AAPL"], lambda _: None)
    await settle()
    assert [sent[0] for sent in venue.wire.sent] == ["subscribe", "cancelMktData", "subscribe"]
    venue.wire.gone = True
    venue.lines.lost()
    for market in (one, other):
        market.start()
    await settle()
    assert len(venue.lines) == 0
    venue.wire.gone = False
    for market in (one, other):
        market.start()
    await settle()
    venue.hear("AAPL", BID, "5", "1")
    assert one.quote("AAPL") is not None
    assert other.quote("AAPL") is not None
    assert len(venue.wire.sent) == 4
    for market in (one, other):
        await market.close()


async def test_after_a_loss_everything_is_asked_for_anew(venue: Venue) -> None:
    market = venue.account()
    market.subscribe(["AAPL"], lambda _: None)
    await settle()
    venue.hear("AAPL", BID, "5", "1")
    venue.wire.gone = True
    venue.lines.lost()
    await settle()
    assert market.quote("AAPL") is None
    assert market.last_quote("AAPL") is not None
    assert (market.problems, venue.log) == ({}, [])
    venue.wire.gone = False
    market.start()
    await settle()
    assert venue.wire.sent == [("subscribe", 101, "AAPL"), ("subscribe", venue.wire.id_of("AAPL"), "AAPL")]
    venue.hear("AAPL", BID, "6", "1")
    assert market.quote("AAPL") is not None
