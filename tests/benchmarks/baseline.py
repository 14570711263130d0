"""The stored ratios, and what has become worse than they were."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Measure

PATH = Path(__file__).parent / "baseline.json"
NOISE = 0.15
"""A ratio that is worse by this share, and by more than the rounds of either run spread, is a regression."""

_UNCOMPARED = ("fills.live.steady.", "fills_full.live.steady.")
"""What the plan fixes on the gateway's side: such a ratio says how fast the echo was."""

_SAME = ("cpu", "cpu_count", "python", "grpcio", "protobuf", "loop")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure beside its baseline; `worse` is by which share, below 0 where it is better."""

    name: str
    title: str
    now: float
    before: float
    worse: float
    regressed: bool


class BaselineError(Exception):
    """There is no baseline to compare with; the text says why, and the way out."""


def check(plan: str, path: Path = PATH) -> None:
    """Raises BaselineError where there is no baseline, or one of another plan."""
    stored = _read(path)
    if stored["plan"] != plan:
        raise BaselineError(
            f"{path.name} was made with the plan {stored['plan']!r}, not with {plan!r}; "
            "compare runs of one plan, or give another --baseline-file"
        )


def compare(measures: Sequence[Measure], path: Path = PATH) -> list[Comparison]:
    """Every measure that the baseline has too. Raises BaselineError where there is none."""
    stored = _read(path)
    rows = []
    for measure in measures:
        if measure.name.startswith(_UNCOMPARED):
            continue
        before = stored["ratios"].get(measure.name)
        if before is None:
            continue
        if measure.better == "higher":
            worse, apart = 1 - measure.ratio / before["ratio"], measure.high < before["low"]
        else:
            worse, apart = measure.ratio / before["ratio"] - 1, measure.low > before["high"]
        rows.append(
            Comparison(
                measure.name, measure.title, measure.ratio, before["ratio"], worse, worse > NOISE and apart
            )
        )
    return rows


def differences(machine: Mapping[str, Any], path: Path = PATH) -> list[str]:
    """What is not as it was when the baseline was made, in words."""
    before = _read(path)["machine"]
    return [
        f"{name}: {before.get(name)} then, {machine.get(name)} now"
        for name in _SAME
        if before.get(name) != machine.get(name)
    ]


def store(measures: Sequence[Measure], plan: str, machine: Mapping[str, Any], path: Path = PATH) -> None:
    """Makes these ratios the baseline."""
    ratios = {
        measure.name: {key: round(getattr(measure, key), 4) for key in ("ratio", "low", "high")}
        for measure in measures
    }
    text = json.dumps({"plan": plan, "machine": dict(machine), "ratios": ratios}, indent=2)
    path.write_text(text + "\n", "utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        stored: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BaselineError(f"{path} does not exist; make it with --update-baseline") from None
    return stored
