"""Interactive Brokers' adapter against the emulated TWS, as the subject of the cases."""

from __future__ import annotations

import asyncio
import atexit
import time
from collections.abc import Coroutine, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from brokergate.adapters.ibkr.abilities import CAPABILITIES
from brokergate.adapters.ibkr.broker import InteractiveBrokersBroker
from brokergate.adapters.ibkr.config import IBKR, InteractiveBrokersConfig
from brokergate.config.accounts import AccountConfig
from brokergate.domain.accounts import Environment
from brokergate.domain.errors import NotSent
from brokergate.domain.orders import Side
from tests.conformance.alpaca import EMPTY, context
from tests.conformance.subject import Levels, Mishap, Result, Subject
from tests.emulators.client import Emulator

PATIENCE_S = 20.0
TURNS = 5
"""Of the loop, in which what was heard reaches who reads it."""
LOST = "answer_lost_after_accept"
MISHAPS: Mapping[Mishap, Sequence[tuple[str, str, Mapping[str, str]]]] = {
    Mishap.LOSE_PLACED: [(LOST, "place", {"how": "hang"})],
    Mishap.LOSE_CANCELLED: [(LOST, "cancel", {"how": "hang"})],
    Mishap.LOSE_REPLACED: [(LOST, "replace", {"how": "hang"})],
    Mishap.LOSE_FRAMES: [("lose_frame", "orders", {})],
    Mishap.REPEAT_FRAMES: [("duplicate_frames", "orders", {})],
}
"""The emulator's faults: the kind, what it befalls, and how."""


@cache
def emulator() -> Emulator:
    """The process that serves all cases of this one."""
    started = Emulator.start("tws")
    atexit.register(started.close)
    return started


class IbkrAccount(AccountConfig):
    """An account's configuration, with the broker's section that the registry gives it otherwise."""

    ibkr: InteractiveBrokersConfig


def account(
    venue: Emulator, *, connection: Mapping[str, object] | None = None, **settings: object
) -> IbkrAccount:
    """An account at the emulator, as fast as can be."""
    section = {"port": venue.port, "instruments": ["AAPL", "MSFT"], "messages_per_second": 1000}
    return IbkrAccount.model_validate(
        {
            "broker": IBKR,
            "environment": Environment.PAPER,
            "connection": {"request_timeout_ms": 1000, **(connection or {})},
            "ibkr": {**section, **settings},
        }
    )


class Ibkr(Subject):
    """A share, round the clock: the emulator's session never ends unless it is told."""

    name = "ibkr"
    symbol, base_currency, quote_currency = "AAPL", "", "USD"
    price_unit, quantity_unit = Decimal(1), Decimal(1)
    price_step: Decimal | None = Decimal("0.01")
    day_s = 86_400
    capabilities = CAPABILITIES
    tells_triggers = tells_expiry = sets_aside = previews_market = False
    balances: dict[str, str] = {"USD": "1000000000"}  # noqa: RUF012 - another class names its own

    async def open(self) -> InteractiveBrokersBroker:
        self._venue = emulator()
        await self._venue.reset(self.balances)
        await self._venue.ask("limits", rate=100_000)
        await self._venue.show(self.symbol, (), ())
        self._passed_s = 0.0
        self._context = context()
        self._broker = InteractiveBrokersBroker(account(self._venue), self._context)
        await self._broker.connect(EMPTY)
        return self._broker

    async def close(self) -> None:
        await self._broker.close()
        await self._context.connections.close()

    async def watch(self) -> None:
        # The first trade that a subscription tells is the last one of before.
        await self._venue.trade(self.symbol, self.price_unit * 77, self.quantity_unit * 7)
        self._broker.quote(self.symbol)
        async with asyncio.timeout(PATIENCE_S):
            while not any(entry["kind"] == "subscribe" for entry in await self._venue.log()):
                pass
        await self.settle()

    async def show(self, bids: Levels, asks: Levels) -> None:
        await self._venue.show(self.symbol, bids, asks)

    async def trade(self, price: Decimal, quantity: Decimal, taker: Side) -> None:
        await self._venue.trade(self.symbol, price, quantity, taker.name.lower())

    async def befall(self, mishap: Mishap) -> None:
        for kind, on, arguments in MISHAPS[mishap]:
            await self._venue.fault(kind, on=on, count=1000, **arguments)

    async def mend(self) -> None:
        await self._venue.clear_faults()

    async def finish(self, command: Coroutine[Any, Any, Result]) -> Result:
        return await command

    async def settle(self) -> None:
        """The answer to a question comes behind all that was told before it. What was told may make the adapter ask
        (how an order ended): the second answer comes behind that one's."""
        for _ in range(2):
            try:
                await self._broker._line.ask.current_time()
            except NotSent:
                return
            for _ in range(TURNS):
                await asyncio.sleep(0)

    def now_ns(self) -> int:
        return time.time_ns() + round(self._passed_s * 1e9)

    async def pass_time(self, seconds: float) -> None:
        self._passed_s += seconds
        await self._venue.advance(seconds)
        if seconds >= self.day_s:
            await self._venue.ask("session", turn="end")


SUBJECTS: tuple[type[Subject], ...] = (Ibkr,)
