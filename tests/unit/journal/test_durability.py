"""Waiting for the disk: what a durable account tells is on it, and nobody else waits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.ports.journal import OrderFilter, RequestDone, Setting, StoredAnswer
from tests.unit.journal.disks import Disk
from tests.unit.journal.trading import PRINT, START_NS, Trader


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A disk that lets every sync end when the test is over."""
    disk = Disk()
    yield disk
    disk.hold.set()


@pytest.fixture
def journal(disk: Disk, tmp_path: Path) -> Iterator[SqliteJournal]:
    """A journal on that disk."""
    journal = disk.journal(tmp_path / "journal.db")
    disk.under_way.clear()
    yield journal
    disk.hold.set()
    journal.close()


async def started(disk: Disk) -> None:
    """Returns when a sync is under way."""
    assert await asyncio.to_thread(disk.under_way.wait, 20)
    disk.under_way.clear()


async def test_a_durable_account_waits_for_the_disk(disk: Disk, journal: SqliteJournal) -> None:
    """Nothing of a durable account is answered, published or told before a sync that began after its commit."""
    told: list[frozenset[str]] = []
    journal.on_commit(told.append)
    disk.hold.clear()
    Trader(journal, "live").place("a")
    waiting = asyncio.create_task(journal.commit())
    await started(disk)
    assert (journal.head("live"), list(journal.read("live", 0, 10)), told) == (0, [], [])
    assert not waiting.done()
    assert journal.find_order("live", "a") is not None
    disk.hold.set()
    await waiting
    assert (journal.head("live"), told) == (2, [frozenset({"live"})])


async def test_another_account_does_not_wait(disk: Disk, journal: SqliteJournal) -> None:
    """While a sync is under way, an account that is not durable is answered and published in its commit."""
    disk.hold.clear()
    live, paper = Trader(journal, "live"), Trader(journal)
    live.place("a")
    waiting = asyncio.create_task(journal.commit_now("live"))
    await started(disk)
    paper.place("p")
    await journal.commit_now("paper")
    assert (journal.head("paper"), journal.head("live")) == (2, 0)
    paper.place("q")
    await journal.commit("paper")
    assert journal.head("paper") == 4
    live.place("b")
    paper.place("r")
    await journal.commit("paper")
    assert (journal.head("paper"), journal.head("live"), waiting.done()) == (6, 0, False)
    everything = asyncio.create_task(journal.commit())
    await asyncio.sleep(0)
    disk.hold.set()
    await asyncio.gather(waiting, everything)
    assert journal.head("live") == 4


async def test_one_sync_serves_all_that_came_while_another_was_under_way(
    disk: Disk, journal: SqliteJournal
) -> None:
    """Groups that are committed during a sync wait for the next one together, and are published in their order."""
    heads: list[int] = []
    journal.on_commit(lambda _: heads.append(journal.head("live")))
    before = disk.syncs
    disk.hold.clear()
    live = Trader(journal, "live")
    live.place("first")
    waiters = [asyncio.create_task(journal.commit_now())]
    await started(disk)
    for number in range(10):
        live.place(f"c-{number}")
        waiters.append(asyncio.create_task(journal.commit_now()))
        await asyncio.sleep(0)
    disk.hold.set()
    await asyncio.gather(*waiters)
    assert disk.syncs - before == 2
    assert heads == [2, 22]


async def test_records_without_events_wait_too(disk: Disk, journal: SqliteJournal) -> None:
    """An answer or a setting of a durable account is as durable as an event."""
    for record in (RequestDone("r", StoredAnswer("CancelOrder", PRINT, b"")), Setting("stop", "1")):
        before = disk.syncs
        journal.stage("live", START_NS, [], [record])
        await journal.commit()
        assert disk.syncs == before + 1
        journal.stage("paper", START_NS, [], [record])
        await journal.commit()
        assert disk.syncs == before + 1


async def test_commit_of_nothing_waits_for_what_is_under_way(disk: Disk, journal: SqliteJournal) -> None:
    """Who answers with something that was looked up waits until that is on the disk."""
    disk.hold.clear()
    Trader(journal, "live").place("a")
    first = asyncio.create_task(journal.commit())
    await started(disk)
    assert journal.find_order("live", "a") is not None
    second = asyncio.create_task(journal.commit("live"))
    await asyncio.sleep(0)
    assert not second.done()
    await journal.commit("paper")
    disk.hold.set()
    await asyncio.gather(first, second)


async def test_what_is_shown_is_on_the_disk(disk: Disk, journal: SqliteJournal) -> None:
    """A flush or a list waits for the disk in the caller's own step; the sync that comes late changes nothing."""
    live = Trader(journal, "live")
    for show in (
        journal.flush,
        lambda: journal.list_orders("live", OrderFilter(), None, 10),
        lambda: journal.positions("live"),
    ):
        head, before = journal.head("live"), disk.syncs
        live.fill(live.place(f"c-{before}"))
        show()
        assert (journal.head("live"), disk.syncs) == (head + 6, before + 1)
        await asyncio.sleep(0)
    live.place("last")
    task = asyncio.create_task(journal.commit_now())
    await asyncio.sleep(0)
    journal.flush()
    assert journal.head("live") == 20
    await task
    assert journal.head("live") == 20


def test_without_a_loop(disk: Disk, journal: SqliteJournal) -> None:
    """Where no loop runs, a flush publishes."""
    live = Trader(journal, "live")
    live.place("a")
    assert journal.find_order("live", "a") is not None
    assert journal.head("live") == 0
    journal.flush()
    assert journal.head("live") == 2


async def test_in_memory_the_sync_is_part_of_the_commit(disk: Disk) -> None:
    """A journal in memory calls the sync in the commit itself: the same run has the same steps."""
    journal = disk.journal(":memory:")
    before = disk.syncs
    Trader(journal, "live").place("a")
    await journal.commit_now()
    assert (journal.head("live"), disk.syncs) == (2, before + 1)
    Trader(journal).place("a")
    await journal.commit_now()
    assert disk.syncs == before + 1
    journal.close()


async def test_a_loss_of_power_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """Whatever was answered for a durable account is in what had been synced by then: a machine that dies between
    any two answers has it."""
    path, images = tmp_path / "journal.db", [b""]

    def sync(fd: int) -> None:
        os.fdatasync(fd)
        images.append(os.pread(fd, 1 << 24, 0))

    journal = SqliteJournal(path, Random(1).getrandbits, "boot-1", sync_file=sync)
    journal.open_account("live", durable=True)
    live = Trader(journal, "live")
    answered: list[tuple[int, bytes]] = []

    async def client(name: str) -> None:
        for number in range(12):
            live.fill(live.place(f"{name}-{number}"))
            await journal.commit()
            answered.append((journal.head("live"), images[-1]))

    await asyncio.gather(*(client(name) for name in "abcd"))
    database = path.read_bytes()
    journal.close()
    for number, (head, log) in enumerate(answered):
        copy = tmp_path / f"{number}.db"
        copy.write_bytes(database)
        copy.with_name(f"{number}.db-wal").write_bytes(log)
        after = SqliteJournal(copy, Random(2).getrandbits, "boot-2")
        after.open_account("live", durable=True)
        assert after.head("live") >= head
        assert after.epoch == 2
        after.close()
    assert answered[-1][0] == 4 * 12 * 6
