"""Market orders for an amount of quote currency, on the recorded BTCUSDT market."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate_client import (
    ErrorReason,
    Gateway,
    InvalidRequestError,
    Order,
    OrderSpec,
    OrderState,
    OrderType,
    Side,
)
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess
from tests.e2e.test_tape_time import seek

CONFIG = """
accounts:
  in-process: {{broker: paper, paper: {paper}}}
  across: {{broker: paper, paper: {across}}}
  limited:
    broker: paper
    risk_limits: {{max_order_notional: {{amount: 500, currency: USDT}}, quote_max_age_ms: 600000}}
    paper: {paper}
"""
AMOUNT = Decimal("250000")
LOT = Decimal("0.00001")


@pytest.fixture
def server(start_server: StartServer, shared_data: Path, tmp_path: Path) -> ServerProcess:
    """Three accounts that stand in the middle of the recording."""
    tape = shared_data / "crypto_l2" / "binance_spot_btcusdt_20240808.gz"
    rest = f'initial_balance: {{USDT: 1000000, BTC: 20}}, feed: {{tape: "{tape}", speed: max, paused: true}}'
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(paper=f"{{{rest}}}", across=f"{{latency_ms: 5, {rest}}}"))
    server = start_server("--config", config)
    for account in ("in-process", "across", "limited"):
        seek(server, account, datetime(2024, 8, 8, 23, 57, tzinfo=UTC))
    return server


def amount(side: Side, quote: Decimal = AMOUNT) -> OrderSpec:
    """A market order for so much."""
    return OrderSpec(symbol="BTC/USDT", side=side, type=OrderType.MARKET, quote_quantity=quote)


async def done(gateway: Gateway, account: str, name: str) -> Order:
    """The order once its fills are told."""
    while True:
        order = await gateway.order(account, client_order_id=name)
        if order.state not in (OrderState.PENDING_NEW, OrderState.NEW, OrderState.PARTIALLY_FILLED):
            return order


@pytest.mark.parametrize("account", ["in-process", "across"])
@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
async def test_an_amount_is_spent_or_raised_to_the_lot(
    server: ServerProcess, account: str, side: Side
) -> None:
    """A quarter of a million: what it came to is filled whole, another lot would be more than the amount, and it is
    the same order when it is asked for again, after a death too."""
    async with Gateway.connect(server.address) as gateway:
        await gateway.place(account, amount(side), client_order_id="mine")
        order = await done(gateway, account, "mine")
        assert (order.state, order.leaves_quantity) == (OrderState.FILLED, Decimal(0))
        assert order.quantity == order.cum_quantity > 3
        assert order.average_price is not None
        spent = order.average_price * order.cum_quantity
        assert AMOUNT - LOT * order.average_price * 2 < spent <= AMOUNT
    server.kill9()
    server.start()
    async with Gateway.connect(server.address) as gateway:
        again = await gateway.place(account, amount(side), client_order_id="mine")
        assert (again.already_existed, again.order.quantity) == (True, order.quantity)


async def test_what_an_amount_comes_to_is_held_to_the_limits(server: ServerProcess) -> None:
    """To limits of the risk and to the lot, by orders and previews; and it is not changed afterwards."""
    async with Gateway.connect(server.address) as gateway:
        refused = (await gateway.place("limited", amount(Side.BUY, Decimal(600)))).order
        assert (refused.state, refused.reject_reason) == (
            OrderState.REJECTED,
            ErrorReason.RISK_LIMIT,
        )
        assert (await gateway.preview("limited", amount(Side.BUY, Decimal(600)))).rejection is not None
        taken = (await gateway.place("limited", amount(Side.BUY, Decimal(400)))).order
        assert taken.state is OrderState.FILLED
        with pytest.raises(InvalidRequestError):
            await gateway.place("limited", amount(Side.BUY, Decimal(-1)))
        for ask in (gateway.place, gateway.preview):
            with pytest.raises(InvalidRequestError) as nothing:
                await ask("limited", amount(Side.BUY, Decimal("1e-18")))
            assert [violation.field for violation in nothing.value.violations] == ["order.quote_quantity"]
        small = (await gateway.place("limited", amount(Side.BUY, Decimal("0.01")))).order
        assert (small.state, small.reject_reason) == (OrderState.REJECTED, ErrorReason.QUANTITY_OUT_OF_RANGE)
