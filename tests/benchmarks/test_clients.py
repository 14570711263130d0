"""The benchmark of the clients runs, and notices what it must."""

from __future__ import annotations

import pytest

from tests.benchmarks.clients import Figures, measure, measure_bare
from tests.benchmarks.fill_source import BATCH
from tools.clients import language

FILLS = 10 * BATCH


@pytest.mark.serial
def test_a_client_is_measured() -> None:
    """It reads every fill once, and its memory is seen."""
    figures = measure(language("python"), FILLS)
    assert figures.fills == FILLS
    assert figures.fills_per_s > 0
    assert len(figures.resident_mib) == 10
    assert min(figures.resident_mib) > 1
    assert measure_bare(FILLS).fills_per_s > 0


@pytest.mark.parametrize(
    ("resident_mib", "flat"),
    [
        ([50, 60, 60, 60, 60, 60, 60, 61, 60, 60], True),
        ([50, 60, 70, 80, 90, 100, 110, 120, 130, 140], False),
        ([500, 600, 600, 600, 600, 640, 600, 600, 650, 600], True),
    ],
)
def test_memory_that_grows_is_seen(resident_mib: list[float], flat: bool) -> None:
    """By what the second half has more than the first; a collector's waves are not growth."""
    assert Figures("x", 1, 1.0, resident_mib).flat is flat
