"""Make an environment for a client library of Interactive Brokers, with which the tests certify the emulator of TWS.

Each has an environment of its own: both of IB's packages are the module `ibapi`, and what ib_insync and ib_async stand
on is the module `eventkit` twice. IB's licence forbids to pass its packages on, so that they are installed where tests
run and nowhere else.

Usage: python tools/ib_clients.py [NAME …]     all of them where none is named
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
FOLDER = ROOT / ".venvs" / f"ib-clients-{sys.version_info.major}.{sys.version_info.minor}"
CLIENTS = {
    "ibapi-9.81": ("ibapi==9.81.1.post1",),
    # It imports protobuf and does not say so.
    "ibapi-10.46": ("nautilus-ibapi==10.46.1", "protobuf"),
    "ib_insync": ("ib_insync==0.9.86", "eventkit==1.0.3", "nest-asyncio", "numpy", "tzdata"),
    "ib_async": ("ib_async==2.1.0", "aeventkit==2.1.0", "nest-asyncio", "numpy", "tzdata"),
}
"""What each needs, all of it: nothing else is resolved. What has no version here has one in constraints.txt."""


def python_of(name: str) -> Path:
    """The Python of a client's environment, which is made where it is not there yet or was made for other versions."""
    folder = FOLDER / name
    stamp, wanted = folder / "installed", "\n".join(CLIENTS[name])
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Tests that run side by side wait for the one that makes it.
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            _make(folder, CLIENTS[name])
            stamp.write_text(wanted)
    return folder / "bin" / "python"


def _make(folder: Path, packages: tuple[str, ...]) -> None:
    _run(sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder))
    pip = (sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install")
    _run(
        *pip,
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--constraint",
        str(CONSTRAINTS),
        *packages,
    )


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"this failed: {' '.join(command)}\n{done.stdout}{done.stderr}")


def main() -> None:
    """Make those that the command line names."""
    unknown = set(sys.argv[1:]) - set(CLIENTS)
    if unknown:
        sys.exit(f"no client {', '.join(sorted(unknown))}; there are {', '.join(CLIENTS)}")
    for name in sys.argv[1:] or CLIENTS:
        print(f"{name}: {python_of(name)}")


if __name__ == "__main__":
    main()
