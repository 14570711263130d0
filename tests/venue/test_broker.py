"""The adapter to the venue, against the venue's own process: three outcomes, complete answers or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.config.accounts import AccountConfig, ConnectionConfig
from brokergate.domain.errors import BrokerError, BrokerTimeoutError, ErrorReason, TemporaryConnectionError
from brokergate.domain.orders import Order, OrderSpec, OrderState, OrderType, Side, TimeInForce
from brokergate.domain.values import changed
from brokergate.ports.broker import (
    Absent,
    Accepted,
    Failed,
    FillReport,
    Found,
    OrderReport,
    Rejected,
    ReplaceCommand,
    Report,
    RestoredState,
    Unknown,
)
from tests.context import broker_context
from tests.venue import log
from tests.venue.broker import SocketBroker, SocketConfig
from tests.venue.faults import Fault
from tests.venue.log import EntryKind
from tests.venue.process import VenueProcess

EMPTY = RestoredState(open_orders=(), positions=(), balances=(), fills=0, orders=0)


class Account(AccountConfig):
    """An account of the configuration, with the broker's section in it."""

    socket: SocketConfig


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[VenueProcess]:
    venue = VenueProcess(tmp_path, 7, None, "--page", "3")
    try:
        venue.start()
        yield venue
    finally:
        venue.close()


@pytest.fixture
async def broker(venue: VenueProcess) -> AsyncIterator[SocketBroker]:
    made = made_for(venue)
    await made.connect(EMPTY)
    yield made
    await made.close()


def made_for(venue: VenueProcess) -> SocketBroker:
    account = Account(
        broker="socket",
        connection=ConnectionConfig(request_timeout_ms=1500),
        socket=SocketConfig(port=venue.port, absence_after_ms=500),
    )
    return SocketBroker(account, broker_context())


def order(name: str, limit: str | None = "1", quantity: str = "10") -> Order:
    spec = OrderSpec(
        symbol="AAPL",
        side=Side.BUY,
        type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        quantity=Decimal(quantity),
        limit_price=None if limit is None else Decimal(limit),
        time_in_force=TimeInForce.GTC,
    )
    return Order(
        order_id=f"o-{name}",
        client_order_id=name,
        account_id="a",
        spec=spec,
        quantity=Decimal(quantity),
        state=OrderState.PENDING_NEW,
        create_time_ns=0,
        update_time_ns=0,
    )


async def heard(broker: SocketBroker, count: int) -> list[Report]:
    """The next `count` or more of what it tells about orders."""
    found: list[Report] = []
    async with asyncio.timeout(20):
        async for reports in broker.events():
            found += [report for report in reports if isinstance(report, OrderReport | FillReport)]
            if len(found) >= count:
                break
    return found


async def test_an_order_is_placed_changed_and_cancelled_and_every_step_is_told(broker: SocketBroker) -> None:
    placed = await broker.place_order(order("a"))
    assert isinstance(placed, Accepted)
    working = changed(order("a"), broker_order_id=placed.broker_order_id)
    spec = changed(working.spec, limit_price=Decimal(2))
    replaced = await broker.replace_order(ReplaceCommand(working, spec, Decimal(12)))
    assert isinstance(replaced, Accepted)
    found = await broker.find_order(order("a"))
    assert isinstance(found, Found)
    assert (found.order.broker_order_id, found.order.limit_price) == (replaced.broker_order_id, Decimal(2))
    assert await broker.list_open_orders() == [found.order]
    assert isinstance(await broker.cancel_order(working), Accepted)
    told = await heard(broker, 3)
    assert [report.event.name for report in told if isinstance(report, OrderReport)] == [
        "ACKNOWLEDGED",
        "REPLACED",
        "CANCELED",
    ]


async def test_a_refusal_by_the_venue_is_a_rejection_with_its_reason(broker: SocketBroker) -> None:
    outcome = await broker.cancel_order(order("never"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.ORDER_ENDED


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.CUT_AFTER, Fault.GARBLE_ANSWER])
async def test_an_order_that_was_taken_and_not_confirmed_is_unknown_and_can_be_found(
    venue: VenueProcess, broker: SocketBroker, fault: Fault
) -> None:
    venue.inject(fault, "place")
    assert isinstance(await broker.place_order(order("a")), Unknown)
    await broker.connect(EMPTY)
    assert isinstance(await broker.find_order(order("a")), Found)


