"""What the command line imports, and what it says where something is not installed."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest
import typer

from brokergate.cli import COMMANDS, Entry

HEAVY = {"grpc", "yaml", "google.protobuf", "structlog", "aiohttp", "asyncio", "rich"}


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


def run_without(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line where `module` is not installed."""
    return python(
        f"import sys; sys.modules[{module!r}] = None\n"
        f"from brokergate.__main__ import main; main({list(arguments)!r})"
    )


@pytest.mark.parametrize("entry", COMMANDS.values(), ids=COMMANDS)
def test_every_command_is_there(entry: Entry) -> None:
    """What the table names can be imported and run."""
    command = getattr(importlib.import_module(entry.module), entry.attribute)
    assert isinstance(command, typer.Typer) or callable(command)


@pytest.mark.parametrize("arguments", [["--help"], ["version"]])
def test_what_needs_little_loads_little(arguments: list[str]) -> None:
    """A help that takes a second is not asked for twice."""
    done = python(
        "import json, sys\n"
        "from brokergate.cli import run\n"
        f"status = run({arguments!r})\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
        "sys.exit(status)"
    )
    assert done.returncode == 0
    assert not HEAVY & set(json.loads(done.stderr))


def test_without_the_servers_extra_the_way_out_is_told() -> None:
    """The client's installation has the console script too."""
    done = run_without("typer", "version")
    assert done.returncode == 1
    assert done.stderr == "brokergate: typer is not installed; pip install 'brokergate[server]'\n"


def test_so_it_is_for_what_one_command_needs() -> None:
    """The others go on working."""
    done = run_without("yaml", "check", "x.yaml")
    assert done.returncode == 1
    assert done.stderr == "brokergate: yaml is not installed; pip install 'brokergate[server]'\n"
    assert run_without("yaml", "version").returncode == 0


def test_a_module_of_ours_that_is_missing_is_a_bug() -> None:
    """And is shown as one."""
    done = run_without("brokergate.cli.version", "version")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
