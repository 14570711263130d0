"""Pain 3: what filled while the connection was away is never told."""

from __future__ import annotations

from brokergate.domain.orders import OrderState
from brokergate.v1 import broker_pb2, enums_pb2
from tests.faults.house import House


async def test_fills_of_the_gap_are_booked_before_the_account_is_connected(house: House) -> None:
    """The fills come as BACKFILL, and their events stand before the connection's."""
    await house.place(house.order("gap", -3, lots=3))
    await house.becomes("gap", OrderState.NEW)
    await house.emulator.fault("maintenance")
    await house.until("the connection is lost", lambda: not house.connected())
    before = len(house.events())
    await house.others_sell()
    await house.emulator.clear_faults()
    await house.becomes("gap", OrderState.FILLED)
    await house.until("connected", house.connected)
    since = house.events()[before:]
    fills = [event for event in since if event.HasField("fill")]
    assert {event.fill.fill.origin for event in fills} == {enums_pb2.FILL_ORIGIN_BACKFILL}
    connected = next(
        event.sequence
        for event in since
        if event.HasField("connection") and event.connection.state == broker_pb2.CONNECTION_STATE_CONNECTED
    )
    assert max(event.sequence for event in fills) < connected
    assert len(fills) == len(await house.emulator.fills())
