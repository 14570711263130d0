"""EventService: the journal as a stream."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import Any

from brokergate import __version__
from brokergate.codec.decode.stream import decode_stream_events, decode_stream_fills
from brokergate.codec.encode.stream import (
    caught_up_bytes,
    closing_bytes,
    event_batch_bytes,
    heartbeat_bytes,
    opened_bytes,
    snapshot_bytes,
)
from brokergate.domain.access import Principal
from brokergate.domain.cursor import MAX_CURSOR_ACCOUNTS
from brokergate.domain.errors import invalid_field
from brokergate.domain.streams import StreamRequest
from brokergate.engine.gateway import Gateway
from brokergate.engine.streams import (
    Batch,
    Beat,
    CaughtUp,
    EventStreams,
    FellBehind,
    Opened,
    SnapshotPage,
    StreamItem,
)
from brokergate.transport.auth import require_account
from brokergate.transport.calls import Stream, StreamEnded
from brokergate.v1 import event_pb2


class EventService:
    """See `event_service.proto`. What StreamFillsResponse has, it has under the numbers of StreamEventsResponse."""

    def __init__(self, gateway: Gateway, streams: EventStreams) -> None:
        self._gateway = gateway
        self._streams = streams

    async def stream_events(self, request: event_pb2.StreamEventsRequest, stream: Stream) -> None:
        await self._follow(decode_stream_events(request), stream)

    async def stream_fills(self, request: event_pb2.StreamFillsRequest, stream: Stream) -> None:
        await self._follow(decode_stream_fills(request), stream)

    def _allowed(self, request: StreamRequest, principal: Principal) -> StreamRequest:
        """With its accounts named: those that were asked for, or every one that the principal may see."""
        for index, account_id in enumerate(request.account_ids):
            require_account(principal, account_id)
            self._gateway.account(account_id, f"account_ids[{index}]")
        if request.account_ids:
            return request
        every = tuple(name for name in self._gateway.account_ids if principal.allows(name))
        if len(every) > MAX_CURSOR_ACCOUNTS:
            raise invalid_field(
                "account_ids",
                f"is empty, and {len(every)} accounts are more than one stream follows; name some",
            )
        return replace(request, account_ids=every)

    async def _follow(self, request: StreamRequest, stream: Stream) -> None:
        cursor = request.after_cursor or ""
        items: Any = self._streams.follow(self._allowed(request, stream.principal))
        async with aclosing(items):
            try:
                while True:
                    item: StreamItem = await stream.wait(anext(items))
                    await stream.write(_encode(item))
                    cursor = item.cursor or cursor
            except StreamEnded as end:
                await stream.write(closing_bytes(cursor, end.error.reason, end.error.message))
                raise
            except FellBehind as error:
                # It does read: there is a way to tell it.
                await stream.write(closing_bytes(cursor, error.reason, error.message))
                raise


def _encode(item: StreamItem) -> bytes:
    match item:
        case Batch():
            return event_batch_bytes(item.cursor, item.bodies)
        case Beat():
            return heartbeat_bytes(item.cursor, item.time_ns)
        case CaughtUp():
            return caught_up_bytes(item.cursor)
        case Opened():
            return opened_bytes(item.cursor, item.time_ns, item.epoch, __version__)
        case SnapshotPage():
            return snapshot_bytes(item.cursor, item.orders, item.positions, item.balances, item.last)
