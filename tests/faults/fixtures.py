"""The brokers and their emulators' processes, one of each for all tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from tests.emulators.client import Emulator
from tests.faults.venues import VENUES, Venue

_started: list[Emulator] = []


@cache
def _emulator(name: str) -> Emulator:
    started = Emulator.start(name)
    _started.append(started)
    return started


@pytest.fixture(scope="session", autouse=True)
def ended_emulators() -> Iterator[None]:
    """All that were started end with the tests."""
    yield
    while _started:
        _started.pop().close()
    _emulator.cache_clear()


@pytest.fixture(params=sorted(VENUES))
def venue(request: pytest.FixtureRequest) -> Venue:
    """Each broker in turn."""
    return VENUES[request.param]


@pytest.fixture
def emulator(venue: Venue) -> Emulator:
    """Its emulator's process."""
    return _emulator(venue.emulator or venue.name)
