"""The scenarios: what is measured, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tests.benchmarks.bench import Bench, Window
from tests.benchmarks.echo import EVENTS_KEY, RAW_PLACE
from tests.benchmarks.figures import Better, Budget, Measure, percentile
from tests.benchmarks.following import BacklogLoad, Followed, LiveLoad
from tests.benchmarks.loads import Load
from tests.benchmarks.orders import BATCH, ENTRY, PLACE
from tests.benchmarks.placing import Calls, PacedLoad, PlacingLoad
from tests.benchmarks.servers import cpu_seconds, resident_mib

ORDERS, DEEP, SHARED, LIVE = "orders", "deep", "shared", "live"
ACCOUNTS = (ORDERS, DEEP, SHARED, LIVE)
"""One for single orders, batches and order entry; one with a long backlog; one with a backlog for many; one that is
followed live."""

THROUGHPUT_BUDGET = Budget(0.5, 0.8)
LATENCY_BUDGET = Budget(1.6, 1.3)
BATCH_BUDGET = Budget(3.0, 10.0)
FILLS_BUDGET = Budget(10.0, 25.0)
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
        for key in ("orders_per_s", "p50_us", "p99_us", "cpu_us_per_order", "cores")
    }


def _column(windows: Sequence[Window], key: str) -> tuple[float, ...]:
    return tuple(getattr(window, key) for window in windows)


def place_orders(bench: Bench, in_flight: int) -> Outcome:
    """Single market orders, `in_flight` of them under way."""
    windows = bench.rounds(
        gateway=lambda: bench.place(bench.gateway, PLACE, ORDERS, in_flight),
        echo=lambda: bench.place(bench.echo, PLACE, ORDERS, in_flight),
        raw_echo=lambda: bench.place(bench.echo, RAW_PLACE, ORDERS, in_flight),
    )
    name, title = f"place.{in_flight}", f"PlaceOrder, {in_flight} in flight"

    def measure(key: str, what: str, unit: str, better: Better, budget: Budget | None) -> Measure:
        mine, floor = _column(windows["gateway"], key), _column(windows["echo"], key)
        return Measure(f"{name}.{key}", f"{title}, {what}", unit, better, mine, floor, budget)

    return Outcome(
        [
            measure(
                "orders_per_s", "throughput", "/s", "higher", THROUGHPUT_BUDGET if in_flight == 16 else None
            ),
            measure("p50_us", "median", "µs", "lower", LATENCY_BUDGET if in_flight == 1 else None),
            measure("p99_us", "p99", "µs", "lower", None),
            measure("cpu_us_per_order", "server CPU an order", "µs", "lower", None),
        ],
        {name: {key: _means(rows) for key, rows in windows.items()}},
    )


def place_many(bench: Bench, path: str, name: str, title: str) -> Outcome:
    """Messages of many orders: orders a second over the calls a second of the echo of single orders, at the same
    number of messages in flight; and over the orders a second of the echo of the same message."""
    in_flight = bench.plan.batches_in_flight
    windows = bench.rounds(
        gateway=lambda: bench.place(bench.gateway, path, ORDERS, in_flight),
        single_echo=lambda: bench.place(bench.echo, PLACE, ORDERS, in_flight),
        message_echo=lambda: bench.place(bench.echo, path, ORDERS, in_flight),
    )
    mine = _column(windows["gateway"], "orders_per_s")
    single = _column(windows["single_echo"], "orders_per_s")
    message = _column(windows["message_echo"], "orders_per_s")
    return Outcome(
        [
            Measure(f"{name}.orders_per_s", f"{title}, orders", "/s", "higher", mine, single, BATCH_BUDGET),
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


def batch(bench: Bench) -> Outcome:
    """BatchPlaceOrders."""
    return place_many(bench, BATCH, "batch", f"BatchPlaceOrders of {bench.plan.batch_size}")


def order_entry(bench: Bench) -> Outcome:
    """StreamOrderEntry."""
    return place_many(bench, ENTRY, "entry", f"StreamOrderEntry, {bench.plan.batch_size} a message")


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
    cost: dict[str, Any] = {
        "orders": orders,
        "resident_mib_before": base_mib,
        "resident_mib_after_first_block": blocks[0]["resident_mib"],
        "resident_mib_at_end": blocks[-1]["resident_mib"],
        "resident_bytes_per_order": (blocks[-1]["resident_mib"] - blocks[0]["resident_mib"])
        * (1 << 20)
        / max(1, orders - plan.cost_block),
        "blocks": blocks[:: max(1, len(blocks) // 20)],
    }
    measures = []
    for key, what in (("cpu_us_per_order", "server CPU"), ("wall_us_per_order", "time")):
        first, last = (tuple(block[key] for block in group) for group in (early, late))
        cost[f"{key}_first"], cost[f"{key}_last"] = median(first), median(last)
        title = f"Cost of an order after {orders:,} beside the first, {what}"
        measures.append(Measure(f"cost.{key}", title, "µs", "lower", last, first))
    return Outcome(measures, {"cost": cost})


def _fills_per_s(followed: Sequence[Followed]) -> float:
    began_ns = min(each.began_ns for each in followed)
    ended_ns = max(each.ended_ns for each in followed)
    return sum(each.fills for each in followed) * 1e9 / (ended_ns - began_ns)


def _shares(total: int, parts: int) -> list[int]:
    """`total` cut into at most `parts` nearly equal pieces."""
    return [share for i in range(parts) if (share := total // parts + (i < total % parts))]


def backlog(bench: Bench, account_id: str, subscribers: int, fills: int) -> Outcome:
    """Reads what is in the journal, by each subscriber all of it."""
    plan = bench.plan
    shares = _shares(subscribers, plan.load_processes)

    def read(address: str, expected: int, metadata: tuple[tuple[str, str], ...] = ()) -> tuple[float, int]:
        loads = [BacklogLoad(address, account_id, share, metadata) for share in shares]
        bench.workers.prepare(loads)
        _, followed = bench.workers.run(loads, Followed)
        got = sum(each.fills for each in followed)
        if got != expected * subscribers:
            raise RuntimeError(f"{subscribers} subscribers got {got} fills, not {expected} each")
        return _fills_per_s(followed), sum(each.messages for each in followed)

    each = plan.echo_events // subscribers
    mine: list[float] = []
    floor: list[float] = []
    messages = 0
    for _ in range(plan.backlog_rounds):
        rate, messages = read(bench.gateway.address, fills)
        mine.append(rate)
        floor.append(read(bench.echo.address, each, ((EVENTS_KEY, str(each)),))[0])
    name = f"fills.backlog.{subscribers}"
    return Outcome(
        [
            Measure(
                f"{name}.fills_per_s",
                f"StreamFills, backlog of {fills:,}, {_people(subscribers)}",
                "/s",
                "higher",
                tuple(mine),
                tuple(floor),
                FILLS_BUDGET if subscribers == 1 else None,
            )
        ],
        {
            name: {
                "subscribers": subscribers,
                "fills_each": fills,
                "fills_per_s": median(mine),
                "fills_per_message": fills * subscribers / messages,
                "echo_fills_per_s": median(floor),
            }
        },
    )


def _people(subscribers: int) -> str:
    return "1 subscriber" if subscribers == 1 else f"{subscribers} subscribers"


def live(bench: Bench, subscribers: int, rate: int, echo_fills_per_s: float) -> Outcome:
    """Follows fills of single orders that come at a steady rate."""
    plan = bench.plan
    orders = max(1, int(rate * plan.live_s))
    load = PacedLoad(bench.gateway.address, LIVE, bench.prefix(), orders, rate)
    return _follow(bench, subscribers, orders, load, f"{rate} orders/s", "steady", echo_fills_per_s)


def live_flood(bench: Bench, subscribers: int, orders: int, echo_fills_per_s: float) -> Outcome:
    """Follows fills of orders that come as fast as order entry takes them."""
    size = bench.plan.batch_size
    load = PlacingLoad(
        bench.gateway.address, ENTRY, LIVE, bench.prefix(), orders // size, size, bench.plan.batches_in_flight
    )
    return _follow(bench, subscribers, orders, load, "orders flat out", "flood", echo_fills_per_s)


def _follow(
    bench: Bench,
    subscribers: int,
    orders: int,
    orders_load: Load,
    what: str,
    kind: str,
    echo_fills_per_s: float,
) -> Outcome:
    shares = _shares(subscribers, bench.plan.load_processes)
    followers = [LiveLoad(bench.gateway.address, LIVE, share, orders) for share in shares]
    loads = [*followers, orders_load]
    bench.workers.prepare(loads)
    cpu_s = cpu_seconds(bench.gateway.pid)
    start_ns, results = bench.workers.run(loads, object)
    cpu_s = cpu_seconds(bench.gateway.pid) - cpu_s
    followed = [each for each in results if isinstance(each, Followed)]
    (calls,) = (each for each in results if isinstance(each, Calls))
    latencies = [latency for each in followed for latency in each.latencies_ns]
    delivered = _fills_per_s(followed)
    name = f"fills.live.{kind}.{subscribers}"
    title = f"StreamFills, live, {what}, {_people(subscribers)}"
    return Outcome(
        [Measure(f"{name}.fills_per_s", title, "/s", "higher", (delivered,), (echo_fills_per_s,))],
        {
            name: {
                "subscribers": subscribers,
                "orders": orders,
                "orders_per_s": calls.orders * 1e9 / (calls.ends_ns[-1] - start_ns),
                "fills_per_s": delivered,
                "fills_per_message": len(latencies) / sum(each.messages for each in followed),
                "latency_p50_us": percentile(latencies, 0.5) / 1e3,
                "latency_p99_us": percentile(latencies, 0.99) / 1e3,
                "place_p50_us": percentile(calls.latencies_ns, 0.5) / 1e3,
                "server_cores": cpu_s * 1e9 / (max(each.ended_ns for each in followed) - start_ns),
            }
        },
    )
