"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.tooling.grpcurl import find_grpcurl

ROOT = Path(__file__).resolve().parent.parent

# No deadline for one example: workers share the cores of a small CI machine, and pytest-timeout ends what hangs.
# The blob makes a failure repeatable wherever it was found.
settings.register_profile(
    "brokergate", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("brokergate")


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def grpcurl() -> Path:
    """The real grpcurl; a test that asks for it fails where it is missing."""
    return find_grpcurl()
