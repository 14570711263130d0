"""The tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from tests.benchmarks.baseline import Comparison
from tests.benchmarks.figures import Measure
from tests.benchmarks.run import DEFINITIONS, Results

Row = Sequence[str]

QUIET_CORES = 0.25
"""Other work than this, on the median, is more than a machine does by itself."""


def render(results: Results) -> str:
    """Everything that a run found."""
    return "\n\n".join(
        (
            _pairs("Measured with", results.machine | {"plan": results.plan.name}),
            table(
                ("scenario", "gateway", "echo", "ratio", "spread", "now", "to be reached", "verdict"),
                [_measure(measure) for measure in results.measures],
            ),
            _beside(results.details),
            _pairs("What the figures mean", DEFINITIONS),
            f"took {results.seconds:.0f} s{_disturbed(results)}",
        )
    )


def _disturbed(results: Results) -> str:
    foreign = results.machine["foreign_cores"]
    if foreign < QUIET_CORES:
        return ""
    return f"; OTHER WORK KEPT {foreign:.1f} CORES BUSY: run it again on a quiet machine"


def _measure(measure: Measure) -> Row:
    budget = measure.budget
    sign = "≥" if measure.better == "higher" else "≤"
    return (
        measure.title,
        f"{number(median(measure.gateway))} {measure.unit}",
        f"{number(median(measure.echo))} {measure.unit}",
        f"{measure.ratio:.2f}",
        f"{measure.low:.2f}–{measure.high:.2f}",
        f"{sign} {budget.now:g}" if budget else "",
        f"{sign} {budget.goal:g}" if budget else "",
        _verdict(measure),
    )


def _verdict(measure: Measure) -> str:
    """Met, or missed by how much: the share of the budget that is lacking."""
    budget = measure.budget
    if budget is None:
        return ""
    if measure.meets(budget.goal):
        return "reached"
    goal = f"{1 - measure.distance(budget.goal):.0%} to go"
    if measure.meets(budget.now):
        return f"met, {goal}"
    return f"missed by {1 - measure.distance(budget.now):.0%}, {goal}"


def number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _beside(details: dict[str, Any]) -> str:
    engine, cost = details["engine"], details["cost"]
    lines = {
        f"engine in process, {key.replace('_', ' ')}": (
            f"{number(engine[key]['orders_per_s'])} orders/s, {number(engine[key]['cpu_us_per_order'])} µs CPU an order"
        )
        for key in ("one_by_one", "by_batches")
    }
    lines |= _venue(details["venue"])
    lines |= {
        f"limiter, {name}": f"{number(found.get('us', found.get('cpu_us', 0)))} µs a request"
        for name, found in details["limiter"].items()
    }
    lines["cost of an order, CPU"] = (
        f"{number(cost['cpu_us_per_order_first'])} µs at first, "
        f"{number(cost['cpu_us_per_order_last'])} µs after {cost['orders']:,} orders"
    )
    lines["resident memory"] = (
        f"{number(cost['resident_mib_before'])} MiB before, {number(cost['resident_mib_after_first_block'])} MiB after "
        f"the first block, {number(cost['resident_mib_at_end'])} MiB after {cost['orders']:,}: "
        f"{number(cost['resident_bytes_per_order'])} bytes an order in the second half"
    )
    for name, found in details.items():
        if name.startswith("start."):
            lines[name] = (
                f"{found['clean_s']:.2f} s until it serves, {found['killed_s']:.2f} s after kill -9 "
                f"({found['empty_s']:.2f} s on an empty journal); {number(found['resident_mib'])} MiB resident "
                f"({number(found['empty_mib'])}), journal {number(found['journal_mib'])} MiB"
            )
        elif ".live." in name:
            lines[name] = (
                f"{number(found['orders_per_s'])} orders/s, {number(found['fills_per_s'])} fills/s delivered, "
                f"{number(found['fills_per_message'])} a message, latency median {number(found['latency_p50_us'])} µs, "
                f"p99 {number(found['latency_p99_us'])} µs, server {found['server_cores']:.2f} cores"
            )
        elif ".backlog." in name:
            lines[name] = f"{number(found['fills_per_message'])} fills a message"
        elif "cores" in found.get("gateway", {}):
            lines[name] = ", ".join(
                f"{side} {number(figures['orders_per_s'])}/s at {figures['cores']:.2f} cores"
                for side, figures in found.items()
                if isinstance(figures, dict)
            )
    return _pairs("Beside them", lines)


def _venue(found: dict[str, Any]) -> dict[str, str]:
    """What the venue does by itself."""
    orders = found["orders"]
    lines = {
        f"venue alone, {name}": f"{number(found[name]['updates_per_s'])} updates/s ({found['market']})"
        for name in ("apply.0", "apply.100", "replay")
    }
    lines["venue alone, market orders"] = (
        f"{number(orders['orders_per_s'])} orders/s; {number(orders['us_per_order_first'])} µs at first, "
        f"{number(orders['us_per_order_last'])} µs after {orders['orders']:,}"
    )
    return lines


def render_comparison(rows: Sequence[Comparison], differences: Sequence[str]) -> str:
    """The ratios beside their baseline."""
    shown = table(
        ("scenario", "ratio", "baseline", "change", ""),
        [
            (
                row.title,
                f"{row.now:.2f}",
                f"{row.before:.2f}",
                f"{abs(row.worse):.0%} {'worse' if row.worse > 0 else 'better'}",
                "REGRESSION" if row.regressed else "",
            )
            for row in rows
        ],
    )
    notes = "".join(f"\nnot as the baseline's machine: {difference}" for difference in differences)
    return shown + notes


def table(heads: Row, rows: Sequence[Row]) -> str:
    """Columns, the first one to the left and the others to the right."""
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heads, ["─" * width for width in widths], *rows)
    ]
    return "\n".join(lines)


def _pairs(title: str, pairs: dict[str, Any]) -> str:
    width = max(map(len, pairs))
    return "\n".join((title, *(f"  {key.ljust(width)}  {value}" for key, value in pairs.items())))
