"""What streams tell, and whether it is what it should be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import grpc

from brokergate.v1 import event_pb2, event_service_pb2_grpc
from tests.unit.transport.errors import reason_of

EARLIEST = event_pb2.START_POSITION_EARLIEST
LIVE = event_pb2.START_POSITION_LIVE
SNAPSHOT = event_pb2.START_POSITION_SNAPSHOT

Message = event_pb2.StreamEventsResponse
History = Mapping[str, Sequence[event_pb2.Event]]
"""Every event of some accounts, in their order: `history[account][n]` has the sequence n + 1."""

STREAM_TIMEOUT_S = 120.0


def follow(channel: grpc.aio.Channel, **request: Any) -> Any:
    """The call of StreamEvents."""
    stub: Any = event_service_pb2_grpc.EventServiceStub(channel)
    return stub.StreamEvents(event_pb2.StreamEventsRequest(**request), timeout=STREAM_TIMEOUT_S)


def follow_fills(channel: grpc.aio.Channel, **request: Any) -> Any:
    """The call of StreamFills."""
    stub: Any = event_service_pb2_grpc.EventServiceStub(channel)
    return stub.StreamFills(event_pb2.StreamFillsRequest(**request), timeout=STREAM_TIMEOUT_S)


async def messages(call: Any) -> AsyncIterator[Any]:
    """A stream's messages; raises what it ends with."""
    while (message := await call.read()) is not grpc.aio.EOF:
        yield message


async def leave(call: Any) -> None:
    """Cancels a stream, and returns when gRPC has let go of it."""
    call.cancel()
    await call.code()


async def until_caught_up(call: Any) -> list[Any]:
    """The messages of a stream up to and with CaughtUp; then it is cancelled."""
    found: list[Any] = []
    async for message in messages(call):
        found.append(message)
        if message.WhichOneof("payload") == "caught_up":
            await leave(call)
            return found
    raise AssertionError(f"the stream ended before it had caught up: {found[-3:]}")


def events_of(found: Sequence[Any]) -> list[event_pb2.Event]:
    """The events in messages."""
    return [event for message in found for event in message.batch.events]


async def read_history(channel: grpc.aio.Channel, *account_ids: str) -> dict[str, list[event_pb2.Event]]:
    """Everything that there is, by account, gapless from 1."""
    found = await until_caught_up(follow(channel, account_ids=account_ids, start_position=EARLIEST))
    history: dict[str, list[event_pb2.Event]] = {account_id: [] for account_id in account_ids}
    for event in events_of(found):
        history[event.account_id].append(event)
        assert event.sequence == len(history[event.account_id])
    return history


def by_account(events: Sequence[event_pb2.Event]) -> dict[str, list[event_pb2.Event]]:
    """Events of several accounts, each account's in its order."""
    found: dict[str, list[event_pb2.Event]] = {}
    for event in events:
        found.setdefault(event.account_id, []).append(event)
    return found


def after(
    history: History,
    positions: Mapping[str, int],
    passes: Callable[[event_pb2.Event], bool] = lambda _: True,
) -> dict[str, list[event_pb2.Event]]:
    """What a stream must give that has given `positions`: by account, and only accounts that have something."""
    rest = {
        account_id: [event for event in events[positions.get(account_id, 0) :] if passes(event)]
        for account_id, events in history.items()
    }
    return {account_id: events for account_id, events in rest.items() if events}


async def refusal(call: Any) -> str:
    """The reason for which the stream ends, whatever it says before."""
    try:
        async with asyncio.timeout(STREAM_TIMEOUT_S):
            async for _ in messages(call):
                pass
    except grpc.aio.AioRpcError as error:
        return reason_of(error)
    return ""
