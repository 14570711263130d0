"""Each trap's test fails where its cure is taken away: the gateway's source is changed in a copy, and the test run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.process import ROOT, environment

IBKR = "brokergate/adapters/ibkr"
FAILED = 1
"""pytest's exit status where tests failed, and nothing else is wrong."""


@dataclass(frozen=True)
class Cure:
    """What is changed, (file, text, in its place), and which tests must see it."""

    name: str
    edits: tuple[tuple[str, str, str], ...]
    tests: str
    which: str


def _trap(number: int, which: str, *edits: tuple[str, str, str]) -> Cure:
    (path,) = (ROOT / "tests" / "ibkr").glob(f"test_trap_{number:02}_*.py")
    return Cure(path.stem.removeprefix("test_"), edits, str(path.relative_to(ROOT)), which)


CURES = (
    _trap(
        1,
        "does_not",
        (
            f"{IBKR}/desk.py",
            "meaning(frame.code, frame.text, asked, acknowledged=known.acknowledged)",
            "meaning(frame.code, frame.text, Asked.ORDER)",
        ),
    ),
    _trap(
        2,
        "rejected_once",
        (
            f"{IBKR}/desk.py",
            "        if means.means is Means.REFUSED:\n            known.refused",
            "        if False:\n            known.refused",
        ),
    ),
    _trap(
        3,
        "gateway and positions",
        (
            f"{IBKR}/inquiry.py",
            'error = BrokerTimeoutError(f"TWS did not answer in {timeout_s:g} s: {what}")',
            "return []",
        ),
    ),
    _trap(
        4,
        "gateway and fills",
        (f"{IBKR}/line.py", "                question.fail(means.error)", "                question.end()"),
    ),
    _trap(
        5,
        "gateway and 7",
        (f"{IBKR}/inquiry.py", "        async with self.waiting.lock(key):", "        if key:"),
    ),
    _trap(
        6,
        "gateway and cut",
        (
            f"{IBKR}/lookups.py",
            "own = [each for each in executions if each.account == self._desk.account]",
            "own = executions[:0]",
        ),
    ),
    _trap(
        7,
        "come_late and False",
        (f"{IBKR}/executions.py", "fees_final=fees is not None,", "fees_final=True,"),
    ),
    _trap(
        8,
        "what_it_is and close",
        (f"{IBKR}/refusals.py", "    elif reached:", "    elif False:"),
    ),
    Cure(
        "trap_09_silent_peer",
        (
            (
                f"{IBKR}/line.py",
                "            if socket.heard != heard:\n",
                "            if heard is not None:\n",
            ),
        ),
        "tests/unit/adapters/ibkr/test_connecting.py",
        "gone_without_a_word",
    ),
    _trap(
        10,
        "keeps_to_it",
        (
            f"{IBKR}/line.py",
            "per_second = settings.messages_per_second",
            "per_second = 4 * settings.messages_per_second",
        ),
    ),
    _trap(
        11,
        "gateway",
        ("brokergate/engine/changing.py", "            raise _ended(order)\n", "            pass\n"),
    ),
    _trap(
        12,
        "meet_no_order and True",
        (f"{IBKR}/line.py", "max(self._next_id, socket.next_id)", "socket.next_id"),
        (f"{IBKR}/line.py", "            self.skip_ids(told.order_id + 1)", "            pass"),
    ),
    _trap(
        13,
        "gateway and naive and Tokyo",
        (f"{IBKR}/library.py", "self._ears.zoned(fields, _EXECUTION_TIME)", "fields"),
    ),
)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("cure", CURES, ids=lambda cure: cure.name)
def test_without_its_cure_the_trap_is_seen(cure: Cure, tmp_path: Path) -> None:
    """The changed copy takes the place of the checkout's package."""
    server = tmp_path / "server"
    shutil.copytree(ROOT / "server", server, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text, instead in cure.edits:
        source = (server / name).read_text("utf-8")
        assert source.count(text) == 1, f"{name} has {text!r} {source.count(text)} times"
        (server / name).write_text(source.replace(text, instead), "utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--no-cov", "-x", "-p", "no:cacheprovider"),
            # What hangs without its cure is ended, with the same status as what fails.
            *("--timeout", "60", "--timeout-method", "thread", "-k", cure.which, cure.tests),
        ],
        cwd=ROOT,
        env=environment({"PYTHONPATH": f"{server}:{ROOT / 'clients' / 'python'}"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == FAILED, done.stdout[-3000:] + done.stderr[-1000:]
