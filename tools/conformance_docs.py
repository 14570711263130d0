"""Write docs/conformance.md: every case of tests/conformance run for every broker, and what came of it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "conformance.md"
sys.path.insert(0, str(ROOT))

from tests.conformance.cases import ALL, run  # noqa: E402
from tests.conformance.registry import Case  # noqa: E402
from tests.conformance.subjects import SUBJECTS  # noqa: E402

INTRODUCTION = """\
# Conformance

<!-- Written by tools/conformance_docs.py, which runs every case; the cases are in tests/conformance. -->

What every broker must do alike, through the engine's port. `passed`: the case ran and held. `lacks …`: the broker's
declared capabilities do not have what the case needs; that is the only reason for which a case is left out. How an
adapter joins is said in `tests/conformance/__init__.py`.

"""


async def _result(case: Case, name: str) -> str:
    subject = SUBJECTS[name]()
    if lacking := case.lacking(subject.capabilities):
        return f"lacks {lacking}"
    try:
        await asyncio.wait_for(run(case, subject), timeout=60)
    except Exception as error:  # noqa: BLE001 - whatever it is, the case did not pass
        return f"FAILED ({type(error).__name__})"
    return "passed"


async def page() -> str:
    """The page."""
    lines = [
        f"| case | what holds | {' | '.join(SUBJECTS)} |",
        f"|---|---|{'---|' * len(SUBJECTS)}",
    ]
    passed = dict.fromkeys(SUBJECTS, 0)
    for case in ALL:
        results = [await _result(case, name) for name in SUBJECTS]
        for name, result in zip(SUBJECTS, results, strict=True):
            passed[name] += result == "passed"
        lines.append(f"| {case.number} | {case.title} | {' | '.join(results)} |")
    totals = [f"| {name} | {passed[name]} of {len(ALL)} |" for name in SUBJECTS]
    head = [INTRODUCTION + "| broker | passed |", "|---|---|", *totals, ""]
    return "\n".join([*head, *lines]) + "\n"


def main() -> int:
    """Write the page, or with --check say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where it is out of date")
    text = asyncio.run(page())
    if not parser.parse_args().check:
        PAGE.write_text(text, "utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == text:
        return 0
    print("docs/conformance.md is out of date; run 'python tools/conformance_docs.py'", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
