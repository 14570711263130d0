"""Trap 11: to change an order that is done is sent all the same, before the library objects."""

from __future__ import annotations

import pytest

from brokergate.domain.commands import OrderRef, ReplaceOrder, Request
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import OrderState
from tests.emulators.client import Emulator
from tests.faults.house import ACCOUNT, House
from tests.ibkr.library import connected, limit, until


async def orders_sent(venue: Emulator) -> int:
    """How many messages that place or change an order came."""
    return sum(entry["name"] == "placeOrder" for entry in await venue.log())


async def test_the_library_sends_it(tws: Emulator) -> None:
    async with connected(tws) as ib:
        trade = await limit(ib, 195)
        await until("it is filled", trade.isDone)
        before = await orders_sent(tws)
        with pytest.raises(AssertionError):
            ib.placeOrder(trade.contract, trade.order)
        await ib.reqCurrentTimeAsync()
        assert await orders_sent(tws) == before + 1


@pytest.mark.parametrize("end", [OrderState.FILLED, OrderState.CANCELED])
async def test_the_gateway_does_not(house: House, end: OrderState) -> None:
    await house.place(house.order("done", 2 if end is OrderState.FILLED else -3))
    await house.settled()
    if end is OrderState.CANCELED:
        await house.cancel("done")
    await house.becomes("done", end)
    before = await orders_sent(house.emulator)
    change = ReplaceOrder(ACCOUNT, OrderRef(client_order_id="done"), 1, limit_price=house.at(-2))
    request: Request = Request("c", "ReplaceOrder", b"body", lambda result: repr(result).encode())
    with pytest.raises(GatewayError) as refused:
        await house.gateway.replace_order(change, request)
    assert refused.value.reason is ErrorReason.ORDER_ENDED
    await house.broker.list_open_orders()
    assert await orders_sent(house.emulator) == before
