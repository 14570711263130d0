"""The entry points of CI refuse to show less than they claim."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def test_ci_fails_without_the_recorded_markets(project_root: Path, tmp_path: Path) -> None:
    """A run that silently skipped the replay tests would be green for nothing."""
    script = tmp_path / "project" / ".ci" / "run"
    script.parent.mkdir(parents=True)
    shutil.copy(project_root / ".ci" / "run", script)
    done = subprocess.run(
        [script], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.returncode == 1
    assert "../shared/data is missing" in done.stderr


def test_the_real_grpcurl_is_installed(grpcurl: Path) -> None:
    """The README's lines are run with it."""
    done = subprocess.run([grpcurl, "-help"], capture_output=True, text=True, check=False)
    assert "-plaintext" in done.stderr


def test_make_lists_its_targets(project_root: Path) -> None:
    """`make` alone says what there is."""
    done = subprocess.run(["make", "-C", project_root], capture_output=True, text=True, check=True)
    for target in ("setup", "serve", "test", "check", "generate", "bench", "slow", "clean"):
        assert f"make {target}" in done.stdout
