"""The brokers that the cases are run for. A new adapter puts its factory here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from brokergate.adapters.paper.abilities import ACROSS_A_LINE, CAPABILITIES
from brokergate.adapters.paper.broker import PaperTradingBroker
from brokergate.adapters.paper.config import PaperTradingConfig
from brokergate.domain.faults import Fault, FaultKind, FaultPlan
from brokergate.domain.market import BookView, TradeView
from brokergate.domain.orders import Side
from brokergate.ports.broker import PushedUpdate
from tests.conformance import alpaca, binance, ibkr
from tests.conformance.subject import Levels, Mishap, Result, Subject
from tests.unit.adapters.paper.hand_clock import NEW, HandClock, settle

START_NS = int(datetime(2026, 3, 11, 23, 40, tzinfo=UTC).timestamp()) * 10**9
"""A Wednesday, twenty minutes before the day ends."""


MISHAPS: Mapping[Mishap, FaultKind] = {
    Mishap.LOSE_PLACED: FaultKind.LOST_ACKNOWLEDGEMENT,
    Mishap.LOSE_CANCELLED: FaultKind.LOST_ACKNOWLEDGEMENT,
    Mishap.LOSE_REPLACED: FaultKind.LOST_ACKNOWLEDGEMENT,
    Mishap.LOSE_FRAMES: FaultKind.MUTE_STREAM,
    Mishap.REPEAT_FRAMES: FaultKind.DUPLICATED_EVENTS,
}
"""The paper venue's faults."""


class Paper(Subject):
    """The paper venue in this process, on a market that is pushed, by a clock that the test turns."""

    name = "paper"
    symbol, base_currency, quote_currency = "BTC/USDT", "BTC", "USDT"
    price_unit, quantity_unit = Decimal(100), Decimal("0.01")
    day_s = 1_300
    capabilities = CAPABILITIES
    settings: dict[str, object] = {}  # noqa: RUF012 - a class that is configured otherwise names its own

    def __init__(self) -> None:
        self._clock = HandClock(START_NS)

    async def open(self) -> PaperTradingBroker:
        listed = {"symbol": self.symbol, "price_increment": "1", "quantity_increment": "0.0001"}
        settings: dict[str, object] = {
            "initial_balance": {"USDT": "100000000", "BTC": "1000"},
            "allow_short": ["spot"],
            "feed": {"push": {"instruments": [listed]}},
            **self.settings,
        }
        self._broker = PaperTradingBroker(PaperTradingConfig.model_validate(settings), self._clock)
        await self._broker.connect(NEW)
        return self._broker

    async def close(self) -> None:
        await self._broker.park()

    async def show(self, bids: Levels, asks: Levels) -> None:
        now_ns = self._tick()
        await self._broker.push(
            [PushedUpdate(BookView(self.symbol, tuple(bids), tuple(asks), now_ns, now_ns))]
        )

    async def trade(self, price: Decimal, quantity: Decimal, taker: Side) -> None:
        now_ns = self._tick()
        await self._broker.push(
            [PushedUpdate(TradeView(self.symbol, price, quantity, taker, now_ns, now_ns))]
        )

    async def finish(self, command: Coroutine[Any, Any, Result]) -> Result:
        return await command

    async def settle(self) -> None:
        await settle()

    def now_ns(self) -> int:
        return self._clock.now_ns()

    async def pass_time(self, seconds: float) -> None:
        await self._clock.advance(seconds)

    def _tick(self) -> int:
        return self._clock.now_ns()


class PaperAcrossALine(Paper):
    """The same with twenty milliseconds each way: it is asked and tells as a broker elsewhere does."""

    name = "paper, 20 ms away"
    capabilities = ACROSS_A_LINE
    settings: dict[str, object] = {"latency_ms": "20"}  # noqa: RUF012 - as above

    async def finish(self, command: Coroutine[Any, Any, Result]) -> Result:
        task = asyncio.ensure_future(command)
        await settle()
        while not task.done():
            await self._clock.advance(0.01)
        return await task

    async def settle(self) -> None:
        await self._clock.advance(0.3)

    async def befall(self, mishap: Mishap) -> None:
        self._usual = self._broker.faults
        fault = Fault(MISHAPS[mishap])
        self._broker.set_faults(FaultPlan((*self._usual.faults, fault), self._clock.now_ns()))

    async def mend(self) -> None:
        self._broker.set_faults(self._usual)


class PaperOnABadLine(PaperAcrossALine):
    """The same where events come twice and late: nothing of that may matter."""

    name = "paper, 20 ms away, events twice and late"
    settings: dict[str, object] = {  # noqa: RUF012 - as above
        "latency_ms": "20",
        "faults": [
            {"kind": "duplicated_events", "rate_percent": "50"},
            {"kind": "delayed_events", "rate_percent": "50", "delay_ms": "50"},
        ],
    }


_ALL: Sequence[type[Subject]] = (
    Paper,
    PaperAcrossALine,
    PaperOnABadLine,
    *alpaca.SUBJECTS,
    *binance.SUBJECTS,
    *ibkr.SUBJECTS,
)
SUBJECTS: dict[str, Callable[[], Subject]] = {subject.name: subject for subject in _ALL}
"""By name."""
