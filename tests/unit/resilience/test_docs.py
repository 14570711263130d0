"""The Python of docs/resilience.md runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.e2e.process import ROOT, environment

PAGE = (ROOT / "docs" / "resilience.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_page_has_its_blocks() -> None:
    assert len(BLOCKS) == 4


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_block_runs(number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKS[number]],
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "not reached" not in done.stdout
