"""What the figures were measured with: they mean nothing without it."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import percentile

FSYNCS = 500


def describe(load_processes: int) -> dict[str, Any]:
    """The machine, the versions, and the settings that matter."""
    return {
        "cpu": _cpu_model(),
        "cpu_count": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "platform": platform.platform(),
        "python": platform.python_version(),
        "grpcio": version("grpcio"),
        "protobuf": version("protobuf"),
        "loop": f"uvloop {version('uvloop')}",
        "sqlite": sqlite3.sqlite_version,
        "durability": "process; full where it says so",
        "load_processes": load_processes,
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def fsync_us(folder: Path) -> dict[str, float]:
    """Median and p99 of an fdatasync of 4 KiB appended to a file in `folder`, in microseconds: what `durability: full`
    waits for, and `process` does not."""
    path = folder / "fsync"
    took: list[float] = []
    with path.open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            file.write(bytes(4096))
            began_s = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began_s) * 1e6)
    path.unlink()
    return {"fsync_p50_us": percentile(took, 0.5), "fsync_p99_us": percentile(took, 0.99)}
