"""What is kept beside the events: settings, refusals, disagreements, what a venue keeps, and the audit."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from brokergate.domain.access import GATEWAY, Caller
from brokergate.domain.control import AuditRecord, Discrepancy, DiscrepancyState
from brokergate.domain.errors import ErrorReason, FieldViolation, GatewayError
from brokergate.domain.events import DiscrepancyChanged, EventKind, OrderChanged, OrderEventType
from brokergate.domain.values import changed
from brokergate.journal.sqlite import callers, commits
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.ports.broker import VenueHistory, VenueSnapshot, VenueStep
from brokergate.ports.journal import AuditFilter, Journal, NewOrder, RequestDone, Setting, StoredAnswer
from tests.unit.journal.conftest import Open
from tests.unit.journal.trading import PRINT, START_NS, Trader

ALICE = Caller("alice", "ipv4:127.0.0.1:40112", "robot/1.0")
BOB = Caller("bob", "unix:", "")
ALL = AuditFilter()


@pytest.mark.parametrize("committed", [True, False])
def test_settings_of_an_account(journal: Journal, committed: bool) -> None:
    """A setting is the account's last one with that key, staged or committed, and can be taken away; it is no setting
    of the journal's own."""
    journal.open_account("other")

    def stage(value: str | None) -> None:
        journal.stage("paper", START_NS, [], [Setting("watermark", value), Setting("stop", "s")])
        if committed:
            journal.flush()

    assert journal.account_setting("paper", "watermark") is None
    for value in ("1", "", "2", None, "3"):
        stage(value)
        assert journal.account_setting("paper", "watermark") == value
    assert journal.account_setting("paper", "stop") == "s"
    assert journal.account_setting("other", "stop") is None
    assert journal.settings("") == {}


@pytest.mark.parametrize("committed", [True, False])
def test_a_refusal_is_given_again(journal: Journal, committed: bool) -> None:
    """A refusal that was journalled as an answer comes back with all that it said."""
    refusal = GatewayError(
        ErrorReason.REPLACE_BELOW_FILLED,
        "order.quantity: 1 is below what has filled",
        violations=[FieldViolation("order.quantity", "is below")],
        metadata={"cum_quantity": "2"},
        retry_after_ms=7,
    )
    journal.stage("paper", 1, [], [RequestDone("r", StoredAnswer("ReplaceOrder", PRINT, b"", refusal))])
    if committed:
        journal.flush()
    found = journal.find_answer("paper", "r")
    assert found is not None
    assert found.refusal is not None
    assert (found.method, found.body) == ("ReplaceOrder", b"")
    assert vars(found.refusal) == vars(refusal)


def disagreement(journal: Journal, symbol: str, account_id: str = "paper") -> Discrepancy:
    """One that was found just now."""
    identifier = journal.next_discrepancy_id(account_id)
    return Discrepancy(identifier, account_id, symbol, "", "1", "2", f"{symbol} differs", START_NS)


def test_disagreements(journal: Journal) -> None:
    """Disagreements are listed as they now stand, newest first, page by page, with those that are resolved or
    without; each change is an event."""
    journal.open_account("other")
    found = [disagreement(journal, f"S{number}") for number in range(6)]
    for each in found:
        journal.stage("paper", START_NS, [DiscrepancyChanged(each)])
    ended = [changed(each, state=DiscrepancyState.RESOLVED) for each in found[1::2]]
    journal.stage("paper", START_NS, [DiscrepancyChanged(each) for each in ended])
    shown = journal.discrepancies("paper", True, None, 10)
    assert [each.state.name for _, each in shown] == ["RESOLVED", "OPEN"] * 3
    assert [each for _, each in shown if each.state is DiscrepancyState.OPEN] == found[-2::-2]
    assert [each for _, each in journal.discrepancies("paper", False, None, 10)] == found[-2::-2]
    page = journal.discrepancies("paper", False, None, 2)
    assert [each.symbol for _, each in page] == ["S4", "S2"]
    assert [each.symbol for _, each in journal.discrepancies("paper", False, page[-1][0], 2)] == ["S0"]
    assert journal.discrepancies("other", True, None, 10) == []
    events = journal.read("paper", 0, 100, frozenset({EventKind.DISCREPANCY}))
    assert [event.symbol for event in events] == ["S0", "S1", "S2", "S3", "S4", "S5", "S1", "S3", "S5"]
    assert disagreement(journal, "x").discrepancy_id == f"paper-{journal.epoch}-d7"


