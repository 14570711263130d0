"""A paper account on which things go wrong on purpose: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from brokergate.domain.accounts import ConnectionState
from brokergate.domain.errors import ErrorReason, GatewayError, TemporaryConnectionError
from brokergate.domain.faults import ALWAYS, Fault, FaultKind, FaultPlan
from brokergate.domain.orders import OrderState, TimeInForce
from brokergate.ports.broker import TapeAction
from tests.unit.adapters.paper.hand_clock import settle
from tests.unit.adapters.paper.lines import LineHouse, quote, request
from tests.unit.adapters.paper.test_tape import tape

__all__ = ["tape"]

S = 1_000_000_000
TWENTY = Decimal(20)


async def given(task: Callable[[], object] | asyncio.Task[bytes], house: LineHouse) -> bytes:
    assert isinstance(task, asyncio.Task)
    while not task.done():
        await house.clock.advance(1)
    return task.result()


async def faulty(tmp_path: Path, *faults: Fault, latency_ms: str = "0") -> LineHouse:
    """An account that was in process, has an order at rest and a position, and then goes wrong."""
    house = await LineHouse(tmp_path, latency_ms=latency_ms).open()
    await house.push(quote("99", "100"))
    await house.place("before", 1, "1")
    await house.place("rests", 1, "1", "90")
    await set_faults(house, *faults)
    return house


async def set_faults(house: LineHouse, *faults: Fault) -> None:
    await given(asyncio.create_task(house.set_faults(*faults)), house)


async def test_faults_take_an_account_across_a_line_and_it_loses_nothing(tmp_path: Path) -> None:
    house = await LineHouse(tmp_path).open()
    await house.push(quote("99", "100"))
    await house.place("before", 1, "1")
    await house.place("rests", 1, "1", "90")
    assert house.way == "in process"
    await set_faults(house, Fault(FaultKind.DUPLICATED_EVENTS))
    assert (house.way, house.connected) == ("across a line", True)
    assert [house.order(name).state for name in ("before", "rests")] == [OrderState.FILLED, OrderState.NEW]
    await house.push(quote("88", "89"))
    await house.clock.advance(1)
    assert house.order_events("rests")[-2:] == ["1 at 90", "FILLED"]
    house.check_laws()
    await set_faults(house)
    assert house.broker.faults.faults == ()
    await house.die()
    assert house.way == "in process"
    assert not house.broker.faults.faults
    house.check_laws()
    await house.close()


async def test_an_account_can_be_read_on_its_way_across_a_line(tmp_path: Path) -> None:
    """A dashboard asks all the time; no moment of the change is one at which the venue cannot be seen."""
    house = await LineHouse(tmp_path).open()
    await house.push(quote("99", "100"))
    await house.place("before", 1, "1")
    task = asyncio.create_task(house.set_faults(Fault(FaultKind.DUPLICATED_EVENTS)))
    seen: set[tuple[bool, bool]] = set()

    async def watch() -> None:
        while not task.done():
            assert await house.broker.list_instruments()
            seen.add((house.broker.in_process, house.connected))
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await given(task, house)
    await watching
    assert {(True, True), (False, False)} <= seen
    await house.close()


async def test_a_parked_venue_stands_still_and_can_be_looked_at(tmp_path: Path) -> None:
    """What it does while nobody keeps it would be lost; a market that moves by itself waits too."""
    house = await LineHouse(tmp_path, feed={"synthetic": {"seed": "7"}}).open()
    broker = house.broker
    symbol = (await broker.list_instruments())[0].symbol
    await house.clock.advance(5)
    await broker.park()
    before = await broker.get_account_info(), broker.quote(symbol)
    broker.set_faults(FaultPlan((Fault(FaultKind.DUPLICATED_EVENTS),), house.clock.now_ns()))
    await house.clock.advance(60)
    assert (await broker.get_account_info(), broker.quote(symbol)) == before
    with pytest.raises(TemporaryConnectionError):
        await broker.reset(None)
    await house.close()


async def test_the_same_request_sets_the_same_faults_once(tmp_path: Path) -> None:
    house = await faulty(tmp_path, Fault(FaultKind.REJECTION))
    first = await house.set_faults(Fault(FaultKind.MUTE_STREAM), request_id="one")
    await house.set_faults(Fault(FaultKind.REJECTION), request_id="two")
    assert await house.set_faults(Fault(FaultKind.MUTE_STREAM), request_id="one") == first
    assert [fault.kind for fault in house.broker.faults.faults] == [FaultKind.REJECTION]
    told = [event.control.message for event in house.events() if event.HasField("control")]
    assert told == ["REJECTION 100 %", "MUTE_STREAM 100 %", "REJECTION 100 %"]
    await house.close()


async def test_faults_are_in_force_again_after_a_death(tmp_path: Path) -> None:
    house = await faulty(tmp_path, Fault(FaultKind.REJECTION))
    await house.die()
    assert house.way == "across a line"
    rejected = await house.place("a", 1, "1")
    assert (rejected.order.state, rejected.order.reject_reason) == (
        OrderState.REJECTED,
        ErrorReason.BROKER_REJECTED,
    )
    house.check_laws()
    await house.close()


async def test_a_lost_acknowledgement_is_unknown_until_the_venue_is_asked(tmp_path: Path) -> None:
    house = await faulty(tmp_path, Fault(FaultKind.LOST_ACKNOWLEDGEMENT))
    placed = await house.place("a", 1, "1", "95")
    assert placed.order.uncertain
    await house.clock.advance(2)
    assert (house.order("a").state, house.order("a").uncertain) == (OrderState.NEW, False)
    house.check_laws()
    await house.close()


async def test_a_mute_stream_is_found_out_by_the_polls(tmp_path: Path) -> None:
    house = await faulty(tmp_path, Fault(FaultKind.MUTE_STREAM))
    await house.push(quote("88", "89"))
    await house.clock.advance(20)
    assert house.order("rests").state is OrderState.NEW
    await house.clock.advance(30)
    assert house.order("rests").state is OrderState.FILLED
    house.check_laws()
    await house.close()


async def test_what_fills_while_the_line_is_down_is_there_when_it_is_up(tmp_path: Path) -> None:
    house = await faulty(tmp_path, Fault(FaultKind.DISCONNECT, delay_ns=60 * S))
    assert house.gateway.account("main").connection.state is ConnectionState.ERROR
    with pytest.raises(GatewayError) as refused:
        await house.place("a", 1, "1")
    assert refused.value.reason is ErrorReason.BROKER_UNAVAILABLE
    await house.gateway.simulators.push("main", [quote("88", "89")])
    await house.clock.advance(130)
    assert house.connected
    assert house.order("rests").state is OrderState.FILLED
    house.check_laws()
    await house.close()


async def test_maintenance_is_said_and_over_after_its_time(tmp_path: Path) -> None:
    house = await faulty(tmp_path, Fault(FaultKind.MUTE_STREAM, Decimal(0)))
    await house.set_faults(Fault(FaultKind.MAINTENANCE, delay_ns=30 * S))
    await settle()
    assert house.gateway.account("main").connection.state is ConnectionState.ERROR
    with pytest.raises(GatewayError) as refused:
        await house.place("a", 1, "1")
    assert refused.value.reason is ErrorReason.BROKER_MAINTENANCE
    await house.clock.advance(100)
    await house.push(quote("99", "100"))
    assert (await house.place("b", 1, "1")).order.state is OrderState.FILLED
    house.check_laws()
    await house.close()


async def test_a_moment_of_maintenance_refuses_one_command(tmp_path: Path) -> None:
    house = await faulty(tmp_path, Fault(FaultKind.MAINTENANCE, Decimal("99.999")))
    refused = await house.place("a", 1, "1")
    assert refused.order.reject_reason is ErrorReason.BROKER_MAINTENANCE
    house.check_laws()
    await house.close()


async def test_rejections_come_at_their_rate(tmp_path: Path) -> None:
    house = await faulty(tmp_path, Fault(FaultKind.REJECTION, Decimal(30)))
    states = [(await house.place(f"a{number}", 1, "0.1", "95")).order.state for number in range(100)]
    assert 15 <= states.count(OrderState.REJECTED) <= 45
    assert states.count(OrderState.NEW) == 100 - states.count(OrderState.REJECTED)
    await house.close()


async def test_a_reset_tells_what_was_missed_and_begins_anew(tmp_path: Path) -> None:
    house = await faulty(tmp_path, Fault(FaultKind.MUTE_STREAM))
    await house.push(quote("88", "89"))
    assert house.order("rests").state is OrderState.NEW
    resetting = asyncio.create_task(house.gateway.simulators.reset("main", None, request("reset")))
    await given(resetting, house)
    assert house.order("rests").state is OrderState.FILLED
    assert house.gateway.account("main").open_positions() == []
    await house.clock.advance(70)
    assert not house.gateway.account("main").control.discrepancies
    assert house.gateway.account("main").open_positions() == []
    await house.push(quote("99", "100"))
    await house.place("again", 1, "2")
    await house.clock.advance(70)
    assert house.gateway.account("main").open_positions() == [("BTC/USDT", Decimal(2))]
    assert not house.gateway.account("main").control.discrepancies
    await house.close()


async def test_a_tape_is_met_by_what_arrives_between_its_updates(tmp_path: Path, tape: Path) -> None:
    """The ask rises by one every second from 101 on; an order that is sent at 2.9 s with 300 ms of latency pays 104,
    also where the tape is led past its arrival in one go."""
    feed: dict[str, object] = {"tape": str(tape), "paused": False}
    house = await LineHouse(tmp_path, feed, latency={"request": {"constant_ms": "300"}}).open()
    status = await house.broker.control_tape(TapeAction(pause=True))
    start_ns = status.start_time_ns
    while status.tape_time_ns < start_ns + 4 * S:
        await house.broker.control_tape(TapeAction(seek_time_ns=start_ns + 4_900_000_000))
        status = await house.broker.control_tape(TapeAction(resume=True))
    placing = asyncio.create_task(house.place("a", 1, "1"))
    await settle()
    assert house.order("a").state is OrderState.PENDING_NEW
    await house.broker.control_tape(TapeAction(seek_time_ns=start_ns + 9 * S))
    await house.clock.advance(1)
    assert (await placing).order.average_price == 106
    await house.close()


EVERYTHING = tuple(
    Fault(kind, ALWAYS if kind is FaultKind.DUPLICATED_EVENTS else TWENTY, S if kind in (
        FaultKind.DELAYED_EVENTS, FaultKind.DISCONNECT, FaultKind.MAINTENANCE
    ) else 0)
    for kind in FaultKind
    if kind is not FaultKind.UNSPECIFIED
)  # fmt: skip


@pytest.mark.parametrize("kinds", [*({kind} for kind in FaultKind if kind), set(FaultKind)])
@pytest.mark.parametrize("latency_ms", ["0", "40"])
async def test_the_laws_hold_on_a_bad_day(kinds: set[FaultKind], latency_ms: str, tmp_path: Path) -> None:
    """Orders, cancels and a moving market while it goes wrong, with deaths in between; in the end the faults are
    ended, and everything is known and agrees."""
    random = Random(f"{sorted(kinds)}{latency_ms}")
    house = await LineHouse(tmp_path, latency_ms=latency_ms).open()
    await house.push(quote("99", "100"))
    await set_faults(house, *[fault for fault in EVERYTHING if fault.kind in kinds])
    tasks: list[asyncio.Task[object]] = []
    names: list[str] = []
    for step in range(60):
        bid = 95 + random.randint(0, 8)
        await house.gateway.simulators.push("main", [quote(str(bid), str(bid + 1), "3")])
        await settle()
        for _ in range(random.randint(0, 2)):
            names.append(f"a{len(names)}")
            side, price = random.choice((1, -1)), str(95 + random.randint(0, 8))
            force = random.choice((TimeInForce.GTC, TimeInForce.IOC))
            tasks.append(
                asyncio.create_task(house.place(names[-1], side if step > 20 else 1, "0.5", price, force))
            )
        if names and random.random() < 0.4:
            tasks.append(asyncio.create_task(house.cancel(random.choice(names))))
        await house.clock.advance(random.random() * 0.3)
        if step % 20 == 19:
            await house.die()
    await house.clock.advance(70)
    await set_faults(house)
    await house.clock.advance(200)
    assert house.connected
    assert not house.gateway.account("main").tracker.uncertain
    open_here = {order.client_order_id for order in house.gateway.account("main").tracker.open.values()}
    assert house.broker._venue is not None
    assert open_here == {order.client_order_id for order in house.broker._venue.open_orders()}
    house.check_laws()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await house.close()
