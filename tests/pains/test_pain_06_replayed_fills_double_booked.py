"""Pain 6: a broker tells a fill again, and it is booked again."""

from __future__ import annotations

from brokergate.domain.orders import OrderState
from tests.faults.house import House


async def test_a_fill_is_booked_once_however_often_it_is_told(house: House) -> None:
    """Each frame comes twice, the connection is lost and fills are asked for again: one booking each."""
    await house.place(house.order("replayed", -3, lots=3))
    await house.becomes("replayed", OrderState.NEW)
    await house.emulator.fault("duplicate_frames", on="orders", count=100)
    await house.others_sell()
    await house.becomes("replayed", OrderState.FILLED)
    for _ in range(2):
        await house.emulator.drop_streams()
        await house.until("the connection is lost", lambda: not house.connected())
        await house.until("connected", house.connected)
    await house.settled()
    booked = [event.fill.fill for event in house.events() if event.HasField("fill")]
    keys = {(fill.broker_order_id, fill.broker_execution_id) for fill in booked}
    assert len(booked) == len(keys) == len(await house.emulator.fills())
    assert house.stands("replayed").cum_quantity == house.venue.lot * 3
