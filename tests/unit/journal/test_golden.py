"""Journals that earlier releases wrote, and what this one makes of them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from random import Random
from typing import Any

import pytest

from brokergate.domain.cursor import decode_cursor
from brokergate.journal.sqlite import migrations, schema
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.journal.sqlite.migrations import SCHEMA_VERSION
from brokergate.ports.journal import AuditFilter, JournalError
from brokergate.v1 import event_pb2
from tests.unit.journal import golden
from tests.unit.journal.trading import START_NS, Trader

FOLDER = Path(__file__).parents[2] / "fixtures" / "journals"
RELEASES = sorted(path.stem for path in FOLDER.glob("*.json"))


def opened(tmp_path: Path, release: str, ending: str = "") -> SqliteJournal:
    """A copy of a golden journal, opened by this release."""
    path = tmp_path / f"copy{ending}.db"
    shutil.copy(FOLDER / f"{release}{ending}.db", path)
    journal = SqliteJournal(path, Random(1).getrandbits, "another boot")
    for account_id in golden.ACCOUNTS:
        journal.open_account(account_id)
    return journal


def check(shown: dict[str, Any], expected: dict[str, Any]) -> None:
    """All that the release had is there, whatever came since."""
    for key, value in expected.items():
        if isinstance(value, dict) and key in ("accounts", *golden.ACCOUNTS):
            check(shown[key], value)
        else:
            assert shown[key] == value, key


def test_there_is_one() -> None:
    """There is a golden journal for the first release, and one of the present schema."""
    assert "0.1.0" in RELEASES
    versions = set()
    for release in RELEASES:
        connection = sqlite3.connect(f"file:{FOLDER / release}.db?immutable=1", uri=True)
        versions.add(schema.read_meta(connection, "schema_version"))
        connection.close()
    assert versions == {str(version) for version in range(1, SCHEMA_VERSION + 1)}


@pytest.mark.parametrize("ending", ["", "-crashed"])
@pytest.mark.parametrize("release", RELEASES)
def test_what_a_release_wrote_is_read(tmp_path: Path, release: str, ending: str) -> None:
    """Every order, fill, position, balance, answer and event of an earlier release's journal is as that release read
    it, also where the gateway was killed; opened again it is the same."""
    expected = json.loads((FOLDER / f"{release}.json").read_text("utf-8"))
    journal = opened(tmp_path, release, ending)
    check(json.loads(json.dumps(golden.describe(journal))), expected)
    journal.close()
    again = SqliteJournal(journal.path, Random(1).getrandbits, "a third boot")
    for account_id in golden.ACCOUNTS:
        again.open_account(account_id)
    check(json.loads(json.dumps(golden.describe(again))), expected)
    again.close()


@pytest.mark.parametrize("release", RELEASES)
def test_a_release_is_followed_on(tmp_path: Path, release: str) -> None:
    """After a close the cursors of an earlier release hold; sequences and ids go on, and new things are kept beside
    the old ones."""
    journal = opened(tmp_path, release)
    head, (orders, fills) = journal.head("paper"), journal.counts("paper")
    (event,) = journal.read("paper", 6, 1)
    cursor = decode_cursor(event_pb2.Event.FromString(event.body).cursor)
    assert (cursor.journal_id, cursor.epoch, cursor.positions) == (
        journal.journal_id,
        journal.epoch,
        {"paper": 7},
    )
    audited = len(journal.audit("paper", AuditFilter(), None, 100))
    trader = Trader(journal, now_ns=START_NS + 10**12)
    order = trader.fill(trader.place("next"))
    journal.flush()
    assert order.order_id == f"paper-1-o{orders + 1}"
    assert journal.counts("paper") == (orders + 1, fills + 1)
    assert [each.sequence for each in journal.read("paper", head, 10)] == list(range(head + 1, head + 7))
    first = journal.audit("paper", AuditFilter(), None, 100)
    assert (len(first), first[0].client_order_id) == (audited + 1, "next")
    journal.close()


def test_a_crash_of_an_earlier_release_raises_the_epoch(tmp_path: Path) -> None:
    """Nothing says what an earlier release had published when it was killed, so the epoch rises."""
    journal = opened(tmp_path, "0.1.0", "-crashed")
    assert journal.epoch == 2
    assert Trader(journal).intend("x").order_id == f"paper-2-o{journal.counts('paper')[0] + 1}"
    journal.close()


def test_a_migration_that_fails_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration is done whole or not at all: after a failure the file is the old one, and the next try succeeds."""
    with monkeypatch.context() as broken:
        broken.setitem(migrations.MIGRATIONS, 2, migrations.MIGRATIONS[2] + "CREATE TABLE orders (x);")
        with pytest.raises(JournalError, match="orders already exists"):
            opened(tmp_path, "0.1.0")
    connection = sqlite3.connect(tmp_path / "copy.db")
    assert schema.read_meta(connection, "schema_version") == "1"
    assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'callers'").fetchone() is None
    connection.close()
    journal = SqliteJournal(tmp_path / "copy.db", Random(1).getrandbits, "boot")
    journal.open_account("paper")
    assert journal.find_order("paper", "c-0") is not None
    journal.close()


def test_a_new_file_and_a_migrated_one_are_the_same(tmp_path: Path) -> None:
    """The tables of a file that has grown up are those of a new one."""
    old, new = opened(tmp_path, "0.1.0"), SqliteJournal(tmp_path / "new.db", Random(1).getrandbits)
    query = "SELECT name, sql FROM sqlite_master ORDER BY name"
    assert old._store.rows(query, ()) == new._store.rows(query, ())
    old.close()
    new.close()
