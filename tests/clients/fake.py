"""A gateway that answers what a scenario says: newer than the clients, or on a bad day.

A script has, for each RPC, its calls one after the other. A call is a list of what happens in it, or one such thing:
`{"answer": {…}}` a message, `{"abort": {…}}` an error with its details, `{"hang": true}` nothing, for as
long as the client waits. A stream whose list is at its end ends without a word. The last call of an RPC is repeated.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from brokergate_client import contract_method
from tests.clients import wire

WAIT_S = 30.0


@dataclass
class _Rpc:
    """What became of the calls of an RPC."""

    requests: list[Message] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    ended: int = 0


class FakeGateway:
    """Serves scripts on one port over many lives. `address` is where."""

    def __init__(self) -> None:
        self.address = "127.0.0.1:0"
        self._server: grpc.Server | None = None
        self._script: dict[str, list[Any]] = {}
        self._seen: dict[str, _Rpc] = {}
        self._changed = threading.Condition()

    def play(self, script: dict[str, list[Any]]) -> None:
        """Begin a script, with nobody having asked for anything."""
        with self._changed:
            self._script = script
            self._seen = {}
        if self._server is None:
            self.start()

    def start(self) -> None:
        """Serve, at the port of before."""
        server = grpc.server(
            futures.ThreadPoolExecutor(64), handlers=[_Handlers(self)], options=[("grpc.so_reuseport", 0)]
        )
        port = server.add_insecure_port(self.address)
        self.address = f"127.0.0.1:{port}"
        server.start()
        self._server = server

    def stop(self) -> None:
        """Break every connection."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def asked(self, rpc: str) -> dict[str, Any]:
        """What was asked of an RPC."""
        with self._changed:
            seen = self._seen.get(rpc, _Rpc())
            return {
                "count": len(seen.requests),
                "requests": [wire.content(request) for request in seen.requests],
                "authorizations": list(seen.authorizations),
                "ended": seen.ended,
            }

    def wait(self, rpc: str, what: str, count: int) -> None:
        """Return once `count` calls of an RPC were asked or have ended (`what`)."""
        deadline = time.monotonic() + WAIT_S
        with self._changed:
            while self.asked_or_ended(rpc, what) < count:
                if not self._changed.wait(deadline - time.monotonic()):
                    raise AssertionError(
                        f"{rpc} was {what} {self.asked_or_ended(rpc, what)} times, not {count}"
                    )

    def asked_or_ended(self, rpc: str, what: str) -> int:
        """How many calls there were, or have ended."""
        seen = self._seen.get(rpc, _Rpc())
        return len(seen.requests) if what == "asked" else seen.ended

    def serve(self, rpc: str, request: Message, context: Any) -> Iterator[Any]:
        """One call."""
        with self._changed:
            seen = self._seen.setdefault(rpc, _Rpc())
            number = len(seen.requests)
            seen.requests.append(request)
            metadata = dict(context.invocation_metadata())
            seen.authorizations.append(str(metadata.get("authorization", "")))
            calls = self._script.get(rpc)
            self._changed.notify_all()

        over = threading.Event()

        def ended() -> None:
            over.set()
            with self._changed:
                seen.ended += 1
                self._changed.notify_all()

        if not context.add_callback(ended):
            ended()
        if calls is None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "not in the script")
            return
        steps = calls[min(number, len(calls) - 1)]
        for step in steps if isinstance(steps, list) else [steps]:
            if "answer" in step:
                yield wire.response(rpc, step["answer"])
            elif "abort" in step:
                _abort(context, {name: _of_request(value, request) for name, value in step["abort"].items()})
            else:
                over.wait()


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, fake: FakeGateway) -> None:
        self._fake = fake

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        rpc = handler_call_details.method.removeprefix("/brokergate.v1.")
        if rpc == handler_call_details.method:
            return None
        method = contract_method(rpc)

        def one(request: Any, context: Any) -> Any:
            return next(self._fake.serve(rpc, request, context), method.response_type())

        def many(request: Any, context: Any) -> Any:
            return self._fake.serve(rpc, request, context)

        make: Any = grpc.unary_stream_rpc_method_handler if method.server_streaming else None
        make = make or grpc.unary_unary_rpc_method_handler
        return make(
            many if method.server_streaming else one,
            request_deserializer=method.request_type.FromString,
            response_serializer=method.response_type.SerializeToString,
        )


def _of_request(value: Any, request: Any) -> Any:
    """`value`, or the field of the request that it names: `$account_id`."""
    return getattr(request, value[1:]) if isinstance(value, str) and value.startswith("$") else value


def _abort(context: Any, error: dict[str, Any]) -> None:
    """End a call as the gateway does, with google.rpc's details; none with `bare`, one more kind with `newer`."""
    code = grpc.StatusCode[error["code"]]
    message = error.get("message", "refused")
    if error.get("garbage"):
        context.set_trailing_metadata((("grpc-status-details-bin", b"\xff\xff\xff"),))
    if error.get("bare") or error.get("garbage"):
        context.abort(code, message)
    info = error_details_pb2.ErrorInfo(
        domain=error.get("domain", "brokergate"),
        reason=error.get("reason", ""),
        metadata=error.get("metadata", {}),
    )
    details: list[Message] = [info]
    if "retry_delay_ms" in error:
        delay = Duration()
        delay.FromMilliseconds(error["retry_delay_ms"])
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if "violations" in error:
        details.append(error_details_pb2.BadRequest(field_violations=error["violations"]))
    status = status_pb2.Status(code=code.value[0], message=message)
    if error.get("newer"):
        status.details.append(AnyMessage(type_url="type.googleapis.com/google.rpc.Newer", value=b"\x0a\x01x"))
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)
