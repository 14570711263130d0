"""What no gRPC library would send: the gateway goes on serving everybody else."""

from __future__ import annotations

import asyncio
import gzip
import random
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest

from brokergate.v1.account_pb2 import GetAccountRequest
from tests.e2e.badinput.caller import CALL_TIMEOUT_S, Caller
from tests.e2e.badinput.contract import RPCS
from tests.e2e.badinput.house import SEALED, House, expect_ok, state_of
from tests.e2e.badinput.wire import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Wire,
    block,
    call_fields,
    frame,
    headers,
    message,
)

SEED = 20261121

PLACE = RPCS["PlaceOrder"].path
MIB = 1 << 20


@asynccontextmanager
async def good_client(house: House) -> AsyncIterator[None]:
    """Somebody who calls all the while and afterwards, over one connection, and whose every call is answered."""
    answered, done = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        async with house.caller() as caller:
            while not done.is_set():
                await expect_ok(caller, "GetAccount", GetAccountRequest(account_id=SEALED))
                answered.set()
                await asyncio.sleep(0.005)

    async with house.caller() as caller:
        before = await state_of(caller, (SEALED,))
    task = asyncio.create_task(call())
    try:
        await asyncio.wait_for(answered.wait(), CALL_TIMEOUT_S)
        yield
        answered.clear()
        await asyncio.wait_for(answered.wait(), CALL_TIMEOUT_S)
    finally:
        done.set()
        await task
    async with house.caller() as caller:
        assert await state_of(caller, (SEALED,)) == before
    assert house.server.running, house.server.log


async def throw(house: House, *parts: bytes, connections: int = 1, wait_s: float = 0.1) -> list[bytes]:
    """Sends `parts` over raw connections of their own, and gives what the server said to each."""

    def once() -> bytes:
        with Wire(house.server.address) as wire:
            return wire.send(*parts).read_until_closed(wait_s)

    return await asyncio.gather(*(asyncio.to_thread(once) for _ in range(connections)))


OPEN = PREFACE + frame(SETTINGS, 0, 0)


def _started(stream: int = 1) -> bytes:
    return headers(stream, call_fields(PLACE))


def _bomb() -> bytes:
    packed = gzip.compress(b"\0" * (64 * MIB))
    return headers(1, call_fields(PLACE, (b"grpc-encoding", b"gzip"))) + _data(
        1, message(packed, compressed=True)
    )


def _data(stream: int, body: bytes) -> bytes:
    """DATA frames of the size that every peer takes."""
    parts = [body[at : at + 16384] for at in range(0, len(body), 16384)] or [b""]
    return b"".join(
        frame(DATA, END_STREAM if at == len(parts) - 1 else 0, stream, part) for at, part in enumerate(parts)
    )


