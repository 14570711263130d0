"""What is found again by the next process: after a close, after a kill, after a loss of power, or not at all."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from random import Random

import pytest

from brokergate.domain.events import EventKind
from brokergate.domain.orders import OrderState
from brokergate.journal.lock import DataDirectoryLock, DataDirectoryLocked
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.journal.sqlite.migrations import SCHEMA_VERSION
from brokergate.ports.journal import (
    CommitUnknown,
    Journal,
    JournalError,
    OrderFilter,
    RequestDone,
    StoredAnswer,
    Tombstone,
)
from brokergate.v1 import event_pb2
from tests.unit.journal.conftest import Open
from tests.unit.journal.trading import PRINT, Trader


def state(journal: Journal) -> list[object]:
    """Everything that a journal shows of `paper`."""
    return [
        [
            (event.sequence, event.kind, event.symbol, event.body)
            for event in journal.read("paper", 0, 10_000)
        ],
        list(journal.list_orders("paper", OrderFilter(), None, 1000)),
        list(journal.open_orders("paper")),
        list(journal.positions("paper")),
        list(journal.balances("paper")),
        journal.counts("paper"),
        journal.find_answer("paper", "r-1"),
        journal.is_tombstoned("paper", "t-1"),
        journal.settings(""),
    ]


def trade(journal: Journal, orders: int) -> None:
    """Some orders, filled and working, an answer, a tombstone, a setting."""
    trader = Trader(journal)
    for number in range(orders):
        order = trader.place(f"c-{number}")
        if number % 2:
            trader.fill(order)
        journal.flush()
    journal.stage(
        "paper", 1, [], [RequestDone("r-1", StoredAnswer("CancelOrder", PRINT, b"x")), Tombstone("t-1")]
    )
    journal.put_setting("k", "v")
    journal.flush()


@pytest.mark.parametrize("orders", [0, 1, 3, 500])
def test_everything_is_there_after_a_close(reopen: Open, orders: int) -> None:
    """A journal that was closed shows the same when it is opened again, and ids go on."""
    first = reopen()
    trade(first, orders)
    before = state(first)
    first.close()
    again = reopen()
    assert state(again) == before
    assert (again.journal_id, again.epoch) == (first.journal_id, first.epoch)
    trader = Trader(again)
    order = trader.fill(trader.place("next"))
    again.flush()
    assert order.order_id == f"paper-1-o{orders + 1}"
    assert [event.sequence for event in again.read("paper", 0, 10_000)] == list(
        range(1, again.head("paper") + 1)
    )


@pytest.mark.parametrize("orders", [1, 3, 500])
def test_views_are_made_again(reopen: Open, tmp_path: Path, orders: int) -> None:
    """What was committed and not yet written into the views is in them after a crash: nothing depends on the close."""
    first = reopen()
    trade(first, orders)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("journal.sqlite", "journal.sqlite-wal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    crashed = SqliteJournal(copy / "journal.sqlite", Random(9).getrandbits, "boot-1")
    crashed.open_account("paper")
    assert crashed.counts("paper") == first.counts("paper")
    assert list(crashed.find_orders("paper", ["c-0"]).values()) == [first.find_order("paper", "c-0")]
    assert crashed.find_broker_order("paper", "B-c-0") == first.find_broker_order("paper", "B-c-0")
    assert crashed.has_fill("paper", ("BTC/USDT", "B-c-1", "X-c-1")) is (orders > 1)
    assert state(crashed) == state(first)
    crashed.close()


CHILD = """
import asyncio, sys
from random import Random
from brokergate.journal.sqlite.journal import SqliteJournal
from tests.unit.journal.trading import Trader

async def main() -> None:
    journal = SqliteJournal(sys.argv[1], Random(1).getrandbits, "boot-1")
    journal.open_account("paper", durable=sys.argv[2] == "durable")
    trader = Trader(journal)

    async def client(name: str) -> None:
        for number in range(100_000):
            trader.fill(trader.place(f"{name}-{number}"))
            await journal.commit("paper")
            print(f"{name}-{number} {journal.head('paper')}", flush=True)

    await asyncio.gather(*(client(name) for name in "abc"))

