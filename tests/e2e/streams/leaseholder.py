"""A strategy with a lease: `python -m tests.e2e.streams.leaseholder ADDRESS ACCOUNT GRACE_S END`.

Places two orders that rest and one that fills over one stream of order entry, with `cancel_on_disconnect`, writes a
line when they are there, and waits for a line on its standard input. Then it ends by `END`: `close` half-closes the
stream and reads it to its end, `keep` lets the lease go before, `hang` waits to be killed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import grpc

from brokergate.v1 import order_pb2, order_service_pb2_grpc
from tests.e2e.streams.trading import SYMBOLS, buy, connect


async def main(address: str, account_id: str, grace_s: int, end: str) -> None:
    """Places, says so, and ends as it was told."""
    channel = connect(address)
    orders: Any = order_service_pb2_grpc.OrderServiceStub(channel)
    stream = orders.StreamOrderEntry()
    request = order_pb2.StreamOrderEntryRequest()
    request.cancel_on_disconnect.enabled = True
    request.cancel_on_disconnect.grace.seconds = grace_s
    for number, limit_price in enumerate(("50", "60", "")):
        command = request.commands.add(request_id=str(number))
        command.place.account_id = account_id
        command.place.client_order_id = f"leased-{number}"
        command.place.order.CopyFrom(buy(SYMBOLS[0], limit_price))
    await stream.write(request)
    results = 0
    while results < 3:
        results += len((await stream.read()).results)
    print("placed", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    if end == "keep":
        await stream.write(
            order_pb2.StreamOrderEntryRequest(
                cancel_on_disconnect=order_pb2.CancelOnDisconnect(enabled=False)
            )
        )
    elif end == "hang":
        await asyncio.Event().wait()
    await stream.done_writing()
    while await stream.read() is not grpc.aio.EOF:
        pass
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
