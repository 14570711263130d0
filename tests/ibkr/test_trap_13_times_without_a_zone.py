"""Trap 13: the time of an execution that comes without a zone is taken for this machine's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.emulators.client import Emulator
from tests.faults.house import House
from tests.ibkr.library import connected, limit, until

NS = 1_000_000_000
FORMS = ("zone", "utc", "naive")


@pytest.fixture(params=["Asia/Tokyo", "America/Los_Angeles", "UTC"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """This machine is elsewhere."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


async def test_the_library_is_hours_off(tws: Emulator, machine: str) -> None:
    await tws.ask("settings", time_form="naive")
    async with connected(tws) as ib:
        await limit(ib, 195)
        await until("it is filled", ib.fills)
        (fill,) = ib.fills()
        off = abs(fill.execution.time.timestamp() - time.time())
        assert off > timedelta(hours=1).total_seconds()


@pytest.mark.parametrize("form", FORMS)
async def test_the_gateway_is_not(house: House, machine: str, form: str) -> None:
    """Whatever form TWS tells them in, and wherever this machine is; live and when it is asked for again."""
    await house.emulator.ask("settings", time_form=form)
    before_ns = time.time_ns() // NS * NS
    await house.place(house.order("now", 2))
    await house.settled()
    after_ns = time.time_ns()
    page = await house.broker.list_fills("")
    booked = [
        event.fill.fill.event_time.ToNanoseconds() for event in house.events() if event.HasField("fill")
    ]
    for told_ns in (*booked, *(fill.event_time_ns for fill in page.fills)):
        assert before_ns <= told_ns <= after_ns
    assert booked
