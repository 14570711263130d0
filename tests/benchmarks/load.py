"""A real gateway before a venue that answers after a stated delay: `python -m tests.benchmarks.load`.

The gateway is a process of its own, the venue an emulator in another; the load comes from this one. Five things are
measured, and held against the product's targets:

- placement: 100 orders at once, round after round; an order's latency is from the call to the answer, and the gateway's
  own share of it what is left without the venue's delay and the time that the venue itself needed;
- account queries, while orders are placed;
- a hot loop: ten clients that send orders and questions as fast as they are answered. The venue's log must hold no 429
  and no 418;
- a flood, before Binance alone, whose limits can be lifted: many orders, as fast as they are answered, and what the
  server's memory did in the last third of them;
- a soak: orders that take what is offered come steadily while the venue cuts every connection now and then. How many
  were filled, how long the connection stood, and what the server's memory did.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from statistics import linear_regression, mean
from typing import Any

from brokergate.v1 import broker_pb2, broker_service_pb2_grpc
from brokergate_client import Gateway, GatewayError, OrderSpec, OrderState, Side, TimeInForce, limit_order
from tests.benchmarks.figures import percentile
from tests.benchmarks.report import table
from tests.benchmarks.servers import resident_mib
from tests.e2e.process import ServerProcess
from tests.emulators.client import Emulator

ACCOUNT = "main"
AT_ONCE = 100
CLIENTS = 10
IN_FLIGHT = 8
NS_PER_MS = 1e6
MARKET_TICK_S = 0.25
CONNECT_S = 60.0
SHORTEST_SOAK_S = 300.0
"""A shorter one gives no verdict on what lasts: one cut is a large share of it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of each."""

    delay_s: float
    rounds: int
    """Of `AT_ONCE` orders."""
    queries: int
    hot_s: float
    soak_s: float
    cut_every_s: float
    flood_orders: int
    """What is remembered of orders that ended is bounded at some 65,000: twice that shows it."""
    soak_orders_per_s: float = 4.0


FULL = Plan(
    delay_s=0.05, rounds=10, queries=50, hot_s=15.0, soak_s=600.0, cut_every_s=250.0, flood_orders=130_000
)
QUICK = Plan(delay_s=0.02, rounds=2, queries=5, hot_s=1.0, soak_s=6.0, cut_every_s=3.0, flood_orders=300)


@dataclass(frozen=True, slots=True)
class Site:
    """A venue as the load uses it."""

    symbol: str
    native: str
    quantity: str
    bid: str
    ask: str
    balances: Mapping[str, str]
    section: str
    time_in_force: TimeInForce
    roomy: Mapping[str, int]
    """Limits in which a hundred orders at once have room, whatever came before them."""
    little: Mapping[str, int]
    """Limits that a hot loop reaches at once."""
    plenty: Mapping[str, int] | None = None
    """Limits that a flood does not reach; None where the adapter's configuration bounds them."""


REQUESTS_PER_MINUTE = 10_000
"""Alpaca's 200 a minute would be 100 orders and 100 questions: accounts that trade so have more."""

SITES = {
    "binance": Site(
        "BTC/USDT", "BTC/USDT", "0.001", "60000", "60010", {"USDT": "100000000"},
        "binance: {{rest_url: {url}, websocket_api_url: {ws}/ws-api/v3, stream_url: {ws}}}",
        TimeInForce.GTC, {"orders_10s": 1000}, {"weight": 1200, "orders_10s": 50},
        {"weight": 100_000_000, "orders_10s": 1_000_000, "orders_1d": 1_000_000},
    ),
    "alpaca": Site(
        "AAPL", "AAPL", "1", "199.99", "200", {"USD": "100000000"},
        "alpaca: {{rest_url: {url}, stream_url: {ws}/stream, data_url: {url}, data_stream_url: {ws}, "
        "requests_per_minute: {requests}}}",
        TimeInForce.DAY, {"requests": REQUESTS_PER_MINUTE}, {"requests": 200},
    ),
}  # fmt: skip


