"""What goes by age and by size, in small steps, and what stays for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from brokergate.domain.accounts import ConnectionState, LedgerEntry, LedgerEntryKind
from brokergate.domain.events import ConnectionChanged, EventKind, LedgerEntryBooked
from brokergate.domain.fills import Money
from brokergate.journal.sqlite import commits
from brokergate.journal.sqlite.journal import FOR_EVER, SqliteJournal
from brokergate.journal.sqlite.retention import BYTES_AN_EVENT_KEPT, CHUNK_EVENTS, Retention
from brokergate.ports.journal import FillFilter, OrderFilter, RequestDone, StoredAnswer
from tests.unit.journal.trading import PRINT, START_NS, Trader

S = 1_000_000_000
Keep = Callable[..., SqliteJournal]


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keep]:
    """Opens one file with a retention; views are written often, so that events may go soon."""
    monkeypatch.setattr(commits, "UNINDEXED_EVENTS", 16)
    opened: list[SqliteJournal] = []

    def open_(retention: Retention = FOR_EVER) -> SqliteJournal:
        for journal in opened:
            journal.close()
        journal = SqliteJournal(tmp_path / "journal.db", Random(1).getrandbits, "boot-1", retention)
        journal.open_account("paper")
        opened.append(journal)
        return journal

    yield open_
    opened[-1].close()


def trade(
    journal: SqliteJournal, orders: int, *, first: int = 0, apart_ns: int = S, account: str = "paper"
) -> Trader:
    """So many filled orders, one a commit."""
    trader = Trader(journal, account, START_NS + first * apart_ns)
    for number in range(first, first + orders):
        trader.now_ns = START_NS + number * apart_ns
        trader.fill(trader.place(f"c-{number}"))
        journal.flush()
    return trader


def test_events_go_by_age_and_all_else_stays(keep: Keep) -> None:
    """Events that are older than the age go; orders, ids, fills, ledger entries, answers and the audit stay."""
    journal = keep(Retention(max_age_ns=50 * S))
    entry = LedgerEntry("l-1", LedgerEntryKind.DEPOSIT, Money(Decimal(5), "USDT"), START_NS)
    answer = StoredAnswer("CancelOrder", PRINT, b"x")
    changed = ConnectionChanged(ConnectionState.CONNECTED)
    journal.stage("paper", START_NS, [LedgerEntryBooked(entry), changed], [RequestDone("r-1", answer)])
    trade(journal, 200)
    earliest = journal.earliest("paper")
    oldest = journal.read("paper", earliest - 1, 1)[0]
    assert oldest.sequence == earliest
    # Six events an order, a second apart; the views are some orders behind, and so is what goes.
    assert 6 * 140 < earliest < 6 * 151
    assert journal.read("paper", 0, 10) == journal.read("paper", earliest - 1, 10)
    assert journal.read("paper", 0, 10, frozenset({EventKind.CONNECTION})) == []
    assert len(journal.list_orders("paper", OrderFilter(), None, 1000)) == 200
    assert len(journal.list_fills("paper", FillFilter(), None, 1000)) == 200
    assert len(journal.list_fills("paper", FillFilter(end_time_ns=START_NS + 20 * S), None, 1000)) == 20
    assert len(journal.list_ledger_entries("paper", frozenset(), None, 10)) == 1
    assert journal.find_answer("paper", "r-1") == answer
    assert journal.has_fill("paper", ("BTC/USDT", "B-c-0", "X-c-0"))
    assert journal.find_order("paper", "c-0") is not None
    again = keep(Retention(max_age_ns=50 * S))
    assert (again.earliest("paper"), again.epoch) == (earliest, 1)
    assert len(again.list_fills("paper", FillFilter(), None, 1000)) == 200
    assert trade(again, 1, first=200).journal.head("paper") == 2 + 201 * 6


def test_the_last_event_stays(keep: Keep) -> None:
    """However old it is, an account's last event stays: the sequence and the time go on from it."""
    journal = keep(Retention(max_age_ns=S))
    trade(journal, 20)
    journal.open_account("other")
    trade(journal, 100, first=1000, account="other")
    head = journal.head("paper")
    assert 1 < journal.earliest("paper") <= head
    again = keep(Retention(max_age_ns=S))
    assert again.head("paper") == head
    assert again.next_order_id("paper") == "paper-1-o21"


