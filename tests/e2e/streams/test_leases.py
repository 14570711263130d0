"""`cancel_on_disconnect`: what becomes of the orders of a strategy that dies."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Any

import pytest

from brokergate.v1 import enums_pb2, order_pb2, order_service_pb2_grpc
from tests.e2e.process import ROOT, ServerProcess, environment
from tests.e2e.streams.reading import EARLIEST, follow, leave, messages
from tests.e2e.streams.trading import Trader, buy, connect, create_account

RESTS, CANCELED, FILLED = (
    enums_pb2.ORDER_STATE_NEW,
    enums_pb2.ORDER_STATE_CANCELED,
    enums_pb2.ORDER_STATE_FILLED,
)


async def start_strategy(address: str, grace_s: int, end: str) -> asyncio.subprocess.Process:
    """The process of a strategy, its orders placed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.e2e.streams.leaseholder", address, "one", str(grace_s), end),
        cwd=ROOT,
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"placed\n"
    return process


async def states(channel: Any) -> dict[str, int]:
    """Every order's state by its client id."""
    orders: Any = order_service_pb2_grpc.OrderServiceStub(channel)
    page = await orders.ListOrders(order_pb2.ListOrdersRequest(account_id="one"))
    return {order.client_order_id: order.state for order in page.orders}


@pytest.mark.parametrize("grace_s", [0, 1])
async def test_the_orders_of_a_strategy_that_is_killed_are_cancelled(
    still_server: ServerProcess, grace_s: int
) -> None:
    """After kill -9 of the client its orders that rest are cancelled, with a grace or without, and nobody else's."""
    async with connect(still_server.address) as channel, asyncio.timeout(60):
        await create_account(channel, "one")
        await Trader(channel, "one", "others").place(buy("BTC/USDT", "50"))
        strategy = await start_strategy(still_server.address, grace_s, "hang")
        assert await states(channel) == {
            "others-1": RESTS, "leased-0": RESTS, "leased-1": RESTS, "leased-2": FILLED,
        }  # fmt: skip
        call = follow(channel, account_ids=["one"], start_position=EARLIEST)
        strategy.kill()
        await strategy.wait()
        ended: set[str] = set()
        async for message in messages(call):
            ended |= {
                event.order.order.client_order_id
                for event in message.batch.events
                if event.order.order.state == CANCELED
            }
            if len(ended) == 2:
                break
        await leave(call)
        assert await states(channel) == {
            "others-1": RESTS, "leased-0": CANCELED, "leased-1": CANCELED, "leased-2": FILLED,
        }  # fmt: skip


@pytest.mark.parametrize("end", ["close", "keep"])
async def test_the_orders_of_a_strategy_that_ends_in_order_stay(
    still_server: ServerProcess, end: str
) -> None:
    """A client that closes its stream has let its lease go, and so has one that says so before it is killed."""
    async with connect(still_server.address) as channel, asyncio.timeout(60):
        await create_account(channel, "one")
        strategy = await start_strategy(still_server.address, 0, end)
        await strategy.communicate(b"\n")
        assert strategy.returncode == 0
        assert (await states(channel))["leased-0"] == RESTS
        await asyncio.to_thread(still_server.terminate)
        await asyncio.to_thread(still_server.start)
        async with connect(still_server.address) as again:
            found = await states(again)
    assert (found["leased-0"], found["leased-1"]) == (RESTS, RESTS)


async def test_a_gateway_that_goes_down_carries_leases_out(still_server: ServerProcess) -> None:
    """A drain ends the streams of order entry; the orders of one with a lease are cancelled before the gateway ends,
    whatever grace is left."""
    async with connect(still_server.address) as channel:
        await create_account(channel, "one")
    strategy = await start_strategy(still_server.address, 60, "hang")
    try:
        assert await asyncio.to_thread(still_server.terminate) == 0
    finally:
        with suppress(ProcessLookupError):
            strategy.kill()
        await strategy.wait()
    await asyncio.to_thread(still_server.start)
    async with connect(still_server.address) as channel:
        found = await states(channel)
    assert (found["leased-0"], found["leased-1"]) == (CANCELED, CANCELED)
