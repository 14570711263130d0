"""What a request pays for the rate limiter and the circuit breaker, without a network.

`python -m tests.benchmarks.limiter [--requests N] [--json]`. It runs in a process of its own. The limits are
Binance's (REQUEST_WEIGHT, RAW_REQUESTS, ORDERS of 10 s and of a day), wide enough that nobody waits, except in
`waiting`, where every request waits in a queue of as many as there are.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable, Sequence

from brokergate.ports.clock import SystemClock
from brokergate.resilience import AdaptiveRateLimiter, CircuitBreaker, Lane, Limit, MultiEndpointRateLimiter

FIRST = 10
"""The cost is given of the first and of the last of so many parts: 1 is flat."""
QUEUED = (100, 10_000)
"""Requests that wait at once."""


def binance() -> MultiEndpointRateLimiter:
    """Four linked limits, with room for a hundred times what they allow."""
    return MultiEndpointRateLimiter(
        {"order": ["weight", "raw", "orders 10s", "orders 1d"]},
        limits={
            "weight": Limit(6000 * 100, 60.0, reserve=600),
            "raw": Limit(300_000 * 100, 300.0, reserve=600),
            "orders 10s": Limit(100 * 100_000, 10.0, reserve=10),
            "orders 1d": Limit(200_000 * 100, 86_400.0, reserve=10),
        },
    )


async def timed(requests: int, one: Callable[[], Awaitable[object]]) -> dict[str, float]:
    """Microseconds a request of `one`, one after the other."""
    part = max(1, requests // FIRST)
    parts = []
    for _ in range(FIRST):
        gc.collect()
        began_s = time.perf_counter()
        for _ in range(part):
            await one()
        parts.append((time.perf_counter() - began_s) / part * 1e6)
    return {"us": sorted(parts)[len(parts) // 2], "last_over_first": parts[-1] / parts[0]}


async def queued(count: int) -> dict[str, float]:
    """Microseconds a request, of `count` that come at once and wait for 100 tokens of every millisecond: coming,
    waiting, going."""
    limiter = AdaptiveRateLimiter(max(1, count // 20), 0.001)
    gc.collect()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(limiter.acquire(1, Lane.NEW) for _ in range(count)))
    return {
        "cpu_us": (time.process_time() - cpu_s) / count * 1e6,
        "seconds": time.perf_counter() - began_s,
    }


async def measure(requests: int) -> dict[str, dict[str, float]]:
    """All figures."""
    one, four, breaker = AdaptiveRateLimiter(10**9, 1.0), binance(), CircuitBreaker()
    clock = SystemClock()

    async def single() -> None:
        async with one:
            pass

    async def linked() -> None:
        async with four.limit("order", lane=Lane.NEW):
            pass

    async def linked_with_deadline() -> None:
        async with four.limit("order", lane=Lane.NEW, deadline=clock.monotonic_ns() + 10**9):
            pass

    async def heard() -> None:
        async with four.limit("order", lane=Lane.NEW) as permit:
            permit.hear("weight", used=5)

    async def guarded() -> None:
        async with breaker:
            pass

    async def nothing() -> None:
        pass

    found = {
        "a call of nothing": await timed(requests, nothing),
        "one limit": await timed(requests, single),
        "four linked limits": await timed(requests, linked),
        "with a deadline": await timed(requests, linked_with_deadline),
        "with a header": await timed(requests, heard),
        "circuit breaker": await timed(requests, guarded),
    }
    for count in QUEUED:
        found[f"{count} waiting"] = await queued(count)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.limiter", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = asyncio.run(measure(options.requests))
    if options.json:
        print(json.dumps(found))
        return
    for name, figures in found.items():
        print(f"{name:20}  " + ", ".join(f"{key} {value:,.2f}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