def test_what_a_venue_keeps(journal: Journal) -> None:
    """A venue gets its last snapshot back and the steps after it, in order, whichever commits they were in."""
    journal.open_account("other")
    assert journal.venue_history("paper") is None
    journal.stage("paper", 1, [], [VenueStep(b"1"), VenueStep(b"")])
    journal.stage("other", 1, [], [VenueStep(b"other")])
    journal.stage("paper", 1, [], [VenueStep(b"3" * 70_000)])
    journal.flush()
    journal.stage("paper", 1, [], [VenueStep(b"4")])
    assert journal.venue_history("paper") == VenueHistory(None, [b"1", b"", b"3" * 70_000, b"4"])
    journal.stage("paper", 1, [], [VenueStep(b"5"), VenueSnapshot(b"whole"), VenueStep(b"6")])
    journal.stage("paper", 1, [], [VenueStep(b"7")])
    assert journal.venue_history("paper") == VenueHistory(b"whole", [b"6", b"7"])
    journal.stage("paper", 1, [], [VenueSnapshot(b"again")])
    assert journal.venue_history("paper") == VenueHistory(b"again", [])
    journal.stage("paper", 1, [], [VenueStep(b"8")])
    assert journal.venue_history("paper") == VenueHistory(b"again", [b"8"])
    assert journal.venue_history("other") == VenueHistory(None, [b"other"])


def test_records_outlive_the_process(reopen: Open) -> None:
    """Settings, disagreements, venue steps and ids are there after a crash, and their numbers go on."""
    first = reopen()
    found = disagreement(first, "X")
    first.stage(
        "paper", 1, [DiscrepancyChanged(found)], [Setting("stop", "s"), VenueSnapshot(b"w"), VenueStep(b"1")]
    )
    first.flush()
    for _ in range(2):
        again = reopen()
        assert again.account_setting("paper", "stop") == "s"
        assert [each for _, each in again.discrepancies("paper", False, None, 5)] == [found]
        history = again.venue_history("paper")
        assert history is not None
        assert history.snapshot == b"w"
        again.stage("paper", 1, [], [VenueStep(b"2")])
        assert again.next_discrepancy_id("paper") == "paper-1-d2"
        again.close()
    assert reopen().venue_history("paper") == VenueHistory(b"w", [b"1", b"2", b"2"])


class Desk:
    """Several callers on one account, one second apart."""

    def __init__(self, journal: Journal) -> None:
        self.trader = Trader(journal)
        self.journal = journal

    def place(self, name: str, caller: Caller, method: str = "PlaceOrder") -> None:
        """Places an order."""
        self.trader.now_ns += 10**9
        order = self.trader.intend(name)
        changes = [OrderChanged(OrderEventType.INTENT, order)]
        self.journal.stage("paper", self.trader.now_ns, changes, [NewOrder(name, PRINT, caller, method)])

    def cancel(self, request_id: str, caller: Caller) -> None:
        """Answers a cancel."""
        self.trader.now_ns += 10**9
        answer = StoredAnswer("CancelOrder", PRINT, b"answer")
        self.journal.stage("paper", self.trader.now_ns, [], [RequestDone(request_id, answer, caller)])


@pytest.fixture
def desk(journal: Journal) -> Desk:
    """Ten commands of two people and the gateway."""
    desk = Desk(journal)
    for number in range(3):
        desk.place(f"a{number}", ALICE)
        desk.cancel(f"ca{number}", ALICE)
        desk.cancel(f"cb{number}", BOB)
    desk.place("g", GATEWAY, "EmergencyStop")
    return desk


ORDER = ["g", "cb2", "ca2", "a2", "cb1", "ca1", "a1", "cb0", "ca0", "a0"]
"""As the audit shows them."""


def names(records: list[AuditRecord]) -> list[str]:
    """What each record is about."""
    return [record.client_order_id or record.request_id for record in records]


