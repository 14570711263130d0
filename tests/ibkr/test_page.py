"""The page of the traps."""

from __future__ import annotations

import re
from pathlib import Path

TRAPS = 13


def test_every_trap_has_its_tests(project_root: Path) -> None:
    """docs/ibkr-traps.md has all thirteen, each with a file of tests that there is; and each of those shows the library
    and the gateway."""
    rows = re.findall(
        r"^\| (\d+) \|.*`(tests/ibkr/[\w]+\.py)` \|$",
        (project_root / "docs" / "ibkr-traps.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert [int(number) for number, _ in rows] == list(range(1, TRAPS + 1))
    own = sorted(f"tests/ibkr/{path.name}" for path in Path(__file__).parent.glob("test_trap_*.py"))
    assert [name for _, name in rows] == own
    for name in own:
        text = (project_root / name).read_text("utf-8")
        assert "test_the_library_" in text, name
        assert "house: House" in text, name
