"""A gateway with an account at Alpaca, both processes of their own: from the quote to the fill, and over `kill -9`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.v1 import market_data_pb2, market_data_service_pb2_grpc
from brokergate_client import (
    CaughtUp,
    Event,
    Fill,
    FillOrigin,
    Gateway,
    GatewayError,
    OrderChanged,
    OrderEventType,
    OrderState,
    Quote,
    Side,
    StartPosition,
    limit_order,
)
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess
from tests.emulators.client import Emulator

ACCOUNT, SYMBOL = "alpaca-paper", "AAPL"
CONFIG = """
accounts:
  alpaca-paper:
    broker: alpaca
    environment: paper
    credentials: {{api_key: "${{TEST_ALPACA_KEY}}", api_secret: "${{TEST_ALPACA_SECRET}}"}}
    connection: {{poll_interval_ms: 500, quiet_period_ms: 200, request_timeout_ms: 2000}}
    alpaca:
      rest_url: {url}
      stream_url: {ws_url}/stream
      data_url: {url}
      data_stream_url: {ws_url}
      instruments: [AAPL, MSFT, BTC/USD]
      requests_per_minute: 10000
"""
PATIENCE_S = 60.0


@pytest.fixture
def venue() -> Iterator[Emulator]:
    """Alpaca, with an empty account and a quoted stock."""
    venue = Emulator.start("alpaca")
    venue.do("limits", requests=100_000)
    venue.do("show", symbol=SYMBOL, bids=[("99", "5")], asks=[("101", "2"), ("102", "6")])
    try:
        yield venue
    finally:
        venue.close()


@pytest.fixture
def served(venue: Emulator, start_server: StartServer, tmp_path: Path) -> ServerProcess:
    """The gateway."""
    file = tmp_path / "brokergate.yaml"
    file.write_text(CONFIG.format(url=venue.url, ws_url=venue.ws_url), "utf-8")
    secrets = {"TEST_ALPACA_KEY": venue.key, "TEST_ALPACA_SECRET": venue.secret}
    return start_server("--config", file, env=secrets)


def decimals(*numbers: int) -> tuple[Decimal, ...]:
    """The numbers as they are told."""
    return tuple(Decimal(number) for number in numbers)


async def until_connected(gateway: Gateway) -> Quote:
    """The first quote: the account is connected then."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await gateway.quote(ACCOUNT, SYMBOL)
            except GatewayError:
                await asyncio.sleep(0.05)


async def place(gateway: Gateway, client_order_id: str, quantity: str, price: str) -> OrderState | int:
    """Buys."""
    order = limit_order(SYMBOL, Side.BUY, quantity, price)
    return (await gateway.place(ACCOUNT, order, client_order_id=client_order_id)).order.state


