"""Pain 9: each client of a key knows only its own requests, and together they are banned."""

from __future__ import annotations

import asyncio
from pathlib import Path

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import OrderState
from brokergate.domain.policy import AccountPolicy
from tests.emulators.client import Emulator
from tests.faults.house import House
from tests.faults.venues import Settings, Venue

LIMITS: dict[str, Settings] = {
    "alpaca": {"requests_per_minute": 200},
    "binance": {},
    "ibkr": {"messages_per_second": 40},
}
CLIENTS = 10
ORDERS_EACH = 25


async def test_a_hot_loop_of_ten_clients_never_earns_a_refusal(
    venue: Venue, emulator: Emulator, tmp_path: Path
) -> None:
    """The gateway keeps the venue's limits for all of them: what does not fit waits or is refused unsent, the venue
    refuses nothing, and a cancel still passes."""
    async with House(
        venue, emulator, tmp_path, policy=AccountPolicy(), settings=LIMITS[venue.name]
    ).living() as house:
        await house.show()
        await house.place(house.order("first", -5))

        async def client(number: int) -> None:
            for order in range(ORDERS_EACH):
                await house.place(house.order(f"c{number}-{order}", -6))

        await asyncio.gather(*map(client, range(CLIENTS)))
        await house.cancel("first")
        await house.becomes("first", OrderState.CANCELED)
        used = await emulator.ask("used")
        assert used.get("refused", used.get("violations")) == 0
        unsent = {
            house.stands(name).reject_reason
            for name in house.names
            if name not in house.waiting and house.stands(name).state is OrderState.REJECTED
        }
        assert unsent <= {ErrorReason.RATE_LIMITED, ErrorReason.NOT_SENT}
        assert len(await house.asked("place")) > 50
