"""Trap 7: an execution that is asked for again has cost nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.domain.orders import OrderState
from tests.emulators.client import Emulator
from tests.faults.house import House
from tests.ibkr.library import connected, limit, until


async def test_the_library_says_nought(tws: Emulator) -> None:
    async with connected(tws) as ib:
        await limit(ib, 195)
        await until("its cost is known", lambda: any(fill.commissionReport.commission for fill in ib.fills()))
        (again,) = await ib.reqExecutionsAsync()
        assert again.commissionReport.commission == 0


async def costs(house: House) -> dict[str, tuple[Decimal, ...] | None]:
    """What each execution cost by the journal; None for what is not known."""
    found: dict[str, tuple[Decimal, ...] | None] = {}
    names = {}
    for event in house.events():
        if event.HasField("fill"):
            fill = event.fill.fill
            names[fill.fill_id] = fill.broker_execution_id
            known = tuple(Decimal(fee.amount) for fee in fill.fees)
            found[fill.broker_execution_id] = known if fill.fees_final else None
        elif event.HasField("fill_fees"):
            told = event.fill_fees
            found[names[told.fill_id]] = tuple(Decimal(fee.amount) for fee in told.fees)
    return found


async def charged(house: House) -> dict[str, tuple[Decimal, ...] | None]:
    """What each has cost by the TWS."""
    return {fill["execution_id"]: (Decimal(fill["fee"]),) for fill in await house.emulator.fills()}


async def test_the_gateway_asks_again_and_keeps_what_it_knows(house: House) -> None:
    for number in range(3):
        await house.place(house.order(f"n{number}", 2, lots=number + 1))
    await house.settled()
    await house.until("polled", lambda: len(house.events()) > 0)
    first = await house.broker.list_fills("")
    again = await house.broker.list_fills("")
    assert [fill.fees for fill in again.fills] == [fill.fees for fill in first.fills]
    assert await costs(house) == await charged(house)
    await house.emulator.drop_streams()
    await house.until("the loss is seen", lambda: not house.connected())
    await house.until("connected", house.connected)
    await house.settled()
    assert await costs(house) == await charged(house)


@pytest.mark.parametrize("outage", [False, True])
async def test_costs_that_come_late_are_joined(house: House, outage: bool) -> None:
    """Over a lost connection too; until then nobody says that it cost nothing."""
    await house.emulator.fault("late_commission", seconds=1.0)
    await house.place(house.order("late", 2))
    await house.becomes("late", OrderState.FILLED)
    assert {event.fill.fill.fees_final for event in house.events() if event.HasField("fill")} == {False}
    if outage:
        await house.emulator.drop_streams()
        await house.until("the loss is seen", lambda: not house.connected())
    wanted = await charged(house)
    for _ in range(200):
        if await costs(house) == wanted:
            break
        await house.pause(0.05)
    assert await costs(house) == wanted
