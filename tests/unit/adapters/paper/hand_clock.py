"""A clock that the test turns, and a paper broker on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

from brokergate.adapters.paper.broker import PaperTradingBroker
from brokergate.adapters.paper.config import PaperTradingConfig
from brokergate.domain import lifecycle
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side, TimeInForce
from brokergate.ports.broker import Accepted, FillReport, Outcome, Report, RestoredState
from tests.unit.sim.feeds.recording import START_NS

NEW = RestoredState((), (), (), 0, 0)
WALL_NS = 1_800_000_000_000_000_000
SETTLE_TURNS = 50
"""Turns of the event loop after which everything that is due has run."""


class HandClock:
    """Time that passes when `advance` says so; whoever sleeps wakes at his own moment."""

    def __init__(self, wall_ns: int = WALL_NS) -> None:
        self._wall_ns = wall_ns
        self._elapsed_ns = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def now_ns(self) -> int:
        return self._wall_ns + self._elapsed_ns

    def monotonic_ns(self) -> int:
        return self._elapsed_ns

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._sleepers, (self._elapsed_ns + int(seconds * 1e9), next(self._numbers), future))
        await future

    async def advance(self, seconds: float) -> None:
        await settle()
        until_ns = self._elapsed_ns + int(seconds * 1e9)
        while self._sleepers and self._sleepers[0][0] <= until_ns:
            due_ns, _, future = heappop(self._sleepers)
            self._elapsed_ns = max(self._elapsed_ns, due_ns)
            if not future.done():
                future.set_result(None)
                await settle()
        self._elapsed_ns = until_ns
        await settle()


async def settle() -> None:
    for _ in range(SETTLE_TURNS):
        await asyncio.sleep(0)


def at(milliseconds: int, frame: object) -> str:
    """A frame of a recording, so long after its start."""
    return f"{START_NS + milliseconds * 1_000_000} {json.dumps(frame)}"


def broker(clock: HandClock, feed: dict[str, object], **settings: object) -> PaperTradingBroker:
    return PaperTradingBroker(PaperTradingConfig.model_validate({"feed": feed, **settings}), clock)


async def tape_broker(
    clock: HandClock, path: Path, *, speed: str = "1", paused: bool = True, **settings: object
) -> PaperTradingBroker:
    """A connected broker on a recording."""
    made = broker(clock, {"tape": str(path), "speed": speed, "paused": paused}, **settings)
    await made.connect(NEW)
    return made


_numbers = count(1)


def order(
    symbol: str,
    side: int,
    quantity: str,
    limit: str | None = None,
    time_in_force: TimeInForce = TimeInForce.GTC,
    name: str = "",
) -> Order:
    """An order as the engine hands it over."""
    name = name or f"c{next(_numbers)}"
    spec = OrderSpec(
        symbol,
        Side.BUY if side > 0 else Side.SELL,
        OrderType.MARKET if limit is None else OrderType.LIMIT,
        Decimal(quantity),
        limit_price=None if limit is None else Decimal(limit),
        time_in_force=time_in_force,
    )
    return lifecycle.intend(
        order_id=name,
        client_order_id=name,
        account_id="paper",
        spec=spec,
        quantity=Decimal(quantity),
        multiplier=Decimal(1),
        now_ns=WALL_NS,
    )


def stop(symbol: str, side: int, quantity: str, trigger: str, name: str = "") -> Order:
    """A stop as the engine hands it over."""
    made = order(symbol, side, quantity, name=name)
    return replace(made, spec=replace(made.spec, type=OrderType.STOP, stop_price=Decimal(trigger)))


def fills(reports: Sequence[Report] | Outcome) -> list[tuple[str, str]]:
    """(price, quantity) of each fill, as plain numbers."""
    told = reports.reports if isinstance(reports, Outcome) else reports
    return [
        (f"{report.price.normalize():f}", f"{report.quantity.normalize():f}")
        for report in told
        if isinstance(report, FillReport)
    ]


def accepted(outcome: Outcome) -> Accepted:
    assert isinstance(outcome, Accepted), outcome
    return outcome


class Reader:
    """Reads `events()` as the engine does, in a task of its own."""

    def __init__(self, source: PaperTradingBroker) -> None:
        self.batches: list[list[Report]] = []
        self.task = asyncio.create_task(self._read(source))

    async def _read(self, source: PaperTradingBroker) -> None:
        async for batch in source.events():
            self.batches.append(list(batch))

    @property
    def reports(self) -> list[Report]:
        return [report for batch in self.batches for report in batch]
