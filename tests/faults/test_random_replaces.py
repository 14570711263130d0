"""Random days at Binance: orders are placed, changed and cancelled while others trade, and answers, frames and
connections are lost. Each generation of an order is an order of its own there, and what they fill in all is what the
journal has."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brokergate.domain.commands import OrderRef, ReplaceOrder, Request
from brokergate.domain.errors import GatewayError
from brokergate.ports.journal import JournalError
from brokergate.v1 import enums_pb2, order_pb2
from tests.conformance.binance import emulator
from tests.faults.house import ACCOUNT, House
from tests.faults.venues import BINANCE

STEPS = 60
FAULTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("answer_lost_after_accept", "place", {}),
    ("answer_lost_before_accept", "place", {}),
    ("answer_lost_after_accept", "replace", {}),
    ("answer_lost_before_accept", "replace", {}),
    ("answer_lost_after_accept", "amend", {}),
    ("answer_lost_before_accept", "amend", {}),
    ("answer_lost_after_accept", "cancel", {}),
    ("answer_lost_before_accept", "cancel", {}),
    ("partial_json", "replace", {}),
    ("status", "cancel", {"code": 500, "accept": True}),
    ("lose_frame", "orders", {"count": 4}),
    ("duplicate_frames", "orders", {"count": 4}),
    ("reorder_frames", "orders", {"count": 3}),
    ("cut_stream", "orders", {}),
    ("arrives_late", "place", {"seconds": 0.3}),
    ("arrives_late", "replace", {"seconds": 0.3}),
    ("arrives_late", "amend", {"seconds": 0.3}),
    ("arrives_late", "cancel", {"seconds": 0.3}),
    ("query_lag", "*", {"seconds": 0.3}),
)
WORKS = (enums_pb2.ORDER_STATE_NEW, enums_pb2.ORDER_STATE_PARTIALLY_FILLED)


class Day:
    """One of them, by its seed."""

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.random = random.Random(seed)
        self._requests = 0

    async def step(self) -> None:
        """Something happens."""
        draw = self.random.random()
        if draw < 0.25:
            name = f"o{len(self.house.names)}"
            away, lots = -self.random.randint(1, 4), self.random.randint(2, 9)
            await self.house.place(self.house.order(name, away, lots))
        elif draw < 0.6:
            await self._change()
        elif draw < 0.68:
            if self.house.names:
                await self.house.cancel(self.random.choice(self.house.names))
        elif draw < 0.85:
            price = BINANCE.price * (100 - self.random.randint(1, 4)) / 100 - BINANCE.tick
            lots = self.random.randint(1, 6)
            await self.house.emulator.trade(BINANCE.symbol, price, BINANCE.lot * lots, "sell")
        else:
            kind, on, arguments = self.random.choice(FAULTS)
            await self.house.emulator.fault(kind, on=on, **arguments)

    async def _change(self) -> None:
        """Makes an order smaller, larger, or moves it; whatever comes of it."""
        working = self.house.working()
        if not working:
            return
        order = self.random.choice(working)
        self._requests += 1
        name = f"change{self._requests}"
        quantity = price = None
        if self.random.random() < 0.6:
            quantity = BINANCE.lot * self.random.randint(1, 12)
        if quantity is None or self.random.random() < 0.5:
            price = BINANCE.price * (100 - self.random.randint(1, 5)) / 100
        command = ReplaceOrder(
            ACCOUNT,
            OrderRef(order_id=order.order_id),
            order.generation,
            quantity=quantity,
            limit_price=price,
        )
        request = Request(name, "ReplaceOrder", name.encode(), lambda result: repr(result).encode())
        try:
            await self.house.gateway.replace_order(command, request)
        except (GatewayError, JournalError):
            return


async def judged(house: House) -> list[str]:
    """What is wrong at the end."""
    events = house.events()
    wrong = [
        f"a disagreement: {event.discrepancy.discrepancy.message}"
        for event in events
        if event.HasField("discrepancy")
    ]
    last: dict[str, order_pb2.Order] = {
        event.order.order.client_order_id: event.order.order for event in events if event.HasField("order")
    }
    generations: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for shown in await house.emulator.orders():
        known = house.ids.client_id(str(shown["client_order_id"]))
        assert known is not None
        generations[known[0]].append(shown)
    for name, order in last.items():
        filled = sum((Decimal(shown["cum_quantity"]) for shown in generations[name]), Decimal(0))
        if filled != Decimal(order.cum_quantity):
            wrong.append(f"{name}: {order.cum_quantity} in the journal, {filled} at the venue")
        works = [shown for shown in generations[name] if shown["state"] in ("NEW", "PARTIALLY_FILLED")]
        if len(works) > 1:
            wrong.append(f"{name}: the venue works {len(works)} generations")
        if (order.state in WORKS) != bool(works):
            wrong.append(f"{name}: {enums_pb2.OrderState.Name(order.state)}, and the venue works {works}")
        if filled > Decimal(order.quantity):
            wrong.append(f"{name}: {filled} was filled of {order.quantity}")
        for shown in works:
            left = Decimal(shown["quantity"]) - Decimal(shown["cum_quantity"])
            if left != Decimal(order.leaves_quantity):
                wrong.append(f"{name}: {order.leaves_quantity} is left, at the venue {left}")
    keys = [
        (event.fill.fill.symbol, event.fill.fill.broker_execution_id)
        for event in events
        if event.HasField("fill")
    ]
    if len(keys) != len(set(keys)):
        wrong.append("a fill is booked twice")
    return wrong


@pytest.mark.parametrize("seed", range(8))
async def test_what_all_generations_fill_is_what_the_journal_has(seed: int, tmp_path: Path) -> None:
    house = House(BINANCE, emulator(), tmp_path, "127.0.0.1")
    async with house.living():
        await house.emulator.show(BINANCE.symbol, [(9000, 1)], [(11_000, 1)])
        day = Day(house, seed)
        for _ in range(STEPS):
            if day.random.random() < 0.7:
                await house.until("connected", house.connected)
            await day.step()
        await house.emulator.clear_faults()
        await house.until("connected", house.connected)
        await house.settled()
        assert await judged(house) == []
        replaced = [event for event in house.events() if event.order.order.generation > 1]
        assert replaced
