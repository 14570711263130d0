"""Trap 5: one question asked twice at once, and the first one is never answered."""

from __future__ import annotations

import asyncio

import pytest

from tests.emulators.client import Emulator
from tests.faults.house import House
from tests.ibkr.library import SHORT_S, connected


async def test_the_library_forgets_the_first(tws: Emulator) -> None:
    async with connected(tws) as ib:
        first = asyncio.ensure_future(ib.reqPositionsAsync())
        second = asyncio.ensure_future(ib.reqPositionsAsync())
        done, waiting = await asyncio.wait((first, second), timeout=SHORT_S)
        assert (len(done), len(waiting)) == (1, 1)
        for task in waiting:
            task.cancel()


@pytest.mark.parametrize("times", [2, 7])
async def test_the_gateway_answers_all(house: House, times: int) -> None:
    """Each is answered, and with everything."""
    await house.place(house.order("held", 2, lots=2))
    await house.place(house.order("rests", -3))
    await house.settled()
    async with asyncio.timeout(15):
        positions = await asyncio.gather(*(house.broker.get_positions() for _ in range(times)))
        orders = await asyncio.gather(*(house.broker.list_open_orders() for _ in range(times)))
        found = await asyncio.gather(
            *(house.broker.find_order(house.stands(name)) for name in ("held", "rests") * times)
        )
    assert {len([one for one in each if one.quantity]) for each in positions} == {1}
    assert {tuple(one.client_order_id for one in each) for each in orders} == {("rests",)}
    assert {type(one).__name__ for one in found} == {"Found"}
