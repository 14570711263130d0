from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from brokergate.transport.methods import SERVICES
from brokergate.transport.settings import TransportSettings
from tests.unit.transport.conftest import LOOPBACK, Serve, Served
from tests.unit.transport.test_auth import reach

Request = reflection_pb2.ServerReflectionRequest
NAMES = {
    *(service.full_name for service in SERVICES),
    "grpc.health.v1.Health",
    "grpc.channelz.v1.Channelz",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}


async def ask(served: Served, version: str, request: Request) -> reflection_pb2.ServerReflectionResponse:
    call: Any = served.channel().stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        Request.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    stream = call(iter([request]), timeout=20)
    answers = [answer async for answer in stream]
    assert len(answers) == 1
    answer: reflection_pb2.ServerReflectionResponse = answers[0]
    return answer


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_and_describes_everything_served(served: Served, version: str) -> None:
    """Both versions list every service, and give for each a file that defines it with all that it imports."""
    listed = await ask(served, version, Request(list_services="*"))
    assert {service.name for service in listed.list_services_response.service} == NAMES
    for name in NAMES:
        answer = await ask(served, version, Request(file_containing_symbol=name))
        files = [
            FileDescriptorProto.FromString(body)
            for body in answer.file_descriptor_response.file_descriptor_proto
        ]
        package, _, service = name.rpartition(".")
        assert files[0].package == package
        assert service in {defined.name for defined in files[0].service}
        given = {file.name for file in files}
        assert {dependency for file in files for dependency in file.dependency} <= given


async def test_what_is_not_there_is_not_found(served: Served) -> None:
    """An unknown symbol is an error in the answer, not the end of the stream."""
    answer = await ask(served, "v1", Request(file_containing_symbol="no.such.Thing"))
    assert answer.error_response.error_code == 5


@pytest.mark.parametrize("on", [True, False])
async def test_reflection_can_be_set(serve: Serve, on: bool) -> None:
    """The setting has reflection and channelz, or does not."""
    served = await serve(TransportSettings(listeners=LOOPBACK, reflection=on))
    for path in (
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.channelz.v1.Channelz/GetServers",
    ):
        assert await reach(served.channel(), path) == ("OK" if on else "UNIMPLEMENTED")


async def test_channelz_shows_the_server(served: Served) -> None:
    """Channelz knows the server and its sockets, and an id that names nothing is an error of the caller's."""
    channel = served.channel()
    assert await reach(channel, "/grpc.channelz.v1.Channelz/GetServers") == "OK"
    assert await reach(channel, "/grpc.channelz.v1.Channelz/GetServer") == "INVALID_FIELD"


async def grpcurl_says(grpcurl: Path, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        grpcurl, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return out.decode()


async def test_the_real_grpcurl_finds_its_way(served: Served, grpcurl: Path) -> None:
    """grpcurl lists the services, describes one, calls it from JSON, and shows an error's details."""
    listed = await grpcurl_says(grpcurl, "-plaintext", served.address, "list")
    assert set(listed.split()) == NAMES
    described = await grpcurl_says(grpcurl, "-plaintext", served.address, "describe")
    assert all(name in described for name in NAMES)
    body = (
        '{"account_id": "main", "client_order_id": "g1", "order": {"symbol": "BTC/USDT", "side": "SIDE_BUY", '
        '"type": "ORDER_TYPE_MARKET", "quantity": "1"}}'
    )
    method = "brokergate.v1.OrderService/PlaceOrder"
    assert '"ORDER_STATE_FILLED"' in await grpcurl_says(
        grpcurl, "-plaintext", "-d", body, served.address, method
    )
    refused = await grpcurl_says(grpcurl, "-plaintext", "-d", "{}", served.address, method)
    assert "INVALID_FIELD" in refused
