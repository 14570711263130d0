"""The scenarios: what is measured, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tests.benchmarks.bench import Bench, Window
from tests.benchmarks.echo import RAW_PLACE
from tests.benchmarks.figures import Better, Budget, Measure
from tests.benchmarks.orders import BATCH, ENTRY, PLACE
from tests.benchmarks.placing import Calls, PlacingLoad
from tests.benchmarks.servers import FULL, FULL_LIVE, LIVE, ORDERS, cpu_seconds, resident_mib

THROUGHPUT_BUDGET = Budget(0.5, 0.8)
LATENCY_BUDGET = Budget(1.6, 1.3)
BATCH_BUDGET = Budget(3.0, 10.0)
"""DESIGN section 7: what must hold now, and what is to be reached."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a scenario found: ratios, and the figures behind them by name."""

    measures: list[Measure]
    details: dict[str, Any]


def _means(windows: Sequence[Window]) -> dict[str, float]:
    """The medians of the rounds."""
    return {
        key: median(asdict(window)[key] for window in windows)
        for key in ("orders_per_s", "p50_us", "p99_us", "cpu_us_per_order", "cores", "foreign_cores")
    }


def _column(windows: Sequence[Window], key: str) -> tuple[float, ...]:
    return tuple(getattr(window, key) for window in windows)


@dataclass(frozen=True, slots=True)
class Way:
    """How orders are placed: on an account that answers when the disk has them, or on one that does not wait."""

    account_id: str
    suffix: str
    """Of the measures' names."""
    title: str
    live_account_id: str


PROCESS = Way(ORDERS, "", "", LIVE)
DURABLE = Way(FULL, "_full", ", durability full", FULL_LIVE)


def place_orders(bench: Bench, in_flight: int, way: Way = PROCESS) -> Outcome:
    """Single market orders, `in_flight` of them under way."""
    windows = bench.rounds(
        gateway=lambda: bench.place(bench.gateway, PLACE, way.account_id, in_flight),
        echo=lambda: bench.place(bench.echo, PLACE, ORDERS, in_flight),
        raw_echo=lambda: bench.place(bench.echo, RAW_PLACE, ORDERS, in_flight),
    )
    name = f"place{way.suffix}.{in_flight}"
    title = f"PlaceOrder, {in_flight} in flight{way.title}"
    throughput = THROUGHPUT_BUDGET if way is PROCESS and in_flight == 16 else None
    latency = LATENCY_BUDGET if way is PROCESS and in_flight == 1 else None

    def measure(key: str, what: str, unit: str, better: Better, budget: Budget | None) -> Measure:
        mine, floor = _column(windows["gateway"], key), _column(windows["echo"], key)
        return Measure(f"{name}.{key}", f"{title}, {what}", unit, better, mine, floor, budget)

    return Outcome(
        [
            measure(
                "orders_per_s",
                "throughput",
                "/s",
                "higher",
                throughput,
            ),
            measure("p50_us", "median", "µs", "lower", latency),
            measure("p99_us", "p99", "µs", "lower", None),
            measure("cpu_us_per_order", "server CPU an order", "µs", "lower", None),
        ],
        {name: {key: _means(rows) for key, rows in windows.items()}},
    )


def place_many(bench: Bench, path: str, name: str, title: str, way: Way) -> Outcome:
    """Messages of many orders: orders a second over the calls a second of the echo of single orders, at the same
    number of messages in flight; and over the orders a second of the echo of the same message."""
    in_flight = bench.plan.batches_in_flight
    windows = bench.rounds(
        gateway=lambda: bench.place(bench.gateway, path, way.account_id, in_flight),
        single_echo=lambda: bench.place(bench.echo, PLACE, ORDERS, in_flight),
        message_echo=lambda: bench.place(bench.echo, path, ORDERS, in_flight),
    )
    name, title = name + way.suffix, title + way.title
    budget = BATCH_BUDGET if way is PROCESS else None
    mine = _column(windows["gateway"], "orders_per_s")
    single = _column(windows["single_echo"], "orders_per_s")
    message = _column(windows["message_echo"], "orders_per_s")
    return Outcome(
        [
            Measure(f"{name}.orders_per_s", f"{title}, orders", "/s", "higher", mine, single, budget),
            Measure(
                f"{name}.to_message_echo", f"{title}, orders, to its own echo", "/s", "higher", mine, message
            ),
            Measure(
                f"{name}.cpu_us_per_order",
                f"{title}, server CPU an order",
                "µs",
                "lower",
                _column(windows["gateway"], "cpu_us_per_order"),
                _column(windows["single_echo"], "cpu_us_per_order"),
            ),
        ],
        {name: {"in_flight": in_flight} | {key: _means(rows) for key, rows in windows.items()}},
    )


def batch(bench: Bench, way: Way = PROCESS) -> Outcome:
    """BatchPlaceOrders."""
    return place_many(bench, BATCH, "batch", f"BatchPlaceOrders of {bench.plan.batch_size}", way)


def order_entry(bench: Bench, way: Way = PROCESS) -> Outcome:
    """StreamOrderEntry."""
    return place_many(bench, ENTRY, "entry", f"StreamOrderEntry, {bench.plan.batch_size} a message", way)


def fill_journal(bench: Bench, account_id: str, orders: int) -> Outcome:
    """Places `orders` by batches, block by block, and takes the cost of each block: the curve must be flat."""
    plan, pid = bench.plan, bench.gateway.pid
    blocks: list[dict[str, float]] = []
    base_mib = resident_mib(pid)
    for number in range(orders // plan.cost_block):
        load = PlacingLoad(
            bench.gateway.address,
            BATCH,
            account_id,
            bench.prefix(),
            plan.cost_block // plan.batch_size,
            plan.batch_size,
            in_flight=4,
        )
        bench.workers.prepare([load])
        cpu_s = cpu_seconds(pid)
        start_ns, (calls,) = bench.workers.run([load], Calls)
        blocks.append(
            {
                "orders": (number + 1) * plan.cost_block,
                "cpu_us_per_order": (cpu_seconds(pid) - cpu_s) * 1e6 / calls.orders,
                "wall_us_per_order": (calls.ends_ns[-1] - start_ns) / 1e3 / calls.orders,
                "resident_mib": resident_mib(pid),
            }
        )
    some = min(5, len(blocks))
    early, late = blocks[:some], blocks[-some:]
    # Caches fill in the first half; what grows in the second grows for ever.
    half = blocks[len(blocks) // 2]
    cost: dict[str, Any] = {
        "orders": orders,
        "resident_mib_before": base_mib,
        "resident_mib_after_first_block": blocks[0]["resident_mib"],
        "resident_mib_at_end": blocks[-1]["resident_mib"],
        "resident_bytes_per_order": (blocks[-1]["resident_mib"] - half["resident_mib"])
        * (1 << 20)
        / max(1, orders - half["orders"]),
        "blocks": blocks[:: max(1, len(blocks) // 20)],
    }
    measures = []
    for key, what in (("cpu_us_per_order", "server CPU"), ("wall_us_per_order", "time")):
        first, last = (tuple(block[key] for block in group) for group in (early, late))
        cost[f"{key}_first"], cost[f"{key}_last"] = median(first), median(last)
        title = f"Cost of an order after {orders:,} beside the first, {what}"
        measures.append(Measure(f"cost.{key}", title, "µs", "lower", last, first))
    return Outcome(measures, {"cost": cost})
