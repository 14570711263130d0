"""What is found again: by id, by filter, by page, from memory and from the file alike."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from brokergate.codec.encode.fill import encode_fill
from brokergate.domain import lifecycle
from brokergate.domain.accounts import ConnectionState, LedgerEntry, LedgerEntryKind
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import (
    ConnectionChanged,
    EventKind,
    FillBooked,
    FillFeesKnown,
    LedgerEntryBooked,
    OrderChanged,
    OrderEventType,
)
from brokergate.domain.fills import Fill, Money
from brokergate.domain.orders import Order, OrderState, PendingAction, PendingActionKind
from brokergate.domain.values import changed
from brokergate.journal.sqlite import commits, ring
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.ports.journal import FillFilter, Journal, OrderFilter, RequestDone, StoredAnswer, Tombstone
from brokergate.v1 import account_pb2, fill_pb2
from tests.unit.journal.trading import PRINT, START_NS, Trader

ALL = OrderFilter()


@pytest.fixture(params=["behind", "at once"], autouse=True)
def views(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test here runs with the views written behind the events, and with them written at every commit."""
    if request.param == "at once":
        monkeypatch.setattr(commits, "UNINDEXED_EVENTS", 1)


def test_order_is_found_by_each_of_its_ids(journal: Journal, trader: Trader) -> None:
    """An order is found by the client's id, the gateway's and the broker's, as it now stands, with its fingerprint."""
    order = trader.place("a", broker_order_id="B-1")
    journal.flush()
    filled = trader.fill(order)
    journal.flush()
    for stored in (
        journal.find_order("paper", "a"),
        journal.get_order("paper", order.order_id),
        journal.find_broker_order("paper", "B-1"),
        journal.find_orders("paper", ["x", "a"])["a"],
    ):
        assert stored is not None
        assert stored.order == filled
        assert (stored.fingerprint, stored.number) == (PRINT, 1)


def test_what_is_not_there(journal: Journal, trader: Trader) -> None:
    """Ids that nobody gave, and those of other accounts, find nothing."""
    journal.open_account("other")
    order = trader.place("a")
    journal.flush()
    for order_id in (
        "",
        "a",
        "paper-1-o2",
        "other-1-o1",
        "paper-9-o1",
        "paper-1-f1",
        "paper-1-o99999999999999999",
        "-o",
        "o١",
    ):
        assert journal.get_order("paper", order_id) is None
    assert journal.get_order("other", order.order_id) is None
    assert journal.find_order("other", "a") is None
    assert journal.find_broker_order("paper", "") is None
    assert journal.find_broker_order("other", "B-a") is None
    assert not journal.has_fill("paper", ("BTC/USDT", "B-a", "X-a"))
    assert journal.find_answer("paper", "r") is None
    assert journal.counts("other") == (0, 0)


def test_a_replaced_order_is_found_by_its_new_broker_id(journal: Journal, trader: Trader) -> None:
    """After a replace the order is found by the latest generation's id, and keeps its own."""
    order = trader.place("a", broker_order_id="B-1")
    journal.flush()
    asked = lifecycle.request(order, PendingAction(PendingActionKind.REPLACE, "r", trader.now_ns))
    replaced = lifecycle.replaced(asked, order.spec, Decimal(3), "B-2", trader.now_ns)
    trader.stage(OrderChanged(OrderEventType.REPLACED, replaced, "r"))
    journal.flush()
    stored = journal.find_broker_order("paper", "B-2")
    assert stored is not None
    assert stored.order == replaced
    assert journal.find_broker_order("paper", "B-1") is None


def test_multiplier_is_kept(journal: Journal, trader: Trader) -> None:
    """An order's multiplier, which no message carries, comes back."""
    order = trader.intend("a", multiplier=Decimal("0.001"))
    trader.stage(OrderChanged(OrderEventType.INTENT, order), new="a")
    stored = journal.find_order("paper", "a")
    assert stored is not None
    assert stored.order.multiplier == Decimal("0.001")