asyncio.run(main())
"""


@pytest.mark.parametrize("durability", ["durable", "process"])
def test_kill_loses_nothing_that_was_acknowledged(
    reopen: Open, tmp_path: Path, project_root: Path, durability: str
) -> None:
    """In both durabilities a process that is killed amid its commits has lost nothing that it acknowledged: no order,
    no fill, no event, and the sequence has no hole. The epoch stays, because the machine went on."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["server", "."])}
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path / "journal.sqlite"), durability],
        stdout=subprocess.PIPE,
        cwd=project_root,
        env=environment,
    )
    assert child.stdout is not None
    acknowledged = [child.stdout.readline() for _ in range(3000)]
    child.send_signal(signal.SIGKILL)
    acknowledged += child.stdout.readlines()
    assert child.wait() == -signal.SIGKILL
    whole = [line.decode().split() for line in acknowledged if line.endswith(b"\n")]
    journal = reopen("boot-1")
    assert journal.epoch == 1
    assert journal.head("paper") >= max(int(head) for _, head in whole)
    bodies = [event_pb2.Event.FromString(event.body) for event in journal.read("paper", 0, 10**6)]
    assert [body.sequence for body in bodies] == list(range(1, journal.head("paper") + 1))
    names = [name for name, _ in whole]
    found = journal.find_orders("paper", names)
    assert sorted(found) == sorted(names)
    assert all(stored.order.state is OrderState.FILLED for stored in found.values())
    assert all(journal.has_fill("paper", ("BTC/USDT", f"B-{name}", f"X-{name}")) for name in names)
    numbers = [stored.number for stored in journal.list_orders("paper", OrderFilter(), None, 10**6)]
    assert numbers == list(range(journal.counts("paper")[0], 0, -1))


@pytest.mark.parametrize(
    ("closed", "first_boot", "second_boot", "epoch"),
    [
        (True, "boot-1", "boot-1", 1),
        (True, "boot-1", "boot-2", 1),
        (True, "unknown", "unknown", 1),
        (False, "boot-1", "boot-1", 1),
        (False, "boot-1", "boot-2", 2),
        (False, "unknown", "unknown", 2),
        (False, "boot-1", "unknown", 2),
        (False, "unknown", "boot-1", 2),
    ],
)
def test_epoch_rises_when_the_tail_is_not_proven(
    tmp_path: Path, closed: bool, first_boot: str, second_boot: str, epoch: int
) -> None:
    """The epoch stays after a close, and after a crash under the same boot; it rises otherwise, ids with it."""
    path = tmp_path / "journal.sqlite"
    first = SqliteJournal(path, Random(1).getrandbits, first_boot)
    assert first.epoch == 1
    if closed:
        first.close()
    second = SqliteJournal(path, Random(2).getrandbits, second_boot)
    assert (second.journal_id, second.epoch) == (first.journal_id, epoch)
    second.open_account("paper")
    assert second.next_order_id("paper") == f"paper-{epoch}-o1"
    second.close()
    if not closed:
        first.close()


def test_journals_are_told_apart(tmp_path: Path) -> None:
    """Each journal has eight hex digits of its own."""
    journals = [SqliteJournal(tmp_path / f"{n}.sqlite", Random(n).getrandbits) for n in range(3)]
    assert len({journal.journal_id for journal in journals}) == 3
    assert all(len(journal.journal_id) == 8 and int(journal.journal_id, 16) >= 0 for journal in journals)
    for journal in journals:
        journal.close()


