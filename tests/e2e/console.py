"""The console script as a user has it, in a folder and an environment of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(sys.executable).with_name("brokergate")


@dataclass(frozen=True)
class Done:
    """What a command did."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Its output."""
        return self.stdout.decode("utf-8")


def brokergate(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, timeout_s: float = 60.0
) -> Done:
    """Run `brokergate` to its end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BROKERGATE_")}
    done = subprocess.run(
        [SCRIPT, *arguments],
        cwd=cwd,
        env=kept | dict(env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode("utf-8"))
