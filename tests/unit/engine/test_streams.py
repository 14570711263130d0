"""Streams of events beside the rest of the gateway, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from typing import Any

import pytest

from brokergate.codec.encode.order import encode_order
from brokergate.domain.cursor import decode_cursor, encode_cursor
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.events import ControlChanged, ControlEventType, EventKind, OrderEventType
from brokergate.domain.streams import StartPosition, StreamRequest
from brokergate.engine import streams as streams_module
from brokergate.engine.streams import (
    BATCH_EVENTS,
    NS_PER_S,
    Batch,
    Beat,
    CaughtUp,
    EventStreams,
    Opened,
    SnapshotPage,
    StreamItem,
)
from brokergate.journal.memory import MemoryJournal
from brokergate.ports.broker import OrderReport, Report
from brokergate.ports.journal import Journal
from brokergate.v1 import enums_pb2, event_pb2
from tests.unit.engine.conftest import House
from tests.unit.engine.test_laws import accepted, fill
from tests.unit.journal.trading import Trader

SYMBOLS = ("BTC/USDT", "ETH/USDT")


class HandClock:
    """A clock that moves when the test moves it, and then wakes who has slept long enough."""

    def __init__(self) -> None:
        self.ns = 1_700_000_000_000_000_000
        self._sleepers: list[tuple[int, asyncio.Event]] = []

    def now_ns(self) -> int:
        return self.ns

    def monotonic_ns(self) -> int:
        return self.ns

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self.ns + round(seconds * NS_PER_S), woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Time goes by; those who wake do what they have to do."""
        self.ns += round(seconds * NS_PER_S)
        for until_ns, woken in list(self._sleepers):
            if until_ns <= self.ns:
                self._sleepers.remove((until_ns, woken))
                woken.set()
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
def journal() -> Iterator[Journal]:
    """A journal in memory with the accounts `one` and `two`."""
    journal = MemoryJournal(random.Random(1).getrandbits)
    for account_id in ("one", "two"):
        journal.open_account(account_id)
    yield journal
    journal.close()


def follow(journal: Journal, clock: Any = None, **request: Any) -> AsyncIterator[StreamItem]:
    """A stream over the journal alone."""
    request.setdefault("account_ids", ("one",))
    return EventStreams(journal, {}, clock or HandClock()).follow(StreamRequest(**request))


async def until_caught_up(items: Any) -> list[StreamItem]:
    """What a stream gives up to and with CaughtUp."""
    found: list[StreamItem] = []
    async with aclosing(items):
        async for item in items:
            found.append(item)
            if isinstance(item, CaughtUp):
                return found
    raise AssertionError("the stream ended")


def events_of(found: list[StreamItem]) -> list[event_pb2.Event]:
    """The events of its batches."""
    return [
        event_pb2.Event.FromString(body) for item in found if isinstance(item, Batch) for body in item.bodies
    ]


def tell(journal: Journal, account_id: str, length: int = 1, count: int = 1) -> None:
    """Journals events of about `length` bytes."""
    told = ControlChanged(ControlEventType.TAPE, "r", "x" * length, "somebody")
    journal.stage(account_id, 1, [told] * count)
    journal.flush()


async def test_a_filter_that_lets_nothing_pass_leaves_the_others_their_turns(house: House) -> None:
    """Between two batches that a stream reads in vain, everything else that is ready runs."""
    batches = 20
    tell(house.journal, "main", count=batches * BATCH_EVENTS)
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    worker = asyncio.create_task(work())
    request = StreamRequest(("main",), start_position=StartPosition.EARLIEST, symbols=frozenset({"ETH/USDT"}))
    streams = EventStreams(house.journal, house.gateway.accounts, house.clock)
    items: Any = streams.follow(request)
    async with aclosing(items):
        while not isinstance(await anext(items), CaughtUp):
            pass
    worker.cancel()
    assert turns >= batches


