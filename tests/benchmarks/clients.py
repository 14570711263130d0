"""Fills a second, and memory, of each language's client over one long stream.

Usage: python -m tests.benchmarks.clients [LANGUAGE ...] [--fills 1000000] [--json]

The fills come from a source that sends faster than most clients read (`fill_source`; `bare` reads its bytes and does
nothing with them). Each client's conformance runner takes them in ten parts; what it makes of a fill is what a
strategy gets: exact decimals, the cursor to keep, no duplicates. Its resident memory is read after each part.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc

from brokergate.v1 import event_pb2
from tests.benchmarks.fill_source import ACCOUNT, BATCH, MOST_FILLS
from tests.benchmarks.machine import describe
from tests.clients.runners import RunnerProcess
from tests.e2e.process import environment
from tools.clients import LANGUAGES, ROOT, Language, language

PARTS = 10
TIMEOUT_S = 600.0
_SHOWN = ("cpu", "cpu_count", "load_average", "python", "grpcio")
FLAT_RATIO, FLAT_MIB = 1.1, 16.0
"""Memory is flat where the second half of the parts takes at most so much more than the first, by either."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a client did. `resident_mib` is its memory after each part."""

    language: str
    fills: int
    fills_per_s: float
    resident_mib: Sequence[float]

    @property
    def grown_mib(self) -> float:
        """How much more it had at most in the second half of the parts than in the first."""
        half = len(self.resident_mib) // 2
        return max(self.resident_mib[half:]) - max(self.resident_mib[:half])

    @property
    def flat(self) -> bool:
        """Whether memory does not grow with what was read."""
        half = len(self.resident_mib) // 2
        return self.grown_mib <= max(FLAT_MIB, (FLAT_RATIO - 1) * max(self.resident_mib[:half]))


@contextmanager
def source(fills: int) -> Iterator[str]:
    """The address of a source of `fills` fills."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.fill_source", str(fills)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def resident_mib(pid: int) -> float:
    """The memory of a process and of those that it started, where its runner is a script around a program."""
    total = 0.0
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except FileNotFoundError:
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            total = int(line.split()[1]) / 1024
    return total + sum(resident_mib(int(child)) for child in children)


def measure(each: Language, fills: int) -> Figures:
    """Have one client read it all. Raises `AssertionError` where it misses one, or has one twice."""
    part = fills // PARTS
    resident = []
    with (
        source(fills) as address,
        tempfile.TemporaryDirectory() as folder,
        RunnerProcess(each, Path(folder) / "runner.log") as runner,
    ):
        steps = (
            {"do": "connect", "address": address},
            {"do": "open", "name": "a", "stream": "fills", "account_ids": [ACCOUNT], "start": "EARLIEST"},
        )
        for step in steps:
            runner.tell(dict(step))
            assert "ok" in (seen := runner.answer()), seen
        began = time.monotonic()
        for _ in range(PARTS):
            runner.tell(
                {
                    "do": "take",
                    "name": "a",
                    "count": part,
                    "summary": True,
                    "timeout_ms": int(TIMEOUT_S * 1000),
                }
            )
            seen = runner.answer(TIMEOUT_S)
            assert seen.get("ok", {}).get("count") == part, seen
            assert seen["ok"]["in_order"] is True, seen
            resident.append(round(resident_mib(runner.pid), 1))
        took_s = time.monotonic() - began
    return Figures(each.name, part * PARTS, round(part * PARTS / took_s), resident)


def measure_bare(fills: int) -> Figures:
    """The source alone: its bytes, read and dropped."""
    with source(fills) as address, grpc.insecure_channel(address) as channel:
        stub = channel.unary_stream(
            "/brokergate.v1.EventService/StreamFills",
            request_serializer=event_pb2.StreamFillsRequest.SerializeToString,
            response_deserializer=lambda data: data,
        )
        call = stub(event_pb2.StreamFillsRequest())
        next(call)
        began = time.monotonic()
        for _ in range(fills // BATCH):
            next(call)
        took_s = time.monotonic() - began
        call.cancel()
    return Figures("bare", fills, round(fills / took_s), [0.0, 0.0])


def main() -> int:
    """Measure what the command line names, print, and return 1 where some client's memory grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE")
    parser.add_argument("--fills", type=int, default=1_000_000, help=f"at most {MOST_FILLS}")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of a table")
    options = parser.parse_args()
    # Whole batches in every part.
    fills = max(options.fills // (PARTS * BATCH), 1) * PARTS * BATCH
    found = [measure_bare(fills)]
    for each in [language(name) for name in options.languages] or LANGUAGES:
        if each.missing:
            print(f"{each.name}: left out ({each.missing})", file=sys.stderr)
            continue
        each.build()
        print(f"{each.name} …", file=sys.stderr, flush=True)
        found.append(measure(each, fills))
    if options.json:
        print(json.dumps({"machine": describe(1), "clients": [asdict(figures) for figures in found]}))
    else:
        print(
            "| client | fills a second | MiB after a tenth | MiB at the end | flat |\n|---|---|---|---|---|"
        )
        for figures in found[1:]:
            first, last = figures.resident_mib[0], figures.resident_mib[-1]
            print(
                f"| {figures.language} | {figures.fills_per_s:,.0f} | {first:.0f} | {last:.0f} "
                f"| {'yes' if figures.flat else 'NO'} |"
            )
        print(f"\n{fills:,} fills; the source alone sends {found[0].fills_per_s:,.0f} a second.")
        print(", ".join(f"{name} {value}" for name, value in describe(1).items() if name in _SHOWN))
    return 0 if all(figures.flat for figures in found) else 1


if __name__ == "__main__":
    sys.exit(main())
