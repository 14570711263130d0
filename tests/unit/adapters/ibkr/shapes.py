"""Contracts and orders as the tests ask for them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from brokergate.adapters.ibkr.contracts import IbContract, IbDetails, Listed, listed
from brokergate.domain.orders import OrderSpec, OrderType, Side, TimeInForce

AAPL = IbContract(
    con_id=265598,
    symbol="AAPL",
    sec_type="STK",
    exchange="SMART",
    primary_exchange="NASDAQ",
    currency="USD",
    local_symbol="AAPL",
    trading_class="NMS",
)
CORN = IbContract(
    con_id=500001,
    symbol="ZC",
    sec_type="FUT",
    expiry="20261214",
    multiplier="5000",
    exchange="CBOT",
    currency="USD",
    local_symbol="ZCZ6",
)


def details(contract: IbContract, **changes: Any) -> IbDetails:
    """What the venue says of a contract: a tick of a cent, whole units."""
    changes.setdefault("min_tick", Decimal("0.01"))
    return IbDetails(contract, **changes)


def share(symbol: str = "AAPL") -> Listed:
    """A share, listed."""
    return listed(symbol, details(AAPL, size_increment=Decimal(1), min_size=Decimal(1)))


def corn() -> Listed:
    """A future whose prices are in cents: a quarter of a cent is its tick (0.0025 dollars, as IB has it)."""
    return listed("ZCZ6", details(CORN, min_tick=Decimal("0.0025"), price_magnifier=100))


def spec(kind: OrderType = OrderType.LIMIT, **changes: Any) -> OrderSpec:
    """An order for ten shares of AAPL."""
    changes.setdefault("symbol", "AAPL")
    changes.setdefault("side", Side.BUY)
    changes.setdefault("quantity", Decimal(10))
    changes.setdefault("time_in_force", TimeInForce.DAY)
    return OrderSpec(type=kind, **changes)
