"""The floor: what gRPC alone costs on this machine. `python -m tests.benchmarks.echo FOLDER`.

A bare `grpc.aio` server on the gateway's loop, without interceptors: it parses the same request with the generated
class and answers one prebuilt message of the size of the gateway's own answer, which gRPC serialises (DESIGN section
7). `StreamFills` gives one event a message, as often as the call's metadata ask. Beside this stands a second, lower
floor, `RAW_PLACE`, where bytes come in and prebuilt bytes go out.

The folder holds the answers, one file an RPC, as the gateway gave them. The server writes its address to
`FOLDER/address` once it listens.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import uvloop

from brokergate.v1 import event_pb2, order_pb2

RAW_PLACE = "/echo.Raw/PlaceOrder"
EVENTS_KEY = "echo-events"
"""The metadata that say how many events `StreamFills` gives."""


def order_service(folder: Path) -> grpc.GenericRpcHandler:
    """The echoes of placing orders."""
    placed = order_pb2.PlaceOrderResponse.FromString((folder / "PlaceOrder").read_bytes())
    batch = order_pb2.BatchPlaceOrdersResponse.FromString((folder / "BatchPlaceOrders").read_bytes())
    entered = order_pb2.StreamOrderEntryResponse.FromString((folder / "StreamOrderEntry").read_bytes())

    async def place_order(request: order_pb2.PlaceOrderRequest, context: Any) -> order_pb2.PlaceOrderResponse:
        return placed

    async def batch_place_orders(
        request: order_pb2.BatchPlaceOrdersRequest, context: Any
    ) -> order_pb2.BatchPlaceOrdersResponse:
        return batch

    async def stream_order_entry(
        requests: AsyncIterator[order_pb2.StreamOrderEntryRequest], context: Any
    ) -> None:
        while await context.read() is not grpc.aio.EOF:
            await context.write(entered)

    return grpc.method_handlers_generic_handler(
        "brokergate.v1.OrderService",
        {
            "PlaceOrder": grpc.unary_unary_rpc_method_handler(
                place_order,
                request_deserializer=order_pb2.PlaceOrderRequest.FromString,
                response_serializer=order_pb2.PlaceOrderResponse.SerializeToString,
            ),
            "BatchPlaceOrders": grpc.unary_unary_rpc_method_handler(
                batch_place_orders,
                request_deserializer=order_pb2.BatchPlaceOrdersRequest.FromString,
                response_serializer=order_pb2.BatchPlaceOrdersResponse.SerializeToString,
            ),
            "StreamOrderEntry": grpc.stream_stream_rpc_method_handler(
                stream_order_entry,
                request_deserializer=order_pb2.StreamOrderEntryRequest.FromString,
                response_serializer=order_pb2.StreamOrderEntryResponse.SerializeToString,
            ),
        },
    )


def event_service(folder: Path) -> grpc.GenericRpcHandler:
    """The echo of following fills: one event a message."""
    fill = event_pb2.StreamFillsResponse.FromString((folder / "StreamFills").read_bytes())
    end = event_pb2.StreamFillsResponse(cursor=fill.cursor)
    end.caught_up.SetInParent()

    async def stream_fills(request: event_pb2.StreamFillsRequest, context: Any) -> None:
        for _ in range(int(dict(context.invocation_metadata())[EVENTS_KEY])):
            await context.write(fill)
        await context.write(end)

    return grpc.method_handlers_generic_handler(
        "brokergate.v1.EventService",
        {
            "StreamFills": grpc.unary_stream_rpc_method_handler(
                stream_fills,
                request_deserializer=event_pb2.StreamFillsRequest.FromString,
                response_serializer=event_pb2.StreamFillsResponse.SerializeToString,
            )
        },
    )


def raw_service(folder: Path) -> grpc.GenericRpcHandler:
    """Bytes in, prebuilt bytes out."""
    answer = (folder / "PlaceOrder").read_bytes()

    async def place_order(request: bytes, context: Any) -> bytes:
        return answer

    return grpc.method_handlers_generic_handler(
        "echo.Raw", {"PlaceOrder": grpc.unary_unary_rpc_method_handler(place_order)}
    )


async def serve(folder: Path) -> None:
    """Serves until SIGTERM."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((order_service(folder), event_service(folder), raw_service(folder)))
    port = server.add_insecure_port("127.0.0.1:0")
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await server.start()
    (folder / "address").write_text(f"127.0.0.1:{port}\n", "ascii")
    await ended.wait()
    await server.stop(0)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1])))
