"""One gateway for all the tests that refuse to change it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from brokergate.v1.simulator_pb2 import PushMarketDataRequest
from tests.e2e.badinput.caller import Caller
from tests.e2e.badinput.house import PLAY, SEALED, SPARE, STALE, House, expect_ok, furnish
from tests.e2e.badinput.valid import Scene, pushed_book
from tests.e2e.process import tracebacks


async def _furnish(house: House) -> None:
    async with house.caller() as caller:
        for account in (SEALED, PLAY, SPARE):
            await furnish(caller, Scene(account=account))
        stale = PushMarketDataRequest(account_id=STALE, updates=[pushed_book()])
        await expect_ok(caller, "PushMarketData", stale)


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gateway with the accounts and tokens of `house`, its scene set."""
    house = House(tmp_path_factory.mktemp("house"))
    try:
        asyncio.run(_furnish(house))
        yield house
        assert house.server.running, f"the server ended:\n{house.server.log}"
        assert tracebacks(house.server.log) == []
    finally:
        house.server.close()


@pytest.fixture
async def caller(house: House) -> AsyncIterator[Caller]:
    """A connection to it with every right."""
    async with house.caller() as caller:
        yield caller
