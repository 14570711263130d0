"""Between the contract's decimals and the venue's integers, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain.money import multiply, steps


@dataclass(frozen=True, slots=True)
class Scale:
    """The size of one tick and one lot of an instrument."""

    price_increment: Decimal
    quantity_increment: Decimal

    def ticks(self, price: Decimal) -> int:
        """`price` in ticks; `ValueError` when it is off the tick."""
        return steps(price, self.price_increment)

    def lots(self, quantity: Decimal) -> int:
        """`quantity` in lots; `ValueError` when it is off the lot."""
        return steps(quantity, self.quantity_increment)

    def price(self, ticks: int) -> Decimal:
        """The price of `ticks`, with the increment's own number of places."""
        return multiply(self.price_increment, Decimal(ticks))

    def quantity(self, lots: int) -> Decimal:
        """The quantity of `lots`, with the increment's own number of places."""
        return multiply(self.quantity_increment, Decimal(lots))