def test_external_order_has_no_client_id(journal: Journal, trader: Trader) -> None:
    """Orders of others, which have no client_order_id, stand beside each other and are found by the broker's."""
    for name in ("E-1", "E-2"):
        order = lifecycle.acknowledge(trader.intend(""), name, trader.now_ns)
        trader.stage(OrderChanged(OrderEventType.EXTERNAL, order))
    journal.flush()
    found = journal.find_broker_order("paper", "E-2")
    assert found is not None
    assert found.number == 2
    assert journal.find_order("paper", "") is None
    assert len(journal.open_orders("paper")) == 2


@pytest.fixture
def book(journal: Journal, trader: Trader) -> list[Order]:
    """Ten orders: the even ones in BTC/USDT, the odd ones in AAPL; 0 to 3 filled, 4 rejected, 5 to 9 working."""
    orders = []
    for number in range(10):
        order = trader.place(f"c-{number}", "AAPL" if number % 2 else "BTC/USDT")
        if number < 4:
            order = trader.fill(order)
        elif number == 4:
            order = lifecycle.reject(order, ErrorReason.BROKER_REJECTED, "no", trader.now_ns)
            trader.stage(OrderChanged(OrderEventType.REJECTED, order))
        orders.append(order)
        journal.flush()
    return orders


