"""What an account may borrow to sell short."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain.instruments import Instrument
from brokergate.domain.money import CONTEXT, format_decimal
from brokergate.sim.funds import Borrowing


@dataclass(frozen=True, slots=True)
class ShortTerms:
    """By symbol, for instruments of the kinds that may go short at all. Nothing is paid for borrowing, and nobody calls
    back what was lent."""

    shortable: frozenset[str] | None = None
    """The only symbols that may go short; None for all."""
    not_shortable: frozenset[str] = frozenset()
    available: tuple[tuple[str, Decimal], ...] = ()
    """The quantity of a symbol that can be borrowed in all: open short positions and orders count against it."""

    def borrowing(self, instrument: Instrument) -> Borrowing:
        """What of `instrument` may be sold that is not held."""
        symbol = instrument.symbol
        if symbol in self.not_shortable or (self.shortable is not None and symbol not in self.shortable):
            return Borrowing("there is nothing to borrow")
        quantity = dict(self.available).get(symbol)
        if quantity is None:
            return Borrowing()
        return Borrowing(available=int(CONTEXT.divide_int(quantity, instrument.quantity_increment)))

    def text(self) -> str:
        """All of it in one line, equal for equal terms."""
        return json.dumps(
            [
                None if self.shortable is None else sorted(self.shortable),
                sorted(self.not_shortable),
                sorted((symbol, format_decimal(quantity)) for symbol, quantity in self.available),
            ]
        )


FREELY = ShortTerms()
"""Whatever may go short can be borrowed."""
