"""Write docs/fault-matrix.md: each fault of tests/faults at each broker whose wire it can befall, and the laws."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "fault-matrix.md"
sys.path.insert(0, str(ROOT))

from tests.emulators.client import Emulator  # noqa: E402
from tests.faults.laws import LAWS  # noqa: E402
from tests.faults.matrix import Row, run  # noqa: E402
from tests.faults.venues import VENUES, Venue  # noqa: E402

INTRODUCTION = """\
# Fault matrix

<!-- Written by tools/fault_matrix.py, which injects every fault; the faults and the laws are in tests/faults. -->

Fault × broker × law, with the real engine, journal and adapter against the venue's emulator in a process of its own.
Orders are placed and repeated, one is cancelled, one is filled by others and positions are read, all while the fault is
there; then it ends, and everything must become known. A cell shows how many faults were injected while its law was
looked at. An empty cell is a failure: the law was broken, or there was nothing to look at.

The emulator's own log of requests, and its orders and executions, judge laws 2, 3, 7 and 9; another connection to the
journal's file judges law 1 at the moment at which the venue has the request.

"""
_cell = re.compile(r"(?<=\| )\d+(?= \|)")


async def _rows(venue: Venue) -> list[Row]:
    found: list[Row] = []
    async with Emulator.start(venue.emulator or venue.name) as emulator:
        for scenario in venue.scenarios:
            with tempfile.TemporaryDirectory() as folder:
                found.append(await run(scenario, venue, emulator, Path(folder)))
    return found


async def rows() -> Mapping[str, Sequence[Row]]:
    """A row for each fault, by the broker's name."""
    found = await asyncio.gather(*(_rows(venue) for venue in VENUES.values()))
    return dict(zip(VENUES, found, strict=True))


def page(matrix: Mapping[str, Sequence[Row]]) -> str:
    """The page."""
    lines = ["| law | what holds |", "|---|---|"]
    for number, law in enumerate(LAWS, 1):
        words = " ".join((law.__doc__ or "").split())
        lines.append(f"| {number} | {words} |")
    for name, found in matrix.items():
        lines += ["", f"## {name}", ""]
        lines.append("| fault | " + " | ".join(f"law {number}" for number in range(1, len(LAWS) + 1)) + " |")
        lines.append("|---|" + "---|" * len(LAWS))
        lines += [
            f"| {scenario.title} | {' | '.join(row.cells())} |"
            for scenario, row in zip(VENUES[name].scenarios, found, strict=True)
        ]
    return INTRODUCTION + "\n".join(lines) + "\n"


def shape(text: str) -> str:
    """A page without its figures: how often a fault strikes differs from run to run."""
    return _cell.sub("n", text)


def expected_shape() -> str:
    """The shape of a page on which every fault was injected everywhere and every law held."""
    held = Row(1, [])
    return shape(page({name: [_Full(held)] * len(venue.scenarios) for name, venue in VENUES.items()}))


class _Full(Row):
    def __init__(self, row: Row) -> None:
        super().__init__(row.injected, row.verdicts)

    def cells(self) -> list[str]:
        return ["1"] * len(LAWS)


def main() -> int:
    """Write the page; with --check say whether it has every fault, broker and law, and no empty cell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check",
        action="store_true",
        help="inject nothing; exit 1 where the page lacks a cell, or has an empty one",
    )
    if parser.parse_args().check:
        if PAGE.exists() and shape(PAGE.read_text("utf-8")) == expected_shape():
            return 0
        print("docs/fault-matrix.md is out of date; run 'python tools/fault_matrix.py'", file=sys.stderr)
        return 1
    matrix = asyncio.run(rows())
    PAGE.write_text(page(matrix), "utf-8")
    failures = [
        f"{name}, {scenario.title}: {failure}"
        for name, found in matrix.items()
        for scenario, row in zip(VENUES[name].scenarios, found, strict=True)
        for failure in row.failures
    ]
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
