"""Pain 1: a timeout is treated as a failure, the order is sent again, and there are two."""

from __future__ import annotations

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import OrderState
from tests.faults.house import House

REPEATS = 4


@pytest.mark.parametrize("how", ["cut", "hang"])
async def test_an_order_whose_answer_was_lost_is_sent_once(house: House, how: str) -> None:
    """However often the client repeats, the venue is asked once; the order is found by its own id."""
    await house.emulator.fault("answer_lost_after_accept", on="place", how=how)
    await house.emulator.fault("lose_frame", on="orders", count=3)
    command = house.order("lost", -3)
    for _ in range(REPEATS):
        await house.place(command)
    await house.becomes("lost", OrderState.NEW)
    assert len(await house.asked("place", "lost")) == 1
    assert not await house.emulator.doubled()


async def test_a_look_alike_is_not_taken_for_the_lost_order(house: House) -> None:
    """An order that the venue never got ends REJECTED, though an older one is like it in everything but its id."""
    await house.place(house.order("older", -3))
    await house.emulator.fault("answer_lost_before_accept", on="place")
    await house.place(house.order("newer", -3))
    lost = await house.becomes("newer", OrderState.REJECTED)
    assert lost.reject_reason is ErrorReason.NOT_SENT
    assert (await house.becomes("older", OrderState.NEW)).broker_order_id
    assert len(await house.asked("place")) == 2
