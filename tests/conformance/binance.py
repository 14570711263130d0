"""Binance's adapter against its emulator, as the subject of the cases."""

from __future__ import annotations

import asyncio
import atexit
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from brokergate.adapters.binance import parse, wire
from brokergate.adapters.binance.abilities import CAPABILITIES
from brokergate.adapters.binance.broker import BinanceBroker
from brokergate.adapters.binance.config import BinanceConfig
from brokergate.adapters.connection.manager import ConnectionManager
from brokergate.adapters.connection.sharing import StreamReader
from brokergate.adapters.connection.stream import StreamClient
from brokergate.adapters.context import BrokerContext
from brokergate.config.accounts import AccountConfig
from brokergate.domain.accounts import Environment
from brokergate.domain.market import MarketDatum, TradeView
from brokergate.domain.orders import Side
from brokergate.ports.broker import RestoredState
from brokergate.ports.clock import SystemClock
from brokergate.resilience.metrics import BrokerMetrics
from tests.conformance.subject import Levels, Mishap, Result, Subject
from tests.emulators.client import Emulator

EMPTY = RestoredState(open_orders=(), positions=(), balances=(), fills=0, orders=0)
PATIENCE_S = 20.0
STEP_S = 0.002


LOST = "answer_lost_after_accept"
MISHAPS: Mapping[Mishap, Sequence[tuple[str, str]]] = {
    Mishap.LOSE_PLACED: [(LOST, "place")],
    Mishap.LOSE_CANCELLED: [(LOST, "cancel")],
    Mishap.LOSE_REPLACED: [(LOST, "replace"), (LOST, "amend")],
    Mishap.LOSE_FRAMES: [("lose_frame", "orders")],
    Mishap.REPEAT_FRAMES: [("duplicate_frames", "orders")],
}
"""The emulator's faults: the kind, and what it befalls."""


@cache
def emulator() -> Emulator:
    """The process that serves all tests of this one."""
    started = Emulator.start("binance")
    atexit.register(started.close)
    return started


class BinanceAccount(AccountConfig):
    """An account's configuration, with the broker's section that the registry gives it otherwise."""

    binance: BinanceConfig = BinanceConfig()


def account(
    venue: Emulator, *, connection: dict[str, object] | None = None, **settings: object
) -> BinanceAccount:
    """An account at the emulator."""
    urls = {
        "rest_url": venue.url,
        "websocket_api_url": f"{venue.ws_url}/ws-api/v3",
        "stream_url": venue.ws_url,
    }
    return BinanceAccount.model_validate(
        {
            "broker": "binance",
            "environment": Environment.TESTNET,
            "credentials": {"api_key": venue.key, "api_secret": venue.secret},
            "connection": connection or {},
            "binance": {**urls, **settings},
        }
    )


def context(account_id: str = "conformance", **parts: Any) -> BrokerContext:
    """What the house hands to a broker."""
    clock = SystemClock()
    return BrokerContext(
        **{
            "account_id": account_id,
            "clock": clock,
            "random": random.Random(7),
            "log": lambda *_, **__: None,
            "connections": ConnectionManager(clock),
            "metrics": BrokerMetrics(clock),
            **parts,
        }
    )


