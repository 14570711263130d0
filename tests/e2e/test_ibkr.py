"""A gateway with two accounts of one login at Interactive Brokers, an emulated TWS, each a process of its own: over one
connection, market data once for both, and each account's orders, fills and positions its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from typing import TypeVar

import grpc
import pytest

from brokergate.v1 import broker_pb2, broker_service_pb2_grpc, market_data_pb2, market_data_service_pb2_grpc
from brokergate_client import ErrorReason, Gateway, GatewayError, Order, OrderState, Quote, Side, limit_order
from tests.e2e.process import ServerProcess
from tests.emulators.client import Emulator

ONE, OTHER, SYMBOL = "ib-one", "ib-other", "AAPL"
DELAYED, WRONG = "ib-delayed", "ib-wrong"
CONFIG = """
accounts:
  ib-one:
    broker: ibkr
    connection: {{poll_interval_ms: 500, quiet_period_ms: 200, request_timeout_ms: 3000}}
    ibkr:
      port: {port}
      account: DU1000001
      instruments: [AAPL, ESZ6, MSFT, TWIN]
  ib-other:
    broker: ibkr
    connection: {{poll_interval_ms: 500, quiet_period_ms: 200, request_timeout_ms: 3000}}
    ibkr:
      port: {port}
      account: DU1000002
      instruments: [AAPL]
  ib-delayed:
    broker: ibkr
    connection: {{poll_interval_ms: 500, quiet_period_ms: 200, request_timeout_ms: 3000}}
    ibkr:
      port: {port}
      client_id: 2
      account: DU1000001
      market_data_type: delayed
      instruments: [MSFT]
  ib-wrong:
    broker: ibkr
    ibkr: {{port: {port}, client_id: 3, account: DU9999999, instruments: [AAPL]}}
"""
PATIENCE_S = 60.0
NOT_YET = frozenset({ErrorReason.NO_REFERENCE_PRICE, ErrorReason.BROKER_UNAVAILABLE})
Found = TypeVar("Found")


@pytest.fixture(scope="module")
def venue() -> Iterator[Emulator]:
    venue = Emulator.start("tws", "--accounts", "DU1000001,DU1000002")
    venue.do("show", symbol=SYMBOL, bids=[("99.98", "500")], asks=[("100.02", "200")])
    venue.do("fault", kind="no_market_data", on="MSFT")
    try:
        yield venue
    finally:
        venue.close()


@pytest.fixture(scope="module")
def served(venue: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("ibkr")
    file = folder / "brokergate.yaml"
    file.write_text(CONFIG.format(port=venue.port), "utf-8")
    server = ServerProcess(folder, "--config", file)
    try:
        server.start()
        yield server
    finally:
        server.close()


async def until(asked: Callable[[], Awaitable[Found | None]]) -> Found:
    """What is asked for, once there is something."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                if (found := await asked()) is not None:
                    return found
            except GatewayError as error:
                if error.reason not in NOT_YET:
                    raise
            await asyncio.sleep(0.05)


async def first_quote(gateway: Gateway, account: str) -> Quote:
    """The first quote: the account is connected then."""
    return await until(lambda: gateway.quote(account, SYMBOL))


async def bought(gateway: Gateway, account: str, quantity: str) -> Order:
    """An order once it has filled."""
    name = f"{account}-first"
    await gateway.place(account, limit_order(SYMBOL, Side.BUY, quantity, "100.02"), client_order_id=name)

    async def ended() -> Order | None:
        order = await gateway.order(account, client_order_id=name)
        return order if order.state == OrderState.FILLED else None

    return await until(ended)


async def test_accounts_of_one_login_share_its_connection_and_are_apart(
    venue: Emulator, served: ServerProcess
) -> None:
    async with Gateway.connect(served.address) as gateway:
        for account in (ONE, OTHER):
            quote = await first_quote(gateway, account)
            assert (quote.bid_price, quote.ask_price) == (Decimal("99.98"), Decimal("100.02"))
            assert not quote.delayed
        await asyncio.gather(bought(gateway, ONE, "3"), bought(gateway, OTHER, "5"))
        for account, quantity in ((ONE, Decimal(3)), (OTHER, Decimal(5))):
            held = {each.symbol: each.quantity for each in await gateway.positions(account)}
            assert held[SYMBOL] == quantity
            fills = [fill async for fill in gateway.fill_history(account)]
            assert [(fill.quantity, fill.price) for fill in fills] == [(quantity, Decimal("100.02"))]
    log = await venue.log()
    begun = max(
        entry["number"] for entry in log if entry["kind"] == "logon" and entry["parameters"]["client_id"] == 1
    )
    subscribed = [
        entry["parameters"]["symbol"]
        for entry in log
        if entry["kind"] == "subscribe" and entry["number"] > begun
    ]
    assert subscribed.count(SYMBOL) == 1, "one line for both"
    placed = [entry["parameters"] for entry in log if entry["kind"] == "place"]
    assert sorted((order["client_id"], order["account"], order["quantity"]) for order in placed) == [
        (1, "DU1000001", "3.0"),
        (1, "DU1000002", "5.0"),
    ]


