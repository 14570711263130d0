"""The time of an account on a recording is the recording's: orders that end by it can be placed on any past."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.v1 import simulator_pb2, simulator_service_pb2_grpc
from brokergate_client import (
    Gateway,
    InvalidRequestError,
    Order,
    OrderSpec,
    OrderState,
    OrderType,
    Side,
    TimeInForce,
)
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess

CONFIG = """
accounts:
  in-process: {{broker: paper, paper: {{feed: {{tape: "{tape}", speed: max, paused: true}}}}}}
  across: {{broker: paper, paper: {{latency_ms: 5, feed: {{tape: "{tape}", speed: max, paused: true}}}}}}
"""


@pytest.fixture
def server(start_server: StartServer, shared_data: Path, tmp_path: Path) -> ServerProcess:
    """Two accounts on the BTCUSDT market of 8 August 2024, which stands at its beginning."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(tape=shared_data / "crypto_l2" / "binance_spot_btcusdt_20240808.gz"))
    return start_server("--config", config)


def until(end: datetime) -> OrderSpec:
    """An order that nothing on the recording fills."""
    return OrderSpec(
        symbol="BTC/USDT",
        side=Side.BUY,
        type=OrderType.LIMIT,
        quantity=Decimal("0.01"),
        limit_price=Decimal(100),
        time_in_force=TimeInForce.GTD,
        expire_time=end,
    )


def seek(server: ServerProcess, account: str, end: datetime) -> datetime:
    """Plays up to `end` and tells where the tape then is."""
    request = simulator_pb2.ControlTapeRequest(account_id=account, request_id=f"{account}-{end:%H%M%S}")
    request.seek_time.FromDatetime(end)
    with server.channel() as channel:
        answer = simulator_service_pb2_grpc.SimulatorServiceStub(channel).ControlTape(request, timeout=60)
    return answer.tape_time.ToDatetime(UTC)


async def ended(gateway: Gateway, account: str, name: str) -> Order:
    """The order once it has ended."""
    deadline = time.monotonic() + 30
    while True:
        order = await gateway.order(account, client_order_id=name)
        if order.state is not OrderState.NEW or time.monotonic() > deadline:
            return order


@pytest.mark.parametrize("account", ["in-process", "across"])
async def test_an_order_ends_at_the_time_of_the_tape(server: ServerProcess, account: str) -> None:
    """One that ends in twenty seconds of the recorded night works for so long and expires then; a time that the tape
    has passed is refused by name, to orders, previews and changes alike, though all of it is long ago."""
    begun = datetime(2024, 8, 8, 23, 55, tzinfo=UTC)
    assert timedelta() <= begun - seek(server, account, begun) < timedelta(seconds=1)
    end = begun + timedelta(seconds=20)
    async with Gateway.connect(server.address) as gateway:
        placed = await gateway.place(account, until(end), client_order_id="mine")
        assert placed.order.state is OrderState.NEW
        for late in (begun, begun - timedelta(days=1)):
            with pytest.raises(InvalidRequestError, match=r"2024-08-08T23:5\d:\d\d") as refused:
                await gateway.place(account, until(late))
            assert [violation.field for violation in refused.value.violations] == ["order.expire_time"]
            with pytest.raises(InvalidRequestError):
                await gateway.preview(account, until(late))
            with pytest.raises(InvalidRequestError) as refused:
                await gateway.replace(
                    account, client_order_id="mine", expected_generation=1, expire_time=late
                )
            assert [violation.field for violation in refused.value.violations] == ["expire_time"]
        seek(server, account, end - timedelta(seconds=1))
        assert (await gateway.order(account, client_order_id="mine")).state is OrderState.NEW
        seek(server, account, end + timedelta(seconds=1))
        assert (await ended(gateway, account, "mine")).state is OrderState.EXPIRED
