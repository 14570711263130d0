"""Contracts, accounts and market data of an emulated TWS, over the library: what is told becomes the gateway's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from brokergate.adapters.ibkr.accounts import account_info, balances, position
from brokergate.adapters.ibkr.contracts import IbContract, wanted
from brokergate.adapters.ibkr.frames import Frame
from brokergate.adapters.ibkr.line import Line, LineSettings
from brokergate.adapters.ibkr.listing import Listing
from brokergate.adapters.ibkr.market import Market
from brokergate.domain.errors import BrokerError
from brokergate.domain.market import MarketDatum, QuoteView, TradeView
from brokergate.ports.clock import SystemClock
from tests.emulators.client import Emulator
from tests.unit.adapters.ibkr.house import FIRST, SECOND, emulator

D = Decimal
PATIENCE_S = 20.0
LONDON = replace(wanted("VOD"), primary_exchange="LSE", currency="GBP")
OPTION = "AAPL261218C00200000"
SYMBOLS = ("AAPL", "EUR/USD", "ESZ6", OPTION, "BTC/USD", "TWIN", "APPL")


@pytest.fixture
async def tws() -> AsyncIterator[Emulator]:
    """The emulator as it is at its beginning."""
    venue = emulator()
    await venue.reset()
    yield venue
    await venue.reset()


class Member:
    """Nobody in particular."""

    def hear(self, frame: Frame) -> None:
        pass

    def lost(self, error: BrokerError) -> None:
        pass


class Login:
    """A connection to a TWS, the instruments of an account, and its market."""

    def __init__(self, venue: Emulator, **settings: Any) -> None:
        self.venue = venue
        self.log: list[tuple[str, Any]] = []
        clock = SystemClock()
        made = LineSettings(
            host="127.0.0.1",
            port=venue.port,
            client_id=7,
            messages_per_second=45,
            time_zone="America/New_York",
            timeout_s=10.0,
            quiet_s=30.0,
            probe_timeout_s=5.0,
            **settings,
        )
        self.line = Line(made, clock, lambda event, **more: self.log.append((event, more)))
        self.listing = Listing(self.line.ask, clock, SYMBOLS, {"VOD.L": LONDON}, lambda *_, **__: None)
        self.market = Market(
            self.line.market,
            self.listing.contracts,
            clock,
            lambda event, **more: self.log.append((event, more)),
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits for what is to come."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110 - it is another process that makes it hold
                await asyncio.sleep(0.01)


@asynccontextmanager
async def logged_in(venue: Emulator, **settings: Any) -> AsyncIterator[Login]:
    """Connected, listed, and following the market."""
    login, member = Login(venue, **settings), Member()
    await login.line.join(member)
    try:
        await login.listing.load()
        login.market.start()
        yield login
    finally:
        await login.market.close()
        await login.line.leave(member)


@pytest.fixture
async def login(tws: Emulator) -> AsyncIterator[Login]:
    async with logged_in(tws) as made:
        yield made


@pytest.mark.parametrize("version", ["157", "176", "178"])
def test_every_kind_of_contract_at_every_version(version: str) -> None:
    async def listed() -> Login:
        async with logged_in(venue) as login:
            return login

    venue = Emulator.start("tws", "--server-version", version)
    try:
        found = asyncio.run(listed()).listing
    finally:
        venue.close()
    instruments = {each.symbol: each for each in found.contracts.instruments()}
    assert set(instruments) == {"AAPL", "EUR/USD", "ESZ6", OPTION, "BTC/USD", "VOD.L"}
    assert instruments["AAPL"].price_increment == D("0.01")
    assert instruments["ESZ6"].multiplier == D(50)
    assert instruments["ESZ6"].price_increment == D("0.25")
    assert instruments["EUR/USD"].price_increment == D("0.00005")
    assert instruments[OPTION].multiplier == D(100)
    assert instruments["BTC/USD"].quantity_increment == D("0.00000001")
    option, london = found.contracts.get(OPTION), found.contracts.get("VOD.L")
    assert option is not None
    assert [option.tick_at(D(price)) for price in ("2.99", "3")] == [D("0.01"), D("0.05")]
    assert london is not None
    assert (london.magnifier, london.instrument.price_increment) == (D(100), D("0.0002"))
    assert london.instrument.quote_currency == "GBP"
    assert "stands for 2 contracts" in found.unresolved["TWIN"]
    assert "NASDAQ USD conId 900001" in found.unresolved["TWIN"]
    assert "ARCA USD conId 900002" in found.unresolved["TWIN"]
    assert "knows no contract for 'APPL'" in found.unresolved["APPL"]


async def test_a_contract_by_its_number_alone(login: Login) -> None:
    found = await login.line.ask.contract_details(IbContract(con_id=900002))
    assert [each.contract.primary_exchange for each in found] == ["ARCA"]


async def test_an_account_of_the_login(login: Login) -> None:
    await login.venue.deposit("EUR", "500.25")
    assert login.line.accounts == (FIRST, SECOND)
    told = await login.line.ask.account_values(FIRST)
    found = {each.currency: each.total for each in balances(told, 1)}
    assert (found["USD"], found["EUR"]) == (D(1_000_000), D("500.25"))
    info = account_info(told, 1)
    assert info.base_currency == "USD"
    assert info.equity is not None
    assert info.equity > info.cash - 1
    other = balances(await login.line.ask.account_values(SECOND), 1)
    assert [(each.currency, each.total) for each in other] == [("USD", D(1_000_000))]


async def test_positions_cost_what_was_paid(login: Login) -> None:
    await login.venue.show("VOD.LSE", [("0.7000", 1000)], [("0.7002", 1000)])
    await login.venue.add_fill("VOD.LSE", "buy", 100, "0.7000")
    await login.venue.add_fill("ESZ6", "sell", 2, "6000")
    told = await login.line.ask.positions()
    found = {
        each.symbol: each
        for each in (position(shown, login.listing.contracts, 1) for shown in told if shown.account == FIRST)
    }
    london, future = found["VOD.L"], found["ESZ6"]
    assert (london.quantity, london.quote_currency) == (D(100), "GBP")
    assert D(70) <= london.cost < D(80), "in pounds, with the commission"
    assert (future.quantity, future.multiplier) == (D(-2), D(50))
    assert D(-600_000) <= future.cost < D(-599_900)


async def test_quotes_and_trades_are_streamed(login: Login) -> None:
    heard: list[MarketDatum] = []
    end = login.market.subscribe(["AAPL", "VOD.L"], heard.append)
    await login.until(lambda: login.market.quote("AAPL") is not None)
    await login.venue.show("AAPL", [("190.01", 300)], [("190.05", 200)])
    await login.venue.show("VOD.LSE", [("0.7000", 1000)], [("0.7002", 1000)])

    def quoted(symbol: str, bid: str, ask: str) -> bool:
        quote = login.market.quote(symbol)
        return quote is not None and (quote.bid_price, quote.ask_price) == (D(bid), D(ask))

    await login.until(lambda: quoted("AAPL", "190.01", "190.05") and quoted("VOD.L", "0.7", "0.7002"))
    for price in ("190.02", "190.03"):
        await login.venue.trade("AAPL", price, 50)
    await login.until(lambda: any(isinstance(each, TradeView) for each in heard))
    last = [each for each in heard if isinstance(each, TradeView)][-1]
    assert (last.symbol, last.price, last.quantity, last.delayed) == ("AAPL", D("190.03"), D(50), False)
    end()


async def test_a_farm_that_is_away_makes_quotes_old(login: Login) -> None:
    login.market.subscribe(["AAPL"], lambda _: None)
    await login.until(lambda: login.market.quote("AAPL") is not None)
    await login.venue.ask("message", code=2103, text="Market data farm connection is broken:usfarm")
    await login.until(lambda: login.market.quote("AAPL") is None)
    await login.venue.ask("message", code=2104, text="Market data farm connection is OK:usfarm")
    await login.until(lambda: login.market.quote("AAPL") is not None)
    assert login.line.connected


async def test_what_is_not_subscribed_to_leaves_the_rest(login: Login) -> None:
    await login.venue.fault("no_market_data", on="AAPL")
    login.market.subscribe(["AAPL", "ESZ6"], lambda _: None)
    await login.until(lambda: "AAPL" in login.market.problems and login.market.quote("ESZ6") is not None)
    assert "354" in login.market.problems["AAPL"]
    assert "subscribe to it in IB's Client Portal" in login.market.problems["AAPL"]
    assert [more["symbol"] for event, more in login.log if event == "no market data"] == ["AAPL"]


async def test_delayed_market_data_is_marked(tws: Emulator) -> None:
    await tws.fault("no_market_data", on="AAPL")
    heard: list[Any] = []
    async with logged_in(tws, market_data_type=3) as login:
        login.market.subscribe(["AAPL", "ESZ6"], heard.append)
        await login.until(lambda: {each.symbol for each in heard} == {"AAPL", "ESZ6"})
        delayed = {each.symbol: each.delayed for each in heard if isinstance(each, QuoteView)}
        assert delayed == {"AAPL": True, "ESZ6": False}
        assert login.market.quote("AAPL") is None
        assert login.market.last_quote("AAPL") is not None
        assert login.market.problems == {}


async def test_the_logins_lines_are_not_exceeded(tws: Emulator) -> None:
    async with logged_in(tws, market_data_lines=2) as login:
        login.market.subscribe(["AAPL", "ESZ6", "EUR/USD"], lambda _: None)
        await login.until(lambda: bool(login.market.problems))
        assert list(login.market.problems) == ["EUR/USD"]
        assert "all 2 market data lines are in use" in login.market.problems["EUR/USD"]
    asked = [entry for entry in await tws.log() if "reqMktData" in str(entry)]
    assert len(asked) == 2
