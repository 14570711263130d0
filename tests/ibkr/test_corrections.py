"""Executions that IB corrects: told again with the last part of their id one higher."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.domain.fills import FillKind
from brokergate.domain.orders import OrderState
from tests.faults.house import House


@pytest.mark.parametrize("outage", [False, True])
async def test_a_correction_takes_the_place_of_its_execution(house: House, outage: bool) -> None:
    """As it happens, and when it happened while the connection was away: order, position and journal have the new
    price, once."""
    await house.place(house.order("corrected", 2, lots=3))
    await house.becomes("corrected", OrderState.FILLED)
    await house.settled()
    (executed,) = await house.emulator.fills()
    if outage:
        await house.emulator.fault("maintenance")
        await house.emulator.drop_streams()
        await house.until("the loss is seen", lambda: not house.connected())
    price = Decimal(executed["price"]) - 1
    await house.emulator.ask("correct", execution_id=executed["execution_id"], price=price)
    await house.emulator.clear_faults()
    await house.until("connected", house.connected)

    def booked() -> list[tuple[FillKind, Decimal, str]]:
        fills = [event.fill.fill for event in house.events() if event.HasField("fill")]
        return [(FillKind(fill.kind), Decimal(fill.price), fill.corrects_fill_id) for fill in fills]

    await house.until("the correction is booked", lambda: len(booked()) == 2)
    await house.pause(1.0)
    first, second = booked()
    assert first[:2] == (FillKind.NORMAL, price + 1)
    assert second[:2] == (FillKind.CORRECTION, price)
    assert second[2]
    order = house.stands("corrected")
    assert (order.state, order.cum_quantity, order.cum_notional) == (OrderState.FILLED, Decimal(3), 3 * price)
    await house.read_position()
    assert house.evidence.readings == [Decimal(3)]
    assert not [event for event in house.events() if event.HasField("discrepancy")]
