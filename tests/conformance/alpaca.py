"""Alpaca's adapter against its emulator, as subjects of the cases: on a stock, and on crypto."""

from __future__ import annotations

import asyncio
import atexit
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from brokergate.adapters.alpaca import wire
from brokergate.adapters.alpaca.abilities import FOR_CRYPTO, FOR_STOCKS
from brokergate.adapters.alpaca.answers import TradeUpdate
from brokergate.adapters.alpaca.broker import AlpacaBroker
from brokergate.adapters.alpaca.config import ALPACA, AlpacaConfig
from brokergate.adapters.alpaca.values import load, time_ns
from brokergate.adapters.connection.manager import ConnectionManager
from brokergate.adapters.context import BrokerContext
from brokergate.config.accounts import AccountConfig
from brokergate.domain.orders import Side
from brokergate.ports.broker import Report, RestoredState
from brokergate.ports.clock import SystemClock
from brokergate.resilience.metrics import BrokerMetrics
from tests.conformance.subject import Levels, Mishap, Result, Subject
from tests.emulators.client import Emulator

EMPTY = RestoredState(open_orders=(), positions=(), balances=(), fills=0, orders=0)
STEP_S = 0.002
PATIENCE_S = 20.0
DAY_S = 86_400


LOST = "answer_lost_after_accept"
MISHAPS: Mapping[Mishap, Sequence[tuple[str, str]]] = {
    Mishap.LOSE_PLACED: [(LOST, "place")],
    Mishap.LOSE_CANCELLED: [(LOST, "cancel")],
    Mishap.LOSE_REPLACED: [(LOST, "replace")],
    Mishap.LOSE_FRAMES: [("lose_frame", "orders")],
    Mishap.REPEAT_FRAMES: [("duplicate_frames", "orders")],
}
"""The emulator's faults: the kind, and what it befalls."""


@cache
def emulator() -> Emulator:
    """The process that serves all cases of this one."""
    started = Emulator.start(ALPACA)
    atexit.register(started.close)
    return started


class _Elapsed:
    """How much time the tests let pass at the emulator."""

    seconds = 0.0


class AlpacaAccount(AccountConfig):
    """An account's configuration, with the broker's section that the registry gives it otherwise."""

    alpaca: AlpacaConfig = AlpacaConfig()


def account(venue: Emulator, **settings: object) -> AlpacaAccount:
    """An account at the emulator."""
    section = {"rest_url": venue.url, "stream_url": f"{venue.ws_url}/stream", "data_url": venue.url}
    return AlpacaAccount.model_validate(
        {
            "broker": ALPACA,
            "credentials": {"api_key": venue.key, "api_secret": venue.secret},
            "alpaca": {**section, "data_stream_url": venue.ws_url, **settings},
        }
    )


def context(account_id: str = "conformance") -> BrokerContext:
    """What the house hands to a broker."""
    clock = SystemClock()
    return BrokerContext(
        account_id=account_id,
        clock=clock,
        random=random.Random(7),
        log=lambda *_, **__: None,
        connections=ConnectionManager(clock),
        metrics=BrokerMetrics(clock),
    )


async def until(there: Callable[[], bool]) -> None:
    """Returns when it is there."""
    while True:
        if there():
            return
        await asyncio.sleep(STEP_S)


class Watched(AlpacaBroker):
    """The adapter, which says whether it is at work on an update."""

    working = 0

    async def _reports(self, update: TradeUpdate) -> list[Report]:
        self.working += 1
        try:
            return await super()._reports(update)
        finally:
            self.working -= 1

    async def drained(self) -> None:
        """Returns when all that the venue has told by now was taken from the stream."""
        reader = self._reader
        assert reader is not None
        listener = await self._client.trade_stream()
        try:
            await listener.send(wire.LISTEN_FRAME)
            async for frame in listener:
                if load(frame).get("stream") == "listening":
                    break
            await until(lambda: not reader.alive or not (reader._frames or self.working))
            await asyncio.sleep(0)
        finally:
            await listener.close()


