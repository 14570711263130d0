"""A gateway in this process that speaks the contract and misbehaves on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from brokergate.v1 import (
    enums_pb2,
    event_pb2,
    event_service_pb2_grpc,
    fill_pb2,
    order_pb2,
    order_service_pb2_grpc,
    stream_pb2,
)

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Callable[[Any, Context], Any]


def fill_event(account_id: str, sequence: int, **fields: Any) -> event_pb2.Event:
    """A fill at a place of an account's journal; its quantity is the sequence, so that a test can see which came."""
    fill = fill_pb2.Fill(
        fill_id=f"{account_id}-{sequence}",
        account_id=account_id,
        symbol="BTC/USDT",
        side=enums_pb2.SIDE_BUY,
        quantity=str(sequence),
        price="60000.10",
    )
    fill.MergeFrom(fill_pb2.Fill(**fields))
    return event_pb2.Event(
        event_id=f"{account_id}:{sequence}",
        account_id=account_id,
        sequence=sequence,
        cursor=f"{account_id}@{sequence}",
        fill=event_pb2.FillEvent(fill=fill),
    )


def opened(cursor: str = "", epoch: int = 1) -> event_pb2.StreamFillsResponse:
    """The first message of a stream."""
    return event_pb2.StreamFillsResponse(cursor=cursor, opened=stream_pb2.StreamOpened(epoch=epoch))


def batch(cursor: str, *events: event_pb2.Event) -> event_pb2.StreamFillsResponse:
    """Events."""
    return event_pb2.StreamFillsResponse(cursor=cursor, batch=event_pb2.EventBatch(events=events))


def caught_up(cursor: str) -> event_pb2.StreamFillsResponse:
    """What follows is live."""
    return event_pb2.StreamFillsResponse(cursor=cursor, caught_up=stream_pb2.CaughtUp())


def heartbeat(cursor: str) -> event_pb2.StreamFillsResponse:
    """Nothing happened."""
    return event_pb2.StreamFillsResponse(cursor=cursor, heartbeat=stream_pb2.Heartbeat())


def closing(cursor: str, reason: int, message: str = "") -> event_pb2.StreamFillsResponse:
    """The gateway ends the stream."""
    said = stream_pb2.StreamClosing(reason=reason, message=message)  # type: ignore[arg-type]
    return event_pb2.StreamFillsResponse(cursor=cursor, closing=said)


async def refuse(
    context: Context,
    code: grpc.StatusCode,
    reason: str,
    message: str = "refused",
    retry_after_s: int | None = None,
    **metadata: str,
) -> None:
    """End a call as the gateway does: with google.rpc details."""
    details = [error_details_pb2.ErrorInfo(domain="brokergate", reason=reason, metadata=metadata)]
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    if retry_after_s is not None:
        packed = AnyMessage()
        packed.Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=retry_after_s)))
        status.details.append(packed)
    trailers = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(code, message, trailers)


MUTE = "mute"
"""In a script: the connection stands and nothing comes."""

Step = event_pb2.StreamFillsResponse | event_pb2.StreamEventsResponse | str | Answer


@dataclass
class FakeGateway:
    """Serves on one port over many lives.

    `place` answers PlaceOrder. `scripts` are the streams to come, one for each connection: messages, `MUTE`, or a
    function that ends the call. After its script a stream stays open and silent. `starts` are the requests.
    """

    place: Answer | None = None
    scripts: list[list[Step]] = field(default_factory=list)
    starts: list[Any] = field(default_factory=list)
    placed: list[order_pb2.PlaceOrderRequest] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    streaming: asyncio.Event = field(default_factory=asyncio.Event)
    address: str = "127.0.0.1:0"
    _server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Serve, on the same port as before."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        order_service_pb2_grpc.add_OrderServiceServicer_to_server(_Orders(self), server)  # type: ignore[abstract]
        event_service_pb2_grpc.add_EventServiceServicer_to_server(_Events(self), server)
        server.add_generic_rpc_handlers((_health(),))
        port = server.add_insecure_port(self.address)
        self.address = f"127.0.0.1:{port}"
        await server.start()
        self._server = server

    async def kill(self) -> None:
        """Drop every connection without a word."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def stream(self, request: Any, context: Context) -> AsyncIterator[Any]:
        """One stream, by the next script."""
        self.starts.append(request)
        self.streaming.set()
        for step in self.scripts.pop(0) if self.scripts else []:
            if callable(step):
                await step(request, context)
            elif step == MUTE:
                break
            else:
                yield step
        await asyncio.Event().wait()


def _health() -> grpc.GenericRpcHandler:
    async def check(request: health_pb2.HealthCheckRequest, context: Context) -> Any:
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)

    handler = grpc.unary_unary_rpc_method_handler(
        check,
        request_deserializer=health_pb2.HealthCheckRequest.FromString,
        response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})


class _Orders(order_service_pb2_grpc.OrderServiceServicer):
    def __init__(self, fake: FakeGateway) -> None:
        self._fake = fake

    async def PlaceOrder(self, request: order_pb2.PlaceOrderRequest, context: Context) -> Any:
        self._fake.placed.append(request)
        self._fake.metadata.append({str(k): str(v) for k, v in context.invocation_metadata() or ()})
        assert self._fake.place is not None
        return await self._fake.place(request, context)


class _Events(event_service_pb2_grpc.EventServiceServicer):
    def __init__(self, fake: FakeGateway) -> None:
        self._fake = fake

    async def StreamFills(self, request: event_pb2.StreamFillsRequest, context: Any) -> AsyncIterator[Any]:
        async for message in self._fake.stream(request, context):
            yield message

    async def StreamEvents(self, request: event_pb2.StreamEventsRequest, context: Any) -> AsyncIterator[Any]:
        async for message in self._fake.stream(request, context):
            yield message
