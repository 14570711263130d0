"""One emulator for all tests of this folder, a new login and market for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from tests.emulators.client import Emulator
from tests.emulators.tws.raw import Raw

Connect = Callable[..., Awaitable[Raw]]


@pytest.fixture(scope="session")
def process() -> Iterator[Emulator]:
    """The process: the newest version, two accounts."""
    emulator = Emulator.start("tws", "--server-version", "178", "--accounts", "DU1,DU2")
    yield emulator
    emulator.close()


@pytest.fixture
def venue(process: Emulator) -> Emulator:
    """A new login with 1,000,000 USD in each account, and the market as it is at first."""
    process.do("reset")
    return process


@pytest.fixture
async def connect(venue: Emulator) -> AsyncIterator[Connect]:
    """Makes connections that end with the test."""
    opened: list[Raw] = []

    async def start(client_id: int = 1, versions: str = "v157..178") -> Raw:
        raw = await Raw.start(venue, client_id, versions)
        opened.append(raw)
        return raw

    yield start
    for raw in opened:
        await raw.close()


@pytest.fixture
async def raw(connect: Connect) -> Raw:
    """A connection as client 1."""
    return await connect()
