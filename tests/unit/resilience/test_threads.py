"""The limiter and the breaker among threads with loops of their own, in real time: as a program uses them that runs a
strategy a thread. Nothing here waits for a duration; what is checked is what happened when."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from brokergate.domain.errors import RateLimitError
from brokergate.resilience import (
    AdaptiveRateLimiter,
    CircuitBreaker,
    CircuitBreakerError,
    Lane,
    Limit,
    MultiEndpointRateLimiter,
)

THREADS = 6
WINDOW_NS = 200_000_000


def in_threads(make: Callable[[int], Coroutine[Any, Any, None]], threads: int = THREADS) -> None:
    """Runs `make(number)` in so many threads, each with a loop of its own; raises what any of them raised."""
    together = threading.Barrier(threads)

    def run(number: int) -> None:
        together.wait()
        asyncio.run(make(number))

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(run, number) for number in range(threads)]:
            future.result()


def most_at_once(ways: list[tuple[int, int]], window_ns: int) -> int:
    """The most that any window can have seen of requests that were sent and answered at these times."""
    return max(
        sum(1 for sent, answered in ways if sent <= last and answered > last - window_ns) for last, _ in ways
    )


def test_no_window_sees_more_than_is_allowed_over_all_threads() -> None:
    """Requests of six loops, in all lanes, some given up: the limits hold, everybody is done, nothing is left over."""
    limiter = MultiEndpointRateLimiter(
        {"order": ["address", "account"], "query": ["address"]},
        limits={"address": Limit(40, WINDOW_NS / 1e9, reserve=4), "account": Limit(25, WINDOW_NS / 1e9)},
    )
    ways: dict[str, list[tuple[int, int]]] = {"order": [], "query": []}
    ended = []

    async def one(chance: random.Random, endpoint: str) -> None:
        lane = chance.choice(list(Lane))
        deadline = time.monotonic_ns() + chance.choice((50, 400, 20_000)) * 1_000_000
        try:
            async with limiter.limit(endpoint, lane=lane, deadline=deadline):
                sent = time.monotonic_ns()
                assert sent <= deadline + WINDOW_NS
                await asyncio.sleep(chance.choice((0, 0, 0.005)))
                answered = time.monotonic_ns()
            ways[endpoint].append((sent, answered))
        except RateLimitError:
            pass
        finally:
            ended.append(endpoint)

    async def client(number: int) -> None:
        chance = random.Random(number)
        tasks = []
        for _ in range(60):
            tasks.append(asyncio.create_task(one(chance, chance.choice(("order", "query")))))
            if chance.random() < 0.1:
                tasks.append(asyncio.create_task(_give_up(tasks[-1], chance.random() / 10)))
            await asyncio.sleep(chance.random() / 200)
        await asyncio.gather(*tasks, return_exceptions=True)

    in_threads(client)
    assert len(ended) > THREADS * 50
    assert len(ways["order"]) + len(ways["query"]) > 100
    assert most_at_once(ways["order"], WINDOW_NS) <= 25
    assert most_at_once(ways["order"] + ways["query"], WINDOW_NS) <= 40
    assert limiter.waiting == 0


async def _give_up(task: asyncio.Task[None], after_s: float) -> None:
    await asyncio.sleep(after_s)
    task.cancel()


def test_a_loop_that_stands_still_holds_up_no_other() -> None:
    """Its request is ahead in the queue, and its thread does something else: the others go on."""
    limiter = AdaptiveRateLimiter(5, 0.1)
    released = threading.Event()
    done = threading.Event()

    async def client(number: int) -> None:
        if number == 0:
            waiting = [asyncio.create_task(limiter.acquire()) for _ in range(8)]
            await asyncio.sleep(0)
            released.set()
            assert done.wait(30), "the other thread was held up"
            await asyncio.gather(*waiting)
            return
        await asyncio.to_thread(released.wait)
        for _ in range(12):
            await limiter.acquire()
        done.set()

    in_threads(client, 2)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_is_gone_is_forgotten() -> None:
    """Somebody waited in it and was never cancelled: whoever comes later does not wait behind him."""
    limiter = AdaptiveRateLimiter(1, 0.05)
    asyncio.run(limiter.acquire())
    loop = asyncio.new_event_loop()
    orphan = loop.create_task(limiter.acquire())
    loop.run_until_complete(asyncio.sleep(0))
    assert limiter.waiting == 1
    loop.close()

    asyncio.run(asyncio.wait_for(limiter.acquire(), 30))
    assert limiter.waiting == 0
    assert not orphan.done()
    # What Python says of a task whose loop was closed under it is expected, and here.
    del orphan
    gc.collect()


def test_one_limiter_serves_one_loop_after_another() -> None:
    limiter = AdaptiveRateLimiter(2, 0.02)
    for _ in range(5):
        asyncio.run(limiter.acquire())
        asyncio.run(limiter.acquire(2, Lane.NEW))
    assert limiter.waiting == 0


def test_exactly_one_probe_over_all_threads() -> None:
    breaker = CircuitBreaker(failure_threshold=1, recovery_time=0.0)

    async def fail() -> None:
        with pytest.raises(ConnectionError):
            async with breaker:
                raise ConnectionError

    asyncio.run(fail())
    probes, refused = [], []
    all_asked = threading.Barrier(THREADS)

    async def client(number: int) -> None:
        try:
            async with breaker:
                probes.append(number)
                await asyncio.to_thread(all_asked.wait)
        except CircuitBreakerError:
            refused.append(number)
            await asyncio.to_thread(all_asked.wait)

    in_threads(client)
    assert (len(probes), len(refused)) == (1, THREADS - 1)
    assert breaker.state.value == "closed"
