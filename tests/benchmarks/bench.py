"""What the scenarios share: the two servers, the load processes, and one measured window."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from tests.benchmarks.figures import percentile
from tests.benchmarks.orders import BATCH, ENTRY
from tests.benchmarks.placing import Calls, PlacingLoad
from tests.benchmarks.plan import Plan
from tests.benchmarks.servers import cpu_seconds, machine_seconds
from tests.benchmarks.workers import Workers

ORDERS_PER_S = 150_000
CALLS_PER_S = 50_000
"""More than the gateway takes: so many requests a second are made ready."""

LONGER = (1, 4, 16)
"""How many times as long as planned a window may be."""

ECHO_MESSAGES = 200
"""Messages that the echo gets again and again."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server to measure."""

    address: str
    pid: int
    minds_ids: bool
    """Whether a client_order_id can be used only once; the echo does not look at it."""


@dataclass(frozen=True, slots=True)
class Window:
    """One server under one load, once its warm-up was over. Latencies are of whole messages."""

    orders_per_s: float
    p50_us: float
    p99_us: float
    cpu_us_per_order: float
    """The server's processor time over the orders of the whole load, its warm-up too."""
    cores: float
    """How many cores the server kept busy; far below 1, and the load was the bottleneck or the server waited."""
    foreign_cores: float
    """How many cores worked for somebody else than this benchmark: what makes figures worthless."""


class Bench:
    """One run."""

    def __init__(self, plan: Plan, workers: Workers, gateway: Target, echo: Target) -> None:
        self.plan = plan
        self.workers = workers
        self.gateway = gateway
        self.echo = echo
        self.foreign_cores: list[float] = []
        """Of every window so far."""
        self._prefixes = (f"b{number}" for number in count())

    def prefix(self) -> str:
        """What makes the ids of one load unlike those of every other."""
        return next(self._prefixes)

    def place(self, target: Target, path: str, account_id: str, in_flight: int) -> Window:
        """Places orders by `path` for one window; a longer one where a busy machine gives no answer in it."""
        size = self.plan.batch_size if path in (BATCH, ENTRY) else 1
        for times in LONGER:
            window_s = times * self.plan.window_s
            loads = self._loads(target, path, account_id, in_flight, size, self.plan.warm_up_s + window_s)
            window = self._window(target, loads, size, window_s)
            if window is not None:
                return window
        raise RuntimeError(f"no answer came within {LONGER[-1] * self.plan.window_s:g} s")

    def _loads(
        self, target: Target, path: str, account_id: str, in_flight: int, size: int, seconds: float
    ) -> list[PlacingLoad]:
        processes = min(in_flight, self.plan.load_processes)
        if target.minds_ids:
            messages = (
                int((CALLS_PER_S if size == 1 else ORDERS_PER_S / size) * seconds / processes) + in_flight
            )
            times = 1
        else:
            messages, times = ECHO_MESSAGES, 1_000_000
        return [
            PlacingLoad(
                target.address,
                path,
                account_id,
                self.prefix(),
                messages,
                size,
                in_flight // processes,
                times,
                seconds,
            )
            for _ in range(processes)
        ]

    def _window(
        self, target: Target, loads: Sequence[PlacingLoad], size: int, window_s: float
    ) -> Window | None:
        self.workers.prepare(loads)
        cpu_s, foreign_s, began_s = cpu_seconds(target.pid), self._foreign_seconds(), time.monotonic()
        start_ns, calls = self.workers.run(loads, Calls)
        cpu_s = cpu_seconds(target.pid) - cpu_s
        foreign_cores = (self._foreign_seconds() - foreign_s) / (time.monotonic() - began_s)
        self.foreign_cores.append(max(0.0, foreign_cores))
        from_ns = start_ns + int(self.plan.warm_up_s * 1e9)
        until_ns = from_ns + int(window_s * 1e9)
        inside = array("q")
        last_ns = until_ns
        for each in calls:
            last_ns = max(last_ns, each.ends_ns[-1])
            inside.extend(
                latency
                for end, latency in zip(each.ends_ns, each.latencies_ns, strict=True)
                if from_ns <= end < until_ns
            )
        if not inside:
            return None
        return Window(
            orders_per_s=len(inside) * size / window_s,
            p50_us=percentile(inside, 0.5) / 1e3,
            p99_us=percentile(inside, 0.99) / 1e3,
            cpu_us_per_order=cpu_s * 1e6 / sum(each.orders for each in calls),
            cores=cpu_s * 1e9 / (last_ns - start_ns),
            foreign_cores=self.foreign_cores[-1],
        )

    def _foreign_seconds(self) -> float:
        own = (self.gateway.pid, self.echo.pid, os.getpid(), *self.workers.pids)
        return machine_seconds() - sum(map(cpu_seconds, own))

    def rounds(self, **measured: Callable[[], Window]) -> dict[str, list[Window]]:
        """Each of `measured` once a round, in turns; every other round goes backwards, so that a drift of the machine
        weighs on all of them alike."""
        windows: dict[str, list[Window]] = {name: [] for name in measured}
        for number in range(self.plan.rounds):
            for name in list(measured) if number % 2 == 0 else reversed(measured):
                windows[name].append(measured[name]())
        return windows
