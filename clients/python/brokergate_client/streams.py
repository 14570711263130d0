"""Streams that survive: each resumes by its cursor, for ever, and gives every event once.

The gateway gives every event at least once (law 6). What makes it once is here: per account the highest
sequence that was given, of one epoch of the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from brokergate.v1 import event_pb2, stream_pb2
from brokergate_client import decode
from brokergate_client.calls import Backoff, Caller, invites_repeat, log
from brokergate_client.enums import ErrorReason, StartPosition, known, name_of
from brokergate_client.errors import AuthenticationError, GatewayError, UnavailableError, from_rpc_error
from brokergate_client.events import CaughtUp, EventItem, Fill, Snapshot
from brokergate_client.exact import timestamp_of

MISSED_HEARTBEATS = 3
"""So many heartbeats in a row that did not come mean that the peer is gone, whatever TCP says."""

OPEN_TIMEOUT_S = 10.0
"""`StreamOpened` is sent at once; a gateway that takes longer is asked again."""

Start = StartPosition | datetime
"""Where a stream without a cursor starts: at a named place, or at the first event of a time (aware)."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What a stream is asked for. `filters` are further fields of its request."""

    account_ids: Sequence[str]
    start: Start
    heartbeat_s: float
    filters: Mapping[str, Any]


def closing_error(closing: stream_pb2.StreamClosing) -> GatewayError:
    """Why the gateway ended the stream."""
    reason = known(ErrorReason, closing.reason)
    text = closing.message or f"the gateway ended the stream: {name_of(reason)}"
    if reason == ErrorReason.TOKEN_REVOKED:
        return AuthenticationError(grpc.StatusCode.UNAUTHENTICATED, text, reason=reason)
    if reason == ErrorReason.SLOW_CONSUMER:
        return GatewayError(grpc.StatusCode.RESOURCE_EXHAUSTED, text, reason=reason)
    return UnavailableError(grpc.StatusCode.UNAVAILABLE, text, reason=reason)


class Notice:
    """Whether a stream is live; one may wait for it."""

    def __init__(self) -> None:
        self._decided = asyncio.Event()
        self._error: GatewayError | None = None

    def is_set(self) -> bool:
        """Whether it is live now."""
        return self._error is None and self._decided.is_set()

    async def wait(self) -> None:
        """Return once it is live, while somebody iterates. Raises what ended the stream."""
        await self._decided.wait()
        if self._error is not None:
            raise self._error

    def begin(self) -> None:
        """Somebody iterates, perhaps again."""
        self._error = None
        self.take_back()

    def give(self) -> None:
        """All that was there before has been given."""
        self._decided.set()

    def take_back(self) -> None:
        """The stream is not live any more, or not yet again."""
        if self._error is None:
            self._decided.clear()

    def fail(self, error: GatewayError) -> None:
        """The stream has ended: nobody waits in vain."""
        self._error = error
        self._decided.set()