async def test_what_is_wrong_with_a_symbol_is_said_where_it_is_asked_for(served: ServerProcess) -> None:
    """Market data that is not subscribed to, and a symbol of several contracts; the others go on."""
    async with Gateway.connect(served.address) as gateway:
        await first_quote(gateway, ONE)
        with pytest.raises(GatewayError, match=r"stands for 2 contracts .*conId 900001.*under `contracts`"):
            await gateway.quote(ONE, "TWIN")

        async def told() -> str | None:
            with pytest.raises(GatewayError) as refused:
                await gateway.quote(ONE, "MSFT")
            return str(refused.value) if "354" in str(refused.value) else None

        assert "has no quote of 'MSFT': Interactive Brokers says 354" in (text := await until(told))
        assert "subscribe to it in IB's Client Portal" in text
        assert (await gateway.quote(ONE, SYMBOL)).bid_price is not None


async def test_delayed_quotes_are_marked_and_stale(served: ServerProcess) -> None:
    """They are shown and streamed as what they are."""

    def streamed() -> market_data_pb2.Quote:
        with served.channel() as channel:
            stub = market_data_service_pb2_grpc.MarketDataServiceStub(channel)
            request = market_data_pb2.StreamMarketDataRequest(account_id=DELAYED, symbols=["MSFT"])
            for message in stub.StreamMarketData(request, timeout=PATIENCE_S):
                for update in message.updates:
                    if update.HasField("quote"):
                        return update.quote
        raise AssertionError("the market data ended")

    def asked() -> market_data_pb2.GetQuoteResponse:
        with served.channel() as channel:
            stub = market_data_service_pb2_grpc.MarketDataServiceStub(channel)
            request = market_data_pb2.GetQuoteRequest(account_id=DELAYED, symbol="MSFT")
            answer: market_data_pb2.GetQuoteResponse = stub.GetQuote(request, timeout=PATIENCE_S)
            return answer

    async with Gateway.connect(served.address) as gateway:
        await until(lambda: gateway.quote(DELAYED, "MSFT"))
    assert (await asyncio.to_thread(streamed)).delayed
    answer = await asyncio.to_thread(asked)
    assert (answer.quote.delayed, answer.stale) == (True, True)


async def test_market_data_goes_on_after_the_nightly_reset(venue: Emulator, served: ServerProcess) -> None:
    """TWS has forgotten what was subscribed to (1101), and a reader's stream goes on all the same."""

    def asked(channel: grpc.Channel) -> Iterator[str]:
        stub = market_data_service_pb2_grpc.MarketDataServiceStub(channel)
        request = market_data_pb2.StreamMarketDataRequest(account_id=ONE, symbols=["ESZ6"])
        for message in stub.StreamMarketData(request, timeout=PATIENCE_S):
            yield from (update.quote.bid_price for update in message.updates if update.HasField("quote"))

    async with Gateway.connect(served.address) as gateway:
        await first_quote(gateway, ONE)
    with served.channel() as channel:
        prices = asked(channel)
        assert await asyncio.to_thread(next, prices) == "6000"
        before = len([entry for entry in await venue.log() if entry["kind"] == "logon"])
        await venue.fault("nightly_reset", seconds=0.3, data_lost=True)

        async def back() -> bool | None:
            logons = [entry for entry in await venue.log() if entry["kind"] == "logon"]
            return True if len(logons) > before else None

        await until(back)
        await venue.show("ESZ6", [("5999.75", "5")], [("6000.25", "5")])
        told = ""
        while told != "5999.75":
            told = await asyncio.to_thread(next, prices)


async def test_a_wrong_account_leaves_the_rest_alone(served: ServerProcess) -> None:
    """One clear word, with the way out."""

    def shown() -> broker_pb2.GetBrokerResponse:
        with served.channel() as channel:
            stub = broker_service_pb2_grpc.BrokerServiceStub(channel)
            answer: broker_pb2.GetBrokerResponse = stub.GetBroker(
                broker_pb2.GetBrokerRequest(name="ibkr"), timeout=PATIENCE_S
            )
            return answer

    async with Gateway.connect(served.address) as gateway:
        await first_quote(gateway, ONE)

        async def told() -> str | None:
            (connection,) = [
                each
                for each in (await asyncio.to_thread(shown)).broker.connections
                if each.account_id == WRONG
            ]
            return connection.message if "account" in connection.message else None

        text = await until(told)
        assert "TWS is logged in to DU1000001, DU1000002 and not to DU9999999; correct `ibkr.account`" in text
