"""Documented answers of Alpaca (tests/fixtures/alpaca), and orders to test with."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from brokergate.adapters.alpaca.values import load
from brokergate.domain import lifecycle
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side, TimeInForce

FOLDER = Path(__file__).resolve().parents[3] / "fixtures" / "alpaca"


def fixture(name: str) -> Any:
    """A file of documented answers, as the adapter loads it."""
    return load((FOLDER / f"{name}.json").read_bytes())


def spec(**fields: Any) -> OrderSpec:
    """A limit order for two shares."""
    usual: dict[str, Any] = {
        "symbol": "AAPL",
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "quantity": Decimal(2),
        "limit_price": Decimal("190.5"),
        "time_in_force": TimeInForce.DAY,
    }
    return OrderSpec(**{**usual, **fields})


def order(name: str = "c1", group_id: str = "", **fields: Any) -> Order:
    """An order as the engine hands it over."""
    terms = spec(**fields)
    return lifecycle.intend(
        order_id=f"o-{name}",
        client_order_id=name,
        account_id="a",
        spec=terms,
        quantity=terms.quantity or Decimal(1),
        multiplier=Decimal(1),
        now_ns=1_000,
        group_id=group_id,
    )
