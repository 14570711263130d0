"""Market data as the port shows it: who listens, what is wanted, and what is stale."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.adapters.connection import hub as hubs
from brokergate.adapters.connection.hub import LINGER_NS, MarketDataHub
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.market import BookChanged, BookView, MarketDatum, QuoteView, TradeView
from brokergate.domain.orders import OrderSpec, OrderType, Side
from tests.unit.adapters.paper.hand_clock import HandClock


def quote(symbol: str = "BTC/USDT", bid: str = "100") -> QuoteView:
    return QuoteView(symbol, Decimal(bid), Decimal(1), Decimal(101), Decimal(1), 1, 2)


def trade(price: str) -> TradeView:
    return TradeView("BTC/USDT", Decimal(price), Decimal(1), Side.BUY, 1, 2)


class Watched:
    """A hub, and how often what is wanted changed."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.changes: list[frozenset[str]] = []
        self.hub = MarketDataHub(self.clock, self._changed)

    def _changed(self) -> None:
        self.changes.append(self.hub.wanted)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_symbol_is_wanted_while_somebody_listens(watched: Watched) -> None:
    """It is counted: the second listener asks for nothing more, and only the last one's leaving ends it."""
    ends = [watched.hub.subscribe_market_data(["A", "B", "A"], lambda _: None) for _ in range(2)]
    third = watched.hub.subscribe_market_data(["C"], lambda _: None)
    ends[0]()
    ends[0]()
    assert watched.hub.wanted == {"A", "B", "C"}
    ends[1]()
    third()
    assert watched.changes == [{"A", "B"}, {"A", "B", "C"}, {"C"}, set()]


def test_a_listener_hears_each_datum_once_and_in_order(watched: Watched) -> None:
    heard: list[MarketDatum] = []
    end = watched.hub.subscribe_market_data(["BTC/USDT", "BTC/USDT"], heard.append)
    told = [quote(), trade("100.5"), quote(bid="99")]
    for datum in told:
        (watched.hub.on_trade if isinstance(datum, TradeView) else watched.hub.on_quote)(datum)  # type: ignore[arg-type]
    watched.hub.on_quote(quote("ETH/USDT"))
    watched.hub.on_book("BTC/USDT", 7, lambda depth: None)
    end()
    watched.hub.on_quote(quote())
    assert heard == [told[0], told[1], heard[2], BookChanged("BTC/USDT", 7)]
    assert isinstance(heard[2], QuoteView)
    assert heard[2].bid_price == Decimal(99)


def test_a_listener_that_leaves_while_it_is_told_disturbs_nobody(watched: Watched) -> None:
    heard: list[str] = []

    def leave(datum: MarketDatum) -> None:
        heard.append("first")
        end()

    end = watched.hub.subscribe_market_data(["BTC/USDT"], leave)
    watched.hub.subscribe_market_data(["BTC/USDT"], lambda _: heard.append("second"))
    watched.hub.on_quote(quote())
    watched.hub.on_quote(quote())
    assert heard == ["first", "second", "second"]


def test_who_asks_for_a_quote_makes_it_wanted(watched: Watched) -> None:
    """The first question finds nothing; asked for no more, it is let go of."""
    hub, clock = watched.hub, watched.clock
    assert hub.quote("BTC/USDT") is None
    assert hub.wanted == {"BTC/USDT"}
    hub.on_quote(quote())
    assert hub.quote("BTC/USDT") == quote()
    clock._elapsed_ns += LINGER_NS - 1
    hub.sweep()
    assert hub.wanted == {"BTC/USDT"}
    clock._elapsed_ns += 1
    hub.sweep()
    assert watched.changes == [{"BTC/USDT"}, set()]
    assert (hub.last_quote("BTC/USDT"), hub.live("BTC/USDT")) == (quote(), False)