async def until(there: Callable[[], bool]) -> None:
    """Returns when it is there."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if there():
                return
            await asyncio.sleep(STEP_S)


class Ear:
    """Hears the private stream beside the broker: knows when all that was told by now has come."""

    def __init__(self, broker: BinanceBroker, connections: ConnectionManager) -> None:
        self._broker = broker
        self._connections = connections
        self._reader: StreamReader | None = None
        self._number = 0

    async def drained(self) -> None:
        """Returns when the broker has read all that the venue has told by now; at once where it is not connected."""
        reader = await self._joined()
        if reader is None:
            return
        self._number += 1
        number = f"settle-{self._number}"
        await reader.send(wire.frame(number, "ping"))
        async with asyncio.timeout(PATIENCE_S):
            async for frame in _frames(reader):
                if parse.load(frame).get("id") == number:
                    break
        stream = self._broker._connected.stream
        await until(lambda: stream._reader is None or not stream._reader._frames)
        for _ in range(5):
            await asyncio.sleep(0)

    async def _joined(self) -> StreamReader | None:
        if self._reader is not None and self._reader.alive:
            return self._reader
        own = self._broker._connected.stream._reader
        if own is None or not own.alive:
            return None
        self._reader = await self._connections.private_stream("binance", self._broker._credential, _never)
        return self._reader

    async def close(self) -> None:
        """Hears no more."""
        if self._reader is not None:
            await self._reader.close()


async def _frames(reader: StreamReader) -> AsyncIterator[str | bytes]:
    async for frame in reader:
        yield frame


async def _never() -> StreamClient:
    raise AssertionError("the stream is open already")


class Binance(Subject):
    """Spot, with fees, which are taken of what is received."""

    name = "binance"
    symbol, base_currency, quote_currency = "BTC/USDT", "BTC", "USDT"
    price_unit, quantity_unit = Decimal(100), Decimal("0.01")
    day_s = 86_400
    capabilities = CAPABILITIES
    unaffordable = 20_000
    balances: dict[str, str] = {"USDT": "1000000", "BTC": "1000"}  # noqa: RUF012 - another class names its own

    def __init__(self) -> None:
        self._trades_made = 0
        self._trades_heard: list[MarketDatum] = []
        self._watching = False

    async def open(self) -> BinanceBroker:
        self._venue = emulator()
        await self._venue.reset(self.balances)
        self._context = context()
        self._broker = BinanceBroker(account(self._venue), self._context)
        self._ear = Ear(self._broker, self._context.connections)
        await self._broker.connect(EMPTY)
        return self._broker

    async def close(self) -> None:
        await self._ear.close()
        await self._broker.close()
        await self._context.connections.close()

    async def watch(self) -> None:
        def hear(datum: MarketDatum) -> None:
            if isinstance(datum, TradeView):
                self._trades_heard.append(datum)

        self._watching = True
        self._broker.subscribe_market_data((self.symbol,), hear)
        size = 1
        async with asyncio.timeout(PATIENCE_S):
            # The streams tell changes alone.
            while self._broker.quote(self.symbol) is None or self._broker.book(self.symbol, 1) is None:
                size += 1
                await self._venue.show(self.symbol, [(self.price_unit, self.quantity_unit * size)], [])
                await asyncio.sleep(STEP_S)

    async def show(self, bids: Levels, asks: Levels) -> None:
        await self._venue.show(self.symbol, bids, asks)

    async def trade(self, price: Decimal, quantity: Decimal, taker: Side) -> None:
        self._trades_made += self._watching
        await self._venue.trade(self.symbol, price, quantity, taker.name.lower())

    async def befall(self, mishap: Mishap) -> None:
        for kind, on in MISHAPS[mishap]:
            await self._venue.fault(kind, on=on, count=1000)

    async def mend(self) -> None:
        await self._venue.clear_faults()

    async def finish(self, command: Coroutine[Any, Any, Result]) -> Result:
        return await command

    async def settle(self) -> None:
        await self._ear.drained()
        if self._watching:
            async with asyncio.timeout(PATIENCE_S):
                while not await self._same_market():
                    pass

    async def _same_market(self) -> bool:
        """Whether the adapter has heard what the emulator shows now."""
        client = self._broker._connected.client
        _, bids, asks = parse.depth(await client.ask(wire.depth("BTCUSDT", 100)))
        if len(self._trades_heard) < self._trades_made:
            return False
        book, quote = self._broker.book(self.symbol, 100), self._broker.quote(self.symbol)
        if not bids and not asks:
            return True
        if book is None or quote is None or (list(book.bids), list(book.asks)) != (bids, asks):
            return False
        return (quote.bid_price, quote.ask_price) == (
            bids[0][0] if bids else None,
            asks[0][0] if asks else None,
        )

    def now_ns(self) -> int:
        return time.time_ns()

    async def pass_time(self, seconds: float) -> None:
        await self._venue.advance(seconds)


SUBJECTS: tuple[type[Subject], ...] = (Binance,)
