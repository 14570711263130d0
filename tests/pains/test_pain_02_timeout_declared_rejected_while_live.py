"""Pain 2: a timeout, or an error that proves nothing, is told as a rejection while the order lives."""

from __future__ import annotations

import pytest

from brokergate.domain.orders import OrderState, PendingActionKind
from brokergate.v1 import event_pb2
from tests.faults.house import House


@pytest.mark.parametrize("code", [500, 502, 503, 504])
async def test_an_order_that_lives_is_never_told_rejected(house: House, code: int) -> None:
    """The venue carries it out and answers with an error: it is uncertain until the venue shows it, then it works."""
    # What a TWS says has no status; to its messages these numbers are codes that prove nothing.
    kind = "status" if "rest" in house.venue.transports else "error"
    await house.emulator.fault(kind, on="place", code=code, accept=True)
    await house.emulator.fault("lose_frame", on="orders", count=3)
    placed = await house.place(house.order("live", -3))
    assert placed is not None
    action = placed.order.action(PendingActionKind.NEW)
    assert placed.order.state is OrderState.PENDING_NEW
    assert action is not None
    assert action.uncertain
    await house.becomes("live", OrderState.NEW)
    types = [event.order.type for event in house.events() if event.HasField("order")]
    assert event_pb2.ORDER_EVENT_TYPE_REJECTED not in types
    assert event_pb2.ORDER_EVENT_TYPE_UNCERTAIN in types
