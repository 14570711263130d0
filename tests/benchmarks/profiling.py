"""Where the server's time goes: py-spy beside the scenarios of placing orders."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.bench import Bench, Window
from tests.benchmarks.orders import BATCH, PLACE
from tests.benchmarks.report import number, table
from tests.benchmarks.servers import ORDERS

RATE_HZ = 500
TOP = 30
STOP_TIMEOUT_S = 30.0


class ProfilerMissing(Exception):
    """py-spy is not installed."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Samples of one scenario by function: `own` on top of the stack, `within` anywhere on it."""

    title: str
    window: Window
    samples: int
    own: Counter[str]
    within: Counter[str]

    def render(self) -> str:
        """The functions that take the most, as shares and as microseconds of processor time an order."""
        parts = [
            f"{self.title}: {number(self.window.orders_per_s)} orders/s under the profiler, "
            f"{number(self.window.cpu_us_per_order)} µs CPU an order, {self.samples} samples"
        ]
        for heading, counts in (("own time", self.own), ("with callees", self.within)):
            rows = [
                (
                    function,
                    f"{count / self.samples:.1%}",
                    f"{count / self.samples * self.window.cpu_us_per_order:.2f}",
                )
                for function, count in counts.most_common(TOP)
            ]
            parts.append(table((heading, "share", "µs an order"), rows))
        return "\n\n".join(parts)


def find_profiler() -> str:
    """The path of py-spy, beside this Python or on PATH. Raises ProfilerMissing."""
    beside = Path(sys.executable).parent / "py-spy"
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise ProfilerMissing("py-spy is not installed; install it with 'pip install py-spy'")
    return found


def profiles(bench: Bench, folder: Path, tell: Callable[[str], None]) -> list[Profile]:
    """Single orders at 16 in flight, and batches."""
    profiler = find_profiler()
    taken = []
    for name, path, in_flight in (
        ("PlaceOrder", PLACE, 16),
        ("BatchPlaceOrders", BATCH, bench.plan.batches_in_flight),
    ):
        tell(f"profiling {name}")
        raw = folder / f"{name}.raw"

        def work(path: str = path, in_flight: int = in_flight) -> Window:
            return bench.place(bench.gateway, path, ORDERS, in_flight)

        window = _record(profiler, bench.gateway.pid, raw, work)
        taken.append(_read(f"{name}, {in_flight} in flight", window, raw.read_text("utf-8").splitlines()))
    return taken


def _record(profiler: str, pid: int, raw: Path, work: Callable[[], Window]) -> Window:
    recorder = subprocess.Popen(
        [
            *(profiler, "record", "--pid", str(pid), "--rate", str(RATE_HZ), "--function"),
            *("--format", "raw", "--output", str(raw), "--nonblocking", "--duration", "3600"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        window = work()
    finally:
        # Told so, it writes what it has.
        recorder.send_signal(signal.SIGINT)
        recorder.wait(STOP_TIMEOUT_S)
    return window


def _read(title: str, window: Window, lines: Sequence[str]) -> Profile:
    """Lines of `outer;…;inner count`."""
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in lines:
        stack, _, samples = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(samples)
        for frame in set(_below_the_loop(frames)):
            within[frame] += int(samples)
    return Profile(title, window, own.total(), own, within)


def _below_the_loop(frames: Sequence[str]) -> Sequence[str]:
    """The frames that the event loop called: those above it are the same in every sample."""
    for index, frame in enumerate(frames):
        if frame.startswith("Runner.run "):
            return frames[index + 1 :]
    return frames
