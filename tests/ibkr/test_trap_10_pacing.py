"""Trap 10: the library's throttle keeps to 45 a second on average, and breaks the 50 of any second that TWS counts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import OrderState
from tests.emulators.client import Emulator
from tests.faults.house import House
from tests.faults.venues import Venue
from tests.ibkr.library import connected, library, stock, until

ORDERS = 120
REST_S = 1.2
REAL = {"rate": 50, "tolerance": 1_000_000}
"""TWS's own rate; nobody is sent away, so that all of it is counted."""


async def test_the_library_breaks_it(tws: Emulator) -> None:
    await tws.ask("limits", **REAL)
    async with connected(tws) as ib:
        contract = await stock(ib)
        trades = [
            ib.placeOrder(contract, library().LimitOrder("BUY", 1, 90 + number / 100, tif="GTC"))
            for number in range(ORDERS)
        ]
        await until("all work", lambda: all(trade.orderStatus.status == "Submitted" for trade in trades))
    assert (await tws.ask("used"))["violations"] > 0


@pytest.mark.timeout(60)
async def test_the_gateway_keeps_to_it(venue: Venue, emulator: Emulator, tmp_path: Path) -> None:
    """Placing as fast as it can, with polls and cancels beside it."""
    async with House(venue, emulator, tmp_path, settings={"messages_per_second": 40}).living() as house:
        await emulator.ask("limits", **REAL)
        await house.show()
        names = [f"n{number}" for number in range(ORDERS)]
        await asyncio.gather(*(house.gateway.place_order(house.order(name, -5)) for name in names))
        await asyncio.gather(*(house.cancel(name) for name in names[:30]))
        await house.until("nothing is under way", lambda: not any(order.pending for order in house.working()))
        used = await emulator.ask("used")
        assert (used["violations"], used["most"] <= 50) == (0, True), used
        sent = {house.stands(name).state for name in names}
        assert sent <= {OrderState.NEW, OrderState.CANCELED, OrderState.REJECTED}
        assert not await emulator.doubled()
        rejected = [name for name in names if house.stands(name).state is OrderState.REJECTED]
        # One that its turn did not come for in time was not sent.
        for name in rejected:
            assert not await house.asked("place", name)


async def test_a_tws_that_is_told_too_much_is_given_a_rest(house: House) -> None:
    """100: for a while nothing is sent; an order that cannot wait so long says so, and was not sent."""
    await house.emulator.ask("message", code=100)
    placed = await house.place(house.order("at once", -3))
    sent = await house.asked("place", "at once")
    if placed is not None and placed.order.state is OrderState.REJECTED:
        assert (placed.order.reject_reason, sent) == (ErrorReason.NOT_SENT, [])
    await house.pause(REST_S)
    await house.place(house.order("later", -3))
    await house.becomes("later", OrderState.NEW)
    assert house.connected()
