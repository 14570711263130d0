"""Pain 7: Binance's listen key expires, and since February 2026 is gone: HTTP 410."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.emulators.client import Emulator
from tests.faults.house import House
from tests.faults.venues import BINANCE, Venue


@pytest.fixture
def venue() -> Venue:
    """Binance alone has one."""
    return BINANCE


async def test_the_private_stream_needs_no_listen_key(
    venue: Venue, emulator: Emulator, tmp_path: Path
) -> None:
    """It is subscribed to by signature over the WebSocket API, also after it was cut."""
    async with House(venue, emulator, tmp_path).living() as house:
        await emulator.drop_streams()
        await house.until("the connection is lost", lambda: not house.connected())
        await house.until("connected", house.connected)
        names = [entry["name"] for entry in await emulator.log()]
        assert not [name for name in names if "userDataStream" in name and "subscribe" not in name]
        assert sum("userDataStream.subscribe.signature" in name for name in names) >= 2
