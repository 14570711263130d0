"""Figures: medians, percentiles, and ratios with their spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

Better = Literal["higher", "lower"]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least `share` (0 to 1) of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Budget:
    """What DESIGN section 7 asks of a ratio."""

    now: float
    goal: float


@dataclass(frozen=True, slots=True)
class Measure:
    """One quantity of the gateway beside the same of its echo, both by rounds: round `i` of the two belong together."""

    name: str
    """Names the measure for ever: the baseline knows it by this."""
    title: str
    unit: str
    better: Better
    gateway: tuple[float, ...]
    echo: tuple[float, ...]
    budget: Budget | None = None

    @property
    def ratios(self) -> tuple[float, ...]:
        """Gateway to echo, round by round."""
        return tuple(mine / floor for mine, floor in zip(self.gateway, self.echo, strict=True))

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return median(self.ratios)

    @property
    def low(self) -> float:
        """The least of them."""
        return min(self.ratios)

    @property
    def high(self) -> float:
        """The greatest of them."""
        return max(self.ratios)

    def meets(self, bound: float) -> bool:
        """Whether the ratio is as good as `bound`."""
        return self.ratio >= bound if self.better == "higher" else self.ratio <= bound

    def distance(self, bound: float) -> float:
        """How many times as good the ratio is as `bound`: below 1 it is missed."""
        return self.ratio / bound if self.better == "higher" else bound / self.ratio

    def as_json(self) -> dict[str, Any]:
        """The measure as `--json` has it; gateway and echo are medians over the rounds."""
        shown: dict[str, Any] = {
            "title": self.title,
            "unit": self.unit,
            "better": self.better,
            "gateway": median(self.gateway),
            "echo": median(self.echo),
            "ratio": self.ratio,
            "low": self.low,
            "high": self.high,
            "ratios": list(self.ratios),
        }
        if self.budget is not None:
            shown["budget"] = {
                name: {"bound": bound, "met": self.meets(bound), "times_as_good": self.distance(bound)}
                for name, bound in (("now", self.budget.now), ("to_be_reached", self.budget.goal))
            }
        return shown
