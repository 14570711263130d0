"""Streams over a real socket beside what happens to the journal: events go, the disk fails, or is slow."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from brokergate.domain.cursor import decode_cursor
from brokergate.domain.events import ControlChanged, ControlEventType
from brokergate.domain.policy import AccountPolicy
from brokergate.engine.gateway import Gateway
from brokergate.engine.streams import EventStreams
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.journal.sqlite.retention import Retention
from brokergate.journal.sqlite.sync import sync_data
from brokergate.ports.clock import SystemClock
from brokergate.transport.auth import NoTokens
from brokergate.transport.server import GatewayServer
from brokergate.transport.settings import TransportSettings
from brokergate.v1 import error_pb2, event_pb2, event_service_pb2_grpc
from tests.unit.transport.conftest import LOOPBACK, Log, Served, no_paper
from tests.unit.transport.desk import Desk
from tests.unit.transport.errors import has_retry, info_of, reason_of
from tests.unit.transport.orders import market, place
from tests.unit.transport.test_streams import EARLIEST, events_of, until

HOUR_NS = 3_600_000_000_000
LIVE = event_pb2.START_POSITION_LIVE


class Disk:
    """The disk as the test has it: it may fail, or take as long as the test says."""

    def __init__(self) -> None:
        self.fails = False
        self.goes_on = threading.Event()
        self.goes_on.set()

    def sync(self, fd: int) -> None:
        """What the journal calls to wait for it."""
        self.goes_on.wait(30)
        if self.fails:
            raise OSError(5, "Input/output error")
        sync_data(fd)


@dataclass
class House:
    """A server over a journal in a file: `main` waits for the disk, `other` does not."""

    served: Served
    journal: SqliteJournal
    disk: Disk
    now_ns: int

    def tell(self, account_id: str, count: int = 1, length: int = 1) -> None:
        """Journals events of about `length` bytes."""
        told = ControlChanged(ControlEventType.TAPE, "r", "x" * length, "somebody")
        self.journal.stage(account_id, self.now_ns, [told] * count)

    async def age(self, account_id: str) -> None:
        """What is there becomes too old to be kept, and goes."""
        old = self.journal.head(account_id)
        self.now_ns += 2 * HOUR_NS
        # What is in no view stays: so many events have the views written.
        while self.journal.earliest(account_id) <= old:
            self.tell(account_id, 100)
            await self.journal.commit()
            await asyncio.sleep(0.001)


Furnish = Callable[..., Awaitable[House]]


@pytest.fixture
async def furnish(tmp_path: Path) -> AsyncIterator[Furnish]:
    """Serves a gateway over a journal in a file; the test gives how long events are kept, and the server's settings."""
    async with AsyncExitStack() as stack:

        async def start(retention: Retention | None = None, **settings: Any) -> House:
            clock, desk, disk, log = SystemClock(), Desk(), Disk(), Log()
            journal = SqliteJournal(
                tmp_path / "journal.db",
                random.Random(1).getrandbits,
                "boot",
                retention or Retention(),
                sync_file=disk.sync,
            )
            gateway = Gateway(journal, clock, lambda *_, **__: None, no_paper)
            stack.callback(journal.close)
            stack.push_async_callback(gateway.close)
            await gateway.add_account("main", desk, AccountPolicy(durable=True))
            await gateway.add_account("other", Desk(), AccountPolicy())
            server = GatewayServer(
                gateway,
                EventStreams(journal, gateway.accounts, clock),
                TransportSettings(listeners=LOOPBACK, **settings),
                NoTokens(),
                clock,
                log,
                random.Random(2),
            )
            addresses = await server.start()
            stack.push_async_callback(server.stop)
            served = Served(gateway, desk, server, addresses[0], addresses, log)

            async def close() -> None:
                disk.goes_on.set()
                for channel in served.channels:
                    await channel.close()

            stack.push_async_callback(close)
            return House(served, journal, disk, clock.now_ns())

        yield start


async def read_until_caught_up(stream: Any) -> tuple[list[event_pb2.Event], str]:
    """The events up to CaughtUp, and its cursor."""
    events: list[event_pb2.Event] = []
    while (message := await stream.read()).WhichOneof("payload") != "caught_up":
        events += message.batch.events
    return events, message.cursor


async def ending(stream: Any) -> tuple[list[Any], grpc.aio.AioRpcError]:
    """What a stream still says, and the error that it ends with."""
    found: list[Any] = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:  # noqa: PT012 - what came before the end counts
        while True:
            message = await stream.read()
            assert message is not grpc.aio.EOF, "the stream ended in order"
            found.append(message)
    return found, caught.value


