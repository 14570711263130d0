"""Whether a venue that was taken up again and the journal say the same of the account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.money import ZERO
from brokergate.domain.orders import Order
from brokergate.ports.broker import RestoredState
from brokergate.sim.venue import Venue


def disagreement(venue: Venue, state: RestoredState) -> str:
    """What the two say differently, in words; empty where they agree. The journal is right: what it does not know was
    never told."""
    orders, fills = venue.counts
    if fills != state.fills:
        return f"{fills} executions, and the journal has {state.fills}"
    if orders > state.orders:
        return f"{orders} orders, and the journal has {state.orders}"
    return (
        _orders(venue, state.open_orders)
        or _differ("position", _positions(venue.positions()), _positions(state.positions))
        or _differ("balance", _balances(venue.balances()), _balances(state.balances))
    )


def _orders(venue: Venue, journalled: Iterable[Order]) -> str:
    ours = {
        order.client_order_id: (
            order.broker_order_id,
            venue.listings[order.symbol].quantity(order.filled),
            venue.listings[order.symbol].quantity(order.left),
            order.stop is not None and not order.waiting,
        )
        for order in venue.open_orders()
    }
    theirs = {
        order.client_order_id: (
            order.broker_order_id,
            order.cum_quantity,
            order.leaves_quantity,
            order.triggered,
        )
        for order in journalled
        if order.broker_order_id
    }
    return _differ("open order", ours, theirs)


def _positions(positions: Iterable[BrokerPosition]) -> dict[str, tuple[Decimal, ...]]:
    stated = {
        position.symbol: (
            position.quantity,
            position.cost,
            position.realized_pnl,
            *(fee.amount for fee in position.fees if fee.amount),
        )
        for position in positions
    }
    return {symbol: amounts for symbol, amounts in stated.items() if any(amounts)}


def _balances(balances: Iterable[BrokerBalance]) -> dict[str, tuple[Decimal, Decimal]]:
    return {
        balance.currency: (balance.total, balance.held)
        for balance in balances
        if (balance.total, balance.held) != (ZERO, ZERO)
    }


def _differ(what: str, ours: Mapping[str, object], theirs: Mapping[str, object]) -> str:
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            return f"{what} {name!r} is {ours.get(name)}, and the journal says {theirs.get(name)}"
    return ""
