"""An emulated TWS, and a gateway with an account at it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.emulators.client import Emulator
from tests.faults.fixtures import emulator, ended_emulators
from tests.faults.house import House
from tests.faults.venues import IBKR, Venue

__all__ = ["emulator", "ended_emulators"]


@pytest.fixture
def venue() -> Venue:
    """Interactive Brokers."""
    return IBKR


@pytest.fixture
async def tws(emulator: Emulator, venue: Venue) -> Emulator:
    """The TWS, with a new account and a market, for a client other than the gateway."""
    await emulator.reset(venue.balances)
    await emulator.ask("limits", **venue.no_limits)
    price = venue.price
    await emulator.show(venue.symbol, [(price - venue.tick, 10_000)], [(price + venue.tick, 10_000)])
    return emulator


@pytest.fixture
async def house(venue: Venue, emulator: Emulator, tmp_path: Path) -> AsyncIterator[House]:
    """A gateway, connected, with a market."""
    async with House(venue, emulator, tmp_path).living() as house:
        await house.show()
        yield house
