"""Many subscribers at once, and among them some that do not read."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from brokergate.v1 import event_pb2
from tests.benchmarks.servers import resident_mib
from tests.e2e.conftest import StartServer
from tests.e2e.process import ROOT, ServerProcess, environment
from tests.e2e.streams.crowd import digest
from tests.e2e.streams.raw_http2 import MuteSubscriber
from tests.e2e.streams.reading import (
    EARLIEST,
    LIVE,
    events_of,
    follow,
    follow_fills,
    leave,
    messages,
    read_history,
    refusal,
    until_caught_up,
)
from tests.e2e.streams.trading import SYMBOLS, Trader, buy, connect, create_account
from tests.unit.transport.errors import reason_of

STREAM_EVENTS = "/brokergate.v1.EventService/StreamEvents"
SUBSCRIBERS = 200
PROCESSES = 4
CHANNELS = 5
"""Connections of each process."""

MUTE = 20
MIB = 1 << 20


async def start_crowd(address: str, *account_ids: str) -> asyncio.subprocess.Process:
    """A process of subscribers, all of them live."""
    counts = (str(SUBSCRIBERS // PROCESSES), str(CHANNELS))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.e2e.streams.crowd", address, *counts, *account_ids),
        cwd=ROOT,
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MIB,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"live\n"
    return process


async def test_two_hundred_subscribers_get_everything_once(still_server: ServerProcess) -> None:
    """200 subscribers of four processes are live at once. Half of them leave and resume all the time, and forget
    cursors; yet each gets every event of two accounts under load exactly once, in order, many to a message."""
    accounts = ("one", "two")
    async with connect(still_server.address) as channel, asyncio.timeout(100):
        for account_id in accounts:
            await create_account(channel, account_id)
        crowds = [await start_crowd(still_server.address, *accounts) for _ in range(PROCESSES)]
        try:
            traders = [Trader(channel, account_id, "load") for account_id in accounts]
            await asyncio.gather(*(trader.fills(30, 25) for trader in traders))
            await asyncio.gather(*(trader.some_of_each() for trader in traders))
            history = await read_history(channel, *accounts)
            heads = {account_id: len(events) for account_id, events in history.items()}
            answers = await asyncio.gather(
                *(crowd.communicate(json.dumps(heads).encode() + b"\n") for crowd in crowds)
            )
        finally:
            for crowd in crowds:
                if crowd.returncode is None:
                    crowd.kill()
    told = [subscriber for stdout, _ in answers for subscriber in json.loads(stdout)]
    expected = {name: digest([event.event_id for event in events]) for name, events in history.items()}
    assert [subscriber["digests"] for subscriber in told] == [expected] * SUBSCRIBERS
    assert sum(subscriber["resumed"] for subscriber in told) > 2 * SUBSCRIBERS
    assert sum(subscriber["twice"] for subscriber in told) > 0
    stayed = [subscriber for subscriber in told if subscriber["resumed"] == 1]
    assert len(stayed) == SUBSCRIBERS / 2
    assert sum(each["events"] for each in stayed) > 5 * sum(each["messages"] for each in stayed)


async def flood(trader: Trader, mib: int) -> None:
    """Events of about `mib` MiB: those of an order with all its labels have some 2 KiB."""
    labels = {f"{label:032d}": "x" * 64 for label in range(16)}
    for _ in range(mib):
        await trader.place(*[buy(SYMBOLS[0], labels=labels)] * 500)


async def test_subscribers_that_never_read_harm_nobody(start_server: StartServer, tmp_path: Path) -> None:
    """Beside subscribers that open a stream over bare HTTP/2 and never read a byte, others get everything and orders
    are answered; the server holds one batch for each, not what they have not read."""
    config = tmp_path / "brokergate.yaml"
    config.write_text(
        "server: {limits: {stall_timeout_ms: 60000}}\n"
        'accounts: {idle: {broker: paper, paper: {initial_balance: {USDT: "1"}, feed: {push: {}}}}}\n',
        "utf-8",
    )
    server = start_server("--config", config)
    async with connect(server.address) as channel, connect(server.address) as other:
        await create_account(channel, "one")
        trader = Trader(channel, "one", "flood")
        # So much fills the server's caches: what it takes beyond is the subscribers'.
        await flood(trader, 30)
        before_mib = resident_mib(server.process.pid)
        with ExitStack() as stack:
            request = event_pb2.StreamEventsRequest(account_ids=["one"], start_position=EARLIEST)
            for number in range(MUTE):
                window = 65_535 if number % 2 else 100
                stack.enter_context(MuteSubscriber(server.address, STREAM_EVENTS, request, window))
            live = follow_fills(other, account_ids=["one"], start_position=LIVE)
            while not (await live.read()).HasField("caught_up"):
                pass
            fills = 0
            for turn in range(12):
                await flood(trader, 1)
                while fills < 500 * (turn + 1):
                    fills += len((await live.read()).batch.events)
            assert fills == 500 * 12
            await leave(live)
            grown_mib = resident_mib(server.process.pid) - before_mib
            history = (await read_history(other, "one"))["one"]
        unread_mib = MUTE * sum(event.ByteSize() for event in history) / MIB
        assert unread_mib > 500
        assert grown_mib < 3 * MUTE, f"{unread_mib:.0f} MiB were not read"


async def test_a_mute_subscriber_is_cut_off_and_one_that_reads_on_resumes(
    start_server: StartServer, tmp_path: Path
) -> None:
    """One whose write stays blocked for longer than the stall timeout is ended with SLOW_CONSUMER, which it finds
    behind what was sent; after its last cursor it misses nothing."""
    config = tmp_path / "brokergate.yaml"
    config.write_text(
        "server: {limits: {stall_timeout_ms: 300, max_subscribers: 1}}\n"
        'accounts: {idle: {broker: paper, paper: {initial_balance: {USDT: "1"}, feed: {push: {}}}}}\n',
        "utf-8",
    )
    server = start_server("--config", config)
    async with connect(server.address) as channel:
        await create_account(channel, "one")
        await flood(Trader(channel, "one", "flood"), 20)
        async with connect(server.address) as stuck:
            call = follow(stuck, account_ids=["one"], start_position=EARLIEST)
            assert (await call.read()).HasField("opened")
            # The only place is taken until the gateway cuts the first one off.
            async with asyncio.timeout(30):
                while await refusal(probe(channel)) == "TOO_MANY_STREAMS":  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.05)
            found: list[Any] = []
            with pytest.raises(grpc.aio.AioRpcError) as caught:  # noqa: PT012 - what came before the end counts
                async for message in messages(call):
                    found.append(message)  # noqa: PERF401
            assert reason_of(caught.value) == "SLOW_CONSUMER"
        rest = await until_caught_up(follow(channel, account_ids=["one"], after_cursor=found[-1].cursor))
        history = (await read_history(channel, "one"))["one"]
        assert events_of(found) + events_of(rest) == history
        assert events_of(rest)


def probe(channel: grpc.aio.Channel) -> Any:
    """A stream that ends by itself: its cursor is refused where there is room for it."""
    return follow(channel, account_ids=["one"], after_cursor="none")
