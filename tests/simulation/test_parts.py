"""The simulated loop and disk do what a real world does."""

from __future__ import annotations

import asyncio
import sqlite3
from random import Random

import pytest

from tests.simulation.disk import Disk, DiskFault
from tests.simulation.loop import Process, SimulatedLoop, Stuck


def test_time_jumps_to_what_comes_next() -> None:
    """A sleep of an hour takes an hour of the loop's time and none of ours."""
    loop = SimulatedLoop()

    async def sleep() -> int:
        await asyncio.sleep(3600)
        return loop.now_ns

    assert loop.run_until_complete(sleep()) == 3600 * 10**9


def test_a_task_that_waits_for_nothing_is_found() -> None:
    """A wait that nothing can end is an error and not a hang."""
    loop = SimulatedLoop()

    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck):
        loop.run_until_complete(wait())


def test_nothing_of_a_killed_process_runs() -> None:
    """A killed process does not get to its `finally`."""
    loop, process, said = SimulatedLoop(), Process("one"), list[str]()

    async def work() -> None:
        try:
            await asyncio.sleep(2)
            said.append("worked")
        finally:
            said.append("cleaned up")

    async def main() -> None:
        loop.start(process, work())
        await asyncio.sleep(1)
        loop.kill(process)
        await asyncio.sleep(5)
        assert said == []

    loop.run_until_complete(main())


def _disk() -> tuple[Disk, sqlite3.Connection]:
    disk = Disk(Random(1), lambda _: None)
    connection = disk.open("journal")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE numbers (number INTEGER)")
    connection.execute("COMMIT")
    disk.sync()
    return disk, connection


def _write(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO numbers VALUES (?)", (number,))
    connection.execute("COMMIT")


def _read(connection: sqlite3.Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT number FROM numbers").fetchall()]


def test_the_death_of_a_process_leaves_what_was_committed() -> None:
    """What was committed is there for the next process, and what was not is not."""
    disk, connection = _disk()
    _write(connection, 1)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO numbers VALUES (2)")
    disk.keep()
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("COMMIT")
    assert _read(disk.open("journal")) == [1]


def test_a_loss_of_power_leaves_what_was_synced() -> None:
    """What was synced survives the machine, and of what came after it a beginning, or nothing."""
    disk, connection = _disk()
    _write(connection, 1)
    disk.sync()
    for number in (2, 3):
        _write(connection, number)
    disk.lose_power()
    assert _read(disk.open("journal")) in ([1], [1, 2], [1, 2, 3])


@pytest.mark.parametrize(
    ("fault", "left"), [(DiskFault.COMMIT_LOST, []), (DiskFault.COMMIT_TORN, [1]), (DiskFault.FULL, [])]
)
def test_a_commit_fails_before_or_after_it_took_effect(fault: DiskFault, left: list[int]) -> None:
    """A commit that fails is there, or is not: who made it cannot know."""
    disk, connection = _disk()
    disk.arm(fault, lambda: None)
    with pytest.raises(sqlite3.OperationalError):
        _write(connection, 1)
    disk.armed.clear()
    assert _read(disk.open("journal")) == left
