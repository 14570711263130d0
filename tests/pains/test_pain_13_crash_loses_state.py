"""Pain 13: a crash loses what was in memory or in a cache."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from brokergate_client import Gateway, GatewayError, OrderState, Side, limit_order
from tests.e2e.process import ServerProcess
from tests.emulators.client import Emulator
from tests.faults.venues import Venue

CONNECTION = "connection: {poll_interval_ms: 300, quiet_period_ms: 200, request_timeout_ms: 20000}"
SECTIONS = {
    "binance": "binance: {{rest_url: {url}, websocket_api_url: {ws}/ws-api/v3, stream_url: {ws}}}",
    "alpaca": (
        "alpaca: {{rest_url: {url}, stream_url: {ws}/stream, data_url: {url}, data_stream_url: {ws},"
        " instruments: [AAPL], requests_per_minute: 10000}}"
    ),
    "ibkr": "ibkr: {{port: {port}, instruments: [AAPL]}}",
}
PATIENCE_S = 60.0


async def test_an_order_of_the_moment_of_a_kill_is_known_afterwards(
    venue: Venue, emulator: Emulator, tmp_path: Path
) -> None:
    """`kill -9` while the venue has the order and its answer is on the way: after the restart it works, it was sent
    once, and its id is still taken."""
    await emulator.reset(venue.balances)
    file = tmp_path / "gateway.yaml"
    section = SECTIONS[venue.name].format(url=emulator.url, ws=emulator.ws_url, port=emulator.port)
    text = f"accounts:\n  main:\n    broker: {venue.name}\n    {CONNECTION}\n    {section}\n"
    if "rest" in venue.transports:
        text += f"    credentials: {{api_key: '{emulator.key}', api_secret: '{emulator.secret}'}}\n"
    file.write_text(text)
    server = ServerProcess(tmp_path, "--config", file)
    order = limit_order(venue.symbol, Side.BUY, venue.lot, venue.price * 97 / 100)
    try:
        server.start()
        async with Gateway.connect(server.address) as gateway:
            await _connected(gateway, venue)
            await emulator.fault("delay", on="place", seconds=5)
            placing = asyncio.create_task(gateway.within(60).place("main", order, client_order_id="killed"))
            await _asked(emulator)
            server.kill9()
            await emulator.clear_faults()
            await asyncio.to_thread(server.start)
            # The client repeats by itself, under the same id.
            placed = await placing
            assert placed.already_existed
            await _connected(gateway, venue)
            deadline = time.monotonic() + PATIENCE_S
            while (await gateway.order("main", client_order_id="killed")).state != OrderState.NEW:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        assert len([entry for entry in await emulator.log() if entry["kind"] == "place"]) == 1
        assert not await emulator.doubled()
    finally:
        server.close()


async def _asked(emulator: Emulator) -> None:
    """Returns when the venue has the request."""
    while True:
        if [entry for entry in await emulator.log() if entry["kind"] == "place"]:
            return
        await asyncio.sleep(0.01)


async def _connected(gateway: Gateway, venue: Venue) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            await gateway.preview("main", limit_order(venue.symbol, Side.BUY, venue.lot, venue.price))
            return
        except GatewayError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
