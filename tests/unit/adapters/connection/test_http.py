"""Requests are sent at most once, as they are given, and end in an answer, in NotSent or in OutcomeUnknown."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from brokergate.adapters.connection.errors import NotSent, OutcomeUnknown
from brokergate.adapters.connection.http import HttpClient
from brokergate.adapters.connection.manager import ConnectionManager
from brokergate.adapters.connection.stream import StreamClient
from brokergate.domain.errors import BrokerError
from brokergate.ports.clock import SystemClock
from brokergate.resilience.timeouts import Timeouts
from tests.unit.adapters.connection.wires import OK, Answer, RawServer, Received, fine, never, raw, raw_server
from tests.unit.adapters.paper.hand_clock import WALL_NS, HandClock
from tests.unit.transport.certificates import Authority

SHORT = Timeouts(connect_s=0.3, read_s=0.3, total_s=0.6)
BODY = b'{"qty": "1"}'
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with raw_server() as made:
        yield made


@pytest.fixture
async def connections() -> AsyncIterator[ConnectionManager]:
    async with ConnectionManager() as made:
        yield made


@pytest.fixture
def client(server: RawServer, connections: ConnectionManager) -> HttpClient:
    return connections.http("venue", "key", server.url, SHORT)


# As it is given


async def test_what_leaves_is_what_was_given(server: RawServer, client: HttpClient) -> None:
    """A signature covers the very bytes: nothing is encoded, decoded, sorted or added."""
    target = "/v1/order?b=%2Cx%20y&a=1+2&A=a%7Cb&e=&sig=%2F%2B%3D"
    reply = await client.send("POST", target, headers={"X-Key": "k"}, body=BODY)
    assert (reply.status, reply.body) == (200, b"ok")
    host = f"127.0.0.1:{server.port}"
    (received,) = server.requests
    assert received.body == BODY
    assert sorted(received.head.decode().strip().split("\r\n")) == sorted(
        [
            f"POST {target} HTTP/1.1",
            f"Host: {host}",
            "X-Key: k",
            "Accept-Encoding: gzip, deflate",
            f"Content-Length: {len(BODY)}",
        ]
    )


async def test_headers_of_an_answer_are_found_however_they_are_written(
    server: RawServer, client: HttpClient
) -> None:
    server.answer = raw(b"HTTP/1.1 429 Slow Down\r\nRETRY-After: 7\r\nContent-Length: 0\r\n\r\n")
    reply = await client.send("GET", "/", headers={})
    assert (reply.status, reply.headers["Retry-After"], reply.headers["retry-after"]) == (429, "7", "7")


async def test_an_answer_says_when_it_was_asked_for_and_when_it_came(server: RawServer) -> None:
    """Without the wait for a connection: what is between is the way to the venue and back, for its clock's offset."""
    clock = HandClock()
    async with ConnectionManager(clock) as connections:
        client = connections.http("venue", "key", server.url, SHORT)

        async def later(request: Received, writer: asyncio.StreamWriter) -> None:
            await clock.advance(2)
            await fine(request, writer)

        server.answer = later
        await clock.advance(1)
        reply = await client.send("GET", "/", headers={})
    assert (reply.sent_ns, reply.received_ns) == (WALL_NS + 1_000_000_000, WALL_NS + 3_000_000_000)


async def test_html_and_server_errors_are_answers(server: RawServer, client: HttpClient) -> None:
    """What a status means is for the adapter to say."""
    page = b"<html>Bad Gateway</html>"
    server.answer = raw(b"HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\nContent-Length: 24\r\n\r\n" + page)
    reply = await client.send("POST", "/", headers={}, body=BODY)
    assert (reply.status, reply.body) == (502, page)


