"""A gateway that does what the test says, and a client of it that does not wait long."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest

from brokergate_client import Gateway
from brokergate_client.calls import Backoff
from tests.unit.client.fake import FakeGateway


@pytest.fixture
async def fake() -> AsyncIterator[FakeGateway]:
    """Serves until the test ends."""
    fake = FakeGateway()
    await fake.start()
    yield fake
    await fake.kill()


Connect = Callable[..., AbstractAsyncContextManager[Gateway]]


@asynccontextmanager
async def impatient(address: str, **options: object) -> AsyncIterator[Gateway]:
    """A client whose pauses are a hundredth of what they are for a user."""
    gateway = Gateway.connect(address, **options)  # type: ignore[arg-type]
    gateway._caller = replace(
        gateway._caller, new_backoff=lambda: Backoff(0.001, 0.05), attempt_timeout_s=0.5
    )
    async with gateway:
        yield gateway


@pytest.fixture
async def gateway(fake: FakeGateway) -> AsyncIterator[Gateway]:
    """A client of `fake`."""
    async with impatient(fake.address) as gateway:
        yield gateway
