"""Streams that survive: what is lost is resumed, what comes twice is dropped, what is final is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from brokergate.v1 import account_pb2, error_pb2, event_pb2, order_pb2, position_pb2, stream_pb2
from brokergate_client import (
    AuthenticationError,
    CaughtUp,
    ClosedError,
    CursorEpochError,
    CursorExpiredError,
    ErrorReason,
    Event,
    EventItem,
    EventKind,
    Fill,
    FillStream,
    Gateway,
    GatewayError,
    InvalidRequestError,
    Snapshot,
    StartPosition,
    UnavailableError,
    UnknownPayload,
)
from brokergate_client import streams as streams_module
from brokergate_client.calls import Backoff
from brokergate_client.streams import EventStream
from tests.unit.client.fake import (
    MUTE,
    FakeGateway,
    batch,
    caught_up,
    closing,
    fill_event,
    heartbeat,
    opened,
    refuse,
)

A, B = "paper", "other"


def fast(stream: FillStream) -> FillStream:
    """The same stream with short pauses."""
    stream._new_backoff = lambda: Backoff(0.001, 0.02)
    return stream


async def take(stream: FillStream, count: int) -> list[Fill]:
    """The next fills of a stream."""
    found: list[Fill] = []
    async for fill in stream:
        found.append(fill)
        if len(found) == count:
            break
    return found


def numbers(fills: list[Fill]) -> list[int]:
    """Which they are."""
    return [int(fill.quantity) for fill in fills]


def ended(code: grpc.StatusCode, reason: str = "", earliest_cursor: str = "") -> Callable[[Any, Any], Any]:
    """A step that ends the stream: as the gateway does where there is a reason, as gRPC itself does where not."""

    async def step(_request: Any, context: Any) -> None:
        if reason:
            await refuse(context, code, reason, earliest_cursor=earliest_cursor)
        await context.abort(code, "gone")

    return step


async def test_a_killed_gateway_is_found_again_and_resumed_from_the_last_cursor(
    fake: FakeGateway, gateway: Gateway
) -> None:
    """Fills 1 and 2, then the process dies and comes back on its port: 3 comes next, asked for after 2."""
    fake.scripts = [
        [opened("c0"), batch("c2", fill_event(A, 1), fill_event(A, 2))],
        [opened("c2"), batch("c3", fill_event(A, 3))],
    ]
    stream = fast(gateway.fills(after="c0"))
    fills = aiter(stream)
    first = [await anext(fills), await anext(fills)]
    await fake.kill()
    waiting = asyncio.ensure_future(anext(fills))
    await asyncio.sleep(0.1)
    await fake.start()
    assert numbers([*first, await waiting]) == [1, 2, 3]
    assert [start.after_cursor for start in fake.starts] == ["c0", "c2"]
    assert stream.reconnects >= 1


async def test_what_is_given_again_is_dropped(fake: FakeGateway, gateway: Gateway) -> None:
    """Repeated in a batch, in the next batch and after a reconnect, each fill comes once."""
    one, two, three = (fill_event(A, number) for number in (1, 2, 3))
    fake.scripts = [
        [
            opened("c0"),
            batch("c1", one, one),
            batch("c2", one, two),
            ended(grpc.StatusCode.UNAVAILABLE),
        ],
        [opened("c0"), batch("c2", one, two), batch("c3", two, three)],
    ]
    assert numbers(await take(fast(gateway.fills()), 3)) == [1, 2, 3]


async def test_accounts_have_sequences_of_their_own(fake: FakeGateway, gateway: Gateway) -> None:
    """The same sequence on another account is another fill."""
    fake.scripts = [[opened("c0"), batch("c2", fill_event(A, 1), fill_event(B, 1), fill_event(A, 1))]]
    fills = await take(fast(gateway.fills()), 2)
    assert [fill.account_id for fill in fills] == [A, B]


async def test_another_epoch_begins_its_sequences_anew(fake: FakeGateway, gateway: Gateway) -> None:
    """A gateway whose journal was lost, and that never gave a cursor, counts from 1 again: nothing is dropped."""
    fake.scripts = [
        [opened(epoch=1), batch("", fill_event(A, 1)), ended(grpc.StatusCode.UNAVAILABLE)],
        [opened(epoch=2), batch("", fill_event(A, 1))],
    ]
    assert numbers(await take(fast(gateway.fills(start=StartPosition.EARLIEST)), 2)) == [1, 1]


async def test_a_fill_of_one_account_carries_its_own_cursor(fake: FakeGateway, gateway: Gateway) -> None:
    """In the middle of a batch it is the event's, at its end the message's."""
    fake.scripts = [[opened("c0"), batch("c3", *(fill_event(A, number) for number in (1, 2, 3)))]]
    fills = await take(fast(gateway.fills(account_ids=[A])), 3)
    assert [fill.cursor for fill in fills] == [f"{A}@1", f"{A}@2", "c3"]
    assert [(fill.event_id, fill.sequence) for fill in fills] == [(f"{A}:1", 1), (f"{A}:2", 2), (f"{A}:3", 3)]


async def test_a_cursor_of_one_account_is_never_given_for_several(
    fake: FakeGateway, gateway: Gateway
) -> None:
    """In the middle of a batch of several accounts the cursor is that of the message before: nothing can be lost."""
    fake.scripts = [
        [opened("c0"), batch("c1", fill_event(A, 1)), batch("c3", fill_event(B, 1), fill_event(A, 2))]
    ]
    fills = await take(fast(gateway.fills(account_ids=[A, B])), 3)
    assert [fill.cursor for fill in fills] == ["c1", "c1", "c3"]


async def test_a_quiet_stream_resumes_from_its_last_heartbeat(fake: FakeGateway, gateway: Gateway) -> None:
    """Heartbeats move the cursor on over what the filter leaves out."""
    fake.scripts = [
        [opened("c0"), heartbeat("c7"), ended(grpc.StatusCode.UNAVAILABLE)],
        [opened("c7"), batch("c8", fill_event(A, 8))],
    ]
    assert numbers(await take(fast(gateway.fills()), 1)) == [8]
    assert fake.starts[0].start_position == StartPosition.LIVE
    assert fake.starts[1].after_cursor == "c7"


@pytest.mark.parametrize(
    "reason", [error_pb2.ERROR_REASON_SHUTTING_DOWN, error_pb2.ERROR_REASON_SLOW_CONSUMER]
)
async def test_a_stream_that_the_gateway_closes_resumes_from_the_closing_cursor(
    fake: FakeGateway, gateway: Gateway, reason: int
) -> None:
    """A gateway that goes down, or that found this reader too slow, is resumed where it says."""
    fake.scripts = [
        [opened("c0"), batch("c1", fill_event(A, 1)), closing("c5", reason)],
        [opened("c5"), batch("c6", fill_event(A, 6))],
    ]
    assert numbers(await take(fast(gateway.fills()), 2)) == [1, 6]
    assert fake.starts[1].after_cursor == "c5"


async def test_a_revoked_token_ends_the_stream(fake: FakeGateway, gateway: Gateway) -> None:
    """No new connection can mend that."""
    fake.scripts = [
        [opened("c0"), closing("c0", error_pb2.ERROR_REASON_TOKEN_REVOKED, "token 'bot' is revoked")]
    ]
    with pytest.raises(AuthenticationError, match="'bot' is revoked") as caught:
        await take(fast(gateway.fills()), 1)
    assert caught.value.reason == ErrorReason.TOKEN_REVOKED
    assert len(fake.starts) == 1


async def test_a_mute_peer_is_left(
    fake: FakeGateway, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that stands and says nothing, at its beginning or for three heartbeats, is made anew."""
    monkeypatch.setattr(streams_module, "OPEN_TIMEOUT_S", 0.5)
    fake.scripts = [
        [MUTE],
        [opened("c0"), batch("c1", fill_event(A, 1)), MUTE],
        [opened("c1"), batch("c2", fill_event(A, 2))],
    ]
    assert numbers(await take(fast(gateway.fills(heartbeat_s=0.2)), 2)) == [1, 2]
    assert len(fake.starts) == 3
    assert fake.starts[2].after_cursor == "c1"


