"""A cell of the matrix: trading through a fault, until everything is known again, and then the laws."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.emulators.client import Emulator
from tests.faults.house import ACCOUNT, STEP_S, House, resume
from tests.faults.laws import LAWS, Case, Verdict
from tests.faults.scenarios import Scenario
from tests.faults.venues import Venue

ORDERS = 3
UNASKED = 100
"""Queries that fail while nothing may be known: more than are made."""
BEGUN_S = 0.1
"""A restart is begun by then."""
AWAY_S = 0.3
"""One of a tenth of a second is over by then."""


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a fault at a broker: how often it was injected, and the laws."""

    injected: int
    verdicts: Sequence[Verdict]

    @property
    def failures(self) -> list[str]:
        """What is wrong, in words; a law that had nothing to look at, and a fault that was never injected, too."""
        found = [] if self.injected else ["the fault was never injected"]
        for number, verdict in enumerate(self.verdicts, 1):
            found += [f"law {number}: {wrong}" for wrong in verdict.wrong]
            if not verdict.looked_at:
                found.append(f"law {number} had nothing to look at")
        return found

    def cells(self) -> list[str]:
        """One a law: how many faults were injected while it was looked at; empty where it was not, or was broken."""
        return [
            str(self.injected) if verdict.looked_at and not verdict.wrong else "" for verdict in self.verdicts
        ]


class Resolver:
    """Names that are not found, for a while."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.refused = 0

    @contextmanager
    def failing(self) -> Iterator[None]:
        """No address for the host."""
        real = socket.getaddrinfo

        def lookup(host: Any, *arguments: Any, **more: Any) -> Any:
            if host == self._host:
                self.refused += 1
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return real(host, *arguments, **more)

        socket.getaddrinfo = lookup
        try:
            yield
        finally:
            socket.getaddrinfo = real


async def run(scenario: Scenario, venue: Venue, emulator: Emulator, folder: Path) -> Row:
    """Trades through the fault and judges."""
    # An address of digits is looked up by nobody.
    host = "localhost" if scenario.resolver else "127.0.0.1"
    house = House(venue, emulator, folder, host)
    resolver = Resolver(host)
    async with house.living():
        await _begin(house)
        if scenario.resolver:
            with resolver.failing():
                # The connections that stand are of an address that was found.
                await emulator.fault("restart", seconds=0.1)
                await asyncio.sleep(AWAY_S)
                await _trouble(house, scenario)
        else:
            await _trouble(house, scenario)
        injected = await emulator.injected()
        await emulator.clear_faults()
        await house.until("connected again", house.connected)
        await house.place_waiting()
        await house.place(house.order("after", 2))
        await house.settled()
        case = await _case(house, scenario)
    count = resolver.refused + sum(injected.get(kind, 0) for kind in scenario.counted)
    return Row(count, [law(case) for law in LAWS])


async def _begin(house: House) -> None:
    """A market, something held, and two orders that rest: one to fill in the trouble, one to be cancelled there."""
    await house.show()
    await house.place(house.order("held", 2, lots=2))
    await house.place(house.order("fills", -3, lots=4))
    await house.place(house.order("cancelled", -4))
    await house.settled()
    await house.read_position()
    held = house.evidence.readings.pop()
    assert held, "nothing was bought"
    house.evidence.held = held


async def _trouble(house: House, scenario: Scenario) -> None:
    """Orders, readings, a cancel and a fill by others, all while the fault is there."""
    emulator, venue = house.emulator, house.venue
    if scenario.stream is not None:
        kind, arguments = scenario.stream
        await emulator.fault(kind, **{"on": "orders" if "frame" in kind else "*", **arguments})
    for number in range(ORDERS):
        if scenario.at_once is not None:
            kind, arguments = scenario.at_once
            await _there(emulator)
            await emulator.fault(kind, **arguments)
            await asyncio.sleep(BEGUN_S)
        await _arm(house, scenario, "place")
        # One rests, one takes.
        command = house.order(f"n{number}", 2 if number % 2 else -5 - number)
        if number == ORDERS - 1:
            await house.place_on_a_slow_disk(command)
        else:
            await house.place(command)
        for query in venue.queries:
            await _arm(house, scenario, query)
        if number == 0:
            await house.read_position()
    await _arm(house, scenario, "cancel")
    await house.cancel("cancelled")
    await _there(emulator)
    await house.others_sell()
    if scenario.unasked:
        # What would tell of the lost orders fails as well, for longer than silence needs to prove anything.
        for query in venue.found_by:
            await _arm(house, scenario, query, count=UNASKED)
    await asyncio.sleep(scenario.lasts_s)


async def _there(emulator: Emulator) -> None:
    """Returns when the venue's process can be talked to: a restart takes it away."""
    while True:
        try:
            await emulator.streams()
            return
        except (OSError, HTTPException):
            await asyncio.sleep(STEP_S)


async def _arm(house: House, scenario: Scenario, request: str, count: int = 1) -> None:
    if scenario.request is not None:
        kind, arguments = scenario.request
        await house.emulator.fault(kind, on=request, count=count, **arguments)


async def _case(house: House, scenario: Scenario) -> Case:
    emulator = house.emulator
    await house.end()
    events = house.events()
    await house.until(
        "the subscriber has all", lambda: len(house.evidence.streamed) >= house.journal.head(ACCOUNT)
    )
    resumed = [
        (sequence, await resume(house, events[sequence - 1].cursor))
        for sequence in {1, len(events) // 3, 2 * len(events) // 3}
    ]
    return Case(
        scenario,
        house.venue,
        house.evidence,
        events,
        resumed,
        {name: house.ids.venue_id(name, 1) for name in house.names},
        await emulator.log(),
        await emulator.orders(),
        await emulator.fills(),
        {name: parts["total"] for name, parts in (await emulator.balances()).items()},
    )
