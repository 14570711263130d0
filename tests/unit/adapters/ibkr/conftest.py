"""The emulator, and an adapter that is connected to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.emulators.client import Emulator
from tests.unit.adapters.ibkr.house import Account, emulator


@pytest.fixture
async def venue() -> AsyncIterator[Emulator]:
    """The emulator as it is at its beginning."""
    venue = emulator()
    await venue.reset()
    yield venue
    await venue.reset()


@pytest.fixture
async def account(venue: Emulator) -> AsyncIterator[Account]:
    """An adapter that is connected to it."""
    async with Account(venue.port) as account:
        yield account