async def test_a_peer_with_a_heartbeat_is_kept(fake: FakeGateway, gateway: Gateway) -> None:
    """Silence is counted from the last word: heartbeats that keep coming keep a quiet stream."""

    async def beating(_request: Any, _context: Any) -> None:
        await asyncio.sleep(0.8)

    fake.scripts = [
        [
            opened("c0"),
            beating,
            heartbeat("c1"),
            beating,
            heartbeat("c2"),
            beating,
            batch("c3", fill_event(A, 3)),
        ]
    ]
    assert numbers(await take(fast(gateway.fills(heartbeat_s=0.5)), 1)) == [3]
    assert len(fake.starts) == 1


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (grpc.StatusCode.OUT_OF_RANGE, "CURSOR_EXPIRED", CursorExpiredError),
        (grpc.StatusCode.OUT_OF_RANGE, "CURSOR_EPOCH", CursorEpochError),
        (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID", AuthenticationError),
        (grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_INVALID", InvalidRequestError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS", GatewayError),
        (grpc.StatusCode.INTERNAL, "INTERNAL", GatewayError),
    ],
)
async def test_a_final_error_is_raised_with_its_reason(
    fake: FakeGateway, gateway: Gateway, code: grpc.StatusCode, reason: str, kind: type[GatewayError]
) -> None:
    """What no new connection can mend is not asked again."""
    fake.scripts = [[ended(code, reason, earliest_cursor="c9")]]
    with pytest.raises(kind) as caught:
        await take(fast(gateway.fills(after="c1")), 1)
    assert (caught.value.code, caught.value.reason) == (code, ErrorReason[reason])
    if isinstance(caught.value, CursorExpiredError):
        assert caught.value.earliest_cursor == "c9"
    assert len(fake.starts) == 1


