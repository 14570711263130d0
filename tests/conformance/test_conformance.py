"""Every case for every broker that has what it needs, and the table of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.cases import ALL, run
from tests.conformance.registry import Case
from tests.conformance.subjects import SUBJECTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("case", ALL, ids=lambda case: str(case.number))
async def test_case(case: Case, name: str) -> None:
    """What the case's title says; left out only for want of a declared capability."""
    subject = SUBJECTS[name]()
    if lacking := case.lacking(subject.capabilities):
        pytest.skip(f"{name} has no {lacking}")
    await asyncio.wait_for(run(case, subject), timeout=60)


def test_the_table_is_up_to_date() -> None:
    """docs/conformance.md is written by tools/conformance_docs.py from a run of all cases, and is up to date."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "conformance_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
