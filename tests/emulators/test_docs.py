"""docs/emulators.md says what there is, and its curl lines work."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys

import pytest

from tests.e2e.process import ROOT, environment
from tests.emulators.control import ACTIONS
from tests.emulators.faults import ALL

PAGE = ROOT / "docs" / "emulators.md"


def test_every_action_and_every_fault_is_documented() -> None:
    rows = " ".join(line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `"))
    assert {*ACTIONS, *ALL} <= set(re.findall(r"`(\w+)`", rows))


@pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("bash", "curl", "openssl")), reason="needs bash, curl and openssl"
)
def test_its_curl_lines_work() -> None:
    (script,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = script.replace("8081", str(port)).replace("python -m", f"{sys.executable} -m")
    path = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "set -m\n" + script],
        cwd=ROOT,
        env=environment(path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"status":"NEW"' in done.stdout
    assert '"price":"49000.00"' in done.stdout
    assert '"kind":"place"' in done.stdout
