"""What every test may use."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.secret_scan import SUITE, LogWatch
from tests.tooling.grpcurl import find_grpcurl

ROOT = Path(__file__).resolve().parent.parent

# A shell that runs something in the background has it ignore SIGINT, and every process below it: there Ctrl+C, which
# tests send to the programs that they start, would be without effect.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline for one example: workers share the cores of a small CI machine, and pytest-timeout ends what hangs.
# The blob makes a failure repeatable wherever it was found.
settings.register_profile(
    "brokergate", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("brokergate")


@pytest.fixture(scope="session")
def _log_watch() -> Iterator[LogWatch]:
    """Sees whatever the suite logs in its own processes; those of gateways are looked at by `ServerProcess`."""
    watch = LogWatch(SUITE)
    logging.getLogger().addHandler(watch)
    yield watch
    logging.getLogger().removeHandler(watch)


@pytest.fixture(autouse=True)
def _logs_no_secret(_log_watch: LogWatch) -> Iterator[None]:
    """Law 10 for every test."""
    yield
    found, _log_watch.scan.found = _log_watch.scan.found, []
    assert found == []


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def grpcurl() -> Path:
    """The real grpcurl; a test that asks for it fails where it is missing."""
    return find_grpcurl()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real market data beside the project; a test that needs it is skipped where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no market data in {folder}; see the README")
    return folder
