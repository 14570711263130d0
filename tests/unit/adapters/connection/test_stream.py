"""A stream gives its frames and then says why it ended; it is never connected and mute for long."""

from __future__ import annotations

import asyncio
import logging
import traceback
from contextlib import suppress

import pytest
from websockets.asyncio.server import ServerConnection

from brokergate.adapters.connection.errors import NotSent, OutcomeUnknown
from brokergate.adapters.connection.stream import StreamClient, StreamRefused, StreamSettings
from brokergate.domain.errors import TemporaryConnectionError
from brokergate.ports.clock import SystemClock
from tests.unit.adapters.connection.wires import (
    deaf,
    echo,
    listen,
    never,
    raw,
    raw_server,
    read,
    until,
    venue,
)
from tests.unit.adapters.paper.hand_clock import HandClock, settle

CLOCK = SystemClock()
QUICK = StreamSettings(connect_timeout_s=0.3, close_timeout_s=0.2)


async def test_frames_of_both_kinds_go_both_ways() -> None:
    async with venue(echo) as server:
        stream = await StreamClient.connect(server.url, clock=CLOCK, settings=QUICK)
        for frame in ("text", b"\x00binary"):
            await stream.send(frame)
            assert await stream.receive(1) == frame
        await stream.close()


async def test_closing_ends_the_frames_without_an_error() -> None:
    async with venue() as server:
        stream = await StreamClient.connect(server.url, clock=CLOCK, settings=QUICK)
        reading = asyncio.create_task(read(stream, []))
        await settle()
        await stream.close()
        await stream.close()
        assert await reading == ""
        with pytest.raises(OutcomeUnknown):
            await stream.send("late")


async def test_a_venue_that_closes_in_order_is_lost_all_the_same() -> None:
    """Whoever follows the stream has to fill a gap, however politely it ended."""

    async def restarts(socket: ServerConnection) -> None:
        await socket.send("last")
        await socket.close(1001, "restart")

    async with venue(restarts) as server:
        frames: list[str | bytes] = []
        stream = await StreamClient.connect(server.url, clock=CLOCK, settings=QUICK)
        assert (await read(stream, frames)).endswith("the venue closed the stream with 1001: restart")
        assert frames == ["last"]
        await stream.close()


async def test_a_cut_stream_is_lost() -> None:
    async with venue() as server:
        stream = await StreamClient.connect(server.url, clock=CLOCK, settings=QUICK)
        reading = asyncio.create_task(read(stream, []))
        await settle()
        server.cut()
        assert (await reading).endswith("the stream was lost")
        with pytest.raises(TemporaryConnectionError):
            await stream.receive(1)
        await stream.close()


async def test_nothing_in_time() -> None:
    async with venue() as server:
        stream = await StreamClient.connect(server.url, clock=CLOCK, settings=QUICK)
        with pytest.raises(TemporaryConnectionError, match="nothing came"):
            await stream.receive(0.01)
        await stream.close()


# Opening


