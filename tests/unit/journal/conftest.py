"""Every test of the port runs over each journal there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from brokergate.journal.memory import MemoryJournal
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.ports.journal import Journal
from tests.unit.journal.trading import Trader

Open = Callable[..., SqliteJournal]


@pytest.fixture(params=["sqlite", "memory"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    """An empty journal with the account `paper`."""
    draw = Random(1).getrandbits
    made = (
        MemoryJournal(draw) if request.param == "memory" else SqliteJournal(tmp_path / "journal.sqlite", draw)
    )
    made.open_account("paper")
    yield made
    made.close()


@pytest.fixture
def trader(journal: Journal) -> Trader:
    """Trades on `paper`."""
    return Trader(journal)


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Open]:
    """Opens the same file again and again; what was left open is closed at the end."""
    opened: list[SqliteJournal] = []

    def open_(boot_id: str = "boot-1") -> SqliteJournal:
        journal = SqliteJournal(tmp_path / "journal.sqlite", Random(len(opened)).getrandbits, boot_id)
        journal.open_account("paper")
        opened.append(journal)
        return journal

    yield open_
    for journal in opened:
        journal.close()
