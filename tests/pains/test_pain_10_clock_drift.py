"""Pain 10: the machine's clock drifts from the venue's, and requests are refused for their timestamp."""

from __future__ import annotations

from functools import partial

import pytest

from brokergate.domain.orders import OrderState
from tests.faults.house import House


@pytest.mark.parametrize("ms", [2000, -2000])
async def test_a_clock_that_is_two_seconds_off_costs_no_order(house: House, ms: int) -> None:
    """The offset is measured again after a refusal; what was refused for its time alone is no lost order, and trading
    goes on, fast clock or slow."""
    await house.emulator.fault("clock_off", ms=ms)
    for number in range(3):
        name = f"late-{number}"
        await house.place(house.order(name, -3))
        await house.until(f"{name} is known", partial(_is_known, house, name))
    await house.place_waiting()
    await house.place(house.order("then", -3))
    await house.becomes("then", OrderState.NEW)
    assert not await house.emulator.doubled()


def _is_known(house: House, name: str) -> bool:
    return name in house.waiting or not house.stands(name).pending
