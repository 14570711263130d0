"""A gateway with an account at Binance, both processes of their own: fills on the stream, changes, and `kill -9`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import grpc
import pytest

from brokergate.v1 import broker_pb2, broker_service_pb2_grpc
from brokergate_client import (
    Fill,
    FillOrigin,
    Gateway,
    Order,
    OrderState,
    Side,
    StartPosition,
    limit_order,
)
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess
from tests.emulators.client import Emulator

ACCOUNT, SYMBOL = "binance-test", "BTC/USDT"
CONFIG = """
accounts:
  binance-test:
    broker: binance
    environment: testnet
    credentials: {{api_key: "${{TEST_BINANCE_KEY}}", api_secret: "${{TEST_BINANCE_SECRET}}"}}
    connection: {{poll_interval_ms: 1000, quiet_period_ms: 200, request_timeout_ms: 2000}}
    binance:
      rest_url: {url}
      websocket_api_url: {ws_url}/ws-api/v3
      stream_url: {ws_url}
      recv_window_ms: 1000
"""
PATIENCE_S = 60.0
BALANCES = {"USDT": "1000000", "BTC": "0"}


@pytest.fixture
def venue() -> Iterator[Emulator]:
    """Binance, with a funded account and a book."""
    venue = Emulator.start("binance")
    venue.do("reset", balances=BALANCES)
    venue.do("show", symbol=SYMBOL, bids=[("9900", "5")], asks=[("10100", "2"), ("10200", "6")])
    try:
        yield venue
    finally:
        venue.close()


@pytest.fixture
def served(venue: Emulator, start_server: StartServer, tmp_path: Path) -> ServerProcess:
    """The gateway."""
    file = tmp_path / "brokergate.yaml"
    file.write_text(CONFIG.format(url=venue.url, ws_url=venue.ws_url), "utf-8")
    secrets = {"TEST_BINANCE_KEY": venue.key, "TEST_BINANCE_SECRET": venue.secret}
    return start_server("--config", file, env=secrets)


@pytest.fixture
async def gateway(served: ServerProcess) -> AsyncIterator[Gateway]:
    """A client of it."""
    async with Gateway.connect(served.address) as gateway:
        await connected(served)
        yield gateway


async def connected(served: ServerProcess) -> None:
    """Returns when the account is."""
    request = broker_pb2.GetBrokerRequest(name="binance")
    async with asyncio.timeout(PATIENCE_S), grpc.aio.insecure_channel(served.address) as channel:
        stub = broker_service_pb2_grpc.BrokerServiceStub(channel)
        while True:
            (connection,) = (await stub.GetBroker(request)).broker.connections
            if connection.state == broker_pb2.CONNECTION_STATE_CONNECTED:
                return
            await asyncio.sleep(0.05)


async def buy(gateway: Gateway, name: str, quantity: str, price: str) -> Order:
    order = limit_order(SYMBOL, Side.BUY, quantity, price)
    return (await gateway.place(ACCOUNT, order, client_order_id=name)).order


async def at(gateway: Gateway, name: str, state: OrderState) -> list[Fill]:
    """The fills of an order once it is in that state and nothing of it is uncertain."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            order = await gateway.order(ACCOUNT, client_order_id=name)
            if order.state == state and not order.pending:
                return [fill async for fill in gateway.fill_history(ACCOUNT, order_id=order.order_id)]
            await asyncio.sleep(0.05)


async def first_fills(gateway: Gateway, quantity: Decimal) -> list[Fill]:
    """What StreamFills tells from the beginning, until there is so much."""
    fills: list[Fill] = []
    async with asyncio.timeout(PATIENCE_S):
        async for fill in gateway.fills(start=StartPosition.EARLIEST, account_ids=[ACCOUNT]):
            fills.append(fill)
            if sum(one.quantity for one in fills) >= quantity:
                return fills
    raise AssertionError("a stream does not end")


def sent(venue: Emulator) -> Counter[str]:
    """How often each client order id was sent with an order: law 2, by the venue's own log."""
    kinds = ("place", "replace")
    log = venue.do("log", after=0)
    return Counter(entry["parameters"]["newClientOrderId"] for entry in log if entry["kind"] in kinds)