class TestBatches:
    """How much one message carries."""

    async def test_events_are_cut_by_their_bytes(self, journal: Journal) -> None:
        """A batch has at most 1 MiB of events, or one that alone is larger; nothing is lost or doubled by the cut."""
        tell(journal, "one", 8_000, count=700)
        tell(journal, "one", streams_module.BATCH_BYTES + 1)
        tell(journal, "one", 8_000, count=10)
        found = await until_caught_up(follow(journal, start_position=StartPosition.EARLIEST))
        batches = [item for item in found if isinstance(item, Batch)]
        sizes = [(len(batch.bodies), sum(map(len, batch.bodies))) for batch in batches]
        assert all(size <= streams_module.BATCH_BYTES or count == 1 for count, size in sizes)
        assert max(size for _, size in sizes) > streams_module.BATCH_BYTES
        assert len(sizes) < 10
        assert [event.sequence for event in events_of(found)] == list(range(1, 712))

    async def test_events_are_cut_by_their_number(self, journal: Journal) -> None:
        """A batch has at most 500 events."""
        tell(journal, "one", count=2 * BATCH_EVENTS + 1)
        found = await until_caught_up(follow(journal, start_position=StartPosition.EARLIEST))
        assert [len(item.bodies) for item in found if isinstance(item, Batch)] == [500, 500, 1]

    @pytest.mark.parametrize("size", [1, 700, 1_000, 5_000])
    @pytest.mark.parametrize(
        ("kinds", "symbols"),
        [
            ((), ()),
            ((EventKind.ORDER,), ()),
            ((EventKind.FILL, EventKind.FILL_FEES), ()),
            ((), SYMBOLS[:1]),
            ((EventKind.FILL,), SYMBOLS[1:]),
            ((EventKind.GAP,), ()),
        ],
    )
    async def test_every_cut_of_every_filter_resumes(
        self,
        journal: Journal,
        monkeypatch: pytest.MonkeyPatch,
        size: int,
        kinds: tuple[EventKind, ...],
        symbols: tuple[str, ...],
    ) -> None:
        """However small the messages and whatever the filter, a stream that is left after each message and resumed
        after its cursor gives everything that passes once."""
        monkeypatch.setattr(streams_module, "BATCH_BYTES", size)
        traders = [Trader(journal, account_id) for account_id in ("one", "two")]
        for number in range(6):
            for trader in traders:
                trader.fill(trader.place(f"c{number}", SYMBOLS[number % 2]))
        journal.flush()
        request: dict[str, Any] = {
            "account_ids": ("one", "two"),
            "kinds": frozenset(kinds),
            "symbols": frozenset(symbols),
        }
        whole = await until_caught_up(follow(journal, start_position=StartPosition.EARLIEST, **request))
        every = [
            event
            for name in ("one", "two")
            for event in journal.read(name, 0, 1000, frozenset(kinds))
            if not symbols or event.symbol in symbols
        ]
        assert sorted(body for item in whole if isinstance(item, Batch) for body in item.bodies) == sorted(
            event.body for event in every
        )
        cursor, pieces = encode_cursor(journal.journal_id, journal.epoch, {"one": 0, "two": 0}), []
        for _ in whole:
            items: Any = follow(journal, after_cursor=cursor, **request)
            async with aclosing(items):
                assert isinstance(await anext(items), Opened)
                item = await anext(items)
            cursor = item.cursor
            pieces.append(item)
            if isinstance(item, CaughtUp):
                break
        assert sorted(map(str, events_of(pieces))) == sorted(map(str, events_of(whole)))


class TestHeartbeats:
    """What a stream says when there is nothing to say."""

    async def test_one_comes_an_interval_after_the_last_word(self, journal: Journal) -> None:
        """Not sooner, not later: an event in between starts the interval anew."""
        clock = HandClock()
        items: Any = follow(journal, clock, start_position=StartPosition.LIVE, heartbeat_s=10)
        async with aclosing(items):
            assert isinstance(await anext(items), Opened)
            assert isinstance(await anext(items), CaughtUp)
            coming = asyncio.ensure_future(anext(items))
            await clock.advance(9)
            assert not coming.done()
            tell(journal, "one")
            assert isinstance(await coming, Batch)
            coming = asyncio.ensure_future(anext(items))
            await clock.advance(9.5)
            assert not coming.done()
            await clock.advance(0.5)
            assert isinstance(await coming, Beat)
            coming = asyncio.ensure_future(anext(items))
            await clock.advance(9)
            assert not coming.done()
            await clock.advance(1)
            assert isinstance(await coming, Beat)

    async def test_its_cursor_moves_over_what_the_filter_left_out(self, journal: Journal) -> None:
        """A stream that resumes after the heartbeat of a quiet filtered one has nothing to read again."""
        clock = HandClock()
        items: Any = follow(
            journal, clock, start_position=StartPosition.LIVE, kinds=frozenset({EventKind.GAP}), heartbeat_s=1
        )
        async with aclosing(items):
            await anext(items)
            await anext(items)
            coming = asyncio.ensure_future(anext(items))
            await clock.advance(0.5)
            tell(journal, "one", count=2000)
            await clock.advance(0.5)
            beat = await coming
        assert isinstance(beat, Beat)
        assert decode_cursor(beat.cursor).positions == {"one": 2000}