def test_questions_want_so_many_symbols_and_no_more(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who asks for all ten thousand does not subscribe to them; what is listened to is not let go of."""
    monkeypatch.setattr(hubs, "MAX_ASKED", 2)
    watched.hub.subscribe_market_data(["A"], lambda _: None)
    for symbol in ("A", "B", "C", "B", "D"):
        watched.hub.quote(symbol)
    assert watched.hub.wanted == {"A", "B", "D"}


def test_the_last_trade_is_in_the_quotes_that_follow(watched: Watched) -> None:
    watched.hub.on_quote(quote())
    watched.hub.on_trade(trade("100.5"))
    found = watched.hub.quote("BTC/USDT")
    assert found is not None
    assert found.last_price == Decimal("100.5")
    watched.hub.on_quote(quote(bid="99"))
    found = watched.hub.quote("BTC/USDT")
    assert found is not None
    assert (found.bid_price, found.last_price) == (Decimal(99), Decimal("100.5"))


def test_what_the_stream_no_longer_tells_is_stale(watched: Watched) -> None:
    """It is still shown, and no order is measured by it; the next quote is a fresh one."""
    hub = watched.hub
    hub.on_quote(quote())
    hub.on_book("BTC/USDT", 1, lambda depth: BookView("BTC/USDT", (), (), 1, 2))
    assert hub.book("BTC/USDT", 5) == BookView("BTC/USDT", (), (), 1, 2)
    assert (hub.last_quote("BTC/USDT"), hub.live("BTC/USDT")) == (quote(), True)
    hub.lost()
    assert (hub.quote("BTC/USDT"), hub.book("BTC/USDT", 5)) == (None, None)
    assert (hub.last_quote("BTC/USDT"), hub.live("BTC/USDT")) == (quote(), False)
    hub.on_quote(quote(bid="99"))
    assert hub.quote("BTC/USDT") == quote(bid="99")
    assert hub.book("BTC/USDT", 5) is None


def test_an_old_quote_is_told_and_shown_and_not_traded_by(watched: Watched) -> None:
    """As a delayed one is. It takes the place of a fresh one that there was."""
    heard: list[MarketDatum] = []
    watched.hub.subscribe_market_data(["BTC/USDT"], heard.append)
    watched.hub.on_quote(quote())
    watched.hub.on_quote(quote(bid="99"), live=False)
    assert heard == [quote(), quote(bid="99")]
    assert watched.hub.quote("BTC/USDT") is None
    assert watched.hub.last_quote("BTC/USDT") == quote(bid="99")


def test_one_symbol_alone_may_be_lost(watched: Watched) -> None:
    """A book that missed an update is gone until it is joined again; the others are as they were."""
    watched.hub.on_quote(quote())
    watched.hub.on_quote(quote("ETH/USDT"))
    watched.hub.lost(["BTC/USDT"])
    assert watched.hub.quote("BTC/USDT") is None
    assert watched.hub.quote("ETH/USDT") is not None


def test_an_amount_comes_to_what_the_market_gives_for_it(watched: Watched) -> None:
    """A purchase meets the offer, a sale the bid; whole lots, and one at least."""
    watched.hub.on_quote(quote())
    tenths = Instrument("BTC/USDT", "", InstrumentKind.SPOT, "BTC", "USDT", Decimal("0.01"), Decimal("0.1"))

    def counted(side: Side, amount: str) -> Decimal:
        spec = OrderSpec("BTC/USDT", side, OrderType.MARKET, quote_quantity=Decimal(amount))
        return watched.hub.quantity_for(spec, tenths)

    assert counted(Side.BUY, "101") == Decimal(1)
    assert counted(Side.SELL, "250") == Decimal("2.5")
    assert counted(Side.BUY, "300") == Decimal("2.9")
    assert counted(Side.SELL, "0.01") == Decimal("0.1")
    watched.hub.lost()
    with pytest.raises(GatewayError, match="no price") as refused:
        counted(Side.BUY, "101")
    assert refused.value.reason is ErrorReason.NO_REFERENCE_PRICE
    assert refused.value.retry_after_ms
