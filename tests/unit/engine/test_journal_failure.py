"""While the journal cannot be written: nothing is acknowledged, cancels go out, and afterwards the disk counts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.domain.commands import CancelAllOrders, CancelOrder, EmergencyStop, OrderRef
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import OrderState
from brokergate.domain.policy import AccountPolicy
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.ports.journal import CommitUnknown, JournalError
from tests.unit.engine.street import House, Street, place, request


class Disk:
    """Syncs, or fails to."""

    def __init__(self) -> None:
        self.fails = False

    def sync(self, fd: int) -> None:
        if self.fails:
            raise OSError(5, "Input/output error")


@pytest.fixture
def disk() -> Disk:
    """A disk that works at first."""
    return Disk()


@pytest.fixture
async def house(tmp_path: Path, disk: Disk) -> AsyncIterator[House]:
    """A durable account on the street, its journal in a file on the disk."""
    journal = SqliteJournal(tmp_path / "journal.db", random.Random(1).getrandbits, sync_file=disk.sync)
    house = House(Street(), AccountPolicy(durable=True), journal=journal)
    await house.open()
    await until(house, house.connected)
    yield house
    disk.fails = False
    await house.gateway.close()
    if journal.failed is None:
        journal.close()


async def until(house: House, condition: object) -> None:
    """Lets the sync's thread work until something is so."""
    for _ in range(2000):
        await house.clock.advance(0.01)
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come about")


async def test_a_sync_that_fails_acknowledges_nothing(house: House, disk: Disk) -> None:
    """The caller learns that nobody knows; nothing went to the broker, later orders are refused; when the disk works
    the same id tells the outcome."""
    disk.fails = True
    with pytest.raises(CommitUnknown):
        await house.gateway.place_order(place("a"))
    assert house.broker.placed == []
    with pytest.raises(JournalError):
        await house.gateway.place_order(place("b"))
    await house.clock.advance(5)
    with pytest.raises(JournalError):
        await house.gateway.place_order(place("b"))
    disk.fails = False
    await house.clock.advance(2)
    await until(house, house.connected)
    await house.clock.advance(3)
    again = await house.gateway.place_order(place("a"))
    assert again.already_existed
    assert again.order.reject_reason is ErrorReason.NOT_SENT
    assert house.broker.placed == []
    assert (await house.gateway.place_order(place("b"))).order.state is OrderState.NEW


async def test_a_cancel_goes_out_unwritten_and_is_written_afterwards(house: House, disk: Disk) -> None:
    """The venue cancels at once; the caller is told to repeat, and the repeat has the answer."""
    await house.gateway.place_order(place("a"))
    disk.fails = True
    with pytest.raises(CommitUnknown):
        await house.gateway.place_order(place("b"))
    cancel = CancelOrder("main", OrderRef(client_order_id="a"))
    with pytest.raises(GatewayError) as told:
        await house.gateway.cancel_order(cancel, request("r1"))
    assert told.value.reason is ErrorReason.OUTCOME_UNKNOWN
    assert house.broker.orders["a"].state is OrderState.CANCELED
    disk.fails = False
    await house.clock.advance(2)
    await until(house, house.connected)
    await until(house, lambda: house.order("a").ended)
    assert house.order("a").state is OrderState.CANCELED
    await until(house, lambda: house.journal.find_answer("main", "r1") is not None)
    assert b"CANCELED" in await house.gateway.cancel_order(cancel, request("r1"))


async def test_a_stop_passes_while_the_journal_fails(house: House, disk: Disk) -> None:
    """What is open is cancelled at the venue at once, and the latch is durable before anything new is taken."""
    await house.gateway.place_order(place("a"))
    disk.fails = True
    with pytest.raises(CommitUnknown):
        await house.gateway.place_order(place("b"))
    with pytest.raises(GatewayError) as told:
        await house.gateway.emergency_stop(EmergencyStop((), "fire"), request("s1"))
    assert told.value.reason is ErrorReason.OUTCOME_UNKNOWN
    assert house.broker.orders["a"].state is OrderState.CANCELED
    disk.fails = False
    await house.clock.advance(2)
    await until(house, house.connected)
    refused = await house.gateway.place_order(place("c"))
    assert refused.order.reject_reason is ErrorReason.TRADING_STOPPED


