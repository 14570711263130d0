"""Hold the import contracts of pyproject.toml against a copy of the tree.

A copy, because a contract names every floor of the house while some are still to be built, and import-linter takes a
name that it cannot find for a mistake. What is missing stands in the copy as an empty package.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (Path("server/brokergate"), Path("clients/python/brokergate_client"))
NAMING = ("source_modules", "forbidden_modules", "protected_modules", "allowed_importers")


def named_modules(pyproject: Path) -> set[str]:
    """The modules of ours that the contracts of `pyproject` name."""
    contracts = tomllib.loads(pyproject.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    named = {module for contract in contracts for key in NAMING for module in contract.get(key, ())}
    for contract in contracts:
        floors = [floor for layer in contract.get("layers", ()) for floor in re.findall(r"\w+", layer)]
        named |= {f"{container}.{floor}" for container in contract.get("containers", ()) for floor in floors}
    ours = tuple(package.name for package in PACKAGES)
    return {module for module in named if module.split(".")[0] in ours and "*" not in module}


def copy_tree(root: Path, copy: Path) -> list[str]:
    """Copy both packages of `root` side by side into `copy`, add what is missing, and return the names of that."""
    for package in PACKAGES:
        if (root / package).is_dir():
            shutil.copytree(root / package, copy / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", copy)
    missing = []
    for module in sorted(named_modules(copy / "pyproject.toml")):
        path = copy.joinpath(*module.split("."))
        if (path / "__init__.py").is_file() or path.with_suffix(".py").is_file():
            continue
        path.mkdir(parents=True, exist_ok=True)
        (path / "__init__.py").touch()
        missing.append(module)
    return missing


def main() -> int:
    """Run import-linter; its exit status is ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to hold the contracts against")
    root = parser.parse_args().root
    with tempfile.TemporaryDirectory() as folder:
        missing = copy_tree(root, Path(folder))
        if missing:
            print(f"not built yet: {', '.join(missing)}", flush=True)
        done = subprocess.run(
            [
                Path(sys.executable).with_name("lint-imports"),
                "--config",
                "pyproject.toml",
                "--no-cache",
                "--no-logo",
            ],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": folder},
            check=False,
        )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