class Bench:
    """The venue, the gateway before it, and a client."""

    def __init__(self, venue: Emulator, site: Site, server: ServerProcess, plan: Plan) -> None:
        self.venue = venue
        self.site = site
        self.server = server
        self.plan = plan

    def order(self, *, rests: bool = False) -> OrderSpec:
        """One that takes what is offered, or one that rests."""
        site = self.site
        price = site.bid if rests else site.ask
        return limit_order(site.symbol, Side.BUY, site.quantity, price, time_in_force=site.time_in_force)

    async def market(self) -> None:
        """Shows a market that moves all the time, with more offered than anybody buys."""
        for number in count():
            size = str(1000 + number % 2)
            await self.venue.show(self.site.native, [(self.site.bid, size)], [(self.site.ask, size)])
            await asyncio.sleep(MARKET_TICK_S)

    async def connected(self, gateway: Gateway) -> None:
        """Returns when orders are taken."""
        async with asyncio.timeout(CONNECT_S):
            while True:
                try:
                    if (await gateway.place(ACCOUNT, self.order())).order.state is OrderState.FILLED:
                        return
                except GatewayError:
                    pass
                await asyncio.sleep(0.2)


def named(value: object) -> str:
    """A state or a reason by name; its number, where this client is too old to know it."""
    return str(getattr(value, "name", value))


async def placement(bench: Bench, gateway: Gateway) -> dict[str, Any]:
    """Rounds of orders that are sent at once."""
    latencies: dict[str, float] = {}

    async def one(name: str) -> None:
        began_s = time.perf_counter()
        placed = await gateway.place(ACCOUNT, bench.order(), client_order_id=name)
        latencies[name] = time.perf_counter() - began_s
        if placed.order.state in (OrderState.REJECTED, OrderState.PENDING_NEW):
            raise RuntimeError(f"an order of the benchmark was not taken: {placed.order}")

    mark = len(await bench.venue.log())
    for number in range(bench.plan.rounds):
        await asyncio.gather(*(one(f"load-{number}-{i}") for i in range(AT_ONCE)))
    took = [entry["took_ns"] / NS_PER_MS for entry in await bench.venue.log(mark) if entry["kind"] == "place"]
    venue_ms = mean(took) + bench.plan.delay_s * 1000
    whole = [latency * 1000 for latency in latencies.values()]
    return {
        "orders": len(whole),
        "venue_delay_ms": bench.plan.delay_s * 1000,
        "venue_ms_mean": venue_ms,
        "mean_ms": mean(whole),
        "p99_ms": percentile(whole, 0.99),
        "own_ms_mean": mean(whole) - venue_ms,
        "own_ms_p99": percentile(whole, 0.99) - venue_ms,
    }


async def one_by_one(bench: Bench, gateway: Gateway) -> dict[str, Any]:
    """Orders with nothing beside them: the least that the gateway adds."""
    whole = []
    mark = len(await bench.venue.log())
    for number in range(bench.plan.queries):
        began_s = time.perf_counter()
        await gateway.place(ACCOUNT, bench.order(), client_order_id=f"alone-{number}")
        whole.append((time.perf_counter() - began_s) * 1000)
    took = [entry["took_ns"] / NS_PER_MS for entry in await bench.venue.log(mark) if entry["kind"] == "place"]
    venue_ms = mean(took) + bench.plan.delay_s * 1000
    return {"mean_ms": mean(whole), "own_ms_mean": mean(whole) - venue_ms}


async def queries(bench: Bench, gateway: Gateway) -> dict[str, Any]:
    """Account queries while orders are placed."""
    done = asyncio.Event()

    async def orders() -> None:
        while not done.is_set():
            await gateway.place(ACCOUNT, bench.order())

    load = [asyncio.create_task(orders()) for _ in range(4)]
    took = []
    for _ in range(bench.plan.queries):
        began_s = time.perf_counter()
        await gateway.account(ACCOUNT)
        took.append((time.perf_counter() - began_s) * 1000)
    done.set()
    await asyncio.gather(*load)
    return {"queries": len(took), "mean_ms": mean(took), "p99_ms": percentile(took, 0.99)}