class TestRetention:
    """Streams of what is no longer kept."""

    async def test_an_expired_cursor_comes_with_the_earliest_that_works(self, furnish: Furnish) -> None:
        """Of events and of fills alike; after the earliest cursor comes what is kept, and on another account only
        what had not been given."""
        house = await furnish(Retention(max_age_ns=HOUR_NS))
        channel, journal = house.served.channel(), house.journal
        house.tell("main", 20)
        house.tell("other", 20)
        await journal.commit()
        early = events_of(channel, account_ids=["main", "other"], start_position=EARLIEST)
        events, cursor = await read_until_caught_up(early)
        of_event, of_other = events[5].cursor, events[-1].cursor
        house.tell("main", 30)
        await journal.commit()
        await house.age("main")
        house.tell("other", 7)
        await journal.commit()
        both = ["main", "other"]
        stub: Any = event_service_pb2_grpc.EventServiceStub(channel)
        start = ""
        for refused, accounts in ((cursor, both), (of_event, ["main"]), (of_other, both)):
            for stream in (
                events_of(channel, account_ids=accounts, after_cursor=refused),
                stub.StreamFills(event_pb2.StreamFillsRequest(account_ids=accounts, after_cursor=refused)),
            ):
                found, error = await ending(stream)
                assert found == []
                assert error.code() is grpc.StatusCode.OUT_OF_RANGE
                assert reason_of(error) == "CURSOR_EXPIRED"
                start = info_of(error).metadata["earliest_cursor"]
        events, _ = await read_until_caught_up(events_of(channel, account_ids=both, after_cursor=start))
        kept = range(journal.earliest("main"), journal.head("main") + 1)
        assert [event.sequence for event in events if event.account_id == "main"] == list(kept)
        after_others = max(decode_cursor(of_other).positions["other"], journal.earliest("other") - 1)
        others = [event.sequence for event in events if event.account_id == "other"]
        assert others == list(range(after_others + 1, journal.head("other") + 1))
        assert len(others) >= 7
        for begin in ({"start_position": EARLIEST}, {"start_time": {"seconds": 1}}):
            events, _ = await read_until_caught_up(events_of(channel, account_ids=["main"], **begin))
            assert [event.sequence for event in events] == list(kept)

    async def test_a_reader_that_falls_behind_what_is_kept_is_told_so(self, furnish: Furnish) -> None:
        """It gets what it was being sent, then StreamClosing with SLOW_CONSUMER and its cursor, and the status; that
        cursor is then expired, and the earliest one goes on."""
        house = await furnish(Retention(max_age_ns=HOUR_NS), stall_timeout_ms=60_000)
        journal = house.journal
        house.tell("main", 3000, 8_000)
        await journal.commit()
        slow = events_of(house.served.channel(), account_ids=["main"], start_position=EARLIEST)
        assert (await slow.read()).HasField("opened")
        await house.age("main")
        found, error = await ending(slow)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason_of(error) == "SLOW_CONSUMER"
        given = [event.sequence for message in found for event in message.batch.events]
        assert given == list(range(1, len(given) + 1))
        closing = found[-1]
        assert closing.closing.reason == error_pb2.ERROR_REASON_SLOW_CONSUMER
        assert decode_cursor(closing.cursor).positions == {"main": given[-1]}
        again = events_of(house.served.channel(), account_ids=["main"], after_cursor=closing.cursor)
        _, error = await ending(again)
        assert reason_of(error) == "CURSOR_EXPIRED"
        start = info_of(error).metadata["earliest_cursor"]
        rest = events_of(house.served.channel(), account_ids=["main"], after_cursor=start)
        events, _ = await read_until_caught_up(rest)
        assert events[0].sequence == journal.earliest("main") > given[-1]


