"""`python -m tests.benchmarks`: measure, print, compare."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from tests.benchmarks import baseline
from tests.benchmarks.baseline import BaselineError
from tests.benchmarks.plan import FULL, MOST_START_ORDERS, QUICK, Plan
from tests.benchmarks.profiling import ProfilerMissing, find_profiler, profiles
from tests.benchmarks.report import render, render_comparison
from tests.benchmarks.run import Results, open_bench, run

PROFILED_S = 5.0


def main() -> int:
    """The exit status: 0, or 1 where a regression was found and --fail-on-regression given, 2 where nothing could
    be measured."""
    options = _options()
    plan = QUICK if options.quick else FULL
    if options.million:
        plan = replace(
            plan, start_orders=(*plan.start_orders, MOST_START_ORDERS), venue_orders=MOST_START_ORDERS
        )
    try:
        if options.profile:
            _profile(plan)
            return 0
        return _measure(plan, options)
    except (BaselineError, ProfilerMissing) as error:
        _tell(str(error))
        return 2


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of tables")
    parser.add_argument("--quick", action="store_true", help="tiny counts: shows that it runs, in seconds")
    parser.add_argument(
        "--million",
        action="store_true",
        help="a start, and the venue, with a million orders too; two minutes more",
    )
    parser.add_argument("--profile", action="store_true", help="profile the server in place of measuring")
    parser.add_argument("--baseline", action="store_true", help="compare with the stored ratios")
    parser.add_argument("--baseline-file", type=Path, default=baseline.PATH, help="default: %(default)s")
    parser.add_argument("--update-baseline", action="store_true", help="store these ratios")
    parser.add_argument(
        "--fail-on-regression", action="store_true", help="exit with 1 on one; implies --baseline"
    )
    return parser.parse_args()


def _measure(plan: Plan, options: argparse.Namespace) -> int:
    comparing = options.baseline or options.fail_on_regression
    if comparing:
        baseline.check(plan.name, options.baseline_file)
    results = run(plan, _tell)
    rows: list[baseline.Comparison] = []
    shown = results.as_json()
    text = render(results)
    if comparing:
        rows = baseline.compare(results.measures, options.baseline_file)
        different = baseline.differences(results.machine, options.baseline_file)
        shown["baseline"] = {"rows": [asdict(row) for row in rows], "differences": different}
        text += "\n\n" + render_comparison(rows, different)
    print(json.dumps(shown, indent=2) if options.json else text)
    if options.update_baseline:
        _store(results, options.baseline_file)
    return int(options.fail_on_regression and any(row.regressed for row in rows))


def _store(results: Results, path: Path) -> None:
    baseline.store(results.measures, results.plan.name, results.machine, path)
    _tell(f"stored {path}")


def _profile(plan: Plan) -> None:
    find_profiler()
    longer = replace(plan, window_s=min(PROFILED_S, plan.window_s * PROFILED_S))
    with tempfile.TemporaryDirectory(prefix="brokergate-bench-") as folder, open_bench(longer) as bench:
        for profile in profiles(bench, Path(folder), _tell):
            print(profile.render(), end="\n\n")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
