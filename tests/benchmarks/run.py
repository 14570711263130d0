"""One run from beginning to end: the servers, the scenarios in turn, and what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks import scenarios, starting, streaming
from tests.benchmarks.accounts import answers, push_book
from tests.benchmarks.bench import Bench, Target
from tests.benchmarks.figures import Measure
from tests.benchmarks.machine import describe, fsync_us
from tests.benchmarks.orders import PLACE
from tests.benchmarks.plan import Plan
from tests.benchmarks.scenarios import Outcome
from tests.benchmarks.servers import (
    ACCOUNTS,
    DEEP,
    FULL,
    FULL_LIVE,
    ORDERS,
    SHARED,
    EchoProcess,
    start_gateway,
)
from tests.benchmarks.workers import Workers
from tests.e2e.process import ROOT, environment

ALONE_TIMEOUT_S = 300.0


@dataclass
class Results:
    """What a run found."""

    plan: Plan
    machine: dict[str, Any]
    measures: list[Measure] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Takes in what one scenario found."""
        self.measures += outcome.measures
        self.details |= outcome.details

    def as_json(self) -> dict[str, Any]:
        """Everything, for `--json`."""
        return {
            "format": 1,
            "machine": self.machine,
            "plan": asdict(self.plan),
            "definitions": DEFINITIONS,
            "measures": {measure.name: measure.as_json() for measure in self.measures},
            "details": self.details,
            "seconds": round(self.seconds, 1),
        }


DEFINITIONS = {
    "ratio": "gateway / echo of the same round, the median over the rounds; low and high are the rounds' extremes",
    "place.N": "PlaceOrder of a market order that fills, N in flight; the echo parses the same request and answers one "
    "prebuilt message of the size of the gateway's answer; raw_echo in the details moves bytes only",
    "batch, entry": "orders/s over the calls/s of the PlaceOrder echo with as many messages in flight; to_message_echo "
    "is over the orders/s of an echo of the same message",
    "fills.backlog.N": "fills/s that N subscribers together read from the journal, from the call to CaughtUp, over an "
    "echo that streams one event a message to as many subscribers",
    "fills.live.*": "fills/s delivered to N subscribers together while orders come (steady: at a fixed rate, so the "
    "ratio says how much was asked for; flood: as fast as StreamOrderEntry takes them), over the same echo",
    "latency_*": "of live fills: from the time in the journal's event, taken just before its commit, to the arrival",
    "*_full": "the same on an account with durability: full, which answers and streams when the disk has it; the echo "
    "is the same, and fsync_p50_us, of the machine, says what one wait costs",
    "start.N": "a server process over a journal of N orders, from its start until its health is SERVING, and its "
    "resident memory then, over one over an empty journal: 1 is flat; killed_s in the details is after kill -9",
    "cost.*": "the last blocks of the backlog's orders over the first ones: 1 is flat",
    "venue": "the paper venue without engine, journal and gRPC (tests/benchmarks/venue.py); targets: 200,000 updates/s "
    "and 30,000 orders/s",
    "cores": "cores that the server kept busy; foreign_cores, that other work on the machine did",
}
"""What the figures mean, printed with them."""


