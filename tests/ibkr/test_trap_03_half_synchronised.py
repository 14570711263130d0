"""Trap 3: to connect succeeds though parts of what is asked for then never came."""

from __future__ import annotations

import asyncio

import pytest

from brokergate.domain.accounts import ConnectionState
from brokergate.domain.orders import OrderState
from tests.emulators.client import Emulator
from tests.faults.house import ACCOUNT, House
from tests.ibkr.library import SHORT_S, connected

PARTS = ("positions", "open_orders", "fills", "account")


@pytest.mark.parametrize("part", ["positions", "open_orders"])
async def test_the_library_is_content(tws: Emulator, part: str) -> None:
    """A position is held and an order works; it shows neither, and says that it is connected."""
    await tws.add_fill("AAPL", "buy", 5, 190)
    await tws.add_order("AAPL", "buy", 1, 90)
    await tws.fault("answer_lost_before_accept", on=part, count=10, how="hang")
    async with connected(tws, timeout_s=SHORT_S) as ib:
        assert ib.isConnected()
        assert (ib.positions() if part == "positions" else ib.openTrades()) == []


@pytest.mark.parametrize("part", PARTS)
async def test_the_gateway_is_not(house: House, part: str) -> None:
    """It is CONNECTED when all of it came, not before; what it had stays as it was."""
    await house.place(house.order("held", 2, lots=2))
    await house.place(house.order("rests", -3))
    await house.settled()
    await house.emulator.fault("answer_lost_before_accept", on=part, count=1000, how="hang")
    await house.emulator.drop_streams()
    await house.until("the loss is seen", lambda: not house.connected())
    asked = len(await house.asked(part))
    async with asyncio.timeout(20):
        while len(await house.asked(part)) < asked + 2:
            assert not house.connected()
            await house.read_position()
            await house.pause(0.05)
    connection = house.gateway.account(ACCOUNT).connection
    assert connection.state is not ConnectionState.CONNECTED
    # What was known is shown as stale; a part that did not come is never shown as nothing.
    assert set(house.evidence.readings) <= {None, house.venue.lot * 2}
    assert house.evidence.readings
    assert house.stands("rests").state is OrderState.NEW
    await house.emulator.clear_faults()
    await house.until("connected", house.connected)
    assert not [event for event in house.events() if event.HasField("discrepancy")]
    await house.settled()
