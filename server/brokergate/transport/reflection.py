"""Server reflection, `v1` and `v1alpha`, and channelz: what grpcurl and its like ask for.

grpcio-reflection has only v1alpha, while clients try v1 first. The two differ in nothing but the package's name, so
one servicer answers under both, and the descriptor of v1 is v1alpha's under its own name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2
from grpc_channelz.v1 import channelz_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from brokergate.transport.calls import Stream
from brokergate.transport.methods import SERVICES, Requests, Wrapper

_ALPHA: Final = "grpc.reflection.v1alpha"
_V1: Final = "grpc.reflection.v1"
_SERVICE: Final = "ServerReflection"
_METHOD: Final = "ServerReflectionInfo"

Request = reflection_pb2.ServerReflectionRequest


class Reflection:
    """Answers from the services that the gateway serves, and from nothing else that the process happens to know."""

    def __init__(self) -> None:
        extra = (health_pb2.DESCRIPTOR, channelz_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR)
        pool = DescriptorPool()
        # Not a service's: with it grpcurl shows an error's details in words.
        for file in (*(service.file for service in SERVICES), *extra, error_details_pb2.DESCRIPTOR):
            _add(pool, file)
        pool.AddSerializedFile(_v1_file().SerializeToString())
        names = [
            *(service.full_name for service in SERVICES),
            *(service.full_name for file in extra for service in file.services_by_name.values()),
            f"{_V1}.{_SERVICE}",
        ]
        self._servicer = ReflectionServicer(names, pool=pool)

    def handlers(self, wrapper: Wrapper) -> tuple[grpc.GenericRpcHandler, ...]:
        """The handlers of both versions."""
        return tuple(
            grpc.method_handlers_generic_handler(
                f"{package}.{_SERVICE}",
                {
                    _METHOD: wrapper.streaming(
                        f"/{package}.{_SERVICE}/{_METHOD}", Request, self.info, reads=True, writes=True
                    )
                },
            )
            for package in (_V1, _ALPHA)
        )

    async def info(self, requests: Requests[Request], stream: Stream) -> None:
        """Answers each request, until the client has no more."""

        async def each() -> AsyncIterator[Request]:
            while (request := await requests.read()) is not None:
                yield request

        answers: Any = self._servicer.ServerReflectionInfo(each(), None)
        async for answer in answers:
            await stream.write(answer.SerializeToString())


def _add(pool: DescriptorPool, file: Any) -> None:
    for dependency in file.dependencies:
        _add(pool, dependency)
    pool.AddSerializedFile(file.serialized_pb)


def _v1_file() -> FileDescriptorProto:
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name = file.name.replace("v1alpha", "v1")
    file.package = _V1
    for field in (field for message in file.message_type for field in message.field if field.type_name):
        field.type_name = field.type_name.replace(_ALPHA, _V1)
    for method in file.service[0].method:
        method.input_type = method.input_type.replace(_ALPHA, _V1)
        method.output_type = method.output_type.replace(_ALPHA, _V1)
    return file
