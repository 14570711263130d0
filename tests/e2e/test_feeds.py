"""`brokergate serve` with an account on each kind of feed, as a user has it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from brokergate.v1 import (
    broker_pb2,
    broker_service_pb2_grpc,
    market_data_pb2,
    simulator_pb2,
    simulator_service_pb2_grpc,
)
from brokergate_client import Gateway, Order, OrderState, Side, market_order
from tests.e2e.conftest import StartServer
from tests.e2e.process import ROOT, ServerProcess, environment
from tests.venue.market import PROFILES
from tests.venue.process import VenueProcess

QUOTES = "wann;Geld;Brief\n" + "".join(
    f"06.05.2024 12:00:{second:02};1.08{second:02};1.09{second:02}\n" for second in range(60)
)
CONFIG = """
accounts:
  second-follower: {{broker: paper, paper: {{feed: {{account: follower}}}}}}
  follower: {{broker: paper, paper: {{feed: {{account: made-up}}}}}}
  made-up:
    broker: paper
    paper:
      feed:
        synthetic:
          seed: 5
          instruments:
            - {{symbol: ETH/USDT, price_increment: 0.01, quantity_increment: 0.001, start_price: 3000, spread: 0.05}}
  pushed:
    broker: paper
    paper:
      feed: {{push: {{instruments: [{{symbol: ETH/USDT, price_increment: 0.01, quantity_increment: 0.001}}]}}}}
  push-follower: {{broker: paper, paper: {{feed: {{account: pushed}}}}}}
  recorded: {{broker: paper, paper: {{feed: {{tape: "{btc}"}}}}}}
  table:
    broker: paper
    paper:
      feed:
        tape: "{quotes}"
        symbol: EUR/USD
        columns: {{time: wann, bid: Geld, ask: Brief}}
        time_format: "%d.%m.%Y %H:%M:%S"
        timezone: Europe/Berlin
  days: {{broker: paper, paper: {{feed: {{tape: "{aapl}", speed: 1000000, price_increment: 0.01, rounding: true}}}}}}
