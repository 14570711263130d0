"""Where there is no browser and none can be installed, it is said, and nothing is skipped unasked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.install_browser import OPTIONAL, find_browser


@pytest.mark.parametrize(("optional", "status"), [("", 1), ("1", 0)])
def test_a_machine_without_a_browser_is_told_the_way_out(
    project_root: Path, tmp_path: Path, optional: str, status: int
) -> None:
    """A PATH without apt stands for a machine that has none."""
    script = project_root / "tools" / "install_browser.py"
    environment = os.environ | {"PATH": str(tmp_path), OPTIONAL: optional}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert OPTIONAL in done.stdout + done.stderr
    assert ("apt-get install chromium chromium-driver" in done.stderr) == (status == 1)


def test_both_the_browser_and_its_driver_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    names = ("chromium", "chromedriver")
    assert find_browser() is None
    for name in names:
        assert find_browser() is None
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert find_browser() == (str(tmp_path / names[0]), str(tmp_path / names[1]))
