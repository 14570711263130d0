"""Trap 1: a message with an order's own id, and the library says Cancelled while the order lives."""

from __future__ import annotations

import pytest

from brokergate.domain.commands import OrderRef, ReplaceOrder, Request
from brokergate.domain.errors import GatewayError
from brokergate.domain.orders import OrderState
from tests.emulators.client import Emulator
from tests.faults.house import ACCOUNT, House
from tests.ibkr.library import connected, limit, until

EVERYWHERE = (10349, 161, 10148, 10311)
"""By which both libraries are taken in; ib_insync by 105 as well."""
CODES = (*EVERYWHERE, 105, 201, 110, 329, 10147, 399, 404, 99_999)


def states(house: House, name: str) -> list[OrderState]:
    """All that was ever told of an order."""
    return [
        OrderState(event.order.order.state)
        for event in house.events()
        if event.HasField("order") and event.order.order.client_order_id == name
    ]


async def message(house: House, name: str, code: int) -> None:
    """The TWS says something with the order's id, which does not touch the order."""
    await house.emulator.ask("message", code=code, client_order_id=house.ids.venue_id(name, 1))


@pytest.mark.parametrize("code", EVERYWHERE)
async def test_the_library_takes_it_for_the_end(tws: Emulator, code: int) -> None:
    async with connected(tws) as ib:
        trade = await limit(ib, 90)
        await until("it works", lambda: trade.orderStatus.status == "Submitted")
        await tws.fault("error_storm", code=code, orders=True, times=1)
        await until("the library calls it ended", lambda: trade.orderStatus.status == "Cancelled")
        (shown,) = await tws.orders()
        assert shown["state"] == "NEW"


@pytest.mark.parametrize("code", CODES)
async def test_the_gateway_does_not(house: House, code: int) -> None:
    """The order stays as it was proven, and its fill is booked on it."""
    await house.place(house.order("lives", -3))
    await house.becomes("lives", OrderState.NEW)
    await message(house, "lives", code)
    await house.pause(0.3)
    assert house.stands("lives").state is OrderState.NEW
    await house.others_sell()
    await house.becomes("lives", OrderState.FILLED)
    assert not {OrderState.CANCELED, OrderState.REJECTED} & set(states(house, "lives"))


async def test_a_warning_beside_a_new_order_is_not_its_end(house: House) -> None:
    """10349 as it comes: the order's time in force was changed by a preset, and the order works."""
    await house.emulator.fault("error", on="place", code=10349, accept=True)
    await house.place(house.order("preset", -3))
    await house.becomes("preset", OrderState.NEW)
    await house.others_sell()
    await house.becomes("preset", OrderState.FILLED)


@pytest.mark.parametrize("code", [161, 10148])
async def test_a_cancel_that_is_refused_is_not_the_end(house: House, code: int) -> None:
    await house.place(house.order("stays", -3))
    await house.becomes("stays", OrderState.NEW)
    await house.emulator.fault("error", on="cancel", code=code)
    await house.cancel("stays")
    await house.until("nothing is under way", lambda: not house.stands("stays").pending)
    assert house.stands("stays").state in (OrderState.NEW, OrderState.CANCELED)
    (shown,) = await house.emulator.orders()
    assert shown["state"] == house.stands("stays").state.name


@pytest.mark.parametrize("code", [201, 105, 110])
async def test_a_change_that_is_refused_leaves_the_order(house: House, code: int) -> None:
    await house.place(house.order("kept", -3, lots=2))
    await house.becomes("kept", OrderState.NEW)
    await house.emulator.fault("error", on="replace", code=code)
    change = ReplaceOrder(ACCOUNT, OrderRef(client_order_id="kept"), 1, limit_price=house.at(-2))
    with pytest.raises(GatewayError):
        await house.gateway.replace_order(change, _request())
    now = house.stands("kept")
    assert (now.state, now.generation, now.spec.limit_price) == (OrderState.NEW, 1, house.at(-3))
    await house.others_sell()
    await house.becomes("kept", OrderState.FILLED)


async def test_the_library_takes_a_refused_change_for_the_end(tws: Emulator) -> None:
    async with connected(tws) as ib:
        trade = await limit(ib, 90)
        await until("it works", lambda: trade.orderStatus.status == "Submitted")
        await tws.fault("error", on="replace", code=201, text="Order rejected - reason:not now")
        trade.order.lmtPrice = 91.0
        ib.placeOrder(trade.contract, trade.order)
        wanted = {"Cancelled", "ValidationError", "Inactive"}
        await until("the library calls it ended", lambda: trade.orderStatus.status in wanted)
        (shown,) = await tws.orders()
        assert shown["state"] == "NEW"


def _request() -> Request:
    return Request("change", "ReplaceOrder", b"body", lambda result: repr(result).encode())
