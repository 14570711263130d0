"""The scenarios of following fills: what is in the journal, and what comes to it live."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.bench import Bench
from tests.benchmarks.echo import EVENTS_KEY
from tests.benchmarks.figures import Budget, Measure, percentile
from tests.benchmarks.following import BacklogLoad, Followed, LiveLoad
from tests.benchmarks.loads import Load
from tests.benchmarks.orders import ENTRY
from tests.benchmarks.placing import Calls, PacedLoad, PlacingLoad
from tests.benchmarks.scenarios import PROCESS, Outcome, Way
from tests.benchmarks.servers import cpu_seconds

FILLS_BUDGET = Budget(10.0, 25.0)
"""DESIGN section 7."""


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
    for _ in range(plan.stream_rounds):
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


def live_steady(
    bench: Bench, subscribers: int, rate: int, echo: Sequence[float], way: Way = PROCESS
) -> Outcome:
    """Follows fills of single orders that come at a steady rate. `echo` is the echo's fills a second by rounds."""
    plan = bench.plan
    orders = max(1, int(rate * plan.live_s))

    def load() -> Load:
        return PacedLoad(bench.gateway.address, way.live_account_id, bench.prefix(), orders, rate)

    name = f"fills{way.suffix}.live.steady.{subscribers}"
    title = f"StreamFills, live, {rate} orders/s, {_people(subscribers)}{way.title}"
    return _live(bench, name, title, Audience(way.live_account_id, subscribers, orders), load, echo)


def live_flood(
    bench: Bench, subscribers: int, orders: int, echo: Sequence[float], way: Way = PROCESS
) -> Outcome:
    """Follows fills of orders that come as fast as order entry takes them."""
    plan = bench.plan
    messages = orders // plan.batch_size

    def load() -> Load:
        return PlacingLoad(
            bench.gateway.address,
            ENTRY,
            way.live_account_id,
            bench.prefix(),
            messages,
            plan.batch_size,
            plan.batches_in_flight,
        )

    name = f"fills{way.suffix}.live.flood.{subscribers}"
    title = f"StreamFills, live, orders flat out, {_people(subscribers)}{way.title}"
    return _live(bench, name, title, Audience(way.live_account_id, subscribers, orders), load, echo)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who follows what: every one of the subscribers the fill of every one of the orders."""

    account_id: str
    subscribers: int
    orders: int


def _live(
    bench: Bench,
    name: str,
    title: str,
    audience: Audience,
    load: Callable[[], Load],
    echo: Sequence[float],
) -> Outcome:
    rounds = [_follow(bench, audience, load()) for _ in echo]
    details: dict[str, float] = {key: median(each[key] for each in rounds) for key in rounds[0]}
    delivered = tuple(each["fills_per_s"] for each in rounds)
    return Outcome(
        [Measure(f"{name}.fills_per_s", title, "/s", "higher", delivered, tuple(echo))],
        {name: {"subscribers": audience.subscribers, "orders": audience.orders} | details},
    )


def _follow(bench: Bench, audience: Audience, load: Load) -> dict[str, float]:
    """One round."""
    shares = _shares(audience.subscribers, bench.plan.load_processes)
    followers = [
        LiveLoad(bench.gateway.address, audience.account_id, share, audience.orders) for share in shares
    ]
    loads = [*followers, load]
    bench.workers.prepare(loads)
    cpu_s = cpu_seconds(bench.gateway.pid)
    start_ns, results = bench.workers.run(loads, object)
    cpu_s = cpu_seconds(bench.gateway.pid) - cpu_s
    followed = [each for each in results if isinstance(each, Followed)]
    (calls,) = (each for each in results if isinstance(each, Calls))
    latencies = [latency for each in followed for latency in each.latencies_ns]
    return {
        "orders_per_s": calls.orders * 1e9 / (calls.ends_ns[-1] - start_ns),
        "fills_per_s": _fills_per_s(followed),
        "fills_per_message": len(latencies) / sum(each.messages for each in followed),
        "latency_p50_us": percentile(latencies, 0.5) / 1e3,
        "latency_p99_us": percentile(latencies, 0.99) / 1e3,
        "place_p50_us": percentile(calls.latencies_ns, 0.5) / 1e3,
        "server_cores": cpu_s * 1e9 / (max(each.ended_ns for each in followed) - start_ns),
    }