GARBAGE: dict[str, Callable[[], bytes]] = {
    "HTTP/1.1": lambda: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS where there is none": lambda: (
        bytes.fromhex("160301020001000 1fc0303".replace(" ", "")) + b"\0" * 512
    ),
    "half a preface": lambda: PREFACE[:12],
    "the preface alone": lambda: PREFACE,
    "a preface, then noise": lambda: PREFACE + random.Random(SEED).randbytes(4000),
    "settings of the wrong size": lambda: PREFACE + frame(SETTINGS, 0, 0, b"\0" * 5),
    "settings on a stream": lambda: PREFACE + frame(SETTINGS, 0, 1),
    "a frame that is too long": lambda: OPEN + b"\xff\xff\xff" + bytes(6) + b"\0" * 20000,
    "a frame of an unknown kind": lambda: OPEN + frame(0x77, 0xFF, 1, b"what"),
    "a header block that is none": lambda: OPEN + frame(HEADERS, END_HEADERS, 1, b"\xff" * 200),
    "a header that never ends": lambda: (
        OPEN + frame(HEADERS, END_HEADERS, 1, b"\x00\x7f\xff\xff\xff\xff\x7f")
    ),
    "an index that is not in the table": lambda: OPEN + frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\x7f"),
    "an even stream": lambda: OPEN + headers(2, call_fields(PLACE)),
    "stream zero": lambda: OPEN + headers(0, call_fields(PLACE)),
    "streams that go backwards": lambda: OPEN + _started(9) + _started(3),
    "data before headers": lambda: OPEN + _data(1, message(b"x")),
    "a continuation of nothing": lambda: OPEN + frame(CONTINUATION, END_HEADERS, 1, b"x"),
    "no path": lambda: OPEN + headers(1, [(b":method", b"POST"), (b":scheme", b"http")]),
    "a path of another world": lambda: (
        OPEN + headers(1, call_fields("/../../etc/passwd")) + _data(1, message(b""))
    ),
    "a service that there is not": lambda: (
        OPEN + headers(1, call_fields("/a.b.C/D")) + _data(1, message(b""))
    ),
    "a method that there is not": lambda: (
        OPEN + headers(1, call_fields(PLACE + "Now")) + _data(1, message(b""))
    ),
    "GET": lambda: OPEN + headers(1, [(b":method", b"GET"), *call_fields(PLACE)[1:]]),
    "another content type": lambda: (
        OPEN + headers(1, [*call_fields(PLACE)[:5], (b"content-type", b"text/html")])
    ),
    "names in capitals": lambda: OPEN + headers(1, call_fields(PLACE, (b"X-Shouting", b"1"))),
    "bytes that are no text in a header": lambda: (
        OPEN + headers(1, call_fields(PLACE, (b"x-a", b"\x00\xff\x80")))
    ),
    "base64 that is none": lambda: (
        OPEN + headers(1, call_fields(PLACE, (b"x-bin", b"***"))) + _data(1, message(b""))
    ),
    "a deadline that is none": lambda: OPEN + headers(1, call_fields(PLACE, (b"grpc-timeout", b"soon"))),
    "a deadline in the past": lambda: (
        OPEN + headers(1, call_fields(PLACE, (b"grpc-timeout", b"0n"))) + _data(1, message(b""))
    ),
    "a message shorter than it says": lambda: OPEN + _started() + _data(1, message(b"abc", claimed=1000)),
    "a message of four gigabytes, it says": lambda: (
        OPEN + _started() + _data(1, message(b"abc", claimed=2**32 - 1))
    ),
    "a message longer than it says": lambda: OPEN + _started() + _data(1, message(b"abcdef", claimed=2)),
    "half a prefix": lambda: OPEN + _started() + _data(1, b"\0\0"),
    "no message at all": lambda: OPEN + _started() + _data(1, b""),
    "two messages to a method that takes one": lambda: (
        OPEN + _started() + _data(1, message(b"") + message(b""))
    ),
    "compressed with nothing": lambda: OPEN + _started() + _data(1, message(b"abc", compressed=True)),
    "compressed with noise": lambda: (
        OPEN
        + headers(1, call_fields(PLACE, (b"grpc-encoding", b"gzip")))
        + _data(1, message(b"\x1f\x8bnoise", compressed=True))
    ),
    "a bomb": lambda: OPEN + _bomb(),
    "windows that overflow": lambda: OPEN + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1)) * 3,
    "a window of zero": lambda: OPEN + frame(WINDOW_UPDATE, 0, 0, bytes(4)),
    "goodbye, and on": lambda: OPEN + frame(GOAWAY, 0, 0, bytes(8)) + _started(),
    "ten thousand pings": lambda: OPEN + frame(PING, 0, 0, b"12345678") * 10_000,
    "ten thousand settings": lambda: OPEN + frame(SETTINGS, 0, 0) * 10_000,
    "ten thousand empty data frames": lambda: OPEN + _started() + frame(DATA, 0, 1) * 10_000,
    "ten thousand streams opened and reset": lambda: (
        OPEN
        + b"".join(_started(n) + frame(RST_STREAM, 0, n, struct.pack(">I", 8)) for n in range(1, 20_001, 2))
    ),
    "headers without an end": lambda: (
        OPEN
        + frame(HEADERS, 0, 1, block(call_fields(PLACE)))
        + frame(CONTINUATION, 0, 1, block([(b"x-a", b"y" * 200)]) * 60) * 200
    ),
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_on_a_socket_disturbs_nobody(house: House, name: str) -> None:
    """Garbage on one connection is the matter of that connection: a good client's calls go on beside it."""
    garbage = GARBAGE[name]()
    async with good_client(house):
        await throw(house, garbage, connections=3)


