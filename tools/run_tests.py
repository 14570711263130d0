"""Run a suite: first what can run side by side, then the tests marked `serial` alone; coverage and one closing line.

Usage: python tools/run_tests.py {fast,slow,ib-async} [--no-cov] [pytest's own arguments]
       python tools/run_tests.py total

`fast` is everything but the tests marked `slow`, `ib-async` what of it is about Interactive Brokers. Each part leaves
its JUnit report in .reports; `total` adds up the reports that lie there and says `N passed, N failed`, so that several
suites end in one line that counts them all.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / ".reports"
NOTHING_COLLECTED = 5
OF_INTERACTIVE_BROKERS = "ibkr or tws"
# A run that has hung is ended: CI has 90 minutes for everything.
SESSION_SECONDS = 2400


@dataclass(frozen=True, slots=True)
class Counts:
    """How the tests of one or more reports ended. An error in a fixture or in collecting is a failure."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def count(reports: Iterable[Path]) -> Counts:
    """Add up JUnit reports."""
    total = Counts()
    for report in reports:
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            tests, bad, skipped = (
                int(suite.get("tests", 0)),
                int(suite.get("failures", 0)) + int(suite.get("errors", 0)),
                int(suite.get("skipped", 0)),
            )
            total += Counts(tests - bad - skipped, bad, skipped)
    return total


def run_part(name: str, selection: str, arguments: list[str]) -> tuple[int, Path]:
    """Run one part of a suite; its exit status (0 where it has no tests) and its report."""
    report = REPORTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", "-m", selection),
        f"--junitxml={report}",
        f"--session-timeout={SESSION_SECONDS}",
        *arguments,
    ]
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    return 0 if status == NOTHING_COLLECTED else status, report


def run_suite(suite: str, arguments: list[str]) -> int:
    """Run both parts of a suite, print coverage and the closing line, and return the first bad exit status."""
    REPORTS.mkdir(exist_ok=True)
    covered = "--no-cov" not in arguments
    arguments = [argument for argument in arguments if argument != "--no-cov"]
    speed = "slow" if suite == "slow" else "not slow"
    if suite == "ib-async":
        arguments += ["-k", OF_INTERACTIVE_BROKERS]
    label = f"{suite}-{platform.python_version()}"
    coverage = ["--cov", "--cov-report="] if covered else []
    # Most tests wait for processes and sockets more than they work.
    workers = os.environ.get("BROKERGATE_TEST_WORKERS", str(len(os.sched_getaffinity(0)) * 3 // 2))
    # A worker that has nothing left takes from the others: no long test is begun when all else is done.
    together = [f"--numprocesses={workers}", "--dist=worksteal"]
    first, side_by_side = run_part(
        f"{label}-parallel", f"({speed}) and not serial", [*together, *coverage, *arguments]
    )
    append = ["--cov-append"] if covered else []
    second, alone = run_part(f"{label}-serial", f"({speed}) and serial", [*coverage, *append, *arguments])
    if covered:
        subprocess.run([sys.executable, "-m", "coverage", "report"], cwd=ROOT, check=False)
    counts = count(report for report in (side_by_side, alone) if report.exists())
    print(f"{suite} on Python {platform.python_version()}: {counts}")
    if counts.passed + counts.failed == 0:
        # A suite that found no test at all has shown nothing.
        return first or second or NOTHING_COLLECTED
    return first or second


def main() -> int:
    """Run the suite that the command line names."""
    match sys.argv[1:]:
        case ["total"]:
            counts = count(sorted(REPORTS.glob("*.xml")))
            print(counts)
            return 1 if counts.failed else 0
        case [("fast" | "slow" | "ib-async") as suite, *arguments]:
            return run_suite(suite, arguments)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main())