def test_a_file_stays_as_long_as_it_may_be(keep: Keep, tmp_path: Path) -> None:
    """Past its size the oldest events of whichever account go, and the file does not grow but for what is kept for
    ever."""
    limit = 1024 * 1024 * 5 // 4
    journal = keep(Retention(max_bytes=limit))
    journal.open_account("other")
    trade(journal, 400)
    trade(journal, 300, first=400, account="other")
    assert journal.earliest("paper") > 1
    trade(journal, 300, first=700)
    assert journal.earliest("other") > 1
    row = journal._store.row("PRAGMA page_count", ())
    assert row is not None
    assert row[0] * 4096 <= limit


def test_the_newest_events_stay_though_the_file_is_too_long(keep: Keep) -> None:
    """Where what is kept for ever is more than the size allows, streams can be followed all the same."""
    limit = 1024 * 256
    journal = keep(Retention(max_bytes=limit))
    trade(journal, 500)
    row = journal._store.row("PRAGMA page_count", ())
    assert row is not None
    assert row[0] * 4096 > limit
    kept = journal.head("paper") - journal.earliest("paper") + 1
    assert limit // BYTES_AN_EVENT_KEPT <= kept <= 2 * limit // BYTES_AN_EVENT_KEPT


def test_a_file_that_is_too_long_becomes_shorter(keep: Keep) -> None:
    """A limit that came later is reached by and by, one small step a commit."""
    journal = keep()
    trade(journal, 800)
    assert journal.earliest("paper") == 1
    limit = 1024 * 1024 * 5 // 4
    journal = keep(Retention(max_bytes=limit))
    steps = 0
    while journal._commits._trimmer.due:
        before = journal.earliest("paper")
        journal.flush()
        assert journal.earliest("paper") - before <= CHUNK_EVENTS
        steps += 1
        assert steps < 1000
    row = journal._store.row("PRAGMA page_count", ())
    assert row is not None
    assert row[0] * 4096 <= limit
    assert len(journal.list_fills("paper", FillFilter(), None, 1000)) == 800


async def test_trimming_goes_on_by_itself(keep: Keep) -> None:
    """While a loop runs, what is due goes without further orders, a step a turn."""
    journal = keep()
    trade(journal, 300)
    journal = keep(Retention(max_age_ns=10 * S))
    trade(journal, 1, first=300)
    for _ in range(1000):
        await asyncio.sleep(0)
    assert not journal._commits._trimmer.due
    assert journal.sequence_at("paper", START_NS + 290 * S) < journal.earliest("paper") + 20


def test_what_no_view_has_stays(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that are not yet in the views stay, whatever their age: a start after a crash reads them."""
    monkeypatch.setattr(commits, "UNINDEXED_EVENTS", 100_000)
    journal = keep(Retention(max_age_ns=S))
    trade(journal, 100)
    assert journal.earliest("paper") == 1


def test_an_account_that_is_no_longer_opened_is_trimmed(keep: Keep) -> None:
    """The events of an account that the configuration does not name any more go like the others."""
    journal = keep()
    journal.open_account("gone")
    trade(journal, 100, account="gone")
    journal = keep(Retention(max_age_ns=10 * S))
    trade(journal, 50, first=1000)
    journal.open_account("gone")
    assert journal.earliest("gone") == journal.head("gone") == 600


async def test_readers_go_on_while_events_go(keep: Keep) -> None:
    """A reader that keeps up sees every event once, in order, while old ones go; one that is behind finds that its
    place is no longer kept."""
    journal = keep(Retention(max_age_ns=30 * S))
    seen: list[int] = []
    trader = Trader(journal)
    for number in range(300):
        trader.now_ns = START_NS + number * S
        trader.fill(trader.place(f"c-{number}"))
        await journal.commit()
        after = seen[-1] if seen else 0
        assert after >= journal.earliest("paper") - 1
        seen.extend(event.sequence for event in journal.read("paper", after, 100))
    assert seen == list(range(1, 1801))
    assert journal.earliest("paper") > 1500
