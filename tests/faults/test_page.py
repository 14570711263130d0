"""The page of the fault matrix."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.venues import VENUES
from tools import fault_matrix


def test_the_page_has_every_cell(project_root: Path) -> None:
    """docs/fault-matrix.md is written by tools/fault_matrix.py: every fault, broker and law, and no cell empty."""
    done = subprocess.run(
        [sys.executable, project_root / "tools" / "fault_matrix.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("venue", sorted(VENUES))
def test_an_empty_cell_is_seen(venue: str) -> None:
    """A page on which one cell is empty is not taken for a whole one."""
    text = fault_matrix.PAGE.read_text("utf-8")
    rows = text.partition(f"## {venue}")[2].splitlines()
    row = next(line for line in rows if line.startswith(f"| {VENUES[venue].scenarios[0].title}"))
    emptied = text.replace(row, row[: row.rindex("| ", 0, -2)] + "|  |")
    assert emptied != text
    assert fault_matrix.shape(text) == fault_matrix.expected_shape()
    assert fault_matrix.shape(emptied) != fault_matrix.expected_shape()
