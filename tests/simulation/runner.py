"""Many seeds on many cores, and what they come to."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from tests.simulation.world import Outcome, run_seed

CHUNK = 10
"""Seeds that a worker takes at once."""


@dataclass(slots=True)
class Report:
    """What some seeds come to. `broken` has an entry for each seed that broke a law."""

    seeds: int = 0
    commands: int = 0
    events: int = 0
    lives: int = 0
    fewest_commands: int | None = None
    fewest_faults: int | None = None
    broken: list[tuple[int, str]] = field(default_factory=list)
    strikes: Counter[str] = field(default_factory=Counter)
    met: Counter[tuple[str, str]] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Counts a run in."""
        self.seeds += 1
        self.commands += outcome.commands
        self.events += outcome.events
        self.lives += outcome.lives
        if outcome.broken is not None:
            self.broken.append((outcome.seed, str(outcome.broken)))
        else:
            faults = sum(outcome.strikes.values())
            self.fewest_commands = min(outcome.commands, self.fewest_commands or outcome.commands)
            self.fewest_faults = min(faults, faults if self.fewest_faults is None else self.fewest_faults)
        self.strikes.update(outcome.strikes)
        self.met.update(outcome.coverage)
        self.told.update(outcome.told)

    def merge(self, other: Report) -> None:
        """Adds another report."""
        self.seeds += other.seeds
        self.commands += other.commands
        self.events += other.events
        self.lives += other.lives
        self.broken += other.broken
        for name in ("fewest_commands", "fewest_faults"):
            known = [value for value in (getattr(self, name), getattr(other, name)) if value is not None]
            setattr(self, name, min(known) if known else None)
        self.strikes.update(other.strikes)
        self.met.update(other.met)
        self.told.update(other.told)


def run_chunk(seeds: Sequence[int]) -> Report:
    """Some seeds, one after another."""
    report = Report()
    for seed in seeds:
        report.add(run_seed(seed))
    return report


def run_many(
    seeds: Iterable[int], jobs: int | None = None, tell: Callable[[Report], None] | None = None
) -> Report:
    """All seeds, on `jobs` processes (as many as there are cores). `tell` gets the sum after each part."""
    report = Report()
    chunks = iter(seeds)
    parts = list(iter(lambda: list(islice(chunks, CHUNK)), []))
    with ProcessPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        for part in pool.map(run_chunk, parts):
            report.merge(part)
            if tell is not None:
                tell(report)
    return report
