"""One wrapper around every method of the contract, and the table that registers them by the descriptors.

gRPC hands bytes over and gets bytes back: the wrapper parses, so that bytes that do not parse are INVALID_ARGUMENT
and not gRPC's INTERNAL, and what is stored goes out as stored. A service's module has one coroutine method an RPC,
named in snake case, and nothing of gRPC:

    unary            async def place_order(self, request, client) -> bytes | Message
    server stream    async def stream_events(self, request, stream) -> None
    client stream    async def push_market_data(self, requests, stream) -> bytes | Message
    both             async def stream_order_entry(self, requests, stream) -> None
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.ports.clock import Clock
from brokergate.transport.auth import current_principal
from brokergate.transport.calls import Calls, Stream, StreamEnded
from brokergate.transport.clients import Clients
from brokergate.transport.failures import translate
from brokergate.transport.status import refuse, rpc_status
from brokergate.v1 import (
    account_service_pb2,
    broker_service_pb2,
    event_service_pb2,
    instrument_service_pb2,
    market_data_service_pb2,
    order_service_pb2,
    position_service_pb2,
    simulator_service_pb2,
    trading_control_service_pb2,
)

MAX_REFUSALS_LOGGED: Final = 10
"""Lines a second about callers who are turned away, and as many about calls that a failed journal refuses."""

NS_PER_S: Final = 1_000_000_000

_JOURNAL_FAILED: Final = frozenset({ErrorReason.JOURNAL_UNAVAILABLE, ErrorReason.OUTCOME_UNKNOWN})

M = TypeVar("M", bound=Message)
Answer = bytes | Message

SERVICES: Final[Sequence[ServiceDescriptor]] = tuple(
    module.DESCRIPTOR.services_by_name[name]
    for module, name in (
        (order_service_pb2, "OrderService"),
        (position_service_pb2, "PositionService"),
        (account_service_pb2, "AccountService"),
        (event_service_pb2, "EventService"),
        (broker_service_pb2, "BrokerService"),
        (instrument_service_pb2, "InstrumentService"),
        (market_data_service_pb2, "MarketDataService"),
        (trading_control_service_pb2, "TradingControlService"),
        (simulator_service_pb2, "SimulatorService"),
    )
)
"""The services of the contract."""

_upper = re.compile("(?<!^)(?=[A-Z])")
_request_id = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII).fullmatch


def method_name(rpc: str) -> str:
    """`PlaceOrder` as the services' modules name it: `place_order`."""
    return _upper.sub("_", rpc).lower()


class Requests(Generic[M]):
    """The messages that a client streams, parsed one by one."""

    def __init__(self, kind: type[M], context: Any, stream: Stream) -> None:
        self._kind = kind
        self._context = context
        self._stream = stream

    async def read(self) -> M | None:
        """The next message; None when the client has half-closed. Raises GatewayError MALFORMED_MESSAGE, and
        StreamEnded as `Stream.wait`."""
        body = await self._stream.wait(self._context.read())
        return None if body is grpc.aio.EOF else parse(self._kind, body)


class _Pace:
    """So many lines a second; the others are counted."""

    def __init__(self) -> None:
        self._since_ns = 0
        self._lines = 0
        self._unlogged = 0

    def passes(self, now_ns: int) -> bool:
        """Whether one more line may be written."""
        if now_ns - self._since_ns >= NS_PER_S:
            self._since_ns, self._lines = now_ns, 0
        self._lines += 1
        if self._lines <= MAX_REFUSALS_LOGGED:
            return True
        self._unlogged += 1
        return False

    def unlogged(self) -> int:
        """How many were not written since the last one that was."""
        count, self._unlogged = self._unlogged, 0
        return count


