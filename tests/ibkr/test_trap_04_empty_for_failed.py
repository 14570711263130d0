"""Trap 4: a question that is refused is answered with an empty list."""

from __future__ import annotations

import pytest

from brokergate.domain.errors import BrokerError
from tests.emulators.client import Emulator
from tests.faults.house import House
from tests.ibkr.library import connected, library


async def test_the_library_says_that_there_is_nothing(tws: Emulator) -> None:
    await tws.add_fill("AAPL", "buy", 5, 190)
    async with connected(tws) as ib:
        assert not ib.RaiseRequestErrors
        await tws.fault("error", on="fills", code=320, text="no")
        assert await ib.reqExecutionsAsync() == []
        await tws.fault("error", on="instruments", code=320, text="no")
        assert await ib.reqContractDetailsAsync(library().Stock("AAPL", "SMART", "USD")) == []


@pytest.mark.parametrize("query", ["positions", "open_orders", "fills", "account"])
async def test_the_gateway_says_that_it_failed(house: House, query: str) -> None:
    """The broker raises; the engine takes nothing for gone."""
    await house.place(house.order("held", 2, lots=2))
    await house.place(house.order("rests", -3))
    await house.settled()
    ask = {
        "positions": house.broker.get_positions,
        "open_orders": house.broker.list_open_orders,
        "fills": lambda: house.broker.list_fills(""),
        "account": house.broker.get_account_info,
    }[query]
    # A poll of the gateway's own may ask first.
    await house.emulator.fault(
        "error", on=query, code=321, text="Error validating request.-'b' : cause - no", count=5
    )
    with pytest.raises(BrokerError):
        await ask()
    await house.emulator.clear_faults()
    await house.until("connected", house.connected)
    await house.settled()
    assert [order.client_order_id for order in house.working()] == ["rests"]
    assert not [event for event in house.events() if event.HasField("discrepancy")]
    await house.read_position()
    assert house.evidence.readings[-1] == house.venue.lot * 2