@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.CUT_BEFORE, Fault.FAIL])
async def test_an_order_that_never_arrived_is_just_as_unknown_and_is_absent(
    venue: VenueProcess, broker: SocketBroker, fault: Fault
) -> None:
    """From this side nobody can tell it from one whose answer was lost."""
    venue.inject(fault, "place")
    assert isinstance(await broker.place_order(order("a")), Unknown)
    await broker.connect(EMPTY)
    assert isinstance(await broker.find_order(order("a")), Absent)
    assert venue.log() == []


async def test_what_is_not_sent_for_want_of_a_connection_is_refused_and_not_unknown(
    venue: VenueProcess,
) -> None:
    outcome = await made_for(venue).place_order(order("a"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.BROKER_UNAVAILABLE


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.FAIL, BrokerError),
        (Fault.GARBLE_ANSWER, BrokerError),
        (Fault.LOSE_ANSWER, BrokerTimeoutError),
        (Fault.CUT_AFTER, TemporaryConnectionError),
    ],
)
async def test_a_query_that_fails_raises_and_is_never_an_empty_answer(
    venue: VenueProcess, broker: SocketBroker, fault: Fault, error: type[BrokerError]
) -> None:
    venue.inject(fault, "positions")
    with pytest.raises(error):
        await broker.get_positions()


async def test_a_failed_search_is_no_absence(venue: VenueProcess, broker: SocketBroker) -> None:
    venue.inject(Fault.FAIL, "find")
    assert isinstance(await broker.find_order(order("a")), Failed)


async def test_the_events_end_when_the_connection_is_lost_and_begin_anew_with_the_next(
    venue: VenueProcess, broker: SocketBroker
) -> None:
    reading = asyncio.create_task(heard(broker, 1_000_000))
    await broker.place_order(order("a"))
    assert venue.drop() == 1
    told = await reading
    await broker.connect(EMPTY)
    await broker.place_order(order("b"))
    again = await heard(broker, 1)
    names = [
        [report.client_order_id for report in part if isinstance(report, OrderReport)]
        for part in (told, again)
    ]
    assert names == [["a"], ["b"]]


async def test_a_venue_that_is_away_cannot_be_connected_to(venue: VenueProcess, broker: SocketBroker) -> None:
    venue.go_away(60_000)
    with pytest.raises(BrokerError):
        await broker.connect(EMPTY)


async def test_fills_come_in_pages_from_any_watermark_and_are_those_of_the_log(
    venue: VenueProcess, broker: SocketBroker
) -> None:
    """Market orders fill at once; three fills are a page."""
    names = [f"m{index}" for index in range(5)]
    assert await broker.place_orders([order(name, None) for name in names])
    found: list[FillReport] = []
    page = await broker.list_fills("")
    while True:
        found += page.fills
        assert len(page.fills) <= 3
        if page.complete:
            break
        page = await broker.list_fills(page.watermark)
    assert [fill.execution_id for fill in found] == [entry.execution_id for entry in log.fills(venue.log())]
    assert {fill.client_order_id for fill in found} == set(names)
    assert (await broker.list_fills(page.watermark)).fills == []


async def test_orders_sent_at_once_reach_the_venue_in_their_order(
    venue: VenueProcess, broker: SocketBroker
) -> None:
    names = [f"r{index}" for index in range(40)]
    outcomes = await broker.place_orders([order(name) for name in names])
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert [entry.client_order_id for entry in venue.log() if entry.kind is EntryKind.PLACE] == names


async def test_an_event_that_is_doubled_lost_or_reordered_shows_in_what_is_told(
    venue: VenueProcess, broker: SocketBroker
) -> None:
    """Law 7 needs a venue that repeats itself."""
    venue.set_rates(duplicate_events=1.0)
    await broker.place_order(order("a", None))
    told = await heard(broker, 4)
    assert told[: len(told) // 2] == told[len(told) // 2 :]
    venue.set_rates(lose_events=1.0)
    await broker.place_order(order("b", None))
    venue.set_rates()
    await broker.place_order(order("c"))
    (next_told,) = await heard(broker, 1)
    assert isinstance(next_told, OrderReport)
    assert next_told.client_order_id == "c"
    assert venue.injected() == {"duplicate_events": 1, "lose_events": 1}
