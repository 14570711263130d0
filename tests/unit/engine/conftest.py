"""A gateway over a journal in memory and a scripted broker."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from brokergate.domain.commands import CreatePaperAccount
from brokergate.domain.policy import AccountPolicy
from brokergate.engine.gateway import Gateway
from brokergate.journal.memory import MemoryJournal
from brokergate.ports.broker import AbstractBroker
from brokergate.ports.journal import Journal
from tests.unit.engine.scripted import ScriptedBroker, StillClock


def no_paper(command: CreatePaperAccount) -> AbstractBroker:
    raise AssertionError("no paper account is made here")


@dataclass
class House:
    """What the tests of the engine talk to."""

    gateway: Gateway
    broker: ScriptedBroker
    journal: Journal
    clock: StillClock


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A gateway with the account `main` at a scripted broker."""
    clock, broker = StillClock(), ScriptedBroker()
    journal = MemoryJournal(random.Random(1).getrandbits)
    gateway = Gateway(journal, clock, lambda *_, **__: None, no_paper)
    await gateway.add_account("main", broker, AccountPolicy())
    yield House(gateway, broker, journal, clock)
    await gateway.close()
    journal.close()