def test_accounts_of_earlier_runs_keep_their_numbers(reopen: Open) -> None:
    """Accounts that are opened in another order find their own events."""
    first = reopen()
    first.open_account("other")
    Trader(first, "other").place("o")
    Trader(first).place("p")
    first.close()
    again = reopen()
    again.open_account("third")
    again.open_account("other")
    assert (again.head("other"), again.head("paper"), again.head("third")) == (2, 2, 0)
    assert again.find_order("other", "o") is not None


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """A file of a later release is refused in words, and is not touched."""
    path = tmp_path / "journal.sqlite"
    SqliteJournal(path, Random(1).getrandbits).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (str(SCHEMA_VERSION + 1),))
    connection.commit()
    connection.close()
    with pytest.raises(JournalError, match=f"schema version {SCHEMA_VERSION + 1}.*a newer one"):
        SqliteJournal(path, Random(1).getrandbits)


@pytest.mark.parametrize(
    "content", [b"no database at all, and long enough to have a header" * 40, b"foreign"]
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is no journal is refused by its name."""
    path = tmp_path / "journal.sqlite"
    if content == b"foreign":
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE things (name)")
        connection.close()
    else:
        path.write_bytes(content)
    with pytest.raises(JournalError, match=r"journal\.sqlite"):
        SqliteJournal(path, Random(1).getrandbits)


async def test_a_failed_commit_is_told_to_all(tmp_path: Path) -> None:
    """When a commit fails, everyone who waits for it hears so, nothing of it is there, and nothing is taken after."""
    path = tmp_path / "journal.sqlite"
    journal = SqliteJournal(path, Random(1).getrandbits, "boot-1")
    journal.open_account("paper")
    trader = Trader(journal)
    trader.place("a")
    await journal.commit()
    spoiler = sqlite3.connect(path)
    spoiler.execute("DROP TABLE events")
    spoiler.commit()
    spoiler.close()
    trader.place("b")
    outcomes = await asyncio.gather(journal.commit(), journal.commit(), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [CommitUnknown, CommitUnknown]
    for call in (
        lambda: trader.place("c"),
        journal.flush,
        lambda: journal.find_order("paper", "a"),
        journal.close,
    ):
        with pytest.raises(JournalError):
            call()
    assert journal.head("paper") == 2
    again = sqlite3.connect(path)
    assert again.execute("SELECT value FROM meta WHERE key = 'clean'").fetchone() == ("no",)
    again.close()


def test_lock(tmp_path: Path, project_root: Path) -> None:
    """A second process is refused the data directory by the name of both, and gets it once the first is dead."""
    script = (
        "import sys, time; from pathlib import Path; from brokergate.journal.lock import DataDirectoryLock; "
        "lock = DataDirectoryLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    data_dir = tmp_path / "data"
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=project_root,
        env={**os.environ, "PYTHONPATH": "server"},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(DataDirectoryLocked, match=rf"{data_dir}.*process {holder.pid};.*--data-dir"):
        DataDirectoryLock(data_dir)
    holder.kill()
    holder.wait()
    with DataDirectoryLock(data_dir):
        assert (data_dir / "lock").read_text() == f"{os.getpid()}\n"
        with pytest.raises(DataDirectoryLocked, match=str(os.getpid())):
            DataDirectoryLock(data_dir)
    DataDirectoryLock(data_dir).release()


def test_kinds_have_their_numbers_in_the_file(reopen: Open) -> None:
    """A stored event's kind is the number of its payload's field's kind in the contract."""
    journal = reopen()
    trade(journal, 2)
    for event in journal.read("paper", 0, 100):
        payload = event_pb2.Event.FromString(event.body).WhichOneof("payload")
        assert EventKind[str(payload).upper()] is event.kind


def test_nobody_else_reads_the_journal(tmp_path: Path) -> None:
    """Whatever the folder allows, the file and its log are for their owner alone."""
    tmp_path.chmod(0o755)
    journal = SqliteJournal(tmp_path / "journal.db", Random(1).getrandbits)
    journal.open_account("paper")
    Trader(journal).place("a")
    journal.flush()
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    journal.close()
    assert set(modes.values()) == {0o600}
    assert "journal.db-wal" in modes