async def test_a_blocked_reader_holds_no_snapshot_of_the_journal(furnish: Furnish) -> None:
    """While a subscriber stands still in the middle of its backlog, the journal's log can be copied into the file and
    cut to nothing: nobody reads in a transaction that stays open."""
    house = await furnish(stall_timeout_ms=60_000)
    house.tell("main", 3000, 8_000)
    await house.journal.commit()
    slow = events_of(house.served.channel(), account_ids=["main"], start_position=EARLIEST)
    assert (await slow.read()).HasField("opened")
    await until(lambda: house.served.server.streams == 1)
    house.tell("other", 1000, 1_000)
    await house.journal.commit()
    checkpoint = sqlite3.connect(house.journal.path, timeout=0)
    # The journal's own checkpoint may be under way, which this one cannot wait for; a reader would stay in its way.
    # Frames in the log, and those copied: both 0 once it is cut.
    await until(lambda: checkpoint.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0))
    checkpoint.close()
    events, _ = await read_until_caught_up(slow)
    assert [event.sequence for event in events] == list(range(1, house.journal.head("main") + 1))


class TestDisk:
    """What is streamed of an account that waits for the disk."""

    async def test_nothing_is_streamed_before_it_is_on_the_disk(self, furnish: Furnish) -> None:
        """While the disk is slow, a durable account's stream says nothing but heartbeats, whose cursor stands still,
        and a snapshot waits; another account's goes on. Then everything comes."""
        house = await furnish()
        head = house.journal.head("main")
        main = events_of(
            house.served.channel(),
            account_ids=["main"],
            start_position=LIVE,
            heartbeat_interval={"seconds": 1},
        )
        other = events_of(house.served.channel(), account_ids=["other"], start_position=LIVE)
        for stream in (main, other):
            await read_until_caught_up(stream)
        house.disk.goes_on.clear()
        house.tell("main", 3)
        placed = asyncio.create_task(place(house.served, market("c1")))
        house.tell("other", 5)
        assert len((await other.read()).batch.events) == 5
        beat = await main.read()
        assert beat.HasField("heartbeat")
        assert decode_cursor(beat.cursor).positions == {"main": head}
        late = events_of(house.served.channel(), account_ids=["main"], start_position=EARLIEST)
        events, _ = await read_until_caught_up(late)
        assert len(events) == head
        assert not placed.done()
        house.disk.goes_on.set()
        await placed
        assert (await main.read()).batch.events[0].sequence == head + 1
        rest = events_of(house.served.channel(), account_ids=["main"], after_cursor=beat.cursor)
        events, _ = await read_until_caught_up(rest)
        assert [event.sequence for event in events] == list(range(head + 1, house.journal.head("main") + 1))

    async def test_streams_end_when_the_journal_fails_and_resume_when_it_is_open_again(
        self, furnish: Furnish
    ) -> None:
        """Every stream of every account ends UNAVAILABLE with RetryInfo; so do those that are opened meanwhile; after
        its cursor each misses nothing of what is on the disk, and gets nothing twice."""
        house = await furnish()
        channel, journal = house.served.channel(), house.journal
        stub: Any = event_service_pb2_grpc.EventServiceStub(channel)
        # No heartbeat wakes them meanwhile.
        rarely: dict[str, Any] = {"heartbeat_interval": {"seconds": 60}}
        fills = event_pb2.StreamFillsRequest(account_ids=["main"], start_position=EARLIEST, **rarely)
        streams = [
            events_of(channel, account_ids=["main"], start_position=EARLIEST, **rarely),
            events_of(channel, account_ids=["other"], start_position=LIVE, **rarely),
            events_of(channel, start_position=EARLIEST, kinds=[event_pb2.EVENT_KIND_GAP], **rarely),
            stub.StreamFills(fills),
        ]
        cursors = [(await read_until_caught_up(stream))[1] for stream in streams]
        given = journal.head("main")
        house.disk.fails = True
        house.tell("main", 4)
        with pytest.raises(grpc.aio.AioRpcError):
            await place(house.served, market("c1"))
        assert journal.failed is not None
        for stream in streams:
            async with asyncio.timeout(20):
                found, error = await ending(stream)
            assert found == []
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert (reason_of(error), has_retry(error)) == ("JOURNAL_UNAVAILABLE", True)
        _, error = await ending(events_of(channel, account_ids=["main"], after_cursor=cursors[0]))
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.UNAVAILABLE, "JOURNAL_UNAVAILABLE")
        house.disk.fails = False
        if journal.failed is not None:
            journal.reopen()
        house.tell("main", 2)
        await journal.commit()
        rest = events_of(channel, account_ids=["main"], after_cursor=cursors[0])
        events, _ = await read_until_caught_up(rest)
        assert [event.sequence for event in events] == list(range(given + 1, journal.head("main") + 1))
        assert len(events) >= 2
        for cursor in cursors:
            await read_until_caught_up(events_of(channel, account_ids=["main", "other"], after_cursor=cursor))
