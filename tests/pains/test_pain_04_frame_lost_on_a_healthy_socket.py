"""Pain 4: a frame is lost while the connection stands and heartbeats come."""

from __future__ import annotations

from brokergate.domain.orders import OrderState
from tests.faults.house import House


async def test_a_fill_that_no_frame_told_is_found_by_the_poll(house: House) -> None:
    """Nothing on the socket is wrong, and nothing is reconnected by the test: the poll finds it."""
    await house.place(house.order("quiet", -3, lots=3))
    await house.becomes("quiet", OrderState.NEW)
    await house.emulator.fault("lose_frame", on="orders", count=100)
    await house.others_sell()
    await house.becomes("quiet", OrderState.FILLED)
    assert (await house.emulator.injected())["lose_frame"] >= 3
    assert sum(event.HasField("fill") for event in house.events()) == len(await house.emulator.fills())
