"""Trap 6: a fill during an outage raises no event when the connection is back."""

from __future__ import annotations

from typing import Any

import pytest

from brokergate.domain.fills import FillOrigin
from brokergate.domain.orders import OrderState
from tests.emulators.client import Emulator
from tests.faults.house import House
from tests.ibkr.library import connected, library, limit, until


async def test_the_library_tells_nobody(tws: Emulator) -> None:
    told: list[Any] = []
    async with connected(tws) as ib:
        await limit(ib, 180)
        await until("it works", ib.openTrades)
    await tws.show("AAPL", [], [])
    await tws.trade("AAPL", 179, 5, "sell")
    again = library().IB()
    again.execDetailsEvent += lambda trade, fill: told.append(fill)
    again.newOrderEvent += told.append
    await again.connectAsync("127.0.0.1", tws.port, clientId=7, timeout=4)
    try:
        assert (len(again.fills()), told) == (1, [])
    finally:
        again.disconnect()


@pytest.mark.parametrize("outage", ["cut", "half open", "restart", "line to IB"])
async def test_the_gateway_books_them(house: House, outage: str) -> None:
    """Once, as caught up, before it says that it is connected."""
    await house.place(house.order("fills", -3, lots=3))
    await house.place(house.order("part", -2, lots=9))
    await house.settled()
    emulator = house.emulator
    if outage == "half open":
        await emulator.fault("half_open")
        await house.others_sell()
        await house.until("the loss is seen", lambda: not house.connected())
    elif outage == "line to IB":
        await emulator.fault("connectivity", state="lost")
        await house.until("the loss is seen", lambda: not house.connected())
        await house.others_sell()
        await emulator.fault("connectivity", state="restored")
    else:
        await emulator.fault("maintenance")
        await emulator.drop_streams()
        await house.until("the loss is seen", lambda: not house.connected())
        await house.others_sell()
        await emulator.clear_faults()
        if outage == "restart":
            await emulator.restart()
    await house.until("connected", house.connected)
    await house.settled()
    executed = await emulator.fills()
    booked = [event.fill.fill for event in house.events() if event.HasField("fill")]
    assert sorted(fill.broker_execution_id for fill in booked) == sorted(
        fill["execution_id"] for fill in executed
    )
    assert executed
    assert {FillOrigin(fill.origin) for fill in booked} == {FillOrigin.BACKFILL}
    assert house.stands("part").state is OrderState.PARTIALLY_FILLED