"""


@pytest.fixture
def server(start_server: StartServer, shared_data: Path, tmp_path: Path) -> ServerProcess:
    """One gateway with all of them; followers stand before those that they follow."""
    quotes = tmp_path / "quotes.csv"
    quotes.write_text(QUOTES)
    config = tmp_path / "config.yaml"
    config.write_text(
        CONFIG.format(
            btc=shared_data / "crypto_l2" / "binance_spot_btcusdt_20240808.gz",
            quotes=quotes,
            aapl=shared_data / "us_stock" / "AAPL_daily_2012_2014.csv.gz",
        )
    )
    return start_server("--config", config)


@pytest.fixture
async def gateway(server: ServerProcess) -> AsyncIterator[Gateway]:
    """A client of it."""
    async with Gateway.connect(server.address) as gateway:
        yield gateway


def push(server: ServerProcess, bid: str, ask: str) -> None:
    """Pushes a quote."""
    quote = market_data_pb2.Quote(
        symbol="ETH/USDT", bid_price=bid, bid_quantity="5", ask_price=ask, ask_quantity="5"
    )
    request = simulator_pb2.PushMarketDataRequest(
        account_id="pushed", updates=[market_data_pb2.MarketDataUpdate(quote=quote)]
    )
    with server.channel() as channel:
        simulator_service_pb2_grpc.SimulatorServiceStub(channel).PushMarketData(iter([request]), timeout=30)


async def quoted(gateway: Gateway, account: str, symbol: str) -> None:
    """Waits until the market has a quote."""
    deadline = time.monotonic() + 30
    while True:
        try:
            await gateway.quote(account, symbol)
        except Exception:  # whatever says that there is none yet
            if time.monotonic() > deadline:
                raise
        else:
            return


async def ended(gateway: Gateway, account: str, client_order_id: str) -> Order:
    """The order once it has ended: where there are trades or bars alone, it takes the next one."""
    deadline = time.monotonic() + 30
    while True:
        order = await gateway.order(account, client_order_id=client_order_id)
        if order.state not in (OrderState.NEW, OrderState.PARTIALLY_FILLED) or time.monotonic() > deadline:
            return order


async def test_every_feed_is_traded_on(server: ServerProcess, gateway: Gateway) -> None:
    """A market order on each fills at its own market; the followers trade what the others show."""
    push(server, "2999", "3001")
    for account, symbol in (
        ("made-up", "ETH/USDT"),
        ("follower", "ETH/USDT"),
        ("second-follower", "ETH/USDT"),
        ("pushed", "ETH/USDT"),
        ("push-follower", "ETH/USDT"),
        ("recorded", "BTC/USDT"),
        ("table", "EUR/USD"),
        ("days", "AAPL"),
    ):
        if account != "days":
            await quoted(gateway, account, symbol)
        order = (await gateway.place(account, market_order(symbol, Side.BUY, "1"))).order
        order = await ended(gateway, account, order.client_order_id)
        assert order.state is OrderState.FILLED, (account, order)
        if account in ("pushed", "push-follower"):
            assert order.average_price == 3001


async def test_who_follows_is_cut_off_with_the_one_he_follows(
    server: ServerProcess, gateway: Gateway
) -> None:
    """A reconnect of the other account is a gap, and then the market is back."""
    push(server, "2999", "3001")
    await quoted(gateway, "push-follower", "ETH/USDT")
    with server.channel() as channel:
        broker_service_pb2_grpc.BrokerServiceStub(channel).ReconnectBroker(
            broker_pb2.ReconnectBrokerRequest(account_id="pushed", request_id="again"), timeout=30
        )
    push(server, "3099", "3101")
    await quoted(gateway, "push-follower", "ETH/USDT")
    order = (await gateway.place("push-follower", market_order("ETH/USDT", Side.BUY, "1"))).order
    assert order.average_price == 3101


REMOTE = """
server: {{listen: "127.0.0.1:0", data_dir: {data_dir}}}
accounts:
  follower: {{broker: paper, paper: {{feed: {{account: far}}}}}}
  far: {{broker: socket, socket: {{port: {port}}}}}
"""


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[VenueProcess]:
    """A broker behind a socket."""
    venue = VenueProcess(tmp_path, 7)
    venue.start()
    yield venue
    venue.close()


@pytest.fixture
def remote_gateway(venue: VenueProcess, tmp_path: Path) -> Iterator[str]:
    """The address of a gateway with an account at that broker, and a paper account that follows its market."""
    data_dir = tmp_path / "data"
    config = tmp_path / "remote.yaml"
    config.write_text(REMOTE.format(data_dir=data_dir, port=venue.port))
    command = [sys.executable, "-m", "tests.venue.gateway", "serve", "--config", str(config)]
    with (
        (tmp_path / "gateway.log").open("w") as log,
        subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=log, stderr=log
        ) as process,
    ):
        address, deadline = data_dir / "address", time.monotonic() + 60
        while not address.exists():
            assert process.poll() is None, (tmp_path / "gateway.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield address.read_text().splitlines()[0]
        process.terminate()


async def test_a_broker_far_away_is_followed(venue: VenueProcess, remote_gateway: str) -> None:
    """Its quotes are the market; while it is away orders are refused with the time since when, then filled again."""
    symbol = PROFILES[0].instrument.symbol
    deadline = time.monotonic() + 60
    async with Gateway.connect(remote_gateway) as gateway:

        async def bought() -> Order:
            assert time.monotonic() < deadline
            return (await gateway.place("follower", market_order(symbol, Side.BUY, "1"))).order

        await quoted(gateway, "follower", symbol)
        assert (await bought()).state is OrderState.FILLED
        venue.go_away(1_500)
        while (order := await bought()).state is not OrderState.REJECTED:
            pass
        assert "is away since" in order.reject_message
        while (await bought()).state is not OrderState.FILLED:
            pass
