"""Runs the simulation by seed: `python -m tests.simulation --seed 7 --trace`, or `--seeds 0..500 --jobs 4`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence

from tests.simulation.coverage import table
from tests.simulation.runner import run_many
from tests.simulation.world import run_seed


def main() -> int:
    """Runs what the command line asks for; 1 where a law was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--quiet", action="store_true", help="say nothing of how long it took")
    parser.add_argument("--until-broken", action="store_true")
    arguments = parser.parse_args()
    seeds = [arguments.seed] if arguments.seed is not None else range(20)
    if arguments.seeds:
        low, high = arguments.seeds.split("..")
        seeds = range(int(low), int(high))
    if arguments.until_broken:
        return _until_broken(seeds)
    if arguments.jobs:
        return _many(seeds, arguments.jobs)
    bad = 0
    for seed in seeds:
        started = time.perf_counter()
        outcome = run_seed(seed, print if arguments.trace else None)
        took = time.perf_counter() - started
        state = f"BROKEN {outcome.broken}" if outcome.broken else "ok"
        print(
            f"seed {seed}: {state} | {outcome.commands} commands, {sum(outcome.strikes.values())} faults, "
            f"{outcome.events} events, {outcome.venue_orders} venue orders, {outcome.read} read, "
            f"{outcome.lives} lives, {outcome.digest}" + ("" if arguments.quiet else f", {took:.2f} s")
        )
        bad += outcome.broken is not None
    return 1 if bad else 0


def _until_broken(seeds: Iterable[int]) -> int:
    for seed in seeds:
        broken = run_seed(seed).broken
        if broken is not None:
            print(json.dumps({"seed": seed, "law": broken.law, "message": broken.message}))
            return 1
    return 0


def _many(seeds: Sequence[int], jobs: int) -> int:
    started = time.perf_counter()
    report = run_many(seeds, jobs)
    for seed, broken in report.broken:
        print(f"seed {seed}: {broken}")
    for name, count in sorted(report.told.items()):
        print(f"{count:8} {name}")
    print(table(report.met))
    print(
        f"{report.seeds} seeds, {len(report.broken)} broken, {report.commands} commands "
        f"(fewest {report.fewest_commands}), "
        f"{sum(report.strikes.values())} faults (fewest {report.fewest_faults}), {report.events} events, "
        f"{report.lives} lives, {time.perf_counter() - started:.1f} s"
    )
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
