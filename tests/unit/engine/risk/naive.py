"""The limits worked out from scratch each time, in fractions, from all that ever happened: what the incremental sums
must agree with."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from brokergate.domain.orders import Order, OrderSpec, PendingActionKind, Side
from brokergate.domain.policy import RiskLimits

RATES = {"USDT": "", "BTC": "BTC/USDT"}
"""Which instrument brings a currency into USDT, the limits' own."""
SECOND_NS = 1_000_000_000


@dataclass
class Naive:
    """Every execution, every order with the prices of the time when each of its forms came, and every quote."""

    limits: RiskLimits
    quotes: dict[str, tuple[Fraction, Fraction]] = field(default_factory=dict)
    executions: list[tuple[str, Side, Fraction]] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    prices: dict[str, list[tuple[OrderSpec, Fraction]]] = field(default_factory=dict)
    sent: list[int] = field(default_factory=list)

    def hold(self, order: Order) -> None:
        """The order is now this."""
        if order.ended:
            self.orders.pop(order.order_id, None)
            self.prices.pop(order.order_id, None)
            return
        self.orders[order.order_id] = order
        known = self.prices.get(order.order_id, [])
        self.prices[order.order_id] = [
            next(((form, price) for form, price in known if form is spec), (spec, self.worst_price(spec)))
            for spec, _ in forms(order)
        ]

    def worst_price(self, spec: OrderSpec) -> Fraction:
        """What a unit may come to."""
        bid, ask = self.quotes[spec.symbol]
        if spec.side is Side.BUY and spec.limit_price is not None:
            return Fraction(spec.limit_price)
        own = [Fraction(price) for price in (spec.limit_price, spec.stop_price) if price is not None]
        return max([*own, ask if spec.side is Side.BUY else bid])

    def position(self, symbol: str) -> Fraction:
        """What all executions make."""
        return sum(
            (
                quantity if side is Side.BUY else -quantity
                for name, side, quantity in self.executions
                if name == symbol
            ),
            Fraction(0),
        )

    def open_on(self, symbol: str, side: Side, without: Order | None) -> list[Order]:
        """The orders of one side."""
        return [
            order
            for order in self.orders.values()
            if (order.spec.symbol, order.spec.side) == (symbol, side)
            and (without is None or order.order_id != without.order_id)
        ]

    def notional(self, order: Order) -> Fraction:
        """What an order counts for, in its quote currency."""
        prices = {id(spec): price for spec, price in self.prices[order.order_id]}
        return max(leaves * prices[id(spec)] for spec, leaves in forms(order)) * Fraction(order.multiplier)

    def worst(
        self, symbol: str, side: Side, more: Fraction = Fraction(0), without: Order | None = None
    ) -> Fraction:
        """The position on a side after all orders of it."""
        held = self.position(symbol) if side is Side.BUY else -self.position(symbol)
        return held + sum(map(counted, self.open_on(symbol, side, without)), more)

    def value(self, spec: OrderSpec, leaves: Fraction, least: Fraction, without: Order | None) -> Fraction:
        """What the position would be worth in USDT; `least` is what the order counts for already."""
        others = self.open_on(spec.symbol, spec.side, without)
        own = max(leaves * self.worst_price(spec), least)
        orders = sum(map(self.notional, others), own)
        held = self.position(spec.symbol) if spec.side is Side.BUY else -self.position(spec.symbol)
        quantity = sum(map(counted, others), max(leaves, counted(without) if without else Fraction(0)))
        if held < 0:
            return self.in_usdt(orders * max(Fraction(0), held + quantity) / quantity, spec.symbol)
        return self.in_usdt(held * sum(self.quotes[spec.symbol]) / 2 + orders, spec.symbol)

    def in_usdt(self, amount: Fraction, symbol: str) -> Fraction:
        """An amount of the symbol's quote currency."""
        pair = RATES[symbol.split("/")[1]]
        return amount * sum(self.quotes[pair]) / 2 if pair else amount

    def broken(self, spec: OrderSpec, quantity: Fraction, replaced: Order | None, now_ns: int) -> list[str]:
        """The limits that the order would break, in the order in which they are told; none for a reduction."""
        filled = Fraction(replaced.cum_quantity) if replaced else Fraction(0)
        leaves = max(Fraction(0), quantity - filled)
        own = counted(replaced) if replaced else Fraction(0)
        grows = replaced is None or leaves > own
        worst = self.worst(spec.symbol, spec.side, max(leaves, own), replaced)
        held = self.position(spec.symbol) if spec.side is Side.BUY else -self.position(spec.symbol)
        same_prices = replaced is not None and (spec.limit_price, spec.stop_price) == (
            replaced.spec.limit_price, replaced.spec.stop_price,
        )  # fmt: skip
        if worst <= 0 or (not grows and held + own <= 0):
            return []
        if replaced is not None and same_prices and quantity <= replaced.quantity:
            return []
        limits, found = self.limits, []
        limit = limits.max_order_quantity.get(spec.symbol)
        if limit is not None and quantity > limit and (replaced is None or quantity > replaced.quantity):
            found.append("max_order_quantity")
        if limits.max_order_notional:
            cost = quantity * self.worst_price(spec)
            more = replaced is None or cost > Fraction(replaced.quantity) * self.worst_price(replaced.spec)
            if more and self.in_usdt(cost, spec.symbol) > limits.max_order_notional.amount:
                found.append("max_order_notional")
        if limits.max_open_orders and replaced is None and len(self.orders) >= limits.max_open_orders:
            found.append("max_open_orders")
        limit = limits.max_position_quantity.get(spec.symbol)
        if limit is not None and grows and worst > limit:
            found.append("max_position_quantity")
        if limits.max_position_notional:
            least = self.notional(replaced) if replaced else Fraction(0)
            more = grows or leaves * self.worst_price(spec) > least
            if more and self.value(spec, leaves, least, replaced) > limits.max_position_notional.amount:
                found.append("max_position_notional")
        if limits.max_orders_per_second:
            recent = [time for time in self.sent if time > now_ns - SECOND_NS]
            if len(recent) >= limits.max_orders_per_second:
                found.append("max_orders_per_second")
        return found


def forms(order: Order) -> list[tuple[OrderSpec, Fraction]]:
    """What the order is and what it shall be, each with what is left of it."""
    found = [(order.spec, Fraction(order.leaves_quantity))]
    action = order.action(PendingActionKind.REPLACE)
    if action is not None and action.replacement is not None:
        assert action.replacement.quantity is not None
        left = Fraction(action.replacement.quantity) - Fraction(order.cum_quantity)
        found.append((action.replacement, max(Fraction(0), left)))
    return found


def counted(order: Order) -> Fraction:
    """What is left of the larger of the two."""
    return max(leaves for _, leaves in forms(order))
