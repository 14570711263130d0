"""The public stream comes back by itself, subscribes again, and takes nobody with it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from brokergate.adapters.connection.errors import NotSent
from brokergate.adapters.connection.hub import LINGER_NS, MarketDataHub
from brokergate.adapters.connection.public import LAST_WAIT_S, PublicStream
from brokergate.adapters.connection.stream import StreamClient, StreamSettings
from brokergate.domain.errors import TemporaryConnectionError
from brokergate.domain.market import QuoteView
from tests.unit.adapters.connection.wires import Venue, listen, venue
from tests.unit.adapters.paper.hand_clock import HandClock

SETTINGS = StreamSettings(connect_timeout_s=1, close_timeout_s=0.2)


class Line:
    """A venue's public protocol: a frame is a symbol, and stands for a quote of it."""

    def __init__(self, server: Venue, hub: MarketDataHub, clock: HandClock) -> None:
        self.server = server
        self.reachable = True
        self.opened: list[float] = []
        self.asked: list[tuple[str, ...]] = []
        self._hub = hub
        self._clock = clock

    async def open(self) -> StreamClient:
        self.opened.append(self._clock.monotonic_ns() / 1e9)
        if not self.reachable:
            raise NotSent("no stream")
        return await StreamClient.connect(self.server.url, clock=self._clock, settings=SETTINGS)

    async def subscribe(self, stream: StreamClient, symbols: frozenset[str]) -> None:
        self.asked.append(("+", *sorted(symbols)))

    async def unsubscribe(self, stream: StreamClient, symbols: frozenset[str]) -> None:
        self.asked.append(("-", *sorted(symbols)))

    def take(self, frame: str | bytes) -> None:
        if frame == "odd":
            raise ValueError("does not parse")
        if frame == "useless":
            raise TemporaryConnectionError("the venue says that this stream is of no more use")
        if frame == "mistake":
            raise KeyError(frame)
        self._hub.on_quote(QuoteView(str(frame), Decimal(1), Decimal(1), Decimal(2), Decimal(1), 1, 2))


class House:
    def __init__(self, server: Venue) -> None:
        self.clock = HandClock()
        self.hub = MarketDataHub(self.clock)
        self.line = Line(server, self.hub, self.clock)
        self.log: list[str] = []
        self.public = PublicStream(
            self.hub, self.line, self.clock, random.Random(1), lambda what, **_: self.log.append(what)
        )

    async def pass_by(self, seconds: float = 0) -> None:
        """Lets time pass, and what is on the wire arrive."""
        await self.clock.advance(seconds)
        for _ in range(16):
            await asyncio.sleep(0.003)
        await self.clock.advance(0)


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    async with venue(listen) as server:
        made = House(server)
        made.public.start()
        made.public.start()
        yield made
        await made.public.close()


async def test_nothing_is_connected_while_nothing_is_wanted() -> None:
    async with house() as home:
        await home.pass_by(3600)
        assert home.line.opened == []
        end = home.hub.subscribe_market_data(["A"], lambda _: None)
        await home.pass_by()
        assert (len(home.line.server.sockets), home.line.asked) == (1, [("+", "A")])
        end()
        await home.pass_by()
        assert home.line.server.sockets == []
        home.hub.subscribe_market_data(["B"], lambda _: None)
        await home.pass_by()
        assert home.line.asked == [("+", "A"), ("+", "B")]
        assert home.log == []


async def test_what_is_wanted_is_asked_for_and_no_more() -> None:
    async with house() as home:
        ends = [home.hub.subscribe_market_data([symbol], lambda _: None) for symbol in ("A", "B")]
        await home.pass_by()
        home.hub.subscribe_market_data(["B", "C"], lambda _: None)
        ends[0]()
        await home.pass_by()
        assert home.line.asked == [("+", "A", "B"), ("-", "A"), ("+", "C")]


async def test_what_was_asked_for_once_is_let_go_of() -> None:
    async with house() as home:
        home.hub.subscribe_market_data(["A"], lambda _: None)
        home.hub.quote("B")
        await home.pass_by()
        await home.pass_by(LINGER_NS / 1e9 + 61)
        assert home.line.asked == [("+", "A", "B"), ("-", "B")]


async def test_after_a_loss_all_that_is_wanted_is_asked_for_again() -> None:
    """Meanwhile what is known is stale."""
    async with house() as home:
        home.hub.subscribe_market_data(["A", "B"], lambda _: None)
        await home.pass_by()
        await home.line.server.say("A")
        await home.pass_by()
        assert home.hub.quote("A") is not None
        home.line.server.cut()
        await home.pass_by()
        assert home.hub.quote("A") is None
        assert home.hub.last_quote("A") is not None
        await home.pass_by(1)
        assert home.line.asked == [("+", "A", "B"), ("+", "A", "B")]
        await home.line.server.say("A")
        await home.pass_by()
        assert home.hub.quote("A") is not None
        assert home.log == ["market data lost"]


async def test_pain_5_a_venue_that_drops_each_connection_is_not_stormed() -> None:
    """Neither one that refuses nor one that takes and drops at once is hit faster and faster: the waits grow to a
    minute."""
    async with house() as home:
        home.line.reachable = False
        home.hub.subscribe_market_data(["A"], lambda _: None)
        for _ in range(300):
            await home.clock.advance(1)
        waits = [
            later - sooner for sooner, later in zip(home.line.opened, home.line.opened[1:], strict=False)
        ]
        assert all(wait <= LAST_WAIT_S for wait in waits)
        assert len(waits) < 14
        assert waits[-1] >= LAST_WAIT_S / 2
        home.line.reachable = True
        tried = len(home.line.opened)
        for _ in range(4):
            await home.pass_by(LAST_WAIT_S)
            home.line.server.cut()
        assert len(home.line.opened) - tried <= 8


async def test_a_stream_that_held_begins_its_waits_anew() -> None:
    async with house() as home:
        home.line.reachable = False
        home.hub.subscribe_market_data(["A"], lambda _: None)
        await home.pass_by(200)
        home.line.reachable = True
        await home.pass_by(LAST_WAIT_S)
        assert len(home.line.server.sockets) == 1
        await home.pass_by(61)
        home.line.server.cut()
        await home.pass_by()
        await home.pass_by(1)
        assert len(home.line.server.sockets) == 1


async def test_odd_frames_are_told_of_once_in_a_hundred() -> None:
    async with house() as home:
        home.hub.subscribe_market_data(["A"], lambda _: None)
        await home.pass_by()
        for _ in range(101):
            await home.line.server.say("odd")
        await home.line.server.say("A")
        await home.pass_by()
        assert home.log == ["market data does not parse"] * 2
        assert home.hub.quote("A") is not None


async def test_a_stream_of_no_use_and_an_adapters_mistake_begin_another() -> None:
    async with house() as home:
        home.hub.subscribe_market_data(["A"], lambda _: None)
        for frame in ("useless", "mistake"):
            await home.pass_by()
            await home.line.server.say(frame)
            await home.pass_by()
            await home.pass_by(2)
        assert len(home.line.opened) == 3
        assert home.log == ["market data lost"] * 2


async def test_closed_it_is_stale_and_may_begin_again() -> None:
    async with house() as home:
        home.hub.subscribe_market_data(["A"], lambda _: None)
        await home.pass_by()
        await home.line.server.say("A")
        await home.pass_by()
        await home.public.close()
        assert home.hub.quote("A") is None
        home.public.start()
        await home.pass_by()
        await home.line.server.say("A")
        await home.pass_by()
        assert home.hub.quote("A") is not None
