"""Accounts with one key share one session and one stream; everything ends with the manager."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection

from brokergate.adapters.connection import sharing
from brokergate.adapters.connection.errors import NotSent
from brokergate.adapters.connection.manager import ConnectionManager, credential_id
from brokergate.adapters.connection.settings import LONGEST_PROBE_S, http_timeouts, stream_settings
from brokergate.adapters.connection.sharing import StreamReader
from brokergate.adapters.connection.stream import StreamClient, StreamSettings
from brokergate.config.accounts import ConnectionConfig
from brokergate.domain.errors import AuthenticationError, BrokerError
from brokergate.ports.clock import SystemClock
from brokergate.resilience.timeouts import Timeouts
from tests.unit.adapters.connection.wires import Venue, raw_server, read, venue

SETTINGS = StreamSettings(close_timeout_s=0.2)


class Opener:
    """Opens streams to a venue, and counts them."""

    def __init__(self, server: Venue) -> None:
        self.opened = 0
        self._server = server

    async def __call__(self) -> StreamClient:
        self.opened += 1
        return await StreamClient.connect(self._server.url, clock=SystemClock(), settings=SETTINGS)


async def take(reader: StreamReader, count: int) -> list[str | bytes]:
    frames: list[str | bytes] = []
    async for frame in reader:
        frames.append(frame)
        if len(frames) == count:
            break
    return frames


def test_credentials_are_told_apart_and_not_shown() -> None:
    key, secret = SecretStr("key"), SecretStr("secret")
    assert credential_id(key, secret) == credential_id("key", "secret")
    assert credential_id("ab", "c") != credential_id("a", "bc")
    assert "secret" not in credential_id(secret)


async def test_one_session_for_each_credential() -> None:
    """Accounts with one key use the same kept connection; another key has its own."""
    async with raw_server() as server, ConnectionManager() as connections:
        for credential in ("one", "one", "two"):
            await connections.http("venue", credential, server.url).send("GET", "/", headers={})
        assert [request.connection for request in server.requests] == [0, 0, 1]


async def test_what_is_shared_is_made_once() -> None:
    connections = ConnectionManager()
    first = connections.shared(("binance", "weight", "host"), list[int])
    assert connections.shared(("binance", "weight", "host"), list[int]) is first
    assert connections.shared(("binance", "weight", "other"), list[int]) is not first
    await connections.close()


async def test_one_stream_is_told_on_to_all() -> None:
    async with venue() as server, ConnectionManager() as connections:
        opener = Opener(server)
        first, second = await asyncio.gather(
            connections.private_stream("venue", "key", opener),
            connections.private_stream("venue", "key", opener),
        )
        assert opener.opened == 1
        await server.say("a")
        await server.say("b")
        assert await take(first, 2) == await take(second, 2) == ["a", "b"]
        await first.close()
        await server.say("c")
        assert await take(second, 1) == ["c"]
        assert len(server.sockets) == 1


async def test_who_gave_a_stream_up_does_not_come_back_to_it() -> None:
    """It may have been mute; who still reads it loses it, and both are on the new one in the end."""
    async with venue() as server, ConnectionManager() as connections:
        opener = Opener(server)
        left = await connections.private_stream("venue", "key", opener)
        stays = await connections.private_stream("venue", "key", opener)
        await left.give_up()
        assert stays.alive
        back = await connections.private_stream("venue", "key", opener)
        assert "made anew" in await read(stays, [])
        await stays.close()
        after = await connections.private_stream("venue", "key", opener)
        await server.say("news")
        assert await take(back, 1) == await take(after, 1) == ["news"]
        assert (opener.opened, len(server.sockets)) == (2, 1)


async def test_another_credential_has_its_own() -> None:
    async with venue() as server, ConnectionManager() as connections:
        opener = Opener(server)
        await connections.private_stream("venue", "one", opener)
        await connections.private_stream("venue", "two", opener)
        assert opener.opened == 2


async def test_the_last_reader_closes_the_stream_and_the_next_one_opens_another() -> None:
    """One is gone before the next comes: some venues allow one at a time."""
    most = 0

    async def count(socket: ServerConnection) -> None:
        nonlocal most
        most = max(most, len(server.sockets))
        await socket.wait_closed()

    async with venue(count) as server, ConnectionManager() as connections:
        opener = Opener(server)
        for _ in range(3):
            readers = [await connections.private_stream("venue", "key", opener) for _ in range(2)]
            await asyncio.gather(*(reader.close() for reader in readers))
        closing = asyncio.create_task(
            (last := await connections.private_stream("venue", "key", opener)).close()
        )
        await asyncio.sleep(0)
        again = await connections.private_stream("venue", "key", opener)
        await closing
        assert (opener.opened, most, again.alive, last.alive) == (5, 1, True, False)


async def test_all_readers_learn_of_a_loss() -> None:
    async with venue() as server, ConnectionManager() as connections:
        opener = Opener(server)
        readers = [await connections.private_stream("venue", "key", opener) for _ in range(2)]
        await server.say("before")
        server.cut()
        for reader in readers:
            frames: list[str | bytes] = []
            assert "the stream was lost" in await read(reader, frames)
            assert frames == ["before"]
        fresh = await connections.private_stream("venue", "key", opener)
        await server.say("after")
        assert await take(fresh, 1) == ["after"]


async def test_who_cannot_open_it_is_told_why() -> None:
    """Both who waited are; the next one tries again."""
    tries = 0

    async def refused() -> StreamClient:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0)
        raise AuthenticationError("the key is refused")

    async with ConnectionManager() as connections:
        results = await asyncio.gather(
            *(connections.private_stream("venue", "key", refused) for _ in range(2)), return_exceptions=True
        )
        assert [str(result) for result in results] == ["the key is refused"] * 2
        with pytest.raises(AuthenticationError):
            await connections.private_stream("venue", "key", refused)
        assert tries == 2


async def test_one_who_gives_up_waiting_leaves_the_others() -> None:
    go = asyncio.Event()
    async with venue() as server, ConnectionManager() as connections:
        opener = Opener(server)

        async def slow() -> StreamClient:
            await go.wait()
            return await opener()

        hasty = asyncio.create_task(connections.private_stream("venue", "key", slow))
        patient = asyncio.create_task(connections.private_stream("venue", "key", slow))
        await asyncio.sleep(0)
        hasty.cancel()
        await asyncio.gather(hasty, return_exceptions=True)
        go.set()
        assert (await patient).alive


async def test_a_reader_that_falls_behind_is_cut_off_and_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has to fill its gap; the one beside it reads on."""
    monkeypatch.setattr(sharing, "MAX_WAITING", 3)
    async with venue() as server, ConnectionManager() as connections:
        opener = Opener(server)
        slow = await connections.private_stream("venue", "key", opener)
        quick = await connections.private_stream("venue", "key", opener)
        for number in range(5):
            await server.say(str(number))
            assert await take(quick, 1) == [str(number)]
        frames: list[str | bytes] = []
        assert "3 frames behind" in await read(slow, frames)
        assert frames == ["0", "1", "2"]


