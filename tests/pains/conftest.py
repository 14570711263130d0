"""A gateway at each broker's emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.emulators.client import Emulator
from tests.faults.fixtures import emulator, ended_emulators, venue
from tests.faults.house import House
from tests.faults.venues import Venue

__all__ = ["emulator", "ended_emulators", "venue"]


@pytest.fixture
async def house(venue: Venue, emulator: Emulator, tmp_path: Path) -> AsyncIterator[House]:
    """One, connected, with a market."""
    async with House(venue, emulator, tmp_path).living() as house:
        await house.show()
        yield house
