"""Every cursor that the gateway gives resumes, and every place to begin is the right one."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from brokergate.domain.cursor import decode_cursor
from brokergate.v1 import (
    account_pb2,
    account_service_pb2_grpc,
    event_pb2,
    order_pb2,
    order_service_pb2_grpc,
    position_pb2,
    position_service_pb2_grpc,
)
from tests.e2e.process import ServerProcess
from tests.e2e.streams.reading import (
    EARLIEST,
    LIVE,
    SNAPSHOT,
    after,
    by_account,
    events_of,
    follow,
    follow_fills,
    leave,
    messages,
    read_history,
    refusal,
    until_caught_up,
)
from tests.e2e.streams.trading import SYMBOLS, Trader, connect, create_account

ACCOUNTS = ("one", "two")
FILL, FILL_FEES, ORDER = (
    event_pb2.EVENT_KIND_FILL,
    event_pb2.EVENT_KIND_FILL_FEES,
    event_pb2.EVENT_KIND_ORDER,
)

Cursors = dict[str, dict[str, int]]
"""What was given up to a cursor: by account, the last sequence."""


async def furnish(channel: grpc.aio.Channel) -> dict[str, Trader]:
    """Both accounts with a little history each."""
    traders = {}
    for account_id in ACCOUNTS:
        await create_account(channel, account_id)
        traders[account_id] = Trader(channel, account_id, "first")
        await traders[account_id].some_of_each()
    return traders


async def cursors_of_stream(call: Any, stop_at: str, given: dict[str, int] | None = None) -> Cursors:
    """Every cursor that the messages and the events of a stream carry, up to the first message `stop_at`."""
    found: Cursors = {}
    given = dict(given or {})
    async for message in messages(call):
        for event in message.batch.events:
            given[event.account_id] = event.sequence
            found[event.cursor] = {event.account_id: event.sequence}
        if message.cursor:
            found[message.cursor] = dict(given)
        if message.WhichOneof("payload") == stop_at:
            await leave(call)
            return found
    raise AssertionError(f"the stream ended before {stop_at}")


async def cursors_of_lists(channel: grpc.aio.Channel, account_id: str) -> dict[str, str]:
    """The cursor of every RPC that reads and gives one, by the RPC's name."""
    orders: Any = order_service_pb2_grpc.OrderServiceStub(channel)
    accounts: Any = account_service_pb2_grpc.AccountServiceStub(channel)
    positions: Any = position_service_pb2_grpc.PositionServiceStub(channel)
    name: dict[str, Any] = {"account_id": account_id}
    ref = order_pb2.OrderRef(client_order_id="first-1")
    asked = {
        "GetOrder": orders.GetOrder(order_pb2.GetOrderRequest(order=ref, **name)),
        "ListOrders": orders.ListOrders(order_pb2.ListOrdersRequest(**name)),
        "ListFills": orders.ListFills(order_pb2.ListFillsRequest(**name)),
        "GetAccount": accounts.GetAccount(account_pb2.GetAccountRequest(**name)),
        "ListBalances": accounts.ListBalances(account_pb2.ListBalancesRequest(**name)),
        "ListLedgerEntries": accounts.ListLedgerEntries(account_pb2.ListLedgerEntriesRequest(**name)),
        "ListPositions": positions.ListPositions(position_pb2.ListPositionsRequest(**name)),
        "GetPosition": positions.GetPosition(position_pb2.GetPositionRequest(symbol=SYMBOLS[0], **name)),
    }
    return {rpc: (await answer).cursor for rpc, answer in asked.items()}


async def expect_resumes(channel: grpc.aio.Channel, cursors: Cursors) -> None:
    """A stream after each of `cursors` gives what follows on it, all of it and nothing else."""
    history = await read_history(channel, *ACCOUNTS)
    for cursor, given in cursors.items():
        accounts = ACCOUNTS if len(given) > 1 or not given else tuple(given)
        found = events_of(await until_caught_up(follow(channel, account_ids=accounts, after_cursor=cursor)))
        expected = after({account_id: history[account_id] for account_id in accounts}, given)
        assert by_account(found) == expected, cursor


