"""What an account holds and what its orders could make of it, by instrument and side.

Kept as sums that move with each order and each fill, so that a check costs the same whatever is open. An order counts
with all that is left of it until its end is proven: an uncertain one, a held one and one of others alike. While a
replace is under way the larger of what it was and what it shall be counts.
"""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain.money import ZERO, add, multiply, quotient, subtract
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

    __slots__ = ("link", "notional", "order", "prices", "quantity", "sum")

    def __init__(self, order: Order, side: SideSum, link: Link | None) -> None:
        """`link` counts for it in the sums, where it fills as one with others."""
        self.order = order
        self.sum = side
        self.link = link
        self.quantity = ZERO
        self.notional = ZERO
        self.prices: tuple[tuple[OrderSpec, Decimal], ...] = ()

    def counted(self, leaves: Decimal) -> Decimal:
        """What it would count for with `leaves` left: no less than now."""
        return max(leaves, self.quantity)


class Link:
    """The orders of one group on one side, which fill as one: what they count for together. `order_id` names them among
    the orders of the side.

    For the legs of a bracket `opened` is what its entry has filled, None while the entry is not known: one that ended
    before a start. What legs have closed that ended before a start is not known either, and counts as if it were open.
    """

    __slots__ = ("closed", "members", "notional", "opened", "order_id", "quantity", "sum")

    def __init__(self, name: str, side: SideSum) -> None:
        self.order_id = name
        self.sum = side
        self.quantity = ZERO
        self.notional = ZERO
        self.members: dict[str, Reservation] = {}
        self.opened: Decimal | None = None
        self.closed: dict[str, Decimal] = {}

    def counted(self, leaves: Decimal) -> Decimal:
        """What they would count for if one of them had `leaves` left, or has."""
        most = max([leaves, *[member.quantity for member in self.members.values()]])
        return most if self.opened is None else min(most, self._open())

    def _open(self) -> Decimal:
        opened = self.opened
        assert opened is not None
        for filled in self.closed.values():
            opened = subtract(opened, filled)
        return max(ZERO, opened)

    def settle(self) -> None:
        """Puts what they count for now into the sums, in the place of what they did."""
        side = self.sum
        side.quantity = subtract(side.quantity, self.quantity)
        side.notional = subtract(side.notional, self.notional)
        self.quantity = self.counted(ZERO)
        self.notional = ZERO
        for member in self.members.values():
            # At the price of each: of a leg that sleeps no more counts than may wake.
            part = member.notional
            if member.quantity > self.quantity:
                part = quotient(multiply(part, self.quantity), member.quantity)
            self.notional = max(self.notional, part)
        side.quantity = add(side.quantity, self.quantity)
        side.notional = add(side.notional, self.notional)


_NOTHING = Holding()


class Exposure:
    """The holdings and open orders of one account. `prices` values the orders; None where nobody asks for that."""

    def __init__(self, prices: Prices | None) -> None:
        self._prices = prices
        self._holdings: dict[str, Holding] = {}
        self._reserved: dict[str, Reservation] = {}
        self._links: dict[tuple[str, Side], Link] = {}

    @property
    def open_orders(self) -> int:
        """Orders that have not ended, those of others too."""
        return len(self._reserved)

    def of(self, symbol: str) -> Holding:
        """What there is of one instrument; for reading."""
        return self._holdings.get(symbol, _NOTHING)

    def reservation(self, order: Order) -> Reservation | Link | None:
        """What the order counts for, with those that fill as one with it; None when it was never told or has ended."""
        reserved = self._reserved.get(order.order_id)
        return reserved if reserved is None or reserved.link is None else reserved.link

    def move(self, symbol: str, side: Side, quantity: Decimal) -> None:
        """An execution was booked."""
        holding = self._holding(symbol)
        holding.position = (add if side is Side.BUY else subtract)(holding.position, quantity)

    def place(self, symbol: str, quantity: Decimal) -> None:
        """The position is this."""
        self._holding(symbol).position = quantity

    def hold(self, order: Order) -> None:
        """Counts `order` as it now stands, in the place of what it was. An order is known by its id."""
        link = self._linked(order) if order.group_id else None
        reserved = self._reserved.get(order.order_id)
        if order.ended:
            if reserved is not None:
                del self._reserved[order.order_id]
                self._take_out(reserved)
            if link is not None:
                self._unlink(link, order)
            return
        if reserved is None:
            side = self._holding(order.spec.symbol).side(order.spec.side)
            reserved = self._reserved[order.order_id] = Reservation(order, side, link)
        else:
            self._take_out(reserved)
            reserved.order = order
        reserved.quantity = counted(order)
        if link is not None:
            link.members[order.order_id] = reserved
            link.closed[order.order_id] = order.cum_quantity
        else:
            side = reserved.sum
            side.quantity = add(side.quantity, reserved.quantity)
        if self._prices is not None:
            self._value(reserved, self._prices)
        if link is not None:
            link.settle()

    def _linked(self, order: Order) -> Link | None:
        """Those that fill as one with `order`; None for the entry of a bracket, of which its legs are told."""
        if order.order_id == order.group_id and order.spec.bracket:
            closing = Side.SELL if order.spec.side is Side.BUY else Side.BUY
            link = self._link(order, closing, make=not order.ended)
            if link is not None:
                link.opened = order.cum_quantity
                link.settle()
                if order.ended and not link.members:
                    del self._links[order.group_id, closing]
            return None
        return self._link(order, order.spec.side, make=not order.ended)

    def _link(self, order: Order, side: Side, *, make: bool) -> Link | None:
        key = order.group_id, side
        link = self._links.get(key)
        if link is None and make:
            link = self._links[key] = Link(order.group_id, self._holding(order.spec.symbol).side(side))
        return link

    def _unlink(self, link: Link, order: Order) -> None:
        """A member has ended; what it closed stays closed."""
        link.members.pop(order.order_id, None)
        link.closed[order.order_id] = order.cum_quantity
        link.settle()
        entry_works = link.opened is not None and link.order_id in self._reserved
        if not link.members and not entry_works:
            self._links.pop((link.order_id, order.spec.side), None)

    def value_orders(self, symbol: str, side: Side) -> None:
        """Values the orders that came without a quote, each once. `NoReference` where there is still none."""
        waiting = self.of(symbol).side(side).unvalued
        if waiting and self._prices is not None:
            for reserved in list(waiting.values()):
                self._value(reserved, self._prices)
                if reserved.link is not None:
                    reserved.link.settle()
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
        if reserved.link is None:
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
        if reserved.link is None:
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