async def test_cookies_are_not_kept(server: RawServer, client: HttpClient) -> None:
    server.answer = raw(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n", close=False)
    await client.send("GET", "/", headers={})
    await client.send("GET", "/", headers={})
    assert [b"ookie" in request.head for request in server.requests] == [False, False]


async def test_the_environments_proxy_is_not_asked(
    server: RawServer, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await client.send("GET", "/", headers={})).status == 200


# Once


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer(server: RawServer, client: HttpClient, status: int) -> None:
    server.answer = raw(b"HTTP/1.1 %d Away\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n" % status)
    reply = await client.send("POST", "/here", headers={}, body=BODY)
    assert (reply.status, reply.headers["Location"], len(server.requests)) == (status, "/there", 1)


def drops_the_second() -> Answer:
    """Keeps the connection after the first request, and drops it when the second has come, as a venue does that
    restarts."""

    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        if request.connection == 0 and request.line.endswith(b"/second HTTP/1.1"):
            writer.close()
        else:
            await fine(request, writer)

    return answer


@pytest.mark.parametrize("method", METHODS)
async def test_a_dropped_kept_connection_repeats_nothing(
    server: RawServer, client: HttpClient, method: str
) -> None:
    """The venue has one body of the second request, whatever the method: the next one would be another order."""
    server.answer = drops_the_second()
    await client.send("GET", "/first", headers={})
    with pytest.raises(OutcomeUnknown):
        await client.send(method, "/second", headers={}, body=BODY)
    seconds = [request for request in server.requests if b"/second" in request.line]
    assert [(request.body, request.connection) for request in seconds] == [(BODY, 0)]
    assert (await client.send("GET", "/third", headers={})).status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_the_library_alone_would_repeat(server: RawServer, method: str) -> None:
    """What the test above guards against is there: left alone, aiohttp sends a second body."""
    server.answer = drops_the_second()
    async with aiohttp.ClientSession() as session:
        await session.get(server.url + "/first")
        await session.request(method, server.url + "/second", data=BODY)
    seconds = [request for request in server.requests if b"/second" in request.line]
    assert [request.body for request in seconds] == [BODY, BODY]


async def test_a_connection_that_the_venue_closed_meanwhile_is_not_used(
    server: RawServer, client: HttpClient
) -> None:
    """One that was dropped while it idled is seen before anything is sent on it."""
    server.answer = raw(OK)
    for _ in range(3):
        assert (await client.send("POST", "/", headers={}, body=BODY)).status == 200
        await asyncio.sleep(0.02)
    assert [request.connection for request in server.requests] == [0, 1, 2]


async def test_connections_are_kept(server: RawServer, client: HttpClient) -> None:
    for _ in range(3):
        await client.send("POST", "/", headers={}, body=BODY)
    assert server.connections == 1


async def test_what_comes_after_an_answer_answers_nothing(server: RawServer, client: HttpClient) -> None:
    """Bytes beyond the length of an answer are not the answer to the next request."""
    server.answer = raw(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong", close=False)
    assert (await client.send("GET", "/first", headers={})).body == b"ok"
    server.answer = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond", close=False)
    try:
        body = (await client.send("GET", "/second", headers={})).body
    except OutcomeUnknown:
        body = b"unknown"
    assert body in (b"second", b"unknown")


# Nothing left


async def expect_not_sent(client: HttpClient) -> str:
    with pytest.raises(NotSent) as caught:
        await client.send("POST", "/order", headers={"X-Key": "s3cret"}, body=BODY)
    return str(caught.value)


async def test_a_name_that_nobody_has(connections: ConnectionManager) -> None:
    client = connections.http("venue", "key", "http://no-such-host.invalid", SHORT)
    assert "no-such-host.invalid" in await expect_not_sent(client)


async def test_a_refused_connection(connections: ConnectionManager) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = connections.http("venue", "key", f"http://127.0.0.1:{taken.getsockname()[1]}", SHORT)
        await expect_not_sent(client)


async def test_a_host_that_does_not_answer(connections: ConnectionManager) -> None:
    """A queue of connections that is full answers to none."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            waiting.append(one)
        client = connections.http("venue", "key", f"http://127.0.0.1:{full.getsockname()[1]}", SHORT)
        try:
            assert "timeout" in await expect_not_sent(client)
        finally:
            for one in waiting:
                one.close()


async def speak_plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@pytest.mark.parametrize("meet", [speak_plain, hold])
async def test_tls_that_comes_to_nothing(connections: ConnectionManager, meet: object) -> None:
    """Before both agree on a cipher no byte of a request can leave."""
    server = await asyncio.start_server(meet, "127.0.0.1", 0)  # type: ignore[arg-type]
    async with server:
        port = server.sockets[0].getsockname()[1]
        await expect_not_sent(connections.http("venue", "key", f"https://127.0.0.1:{port}", SHORT))


async def test_a_certificate_that_nobody_vouches_for(connections: ConnectionManager, tmp_path: Path) -> None:
    """Who shows one gets no request, and no stream."""
    pair = Authority(tmp_path).sign("venue")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    met = 0

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal met
        met += 1
        writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await expect_not_sent(connections.http("venue", "key", f"https://localhost:{port}", SHORT))
        with pytest.raises(NotSent):
            await StreamClient.connect(f"wss://localhost:{port}/", clock=SystemClock())
    assert met == 0


async def test_a_pool_that_is_busy(server: RawServer, connections: ConnectionManager) -> None:
    """Who waits for a place in the pool until his time is over has sent nothing."""
    all_busy = asyncio.Event()

    async def never_again(request: Received, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 64:
            all_busy.set()
        await never(request, writer)

    server.answer = never_again
    patient = connections.http("venue", "key", server.url, Timeouts(5, 5, 5))
    busy = [asyncio.create_task(patient.send("GET", "/busy", headers={})) for _ in range(64)]
    await all_busy.wait()
    hasty = connections.http("venue", "key", server.url, SHORT)
    await expect_not_sent(hasty)
    assert len(server.requests) == 64
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)


async def test_after_the_manager_was_closed(server: RawServer) -> None:
    async with ConnectionManager() as connections:
        client = connections.http("venue", "key", server.url, SHORT)
    await expect_not_sent(client)
    assert server.requests == []


# Nobody knows

HALF: dict[str, Answer] = {
    "no answer": never,
    "closed at once": raw(),
    "no end of the head": raw(b"HTTP/1.1 200 OK\r\nContent-"),
    "not http": raw(b"\x00\x01\x02 nonsense\r\n\r\n"),
    "a status of letters": raw(b"HTTP/1.1 abc OK\r\n\r\n"),
    "cut in the body": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    "waits in the body": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", close=False),
    "cut in a chunk": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"),
    "a chunk of letters": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "two lengths": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!"),
    "a length of letters": raw(b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok"),
    "a length below zero": raw(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"),
    "not gzip": raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok"),
    "a head without end": raw(b"HTTP/1.1 200 OK\r\n", *[b"X-%d: y\r\n" % i for i in range(100_000)]),
    "one long header": raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n"),
    "slow loris": raw(*[bytes([byte]) for byte in OK], pause_s=0.1),
}


@pytest.mark.parametrize("fault", HALF)
async def test_an_answer_that_is_not_whole(server: RawServer, client: HttpClient, fault: str) -> None:
    """It has arrived, and what came of it nobody said: unknown, and not sent again."""
    server.answer = HALF[fault]
    with pytest.raises(OutcomeUnknown):
        await client.send("POST", "/order", headers={}, body=BODY)
    assert [request.body for request in server.requests] == [BODY]


async def test_a_gigantic_answer_is_not_read(server: RawServer, connections: ConnectionManager) -> None:
    sent = 0

    async def flood(request: Received, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    server.answer = flood
    client = connections.http("venue", "key", server.url, max_body_bytes=1_000_000)
    with pytest.raises(OutcomeUnknown, match="longer than 1000000 bytes"):
        await client.send("POST", "/order", headers={}, body=BODY)
    assert sent < 64_000_000


async def test_a_small_answer_that_unpacks_to_a_gigantic_one_is_not_read(
    server: RawServer, connections: ConnectionManager
) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    server.answer = raw(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb), bomb
    )
    client = connections.http("venue", "key", server.url, max_body_bytes=1_000_000)
    with pytest.raises(OutcomeUnknown, match="longer than"):
        await client.send("POST", "/order", headers={}, body=BODY)


# Secrets


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1", "https://127.0.0.1:1"])
@pytest.mark.parametrize("fault", ["cut in the body", "not http", "closed at once"])
async def test_errors_hold_nothing_of_the_request(
    server: RawServer, connections: ConnectionManager, url: str, fault: str
) -> None:
    """Neither key nor signature, neither in the text nor in what a traceback leads to (law 10)."""
    server.answer = HALF[fault]
    client = connections.http("venue", "key", url or server.url, SHORT)
    secrets = ("s3cret", "s1gnature", "p4ssword")
    key, signature, password = secrets
    with pytest.raises(BrokerError) as caught:
        await client.send("POST", f"/o?sig={signature}", headers={"X-Key": key}, body=password.encode())
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert caught.value.__context__ is None
    for secret in secrets:
        assert secret not in shown