class Reporter:
    """Logs what became of calls. Nothing of a request but its account and ids, nothing of its headers but the id."""

    def __init__(self, log: Any, clock: Clock, rng: random.Random) -> None:
        self._log = log
        self.monotonic_ns = clock.monotonic_ns
        self._prefix = f"{rng.getrandbits(40):010x}"
        self._calls = 0
        self._refusals = _Pace()
        self._unwritten = _Pace()

    @property
    def each_call(self) -> bool:
        """Whether every call is logged."""
        return bool(self._log.is_enabled_for(10))

    def succeeded(self, method: str, request: Any, context: Any, began_ns: int) -> None:
        """Logs a call at the level debug."""
        self._log.debug("call", **self._facts(method, request, context, began_ns), status="OK")

    def failed_command(self, method: str, command: Any, error: Exception) -> GatewayError:
        """As `failed`, for one command of a stream."""
        return self.failed(method, command, None, self.monotonic_ns(), error)

    def failed(
        self, method: str, request: Any, context: Any, began_ns: int, error: Exception
    ) -> GatewayError:
        """Logs a call that failed, a fault of ours with its traceback, and says what its caller is told."""
        facts = self._facts(method, request, context, began_ns)
        told = translate(error, facts["request_id"])
        facts |= {"status": told.code.name, "reason": told.reason.name, "error_class": type(error).__name__}
        if told.reason is ErrorReason.INTERNAL:
            self._log.error("call failed", **facts, exc_info=error)
        elif told.reason in _JOURNAL_FAILED:
            # The disk that the log is on may be the one that is full.
            if self._unwritten.passes(self.monotonic_ns()):
                self._log.error(
                    "call refused", **facts, message=str(error), unlogged=self._unwritten.unlogged()
                )
        elif self.each_call:
            self._log.debug("call refused", **facts, message=told.message)
        return told

    def refused(self, method: str, error: GatewayError) -> None:
        """Logs a caller who was turned away. Those who knock all day are counted: the log is not theirs to fill."""
        if self._refusals.passes(self.monotonic_ns()):
            facts = {"method": method[:128], "reason": error.reason.name, "message": error.message}
            self._log.warning("caller refused", **facts, unlogged=self._refusals.unlogged())

    def _facts(self, method: str, request: Any, context: Any, began_ns: int) -> dict[str, Any]:
        facts: dict[str, Any] = {"method": method, "request_id": self._request_id(context)}
        for name in ("account_id", "route_id", "client_order_id"):
            if value := getattr(request, name, ""):
                facts[name] = value[:64]
        try:
            facts["principal"] = current_principal().name
        except (GatewayError, LookupError):
            facts["principal"] = ""
        facts["duration_ms"] = round((self.monotonic_ns() - began_ns) / 1e6, 3)
        return facts

    def _request_id(self, context: Any) -> str:
        for key, value in context.invocation_metadata() if context is not None else ():
            if key == "x-request-id" and isinstance(value, str) and _request_id(value):
                return value
        self._calls += 1
        return f"{self._prefix}-{self._calls}"


