"""`grpc.health.v1`: the gateway as a whole (''), each service of the contract, and each broker.

The service is our own, on the messages of grpcio-health-checking. That package's servicer forgets a name's watchers
when the first of them leaves, keeps an entry for every name that anybody ever watched, writes to watchers while it
holds the lock that `set` needs (one that does not read stops the server from ever draining), and does not end
watches when the server goes down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2

from brokergate.domain.errors import ErrorReason, GatewayError, shorten
from brokergate.transport.auth import current_principal
from brokergate.transport.calls import Stream, StreamEnded
from brokergate.transport.methods import SERVICES, Wrapper, parse
from brokergate.transport.status import rpc_status

NAME: Final = "grpc.health.v1.Health"
BROKER_PREFIX: Final = "brokergate.broker."

SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

Status = int
"""A `HealthCheckResponse.ServingStatus`."""

_WITHOUT_JOURNAL: Final = frozenset({"InstrumentService", "MarketDataService"})
_JOURNALLED: Final = (
    "",
    *(service.full_name for service in SERVICES if service.name not in _WITHOUT_JOURNAL),
)
"""What cannot be served without the journal."""


class Health:
    """What is served. `set_brokers`, `set_journal` and `shut_down` change it; `handlers` are for the gRPC server."""

    def __init__(self) -> None:
        names = ("", NAME, *(service.full_name for service in SERVICES))
        self._status: dict[str, Status] = dict.fromkeys(names, SERVING)
        self._changed: asyncio.Event = asyncio.Event()
        self._down = False

    def set_brokers(self, healthy: Iterable[tuple[str, bool]]) -> None:
        """Takes over which brokers there are, by name, and whether all their accounts are connected."""
        if self._down:
            return
        for name, connected in healthy:
            self._status[BROKER_PREFIX + name] = SERVING if connected else NOT_SERVING
        self._announce()

    def set_journal(self, failed: bool) -> None:
        """Takes over whether the journal can be written: without it nothing is served but the market."""
        if self._down:
            return
        for name in _JOURNALLED:
            self._status[name] = NOT_SERVING if failed else SERVING
        self._announce()

    def shut_down(self) -> None:
        """Nothing is served any more; watches say so and end."""
        self._down = True
        self._status = dict.fromkeys(self._status, NOT_SERVING)
        self._announce()

    def _announce(self) -> None:
        # Whoever waits holds the old event; a watch that is writing looks at the status again before it waits.
        self._changed.set()
        self._changed = asyncio.Event()

    def handlers(self, wrapper: Wrapper) -> grpc.GenericRpcHandler:
        """The service's handlers."""
        request = health_pb2.HealthCheckRequest
        return grpc.method_handlers_generic_handler(
            NAME,
            {
                "Check": grpc.unary_unary_rpc_method_handler(self._check),
                "Watch": wrapper.streaming(f"/{NAME}/Watch", request, self.watch, reads=False, writes=True),
            },
        )

    async def _check(self, body: bytes, context: Any) -> bytes:
        """Answers while draining too, and for the server as a whole without a token."""
        try:
            request = parse(health_pb2.HealthCheckRequest, body)
            if request.service:
                current_principal()
            status = self._status.get(request.service)
            if status is None:
                raise GatewayError(
                    ErrorReason.BROKER_NOT_FOUND, f"no service or broker {shorten(request.service)!r}"
                )
        except GatewayError as error:
            refusal = rpc_status(error)
            await context.abort(refusal.code, refusal.message, refusal.trailing_metadata)
            raise
        return _response(status)

    async def watch(self, request: health_pb2.HealthCheckRequest, stream: Stream) -> None:
        """Tells the status now and whenever it changes, until the gateway goes down. What nobody has heard of is
        SERVICE_UNKNOWN until it is there, as the protocol has it."""
        told: Status | None = None
        while True:
            changed = self._changed
            status = self._status.get(request.service, NOT_SERVING if self._down else SERVICE_UNKNOWN)
            if status != told:
                await stream.write(_response(status))
                told = status
            if self._down:
                return
            if changed is self._changed:
                await self._next(changed, stream)

    async def _next(self, changed: asyncio.Event, stream: Stream) -> None:
        try:
            await stream.wait(changed.wait())
        except StreamEnded:
            # The gateway goes down: say so first. A token that was revoked ends the watch at once.
            if not self._down:
                raise


def _response(status: Any) -> bytes:
    return health_pb2.HealthCheckResponse(status=status).SerializeToString()