async def test_every_cursor_resumes(still_server: ServerProcess) -> None:
    """After each cursor that was ever given (of every kind of message, of every event and of every list) comes
    exactly what follows: live, after a restart, and after kill -9."""
    async with connect(still_server.address) as channel:
        traders = await furnish(channel)
        history = await read_history(channel, *ACCOUNTS)
        heads = {account_id: len(events) for account_id, events in history.items()}
        everything = {"account_ids": ACCOUNTS, "heartbeat_interval": {"seconds": 1}}
        cursors = await cursors_of_stream(follow(channel, start_position=EARLIEST, **everything), "heartbeat")
        cursors |= await cursors_of_stream(
            follow(channel, start_position=LIVE, **everything), "caught_up", heads
        )
        cursors |= await cursors_of_stream(
            follow(channel, start_position=SNAPSHOT, **everything), "caught_up", heads
        )
        quiet = follow(channel, start_position=EARLIEST, kinds=[event_pb2.EVENT_KIND_GAP], **everything)
        *_, last = await cursors_of_stream(quiet, "heartbeat")
        cursors[last] = heads
        of_lists = {account_id: await cursors_of_lists(channel, account_id) for account_id in ACCOUNTS}
        for account_id, by_rpc in of_lists.items():
            assert len(by_rpc) == 8
            for rpc, cursor in by_rpc.items():
                assert decode_cursor(cursor).positions == {account_id: heads[account_id]}, rpc
                cursors[cursor] = {account_id: heads[account_id]}
        assert len(cursors) > sum(heads.values())
        for trader in traders.values():
            await trader.some_of_each()
        await expect_resumes(channel, cursors)
    for end in (still_server.terminate, still_server.kill9):
        await asyncio.to_thread(end)
        await asyncio.to_thread(still_server.start)
        async with connect(still_server.address) as channel:
            await expect_resumes(channel, cursors)


async def test_the_last_cursor_of_a_server_that_drains_resumes(still_server: ServerProcess) -> None:
    """StreamClosing comes last, with a cursor; after it nothing is missing and nothing comes twice."""
    async with connect(still_server.address) as channel:
        traders = await furnish(channel)
        call = follow(channel, account_ids=ACCOUNTS, start_position=EARLIEST)
        given: list[Any] = []
        ending: asyncio.Task[int] | None = None
        async for message in messages(call):
            given.append(message)
            if message.WhichOneof("payload") == "caught_up":
                ending = asyncio.create_task(asyncio.to_thread(still_server.terminate))
        assert ending is not None
        assert await ending == 0
        assert given[-1].WhichOneof("payload") == "closing"
    await asyncio.to_thread(still_server.start)
    async with connect(still_server.address) as channel:
        traders = {account_id: Trader(channel, account_id, "second") for account_id in traders}
        rest = follow(channel, account_ids=ACCOUNTS, after_cursor=given[-1].cursor)
        found = events_of(given) + events_of(await until_caught_up(rest))
        assert by_account(found) == await read_history(channel, *ACCOUNTS)


async def test_places_to_begin(still_server: ServerProcess) -> None:
    """EARLIEST, LIVE, a time before, between and after all events, and none at all."""
    async with connect(still_server.address) as channel:
        traders = await furnish(channel)
        history = (await read_history(channel, "one"))["one"]
        of_one = {"account_ids": ["one"]}
        for start in (LIVE, event_pb2.START_POSITION_UNSPECIFIED):
            found = await until_caught_up(follow(channel, start_position=start, **of_one))
            assert [message.WhichOneof("payload") for message in found] == ["opened", "caught_up"]
        assert events_of(await until_caught_up(follow(channel, **of_one))) == []
        for event in history:
            call = follow(channel, start_time=event.time, **of_one)
            since = [other for other in history if other.time.ToNanoseconds() >= event.time.ToNanoseconds()]
            assert events_of(await until_caught_up(call)) == since
        for nanos, count in ((-1, len(history)), (1, 0)):
            time = type(event.time)()
            time.FromNanoseconds((history[0] if nanos < 0 else history[-1]).time.ToNanoseconds() + nanos)
            assert len(events_of(await until_caught_up(follow(channel, start_time=time, **of_one)))) == count
        call = follow(channel, start_position=LIVE, **of_one)
        assert (await call.read()).HasField("opened")
        assert (await call.read()).HasField("caught_up")
        await traders["one"].some_of_each()
        assert (await call.read()).batch.events[0].sequence == len(history) + 1
        await leave(call)


async def test_filters_change_between_cursors(still_server: ServerProcess) -> None:
    """A cursor of one filter resumes under every other: kinds, symbols, fills alone, one account or both."""
    async with connect(still_server.address) as channel:
        await furnish(channel)
        history = await read_history(channel, *ACCOUNTS)
        cursors = await cursors_of_stream(
            follow(channel, account_ids=ACCOUNTS, start_position=EARLIEST, kinds=[FILL, ORDER]), "caught_up"
        )
        fills = await cursors_of_stream(
            follow_fills(channel, account_ids=ACCOUNTS, start_position=EARLIEST, symbols=SYMBOLS[:1]),
            "caught_up",
        )
        tried = 0
        for cursor in cursors | fills:
            # What the filter left out counts as given: the cursor itself says up to where.
            given = decode_cursor(cursor).positions
            if len(given) < 2:
                continue
            request = {"account_ids": ACCOUNTS, "after_cursor": cursor}
            found = events_of(await until_caught_up(follow(channel, **request)))
            assert by_account(found) == after(history, given)
            found = events_of(await until_caught_up(follow(channel, kinds=[ORDER], **request)))
            assert by_account(found) == after(history, given, lambda event: event.HasField("order"))
            found = events_of(await until_caught_up(follow_fills(channel, symbols=SYMBOLS[1:], **request)))
            expected = after(history, given, lambda event: event.fill.fill.symbol == SYMBOLS[1])
            assert by_account(found) == expected
            found = events_of(
                await until_caught_up(follow(channel, account_ids=["two"], after_cursor=cursor))
            )
            assert by_account(found) == after({"two": history["two"]}, given)
            tried += 1
        assert tried > 2