async def test_random_bytes_on_many_sockets_disturb_nobody(house: House) -> None:
    """Two hundred connections that send noise, some of it after a good beginning, are closed or ignored."""
    rng = random.Random(SEED)
    noise = [rng.choice((b"", PREFACE, OPEN)) + rng.randbytes(rng.randrange(1, 3000)) for _ in range(200)]
    async with good_client(house):
        for start in range(0, len(noise), 20):
            await asyncio.gather(*(throw(house, part, wait_s=0.02) for part in noise[start : start + 20]))


def _silent(house: House, stack: ExitStack) -> Iterator[Wire]:
    for said in (
        b"",
        PREFACE,
        OPEN,
        OPEN + _started(),
        OPEN + _started() + frame(DATA, 0, 1, b"\0\0\0\0\x10half"),
    ):
        for _ in range(40):
            yield stack.enter_context(Wire(house.server.address)).send(said)


async def test_clients_that_fall_silent_hold_up_nobody(house: House) -> None:
    """Two hundred connections that stay open and say no more (nothing at all, a preface, headers, half a message)
    leave a good client's calls as they were."""
    with ExitStack() as stack:
        wires = list(_silent(house, stack))
        async with good_client(house):
            await asyncio.sleep(1.0)
        assert len(wires) == 200


async def test_a_thousand_calls_that_never_send_their_message_hold_up_nobody(house: House) -> None:
    """Streams that are opened and never used on one connection are that connection's; another one is served."""
    with Wire(house.server.address) as wire:
        wire.open().send(*(_started(n) for n in range(1, 2001, 2)))
        async with good_client(house):
            await asyncio.sleep(0.5)


async def test_a_compression_bomb_is_refused_before_it_has_grown(house: House) -> None:
    """Some kilobytes of gzip that would be hundreds of megabytes are refused at the message limit, before they are
    unpacked."""
    before = house.memory_mib()
    packed = gzip.compress(bytes(256 * MIB), 9)
    bomb = OPEN + headers(1, call_fields(PLACE, (b"grpc-encoding", b"gzip")))
    bomb += _data(1, message(packed, compressed=True))
    async with good_client(house):
        await throw(house, bomb, connections=8, wait_s=1.0)
    assert house.memory_mib() - before < 64


@pytest.mark.parametrize(
    "path",
    [
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.channelz.v1.Channelz/GetServers",
        "/grpc.channelz.v1.Channelz/GetServer",
        "/grpc.channelz.v1.Channelz/GetSocket",
        "/grpc.channelz.v1.Channelz/GetChannel",
    ],
)
async def test_the_standard_services_refuse_bytes_that_do_not_parse(house: House, path: str) -> None:
    """Health, reflection and channelz answer bytes that do not parse as the gateway's own services do."""
    async with grpc.aio.insecure_channel(house.server.address) as channel:
        for body in (b"\xff", b"\x0a\xff", b"\x0a\x05ab", b"\x0b" * 2000):
            call: Any = channel.stream_stream(path)(metadata=house.metadata(), timeout=10)
            await call.write(body)
            await call.done_writing()
            code = await call.code()
            assert code is grpc.StatusCode.INVALID_ARGUMENT, f"{body!r}: {code} {await call.details()}"
            assert any(key == "grpc-status-details-bin" for key, _ in await call.trailing_metadata())


async def test_a_caller_of_unknown_methods_is_told_so(house: House, caller: Caller) -> None:
    """A method or a service that there is not is UNIMPLEMENTED with a reason."""
    async with grpc.aio.insecure_channel(house.server.address) as channel:
        for path in (
            "/brokergate.v1.OrderService/Nothing",
            "/a.b.C/D",
            "/",
            "/x",
            "/brokergate.v1.OrderService/",
        ):
            invoke: Any = channel.unary_unary(path)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await invoke(b"", metadata=house.metadata(), timeout=10)
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED, path
            assert any(key == "grpc-status-details-bin" for key, _ in refused.value.trailing_metadata()), path