@pytest.mark.parametrize(
    ("which", "numbers"),
    [
        (ALL, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (OrderFilter(symbol="AAPL"), [10, 8, 6, 4, 2]),
        (OrderFilter(symbol="MSFT"), []),
        (OrderFilter(open_only=True), [10, 9, 8, 7, 6]),
        (OrderFilter(open_only=True, symbol="BTC/USDT"), [9, 7]),
        (OrderFilter(states=frozenset({OrderState.FILLED})), [4, 3, 2, 1]),
        (
            OrderFilter(states=frozenset({OrderState.FILLED, OrderState.REJECTED}), symbol="BTC/USDT"),
            [5, 3, 1],
        ),
        (OrderFilter(states=frozenset({OrderState.FILLED}), open_only=True), []),
    ],
)
def test_list_orders(journal: Journal, book: list[Order], which: OrderFilter, numbers: list[int]) -> None:
    """A list shows what its filters let through, newest first, whole or page by page."""
    found = journal.list_orders("paper", which, None, 100)
    assert [stored.number for stored in found] == numbers
    assert [stored.order for stored in found] == [book[number - 1] for number in numbers]
    paged: list[int] = []
    before = None
    while page := journal.list_orders("paper", which, before, 2):
        paged += [stored.number for stored in page]
        before = page[-1].number
    assert paged == numbers


def test_list_orders_by_time(journal: Journal, book: list[Order]) -> None:
    """Times are those of creation: the start counts in, the end out."""

    def between(start_ns: int | None, end_ns: int | None) -> list[int]:
        which = OrderFilter(start_time_ns=start_ns, end_time_ns=end_ns)
        return [stored.number for stored in journal.list_orders("paper", which, None, 100)]

    third, seventh = book[2].create_time_ns, book[6].create_time_ns
    assert between(third, seventh) == [6, 5, 4, 3]
    assert between(third + 1, seventh + 1) == [7, 6, 5, 4]
    assert between(None, third) == [2, 1]
    assert between(seventh, None) == [10, 9, 8, 7]
    assert between(0, START_NS) == []
    assert between(2**62, None) == []


def test_open_orders(journal: Journal, book: list[Order]) -> None:
    """The open orders are those that have not ended, oldest first."""
    assert [stored.order for stored in journal.open_orders("paper")] == book[5:]


def test_list_fills(journal: Journal, book: list[Order]) -> None:
    """Fills are listed newest first, by symbol, order and the journal's time, page by page, as they were encoded."""

    def found(which: FillFilter, before: int | None = None, limit: int = 100) -> list[str]:
        rows = journal.list_fills("paper", which, before, limit)
        return [fill_pb2.Fill.FromString(body).client_order_id for _, body in rows]

    assert found(FillFilter()) == ["c-3", "c-2", "c-1", "c-0"]
    assert found(FillFilter(symbol="AAPL")) == ["c-3", "c-1"]
    assert found(FillFilter(order_id=book[2].order_id)) == ["c-2"]
    assert found(FillFilter(order_id=book[2].order_id, symbol="AAPL")) == []
    assert found(FillFilter(order_id=book[9].order_id)) == []
    assert found(FillFilter(order_id="nobody's")) == []
    at = book[2].update_time_ns
    assert found(FillFilter(start_time_ns=at)) == ["c-3", "c-2"]
    assert found(FillFilter(end_time_ns=at)) == ["c-1", "c-0"]
    first = journal.list_fills("paper", FillFilter(), None, 3)
    assert found(FillFilter(), before=first[-1][0]) == ["c-0"]
    assert all(
        journal.has_fill("paper", ("AAPL" if n % 2 else "BTC/USDT", f"B-c-{n}", f"X-c-{n}")) for n in range(4)
    )


def test_positions_and_balances_are_the_latest(journal: Journal, book: list[Order]) -> None:
    """Positions and balances are the latest of each, by name, and their events are all there."""
    assert [position.symbol for position in journal.positions("paper")] == ["AAPL", "BTC/USDT"]
    assert [balance.currency for balance in journal.balances("paper")] == ["USDT"]
    assert len(journal.read("paper", 0, 1000, frozenset({EventKind.POSITION}))) == 4


def test_ledger(journal: Journal, trader: Trader) -> None:
    """Ledger entries are listed newest first, by kind, page by page."""
    for number in range(7):
        kind = LedgerEntryKind.FUNDING if number % 3 else LedgerEntryKind.DEPOSIT
        amount = Money(Decimal(number), "USD")
        trader.stage(LedgerEntryBooked(LedgerEntry(f"l-{number}", kind, amount, START_NS)))

    def found(kinds: frozenset[int], before: int | None, limit: int) -> list[tuple[int, str]]:
        rows = journal.list_ledger_entries("paper", kinds, before, limit)
        return [(place, account_pb2.LedgerEntry.FromString(body).ledger_entry_id) for place, body in rows]

    assert [name for _, name in found(frozenset(), None, 3)] == ["l-6", "l-5", "l-4"]
    deposits = frozenset({int(LedgerEntryKind.DEPOSIT)})
    page = found(deposits, None, 2)
    assert [name for _, name in page] == ["l-6", "l-3"]
    assert [name for _, name in found(deposits, page[-1][0], 2)] == ["l-0"]


def test_answers_tombstones_and_settings(journal: Journal, trader: Trader) -> None:
    """Answers, tombstones and settings are found again, staged or committed."""
    answer = StoredAnswer("CancelOrder", PRINT, b"\x00bytes")
    journal.stage("paper", START_NS, [], [RequestDone("r-1", answer), Tombstone("t-1"), Tombstone("t-1")])
    journal.put_setting("account/b", "1")
    journal.put_setting("account/b", "2")
    journal.put_setting("accounts", "other")
    assert journal.find_answer("paper", "r-1") == answer
    assert journal.is_tombstoned("paper", "t-1")
    assert not journal.is_tombstoned("paper", "t-2")
    assert journal.settings("account/") == {"account/b": "2"}


def test_fees_that_are_told_later_are_shown(tmp_path: Path) -> None:
    """A fill is listed and found with the fees that came after it, also after a restart; the last word counts."""
    journal = SqliteJournal(tmp_path / "journal.db", Random(1).getrandbits, "boot")
    journal.open_account("paper")
    trader = Trader(journal)
    fills = [
        changed(trader.execution(trader.place(f"c-{n}"), f"X-{n}"), fees=(), fees_final=False)
        for n in range(3)
    ]
    trader.stage(*(FillBooked(fill) for fill in fills))

    def shown() -> list[tuple[list[str], bool]]:
        """What the list says, newest first, once it is found that the look-ups agree with it."""
        rows = journal.list_fills("paper", FillFilter(), None, 9)
        listed = [fill_pb2.Fill.FromString(body) for _, body in rows]
        found = [journal.find_fill("paper", fill.key) for fill in fills[::-1]]
        assert [encode_fill(fill) for fill in found if fill is not None] == listed
        return [([fee.amount for fee in fill.fees], fill.fees_final) for fill in listed]

    def tell(fill: Fill, *amounts: str) -> None:
        fees = tuple(Money(Decimal(amount), "USD") for amount in amounts)
        trader.stage(FillFeesKnown(fill.fill_id, fill.order_id, fill.symbol, fees))

    unknown: tuple[list[str], bool] = ([], False)
    assert shown() == [unknown, unknown, unknown]
    tell(fills[0], "1.25", "0.01")
    journal.flush()
    found = journal.find_fill("paper", fills[0].key)
    assert found is not None
    assert [fee.amount for fee in found.fees] == [Decimal("1.25"), Decimal("0.01")]
    tell(fills[1])
    assert shown() == [unknown, ([], True), (["1.25", "0.01"], True)]
    tell(fills[0], "1.5")
    assert shown() == [unknown, ([], True), (["1.5"], True)]
    journal.close()
    journal = SqliteJournal(journal.path, Random(1).getrandbits, "boot")
    journal.open_account("paper")
    assert shown() == [unknown, ([], True), (["1.5"], True)]
    journal.close()


KINDS = [
    frozenset[EventKind](),
    frozenset({EventKind.ORDER}),
    frozenset({EventKind.FILL}),
    frozenset({EventKind.FILL, EventKind.FILL_FEES}),
    frozenset({EventKind.FILL_FEES}),
    frozenset({EventKind.CONNECTION, EventKind.LEDGER_ENTRY}),
    frozenset({EventKind.BALANCE, EventKind.CONNECTION}),
    frozenset({EventKind.GAP}),
]


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("kept", [10_000, 8, 1])
def test_reading_is_the_same_from_memory_and_file(
    journal: Journal, trader: Trader, monkeypatch: pytest.MonkeyPatch, kinds: frozenset[EventKind], kept: int
) -> None:
    """Events read after any sequence, of any kinds, are the same whether they are still in memory or not."""
    monkeypatch.setattr(ring, "RING_EVENTS", kept)
    for number in range(8):
        order = trader.place(f"c-{number}")
        if number % 2:
            order = trader.fill(order)
            trader.stage(FillFeesKnown(f"f-{number}", order.order_id, "BTC/USDT", ()))
        if number % 4 == 0:
            trader.stage(ConnectionChanged(ConnectionState.CONNECTED))
        journal.flush()
    head = journal.head("paper")
    wanted = []
    for sequence in range(head):
        (event,) = journal.read("paper", sequence, 1)
        assert event.sequence == sequence + 1
        if not kinds or event.kind in kinds:
            wanted.append(event)
    for after in (0, 1, 13, head - 1, head, head + 5):
        for limit in (1, 3, 1000):
            expected = [event for event in wanted if event.sequence > after][:limit]
            assert list(journal.read("paper", after, limit, kinds)) == expected
            last = expected[-1].sequence if expected else after
            bodies = [event.body for event in expected]
            assert journal.read_bodies("paper", after, limit, kinds) == (last, bodies)


def test_ring_is_bounded_by_bytes(journal: Journal, trader: Trader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few long events do not fill the memory, and are read all the same."""
    monkeypatch.setattr(ring, "RING_BYTES", 10_000)
    for _ in range(30):
        trader.stage(ConnectionChanged(ConnectionState.ERROR, "x" * 1000))
        journal.flush()
    assert [event.sequence for event in journal.read("paper", 0, 100)] == list(range(1, 31))


def test_ids_are_drawn_once(journal: Journal, trader: Trader) -> None:
    """Order ids and fill ids count up; the counts are what was journalled."""
    drawn = [journal.next_order_id("paper") for _ in range(3)] + [
        journal.next_fill_id("paper") for _ in range(2)
    ]
    assert len(set(drawn)) == 5
    assert journal.counts("paper") == (0, 0)
    order = trader.fill(trader.place("a"))
    assert order.order_id == f"paper-{journal.epoch}-o4"
    assert journal.counts("paper") == (4, 3)
