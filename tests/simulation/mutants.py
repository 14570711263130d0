"""Mutations of the gateway's source: each is a law broken on purpose, applied to a copy and run until it is caught.

A patch in `mutations/` begins with `law:` and the laws, by their numbers, any of which may be what it is caught by.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATCHES = Path(__file__).parent / "mutations"
SEEDS = 400
"""Seeds that a mutation may survive at the most."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One patch."""

    name: str
    laws: tuple[str, ...]
    patch: Path


@dataclass(frozen=True, slots=True)
class Caught:
    """How a mutation ended: the seed and the message of the law that it broke."""

    seed: int
    law: str
    message: str


def mutations() -> list[Mutation]:
    """All there are, by name."""
    found = []
    for patch in sorted(PATCHES.glob("*.patch")):
        head = patch.read_text("utf-8").splitlines()[0]
        assert head.startswith("law: "), f"{patch.name} does not begin with the law that it breaks"
        found.append(Mutation(patch.stem, tuple(head.removeprefix("law: ").split(", ")), patch))
    return found


def catch(mutation: Mutation, folder: Path, seeds: int = SEEDS) -> Caught | None:
    """Applies a mutation to a copy of the server in `folder` and runs seeds until one breaks a law; None when all
    hold. Raises `RuntimeError` for a patch that no longer applies."""
    shutil.copytree(ROOT / "server", folder / "server", ignore=shutil.ignore_patterns("__pycache__"))
    apply = ["git", "apply", "--whitespace=nowarn", str(mutation.patch)]
    environment = {
        **os.environ,
        "GIT_DIR": str(folder / "none"),
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
    }
    done = subprocess.run(apply, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"mutations/{mutation.patch.name} no longer applies to the source; write it anew: {done.stderr}"
        )
    path = os.pathsep.join(map(str, (folder / "server", ROOT / "clients" / "python", ROOT)))
    command = [sys.executable, "-m", "tests.simulation", "--seeds", f"0..{seeds}", "--until-broken"]
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    for line in run.stdout.splitlines():
        if line.startswith("{"):
            return Caught(**json.loads(line))
    if run.returncode:
        raise RuntimeError(f"{mutation.name}: the simulation itself failed: {run.stderr[-2000:]}")
    return None