async def test_the_manager_ends_everything() -> None:
    async with venue() as server, raw_server() as http:
        connections = ConnectionManager()
        reader = await connections.private_stream("venue", "key", Opener(server))
        client = connections.http("venue", "key", http.url)
        await client.send("GET", "/", headers={})
        await connections.close()
        await connections.close()
        assert not reader.alive
        assert await take(reader, 1) == []
        for attempt in (
            client.send("GET", "/", headers={}),
            connections.private_stream("venue", "key", Opener(server)),
        ):
            with pytest.raises(NotSent):
                await attempt
        assert len(http.requests) == 1


async def test_a_mistake_of_one_reader_is_not_the_others() -> None:
    async with venue() as server, ConnectionManager() as connections:
        opener = Opener(server)
        first = await connections.private_stream("venue", "key", opener)
        second = await connections.private_stream("venue", "key", opener)
        await first.close()
        with pytest.raises(BrokerError):
            await first.send("late")
        await second.send("in time")
        assert second.alive


def test_the_bounds_follow_the_accounts_settings() -> None:
    connection = ConnectionConfig(request_timeout_ms=1500, quiet_timeout_ms=4000)
    assert http_timeouts(connection) == Timeouts(1.5, 1.5, 1.5)
    streams = stream_settings(connection)
    assert (streams.connect_timeout_s, streams.quiet_s, streams.probe_timeout_s) == (1.5, 4, 4)
    assert stream_settings(ConnectionConfig()).probe_timeout_s == LONGEST_PROBE_S