async def ended(gateway: Gateway, client_order_id: str, state: OrderState = OrderState.FILLED) -> list[Fill]:
    """The fills of an order once it is in that state."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            order = await gateway.order(ACCOUNT, client_order_id=client_order_id)
            if order.state == state:
                return [fill async for fill in gateway.fill_history(ACCOUNT, order_id=order.order_id)]
            await asyncio.sleep(0.05)


def sent(venue: Emulator) -> Counter[str]:
    """How often each client order id was sent in an order."""
    log = venue.do("log", after=0)
    return Counter(entry["parameters"]["client_order_id"] for entry in log if entry["kind"] == "place")


async def market_quotes(served: ServerProcess) -> AsyncIterator[market_data_pb2.Quote]:
    """What the gateway streams of the market."""

    def first() -> market_data_pb2.Quote:
        with served.channel() as channel:
            stub = market_data_service_pb2_grpc.MarketDataServiceStub(channel)
            request = market_data_pb2.StreamMarketDataRequest(account_id=ACCOUNT, symbols=[SYMBOL])
            for message in stub.StreamMarketData(request, timeout=PATIENCE_S):
                for update in message.updates:
                    if update.HasField("quote"):
                        return update.quote
        raise AssertionError("the market data ended")

    yield await asyncio.to_thread(first)


async def test_from_the_market_data_to_the_fill_in_its_order_and_at_its_times(
    venue: Emulator, served: ServerProcess
) -> None:
    """Quote, intent, dispatch, acknowledgement, fills: in this order on the stream, each at a time that fits."""
    async with Gateway.connect(served.address) as gateway:
        quote = await until_connected(gateway)
        assert (quote.bid_price, quote.ask_price, quote.ask_quantity) == decimals(99, 101, 2)
        before_ns = max(quote.event_time_ns, quote.receive_time_ns)
        events: list[Event] = []
        stream = gateway.events(start=StartPosition.LIVE, account_ids=[ACCOUNT])
        async with asyncio.timeout(PATIENCE_S):
            async for item in stream:
                if isinstance(item, CaughtUp):
                    await place(gateway, "first", "3", "102")
                elif isinstance(item, Event):
                    events.append(item)
                    payload = item.payload
                    if isinstance(payload, OrderChanged) and payload.order.state == OrderState.FILLED:
                        break

    told = [event for event in events if isinstance(event.payload, OrderChanged | Fill)]
    kinds = [
        event.payload.type
        if isinstance(event.payload, OrderChanged)
        else "fill"  # what the engine says of it
        for event in told
    ]
    assert kinds[:2] == [OrderEventType.INTENT, OrderEventType.DISPATCHED]
    assert kinds.index(OrderEventType.ACKNOWLEDGED) < kinds.index("fill") or (
        OrderEventType.ACKNOWLEDGED not in kinds  # a fill that overtook the answer acknowledges too
    )
    assert kinds[-1] == OrderEventType.FILLED
    fills = [event.payload for event in told if isinstance(event.payload, Fill)]
    assert [(fill.price, fill.quantity) for fill in fills] == [decimals(101, 2), decimals(102, 1)]
    sequences = [event.sequence for event in events]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    journalled = [event.time_ns for event in told]
    assert journalled == sorted(journalled)
    assert before_ns <= journalled[0]
    for fill in fills:
        assert journalled[0] <= fill.event_time_ns <= fill.receive_time_ns
    assert sum(sent(venue).values()) == 1


async def test_market_data_is_streamed(venue: Emulator, served: ServerProcess) -> None:
    """What the venue shows arrives."""
    async with Gateway.connect(served.address) as gateway:
        await until_connected(gateway)
        async for quote in market_quotes(served):
            assert (quote.bid_price, quote.ask_price) == ("99", "101")
            assert quote.event_time.ToNanoseconds() <= quote.receive_time.ToNanoseconds()


async def test_fills_of_while_the_gateway_was_dead_are_booked_once(
    venue: Emulator, served: ServerProcess
) -> None:
    """kill -9 between two fills, and again after them: each is there once, and every order was sent once."""
    async with Gateway.connect(served.address) as gateway:
        await until_connected(gateway)
        await place(gateway, "rests", "5", "95")
        await venue.trade(SYMBOL, "94", "2", "sell")
        fills = await ended(gateway, "rests", OrderState.PARTIALLY_FILLED)
        served.kill9()
        await venue.trade(SYMBOL, "94", "1", "sell")
        served.start()
        await until_connected(gateway)
        await venue.trade(SYMBOL, "94", "9", "sell")
        fills = await ended(gateway, "rests")
        served.kill9()
        served.start()
        await until_connected(gateway)
        again = await ended(gateway, "rests")
        (position,) = await gateway.positions(ACCOUNT)
    assert sum(fill.quantity for fill in fills) == 5
    assert [fill.broker_execution_id for fill in again] == [fill.broker_execution_id for fill in fills]
    assert len({fill.broker_execution_id for fill in fills}) == 3
    assert [fill.origin for fill in fills][1] == FillOrigin.BACKFILL
    assert position.quantity == Decimal(5)
    assert set(sent(venue).values()) == {1}


async def test_an_order_whose_answer_was_lost_with_the_gateway_is_found(
    venue: Emulator, served: ServerProcess
) -> None:
    """The venue took it, nobody heard, and the gateway died: after the start it is there, once."""
    async with Gateway.connect(served.address) as gateway:
        await until_connected(gateway)
        await venue.fault("mute_stream", on="orders")
        await venue.fault("answer_lost_after_accept", on="place")
        assert await place(gateway, "lost", "2", "95") == OrderState.PENDING_NEW
        served.kill9()
        await venue.clear_faults()
        served.start()
        await until_connected(gateway)
        await ended(gateway, "lost", OrderState.NEW)
        await venue.trade(SYMBOL, "94", "9", "sell")
        fills = await ended(gateway, "lost")
    assert [(fill.price, fill.quantity) for fill in fills] == [decimals(95, 2)]
    assert list(sent(venue).values()) == [1]