async def hot_loop(bench: Bench, gateway: Gateway) -> dict[str, Any]:
    """Ten clients that never rest, before a venue that answers at once and allows little. What it answered, by status,
    and what the clients were told."""
    log = await bench.venue.log()
    told: Counter[str] = Counter()
    until_s = time.monotonic() + bench.plan.hot_s

    async def client(number: int) -> None:
        async with Gateway.connect(bench.server.address, timeout_s=5.0) as mine:
            while time.monotonic() < until_s:
                try:
                    if number % 5:
                        placed = await mine.place(ACCOUNT, bench.order(rests=number % 2 == 0))
                        told[named(placed.order.reject_reason or placed.order.state)] += 1
                    else:
                        await mine.cancel_all(ACCOUNT)
                        told["cancelled all"] += 1
                except GatewayError as error:
                    told[named(error.reason)] += 1

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    statuses = Counter(str(entry["status"]) for entry in await bench.venue.log(len(log)))
    return {
        "requests": sum(statuses.values()),
        "statuses": dict(statuses),
        "clients": dict(told),
        "used": await bench.venue.ask("used"),
        "limited": statuses["429"] + statuses["418"],
    }


async def flood(bench: Bench, gateway: Gateway) -> dict[str, Any]:
    """Many orders, some in flight at any time; the memory along them."""
    memory: list[tuple[float, float]] = []
    placed = 0

    async def client() -> None:
        nonlocal placed
        while placed < bench.plan.flood_orders:
            placed += 1
            await gateway.place(ACCOUNT, bench.order())
            if placed % max(1, bench.plan.flood_orders // 300) == 0:
                memory.append((placed / 1000, resident_mib(bench.server.process.pid)))

    began_s = time.monotonic()
    await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))
    last_third = [point for point in memory if point[0] * 1000 >= bench.plan.flood_orders * 2 / 3]
    return {
        "orders": placed,
        "orders_per_s": placed / (time.monotonic() - began_s),
        "resident_mib": [round(mib, 1) for _, mib in memory[:: max(1, len(memory) // 12)]],
        "mib_per_1000_orders": linear_regression(*zip(*last_third, strict=True)).slope,
    }


async def soak(bench: Bench, gateway: Gateway) -> dict[str, Any]:
    """A steady trade with connections that are cut."""
    plan = bench.plan
    lines = len(bench.server.log.splitlines())
    cuts = 0
    failed: Counter[str] = Counter()
    memory: list[tuple[float, float]] = []
    began_s = time.monotonic()
    orders: list[asyncio.Task[None]] = []

    async def one(name: str) -> None:
        try:
            await gateway.place(ACCOUNT, bench.order(), client_order_id=name)
        except GatewayError as error:
            failed[named(error.reason)] += 1

    async def cut() -> None:
        nonlocal cuts
        while True:
            await asyncio.sleep(plan.cut_every_s)
            cuts += await bench.venue.drop_streams() > 0

    cutting = asyncio.create_task(cut())
    while (now_s := time.monotonic() - began_s) < plan.soak_s:
        orders.append(asyncio.create_task(one(f"soak-{len(orders)}")))
        memory.append((now_s, resident_mib(bench.server.process.pid)))
        await asyncio.sleep(1 / plan.soak_orders_per_s)
    cutting.cancel()
    await asyncio.gather(*orders, cutting, return_exceptions=True)
    await bench.connected(gateway)
    down_s = down(bench.server.log.splitlines()[lines:])
    # Those that came while the broker was away were held, and went out when it was back.
    states: Counter[str] = Counter()
    for number in range(len(orders)):
        try:
            states[named((await gateway.order(ACCOUNT, client_order_id=f"soak-{number}")).state)] += 1
        except GatewayError as error:
            states[named(error.reason)] += 1
    filled = states[OrderState.FILLED.name]
    later = [point for point in memory if point[0] >= plan.soak_s / 2]
    slope = linear_regression(*zip(*later, strict=True)).slope * 60
    return {
        "seconds": plan.soak_s,
        "cuts": cuts,
        "orders": sum(states.values()),
        "states": dict(states),
        "failed_calls": dict(failed),
        "fill_rate": filled / sum(states.values()),
        "uptime": 1 - down_s / plan.soak_s,
        "resident_mib": max(mib for _, mib in memory),
        "slope_mib_per_minute": slope,
    }


def told_of(server: ServerProcess, name: str) -> dict[str, Any]:
    """What `GetBroker` says of how the broker does."""
    with server.channel() as channel:
        broker = broker_service_pb2_grpc.BrokerServiceStub(channel).GetBroker(
            broker_pb2.GetBrokerRequest(name=name)
        )
    metrics = broker.broker.metrics
    return {
        "orders_sent": metrics.orders_sent,
        "fills": metrics.fills,
        "order_latency_mean_ms": metrics.order_latency_mean.ToNanoseconds() / NS_PER_MS,
        "order_latency_p99_ms": metrics.order_latency_p99.ToNanoseconds() / NS_PER_MS,
        "fill_rate": metrics.fill_rate,
        "uptime": metrics.uptime,
        "reconnects": metrics.reconnects,
        "errors": dict(metrics.errors),
        "limit_utilisation": dict(metrics.limit_utilisation),
    }


WORKS = {"placement": placement, "alone": one_by_one, "queries": queries, "soak": soak}


def down(lines: Sequence[str]) -> float:
    """Seconds that the connection did not stand, by the gateway's own log of its changes."""
    away_s = 0.0
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("event") == "connection" and entry["before"] != "CONNECTED":
            away_s += entry["after_ms"] / 1000
    return away_s


@asynccontextmanager
async def gateway_before(
    venue: Emulator, name: str, plan: Plan, requests: int, timeout_ms: int
) -> AsyncIterator[tuple[Bench, Gateway]]:
    """A gateway before the venue, and a client, when orders are taken. `requests`: what Alpaca allows a minute."""
    site = SITES[name]
    section = site.section.format(url=venue.url, ws=venue.ws_url, requests=requests)
    with tempfile.TemporaryDirectory(prefix="brokergate-load-") as folder:
        config = Path(folder) / "brokergate.yaml"
        config.write_text(
            f"""
server: {{log: {{level: warning, format: json}}}}
accounts:
  {ACCOUNT}:
    broker: {name}
    credentials: {{api_key: {venue.key}, api_secret: {venue.secret}}}
    connection: {{request_timeout_ms: {timeout_ms}}}
    trading: {{enabled: true, when_disconnected: queue}}
    {section}
""",
            "utf-8",
        )
        with closing(ServerProcess(Path(folder), "--config", config)) as server:
            server.start()
            bench = Bench(venue, site, server, plan)
            market = asyncio.create_task(bench.market())
            try:
                async with Gateway.connect(server.address, timeout_s=20.0) as gateway:
                    await bench.connected(gateway)
                    yield bench, gateway
            finally:
                market.cancel()
                await asyncio.gather(market, return_exceptions=True)


async def measure(name: str, plan: Plan) -> dict[str, Any]:
    """All of it, before one venue."""
    found: dict[str, Any] = {"venue": name}
    balances = SITES[name].balances
    with closing(Emulator.start(name)) as venue:
        await venue.reset(balances)
        await venue.ask("limits", **SITES[name].roomy)
        async with gateway_before(venue, name, plan, REQUESTS_PER_MINUTE, 5000) as (bench, gateway):
            await venue.fault("delay", seconds=plan.delay_s)
            for title, work in WORKS.items():
                print(f"{name}: {title}", file=sys.stderr, flush=True)
                found[title] = await work(bench, gateway)
            found["metrics"] = await asyncio.to_thread(told_of, bench.server, name)
        print(f"{name}: hot loop", file=sys.stderr, flush=True)
        await venue.reset(balances)
        await venue.ask("limits", **SITES[name].little)
        async with gateway_before(venue, name, plan, 200, 1000) as (bench, gateway):
            found["hot loop"] = await hot_loop(bench, gateway)
        if (plenty := SITES[name].plenty) is not None:
            print(f"{name}: flood", file=sys.stderr, flush=True)
            await venue.reset(balances)
            await venue.ask("limits", **plenty)
            async with gateway_before(venue, name, plan, 200, 5000) as (bench, gateway):
                found["flood"] = await flood(bench, gateway)
    return found


def targets(found: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """What was to be reached, what was, and whether that is a pass."""
    placing, asking, lasting, hot = (found[name] for name in ("placement", "queries", "soak", "hot loop"))
    rows: tuple[tuple[str, str, str, bool], ...] = (
        ("placement, mean", "< 500 ms", f"{placing['mean_ms']:.1f} ms", placing["mean_ms"] < 500),
        ("placement, p99", "< 1,000 ms", f"{placing['p99_ms']:.1f} ms", placing["p99_ms"] < 1000),
        ("account query, mean", "< 200 ms", f"{asking['mean_ms']:.1f} ms", asking["mean_ms"] < 200),
        ("stream uptime", "> 99 %", f"{lasting['uptime']:.2%}", lasting["uptime"] > 0.99),
        ("fill rate, marketable", "> 95 %", f"{lasting['fill_rate']:.2%}", lasting["fill_rate"] > 0.95),
        ("memory", "< 1,024 MiB", f"{lasting['resident_mib']:.0f} MiB", lasting["resident_mib"] < 1024),
        (
            "memory, slope",
            "< 1 MiB/min",
            f"{lasting['slope_mib_per_minute']:.2f} MiB/min",
            lasting["slope_mib_per_minute"] < 1,
        ),
        ("429 and 418 in a hot loop", "0", str(hot["limited"]), hot["limited"] == 0),
    )
    if (many := found.get("flood")) is not None:
        grown = many["mib_per_1000_orders"]
        last = f"memory, last third of {many['orders']:,} orders"
        rows += ((last, "< 0.1 MiB/1,000", f"{grown:.3f} MiB/1,000", grown < 0.1),)
    lasts = ("stream uptime", "memory, slope", "memory, last")
    short = lasting["seconds"] < SHORTEST_SOAK_S

    def verdict(name: str, met: bool) -> str:
        return "too short" if short and name.startswith(lasts) else "PASS" if met else "MISS"

    return [(name, goal, reached, verdict(name, met)) for name, goal, reached, met in rows]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. The exit status is 0 whatever was found: figures of a busy machine are no verdict."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.load", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--venue", choices=sorted(SITES), action="append", help="default: both")
    parser.add_argument("--quick", action="store_true", help="seconds; shows that it runs")
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="default: 600")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else FULL
    if options.soak:
        plan = replace(plan, soak_s=options.soak)
    everything = [asyncio.run(measure(name, plan)) for name in options.venue or sorted(SITES)]
    if options.json:
        print(json.dumps(everything))
        return 0
    for found in everything:
        placing, alone = found["placement"], found["alone"]
        print(f"\n{found['venue']}, which answers after {plan.delay_s * 1000:.0f} ms\n")
        print(table(("target", "goal", "reached", ""), targets(found)))
        print(
            f"\nthe gateway's own share: {placing['own_ms_mean']:.1f} ms of {AT_ONCE} orders at once (p99 "
            f"{placing['own_ms_p99']:.1f} ms), {alone['own_ms_mean']:.2f} ms of one alone"
        )
        for name in ("soak", "hot loop", "metrics", "flood"):
            if name in found:
                print(f"{name}: {found[name]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
