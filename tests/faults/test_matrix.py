"""Every fault at every broker: all laws hold, and none of them for want of anything to look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.emulators.client import Emulator
from tests.faults.matrix import run
from tests.faults.scenarios import Scenario
from tests.faults.venues import VENUES, Venue

ROWS = [
    pytest.param(scenario, venue, id=f"{venue.name}-{scenario.key}")
    for venue in VENUES.values()
    for scenario in venue.scenarios
]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("scenario", "venue"), ROWS)
async def test_all_laws_hold(scenario: Scenario, venue: Venue, emulator: Emulator, tmp_path: Path) -> None:
    """Laws 1 to 9 hold through the fault and after it."""
    row = await run(scenario, venue, emulator, tmp_path)
    assert not row.failures, "\n".join(row.failures)
