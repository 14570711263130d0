"""Trap 10: the library's throttle sends 45 at once, and a second later 45 more. TWS counts what it reads in any second:
ninety, where it was busy when the first came."""

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
TIMES = 6
BUSY_S = 0.2
CLIENTS = 8
REST_S = 1.2
REAL = {"rate": 50, "tolerance": 1_000_000}
"""TWS's own rate; nobody is sent away, so that all of it is counted."""


async def test_the_library_breaks_it(tws: Emulator) -> None:
    """Unless the machine is so slow that its second burst is as late as TWS was with the first."""
    await tws.ask("limits", **REAL)
    async with connected(tws) as ib:
        contract = await stock(ib)
        for _ in range(TIMES):
            await tws.ask("busy", seconds=BUSY_S)
            trades = [
                ib.placeOrder(contract, library().LimitOrder("BUY", 1, 90 + number / 100, tif="GTC"))
                for number in range(ORDERS)
            ]
            await until(
                "all work",
                lambda trades=trades: all(trade.orderStatus.status == "Submitted" for trade in trades),  # type: ignore[misc]
            )
            if (await tws.ask("used"))["violations"]:
                return
    raise AssertionError("it kept to the rate every time")


@pytest.mark.timeout(60)
async def test_the_gateway_keeps_to_it(venue: Venue, emulator: Emulator, tmp_path: Path) -> None:
    """Placing as fast as it can, with polls and cancels beside it. What its turn does not come for in time is not
    sent, and says so."""
    async with House(venue, emulator, tmp_path, settings={"messages_per_second": 40}).living() as house:
        await emulator.ask("limits", **REAL)
        await house.show()

        async def client(number: int) -> None:
            for turn in range(1000):
                name = f"c{number}-{turn}"
                await house.place(house.order(name, -5))
                if turn % 4 == 3:
                    await house.cancel(name)
                if len(await house.asked("place")) >= ORDERS:
                    return

        await asyncio.gather(*map(client, range(CLIENTS)))
        await house.place_waiting()
        await house.until("nothing is under way", lambda: not any(order.pending for order in house.working()))
        used = await emulator.ask("used")
        assert (used["violations"], used["most"] <= 50) == (0, True), used
        assert not await emulator.doubled()
        for name in house.names:
            order = house.stands(name)
            if order.state is OrderState.REJECTED:
                assert order.reject_reason is ErrorReason.NOT_SENT
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
