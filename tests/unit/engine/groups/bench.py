"""The street with links, and groups to place on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

from brokergate.domain.commands import LinkedOrder, Placed, PlaceOrder
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import Order, OrderSpec, OrderType, ProtectiveLeg, Side, TimeInForce
from brokergate.domain.policy import AccountPolicy
from brokergate.domain.values import changed
from brokergate.ports.broker import FillReport, OrderReport
from tests.unit.adapters.paper.hand_clock import settle
from tests.unit.engine.street import House, Street, living

TIMES = frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC})
BRACKET = ("entry", "tp", "sl")


def links(street: Street) -> None:
    """Lets the street link orders, of every type."""
    street.capabilities = replace(
        street.capabilities,
        order_types=dict.fromkeys((kind for kind in OrderType if kind), TIMES),
        native_oco=True,
        native_bracket=True,
        reduce_only=True,
    )


@asynccontextmanager
async def linking(policy: AccountPolicy | None = None) -> AsyncIterator[House]:
    """A house on a street that links orders."""
    async with living(policy=policy) as house:
        links(house.broker)
        yield house


def bracket(
    quantity: str = "4",
    *,
    name: str = "entry",
    profit: str | None = "tp",
    loss: str | None = "sl",
    body: bytes = b"bracket",
    **changes: object,
) -> PlaceOrder:
    """Buys at 100, sells at 120 or, falling, from 80 on."""
    spec = OrderSpec(
        "BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal(quantity), limit_price=Decimal("100.00"),
        take_profit=None if profit is None else ProtectiveLeg(profit, limit_price=Decimal("120.00")),
        stop_loss=None if loss is None else ProtectiveLeg(loss, stop_price=Decimal("80.00")),
    )  # fmt: skip
    return PlaceOrder("main", name, changed(spec, **changes), body)


def oco(quantity: str = "4", *, name: str = "high", other: str = "low", body: bytes = b"oco") -> PlaceOrder:
    """Sells at 120 or, falling, from 80 on."""
    size = Decimal(quantity)
    spec = OrderSpec("BTC/USDT", Side.SELL, OrderType.LIMIT, size, limit_price=Decimal("120.00"))
    low = OrderSpec("BTC/USDT", Side.SELL, OrderType.STOP, size, stop_price=Decimal("80.00"))
    return PlaceOrder("main", name, spec, body, oco=(LinkedOrder(other, low),))


async def placed(house: House, command: PlaceOrder) -> Placed:
    return await house.gateway.place_order(command)


async def tell(house: House, *reports: OrderReport | FillReport) -> None:
    """The street tells so; returns when it is journalled."""
    house.broker.told.put_nowait(reports)
    await settle()


def report(house: House, kind: OrderEventType, name: str, **fields: object) -> OrderReport:
    """What the street says of the order `name`."""
    return changed(OrderReport(kind, name, house.broker.orders[name].broker_order_id, 1), **fields)


def states(house: House, names: Sequence[str] = BRACKET) -> list[str]:
    return [house.order(name).state.name for name in names]


def ids(orders: Sequence[Order]) -> list[str]:
    return [order.client_order_id for order in orders]
