"""Staging and committing: one sequence, all or nothing, one commit for those who come together."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from brokergate.domain.accounts import BrokerBalance
from brokergate.domain.events import (
    BalanceChanged,
    ControlChanged,
    ControlEventType,
    EventKind,
    FillBooked,
    OrderChanged,
    OrderEventType,
)
from brokergate.domain.orders import OrderState
from brokergate.journal.sqlite.commits import MAX_GROUP, QUIET_TURNS
from brokergate.ports.journal import (
    AlreadyJournalled,
    Journal,
    NewOrder,
    RequestDone,
    StoredAnswer,
    Tombstone,
)
from brokergate.v1 import event_pb2
from tests.unit.journal.trading import PRINT, START_NS, Trader

ANSWER = StoredAnswer("CancelOrder", PRINT, b"answer")


def test_sequence_is_gapless_over_all_kinds(journal: Journal, trader: Trader) -> None:
    """Sequences count 1, 2, 3 … over all kinds of event, and each body carries its number, id, cursor and time."""
    trader.fill(trader.place("a"))
    journal.flush()
    events = journal.read("paper", 0, 100)
    assert [event.sequence for event in events] == list(range(1, 7))
    assert {event.kind for event in events} == {
        EventKind.ORDER,
        EventKind.FILL,
        EventKind.POSITION,
        EventKind.BALANCE,
    }
    for event in events:
        body = event_pb2.Event.FromString(event.body)
        assert body.sequence == event.sequence
        assert body.event_id == f"paper-{journal.epoch}-e{event.sequence}"
        assert body.cursor == f"1.{journal.journal_id}.{journal.epoch}.paper:{event.sequence}"
        assert body.account_id == "paper"
        assert body.time.ToNanoseconds() in (START_NS + 1000, START_NS + 2000)
    assert journal.head("paper") == 6
    assert journal.earliest("paper") == 1


def test_accounts_count_apart(journal: Journal) -> None:
    """Each account has its own sequence, its own numbers and its own orders."""
    journal.open_account("other")
    one, two = Trader(journal), Trader(journal, "other")
    one.place("a")
    two.fill(two.place("a"))
    journal.flush()
    assert (journal.head("paper"), journal.head("other")) == (2, 6)
    first, second = journal.find_order("paper", "a"), journal.find_order("other", "a")
    assert first is not None
    assert second is not None
    assert (first.order.account_id, second.order.account_id) == ("paper", "other")
    assert first.order.order_id != second.order.order_id
    assert journal.positions("paper") == []
    assert len(journal.positions("other")) == 1


def test_nothing_staged_is_readable(journal: Journal, trader: Trader) -> None:
    """What streams follow does not show what is staged."""
    trader.place("a")
    assert journal.head("paper") == 0
    assert list(journal.read("paper", 0, 10)) == []
    journal.flush()
    assert journal.head("paper") == 2


@pytest.mark.parametrize(
    "broken", ["payload", "order id", "order without event", "client id", "execution", "request id"]
)
def test_a_stage_that_fails_leaves_nothing(journal: Journal, trader: Trader, broken: str) -> None:
    """A stage of which any part is refused leaves no event, no order, no fill and no answer; the next goes on."""
    known = trader.fill(trader.place("known"))
    trader.stage(new="")
    journal.stage("paper", trader.now_ns, [], [RequestDone("r-known", ANSWER)])
    journal.flush()
    order = trader.intend("new")
    good = OrderChanged(OrderEventType.INTENT, order)
    payloads: list[object] = [good]
    records: list[NewOrder | RequestDone | Tombstone] = [
        NewOrder("new", PRINT),
        RequestDone("r-1", ANSWER),
        Tombstone("t-1"),
    ]
    match broken:
        case "payload":
            payloads.append(OrderChanged(OrderEventType.INTENT, None))  # type: ignore[arg-type]
        case "order id":
            payloads.append(FillBooked(trader.execution(order, "X-1")))
            object.__setattr__(order, "order_id", "mine")
        case "order without event":
            records.append(NewOrder("elsewhere", PRINT))
        case "client id":
            records.append(NewOrder("known", PRINT))
        case "execution":
            payloads.append(FillBooked(trader.execution(known, "X-known")))
        case _:
            records.append(RequestDone("r-known", ANSWER))
    with pytest.raises((ValueError, AttributeError)):
        journal.stage("paper", trader.now_ns, payloads, records)  # type: ignore[arg-type]
    journal.flush()
    assert journal.head("paper") == 6
    assert journal.find_order("paper", "new") is None
    assert journal.find_answer("paper", "r-1") is None
    assert not journal.is_tombstoned("paper", "t-1")
    trader.place("after")
    journal.flush()
    assert journal.head("paper") == 8


@pytest.mark.parametrize("committed", [True, False])
def test_ids_are_registered_once(journal: Journal, trader: Trader, committed: bool) -> None:
    """A client_order_id, an execution and a request_id are taken once, committed or not, looked for before or not."""
    order = trader.fill(trader.place("a"), "X-1")
    journal.stage("paper", trader.now_ns, [], [RequestDone("r-1", ANSWER)])
    if committed:
        journal.flush()
        assert journal.find_order("paper", "b") is None
    with pytest.raises(AlreadyJournalled, match="'a'"):
        trader.place("a")
    with pytest.raises(AlreadyJournalled, match="X-1"):
        trader.stage(FillBooked(trader.execution(order, "X-1")))
    with pytest.raises(AlreadyJournalled, match="r-1"):
        journal.stage("paper", trader.now_ns, [], [RequestDone("r-1", ANSWER)])
    trader.place("b")
    with pytest.raises(AlreadyJournalled, match="'b'"):
        trader.place("b")


def test_ids_are_registered_once_behind_the_views(journal: Journal, trader: Trader) -> None:
    """An id is known for ever, long after its order was written away."""
    first = trader.fill(trader.place("first"))
    for number in range(400):
        trader.fill(trader.place(f"c-{number}"))
        journal.flush()
    with pytest.raises(AlreadyJournalled):
        trader.place("first")
    assert journal.has_fill("paper", ("BTC/USDT", "B-first", "X-first"))
    with pytest.raises(AlreadyJournalled):
        trader.stage(FillBooked(trader.execution(first, "X-first")))


def test_ids_are_registered_once_within_a_stage(journal: Journal, trader: Trader) -> None:
    """What stands twice in one stage is refused whole."""
    order = trader.place("a")
    twice = FillBooked(trader.execution(order, "X-1"))
    with pytest.raises(AlreadyJournalled, match="X-1"):
        trader.stage(twice, twice)
    with pytest.raises(AlreadyJournalled, match="r-1"):
        journal.stage("paper", trader.now_ns, [], [RequestDone("r-1", ANSWER)] * 2)
    changed = OrderChanged(OrderEventType.INTENT, trader.intend("b"))
    with pytest.raises(AlreadyJournalled, match="'b'"):
        journal.stage("paper", trader.now_ns, [changed], [NewOrder("b", PRINT)] * 2)
    trader.stage(twice)
    journal.flush()
    assert journal.head("paper") == 3


async def test_commits_that_come_together_share_one(journal: Journal, trader: Trader) -> None:
    """Callers that stage and commit in one turn of the loop are committed at once, together."""
    commits: list[int] = []
    journal.on_commit(lambda accounts: commits.append(journal.head("paper")))

    async def place(name: str) -> int:
        trader.place(name)
        await journal.commit()
        return journal.head("paper")

    heads = await asyncio.gather(*(place(f"c-{number}") for number in range(20)))
    assert commits == [40]
    assert set(heads) == {40}


async def test_commit_returns_when_nothing_is_staged(journal: Journal) -> None:
    """A commit of nothing returns at once and tells nobody."""
    told: list[frozenset[str]] = []
    journal.on_commit(told.append)
    await journal.commit()
    assert told == []


async def test_a_cancelled_waiter_takes_no_other_with_it(journal: Journal, trader: Trader) -> None:
    """Who gives up waiting for a commit does not undo it, and the others are told."""
    trader.place("a")
    first, second = asyncio.create_task(journal.commit()), asyncio.create_task(journal.commit())
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert journal.head("paper") == 2


async def test_staged_is_committed_without_being_asked(journal: Journal, trader: Trader) -> None:
    """What is staged while a loop runs is committed by itself, once the loop is quiet, and all of it together."""
    commits: list[frozenset[str]] = []
    journal.on_commit(commits.append)
    for name in "abc":
        trader.place(name)
        await asyncio.sleep(0)
    assert journal.head("paper") == 0
    for _ in range(QUIET_TURNS + 1):
        await asyncio.sleep(0)
    assert (journal.head("paper"), commits) == (6, [frozenset({"paper"})])


async def test_a_group_is_committed_though_it_is_never_quiet(journal: Journal, trader: Trader) -> None:
    """Orders that come without a pause are committed when enough are together."""
    for number in range(2 * MAX_GROUP):
        trader.place(f"c{number}")
        await asyncio.sleep(0)
    assert MAX_GROUP <= journal.head("paper") < 4 * MAX_GROUP


def test_listeners(journal: Journal, trader: Trader) -> None:
    """A listener hears of each commit with the accounts that got events, after they can be read, until it leaves."""
    journal.open_account("other")
    heard: list[tuple[frozenset[str], int]] = []
    stop = journal.on_commit(lambda accounts: heard.append((accounts, journal.head("paper"))))
    trader.place("a")
    Trader(journal, "other").place("a")
    journal.flush()
    trader.place("b")
    journal.flush()
    journal.put_setting("k", "v")
    journal.flush()
    stop()
    stop()
    trader.place("c")
    journal.flush()
    assert heard == [(frozenset({"paper", "other"}), 2), (frozenset({"paper"}), 4)]


def test_reading_commits_what_it_depends_on(journal: Journal, trader: Trader) -> None:
    """A look for something staged commits it first; a look for something else leaves the group together."""
    trader.place("a")
    assert journal.find_order("paper", "b") is None
    assert not journal.has_fill("paper", ("BTC/USDT", "B-a", "X"))
    assert journal.find_orders("paper", ["b", "c"]) == {}
    assert journal.head("paper") == 0
    stored = journal.find_order("paper", "a")
    assert stored is not None
    assert stored.order.state is OrderState.NEW
    assert journal.head("paper") == 2


def test_times_never_go_back_in_the_index(journal: Journal, trader: Trader) -> None:
    """A clock that was set back is stored as it is in the event, and searched as if it had stood still."""
    for time_ns in (START_NS + 5, START_NS, START_NS + 9):
        journal.stage("paper", time_ns, [ControlChanged(ControlEventType.TAPE)])
    journal.flush()
    times = [
        event_pb2.Event.FromString(event.body).time.ToNanoseconds() - START_NS
        for event in journal.read("paper", 0, 9)
    ]
    assert times == [5, 0, 9]
    assert [journal.sequence_at("paper", START_NS + at) for at in (0, 5, 6, 9, 10)] == [0, 0, 2, 2, 3]


def test_balance_without_cause_is_an_event(journal: Journal, trader: Trader) -> None:
    """A balance that changed by itself is journalled and is the account's balance."""
    trader.stage(BalanceChanged(BrokerBalance("USD", Decimal("1.10"), Decimal("0.10"), START_NS)))
    assert list(journal.balances("paper")) == [
        BrokerBalance("USD", Decimal("1.10"), Decimal("0.10"), START_NS)
    ]
    assert journal.head("paper") == 1
