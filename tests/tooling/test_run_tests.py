"""The runner of the suites counts what JUnit reports say, and pytest is set up to fail on what goes unnoticed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPORT = '<testsuites><testsuite tests="{}" failures="{}" errors="{}" skipped="{}"/></testsuites>'


@pytest.fixture(scope="module")
def runner(project_root: Path) -> ModuleType:
    """tools/run_tests.py as a module."""
    spec = importlib.util.spec_from_file_location("run_tests", project_root / "tools" / "run_tests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_reports_add_up_and_errors_count_as_failures(runner: ModuleType, tmp_path: Path) -> None:
    """The closing line counts every suite that left a report."""
    for name, numbers in {"fast": (10, 1, 1, 2), "slow": (5, 0, 0, 0)}.items():
        (tmp_path / f"{name}.xml").write_text(REPORT.format(*numbers))
    assert str(runner.count(tmp_path.glob("*.xml"))) == "11 passed, 2 failed, 2 skipped"


def test_the_closing_line_is_plain_where_nothing_was_skipped(runner: ModuleType, tmp_path: Path) -> None:
    """`N passed, N failed`, for whoever reads the last line of a log."""
    (tmp_path / "fast.xml").write_text(REPORT.format(3, 0, 0, 0))
    assert str(runner.count([tmp_path / "fast.xml"])) == "3 passed, 0 failed"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("async def coroutine(): pass\ndef test_it(): coroutine()", "was never awaited"),
        (
            "import threading\ndef test_it():\n    t = threading.Thread(target=lambda: 1 / 0)\n    t.start(); t.join()",
            "Zero",
        ),
        ("class Bad:\n    def __del__(self): raise ValueError('lost')\ndef test_it(): Bad()", "lost"),
        ("import pytest\n@pytest.mark.slwo\ndef test_it(): pass", "slwo"),
        ("import time, pytest\n@pytest.mark.timeout(0.2)\ndef test_it(): time.sleep(60)", "Timeout"),
    ],
    ids=["coroutine", "thread", "unraisable", "unknown-marker", "hung"],
)
def test_what_would_go_unnoticed_fails(project_root: Path, tmp_path: Path, body: str, told: str) -> None:
    """An un-awaited coroutine, an error in a thread or in a __del__, a misspelt marker, a test that hangs."""
    (tmp_path / "test_it.py").write_text(body)
    config = (
        "-c",
        str(project_root / "pyproject.toml"),
        "--rootdir",
        str(tmp_path),
        "-p",
        "no:cacheprovider",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *config, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode != 0
    assert told in done.stdout + done.stderr