async def test_a_refusal_says_its_status() -> None:
    async with raw_server(raw(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")) as server:
        with pytest.raises(StreamRefused) as caught:
            await StreamClient.connect(f"ws://127.0.0.1:{server.port}/", clock=CLOCK, settings=QUICK)
    assert caught.value.code == "401"


async def test_nobody_is_followed_elsewhere() -> None:
    """The key goes to the venue that was configured, and to no other."""
    async with raw_server() as elsewhere:
        there = f"ws://127.0.0.1:{elsewhere.port}/"
        answer = raw(f"HTTP/1.1 302 Found\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n".encode())
        async with raw_server(answer) as server:
            with pytest.raises(StreamRefused) as caught:
                await StreamClient.connect(
                    f"ws://127.0.0.1:{server.port}/", clock=CLOCK, headers={"X-Key": "k"}, settings=QUICK
                )
        assert (caught.value.code, elsewhere.connections) == ("302", 0)


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1/", "ws://no-such-host.invalid/", "http://127.0.0.1/"])
async def test_no_connection(url: str) -> None:
    with pytest.raises(NotSent):
        await StreamClient.connect(url, clock=CLOCK, settings=QUICK)


async def test_a_venue_that_does_not_answer_the_opening() -> None:
    secret = "s3cret"
    async with raw_server(never) as server:
        with pytest.raises(NotSent, match="timeout") as caught:
            await StreamClient.connect(
                f"ws://127.0.0.1:{server.port}/", clock=CLOCK, headers={"X-Key": secret}, settings=QUICK
            )
    assert secret not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


# Connected and mute


async def test_a_peer_that_answers_no_ping_is_lost() -> None:
    settings = StreamSettings(ping_interval_s=0.05, ping_timeout_s=0.05, close_timeout_s=0.05)
    async with raw_server(deaf) as server:
        stream = await StreamClient.connect(f"ws://127.0.0.1:{server.port}/", clock=CLOCK, settings=settings)
        assert "the stream was lost" in await read(stream, [])
        await stream.close()


class Probe:
    """Asks for a frame, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, stream: StreamClient) -> None:
        self.asked += 1
        await stream.send("are you there?")


async def came(frames: list[str | bytes], number: int) -> None:
    await until(lambda: len(frames) == number)


WATCHED = StreamSettings(quiet_s=60, probe_timeout_s=10, close_timeout_s=0.2)


async def test_pain_5_a_stream_that_is_connected_and_mute_is_found() -> None:
    """The venue answers pings and tells nothing, not even what it is asked for: after the quiet time and the probe's
    the stream is lost, and says why."""
    clock, probe = HandClock(), Probe()
    async with venue(listen) as server:
        stream = await StreamClient.connect(server.url, clock=clock, settings=WATCHED, probe=probe)
        reading = asyncio.create_task(read(stream, []))
        await clock.advance(59.9)
        assert probe.asked == 0
        await clock.advance(0.2)
        assert probe.asked == 1
        await clock.advance(10)
        assert "connected and mute: nothing came for 70 s" in await reading
        await stream.close()


async def test_a_quiet_stream_that_answers_its_probe_lives() -> None:
    """Nobody trades for an hour: that is no fault of the stream's."""
    clock, probe = HandClock(), Probe()
    async with venue(echo) as server:
        frames: list[str | bytes] = []
        stream = await StreamClient.connect(server.url, clock=clock, settings=WATCHED, probe=probe)
        reading = asyncio.create_task(read(stream, frames))
        for number in range(5):
            await clock.advance(60.1)
            await came(frames, number + 1)
            await clock.advance(10)
        assert not reading.done()
        assert probe.asked == len(frames) >= 4
        await stream.close()
        assert await reading == ""


async def test_a_stream_that_tells_is_not_asked() -> None:
    clock, probe = HandClock(), Probe()
    async with venue() as server:
        frames: list[str | bytes] = []
        stream = await StreamClient.connect(server.url, clock=clock, settings=WATCHED, probe=probe)
        reading = asyncio.create_task(read(stream, frames))
        for number in range(5):
            await clock.advance(40)
            await server.say("news")
            await came(frames, number + 1)
        assert (probe.asked, len(frames)) == (0, 5)
        await stream.close()
        await reading


async def test_a_reader_that_is_busy_makes_no_stream_mute() -> None:
    """While nobody waits for a frame nobody can say that none comes."""
    clock, probe = HandClock(), Probe()
    async with venue() as server:
        stream = await StreamClient.connect(server.url, clock=clock, settings=WATCHED, probe=probe)
        await server.say("news")
        await clock.advance(1000)
        assert await stream.receive(1) == "news"
        assert probe.asked == 0
        await stream.close()


async def test_a_probe_that_fails_is_told_with_the_loss() -> None:
    clock = HandClock()

    async def broken(stream: StreamClient) -> None:
        raise TemporaryConnectionError("the probe's query was refused")

    async with venue() as server:
        stream = await StreamClient.connect(server.url, clock=clock, settings=WATCHED, probe=broken)
        reading = asyncio.create_task(read(stream, []))
        await clock.advance(70.1)
        assert "the probe failed: the probe's query was refused" in await reading
        await stream.close()


# Secrets


async def test_no_log_has_a_header_or_a_frame(caplog: pytest.LogCaptureFixture) -> None:
    """However much the process logs: keys are in the headers, and in the frames that authenticate (law 10)."""
    caplog.set_level(logging.DEBUG)
    header, frame = "s3cret-header", "s3cret-frame"
    async with venue(echo) as server:
        logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
        stream = await StreamClient.connect(
            server.url, clock=CLOCK, headers={"X-Key": header}, settings=QUICK
        )
        await stream.send(frame)
        assert await stream.receive(1) == frame
        server.cut()
        await read(stream, [])
        await stream.close()
    logged = " ".join(f"{record.getMessage()} {record.args}" for record in caplog.records)
    assert header not in logged
    assert frame not in logged


# Bounds


async def test_a_frame_beyond_its_bound_ends_the_stream() -> None:
    settings = StreamSettings(max_frame_bytes=1000, close_timeout_s=0.2)
    async with venue() as server:
        stream = await StreamClient.connect(server.url, clock=CLOCK, settings=settings)
        reading = asyncio.create_task(read(stream, []))
        await settle()
        await server.say("x" * 1001)
        assert "stream" in await reading
        await stream.close()


async def test_what_is_not_taken_is_not_read_and_not_lost() -> None:
    """A reader that falls behind holds the venue up: memory stays bounded, and every frame comes in the end."""
    total, sent = 3000, 0
    padding = "x" * 10_000

    async def flood(socket: ServerConnection) -> None:
        nonlocal sent
        with suppress(Exception):
            for number in range(total):
                await socket.send(f"{number} {padding}")
                sent += 1

    settings = StreamSettings(max_buffered_frames=16, close_timeout_s=0.2)
    async with venue(flood) as server:
        stream = await StreamClient.connect(server.url, clock=CLOCK, settings=settings)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.05)
        assert 0 < sent < total
        frames: list[str | bytes] = []
        await read(stream, frames)
        numbers = [int(str(frame).split()[0]) for frame in frames]
        assert numbers == list(range(total))
        await stream.close()