async def test_a_stop_that_finds_the_journal_failing_passes(house: House, disk: Disk) -> None:
    """Nobody need repeat it: what is open is cancelled at the venue at once, and the latch follows."""
    await house.gateway.place_order(place("a"))
    disk.fails = True
    with pytest.raises(GatewayError) as told:
        await house.gateway.emergency_stop(EmergencyStop((), "fire"), request("s1"))
    assert told.value.reason is ErrorReason.OUTCOME_UNKNOWN
    assert house.broker.orders["a"].state is OrderState.CANCELED
    disk.fails = False
    await house.clock.advance(2)
    await until(house, house.connected)
    refused = await house.gateway.place_order(place("b"))
    assert refused.order.reject_reason is ErrorReason.TRADING_STOPPED


@pytest.mark.parametrize("how", ["one", "several", "all"])
async def test_a_cancel_that_finds_the_journal_failing_goes_out(house: House, disk: Disk, how: str) -> None:
    """The venue cancels at once, and what the caller asked for is written when that is possible."""
    await house.gateway.place_order(place("a"))
    disk.fails = True
    ref = OrderRef(client_order_id="a")

    async def cancel() -> bytes:
        if how == "one":
            return await house.gateway.cancel_order(CancelOrder("main", ref), request("r1"))
        if how == "several":
            return await house.gateway.cancel_orders("main", [ref], request("r1"))
        return await house.gateway.cancel_all_orders(CancelAllOrders("main"), request("r1"))

    with pytest.raises(GatewayError) as told:
        await cancel()
    assert told.value.reason is ErrorReason.OUTCOME_UNKNOWN
    assert house.broker.orders["a"].state is OrderState.CANCELED
    disk.fails = False
    await house.clock.advance(2)
    await until(house, house.connected)
    await until(house, lambda: house.order("a").ended)
    await until(house, lambda: house.journal.find_answer("main", "r1") is not None)


async def test_what_is_owed_stays_owed_when_the_journal_fails_again(house: House, disk: Disk) -> None:
    """A cancel that went out unwritten is written in the end, however often the disk lies in between."""
    await house.gateway.place_order(place("a"))
    await house.gateway.place_order(place("b"))
    disk.fails = True
    for name in ("a", "b"):
        with pytest.raises(GatewayError):
            await house.gateway.cancel_orders("main", [OrderRef(client_order_id=name)], request(f"r-{name}"))
    disk.fails = False
    await house.clock.advance(2)
    await until(house, house.connected)
    disk.fails = True
    for _ in range(50):
        await house.clock.advance(0.1)
        await asyncio.sleep(0.001)
    disk.fails = False
    await until(house, lambda: house.journal.failed is None)
    await until(house, lambda: all(house.journal.find_answer("main", f"r-{name}") for name in ("a", "b")))
    assert house.order("a").state is house.order("b").state is OrderState.CANCELED


async def test_fills_of_a_failed_journal_are_fetched_again(house: House, disk: Disk) -> None:
    """What the broker told while nothing could be written is booked once when it can."""
    await house.gateway.place_order(place("a", "3"))
    disk.fails = True
    with pytest.raises(CommitUnknown):
        await house.gateway.place_order(place("b"))
    house.broker.told.put_nowait([house.broker.fill("a", "1")])
    await house.clock.advance(1.5)
    disk.fails = False
    await house.clock.advance(2)
    await until(house, house.connected)
    await until(house, lambda: house.order("a").cum_quantity == Decimal(1))
    assert len([event for event in house.events() if event.HasField("fill")]) == 1