class Wrapper:
    """Makes gRPC handlers of the services' methods."""

    def __init__(self, calls: Calls, reporter: Reporter) -> None:
        self._calls = calls
        self._reporter = reporter
        self._clients = Clients()

    def handlers(self, service: ServiceDescriptor, implementation: object) -> grpc.GenericRpcHandler:
        """The handlers of all of the service's RPCs. Raises AttributeError where `implementation` lacks one."""
        table = {
            method.name: self._handler(method, getattr(implementation, method_name(method.name)))
            for method in service.methods
        }
        return grpc.method_handlers_generic_handler(service.full_name, table)

    def _handler(self, method: MethodDescriptor, behaviour: Any) -> Any:
        path = f"/{method.containing_service.full_name}/{method.name}"
        kind = GetMessageClass(method.input_type)
        if not (method.client_streaming or method.server_streaming):
            return grpc.unary_unary_rpc_method_handler(self.unary(path, kind, behaviour))
        return self.streaming(path, kind, behaviour, method.client_streaming, method.server_streaming)

    def unary(self, path: str, kind: type[M], behaviour: Callable[..., Awaitable[Answer]]) -> Any:
        """The gRPC behaviour of a unary method."""
        calls, reporter, read = self._calls, self._reporter, kind.FromString
        client_of = self._clients.of
        now, name = reporter.monotonic_ns, kind.DESCRIPTOR.full_name

        async def serve(body: bytes, context: Any) -> bytes:
            began_ns = now()
            request = None
            entered = False
            try:
                calls.enter()
                entered = True
                try:
                    request = read(body)
                except DecodeError:
                    raise _malformed(name) from None
                answer = await behaviour(request, client_of(context))
                if reporter.each_call:
                    reporter.succeeded(path, request, context, began_ns)
                return answer if answer.__class__ is bytes else answer.SerializeToString()  # type: ignore[union-attr]
            except Exception as error:  # noqa: BLE001 - every one is answered, and logged where it is ours
                told = reporter.failed(path, request, context, began_ns, error)
            finally:
                if entered:
                    calls.leave()
            status = rpc_status(told)
            await context.abort(status.code, status.message, status.trailing_metadata)
            raise AssertionError("abort returned")

        return serve

    def streaming(
        self,
        path: str,
        kind: type[M],
        behaviour: Callable[..., Awaitable[Answer | None]],
        reads: bool,
        writes: bool,
    ) -> Any:
        """The gRPC handler of a method that streams. A client stream's one answer is its behaviour's result."""

        async def serve(incoming: Any, context: Any) -> bytes | None:
            began_ns = self._reporter.monotonic_ns()
            request: Any = None
            stream = None
            try:
                stream = self._calls.open(context, self._clients.of(context))
                request = Requests(kind, context, stream) if reads else parse(kind, incoming)
                answer = await behaviour(request, stream)
                if self._reporter.each_call:
                    self._reporter.succeeded(path, request, context, began_ns)
                return answer.SerializeToString() if isinstance(answer, Message) else answer
            except StreamEnded as end:
                if writes and end.error.reason is ErrorReason.SHUTTING_DOWN:
                    return None
                told = self._reporter.failed(path, request, context, began_ns, end.error)
            except grpc.aio.InternalError:
                # Nearly always the client went away while something was written to it, and the abort below finds
                # nobody either. One that is still there learns that its stream broke.
                told = GatewayError(ErrorReason.INTERNAL, "the stream broke; resume after the last cursor")
            except Exception as error:  # noqa: BLE001 - every one is answered, and logged where it is ours
                told = self._reporter.failed(path, request, context, began_ns, error)
            finally:
                if stream is not None:
                    self._calls.close(stream)
            if stream is None:
                await refuse(context, told)
            else:
                status = rpc_status(told)
                try:
                    await stream.abort(status.code, status.message, status.trailing_metadata)
                except grpc.aio.InternalError:
                    # Told that the call is cancelled, which it is, gRPC writes no traceback into the log.
                    raise asyncio.CancelledError from None
            return None

        if reads and writes:
            return grpc.stream_stream_rpc_method_handler(serve)
        if reads:
            return grpc.stream_unary_rpc_method_handler(serve)
        return grpc.unary_stream_rpc_method_handler(serve)


def parse(kind: type[M], body: bytes) -> M:
    """`body` as a message. Raises GatewayError MALFORMED_MESSAGE."""
    try:
        return kind.FromString(body)
    except DecodeError:
        raise _malformed(kind.DESCRIPTOR.full_name) from None


def _malformed(name: str) -> GatewayError:
    return GatewayError(ErrorReason.MALFORMED_MESSAGE, f"the bytes are not a {name}")


def register(wrapper: Wrapper, implementations: Mapping[str, object]) -> tuple[grpc.GenericRpcHandler, ...]:
    """Handlers for every service of the contract; `implementations` is by the service's short name (`OrderService`).

    Raises KeyError or AttributeError where a service or an RPC is not implemented.
    """
    return tuple(wrapper.handlers(service, implementations[service.name]) for service in SERVICES)
