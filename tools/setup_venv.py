"""Make the virtual environment of `make setup`, or bring it up to date. Runs on a bare Python; needs nothing installed.

Usage: python3 tools/setup_venv.py FOLDER [--ib-async]

With --ib-async the library of Interactive Brokers is ib_async, the successor of ib_insync. The two cannot be installed
side by side: what they stand on brings the same module, `eventkit`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
OLDEST = (3, 11)
IB_INSYNC = ("ib_insync", "eventkit")
# All that it needs, since it allows only zone data that are older than ours.
IB_ASYNC = ("ib_async==2.1.0", "aeventkit==2.1.0", "nest-asyncio", "numpy")


def run(*command: str | Path) -> None:
    """Run a command of the set-up; where it fails, say which one and stop."""
    # pip reads what it builds with from the environment: PIP_BUILD_CONSTRAINT since 25.3 (older ones pass over it).
    environment = os.environ | {
        "PIP_BUILD_CONSTRAINT": str(CONSTRAINTS),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    done = subprocess.run(command, env=environment, check=False)
    if done.returncode:
        sys.exit(f"setup: this failed with exit status {done.returncode}: {' '.join(map(str, command))}")


def ensure_venv_module() -> None:
    """Debian ships `venv` without the part that puts pip into it; as root, install that part."""
    if importlib.util.find_spec("ensurepip") is not None and importlib.util.find_spec("venv") is not None:
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        sys.exit(f"setup: this Python has no ensurepip; as root: apt-get install {package}")
    run(apt, "update", "-q")
    run(apt, "install", "-q", "-y", "--no-install-recommends", package)


def works(python: Path) -> bool:
    """Whether the environment of `python` runs and has pip (one left by an interrupted set-up may not)."""
    if not python.exists():
        return False
    done = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False)
    return done.returncode == 0


def main() -> None:
    """Make the environment where there is none that works, then install this project for development."""
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"setup: {sys.executable} is Python {found}; needed is 3.11 or newer: make PYTHON=… setup")
    venv = Path(sys.argv[1])
    python = venv / "bin" / "python"
    if not works(python):
        ensure_venv_module()
        run(sys.executable, "-m", "venv", "--clear", venv)
    pip = (python, "-m", "pip", "install", "--quiet", "--constraint", CONSTRAINTS)
    run(*pip, "--upgrade", "pip")
    run(*pip, "--editable", f"{ROOT}[dev]")
    if sys.argv[2:] == ["--ib-async"]:
        run(python, "-m", "pip", "uninstall", "--quiet", "--yes", *IB_INSYNC)
        # What was there before has lost files that both had.
        run(*pip, "--no-deps", "--force-reinstall", *IB_ASYNC)
    print(f"setup: {venv} is ready")


if __name__ == "__main__":
    main()
