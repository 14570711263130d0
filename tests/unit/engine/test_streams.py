"""Streams of events beside the rest of the gateway."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from brokergate.domain.events import ControlChanged, ControlEventType
from brokergate.domain.streams import StartPosition, StreamRequest
from brokergate.engine.streams import BATCH_EVENTS, CaughtUp, EventStreams
from tests.unit.engine.conftest import House


async def test_a_filter_that_lets_nothing_pass_leaves_the_others_their_turns(house: House) -> None:
    """Between two batches that a stream reads in vain, everything else that is ready runs."""
    batches = 20
    house.gateway.account("main").stage(
        [ControlChanged(ControlEventType.TAPE, "r", "", "somebody")] * (batches * BATCH_EVENTS)
    )
    house.journal.flush()
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    worker = asyncio.create_task(work())
    request = StreamRequest(("main",), start_position=StartPosition.EARLIEST, symbols=frozenset({"ETH/USDT"}))
    streams = EventStreams(house.journal, house.gateway.accounts, house.clock)
    items: Any = streams.follow(request)
    async with aclosing(items):
        while not isinstance(await anext(items), CaughtUp):
            pass
    worker.cancel()
    assert turns >= batches
