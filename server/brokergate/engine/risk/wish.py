"""What is asked for: a new order, one that was held back and is to be sent, or what a working order shall become."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from brokergate.domain.instruments import Instrument
from brokergate.domain.money import ZERO, add, round_down, subtract
from brokergate.domain.orders import Order, OrderSpec
from brokergate.domain.values import value
from brokergate.engine.risk.breach import shown
from brokergate.engine.risk.exposure import Exposure, Holding, Link, Reservation


@value
class Wish:
    """An order as it shall be, and what the account has of its instrument beside it."""

    spec: OrderSpec
    quantity: Decimal
    """All of it; of an order that is to change, with what has filled."""
    instrument: Instrument
    before: Order | None
    """The working order that it changes; None for what the venue does not have yet."""
    holding: Holding
    leaves: Decimal
    """What would be left of it to fill."""
    counted: Decimal
    """What it would count for: of a change, the larger of before and after, since either may come true."""
    own: Reservation | Link | None
    """What the order counts for already, with those that fill as one with it."""
    held: Decimal
    """The position as the order's side sees it: below zero when the order is against it."""
    others: Decimal
    """What is left of all other orders of its side."""
    worst: Decimal
    """The position on its side when it and all others of its side have filled, and none of the other side."""
    together: int = 1
    """Orders that are placed in one step with it, itself among them."""

    @property
    def own_quantity(self) -> Decimal:
        """What of the order counts already."""
        return ZERO if self.own is None else self.own.quantity

    @property
    def own_notional(self) -> Decimal:
        """The same at its worst price, where orders are valued."""
        return ZERO if self.own is None else self.own.notional

    @property
    def reduces(self) -> bool:
        """Whether it can only bring the position nearer to zero: against it, and with every other order of its side no
        larger than it. Or it only moves the price of an order that closes, beside others that could: a stop beside a
        take-profit.

        Orders that the venue would only let reduce (`reduce_only`) count like any other: one of them that fills first
        leaves the others to open a position.
        """
        return self.worst <= ZERO or (self.grows_nothing and add(self.held, self.counted) <= ZERO)

    @property
    def grows_nothing(self) -> bool:
        """Whether it changes a working order and adds nothing to what that counts for."""
        return self.before is not None and self.counted <= self.own_quantity

    @property
    def eases(self) -> bool:
        """Whether it makes a working order smaller and leaves its prices alone."""
        before = self.before
        return (
            before is not None
            and self.quantity <= before.quantity
            and _prices(before.spec) == _prices(self.spec)
        )

    def way_out(self, room: Decimal, fits: Callable[[Decimal], bool]) -> str:
        """What to do instead: a quantity near `room` that passes, where there is one. `fits` says of what would be left
        to fill whether it passes."""
        instrument = self.instrument
        most = round_down(max(room, ZERO), instrument.quantity_increment)
        if most and not fits(most):
            # The room was a rounded quotient.
            most = subtract(most, instrument.quantity_increment)
        if most > ZERO and most >= instrument.min_quantity and fits(most):
            filled = self.before.cum_quantity if self.before else ZERO
            return f"order at most {shown(add(most, filled))}"
        return "cancel open orders of this side, or reduce the position first"


def wish_for(
    exposure: Exposure,
    spec: OrderSpec,
    quantity: Decimal,
    instrument: Instrument,
    replaced: Order | None,
    together: int = 1,
) -> Wish:
    """What is asked for. `replaced` is the order that shall become this, or that was held back and is to be sent."""
    holding = exposure.of(spec.symbol)
    held, others = holding.held(spec.side), holding.side(spec.side).quantity
    own = None if replaced is None else exposure.reservation(replaced)
    if own is not None:
        others = subtract(others, own.quantity)
    before, leaves, counted = None, quantity, quantity
    if replaced is not None and not replaced.held:
        before = replaced
        leaves = max(ZERO, subtract(quantity, replaced.cum_quantity))
        counted = leaves if own is None else own.counted(leaves)
    worst = add(add(held, others), counted)
    return Wish(
        spec, quantity, instrument, before, holding, leaves, counted, own, held, others, worst, together
    )


def _prices(spec: OrderSpec) -> tuple[Decimal | None, ...]:
    return (spec.limit_price, spec.stop_price, spec.trail_amount, spec.trail_percent)
