"""The page of the pains."""

from __future__ import annotations

import re
from pathlib import Path


def test_every_pain_has_its_test_or_its_reason(project_root: Path) -> None:
    """docs/pains.md has all fifteen, each with tests that there are; and no test of a pain is left out of it."""
    rows = re.findall(
        r"^\| (\d+) .*\|$", (project_root / "docs" / "pains.md").read_text("utf-8"), re.MULTILINE
    )
    assert [int(number) for number in rows] == list(range(1, 16))
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", (project_root / "docs" / "pains.md").read_text("utf-8")))
    assert not [name for name in named if not (project_root / name).exists()]
    own = {f"tests/pains/{path.name}" for path in Path(__file__).parent.glob("test_pain_*.py")}
    assert own <= named
