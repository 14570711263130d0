"""What is under way when the journal fails, the gateway closes or a stop begins: nothing of it is done by halves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from brokergate.domain.commands import CancelOrder, OrderRef
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import Order, OrderState
from brokergate.domain.policy import AccountPolicy
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.ports.broker import Outcome, RestoredState
from brokergate.ports.journal import JournalError
from tests.unit.engine.street import House, Street, place, request
from tests.unit.engine.test_journal_failure import Disk, until


class SlowStreet(Street):
    """Answers an order when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.slow: dict[str, asyncio.Event] = {}
        self.connecting: asyncio.Event | None = None
        self.closing_fails = 0
        """How many times it fails to close."""

    async def connect(self, state: RestoredState) -> None:
        if self.connecting is not None:
            await self.connecting.wait()
        await super().connect(state)

    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        for order in orders:
            self.asked.set()
            if (gate := self.slow.get(order.client_order_id)) is not None:
                await gate.wait()
            outcomes += await super().place_orders((order,))
        return outcomes

    async def close(self) -> None:
        await super().close()
        if self.closing_fails:
            self.closing_fails -= 1
            raise OSError("the line is gone")


@pytest.fixture
def disk() -> Disk:
    """A disk that works at first."""
    return Disk()


@pytest.fixture
async def house(tmp_path: Path, disk: Disk) -> AsyncIterator[House]:
    """A durable account on the street, its journal in a file on the disk."""
    journal = SqliteJournal(tmp_path / "journal.db", random.Random(1).getrandbits, sync_file=disk.sync)
    street = SlowStreet()
    house = House(street, AccountPolicy(durable=True), journal=journal)
    await house.open()
    await until(house, house.connected)
    yield house
    disk.fails = False
    for gate in street.slow.values():
        gate.set()
    await house.gateway.close()
    if journal.failed is None:
        journal.close()


async def fail_and_work_again(house: House, disk: Disk) -> None:
    """The journal fails, and is opened again."""
    disk.fails = True
    with pytest.raises(JournalError):
        await house.gateway.place_order(place("finds-it-out"))
    disk.fails = False
    await house.clock.advance(1.5)
    assert house.journal.failed is None


async def test_what_is_being_sent_is_not_believed_absent(house: House, disk: Disk) -> None:
    """A batch of two hangs at its first order while the journal fails and works again. That the venue does not show the
    first proves nothing until it was sent; the second is not sent any more, and ends as what never was."""
    street = house.broker
    assert isinstance(street, SlowStreet)
    gate = street.slow["first"] = asyncio.Event()
    batch = asyncio.create_task(house.gateway.place_orders((place("first"), place("second"))))
    await street.asked.wait()
    await fail_and_work_again(house, disk)
    await house.clock.advance(60)
    gate.set()
    with pytest.raises(JournalError):
        await batch
    await house.clock.advance(60)
    await until(house, house.connected)
    assert house.order("first").state is OrderState.NEW
    assert house.order("second").reject_reason is ErrorReason.NOT_SENT
    assert [order.client_order_id for order in street.placed] == ["first"]


async def test_a_gateway_closes_while_somebody_waits_for_a_connection() -> None:
    """Whoever asked for another connection is told that there is none; the close waits for nobody's broker."""
    street = SlowStreet()
    house = House(street)
    await house.open()
    street.connecting = asyncio.Event()
    asked = asyncio.create_task(house.gateway.reconnect("main", request("r1")))
    await house.clock.advance(1)
    await asyncio.wait_for(house.gateway.close(), 5)
    with pytest.raises(GatewayError) as told:
        await asked
    assert told.value.reason is ErrorReason.BROKER_UNAVAILABLE


async def test_a_gateway_closes_while_a_cancel_is_owed(house: House, disk: Disk) -> None:
    """A cancel that is to be written waits for a broker that does not answer; the close does not."""
    street = house.broker
    assert isinstance(street, SlowStreet)
    await house.gateway.place_order(place("a"))
    street.connecting = asyncio.Event()
    disk.fails = True
    with pytest.raises(GatewayError):
        await house.gateway.cancel_order(CancelOrder("main", OrderRef(client_order_id="a")), request("r1"))
    disk.fails = False
    await house.clock.advance(2)
    await asyncio.wait_for(house.gateway.close(), 5)
    assert house.journal.failed is None


async def test_an_adapter_that_fails_to_close_does_not_keep_the_journal_closed(
    house: House, disk: Disk
) -> None:
    """Its connection is made anew all the same, and orders are taken."""
    street = house.broker
    assert isinstance(street, SlowStreet)
    street.closing_fails = 2
    await fail_and_work_again(house, disk)
    await until(house, house.connected)
    assert (await house.gateway.place_order(place("a"))).order.state is OrderState.NEW