@contextmanager
def open_bench(plan: Plan) -> Iterator[Bench]:
    """The gateway with its accounts, the echo with the gateway's answers, and the load processes."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="brokergate-bench-")))
        workers = stack.enter_context(closing(Workers(plan.load_processes + 1)))
        gateway = stack.enter_context(closing(start_gateway(folder)))
        with gateway.channel() as channel:
            for account_id in (*ACCOUNTS, FULL, FULL_LIVE):
                push_book(channel, account_id)
            bodies = answers(channel, ORDERS, plan.batch_size)
        echo = stack.enter_context(closing(EchoProcess(folder, bodies)))
        yield Bench(
            plan,
            workers,
            Target(gateway.address, gateway.process.pid, minds_ids=True),
            Target(echo.address, echo.process.pid, minds_ids=False),
        )


def run(plan: Plan, tell: Callable[[str], None]) -> Results:
    """Measures everything. `tell` hears what is under way."""
    began_s = time.monotonic()
    results = Results(plan, describe(plan.load_processes))
    with tempfile.TemporaryDirectory(prefix="brokergate-bench-") as folder:
        results.machine |= fsync_us(Path(folder))
    with open_bench(plan) as bench:
        _orders(bench, results, tell)
        _fills(bench, results, tell)
        _durable(bench, results, tell)
        tell(f"starts with {', '.join(f'{orders:,}' for orders in plan.start_orders)} orders")
        results.add(starting.starts(bench.workers, plan))
        results.machine["foreign_cores"] = round(median(bench.foreign_cores), 2)
    tell("the engine in process")
    results.details["engine"] = engine(plan)
    tell("the paper venue alone")
    results.details["venue"] = venue(plan)
    tell("the rate limiter alone")
    results.details["limiter"] = limiter(plan)
    results.seconds = time.monotonic() - began_s
    return results


def _orders(bench: Bench, results: Results, tell: Callable[[str], None]) -> None:
    plan = bench.plan
    tell("warming up")
    for target in (bench.gateway, bench.echo):
        bench.place(target, PLACE, ORDERS, 16)
    tell(f"the cost of {plan.backlog_fills} orders")
    results.add(scenarios.fill_journal(bench, DEEP, plan.backlog_fills))
    for in_flight in plan.in_flight:
        tell(f"PlaceOrder, {in_flight} in flight")
        results.add(scenarios.place_orders(bench, in_flight))
    tell("BatchPlaceOrders")
    results.add(scenarios.batch(bench))
    tell("StreamOrderEntry")
    results.add(scenarios.order_entry(bench))


def _fills(bench: Bench, results: Results, tell: Callable[[str], None]) -> None:
    plan = bench.plan
    scenarios.fill_journal(bench, SHARED, plan.shared_backlog_fills)
    for account_id, subscribers, fills, rate, flood in zip(
        (DEEP, SHARED),
        (1, plan.subscribers),
        (plan.backlog_fills, plan.shared_backlog_fills),
        plan.live_rates,
        plan.flood_orders,
        strict=True,
    ):
        tell(f"StreamFills, backlog, {subscribers} subscribers")
        read = streaming.backlog(bench, account_id, subscribers, fills)
        results.add(read)
        echo = read.measures[0].echo
        tell(f"StreamFills, live, {subscribers} subscribers")
        results.add(streaming.live_steady(bench, subscribers, rate, echo))
        results.add(streaming.live_flood(bench, subscribers, flood, echo))


def _durable(bench: Bench, results: Results, tell: Callable[[str], None]) -> None:
    """What waits for the disk."""
    plan, way = bench.plan, scenarios.DURABLE
    for in_flight in plan.in_flight:
        tell(f"PlaceOrder, {in_flight} in flight, durability full")
        results.add(scenarios.place_orders(bench, in_flight, way))
    tell("BatchPlaceOrders and StreamOrderEntry, durability full")
    results.add(scenarios.batch(bench, way))
    results.add(scenarios.order_entry(bench, way))
    tell("StreamFills, live, durability full")
    echo = next(each for each in results.measures if each.name == "fills.backlog.1.fills_per_s").echo
    results.add(streaming.live_steady(bench, 1, plan.live_rates[0], echo, way))
    results.add(streaming.live_flood(bench, 1, plan.flood_orders[0], echo, way))


def engine(plan: Plan) -> dict[str, Any]:
    """`tests.benchmarks.engine` in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="brokergate-bench-") as folder:
        return _alone("engine", folder, str(plan.engine_orders), str(plan.batch_size))


def venue(plan: Plan) -> dict[str, Any]:
    """`tests.benchmarks.venue` in a process of its own."""
    return _alone("venue", "--json", "--orders", str(plan.venue_orders))


def limiter(plan: Plan) -> dict[str, Any]:
    """`tests.benchmarks.limiter` in a process of its own."""
    return _alone("limiter", "--json", "--requests", str(plan.limiter_requests))


def _alone(module: str, *arguments: str) -> dict[str, Any]:
    """What a module of the benchmarks prints, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=ALONE_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the benchmark {module} failed:\n{done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
