"""Sends shots, many at a time, and notes every promise that an answer breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import grpc

from tests.e2e.badinput.answers import Answer, faults
from tests.e2e.badinput.caller import Caller
from tests.e2e.badinput.generator import Shot
from tests.e2e.badinput.house import House
from tests.e2e.badinput.report import Report

IN_FLIGHT = 32
CONNECTIONS = 4


@dataclass(slots=True)
class Volley:
    """What came of some shots."""

    report: Report
    faults: list[str] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    order_ids: set[str] = field(default_factory=set)
    """Orders that an answer to a mutation named: no other may have come to be."""
    taken: list[Shot] = field(default_factory=list)
    """Shots that were not refused and are not reads."""

    def note(self, shot: Shot, answer: Answer) -> None:
        """Takes in one answer."""
        self.faults += [f"{shot}: {fault}" for fault in faults(shot.rpc, answer)]
        if answer.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            self.faults.append(f"{shot}: no answer in time")
        self.reasons |= answer.reasons()
        if not shot.rpc.reads_only:
            self.order_ids |= {order.order_id for order in answer.orders()}
            # An order entry stream that is asked for nothing answers with nothing.
            if answer.code is grpc.StatusCode.OK and answer.messages and not answer.item_errors():
                self.taken.append(shot)


async def fire(house: House, shots: Iterable[Shot], volley: Volley) -> None:
    """Sends every shot, IN_FLIGHT at a time over CONNECTIONS connections."""
    waiting = iter(shots)
    callers = [Caller(house.server.address) for _ in range(CONNECTIONS)]

    async def work(caller: Caller) -> None:
        for shot in waiting:
            began = time.monotonic()
            metadata = house.metadata(shot.token) if shot.token else ()
            answer = await caller.call(shot.rpc, shot.bodies, metadata=metadata)
            volley.report.count(shot, answer, time.monotonic() - began)
            volley.note(shot, answer)

    try:
        await asyncio.gather(*(work(callers[n % CONNECTIONS]) for n in range(IN_FLIGHT)))
    finally:
        for caller in callers:
            await caller.__aexit__(None, None, None)
