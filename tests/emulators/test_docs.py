"""docs/emulators.md says what there is, and its curl lines work."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.process import ROOT, environment, run_brokergate
from tests.emulators.client import Emulator
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


def test_a_gateway_reaches_it_with_the_configuration_that_is_shown(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    emulator = Emulator.start("binance", key="KEY", secret="SECRET")
    try:
        file = tmp_path / "brokergate.yaml"
        file.write_text(block.replace("8081", str(emulator.port)))
        done = run_brokergate("brokers", "test", "binance-emulator", "--config", file)
    finally:
        emulator.close()
    assert done.returncode == 0, done.stderr
    assert "instruments  3" in done.stdout
