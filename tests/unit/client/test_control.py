"""Emergency stops as a client follows them, and what it makes of a gateway that does not know the outcome itself."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from brokergate.v1 import event_pb2, stream_pb2
from brokergate.v1.trading_control_pb2 import StopProgress as StopProgressMessage
from brokergate_client import (
    AccountTradingState,
    ControlEventType,
    Gateway,
    OutcomeUnknownError,
    Side,
    Stopped,
    StopPhase,
    StopUpdate,
    TradingState,
    market_order,
)
from tests.unit.client.conftest import impatient
from tests.unit.client.fake import FakeGateway, refuse

OPERATION = "stop-1"
BEGAN_NS = 1_700_000_000_123_456_789


def told(
    sequence: int,
    kind: ControlEventType,
    phase: StopPhase | None,
    account_id: str = "a",
    operation_id: str = OPERATION,
) -> event_pb2.Event:
    """An event of a stop; as many orders remain as its sequence says."""
    stop = None if phase is None else StopProgressMessage(phase=int(phase), remaining_orders=sequence)  # type: ignore[arg-type]
    return event_pb2.Event(
        event_id=f"{account_id}:{sequence}",
        account_id=account_id,
        sequence=sequence,
        cursor=f"{account_id}@{sequence}",
        time=Timestamp(seconds=sequence),
        control=event_pb2.ControlEvent(type=int(kind), operation_id=operation_id, stop=stop),  # type: ignore[arg-type]
    )


STOPPED, PROGRESS, RESUMED = (
    ControlEventType.STOPPED,
    ControlEventType.STOP_PROGRESS,
    ControlEventType.RESUMED,
)
CANCELLING, FLATTENING, DONE = StopPhase.CANCELLING, StopPhase.FLATTENING, StopPhase.DONE


def opened() -> event_pb2.StreamEventsResponse:
    return event_pb2.StreamEventsResponse(cursor="c", opened=stream_pb2.StreamOpened(epoch=1))


def batch(*events: event_pb2.Event) -> event_pb2.StreamEventsResponse:
    return event_pb2.StreamEventsResponse(cursor="c", batch=event_pb2.EventBatch(events=events))


def caught_up() -> event_pb2.StreamEventsResponse:
    return event_pb2.StreamEventsResponse(cursor="c", caught_up=stream_pb2.CaughtUp())


def stopped(*account_ids: str) -> Stopped:
    """The answer to a stop of these accounts."""
    return Stopped(
        OPERATION,
        tuple(
            AccountTradingState(name, TradingState.STOPPED, "why", BEGAN_NS, OPERATION)
            for name in account_ids
        ),
    )


async def follow(gateway: Gateway, *account_ids: str) -> list[StopUpdate]:
    """Everything that is told of the stop, to its end."""
    return [update async for update in gateway.control.progress(stopped(*account_ids))]


def steps(updates: list[StopUpdate]) -> list[tuple[str, StopPhase | int | None]]:
    return [(u.account_id, None if u.progress is None else u.progress.phase) for u in updates]


async def test_a_stop_is_followed_until_it_is_proven(fake: FakeGateway, gateway: Gateway) -> None:
    """From the moment at which it was latched, by control events alone: how it stands first, then every step."""
    fake.scripts = [
        [
            opened(),
            batch(told(1, STOPPED, CANCELLING), told(2, PROGRESS, CANCELLING)),
            caught_up(),
            batch(told(3, PROGRESS, CANCELLING)),
            batch(told(4, PROGRESS, DONE)),
        ]
    ]
    updates = await follow(gateway, "a")
    assert steps(updates) == [("a", CANCELLING), ("a", CANCELLING), ("a", DONE)]
    assert [update.progress.remaining_orders for update in updates if update.progress] == [2, 3, 4]
    assert [update.proven for update in updates] == [False, False, True]
    (start,) = fake.starts
    assert list(start.account_ids) == ["a"]
    assert (start.start_time.seconds, start.start_time.nanos) == (1_700_000_000, 123_456_000)
    assert list(start.kinds) == [event_pb2.EVENT_KIND_CONTROL]


async def test_a_stop_of_several_accounts_ends_with_the_last(fake: FakeGateway, gateway: Gateway) -> None:
    """One that is proven is not waited for again, and what is told of another stop changes nothing."""
    fake.scripts = [
        [
            opened(),
            batch(told(1, STOPPED, CANCELLING, "a"), told(1, STOPPED, CANCELLING, "b")),
            caught_up(),
            batch(told(2, PROGRESS, DONE, "b")),
            batch(told(2, PROGRESS, DONE, "a", "stop-of-somebody-else")),
            batch(told(3, PROGRESS, FLATTENING, "a"), told(4, PROGRESS, DONE, "a")),
        ]
    ]
    assert steps(await follow(gateway, "a", "b")) == [
        ("a", CANCELLING),
        ("b", CANCELLING),
        ("b", DONE),
        ("a", FLATTENING),
        ("a", DONE),
    ]


async def test_a_stop_that_joins_another_one_waits_for_its_own_end(
    fake: FakeGateway, gateway: Gateway
) -> None:
    """The older stop was proven before more was asked for: that end is history, not the end."""
    fake.scripts = [
        [
            opened(),
            batch(told(1, STOPPED, CANCELLING), told(2, PROGRESS, DONE), told(3, STOPPED, FLATTENING)),
            caught_up(),
            batch(told(4, PROGRESS, DONE)),
        ]
    ]
    assert steps(await follow(gateway, "a")) == [("a", FLATTENING), ("a", DONE)]


async def test_a_stop_that_is_proven_already_ends_at_once(fake: FakeGateway, gateway: Gateway) -> None:
    """As soon as history has been given."""
    fake.scripts = [[opened(), batch(told(1, STOPPED, CANCELLING), told(2, PROGRESS, DONE)), caught_up()]]
    assert steps(await follow(gateway, "a")) == [("a", DONE)]
    assert await follow(gateway) == []


async def test_a_resume_ends_the_waiting_and_proves_nothing(fake: FakeGateway, gateway: Gateway) -> None:
    """Whoever waits for a stop learns that somebody ended it."""
    fake.scripts = [
        [opened(), batch(told(1, STOPPED, CANCELLING)), caught_up(), batch(told(2, RESUMED, None))]
    ]
    last = (await follow(gateway, "a"))[-1]
    assert last.resumed
    assert not last.proven


async def test_an_unknown_outcome_is_asked_for_again_with_the_same_id(fake: FakeGateway) -> None:
    """A journal that failed under the call: the same request goes out again, as after a lost answer. What comes when
    time is up says under which id to learn the outcome."""

    async def unsure(_request: Any, context: Any) -> None:
        await refuse(context, grpc.StatusCode.ABORTED, "OUTCOME_UNKNOWN")

    fake.place = unsure
    async with impatient(fake.address, timeout_s=0.3) as gateway:
        with pytest.raises(OutcomeUnknownError) as caught:
            await gateway.place("paper", market_order("BTC/USDT", Side.BUY, 1), client_order_id="mine")
    assert caught.value.outcome_unknown
    assert caught.value.request_id == "mine"
    assert len(fake.placed) > 1
    assert {request.client_order_id for request in fake.placed} == {"mine"}


async def test_a_client_says_what_it_is(fake: FakeGateway) -> None:
    """Its name begins the `user-agent`, which the gateway's audit keeps."""

    async def refused(_request: Any, context: Any) -> None:
        await refuse(context, grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")

    fake.place = refused
    for options, name in (({}, "brokergate-client "), ({"client_name": "momentum/2"}, "momentum/2 ")):
        async with impatient(fake.address, **options) as gateway:
            with pytest.raises(Exception, match="ACCOUNT_NOT_FOUND"):
                await gateway.place("paper", market_order("BTC/USDT", Side.BUY, 1))
        assert fake.metadata[-1]["user-agent"].startswith(name)


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\nb", "stratégie"])
def test_a_client_name_that_no_header_carries_is_refused(name: str) -> None:
    """Before anything is sent, and named."""
    with pytest.raises(ValueError, match="client_name"):
        Gateway.connect("127.0.0.1:1", client_name=name)
