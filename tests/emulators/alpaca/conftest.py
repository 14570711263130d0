"""One emulator for all tests of this folder, a new account for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.emulators.client import Emulator

KEY, SECRET = "PKEMULATOR0000000000", "the-secret-of-the-emulator"


@pytest.fixture(scope="session")
def process() -> Iterator[Emulator]:
    """The process."""
    emulator = Emulator.start("alpaca", key=KEY, secret=SECRET)
    yield emulator
    emulator.close()


@pytest.fixture
def venue(process: Emulator) -> Emulator:
    """A new account with 100,000 USD, and the market as it is at first."""
    process.do("reset")
    return process
