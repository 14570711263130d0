"""One gateway with an account at Binance and one at Alpaca: what goes wrong with one is nothing to the other."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brokergate_client import (
    Gateway,
    Order,
    OrderSpec,
    OrderState,
    ServingStatus,
    Side,
    TimeInForce,
    limit_order,
)
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess
from tests.emulators.client import Emulator

BINANCE, ALPACA = "at-binance", "at-alpaca"
SYMBOLS = {BINANCE: "BTC/USDT", ALPACA: "AAPL"}
CONFIG = """
accounts:
  at-binance:
    broker: binance
    environment: testnet
    credentials: {{api_key: "${{KEY_B}}", api_secret: "${{SECRET_B}}"}}
    connection: {{poll_interval_ms: 500, quiet_period_ms: 200, request_timeout_ms: 2000}}
    binance: {{rest_url: {binance.url}, websocket_api_url: {binance.ws_url}/ws-api/v3, stream_url: {binance.ws_url}}}
  at-alpaca:
    broker: alpaca
    credentials: {{api_key: "${{KEY_A}}", api_secret: "${{SECRET_A}}"}}
    connection: {{poll_interval_ms: 500, quiet_period_ms: 200, request_timeout_ms: 2000}}
    alpaca:
      rest_url: {alpaca.url}
      stream_url: {alpaca.ws_url}/stream
      data_url: {alpaca.url}
      data_stream_url: {alpaca.ws_url}
      instruments: [AAPL]
"""
PATIENCE_S = 60.0
Venues = dict[str, Emulator]


@pytest.fixture
def venues() -> Iterator[Venues]:
    """Both, with money and a market."""
    venues = {BINANCE: Emulator.start("binance"), ALPACA: Emulator.start("alpaca")}
    try:
        venues[BINANCE].do("reset", balances={"USDT": "1000000"})
        for account, venue in venues.items():
            symbol = SYMBOLS[account]
            venue.do("show", symbol=symbol, bids=[("99", "50")], asks=[("101", "2"), ("102", "60")])
        yield venues
    finally:
        for venue in venues.values():
            venue.close()


@pytest.fixture
def served(venues: Venues, start_server: StartServer, tmp_path: Path) -> ServerProcess:
    """The gateway."""
    binance, alpaca = venues[BINANCE], venues[ALPACA]
    file = tmp_path / "brokergate.yaml"
    file.write_text(CONFIG.format(binance=binance, alpaca=alpaca), "utf-8")
    secrets = {
        "KEY_B": binance.key, "SECRET_B": binance.secret, "KEY_A": alpaca.key, "SECRET_A": alpaca.secret,
    }  # fmt: skip
    return start_server("--config", file, env=secrets)


def bid(account: str, price: str, time_in_force: TimeInForce = TimeInForce.GTC) -> OrderSpec:
    """For two."""
    return limit_order(SYMBOLS[account], Side.BUY, "2", price, time_in_force=time_in_force)


async def until(gateway: Gateway, account: str, name: str, state: OrderState) -> Order:
    """The order once it is in that state."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            order = await gateway.order(account, client_order_id=name)
            if order.state == state:
                return order
            await asyncio.sleep(0.05)


async def connected(gateway: Gateway, account: str) -> None:
    """Returns when the account is there."""
    service = f"brokergate.broker.{account.removeprefix('at-')}"
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await gateway.health(service) == ServingStatus.SERVING:
                return
            await asyncio.sleep(0.05)


def placed(venue: Emulator) -> list[Any]:
    """The orders that were sent there, by name."""
    names = ("client_order_id", "newClientOrderId")
    return [
        next(filter(None, map(entry["parameters"].get, names)))
        for entry in venue.do("log", after=0)
        if entry["kind"] == "place"
    ]


@pytest.mark.parametrize(("bad", "good"), [(BINANCE, ALPACA), (ALPACA, BINANCE)])
async def test_faults_of_one_leave_the_others_orders_and_limits_untouched(
    venues: Venues, served: ServerProcess, bad: str, good: str
) -> None:
    """Both trade; then one loses answers, refuses and drops its streams while the other trades on."""
    async with Gateway.connect(served.address) as gateway:
        await asyncio.gather(*(connected(gateway, account) for account in SYMBOLS))
        await asyncio.gather(
            *(gateway.place(one, bid(one, "102"), client_order_id="both") for one in SYMBOLS)
        )
        for one in SYMBOLS:
            order = await until(gateway, one, "both", OrderState.FILLED)
            assert order.cum_quantity == Decimal(2)
        await venues[bad].fault("answer_lost_after_accept", on="place")
        lost = asyncio.create_task(gateway.place(bad, bid(bad, "95"), client_order_id="lost"))
        for number in range(5):
            name = f"good-{number}"
            assert (await gateway.place(good, bid(good, "95"), client_order_id=name)).order.state in (
                OrderState.NEW,
                OrderState.PENDING_NEW,
            )
            order = await until(gateway, good, name, OrderState.NEW)
            assert not order.pending
        await lost
        await venues[bad].fault("maintenance")
        await venues[bad].drop_streams()
        await gateway.place(good, bid(good, "102"), client_order_id="during")
        await until(gateway, good, "during", OrderState.FILLED)
        assert (await gateway.place(good, bid(good, "96"), client_order_id="more")).order.account_id == good
        await venues[bad].clear_faults()
        await connected(gateway, bad)
        await until(gateway, bad, "lost", OrderState.NEW)
        broker = {account.account_id: account for account in await gateway.accounts()}
        assert set(broker) >= set(SYMBOLS)
    for account, venue in venues.items():
        assert set(Counter(placed(venue)).values()) == {1}
        statuses = {entry["status"] for entry in venue.do("log", after=0)}
        assert 429 not in statuses
        assert account == bad or 503 not in statuses