async def test_a_quiet_filtered_stream_advances_by_heartbeats(still_server: ServerProcess) -> None:
    """While nothing passes its filter a stream gives heartbeats about once an interval, and their cursors move over
    what did not pass: who resumes after them has nothing to read again."""
    async with connect(still_server.address) as channel:
        traders = await furnish(channel)
        call = follow(
            channel,
            account_ids=ACCOUNTS,
            start_position=LIVE,
            kinds=[event_pb2.EVENT_KIND_GAP],
            heartbeat_interval={"seconds": 1},
        )
        assert [(await call.read()).WhichOneof("payload") for _ in range(2)] == ["opened", "caught_up"]
        for _ in range(2):
            await traders["one"].some_of_each()
            beat = await call.read()
            assert beat.HasField("heartbeat")
            history = await read_history(channel, *ACCOUNTS)
            heads = {account_id: len(events) for account_id, events in history.items()}
            assert decode_cursor(beat.cursor).positions == heads
            rest = await until_caught_up(follow(channel, account_ids=ACCOUNTS, after_cursor=beat.cursor))
            assert events_of(rest) == []
        await leave(call)


async def test_accounts_made_later(still_server: ServerProcess) -> None:
    """A stream of all accounts is of those that there are as it opens; resumed, it gives an account that was made
    since from its first event on, and so does a cursor that names no account at all."""
    async with connect(still_server.address) as channel:
        await create_account(channel, "one")
        opened = await until_caught_up(follow(channel, start_position=EARLIEST))
        assert by_account(events_of(opened)).keys() == {"idle", "one"}
        await create_account(channel, "two")
        rest = events_of(await until_caught_up(follow(channel, after_cursor=opened[-1].cursor)))
        assert by_account(rest) == await read_history(channel, "two")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda cursor: "", "CURSOR_INVALID"),
        (lambda cursor: cursor + "x", "CURSOR_INVALID"),
        (lambda cursor: cursor[:-1], "CURSOR_INVALID"),
        (lambda cursor: "2" + cursor[1:], "CURSOR_INVALID"),
        (lambda cursor: cursor + "," + cursor.rpartition(".")[2], "CURSOR_INVALID"),
        (lambda cursor: cursor.replace(cursor.split(".")[1], "0badcafe"), "CURSOR_EPOCH"),
        (lambda cursor: _with_epoch(cursor, +1), "CURSOR_EPOCH"),
        (lambda cursor: _with_epoch(cursor, -1), "CURSOR_EPOCH"),
        (lambda cursor: cursor.rpartition(":")[0] + ":" + str(_head(cursor) + 1), "CURSOR_EPOCH"),
        (lambda cursor: cursor.rpartition(":")[0] + ":" + "9" * 18, "CURSOR_EPOCH"),
    ],
    ids=[
        "empty",
        "longer",
        "cut",
        "version",
        "twice",
        "journal",
        "next epoch",
        "last epoch",
        "future",
        "far",
    ],
)
async def test_cursors_that_are_refused(shared_server: ServerProcess, edit: Any, reason: str) -> None:
    """Garbage is CURSOR_INVALID; of another journal, of another epoch, or past the tail is CURSOR_EPOCH, never
    silence."""
    async with connect(shared_server.address) as channel:
        (*_, caught_up) = await until_caught_up(
            follow(channel, account_ids=["paper"], start_position=EARLIEST)
        )
        cursor = edit(caught_up.cursor)
        assert await refusal(follow(channel, account_ids=["paper"], after_cursor=cursor)) == reason
        assert await refusal(follow_fills(channel, account_ids=["paper"], after_cursor=cursor)) == reason


def _with_epoch(cursor: str, step: int) -> str:
    version, journal, epoch, places = cursor.split(".")
    return ".".join((version, journal, str(int(epoch) + step), places))


def _head(cursor: str) -> int:
    return decode_cursor(cursor).positions["paper"]
