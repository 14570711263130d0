"""Channelz: what this process's gRPC sockets do, for tools such as grpcdebug."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_channelz.v1 import channelz_pb2
from grpc_channelz.v1.channelz import ChannelzServicer

from brokergate.domain.access import Principal
from brokergate.domain.errors import GatewayError, invalid_field
from brokergate.transport.methods import Answer, Wrapper

_SERVICE: Final[Any] = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"]


class _Outcome:
    """What the servicer says of a failure: it knows a gRPC context only by these two."""

    error: GatewayError | None = None

    def set_code(self, code: grpc.StatusCode) -> None:
        """The details follow."""

    def set_details(self, details: str) -> None:
        """What was wrong: an id that names nothing."""
        self.error = invalid_field("id", details[:200])


def channelz_handlers(wrapper: Wrapper) -> grpc.GenericRpcHandler:
    """The service's handlers, with bytes that do not parse and errors as everywhere here."""
    table: dict[str, Any] = {}
    for method in _SERVICE.methods:
        path = f"/{_SERVICE.full_name}/{method.name}"
        answer = _answer(getattr(ChannelzServicer, method.name))
        serve = wrapper.unary(path, GetMessageClass(method.input_type), answer)
        table[method.name] = grpc.unary_unary_rpc_method_handler(serve)
    return grpc.method_handlers_generic_handler(_SERVICE.full_name, table)


def _answer(servicer: Callable[[Message, Any], Message]) -> Callable[[Message, Principal], Awaitable[Answer]]:
    async def answer(request: Message, _: Principal) -> Answer:
        outcome = _Outcome()
        response = servicer(request, outcome)
        if outcome.error:
            raise outcome.error
        return response

    return answer
