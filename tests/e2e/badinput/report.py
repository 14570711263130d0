"""What a run of made-up requests sent and got, for people and for the record."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.badinput.answers import Answer
from tests.e2e.badinput.generator import Shot

REPORT_VARIABLE = "BADINPUT_REPORT"
"""Names the file that the report is written to, as JSON."""


@dataclass(slots=True)
class Report:
    """Counts of one run."""

    seed: int
    kinds: Counter[str] = field(default_factory=Counter)
    rpcs: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    item_codes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)
    elapsed_s: float = 0.0
    memory_mib: Mapping[str, int] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """Requests so far."""
        return self.kinds.total()

    def count(self, shot: Shot, answer: Answer, latency_s: float) -> None:
        """Takes in one answer."""
        self.kinds[str(shot.kind)] += 1
        self.rpcs[shot.rpc.name] += 1
        self.codes[answer.code.name] += 1
        self.item_codes.update(refusal.code.name for refusal in answer.refusals() if answer.code.name == "OK")
        self.reasons.update(answer.reasons())
        self.latencies_ms.append(latency_s * 1000)
        self.elapsed_s = time.monotonic() - self.began_s

    def as_dict(self) -> dict[str, Any]:
        """All of it."""
        latencies = sorted(self.latencies_ms) or [0.0]
        return {
            "seed": self.seed,
            "requests": self.sent,
            "seconds": round(self.elapsed_s, 2),
            "requests_per_second": round(self.sent / self.elapsed_s) if self.elapsed_s else 0,
            "latency_ms": {
                "median": round(latencies[len(latencies) // 2], 2),
                "p99": round(latencies[len(latencies) * 99 // 100], 2),
                "max": round(latencies[-1], 2),
            },
            "by_kind": dict(self.kinds.most_common()),
            "by_code": dict(self.codes.most_common()),
            "by_code_of_items": dict(self.item_codes.most_common()),
            "by_reason": dict(self.reasons.most_common()),
            "by_rpc": dict(self.rpcs.most_common()),
            "server_memory_mib": dict(self.memory_mib),
        }

    def publish(self) -> None:
        """Prints it, and writes it to where BADINPUT_REPORT says."""
        text = json.dumps(self.as_dict(), indent=2)
        print(text)
        if path := os.environ.get(REPORT_VARIABLE):
            Path(path).write_text(text + "\n")
