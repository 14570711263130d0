"""What the figures were measured with: they mean nothing without it."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

FSYNCS = 50


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
        "durability": "process",
        "load_processes": load_processes,
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def fsync_us(folder: Path) -> float:
    """The mean time of an fsync of 4 KiB written to a file in `folder`, in microseconds: what `durability: full` pays
    for every commit, and `process` does not."""
    path = folder / "fsync"
    with path.open("wb", buffering=0) as file:
        began_s = time.perf_counter()
        for _ in range(FSYNCS):
            file.write(bytes(4096))
            os.fsync(file.fileno())
        elapsed_s = time.perf_counter() - began_s
    path.unlink()
    return elapsed_s * 1e6 / FSYNCS
