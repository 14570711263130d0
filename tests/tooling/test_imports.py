"""The import contracts hold on the tree as it is, and each of them fails when it is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("server/brokergate", "clients/python/brokergate_client")


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts of `root` as `make check` does."""
    tool = Path(__file__).resolve().parents[2] / "tools" / "imports.py"
    return subprocess.run([sys.executable, tool, "--root", root], capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path, project_root: Path) -> Path:
    """A copy of both packages and of the contracts."""
    for package in PACKAGES:
        if (project_root / package).is_dir():
            shutil.copytree(
                project_root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
            )
    shutil.copy(project_root / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_tree_keeps_every_contract(project_root: Path) -> None:
    """What is checked in imports only downwards."""
    done = lint(project_root)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("server/brokergate/domain/deliberate.py", "import brokergate.ports", "Each floor"),
        ("server/brokergate/domain/deliberate.py", "import brokergate.v1", "Each floor"),
        ("server/brokergate/sim/deliberate.py", "import brokergate.resilience", "Each floor"),
        ("server/brokergate/engine/deliberate.py", "import brokergate.adapters", "Each floor"),
        ("server/brokergate/adapters/deliberate.py", "import brokergate.codec", "Each floor"),
        ("server/brokergate/journal/deliberate.py", "import brokergate.transport", "Each floor"),
        ("server/brokergate/transport/deliberate.py", "import brokergate.app", "Each floor"),
        ("server/brokergate/attic.py", "", "Each floor"),
        ("server/brokergate/engine/deliberate.py", "from brokergate import v1", "Protobuf messages stay"),
        ("server/brokergate/cli/deliberate.py", "from brokergate import v1", "Protobuf messages stay"),
        ("server/brokergate/adapters/deliberate.py", "import google.protobuf.message", "So does protobuf"),
        ("server/brokergate/journal/deliberate.py", "import brokergate.config", "Configuration and"),
        ("server/brokergate/engine/deliberate.py", "import brokergate.credentials", "Configuration and"),
        ("server/brokergate/engine/deliberate.py", "import grpc.aio", "gRPC is spoken"),
        ("server/brokergate/sim/deliberate.py", "import asyncio", "The rules and the venue are pure"),
        ("server/brokergate/domain/deliberate.py", "from time import monotonic", "The rules and the venue"),
        ("clients/python/brokergate_client/deliberate.py", "import brokergate.domain", "The client knows"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(tree: Path, module: str, line: str, contract: str) -> None:
    """One import in the wrong direction, and the check fails and names the contract."""
    file = tree / module
    if file.parent.with_suffix(".py").exists():
        # The floor is a module so far, not a package.
        file = file.parent.with_suffix(".py")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write(f"\n{line}\n")
    done = lint(tree)
    assert done.returncode != 0
    broken = [text for text in done.stdout.splitlines() if " BROKEN" in text]
    assert any(text.startswith(contract) for text in broken), done.stdout + done.stderr
