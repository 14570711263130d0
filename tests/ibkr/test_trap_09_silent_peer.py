"""Trap 9: a peer that is gone without a word stays connected."""

from __future__ import annotations

import asyncio

import pytest

from brokergate.domain.orders import OrderState
from tests.emulators.client import Emulator
from tests.faults.house import House
from tests.ibkr.library import SHORT_S, connected


async def test_the_library_stays_connected(tws: Emulator) -> None:
    async with connected(tws) as ib:
        await tws.fault("half_open")
        await asyncio.sleep(2 * SHORT_S)
        assert ib.isConnected()


@pytest.mark.parametrize("fault", ["half_open", "mute"])
async def test_the_gateway_finds_it(house: House, fault: str) -> None:
    """In the time that the configuration gives a quiet connection, and the probe; and takes up what it missed."""
    await house.place(house.order("fills", -3, lots=3))
    await house.settled()
    await house.emulator.fault(fault)
    await house.others_sell()
    await house.until("the loss is seen", lambda: not house.connected())
    await house.emulator.clear_faults()
    await house.until("connected", house.connected)
    await house.becomes("fills", OrderState.FILLED)


async def test_an_order_into_the_silence_is_unknown_and_then_known(house: House) -> None:
    """Sent before anybody knew: never sent again, and found."""
    await house.emulator.fault("half_open")
    placed = await house.place(house.order("lost", -3))
    assert placed is None or placed.order.state in (OrderState.PENDING_NEW, OrderState.REJECTED)
    await house.until("the loss is seen", lambda: not house.connected())
    await house.until("connected", house.connected)
    await house.until("it is known", lambda: not house.working() or not house.stands("lost").pending)
    assert len(await house.asked("place", "lost")) <= 1
