"""What an account holds and what its orders could make of it, by instrument and side.

Kept as sums that move with each order and each fill, so that a check costs the same whatever is open. An order counts
with all that is left of it until its end is proven: an uncertain one, a held one and one of others alike. While a
replace is under way the larger of what it was and what it shall be counts.
"""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain.money import ZERO, add, multiply, subtract
from brokergate.domain.orders import Order, OrderSpec, PendingActionKind, Side
from brokergate.engine.risk.breach import NoReference
from brokergate.engine.risk.prices import Prices


class SideSum:
    """All orders of one side of one instrument."""

    __slots__ = ("notional", "quantity", "unvalued")

    def __init__(self) -> None:
        self.quantity = ZERO
        """What is left of them."""
        self.notional = ZERO
        """The same at their worst prices, in the instrument's quote currency; kept where it is asked for."""
        self.unvalued: dict[str, Reservation] = {}
        """Those that came while there was no quote to value them by, by order id. They are not in `notional`."""


class Holding:
    """One instrument: the position, below zero for short, and the orders of both sides."""

    __slots__ = ("buys", "position", "sells")

    def __init__(self) -> None:
        self.position = ZERO
        self.buys = SideSum()
        self.sells = SideSum()

    def side(self, side: Side) -> SideSum:
        """The orders of `side`."""
        return self.buys if side is Side.BUY else self.sells

    def held(self, side: Side) -> Decimal:
        """The position as that side sees it: below zero when it is the other side's."""
        return self.position if side is Side.BUY else self.position.copy_negate()


class Reservation:
    """What one order counts for. Its prices are those of the time when it came, or was first asked to change."""

    __slots__ = ("notional", "order", "prices", "quantity", "sum")

    def __init__(self, order: Order, side: SideSum) -> None:
        self.order = order
        self.sum = side
        self.quantity = ZERO
        self.notional = ZERO
        self.prices: tuple[tuple[OrderSpec, Decimal], ...] = ()


_NOTHING = Holding()


class Exposure:
    """The holdings and open orders of one account. `prices` values the orders; None where nobody asks for that."""

    def __init__(self, prices: Prices | None) -> None:
        self._prices = prices
        self._holdings: dict[str, Holding] = {}
        self._reserved: dict[str, Reservation] = {}

    @property
    def open_orders(self) -> int:
        """Orders that have not ended, those of others too."""
        return len(self._reserved)

    def of(self, symbol: str) -> Holding:
        """What there is of one instrument; for reading."""
        return self._holdings.get(symbol, _NOTHING)

    def reservation(self, order: Order) -> Reservation | None:
        """What the order counts for; None when it was never told or has ended."""
        return self._reserved.get(order.order_id)

    def move(self, symbol: str, side: Side, quantity: Decimal) -> None:
        """An execution was booked."""
        holding = self._holding(symbol)
        holding.position = (add if side is Side.BUY else subtract)(holding.position, quantity)

    def place(self, symbol: str, quantity: Decimal) -> None:
        """The position is this."""
        self._holding(symbol).position = quantity

    def hold(self, order: Order) -> None:
        """Counts `order` as it now stands, in the place of what it was. An order is known by its id."""
        reserved = self._reserved.get(order.order_id)
        if order.ended:
            if reserved is not None:
                del self._reserved[order.order_id]
                self._take_out(reserved)
            return
        if reserved is None:
            side = self._holding(order.spec.symbol).side(order.spec.side)
            reserved = self._reserved[order.order_id] = Reservation(order, side)
        else:
            self._take_out(reserved)
            reserved.order = order
        reserved.quantity = counted(order)
        side = reserved.sum
        side.quantity = add(side.quantity, reserved.quantity)
        if self._prices is not None:
            self._value(reserved, self._prices)

    def value_orders(self, symbol: str, side: Side) -> None:
        """Values the orders that came without a quote, each once. `NoReference` where there is still none."""
        waiting = self.of(symbol).side(side).unvalued
        if waiting and self._prices is not None:
            for reserved in list(waiting.values()):
                self._value(reserved, self._prices)
            if waiting:
                raise NoReference(f"a quote of {symbol} for the orders that are open; wait for one")

    def _holding(self, symbol: str) -> Holding:
        holding = self._holdings.get(symbol)
        if holding is None:
            holding = self._holdings[symbol] = Holding()
        return holding

    @staticmethod
    def _take_out(reserved: Reservation) -> None:
        side = reserved.sum
        side.quantity = subtract(side.quantity, reserved.quantity)
        side.notional = subtract(side.notional, reserved.notional)
        reserved.notional = ZERO
        if side.unvalued:
            side.unvalued.pop(reserved.order.order_id, None)

    @staticmethod
    def _value(reserved: Reservation, prices: Prices) -> None:
        order, side = reserved.order, reserved.sum
        parts = _parts(order)
        known = reserved.prices
        try:
            reserved.prices = tuple([(spec, _price(spec, known, prices)) for spec, _ in parts])
        except NoReference:
            side.unvalued[order.order_id] = reserved
            return
        side.unvalued.pop(order.order_id, None)
        values = [
            multiply(leaves, price) for (_, leaves), (_, price) in zip(parts, reserved.prices, strict=True)
        ]
        reserved.notional = multiply(max(values), order.multiplier)
        side.notional = add(side.notional, reserved.notional)


def counted(order: Order) -> Decimal:
    """What is left of `order`, or will be when the replace under way has been done, if that is more."""
    if not order.pending:
        return order.leaves_quantity
    return max([leaves for _, leaves in _parts(order)])


def _parts(order: Order) -> list[tuple[OrderSpec, Decimal]]:
    """What the order is and, behind it, what it shall be: each with what is left of it."""
    parts = [(order.spec, order.leaves_quantity)]
    for action in order.pending:
        shall = action.replacement
        if action.kind is PendingActionKind.REPLACE and shall is not None:
            total = order.quantity if shall.quantity is None else shall.quantity
            parts.append((shall, max(ZERO, subtract(total, order.cum_quantity))))
    return parts


def _price(spec: OrderSpec, known: tuple[tuple[OrderSpec, Decimal], ...], prices: Prices) -> Decimal:
    for other, price in known:
        if other is spec:
            return price
    return prices.worst(spec)
