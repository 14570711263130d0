"""Trap 12: an order has no number until it is acknowledged, and what other clients do raises no event."""

from __future__ import annotations

from typing import Any

import pytest

from brokergate.domain.orders import OrderState
from tests.emulators.client import Emulator
from tests.faults.house import House
from tests.ibkr.library import SHORT_S, connected, limit, until

OLD, NEW = 25, 15
"""More than the ids that a connection takes for its own questions: some would meet."""


async def test_the_library_has_no_number_and_no_event(tws: Emulator) -> None:
    told: list[Any] = []
    async with connected(tws) as ib:
        ib.execDetailsEvent += lambda trade, fill: told.append(fill)
        trade = await limit(ib, 90)
        assert trade.order.permId == 0
        await until("it has one", lambda: trade.order.permId)
        await tws.add_fill("AAPL", "buy", 5, 190)
        assert len(await ib.reqExecutionsAsync()) == 1
        assert told == []


async def test_orders_are_known_by_their_number(house: House) -> None:
    """What the journal has as the broker's id is TWS's permanent number; never nought, never the session's id."""
    for number in range(3):
        await house.place(house.order(f"n{number}", -3 - number))
    await house.settled()
    at_venue = {
        order["client_order_id"]: str(order["native"]["perm_id"]) for order in await house.emulator.orders()
    }
    for name in house.names:
        assert house.stands(name).broker_order_id == at_venue[house.ids.venue_id(name, 1)]


async def test_what_others_do_is_booked(house: House) -> None:
    """Somebody at TWS's own window: their fills, their order, and the position."""
    lot = house.venue.lot
    await house.emulator.add_fill(house.venue.symbol, "buy", lot * 3, house.venue.price)
    await house.emulator.add_order(house.venue.symbol, "buy", lot, house.at(-5))
    await house.until("their order is seen", lambda: len(house.working()) == 1)
    await house.settled()
    await house.read_position()
    assert house.evidence.readings == [lot * 3]
    assert not [event for event in house.events() if event.HasField("discrepancy")]


async def test_what_others_do_is_no_sign_of_a_stream_that_is_mute(house: House) -> None:
    """TWS tells it to nobody who does not ask: the connection, which all accounts of the login share, goes on."""
    await house.emulator.add_order(
        house.venue.symbol, "buy", house.venue.lot, house.at(-5), client_order_id="x"
    )
    await house.until("their order is seen", lambda: len(house.working()) == 1)
    await house.emulator.cancel("x")
    await house.emulator.add_fill(house.venue.symbol, "buy", house.venue.lot * 3, house.venue.price)
    await house.until("its end is seen", lambda: not house.working())
    await house.pause(2.5)
    assert len([entry for entry in await house.emulator.log() if entry["kind"] == "logon"]) == 1
    assert not [event for event in house.events() if event.HasField("gap")]


@pytest.mark.parametrize("roll_back", [True, False])
async def test_order_ids_that_begin_anew_meet_no_order(house: House, roll_back: bool) -> None:
    """After a restart TWS gives out order ids that working orders have: an order under one of them would change
    another. Every order is its own, and a cancel reaches the one that is meant."""
    for number in range(OLD):
        await house.place(house.order(f"old{number}", -3 - number % 5))
    await house.settled()
    await house.emulator.fault("restart", seconds=0.2, roll_back=roll_back)
    await house.until("the loss is seen", lambda: not house.connected())
    await house.until("connected", house.connected)
    for number in range(NEW):
        await house.place(house.order(f"new{number}", -3 - number % 5, lots=2))
    await house.place_waiting()
    await house.settled()
    await house.cancel("old1")
    await house.becomes("old1", OrderState.CANCELED)
    states = {order["client_order_id"]: order["state"] for order in await house.emulator.orders()}
    for name in house.names:
        wanted = "CANCELED" if name == "old1" else "NEW"
        assert (states[house.ids.venue_id(name, 1)], house.stands(name).state.name) == (wanted, wanted)
        assert house.stands(name).quantity == house.venue.lot * (2 if name.startswith("new") else 1)
    assert not await house.asked("replace")
    await house.pause(SHORT_S)
