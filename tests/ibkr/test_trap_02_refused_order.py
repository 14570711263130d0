"""Trap 2: a refused order is Cancelled and then Inactive, and stays among the open ones for ever."""

from __future__ import annotations

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import OrderState
from tests.emulators.client import Emulator
from tests.faults.house import House
from tests.ibkr.library import connected, limit, until

FUNDS = "Order rejected - reason:Your Available Funds are insufficient."


async def test_the_library_leaves_it_open(tws: Emulator) -> None:
    async with connected(tws) as ib:
        await tws.ask("reject", symbol="AAPL", code=201, text=FUNDS)
        trade = await limit(ib, 90)
        await until("it is refused", lambda: trade.orderStatus.status == "Inactive")
        statuses = [entry.status for entry in trade.log]
        assert "Cancelled" in statuses or "ValidationError" in statuses or not trade.isDone()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (FUNDS, ErrorReason.INSUFFICIENT_FUNDS),
        ("Order rejected - reason:Exchange is closed.", ErrorReason.MARKET_CLOSED),
        ("Order rejected - reason:no such thing", ErrorReason.BROKER_REJECTED),
    ],
)
async def test_the_gateway_says_rejected_once(house: House, text: str, reason: ErrorReason) -> None:
    """By the venue's own reason; nothing works afterwards, and the next order is taken."""
    await house.emulator.ask("reject", symbol=house.venue.symbol, code=201, text=text)
    placed = await house.place(house.order("refused", -3))
    assert placed is not None
    assert (placed.order.state, placed.order.reject_reason) == (OrderState.REJECTED, reason)
    await house.emulator.ask("reject", symbol=house.venue.symbol, code=0)
    assert house.working() == []
    await house.place(house.order("taken", -3))
    await house.becomes("taken", OrderState.NEW)
    ends = [
        event
        for event in house.events()
        if event.HasField("order") and OrderState(event.order.order.state) is OrderState.REJECTED
    ]
    assert len(ends) == 1
