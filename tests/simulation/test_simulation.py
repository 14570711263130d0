"""The simulation as tests: some seeds always, thousands in the slow part, and mutations that it must catch."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.simulation.coverage import empty_cells, table
from tests.simulation.mutants import Caught, Mutation, catch, mutations
from tests.simulation.runner import run_chunk, run_many
from tests.simulation.world import COMMANDS, FAULTS

FAST_SEEDS = 64
PARTS = 8
SLOW_SEEDS = 3_000
REPORTS = Path(__file__).resolve().parents[2] / ".reports"


@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_breaks_a_law(part: int) -> None:
    """Whatever fails around it, the engine keeps every law: each seed gives 200 commands and 5 faults at the least."""
    report = run_chunk(range(part, FAST_SEEDS, PARTS))
    assert report.broken == [], "replay one with python -m tests.simulation --seed N --trace"
    assert (report.fewest_commands or 0) >= COMMANDS
    assert (report.fewest_faults or 0) >= FAULTS


def test_a_seed_is_the_same_run_in_every_process() -> None:
    """What a seed printed is what it replays to, whatever order this process hashes in."""

    def run(hash_seed: str) -> str:
        command = [sys.executable, "-m", "tests.simulation", "--seeds", "3..7", "--quiet"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    first = run("1")
    assert first.count("ok") == 4
    assert run("2") == first


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.timeout(1200)
def test_no_seed_of_thousands_breaks_a_law() -> None:
    """Thousands of seeds keep every law, and between them every fault meets orders in every state that it can."""
    report = run_many(range(SLOW_SEEDS))
    REPORTS.mkdir(exist_ok=True)
    faults = sum(report.strikes.values())
    text = f"{report.seeds} seeds, {report.commands} commands, {faults} faults\n\n{table(report.met)}\n"
    (REPORTS / "simulation.md").write_text(text, "utf-8")
    print(text)
    assert report.broken == [], "replay one with python -m tests.simulation --seed N --trace"
    assert empty_cells(report.met) == []


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.timeout(1200)
def test_every_mutation_is_caught() -> None:
    """A law that is broken in the source on purpose is seen to be broken, and it is that law."""

    def run(mutation: Mutation) -> Caught | None:
        with TemporaryDirectory() as folder:
            return catch(mutation, Path(folder))

    chosen = mutations()
    assert len(chosen) >= 12
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        caught = dict(zip(chosen, pool.map(run, chosen), strict=True))
    for mutation, how in caught.items():
        print(f"{mutation.name}: {how}")
    survived = [mutation.name for mutation, how in caught.items() if how is None]
    assert survived == []
    wrong = {
        mutation.name: how.message
        for mutation, how in caught.items()
        if how is not None and how.law.split(" ")[0] not in mutation.laws
    }
    assert wrong == {}