class AlpacaStock(Subject):
    """A stock, in a market that never closes; a day ends at midnight UTC."""

    name = "alpaca, stock"
    symbol, base_currency, quote_currency = "AAPL", "", "USD"
    price_unit, quantity_unit = Decimal(1), Decimal(1)
    price_step: Decimal | None = Decimal("0.01")
    tells_liquidity = tells_triggers = False
    capabilities = FOR_STOCKS
    balances: dict[str, str] = {"USD": "1000000000"}  # noqa: RUF012 - another class names its own
    holding: Decimal | None = None
    _subscriptions = 0

    async def open(self) -> Watched:
        self._venue = emulator()
        await self._venue.reset(self.balances)
        left_s = DAY_S - self.now_ns() / 1e9 % DAY_S
        if left_s < 1_000:
            await self._advance(left_s + 60)
            left_s = DAY_S - self.now_ns() / 1e9 % DAY_S
        self.day_s = left_s + 60
        await self._venue.ask("limits", requests=100_000)
        if self.holding is not None:
            await self._venue.add_fill(self.symbol, "buy", self.holding, self.price_unit * 100)
        await self._venue.show(self.symbol, (), ())
        self._context = context()
        config = account(
            self._venue, instruments=[self.symbol, "MSFT", "ETH/USD"], requests_per_minute=10_000
        )
        self._broker = Watched(config, self._context)
        await self._broker.connect(EMPTY)
        self._broker.quote(self.symbol)
        await self._subscribed()
        return self._broker

    async def _subscribed(self) -> None:
        """Waits until the market data is streamed, by one subscription more than before."""
        self._subscriptions += 1
        async with asyncio.timeout(PATIENCE_S):
            while (
                sum(entry["kind"] == "subscribe" for entry in await self._venue.log()) < self._subscriptions
            ):
                pass
        self._subscribed_ns = await self._last_trade_ns()

    async def close(self) -> None:
        await self._broker.close()
        await self._context.connections.close()

    async def show(self, bids: Levels, asks: Levels) -> None:
        await self._venue.show(self.symbol, bids, asks)

    async def trade(self, price: Decimal, quantity: Decimal, taker: Side) -> None:
        await self._venue.trade(self.symbol, price, quantity, taker.name.lower())

    async def connected(self) -> None:
        await self._subscribed()

    async def befall(self, mishap: Mishap) -> None:
        for kind, on in MISHAPS[mishap]:
            await self._venue.fault(kind, on=on, count=1000)

    async def mend(self) -> None:
        await self._venue.clear_faults()

    async def finish(self, command: Coroutine[Any, Any, Result]) -> Result:
        return await command

    async def settle(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._broker.drained()
            while not await self._same_market():
                pass

    def now_ns(self) -> int:
        return time.time_ns() + round(_Elapsed.seconds * 1e9)

    async def pass_time(self, seconds: float) -> None:
        await self._advance(seconds)

    async def _advance(self, seconds: float) -> None:
        _Elapsed.seconds += seconds
        await self._venue.advance(seconds)

    # What everybody sees

    async def _latest(self, what: str) -> Any:
        target = wire.latest_target((self.symbol,), crypto="/" in self.symbol, feed="iex", what=what)
        return (await self._broker._client.ask_data(target))[what].get(self.symbol)

    async def _last_trade_ns(self) -> int:
        trade = await self._latest("trades")
        return 0 if trade is None else time_ns(trade["t"], "t")

    async def _same_market(self) -> bool:
        """Whether the adapter has heard what the emulator shows now."""
        shown, heard = await self._latest("quotes"), self._broker.quote(self.symbol)
        trade = self._broker._market._feed(self.symbol).last.get(self.symbol)
        heard_ns = self._subscribed_ns
        if trade is not None:
            heard_ns = max(heard_ns, trade.event_time_ns)
        if await self._last_trade_ns() > heard_ns:
            return False
        told: list[Decimal | None] = []
        if heard is not None:
            told = [heard.bid_price, heard.bid_quantity, heard.ask_price, heard.ask_quantity]
        sides = [(shown or {}).get(name) or Decimal(0) for name in ("bp", "bs", "ap", "as")]
        return [amount or Decimal(0) for amount in told] == sides or not (told or any(sides))


class AlpacaCrypto(AlpacaStock):
    """Crypto, round the clock. Coins are positions there, so that what may be sold is held from the beginning; and fees
    are taken, of a purchase in coins."""

    name = "alpaca, crypto"
    symbol, base_currency, quote_currency = "BTC/USD", "BTC", "USD"
    price_unit, quantity_unit = Decimal(100), Decimal("0.01")
    price_step = None
    capabilities = FOR_CRYPTO
    holding = Decimal(1000)


SUBJECTS: Sequence[type[AlpacaStock]] = (AlpacaStock, AlpacaCrypto)
