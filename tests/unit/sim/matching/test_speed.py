"""How fast the venue is: floors far below what was measured, so that only a change of order shows."""

from __future__ import annotations

from random import Random
from time import perf_counter

import pytest

from brokergate.sim.market import BookDelta
from tests.unit.sim.matching.desk import Desk

LEVELS_PER_SECOND = 200_000
ORDERS_PER_SECOND = 30_000


@pytest.mark.serial
def test_book_updates_are_fast_with_a_hundred_orders_resting() -> None:
    """At least 200,000 levels a second through a book of 2,000; measured: some 3,000,000."""
    random, desk = Random(1), Desk()
    desk.snapshot([(10_000 - n, 50) for n in range(1000)], [(10_001 + n, 50) for n in range(1000)])
    for n in range(50):
        desk.buy(1, 9_000 - n)
        desk.sell(1, 12_000 + n)
    updates = [
        BookDelta(
            desk.tick(),
            "BTC/USDT",
            tuple((10_000 - random.randrange(1000), random.choice((0, 7, 50))) for _ in range(5)),
            tuple((10_001 + random.randrange(1000), random.choice((0, 7, 50))) for _ in range(5)),
        )
        for _ in range(10_000)
    ]
    started = perf_counter()
    desk.venue.apply(updates, 1)
    assert 100_000 / (perf_counter() - started) > LEVELS_PER_SECOND


@pytest.mark.serial
def test_market_orders_in_batches_are_fast() -> None:
    """At least 30,000 orders a second in batches of 100, money and reports included; measured: some 150,000."""
    desk = Desk()
    desk.snapshot([(9_999, 10**9)], [(10_001, 10**9)])
    batches = [[desk.order(1 if n % 2 else -1, 10) for n in range(100)] for _ in range(100)]
    started = perf_counter()
    for batch in batches:
        desk.venue.place(batch, desk.now_ns)
    assert 10_000 / (perf_counter() - started) > ORDERS_PER_SECOND