@pytest.mark.parametrize("views", [1, 1024])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_audit(journal: Journal, monkeypatch: pytest.MonkeyPatch, desk: Desk, size: int, views: int) -> None:
    """Every command is listed, newest first, page by page, with who sent it, from where, when and by which method."""
    monkeypatch.setattr(commits, "UNINDEXED_EVENTS", views)
    shown: list[AuditRecord] = []
    before = None
    while page := journal.audit("paper", ALL, before, size):
        assert len(page) <= size
        shown += page
        before = page[-1].number
    assert names(shown) == ORDER
    stored = journal.find_order("paper", "a2")
    assert stored is not None
    order, answer, gateway = shown[3], shown[2], shown[0]
    assert (order.actor, order.peer, order.client_name) == ("alice", "ipv4:127.0.0.1:40112", "robot/1.0")
    assert (order.method, order.request_id, order.order_id) == ("PlaceOrder", "", stored.order.order_id)
    assert (answer.method, answer.request_id, answer.actor) == ("CancelOrder", "ca2", "alice")
    assert (gateway.actor, gateway.method, gateway.client_order_id) == ("", "EmergencyStop", "g")
    times = [record.time_ns for record in shown]
    assert times == sorted(times, reverse=True)


def test_audit_by_actor_and_time(journal: Journal, desk: Desk) -> None:
    """The audit is filtered by the actor's name and by the journal's time, start in, end out."""

    def found(which: AuditFilter) -> list[str]:
        return names(list(journal.audit("paper", which, None, 100)))

    assert found(AuditFilter(actor="bob")) == ["cb2", "cb1", "cb0"]
    assert found(AuditFilter(actor="alice")) == ["ca2", "a2", "ca1", "a1", "ca0", "a0"]
    assert found(AuditFilter(actor="eve")) == []
    times = {
        name: record.time_ns
        for name, record in zip(ORDER, journal.audit("paper", ALL, None, 100), strict=True)
    }
    for first in range(10):
        for last in range(first, 10):
            window = AuditFilter(start_time_ns=times[ORDER[last]], end_time_ns=times[ORDER[first]])
            assert found(window) == ORDER[first + 1 : last + 1]
    assert found(AuditFilter(start_time_ns=times["g"] + 1)) == []
    assert found(AuditFilter(end_time_ns=0)) == []
    only = AuditFilter(actor="bob", start_time_ns=times["cb1"])
    assert found(only) == ["cb2", "cb1"]


def test_audit_of_many_callers(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections come and go, and each command keeps its own, however few of them are remembered."""
    monkeypatch.setattr(callers, "REMEMBERED", 2)
    desk = Desk(journal)
    for number in range(30):
        desk.place(f"c{number}", Caller(f"actor{number % 4}", f"peer{number % 9}", "client"))
        journal.flush()
    records = journal.audit("paper", ALL, None, 100)
    assert [(record.client_order_id, record.actor, record.peer) for record in records] == [
        (f"c{number}", f"actor{number % 4}", f"peer{number % 9}") for number in reversed(range(30))
    ]
    third = journal.audit("paper", AuditFilter(actor="actor3"), None, 100)
    assert names(list(third)) == [f"c{number}" for number in reversed(range(30)) if number % 4 == 3]


def test_audit_outlives_the_process(reopen: Open) -> None:
    """After a crash the audit is what it was, and goes on."""
    first = reopen()
    desk = Desk(first)
    desk.place("a", ALICE)
    desk.cancel("r", BOB)
    before = first.audit("paper", ALL, None, 10)
    again = reopen()
    assert again.audit("paper", ALL, None, 10) == before
    desk = Desk(again)
    desk.trader.now_ns += 10**12
    desk.cancel("s", BOB)
    desk.place("b", ALICE)
    assert names(list(again.audit("paper", ALL, None, 10))) == ["b", "s", "r", "a"]


def test_an_order_costs_no_further_row(tmp_path: Path) -> None:
    """A thousand orders of one caller add one row to the callers, and none elsewhere."""
    journal = SqliteJournal(tmp_path / "journal.db", Random(1).getrandbits)
    journal.open_account("paper")
    desk = Desk(journal)
    for number in range(1000):
        desk.place(f"c{number}", ALICE)
    journal.open_orders("paper")
    tables = ("callers", "orders", "events", "answers", "rare_events")
    counts = [journal._store.row(f"SELECT count(*) FROM {table}", ()) for table in tables]
    assert counts == [(1,), (1000,), (1000,), (0,), (0,)]
    journal.close()
