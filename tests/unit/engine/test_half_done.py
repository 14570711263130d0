"""What is under way when the journal fails, the gateway closes or a stop begins: nothing of it is done by halves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import Order, OrderState
from brokergate.domain.policy import AccountPolicy
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.ports.broker import Outcome
from brokergate.ports.journal import JournalError
from tests.unit.engine.street import House, Street, place
from tests.unit.engine.test_journal_failure import Disk, until


class SlowStreet(Street):
    """Answers an order when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.slow: dict[str, asyncio.Event] = {}
        self.closing_fails = False

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
            self.closing_fails = False
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
