"""How much of a position can be closed, beside what market orders are closing already.

Without this two who close it at the same time would turn it round.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.money import ZERO, add, subtract
from brokergate.domain.orders import Order, OrderType, Side
from brokergate.engine.account import Account


def market_orders(account: Account, symbol: str) -> dict[str, Order]:
    """The market orders that have not ended, uncertain ones too, by order id."""
    return {
        order.order_id: order
        for order in account.tracker.open.values()
        if order.spec.symbol == symbol and order.spec.type is OrderType.MARKET
    }


def closable(quantity: Decimal, orders: Iterable[Order], symbol: str) -> Decimal:
    """What is left of a position of `quantity`, without a sign, when `orders` have closed their part;
    POSITION_NOT_FOUND where that is nothing."""
    side = Side.SELL if quantity > ZERO else Side.BUY
    closing = [order for order in orders if order.spec.side is side]
    under_way = ZERO
    for order in closing:
        under_way = add(under_way, order.leaves_quantity)
    left = subtract(quantity.copy_abs(), under_way)
    if left <= ZERO:
        raise GatewayError(
            ErrorReason.POSITION_NOT_FOUND,
            f"all that is held of {symbol} is being closed by order {closing[-1].order_id!r}; wait for its end",
            metadata={"order_id": closing[-1].order_id},
        )
    return left
