"""Pain 8: a venue restarts; orders of that second vanish, ids are given again, and health says that all is well."""

from __future__ import annotations

import asyncio

from brokergate.domain.orders import OrderState
from tests.faults.house import ACCOUNT, House


async def test_orders_of_a_restart_become_known_and_health_tells_of_it(house: House) -> None:
    """Orders that are sent while the venue goes are known in the end, each sent once under an id of its own; while the
    venue is away its account is not healthy."""
    await house.place(house.order("before", -3))
    await house.emulator.fault("restart", seconds=1.0)
    unhealthy = asyncio.create_task(house.until("unhealthy", lambda: not house.gateway.brokers()[0].healthy))
    for number in range(6):
        await house.place(house.order(f"during-{number}", -4))
        await house.pause(0.02)
    await unhealthy
    await house.until("connected", house.connected)
    await house.place_waiting()
    await house.settled()
    for name in house.names:
        assert len(await house.asked("place", name)) <= 1
        assert house.stands(name).state in (OrderState.NEW, OrderState.REJECTED)
    states = {name: house.stands(name).state for name in house.names}
    at_venue = {order["client_order_id"] for order in await house.emulator.orders()}
    for name, state in states.items():
        assert (house.ids.venue_id(name, 1) in at_venue) is (state is OrderState.NEW), name
    assert house.gateway.account(ACCOUNT).connection.last_data_ns
