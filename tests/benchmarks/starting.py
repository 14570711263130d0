"""Starts: how long until a server serves, and what it then holds in memory, by what its journal holds.

The journal is made by a server, through BatchPlaceOrders; another process then starts over it, after the first has
ended in order and after it was killed. The floor is a start over an empty journal, in the same rounds.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.benchmarks.accounts import push_book
from tests.benchmarks.figures import Measure
from tests.benchmarks.orders import BATCH
from tests.benchmarks.placing import Calls, PlacingLoad
from tests.benchmarks.plan import Plan
from tests.benchmarks.scenarios import Outcome
from tests.benchmarks.servers import MIB, ORDERS, resident_mib, start_gateway
from tests.benchmarks.workers import Workers
from tests.e2e.process import ServerProcess

CHUNK_ORDERS = 20_000
"""Orders that a load process makes ready at once."""


@dataclass
class Starts:
    """Starts of one server over one journal, by rounds."""

    seconds: list[float] = field(default_factory=list)
    resident_mib: list[float] = field(default_factory=list)

    def take(self, server: ServerProcess) -> None:
        """Starts it, until its health is SERVING."""
        began_s = time.monotonic()
        server.start()
        self.seconds.append(time.monotonic() - began_s)
        self.resident_mib.append(resident_mib(server.process.pid))


def starts(workers: Workers, plan: Plan) -> Outcome:
    """Starts at each of the plan's numbers of orders, one journal growing from one to the next."""
    with ExitStack() as stack:
        folders = [
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="brokergate-bench-")))
            for _ in range(2)
        ]
        empty, server = (stack.enter_context(closing(start_gateway(folder))) for folder in folders)
        measures: list[Measure] = []
        details: dict[str, dict[str, float]] = {}
        placed = 0
        for orders in plan.start_orders:
            _place(workers, server, plan, placed, orders)
            placed = orders
            clean, killed, floor = Starts(), Starts(), Starts()
            for _ in range(plan.stream_rounds):
                for one, found in ((server, clean), (empty, floor)):
                    one.terminate()
                    found.take(one)
                # Something that no clean end has written: the kill finds work under way.
                with server.channel() as channel:
                    push_book(channel, ORDERS)
                placed += _place(workers, server, plan, placed, placed + plan.batch_size)
                server.kill9()
                killed.take(server)
            measures += _measures(orders, clean, floor)
            details[f"start.{orders}"] = _details(server, clean, killed, floor)
        return Outcome(measures, details)


def _place(workers: Workers, server: ServerProcess, plan: Plan, placed: int, orders: int) -> int:
    """Places orders until the journal has `orders`; how many it placed."""
    with server.channel() as channel:
        push_book(channel, ORDERS)
    began = placed
    while placed < orders:
        count = min(CHUNK_ORDERS, orders - placed)
        load = PlacingLoad(
            server.address,
            BATCH,
            ORDERS,
            f"start{placed}",
            max(1, count // plan.batch_size),
            plan.batch_size,
            in_flight=4,
        )
        workers.prepare([load])
        _, (calls,) = workers.run([load], Calls)
        placed += calls.orders
    return placed - began


def _measures(orders: int, clean: Starts, floor: Starts) -> list[Measure]:
    title = f"A start with {orders:,} orders beside an empty one"
    return [
        Measure(
            f"start.{orders}.seconds",
            f"{title}, time",
            "s",
            "lower",
            tuple(clean.seconds),
            tuple(floor.seconds),
        ),
        Measure(
            f"start.{orders}.resident_mib",
            f"{title}, memory",
            "MiB",
            "lower",
            tuple(clean.resident_mib),
            tuple(floor.resident_mib),
        ),
    ]


def _details(server: ServerProcess, clean: Starts, killed: Starts, floor: Starts) -> dict[str, float]:
    return {
        "clean_s": median(clean.seconds),
        "killed_s": median(killed.seconds),
        "empty_s": median(floor.seconds),
        "resident_mib": median(clean.resident_mib),
        "killed_mib": median(killed.resident_mib),
        "empty_mib": median(floor.resident_mib),
        "journal_mib": sum(file.stat().st_size for file in server.data_dir.glob("journal*")) / MIB,
    }
