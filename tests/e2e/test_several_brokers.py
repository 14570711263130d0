"""docs/examples/several_brokers.py, against both emulators."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from itertools import count
from pathlib import Path

import pytest

from brokergate.adapters.factory import BrokerFactory
from brokergate.domain.errors import BrokerError, ErrorReason
from brokergate.ports.broker import Accepted, Rejected
from tests.e2e.process import ROOT, environment
from tests.emulators.client import Emulator
from tests.unit.adapters.paper.hand_clock import order

EXAMPLE = ROOT / "docs" / "examples" / "several_brokers.py"


@pytest.fixture(scope="module")
def processes() -> Iterable[tuple[Emulator, Emulator]]:
    started: list[Emulator] = []
    try:
        started.extend(map(Emulator.start, ("binance", "alpaca")))
        yield started[0], started[1]
    finally:
        for emulator in started:
            emulator.close()


@pytest.fixture
async def venues(processes: tuple[Emulator, Emulator]) -> tuple[Emulator, Emulator]:
    """Both, new."""
    binance, alpaca = processes
    await binance.reset({"USDT": "100000"})
    await alpaca.reset({"USD": "100000"})
    return binance, alpaca


def configured(folder: Path, binance: Emulator, alpaca: Emulator, binance_key: str = "") -> Path:
    """A configuration with an account at each."""
    file = folder / "brokergate.yaml"
    file.write_text(
        f"""
accounts:
  binance-main:
    broker: binance
    environment: testnet
    credentials: {{api_key: {binance_key or binance.key}, api_secret: {binance.secret}}}
    trading: {{enabled: true}}
    binance:
      rest_url: {binance.url}
      websocket_api_url: {binance.ws_url}/ws-api/v3
      stream_url: {binance.ws_url}
  alpaca-main:
    broker: alpaca
    environment: paper
    credentials: {{api_key: {alpaca.key}, api_secret: {alpaca.secret}}}
    trading: {{enabled: true}}
    alpaca:
      rest_url: {alpaca.url}
      stream_url: {alpaca.ws_url}/stream
      data_url: {alpaca.url}
      data_stream_url: {alpaca.ws_url}
""",
        "utf-8",
    )
    return file


async def live(binance: Emulator, alpaca: Emulator) -> None:
    """Markets that move a little all the time, as venues tell a quote when it changes."""
    for number in count(1):
        size = str(1 + number % 2)
        await binance.show("BTC/USDT", [("60000", size)], [("60010", size)])
        await alpaca.show("AAPL", [("199", size)], [("200", size)])
        await asyncio.sleep(0.2)


async def run(file: Path, venues: tuple[Emulator, Emulator]) -> subprocess.CompletedProcess[str]:
    """The example, on both accounts."""
    market = asyncio.create_task(live(*venues))
    try:
        return await _run(file)
    finally:
        market.cancel()
        await asyncio.gather(market, return_exceptions=True)


async def _run(file: Path) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(EXAMPLE), str(file), "binance-main=BTC/USDT:0.01", "alpaca-main=AAPL:1"],
        env=environment(), capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


async def test_it_buys_on_both_at_once(venues: tuple[Emulator, Emulator], tmp_path: Path) -> None:
    done = await run(configured(tmp_path, *venues), venues)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "binance-main: 0.01 BTC/USDT at binance; equity" in done.stdout
    assert "AAPL at alpaca; equity" in done.stdout
    for venue in venues:
        assert len(await venue.orders()) == 1
        assert await venue.fills()


async def test_an_order_whose_answer_is_lost_is_found_and_not_sent_again(
    venues: tuple[Emulator, Emulator], tmp_path: Path
) -> None:
    for venue in venues:
        await venue.fault("answer_lost_after_accept", on="place")
    done = await run(configured(tmp_path, *venues), venues)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("asking for the order") == 2
    for venue in venues:
        assert len(await venue.orders()) == 1


async def test_a_venue_that_fails_is_left_alone_and_still_gets_its_cancels(
    venues: tuple[Emulator, Emulator], tmp_path: Path
) -> None:
    """Ten answers 503 in a row open the breaker: orders end NOT_SENT without a byte, and cancels go out;
    the other broker knows nothing of it."""
    file = configured(tmp_path, *venues)
    binance, _ = venues
    async with BrokerFactory.of_files(file) as factory:
        broker, other = [await factory.create_broker(name) for name in ("binance-main", "alpaca-main")]
        await binance.fault("status", on="open_orders", count=10, status=503)
        for _ in range(10):
            with pytest.raises(BrokerError):
                await broker.list_open_orders()
        asked = len(await binance.log())
        refused = await broker.place_order(order("BTC/USDT", 1, "0.01", limit="50000"))
        assert isinstance(refused, Rejected)
        assert refused.reason is ErrorReason.NOT_SENT
        assert len(await binance.log()) == asked
        outcome = await broker.cancel_order(order("BTC/USDT", 1, "0.01", limit="50000"))
        assert isinstance(outcome, Rejected)
        assert outcome.message == "Unknown order sent. (-2011)"
        assert len(await binance.log()) > asked
        assert isinstance(await other.place_order(order("AAPL", 1, "1", limit="100")), Accepted)


async def test_one_that_refuses_the_key_holds_up_no_other(
    venues: tuple[Emulator, Emulator], tmp_path: Path
) -> None:
    done = await run(configured(tmp_path, *venues, binance_key="wrong"), venues)
    assert done.returncode == 1
    assert "binance-main: account 'binance-main' (binance, testnet):" in done.stdout
    assert "AAPL at alpaca; equity" in done.stdout
    assert [len(await venue.orders()) for venue in venues] == [0, 1]