class ResumingStream:
    """What the streams share: connecting again, the cursor, and the notice of being caught up.

    `cursor` resumes after all that was given so far; it also moves on while nothing comes that passes the filter.
    `caught_up` is set while the stream is live: `await fills.caught_up.wait()`; it is cleared by a lost connection and
    set again when what was missed has been given. Who waits when the stream fails is told what it failed of.
    `reconnects` counts the connections after the first.

    Iterating again after `break` goes on where the stream was left. One task iterates at a time.
    """

    def __init__(
        self,
        method: Callable[..., Any],
        request_type: Callable[..., Any],
        options: StreamOptions,
        after: str | None,
        caller: Caller,
        new_backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self.cursor = after or ""
        self.caught_up = Notice()
        self.reconnects = 0
        self._method = method
        self._request_type = request_type
        self._options = options
        self._caller = caller
        self._new_backoff = new_backoff
        # Until the snapshot is whole no cursor is worth anything: resuming after one would leave the state out.
        self._awaits_snapshot = after is None and options.start == StartPosition.SNAPSHOT
        self._epoch: int | None = None
        self._seen: dict[str, int] = {}

    def _request(self) -> Any:
        options = self._options
        start: dict[str, Any]
        if self.cursor:
            start = {"after_cursor": self.cursor}
        elif isinstance(options.start, datetime):
            start = {"start_time": timestamp_of(options.start)}
        else:
            start = {"start_position": options.start}
        heartbeat = Duration()
        heartbeat.FromMilliseconds(round(options.heartbeat_s * 1000))
        return self._request_type(
            account_ids=options.account_ids, heartbeat_interval=heartbeat, **start, **options.filters
        )

    async def _messages(self) -> AsyncGenerator[Any, None]:
        """What the gateway says over one connection after another; `opened` begins each."""
        backoff = self._new_backoff()
        self.caught_up.begin()
        while True:
            call: Any = None
            pause_s = 0.0
            try:
                call = self._open()
                silence_s = OPEN_TIMEOUT_S
                while True:
                    message = await self._next(call, silence_s)
                    silence_s = MISSED_HEARTBEATS * self._options.heartbeat_s
                    payload = message.WhichOneof("payload")
                    match payload:
                        case "opened":
                            self._opened(message.opened)
                        case "closing":
                            self._passed(message)
                            raise closing_error(message.closing)
                        case "caught_up":
                            self.caught_up.give()
                        case _:
                            pass
                    if payload != "opened":
                        backoff.reset()
                    yield message
                    self._passed(message)
            except GatewayError as error:
                if not self._may_resume(error):
                    self.caught_up.fail(error)
                    raise
                pause_s = backoff.next_s(error.retry_after_s)
                log.info("%s; resuming the stream in %.1f s", error, pause_s)
            finally:
                self.caught_up.take_back()
                if call is not None:
                    call.cancel()
            await asyncio.sleep(pause_s)
            self.reconnects += 1

    def _open(self) -> Any:
        """A new call. Raises `ClosedError` on a client that was closed."""
        self._caller.expect_open()
        return self._method(self._request(), metadata=self._caller.metadata)

    async def _next(self, call: Any, silence_s: float) -> Any:
        """The next message. Raises `GatewayError` when the stream has ended or nothing came for `silence_s`."""
        try:
            async with asyncio.timeout(silence_s):
                message = await call.read()
        except TimeoutError:
            text = f"nothing came from the gateway for {silence_s:g} s, not even a heartbeat"
            raise UnavailableError(grpc.StatusCode.UNAVAILABLE, text) from None
        except grpc.aio.AioRpcError as error:
            self._caller.expect_open()
            raise from_rpc_error(error) from error
        except asyncio.CancelledError:
            self._caller.expect_open_or_cancelled()
            raise
        if message is grpc.aio.EOF:
            raise UnavailableError(grpc.StatusCode.UNAVAILABLE, "the gateway ended the stream")
        return message

    def _passed(self, message: Any) -> None:
        """A message has been dealt with."""
        if message.cursor and not self._awaits_snapshot:
            self.cursor = message.cursor

    def _opened(self, opened: stream_pb2.StreamOpened) -> None:
        if opened.epoch != self._epoch:
            # Sequences of another epoch say nothing about these.
            self._seen.clear()
            self._epoch = opened.epoch

    def _may_resume(self, error: GatewayError) -> bool:
        """Whether a new connection can help. Before the first one stood, a crowded gateway is the caller's to know."""
        if error.reason == ErrorReason.TOO_MANY_STREAMS:
            return self._epoch is not None
        return error.reason == ErrorReason.SLOW_CONSUMER or invites_repeat(error)

    def _take(self, message: Any) -> Iterator[event_pb2.Event]:
        """The events of a batch that were not given before; `cursor` is the one to keep after each.

        A cursor of an event speaks of its account alone. Where the stream may hold several, the safe one between two
        events of a batch is that of the message before: resuming there repeats up to a batch and loses nothing.
        """
        single = len(self._options.account_ids) == 1
        events = message.batch.events
        last = len(events) - 1
        seen = self._seen
        for index, event in enumerate(events):
            account_id, sequence = event.account_id, event.sequence
            if sequence <= seen.get(account_id, 0):
                continue
            seen[account_id] = sequence
            if index == last:
                self.cursor = message.cursor
            elif single:
                self.cursor = event.cursor
            yield event


class FillStream(ResumingStream):
    """Executions as they are booked: `async for fill in gateway.fills(after=cursor)`.

    A broker may correct one or take it back: its `kind` says so, and `corrects_fill_id` which it was. Each carries the
    `cursor` to keep. Raises what no new connection can mend: `CursorExpiredError`, `CursorEpochError`,
    `AuthenticationError`, `InvalidRequestError`, `NotFoundError`, `NotPermittedError`.
    """

    async def __aiter__(self) -> AsyncIterator[Fill]:
        async with aclosing(self._messages()) as messages:
            async for message in messages:
                if message.WhichOneof("payload") != "batch":
                    continue
                for event in self._take(message):
                    # Fees that came later belong to `Gateway.events`; here they only move the cursor.
                    if event.WhichOneof("payload") == "fill":
                        yield decode.fill(event.fill.fill, event.event_id, event.sequence, self.cursor)


class EventStream(ResumingStream):
    """Every entry of the journal, between them `CaughtUp`, and first a `Snapshot` where one was asked for.

    Raises as `FillStream`.
    """

    async def __aiter__(self) -> AsyncIterator[EventItem]:
        pages: list[event_pb2.Snapshot] = []
        async with aclosing(self._messages()) as messages:
            async for message in messages:
                match message.WhichOneof("payload"):
                    case "opened":
                        # A snapshot that was cut short begins anew.
                        pages.clear()
                    case "batch":
                        for event in self._take(message):
                            yield decode.event(event, self.cursor)
                    case "caught_up":
                        yield CaughtUp(message.cursor)
                    case "snapshot":
                        pages.append(message.snapshot)
                        if message.snapshot.last:
                            self._awaits_snapshot = False
                            self.cursor = message.cursor
                            yield _snapshot(pages, message.cursor)
                    case _:
                        pass


def _snapshot(pages: Sequence[event_pb2.Snapshot], cursor: str) -> Snapshot:
    return Snapshot(
        cursor,
        tuple(decode.order(order) for page in pages for order in page.orders),
        tuple(decode.position(position) for page in pages for position in page.positions),
        tuple(decode.balance(balance) for page in pages for balance in page.balances),
    )
