"""Linked orders: every rule of a bracket and of an OCO group that holds on any account."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from brokergate.codec.decode.fields import Violations
from brokergate.domain.commands import LinkedOrder
from brokergate.domain.orders import OrderSpec, OrderType, Side, TimeInForce

_RESTING = (TimeInForce.UNSPECIFIED, TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD)


def check_bracket(out: Violations, path: str, client_order_id: str, entry: OrderSpec) -> None:
    """The legs of `entry`, whose request is at `path`: they close what it opens, so that their prices lie on either
    side of it."""
    legs = [
        (name, leg)
        for name, leg in (("take_profit", entry.take_profit), ("stop_loss", entry.stop_loss))
        if leg is not None
    ]
    if entry.quantity is None:
        out.add(
            f"{path}order.quote_quantity", f"contradicts {legs[0][0]}; give quantity, which its leg closes"
        )
    if entry.reduce_only:
        out.add(f"{path}order.reduce_only", f"contradicts {legs[0][0]}, which closes what the order opens")
    ids = {client_order_id}
    for name, leg in legs:
        _check_new(out, f"{path}order.{name}.client_order_id", leg.client_order_id, ids)
    _check_prices(out, f"{path}order.", entry)


def _check_prices(out: Violations, at: str, entry: OrderSpec) -> None:
    own = entry.limit_price if entry.limit_price is not None else entry.stop_price
    profit = None if entry.take_profit is None else entry.take_profit.limit_price
    loss = None if entry.stop_loss is None else entry.stop_loss.stop_price
    if profit is not None and own is not None:
        _check_order(out, f"{at}take_profit.limit_price", profit, entry.side, own, "the order's own price")
    if loss is None:
        return
    against = Side.SELL if entry.side is Side.BUY else Side.BUY
    if own is not None:
        _check_order(out, f"{at}stop_loss.stop_price", loss, against, own, "the order's own price")
    elif profit is not None:
        _check_order(out, f"{at}stop_loss.stop_price", loss, against, profit, "the take_profit")


def _check_order(out: Violations, field: str, price: Decimal, above: Side, of: Decimal, whose: str) -> None:
    """`price` lies above `of` for a BUY, below it for a SELL."""
    if price > of if above is Side.BUY else price < of:
        return
    way = "above" if above is Side.BUY else "below"
    out.add(field, f"must be {way} {whose}, {of:f}", f"{price:f}")


def check_oco(
    out: Violations, path: str, client_order_id: str, first: OrderSpec, others: Sequence[LinkedOrder]
) -> None:
    """The members of an OCO group: in one instrument, of one quantity, and all of them can wait."""
    ids = {client_order_id}
    _check_member(out, f"{path}order.", first)
    for index, member in enumerate(others):
        at, spec = f"{path}oco_orders[{index}].", member.spec
        _check_new(out, f"{at}client_order_id", member.client_order_id, ids)
        _check_member(out, f"{at}order.", spec)
        if spec.symbol != first.symbol:
            out.add(
                f"{at}order.symbol", f"must be {first.symbol}, as of the others of the group", spec.symbol
            )
        if None not in (spec.quantity, first.quantity) and spec.quantity != first.quantity:
            of = f"must be {first.quantity:f}, as of the others of the group"
            out.add(f"{at}order.quantity", of, f"{spec.quantity:f}")


def _check_member(out: Violations, at: str, spec: OrderSpec) -> None:
    for name, leg in (("take_profit", spec.take_profit), ("stop_loss", spec.stop_loss)):
        if leg is not None:
            out.add(f"{at}{name}", "contradicts oco_orders; place a bracket or an OCO group")
    if spec.type is OrderType.MARKET:
        out.add(f"{at}type", "must be one that waits, in an OCO group", spec.type.name)
    elif spec.time_in_force not in _RESTING:
        out.add(f"{at}time_in_force", "must be one that waits, in an OCO group", spec.time_in_force.name)


def _check_new(out: Violations, field: str, client_order_id: str, ids: set[str]) -> None:
    if client_order_id in ids:
        out.add(field, "is that of another order of the request; each needs its own", client_order_id)
    ids.add(client_order_id)