async def test_an_order_fills_on_the_stream_is_replaced_and_cancelled(
    venue: Emulator, gateway: Gateway
) -> None:
    """Takes two levels; another one rests, is moved, made smaller and cancelled."""
    taken = await buy(gateway, "takes", "3", "10200")
    assert taken.state == OrderState.FILLED
    fills = await first_fills(gateway, Decimal(3))
    assert [(fill.price, fill.quantity) for fill in fills] == [
        (Decimal(10100), Decimal(2)),
        (Decimal(10200), Decimal(1)),
    ]
    assert [(fee.amount, fee.currency_code) for fill in fills for fee in fill.fees] == [
        (Decimal("0.002"), "BTC"),
        (Decimal("0.001"), "BTC"),
    ]
    (position,) = await gateway.positions(ACCOUNT)
    assert position.quantity == Decimal("2.997")

    assert (await buy(gateway, "rests", "4", "9500")).state == OrderState.NEW
    moved = await gateway.replace(ACCOUNT, client_order_id="rests", expected_generation=1, limit_price="9600")
    assert (moved.generation, moved.spec.limit_price) == (2, Decimal(9600))
    await venue.trade(SYMBOL, "9550", "1", "sell")
    await at(gateway, "rests", OrderState.PARTIALLY_FILLED)
    smaller = await gateway.replace(ACCOUNT, client_order_id="rests", expected_generation=2, quantity="3")
    assert (smaller.generation, smaller.quantity, smaller.leaves_quantity) == (3, Decimal(3), Decimal(2))
    again = await gateway.replace(ACCOUNT, client_order_id="rests", expected_generation=3, limit_price="9700")
    assert (again.generation, again.leaves_quantity) == (4, Decimal(2))
    await venue.trade(SYMBOL, "9650", "1", "sell")
    await at(gateway, "rests", OrderState.PARTIALLY_FILLED)
    await gateway.cancel(ACCOUNT, client_order_id="rests")
    assert [fill.quantity for fill in await at(gateway, "rests", OrderState.CANCELED)] == [Decimal(1)] * 2
    assert set(sent(venue).values()) == {1}
    assert [one async for one in gateway.control.discrepancies(ACCOUNT)] == []


async def test_fills_of_while_the_gateway_was_dead_are_booked_once(
    venue: Emulator, served: ServerProcess, gateway: Gateway
) -> None:
    """kill -9 between two fills, and again after them: each is there once, and every order was sent once."""
    await buy(gateway, "rests", "5", "9500")
    await venue.trade(SYMBOL, "9400", "2", "sell")
    await at(gateway, "rests", OrderState.PARTIALLY_FILLED)
    served.kill9()
    await venue.trade(SYMBOL, "9400", "1", "sell")
    # Somebody else's, in an instrument that the gateway never traded.
    await venue.add_fill("ETH/USDT", "buy", "3", "500")
    served.start()
    await connected(served)
    await venue.trade(SYMBOL, "9400", "9", "sell")
    fills = await at(gateway, "rests", OrderState.FILLED)
    served.kill9()
    served.start()
    await connected(served)
    again = await at(gateway, "rests", OrderState.FILLED)
    positions = {position.symbol: position.quantity for position in await gateway.positions(ACCOUNT)}
    assert [fill.quantity for fill in fills] == [Decimal(2), Decimal(1), Decimal(2)]
    assert fills[1].origin == FillOrigin.BACKFILL
    assert [fill.broker_execution_id for fill in again] == [fill.broker_execution_id for fill in fills]
    assert positions == {SYMBOL: Decimal("4.995"), "ETH/USDT": Decimal("2.997")}
    assert set(sent(venue).values()) == {1}
    assert [one async for one in gateway.control.discrepancies(ACCOUNT)] == []


async def test_an_order_whose_answer_was_lost_with_the_gateway_is_found(
    venue: Emulator, served: ServerProcess, gateway: Gateway
) -> None:
    """The venue took it, nobody heard, and the gateway died: after the start it is there, once."""
    await venue.fault("mute_stream", on="orders")
    await venue.fault("answer_lost_after_accept", on="place")
    assert (await buy(gateway, "lost", "2", "9500")).state == OrderState.PENDING_NEW
    served.kill9()
    await venue.clear_faults()
    await venue.trade(SYMBOL, "9400", "1", "sell")
    served.start()
    await connected(served)
    await at(gateway, "lost", OrderState.PARTIALLY_FILLED)
    await venue.trade(SYMBOL, "9400", "9", "sell")
    fills = await at(gateway, "lost", OrderState.FILLED)
    assert [(fill.price, fill.quantity) for fill in fills] == [(Decimal(9500), Decimal(1))] * 2
    assert list(sent(venue).values()) == [1]


@pytest.mark.parametrize("accepted", [True, False])
async def test_a_replace_whose_answer_was_lost_with_the_gateway_is_known_after_the_start(
    venue: Emulator, served: ServerProcess, gateway: Gateway, accepted: bool
) -> None:
    """It came about, or it did not: the order has what the venue has, and never two are there."""
    await buy(gateway, "moves", "2", "9500")
    await at(gateway, "moves", OrderState.NEW)
    lost = "answer_lost_after_accept" if accepted else "answer_lost_before_accept"
    await venue.fault("mute_stream", on="orders")
    await venue.fault(lost, on="replace")
    await gateway.replace(ACCOUNT, client_order_id="moves", expected_generation=1, limit_price="9600")
    served.kill9()
    await venue.clear_faults()
    served.start()
    await connected(served)
    await at(gateway, "moves", OrderState.NEW)
    order = await gateway.order(ACCOUNT, client_order_id="moves")
    assert order.spec.limit_price == Decimal(9600 if accepted else 9500)
    assert order.generation == (2 if accepted else 1)
    await venue.trade(SYMBOL, "9400", "9", "sell")
    fills = await at(gateway, "moves", OrderState.FILLED)
    assert sum(fill.quantity for fill in fills) == Decimal(2)
