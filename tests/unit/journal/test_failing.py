"""A journal that fails is closed, says why, and opens again with what is on the disk."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from brokergate.journal.sqlite import checkpoint
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.journal.sqlite.schema import connect
from brokergate.ports.journal import CommitUnknown, JournalError, OrderFilter
from brokergate.v1 import event_pb2
from tests.unit.journal.disks import Disk
from tests.unit.journal.trading import Trader

NOBODY = 65534


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A disk that fails when told to."""
    disk = Disk()
    yield disk
    disk.hold.set()


@pytest.fixture
def journal(disk: Disk, tmp_path: Path) -> Iterator[SqliteJournal]:
    """A journal on that disk, which is open at the end."""
    journal = disk.journal(tmp_path / "journal.db")
    yield journal
    journal.close()


@pytest.mark.parametrize("account", ["paper", "live"])
@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("statement", ["BEGIN", "COMMIT"])
async def test_a_failed_commit(
    disk: Disk, journal: SqliteJournal, statement: str, torn: bool, account: str
) -> None:
    """When a commit fails, all who wait hear that the outcome is unknown, every later call is refused with the cause
    and the way out, and after it was opened again exactly what is in the file counts."""
    trader = Trader(journal, account)
    trader.fill(trader.place("before"))
    await journal.commit()
    failures: list[JournalError] = []
    journal.on_failure(failures.append)
    disk.fault, disk.torn = statement, torn
    order = trader.place("lost")
    outcomes = await asyncio.gather(journal.commit(), journal.commit(account), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [CommitUnknown, CommitUnknown]
    assert [str(failure) for failure in failures] == [str(journal.failed)]
    assert "journal.db" in str(failures[0])
    assert "disk I/O error; check the disk" in str(failures[0])
    calls: list[Callable[[], object]] = [
        lambda: trader.place("next"),
        journal.flush,
        lambda: journal.find_order(account, "before"),
        lambda: journal.list_orders(account, OrderFilter(), None, 10),
        lambda: journal.put_setting("k", "v"),
        lambda: journal.settings(""),
    ]
    for call in calls:
        with pytest.raises(JournalError, match="disk I/O error"):
            call()
    with pytest.raises(CommitUnknown):
        await journal.commit()
    journal.reopen()
    assert journal.failed is None
    written = torn and statement == "COMMIT"
    assert journal.epoch == 1
    assert journal.head(account) == 6 + 2 * written
    assert (journal.find_order(account, "lost") is not None) is written
    again = trader.place("lost-again")
    assert again.order_id != order.order_id
    await journal.commit()
    sequences = [each.sequence for each in journal.read(account, 0, 100)]
    assert sequences == list(range(1, 9 + 2 * written))
    assert len(failures) == 1


async def test_failure_is_told_after_the_call_that_failed(disk: Disk, journal: SqliteJournal) -> None:
    """Listeners hear of a failure when whoever met it has had the error, once each time, until they leave."""
    steps: list[str] = []
    stop = journal.on_failure(lambda _: steps.append("told"))
    for _ in range(2):
        disk.fault = "COMMIT"
        Trader(journal).place("a")
        with pytest.raises(CommitUnknown):
            journal.flush()
        steps.append("raised")
        await asyncio.sleep(0)
        journal.reopen()
    stop()
    stop()
    disk.fault = "COMMIT"
    Trader(journal).place("a")
    with pytest.raises(CommitUnknown):
        journal.flush()
    await asyncio.sleep(0)
    journal.reopen()
    assert steps == ["raised", "told", "raised", "told"]


async def test_a_failed_sync(disk: Disk, journal: SqliteJournal) -> None:
    """When a sync fails, what waited for it is unknown and was not published, and is after the opening what the file
    has of it; a new order goes on."""
    disk.refuse_sync = True
    live = Trader(journal, "live")
    live.place("a")
    with pytest.raises(CommitUnknown, match="could not be synced"):
        await journal.commit()
    assert journal.head("live") == 0
    told: list[frozenset[str]] = []
    journal.on_commit(told.append)
    journal.reopen()
    assert (journal.head("live"), journal.epoch) == (2, 1)
    assert told == [frozenset({"live", "paper"})]
    live.place("b")
    await journal.commit()
    assert journal.head("live") == 4


async def test_a_failed_sync_in_a_flush(disk: Disk, journal: SqliteJournal) -> None:
    """A flush whose sync fails publishes nothing, and the sync in the thread does not come round to it."""
    live = Trader(journal, "live")
    live.place("a")
    disk.refuse_sync = True
    with pytest.raises(CommitUnknown):
        journal.flush()
    await asyncio.sleep(0)
    assert journal.head("live") == 0
    journal.reopen()


async def test_a_sync_that_ends_after_the_opening_says_nothing(disk: Disk, journal: SqliteJournal) -> None:
    """A sync that was under way when the journal failed otherwise changes nothing in the one that was opened since."""
    disk.under_way.clear()
    disk.hold.clear()
    Trader(journal, "live").place("a")
    waiting = asyncio.create_task(journal.commit())
    assert await asyncio.to_thread(disk.under_way.wait, 20)
    disk.refuse_sync = True
    disk.fault = "COMMIT"
    Trader(journal).place("p")
    with pytest.raises(CommitUnknown):
        await journal.commit_now("paper")
    disk.hold.set()
    journal.reopen()
    with pytest.raises(CommitUnknown):
        await waiting
    await asyncio.sleep(0.01)
    assert journal.failed is None
    assert journal.head("live") == 2


def test_a_failed_read(disk: Disk, journal: SqliteJournal) -> None:
    """A query that fails is not an empty answer: it closes the journal."""
    Trader(journal).place("a")
    journal.flush()
    disk.fault = "\nSELECT"
    with pytest.raises(JournalError, match=r"cannot be read.*check the disk"):
        journal.list_orders("paper", OrderFilter(), None, 10)
    with pytest.raises(JournalError):
        journal.find_answer("paper", "r")
    journal.reopen()
    assert len(journal.list_orders("paper", OrderFilter(), None, 10)) == 1


async def test_what_was_staged_before_the_failure_is_forgotten(disk: Disk, journal: SqliteJournal) -> None:
    """What was staged when the journal failed and in no commit yet is not committed after the opening."""
    trader = Trader(journal)
    trader.place("kept")
    await journal.commit()
    trader.place("forgotten")
    waiting = asyncio.create_task(journal.commit())
    await asyncio.sleep(0)
    disk.fault = "SELECT method"
    with pytest.raises(JournalError, match="cannot be read"):
        journal.find_answer("paper", "r")
    journal.reopen()
    with pytest.raises(CommitUnknown):
        await asyncio.wait_for(waiting, 20)
    for _ in range(20):
        await asyncio.sleep(0)
    assert journal.head("paper") == 2
    assert journal.find_order("paper", "forgotten") is None
    trader.place("next")
    await journal.commit()
    assert journal.head("paper") == 4


def test_a_journal_outlives_an_event_loop(disk: Disk, journal: SqliteJournal) -> None:
    """A sync whose loop has ended holds nobody up in the next one."""

    async def leave() -> None:
        Trader(journal, "live").place("a")
        disk.hold.clear()
        task = asyncio.create_task(journal.commit_now())
        await asyncio.sleep(0)
        task.cancel()

    async def stay() -> None:
        disk.hold.set()
        Trader(journal, "live").place("b")
        await asyncio.wait_for(journal.commit(), 20)

    asyncio.run(leave())
    asyncio.run(stay())
    assert journal.head("live") == 4


def test_opening_again_fails_until_it_succeeds(disk: Disk, journal: SqliteJournal) -> None:
    """As long as the cause is there the journal stays closed with its first error, and tells nobody again."""
    failures: list[JournalError] = []
    journal.on_failure(failures.append)
    Trader(journal).place("a")
    disk.fault = "COMMIT"
    with pytest.raises(CommitUnknown):
        journal.flush()
    for fault in (
        "PRAGMA wal_checkpoint",
        "SELECT value FROM meta",
        "COMMIT",
        "BEGIN",
        "\nSELECT position, kind",
    ):
        disk.fault = fault
        with pytest.raises(JournalError, match="disk I/O error"):
            journal.reopen()
        assert disk.fault == ""
        assert "could not be written" in str(journal.failed)
        with pytest.raises(JournalError):
            journal.find_order("paper", "a")
    disk.refuse_sync = True
    with pytest.raises(JournalError, match="Input/output error"):
        journal.reopen()
    journal.reopen()
    journal.reopen()
    assert len(failures) == 1
    assert journal.find_order("paper", "a") is None


def test_published_events_that_are_gone_raise_the_epoch(disk: Disk, journal: SqliteJournal) -> None:
    """When the file has lost what was published, the epoch rises at the opening, and no id comes twice."""
    trader = Trader(journal)
    trader.place("kept")
    journal.flush()
    images = {path: path.read_bytes() for path in (Path(journal.path), Path(f"{journal.path}-wal"))}
    lost = trader.place("lost")
    journal.flush()
    disk.fault = "BEGIN"
    trader.place("x")
    with pytest.raises(CommitUnknown):
        journal.flush()
    disk.older = images
    journal.reopen()
    assert (journal.epoch, journal.head("paper")) == (2, 2)
    order = trader.place("lost")
    assert order.order_id not in (lost.order_id, "paper-2-o2")
    journal.flush()


async def test_a_checkpoint_that_fails_closes_the_journal(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that fails is a failed write like any other."""
    monkeypatch.setattr(checkpoint, "CHECKPOINT_BYTES", 1)
    journal = disk.journal(tmp_path / "journal.db")
    checkpointer = journal._commits._checkpointer
    assert checkpointer is not None
    monkeypatch.setattr(checkpointer, "_checkpoint", _broken)
    failed = asyncio.get_running_loop().create_future()
    journal.on_failure(failed.set_result)
    Trader(journal).place("a")
    await journal.commit()
    assert "could not be checkpointed: disk I/O error" in str(await failed)
    with pytest.raises(JournalError):
        Trader(journal).place("b")
    journal.reopen()
    assert journal.head("paper") == 2
    journal.close()


def _broken(_: sqlite3.Connection) -> None:
    raise sqlite3.OperationalError("disk I/O error")


FULL = """
import asyncio, resource, signal, sys
from random import Random
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.journal.sqlite.schema import connect
from brokergate.ports.journal import JournalError
from tests.unit.journal.trading import Trader

async def main() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    journal = SqliteJournal(sys.argv[1], Random(1).getrandbits, "boot-1")
    journal.open_account("live", durable=True)
    trader = Trader(journal, "live")
    acknowledged = []
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
    for number in range(100_000):
        try:
            trader.fill(trader.place(f"c-{number}"))
            await journal.commit()
        except JournalError as error:
            print(error)
            break
        acknowledged.append(f"c-{number}")
    for _ in range(3):
        try:
            trader.place("refused")
        except JournalError:
            continue
        sys.exit("an order was taken")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.reopen()
    assert sorted(journal.find_orders("live", acknowledged)) == sorted(acknowledged)
    trader.fill(trader.place("after"))
    await journal.commit()
    head = journal.head("live")
    assert [event.sequence for event in journal.read("live", 0, 10**6)] == list(range(1, head + 1))
    print(journal.epoch, len(acknowledged), head)
    journal.close()

asyncio.run(main())
"""


def test_a_full_disk(tmp_path: Path, project_root: Path) -> None:
    """When there is no more room for the file, nothing is acknowledged, and nothing that was is lost; when there is
    room again the same process goes on."""
    path = tmp_path / "journal.db"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(path)],
        capture_output=True,
        cwd=project_root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["server", "."])},
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    error, numbers = done.stdout.splitlines()
    assert str(path) in error
    assert "could not be written" in error
    epoch, acknowledged, head = [int(number) for number in numbers.split()]
    assert (epoch, acknowledged > 20, head >= 6 * acknowledged + 6) == (1, True, True)


def written(path: Path, orders: int = 40) -> list[bytes]:
    """A journal as a kill leaves it in its second run; gives its published events."""
    live = path.with_suffix(".live")
    SqliteJournal(live, Random(1).getrandbits, "boot-1").close()
    journal = SqliteJournal(live, Random(1).getrandbits, "boot-1")
    journal.open_account("paper")
    trader = Trader(journal)
    for number in range(orders):
        trader.fill(trader.place(f"c-{number}"))
        journal.flush()
    bodies = [event.body for event in journal.read("paper", 0, 10_000)]
    for ending in ("", "-wal", "-heads"):
        Path(f"{path}{ending}").write_bytes(Path(f"{live}{ending}").read_bytes())
    journal.close()
    return bodies


@pytest.mark.parametrize("damage", ["none", "cut", "cut to nothing", "gone", "bit", "no heads"])
def test_a_log_that_lost_its_end(tmp_path: Path, damage: str) -> None:
    """A log that was cut or damaged is read as far as it is whole, and that published events are gone is noticed: the
    epoch rises. A whole one is proven by what stands beside it, and by nothing else."""
    path = tmp_path / "journal.db"
    bodies = written(path)
    log = Path(f"{path}-wal")
    image = bytearray(log.read_bytes())
    match damage:
        case "cut":
            log.write_bytes(image[: len(image) * 2 // 3])
        case "cut to nothing":
            log.write_bytes(b"")
        case "gone":
            log.unlink()
        case "bit":
            image[len(image) // 2] ^= 4
            log.write_bytes(image)
        case "none":
            pass
        case _:
            Path(f"{path}-heads").unlink()
    journal = SqliteJournal(path, Random(2).getrandbits, "boot-1")
    journal.open_account("paper")
    head = journal.head("paper")
    assert journal.epoch == (1 if damage == "none" else 2)
    assert (head == len(bodies)) is (damage in ("none", "no heads"))
    assert [event.body for event in journal.read("paper", 0, 10_000)] == bodies[:head]
    trader = Trader(journal)
    trader.fill(trader.place("after"))
    journal.flush()
    assert event_pb2.Event.FromString(journal.read("paper", head, 1)[0].body).sequence == head + 1
    journal.close()


@pytest.mark.parametrize("damage", ["cut", "cut to a page", "cut to nothing", "gone", "bits", "header"])
def test_a_damaged_file(tmp_path: Path, damage: str) -> None:
    """A file that was cut short, taken away, or whose structure is damaged is refused with its name and the way out:
    no journal begins anew where one was."""
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path, Random(1).getrandbits, "boot-1")
    journal.open_account("paper")
    trader = Trader(journal)
    for number in range(100):
        trader.fill(trader.place(f"c-{number}"))
        journal.flush()
    journal.close()
    image = bytearray(path.read_bytes())
    match damage:
        case "cut":
            path.write_bytes(image[:-4096])
        case "cut to a page":
            path.write_bytes(image[:4096])
        case "cut to nothing":
            path.write_bytes(b"")
        case "gone":
            path.unlink()
        case "bits":
            for page in range(4096, len(image), 4096):
                image[page] ^= 0xFF
            path.write_bytes(image)
        case _:
            image[:16] = bytes(16)
            path.write_bytes(image)
    with pytest.raises(JournalError, match=r"journal\.db.*(damaged|cannot be opened|empty or gone).*restore"):
        SqliteJournal(path, Random(1).getrandbits, "boot-1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody and come back")
@pytest.mark.parametrize("what", ["file", "directory"])
def test_what_may_not_be_written(tmp_path: Path, what: str) -> None:
    """A file or a directory that the gateway may not write is refused with its name and the way out."""
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "journal.db"
    SqliteJournal(path, Random(1).getrandbits).close()
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)
    if what == "file":
        folder.chmod(0o777)
    else:
        path.unlink()
        folder.chmod(0o555)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(JournalError, match=r"journal\.db.*make the file and its directory"):
            SqliteJournal(path, Random(1).getrandbits)
    finally:
        os.seteuid(0)


def test_a_file_that_another_program_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that somebody reads with another program while it is opened is refused, not waited for for ever."""
    path = tmp_path / "journal.db"
    written(path)

    def impatient(name: str) -> sqlite3.Connection:
        connection = connect(name)
        connection.execute("PRAGMA busy_timeout = 10")
        return connection

    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT * FROM meta").fetchall()
    with pytest.raises(JournalError, match=r"end th.* program"):
        SqliteJournal(path, Random(1).getrandbits, "boot-1", open_connection=impatient)
    other.close()
    SqliteJournal(path, Random(1).getrandbits, "boot-1", open_connection=impatient).close()
