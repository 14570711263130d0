"""The gateway at every version of the protocol that a TWS may speak."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.domain.commands import OrderRef, ReplaceOrder, Request
from brokergate.domain.orders import OrderState
from tests.emulators.client import Emulator
from tests.faults.house import ACCOUNT, House
from tests.faults.venues import Venue


@pytest.mark.parametrize("version", [157, 164, 176, 178])
async def test_from_the_order_to_the_position(venue: Venue, tmp_path: Path, version: int) -> None:
    """Placed, changed, filled in part, cancelled, and all of it known after a lost connection."""
    async with (
        Emulator.start("tws", "--server-version", str(version)) as emulator,
        House(venue, emulator, tmp_path).living() as house,
    ):
        await house.show()
        await house.place(house.order("takes", 2, lots=2))
        await house.becomes("takes", OrderState.FILLED)
        await house.place(house.order("rests", -5, lots=9))
        await house.becomes("rests", OrderState.NEW)
        change = ReplaceOrder(ACCOUNT, OrderRef(client_order_id="rests"), 1, limit_price=house.at(-3))
        request = Request("change", "ReplaceOrder", b"body", lambda result: repr(result).encode())
        await house.gateway.replace_order(change, request)
        await house.others_sell(2)
        await house.becomes("rests", OrderState.PARTIALLY_FILLED)
        await emulator.drop_streams()
        await house.until("the loss is seen", lambda: not house.connected())
        await house.until("connected", house.connected)
        await house.cancel("rests")
        order = await house.becomes("rests", OrderState.CANCELED)
        assert (order.cum_quantity, order.generation) == (Decimal(2), 2)
        await house.settled()
        await house.read_position()
        assert house.evidence.readings == [Decimal(4)]
        (logon, *_) = await house.asked("logon")
        # ib_insync speaks 176 at the most.
        assert logon["parameters"]["version"] in (version, 176)
        assert not [entry for entry in await emulator.log() if entry["parameters"].get("unread")]