async def test_a_crowd_after_a_restart_is_waited_out(fake: FakeGateway, gateway: Gateway) -> None:
    """TOO_MANY_STREAMS ends a stream that never stood, not one that comes back beside all others."""
    crowded = ended(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
    fake.scripts = [
        [opened("c0"), batch("c1", fill_event(A, 1)), ended(grpc.StatusCode.UNAVAILABLE)],
        [crowded],
        [opened("c1"), batch("c2", fill_event(A, 2))],
    ]
    assert numbers(await take(fast(gateway.fills()), 2)) == [1, 2]


async def test_a_pause_is_never_shorter_than_the_gateway_asks(fake: FakeGateway, gateway: Gateway) -> None:
    """RetryInfo is a floor under the pause."""

    async def busy(_request: Any, context: Any) -> None:
        await refuse(context, grpc.StatusCode.UNAVAILABLE, "RECOVERING", retry_after_s=1)

    fake.scripts = [[busy], [opened("c0"), batch("c1", fill_event(A, 1))]]
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await take(fast(gateway.fills()), 1)
    assert loop.time() - begun >= 1


async def test_pauses_grow_until_something_is_said(fake: FakeGateway, gateway: Gateway) -> None:
    """A gateway that opens streams and drops them is not hammered; a heartbeat makes the next pause short again."""
    pauses: list[float] = []

    class Recorded(Backoff):
        def next_s(self, at_least_s: float | None = None) -> float:
            pauses.append(self._span_s)
            return super().next_s(at_least_s) * 0

    dropped = ended(grpc.StatusCode.UNAVAILABLE)
    fake.scripts = [
        [opened("c0"), dropped],
        [opened("c0"), dropped],
        [opened("c0"), dropped],
        [opened("c0"), heartbeat("c1"), dropped],
        [opened("c1"), batch("c2", fill_event(A, 2))],
    ]
    stream = gateway.fills()
    stream._new_backoff = lambda: Recorded(0.1, 5.0)
    await take(stream, 1)
    assert pauses == [0.0, 0.1, 0.2, 0.0]


async def test_iterating_again_goes_on_where_the_stream_was_left(fake: FakeGateway, gateway: Gateway) -> None:
    """`break` in the middle of a batch and a second loop lose nothing and repeat nothing."""
    events = [fill_event(A, number) for number in (1, 2, 3)]
    fake.scripts = [
        [opened("c0"), batch("c3", *events)],
        [opened("c0"), batch("c3", *events), batch("c4", fill_event(A, 4))],
    ]
    stream = fast(gateway.fills())
    assert numbers(await take(stream, 2)) == [1, 2]
    assert numbers(await take(stream, 2)) == [3, 4]
    assert fake.starts[1].after_cursor == "c0"


async def test_being_caught_up_is_told_and_untold(fake: FakeGateway, gateway: Gateway) -> None:
    """The notice comes after the history, and is taken back when the connection is lost."""
    fake.scripts = [
        [opened("c0"), batch("c1", fill_event(A, 1)), caught_up("c1"), batch("c2", fill_event(A, 2))]
    ]
    stream = fast(gateway.fills())
    fills = aiter(stream)
    await anext(fills)
    assert not stream.caught_up.is_set()
    await anext(fills)
    assert stream.caught_up.is_set()
    await fake.kill()
    waiting = asyncio.ensure_future(anext(fills))
    async with asyncio.timeout(5):
        while stream.caught_up.is_set():  # noqa: ASYNC110, there is no event of its being cleared
            await asyncio.sleep(0.001)
    fake.scripts = [[opened("c2"), caught_up("c2"), batch("c3", fill_event(A, 3))]]
    await fake.start()
    assert numbers([await waiting]) == [3]
    assert stream.caught_up.is_set()


async def test_who_waits_to_be_caught_up_is_told_what_the_stream_failed_of(
    fake: FakeGateway, gateway: Gateway
) -> None:
    """Before it was ever live, and again where another iteration begins: nobody waits in vain."""
    stream = fast(gateway.fills(after="old"))
    fake.scripts = [[ended(grpc.StatusCode.OUT_OF_RANGE, "CURSOR_EXPIRED", earliest_cursor="c9")]]
    waiting = asyncio.create_task(stream.caught_up.wait())
    with pytest.raises(CursorExpiredError):
        await anext(aiter(stream))
    with pytest.raises(CursorExpiredError):
        await waiting
    assert not stream.caught_up.is_set()
    fake.scripts = [[opened("c0"), caught_up("c0"), batch("c1", fill_event(A, 1))]]
    assert numbers(await take(stream, 1)) == [1]
    await gateway.close()
    with pytest.raises(ClosedError):
        await anext(aiter(stream))
    with pytest.raises(ClosedError):
        await stream.caught_up.wait()


async def test_leaving_a_stream_ends_it_at_the_gateway(fake: FakeGateway, gateway: Gateway) -> None:
    """A `break` cancels the call: the gateway is not left with a subscriber that nobody reads for."""
    gone = asyncio.Event()

    async def watched(_request: Any, context: Any) -> None:
        context.add_done_callback(lambda _: gone.set())

    fake.scripts = [[opened("c0"), watched, batch("c1", fill_event(A, 1))]]
    await take(fast(gateway.fills()), 1)
    await asyncio.wait_for(gone.wait(), 5)


async def test_closing_the_client_ends_its_streams(fake: FakeGateway, gateway: Gateway) -> None:
    """A loop over a stream hears of it as an error and does not hang."""
    fake.scripts = [[opened("c0")]]
    waiting = asyncio.ensure_future(take(fast(gateway.fills()), 1))
    await fake.streaming.wait()
    await gateway.close()
    with pytest.raises(ClosedError):
        await asyncio.wait_for(waiting, 5)


async def test_a_cancelled_task_is_cancelled_and_nothing_else(fake: FakeGateway, gateway: Gateway) -> None:
    """Cancelling the reader's task is not mistaken for a lost connection."""
    fake.scripts = [[opened("c0")]]
    waiting = asyncio.ensure_future(take(fast(gateway.fills()), 1))
    await fake.streaming.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(fake.starts) == 1


async def test_a_stream_of_fills_leaves_out_fees_that_came_later(fake: FakeGateway, gateway: Gateway) -> None:
    """They move the cursor; their place is `events`."""
    fees = event_pb2.Event(
        event_id="f",
        account_id=A,
        sequence=2,
        cursor=f"{A}@2",
        fill_fees=event_pb2.FillFeesEvent(fill_id="x"),
    )
    fake.scripts = [[opened("c0"), batch("c2", fill_event(A, 1), fees), batch("c3", fill_event(A, 3))]]
    stream = fast(gateway.fills(account_ids=[A]))
    assert numbers(await take(stream, 2)) == [1, 3]


def said(cursor: str, **payload: Any) -> event_pb2.StreamEventsResponse:
    """A message of StreamEvents."""
    return event_pb2.StreamEventsResponse(cursor=cursor, **payload)


async def take_items(stream: EventStream, count: int) -> list[EventItem]:
    """The next items of a stream of events."""
    stream._new_backoff = lambda: Backoff(0.001, 0.02)
    found: list[EventItem] = []
    async for item in stream:
        found.append(item)
        if len(found) == count:
            break
    return found


async def test_a_snapshot_is_whole_even_when_it_was_cut_short(fake: FakeGateway, gateway: Gateway) -> None:
    """Pages of a snapshot that never ended are thrown away; the next one is given with its cursor, then events."""
    begin = said("live", opened=stream_pb2.StreamOpened(epoch=1))
    orders = event_pb2.Snapshot(orders=[order_pb2.Order(order_id="o1")])
    balances = event_pb2.Snapshot(
        balances=[account_pb2.Balance(currency_code="USDT", total="2", available="1", held="1")]
    )
    positions = event_pb2.Snapshot(
        positions=[position_pb2.Position(symbol="X", quantity="1", cost="2")], last=True
    )
    event = event_pb2.EventBatch(events=[fill_event(A, 1)])
    fake.scripts = [
        [begin, said("", snapshot=orders), ended(grpc.StatusCode.UNAVAILABLE)],
        [
            begin,
            said("", snapshot=orders),
            said("", snapshot=balances),
            said("s", snapshot=positions),
            said("s", caught_up=stream_pb2.CaughtUp()),
            said("e", batch=event),
        ],
    ]
    items = await take_items(gateway.events(start=StartPosition.SNAPSHOT), 3)
    snapshot, live, fill = items
    assert isinstance(snapshot, Snapshot)
    assert [order.order_id for order in snapshot.orders] == ["o1"]
    assert (len(snapshot.positions), len(snapshot.balances), snapshot.cursor) == (1, 1, "s")
    assert live == CaughtUp("s")
    assert isinstance(fill, Event)
    assert isinstance(fill.payload, Fill)
    assert (fill.kind, fill.cursor, fill.payload.cursor) == (EventKind.FILL, "e", "e")
    assert [start.start_position for start in fake.starts] == [StartPosition.SNAPSHOT] * 2


async def test_an_event_that_is_too_new_is_carried_as_unknown(fake: FakeGateway, gateway: Gateway) -> None:
    """A newer gateway's payload does not stop an older client, and moves its cursor."""
    # Field 99 of Event, length-delimited and empty: a payload of the future.
    newer = event_pb2.Event.FromString(
        event_pb2.Event(event_id="n", account_id=A, sequence=1, cursor="n").SerializeToString()
        + b"\x9a\x06\x00"
    )
    fake.scripts = [[said("c", batch=event_pb2.EventBatch(events=[newer]))]]
    (item,) = await take_items(gateway.events(), 1)
    assert isinstance(item, Event)
    assert (item.kind, item.payload, item.cursor) == (EventKind.UNSPECIFIED, UnknownPayload(), "c")


async def test_a_gateway_that_was_never_there_is_told_when_connecting() -> None:
    """Connecting raises in bounded time and says where it knocked."""
    with pytest.raises(UnavailableError, match="refused"):
        async with Gateway.connect("127.0.0.1:1", connect_timeout_s=0.3):
            pass
