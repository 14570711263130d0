"""What things cost: every query by an index, a log that begins anew, a memory that does not grow."""

from __future__ import annotations

import asyncio
import sqlite3
import tracemalloc
from pathlib import Path
from random import Random

import pytest

from brokergate.journal.sqlite import checkpoint, opening, queries, schema
from brokergate.journal.sqlite.journal import SqliteJournal
from tests.unit.journal.trading import Trader

QUERIES = {name: text for name, text in vars(queries).items() if name.isupper() and not name.startswith("_")}


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_has_an_index(name: str, tmp_path: Path) -> None:
    """SQLite answers every query by seeking: it scans no table (a filter's own list of values apart), and sorts
    nothing."""
    journal = SqliteJournal(tmp_path / "journal.sqlite", Random(1).getrandbits)
    query = QUERIES[name]
    plan = journal._store.connection.execute(f"EXPLAIN QUERY PLAN {query}", [1] * query.count("?")).fetchall()
    steps = [str(step[3]) for step in plan]
    journal.close()
    assert steps
    scans = [
        step for step in steps if step.startswith("SCAN") and "json_each" not in step and "ids" not in step
    ]
    assert not scans, steps
    assert not [step for step in steps if "TEMP B-TREE" in step], steps


async def test_the_log_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While commits go on without a pause, the write-ahead log stays within its bound, and nothing is lost."""
    monkeypatch.setattr(checkpoint, "CHECKPOINT_BYTES", 64 * 1024)
    monkeypatch.setattr(checkpoint, "RESTART_FRAMES", 256)
    journal = SqliteJournal(tmp_path / "journal.sqlite", Random(1).getrandbits)
    journal.open_account("paper")
    trader = Trader(journal)
    log = tmp_path / "journal.sqlite-wal"
    largest = 0
    for number in range(3000):
        trader.fill(trader.place(f"c-{number}"))
        await journal.commit()
        largest = max(largest, log.stat().st_size)
        if number % 50 == 0:
            await asyncio.sleep(0.001)
    # Every commit writes two pages at the least: a log that never began anew would have passed 24 MB.
    assert 3 * largest < 3000 * 2 * 4096
    assert journal.head("paper") == 18_000
    journal.close()
    again = SqliteJournal(tmp_path / "journal.sqlite", Random(1).getrandbits)
    again.open_account("paper")
    assert again.counts("paper") == (3000, 3000)
    again.close()


def opening_steps(path: Path) -> int:
    """How many hundreds of SQLite's steps it takes to open a journal and its account."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    def open_connection(name: str) -> sqlite3.Connection:
        connection = schema.connect(name)
        connection.set_progress_handler(count, 100)
        return connection

    journal = SqliteJournal(path, Random(1).getrandbits, "boot-1", open_connection=open_connection)
    journal.open_account("paper")
    journal._store.connection.set_progress_handler(None, 0)
    return steps


def test_opening_does_not_grow_with_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start after a crash reads what is not in the views yet and the ends of the tables: the same for five hundred
    orders as for eight thousand."""
    monkeypatch.setattr(opening, "CHECKED_BYTES", 0)
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path, Random(1).getrandbits, "boot-1")
    journal.open_account("paper")
    trader = Trader(journal)
    steps = []
    for orders in (500, 8000):
        while journal.counts("paper")[0] < orders:
            trader.fill(trader.place(f"c-{journal.counts('paper')[0]}"))
            journal.flush()
        # The same number of events behind the views each time.
        journal.open_orders("paper")
        trader.fill(trader.place("last-" + str(orders)))
        journal.flush()
        copy = tmp_path / f"{orders}.db"
        for ending in ("", "-wal", "-heads"):
            Path(f"{copy}{ending}").write_bytes(Path(f"{path}{ending}").read_bytes())
        steps.append(opening_steps(copy))
    journal.close()
    assert steps[0] <= steps[1] <= steps[0] + 2


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_orders(tmp_path: Path) -> None:
    """After four hundred thousand events of eighty thousand orders the journal holds what it held after a quarter of
    them, but for how full its newest events' ring happens to be: not a hundred bytes an order, which takes five
    thousand to hold."""
    journal = SqliteJournal(tmp_path / "journal.sqlite", Random(1).getrandbits)
    journal.open_account("paper")
    trader = Trader(journal)

    def place(first: int, last: int) -> None:
        for number in range(first, last):
            assert journal.find_order("paper", f"c-{number}") is None
            trader.fill(trader.place(f"c-{number}"))
            if number % 16 == 0:
                journal.flush()
        journal.flush()

    tracemalloc.start()
    place(0, 20_000)
    early, _ = tracemalloc.get_traced_memory()
    place(20_000, 80_000)
    late, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    journal.close()
    assert (late - early) / 60_000 < 100
