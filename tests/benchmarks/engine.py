"""The engine alone, in process: gateway, journal and paper broker, no gRPC.

`python -m tests.benchmarks.engine FOLDER ORDERS BATCH` prints one JSON object. It runs in a process of its own, so that
neither its memory nor its garbage is another's.
"""

from __future__ import annotations

import asyncio
import gc
import json
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import uvloop

from brokergate.adapters.paper.making import create_paper_broker
from brokergate.app import boot_id
from brokergate.domain.commands import CreatePaperAccount, Placed, PlaceOrder, PushInstrument
from brokergate.domain.fills import Money
from brokergate.domain.market import BookView
from brokergate.domain.orders import OrderSpec, OrderState, OrderType, Side
from brokergate.domain.policy import AccountPolicy
from brokergate.engine.gateway import Gateway
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.journal.sqlite.schema import journal_path
from brokergate.ports.broker import PushedUpdate
from brokergate.ports.clock import SystemClock
from tests.benchmarks.accounts import ASK, BID, DEPTH, FEE_PERCENT
from tests.benchmarks.orders import QUANTITY, SYMBOL

ACCOUNT = "engine"
CALLERS = 16


async def open_account(gateway: Gateway, clock: SystemClock) -> None:
    """An account as the server of the benchmark has them, made without one."""
    command = CreatePaperAccount(
        account_id=ACCOUNT,
        initial_balances=(Money(Decimal("1000000000000"), "USDT"), Money(Decimal("1000000"), "BTC")),
        seed=None,
        push_instruments=(PushInstrument(SYMBOL, Decimal("0.01"), Decimal("0.00001"), ""),),
        taker_fee_percent=Decimal(FEE_PERCENT),
        maker_fee_percent=Decimal(0),
    )
    await gateway.add_account(ACCOUNT, create_paper_broker(command, clock), AccountPolicy())
    now_ns = clock.now_ns()
    depth = Decimal(DEPTH)
    book = BookView(SYMBOL, ((Decimal(BID), depth),), ((Decimal(ASK), depth),), now_ns, now_ns)
    await gateway.simulators.push(ACCOUNT, (PushedUpdate(book),))


def commands(prefix: str, count: int) -> list[PlaceOrder]:
    """`count` market orders, as `codec` would have parsed them."""
    sides = (Side.BUY, Side.SELL)
    return [
        PlaceOrder(
            ACCOUNT,
            f"{prefix}-{i}",
            OrderSpec(SYMBOL, sides[i % 2], OrderType.MARKET, quantity=Decimal(QUANTITY)),
            b"%032d" % i,
        )
        for i in range(count)
    ]


async def timed(orders: int, work: Callable[[], Awaitable[None]]) -> dict[str, float]:
    """Orders a second and processor time an order of `work`."""
    gc.collect()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    await work()
    return {
        "orders_per_s": orders / (time.perf_counter() - began_s),
        "cpu_us_per_order": (time.process_time() - cpu_s) * 1e6 / orders,
    }


async def one_by_one(gateway: Gateway, orders: list[PlaceOrder]) -> None:
    """Places single orders from `CALLERS` callers at once, whose commits fall together."""
    ahead = iter(orders)

    async def call() -> None:
        for command in ahead:
            expect_filled(await gateway.place_order(command))

    await asyncio.gather(*(call() for _ in range(CALLERS)))


async def by_batches(gateway: Gateway, orders: list[PlaceOrder], size: int) -> None:
    """Places orders `size` at a time."""
    for start in range(0, len(orders), size):
        for result in await gateway.place_orders(orders[start : start + size]):
            expect_filled(result)


def expect_filled(result: object) -> None:
    """Raises where an order was not filled."""
    if not isinstance(result, Placed) or result.order.state is not OrderState.FILLED:
        raise RuntimeError(f"an order of the benchmark was not filled: {result}")


async def measure(folder: Path, count: int, size: int) -> dict[str, Any]:
    """Both ways of placing, after a warm-up of a tenth."""
    clock = SystemClock()
    journal = SqliteJournal(journal_path(folder), secrets.randbits, boot_id())
    gateway = Gateway(
        journal, clock, lambda *_, **__: None, lambda command: create_paper_broker(command, clock)
    )
    try:
        await open_account(gateway, clock)
        await one_by_one(gateway, commands("warm", max(size, count // 10)))
        singles, batched = commands("single", count), commands("batch", count)
        return {
            "orders": count,
            "callers": CALLERS,
            "batch_size": size,
            "one_by_one": await timed(count, lambda: one_by_one(gateway, singles)),
            "by_batches": await timed(count, lambda: by_batches(gateway, batched, size)),
        }
    finally:
        await gateway.close()
        journal.close()


def main(folder: str, count: str, size: str) -> None:
    """Measures and prints."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(Path(folder), int(count), int(size)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