class TestCursors:
    """Where a stream may begin."""

    async def test_an_account_past_its_tail_is_found_before_another_is_expired(
        self, journal: Journal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The earliest cursor that comes with CURSOR_EXPIRED works at once: no account of it is past its tail, nor
        does one that is read up to a place begin again."""
        tell(journal, "one", count=10)
        tell(journal, "two", count=10)
        monkeypatch.setattr(journal, "earliest", lambda account_id: 6 if account_id == "one" else 1)

        def cursor(**positions: int) -> str:
            return encode_cursor(journal.journal_id, journal.epoch, positions)

        def refused(after: str) -> GatewayError:
            with pytest.raises(GatewayError) as caught:
                follow(journal, account_ids=("one", "two"), after_cursor=after)
            return caught.value

        assert refused(cursor(one=1, two=11)).reason is ErrorReason.CURSOR_EPOCH
        for positions, earliest in (
            ({"one": 4, "two": 7}, {"one": 5, "two": 7}),
            ({"two": 7}, {"one": 5, "two": 7}),
            ({}, {"one": 5, "two": 0}),
        ):
            error = refused(cursor(**positions))
            assert error.reason is ErrorReason.CURSOR_EXPIRED
            start = error.metadata["earliest_cursor"]
            assert decode_cursor(start).positions == earliest
            found = await until_caught_up(follow(journal, account_ids=("one", "two"), after_cursor=start))
            assert len(events_of(found)) == 20 - sum(earliest.values())
        follow(journal, account_ids=("one", "two"), after_cursor=cursor(one=5))
        follow(journal, account_ids=("two",), after_cursor=cursor())


@pytest.mark.parametrize("report", ["fill", "cancel"])
async def test_a_snapshot_holds_nothing_that_follows_its_cursor(house: House, report: str) -> None:
    """What a broker has told and the next commit would bring is in a snapshot that is taken before that commit, and so
    in its cursor: the state and the events after it tell nothing twice and leave nothing out."""
    await accepted(house, "a")
    streams = EventStreams(house.journal, house.gateway.accounts, house.clock)
    told: Report = fill("X1", "0.4")
    if report == "cancel":
        told = OrderReport(OrderEventType.CANCELED, "a", "B1", 1)
    house.gateway.account("main").take((told,))
    before = house.journal.head("main")
    items: Any = streams.follow(StreamRequest(("main",), start_position=StartPosition.SNAPSHOT))
    pages: list[SnapshotPage] = []
    async with aclosing(items):
        while not (pages and pages[-1].last):
            item = await anext(items)
            if isinstance(item, SnapshotPage):
                pages.append(item)
    position = decode_cursor(pages[-1].cursor).positions["main"]
    assert position > before
    stored = house.journal.read("main", 0, position)
    events = [event_pb2.Event.FromString(event.body) for event in stored]
    (latest, *_) = [event.order.order for event in reversed(events) if event.HasField("order")]
    shown = [order for page in pages for order in page.orders]
    if report == "cancel":
        assert shown == []
        assert latest.state == enums_pb2.ORDER_STATE_CANCELED
    else:
        assert [encode_order(order) for order in shown] == [latest]
        assert latest.cum_quantity == "0.4"


async def test_a_subscriber_that_is_away_costs_nothing(journal: Journal) -> None:
    """When a stream ends, whatever the moment, nothing of it is left: no task, no listener, no object."""
    before = left_over()
    streams = EventStreams(journal, {}, HandClock())
    tell(journal, "one", count=3)

    async def leave_after(count: int, start: StartPosition) -> None:
        items: Any = streams.follow(StreamRequest(("one", "two"), start_position=start))
        async with aclosing(items):
            for _ in range(count):
                await anext(items)

    for start, most in ((StartPosition.EARLIEST, 3), (StartPosition.LIVE, 2)):
        for count in range(most + 1):
            await leave_after(count, start)
    waiting = asyncio.create_task(leave_after(3, StartPosition.LIVE))
    await asyncio.sleep(0)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    # Its error holds the frames that it went through.
    del waiting
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert left_over() == before


def left_over() -> tuple[int, int]:
    """How many subscribers and heartbeats there are in memory."""
    gc.collect()
    kinds = [type(each).__name__ for each in gc.get_objects()]
    return kinds.count("_Follower"), kinds.count("_Heartbeat")
