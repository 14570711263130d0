"""A stream of as many fills as are asked for, as fast as gRPC sends them here: what clients are measured with.

Usage: python -m tests.benchmarks.fill_source FILLS

Prints its address. The batches are the contract's, of `BATCH` fills each, and cost next to nothing to make: one is
serialised, and the others differ from it by a number in its bytes. After the last one the stream stands still.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import uvloop

from brokergate.v1 import enums_pb2, event_pb2, fill_pb2, money_pb2, stream_pb2

BATCH = 500
ACCOUNT = "bench"
METHOD = "StreamFills"

_NUMBER = 14
_FIRST = 128
"""A batch's number stands in bits 14 to 27 of its sequences, bytes three and four of their varints."""

_MARK = 0x3F7E
_MARKED = bytes((_MARK & 127 | 128, _MARK >> 7))
_TEXT_MARK = b"#" * 8
MOST_FILLS = (_MARK - _FIRST) * BATCH


def _batch() -> bytes:
    """A batch whose number is the mark. Its fills are as a gateway sends them."""
    message = event_pb2.StreamFillsResponse(cursor=f"1.benchmark.1.{ACCOUNT}:{_TEXT_MARK.decode()}")
    for index in range(BATCH):
        fill = fill_pb2.Fill(
            fill_id=f"{ACCOUNT}-1-f{_TEXT_MARK.decode()}{index:03}",
            order_id=f"{ACCOUNT}-1-o{index}",
            client_order_id="01M7ZAJ8DT9MR9R2HQD4X62A3T",
            broker_order_id=f"{index}",
            broker_execution_id=f"{index}",
            account_id=ACCOUNT,
            symbol="BTC/USDT",
            side=enums_pb2.SIDE_BUY,
            quantity="0.01000",
            price="59997.89",
            fees=[money_pb2.Money(amount="0.59997890", currency_code="USDT")],
            fees_final=True,
            liquidity=enums_pb2.LIQUIDITY_TAKER,
            origin=enums_pb2.FILL_ORIGIN_LIVE,
            kind=enums_pb2.FILL_KIND_NORMAL,
        )
        for time in (fill.event_time, fill.receive_time):
            time.FromNanoseconds(1_767_571_200_000_000_000 + index)
        message.batch.events.add(
            event_id=f"{ACCOUNT}:{_TEXT_MARK.decode()}{index:03}",
            account_id=ACCOUNT,
            sequence=_MARK << _NUMBER | index,
            cursor=f"1.benchmark.1.{ACCOUNT}:{_TEXT_MARK.decode()}{index:03}",
            fill=event_pb2.FillEvent(fill=fill),
        ).time.CopyFrom(fill.receive_time)
    data = message.SerializeToString()
    assert data.count(_MARKED) == BATCH
    return data


def batches(count: int) -> AsyncIterator[bytes]:
    """`count` batches, whose sequences rise."""
    template = _batch()

    async def make() -> AsyncIterator[bytes]:
        for number in range(_FIRST, _FIRST + count):
            marked = bytes((number & 127 | 128, number >> 7))
            yield template.replace(_TEXT_MARK, b"%08d" % number).replace(_MARKED, marked)

    return make()


async def serve(fills: int) -> None:
    """Serve until somebody ends this process."""

    async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
        opened = stream_pb2.StreamOpened(epoch=1, server_version="benchmark")
        yield event_pb2.StreamFillsResponse(opened=opened).SerializeToString()
        async for message in batches(fills // BATCH):
            yield message
        await asyncio.Event().wait()

    server = grpc.aio.server()
    handler: Any = grpc.unary_stream_rpc_method_handler(stream)
    service = grpc.method_handlers_generic_handler("brokergate.v1.EventService", {METHOD: handler})
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
