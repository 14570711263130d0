"""Positions of an account whose broker is outside the process: derived from the fills that are booked.

So that a position in the journal is the sum of its fills, and the broker's own word can be held against it. Lots are
closed first in, first out; lots of before a start are one, of the cost that the journal has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal

from brokergate.domain.accounts import BrokerPosition, ValueSource
from brokergate.domain.fills import Fill, FillKind, Money
from brokergate.domain.instruments import Instrument
from brokergate.domain.money import ONE, ZERO, add, multiply, quotient, subtract, total
from brokergate.domain.orders import Side
from brokergate.domain.values import changed

MAX_LOTS = 1_000
"""Lots that a position tells apart; beyond it the two oldest are pooled, so that memory stays bounded."""


class _Lots:
    """What is held of one instrument: [quantity, cost] without signs, the oldest first."""

    __slots__ = ("entries", "side")

    def __init__(self, quantity: Decimal, cost: Decimal) -> None:
        self.side = 1 if quantity >= ZERO else -1
        self.entries: deque[list[Decimal]] = deque()
        if quantity:
            self.entries.append([quantity.copy_abs(), cost.copy_abs()])

    def open(self, quantity: Decimal, cost: Decimal) -> None:
        self.entries.append([quantity, cost])
        if len(self.entries) > MAX_LOTS:
            oldest, second = self.entries.popleft(), self.entries.popleft()
            self.entries.appendleft([add(oldest[0], second[0]), add(oldest[1], second[1])])

    def shrink(self, quantity: Decimal) -> bool:
        """The newest lot is so much smaller, and has cost what it had; false where there is none so large."""
        if self.entries and self.side > 0 and self.entries[-1][0] > quantity:
            self.entries[-1][0] = subtract(self.entries[-1][0], quantity)
            return True
        return False

    def take_back(self, side: Side, quantity: Decimal, cost: Decimal) -> bool:
        """The newest lot of this quantity and cost is gone; false where there is none."""
        if self.side != (1 if side is Side.BUY else -1):
            return False
        for index in reversed(range(len(self.entries))):
            if self.entries[index] == [quantity, cost]:
                del self.entries[index]
                return True
        return False

    def close(self, quantity: Decimal) -> Decimal:
        """Takes the oldest `quantity` away; what it cost. A part of a lot costs its part to 18 places,
        and the rest stays with the lot: the sum of costs is exact."""
        cost = ZERO
        while quantity and self.entries:
            entry = self.entries[0]
            if quantity >= entry[0]:
                cost = add(cost, entry[1])
                quantity = subtract(quantity, entry[0])
                self.entries.popleft()
            else:
                part = quotient(multiply(entry[1], quantity), entry[0])
                entry[0], entry[1] = subtract(entry[0], quantity), subtract(entry[1], part)
                return add(cost, part)
        return cost


class DerivedPositions:
    """The positions of one account by symbol, as its booked fills make them."""

    def __init__(self, positions: Iterable[BrokerPosition]) -> None:
        self._positions: dict[str, BrokerPosition] = {}
        self._lots: dict[str, _Lots] = {}
        for position in positions:
            self.take(position)

    @property
    def all(self) -> Mapping[str, BrokerPosition]:
        """By symbol, flat ones that were held before too."""
        return self._positions

    def quantity(self, symbol: str) -> Decimal:
        """Units held; below zero is short."""
        position = self._positions.get(symbol)
        return ZERO if position is None else position.quantity

    def take(self, position: BrokerPosition) -> None:
        """The position is this, by the journal or by a person who takes the broker's word."""
        self._positions[position.symbol] = position
        self._lots[position.symbol] = _Lots(position.quantity, position.cost)

    def fill(
        self, fill: Fill, instrument: Instrument | None, corrected: Fill | None = None
    ) -> BrokerPosition:
        """The position after `fill`; `corrected` is what a correction replaces or a bust takes back. Where that was
        closed meanwhile, or closed something itself, it is traded back at its own price: what is held and the sum of
        cost and gain are exact, how they part is not."""
        before = self._positions.get(fill.symbol)
        if before is None:
            before = BrokerPosition(
                fill.symbol,
                ZERO,
                ZERO,
                instrument.quote_currency if instrument else "",
                fill.receive_time_ns,
                multiplier=instrument.multiplier if instrument else ONE,
                source=ValueSource.DERIVED,
            )
            self._lots[fill.symbol] = _Lots(ZERO, ZERO)
        position = before if corrected is None else self._taken_back(before, corrected)
        if fill.kind is not FillKind.BUST:
            position = self._less_fees(self._traded(position, fill), fill, instrument)
            position = changed(position, fees=_added(position.fees, fill.fees))
        position = changed(
            position,
            as_of_ns=fill.receive_time_ns,
            mark_price=None,
            unrealized_pnl=None,
            source=ValueSource.DERIVED,
        )
        self._positions[fill.symbol] = position
        return position

    def fees(self, fill: Fill, fees: tuple[Money, ...]) -> BrokerPosition:
        """The position after the fees of a booked execution became known."""
        before = self._positions[fill.symbol]
        position = changed(before, fees=_added(_added(before.fees, _negated(fill.fees)), fees))
        self._positions[fill.symbol] = position
        return position

    def _taken_back(self, before: BrokerPosition, fill: Fill) -> BrokerPosition:
        """The position as if `fill` had not been, with its fees."""
        before = changed(before, fees=_added(before.fees, _negated(fill.fees)))
        cost = multiply(multiply(fill.price, before.multiplier), fill.quantity)
        if not self._lots[fill.symbol].take_back(fill.side, fill.quantity, cost):
            return self._traded(before, changed(fill, side=fill.side.opposite))
        signed = (subtract, add)[fill.side is Side.SELL]
        return changed(
            before, quantity=signed(before.quantity, fill.quantity), cost=signed(before.cost, cost)
        )

    def _less_fees(
        self, position: BrokerPosition, fill: Fill, instrument: Instrument | None
    ) -> BrokerPosition:
        """Without the fees that were taken out of what was bought: the rest has cost as much as all of it."""
        base = instrument.base_currency if instrument else ""
        paid = total([fee.amount for fee in fill.fees if base and fee.currency == base])
        if not paid:
            return position
        position = changed(position, quantity=subtract(position.quantity, paid))
        if not self._lots[fill.symbol].shrink(paid):
            self._lots[fill.symbol] = _Lots(position.quantity, position.cost)
        return position

    def _traded(self, before: BrokerPosition, fill: Fill) -> BrokerPosition:
        lots = self._lots[fill.symbol]
        side = 1 if fill.side is Side.BUY else -1
        unit = multiply(fill.price, before.multiplier)
        held = before.quantity.copy_abs()
        closing = min(fill.quantity, held) if before.quantity and lots.side != side else ZERO
        realized, cost = before.realized_pnl, before.cost.copy_abs()
        if closing:
            released = lots.close(closing)
            proceeds = multiply(unit, closing)
            gain = subtract(proceeds, released) if side < 0 else subtract(released, proceeds)
            realized, cost, held = add(realized, gain), subtract(cost, released), subtract(held, closing)
        opening = subtract(fill.quantity, closing)
        if opening:
            lots.side = side
            lots.open(opening, multiply(unit, opening))
            held, cost = add(held, opening), add(cost, multiply(unit, opening))
        if lots.side < 0:
            held, cost = held.copy_negate() if held else ZERO, cost.copy_negate() if cost else ZERO
        return changed(before, quantity=held, cost=cost, realized_pnl=realized)


def _negated(fees: tuple[Money, ...]) -> tuple[Money, ...]:
    return tuple(Money(fee.amount.copy_negate(), fee.currency) for fee in fees)


def _added(fees: tuple[Money, ...], more: tuple[Money, ...]) -> tuple[Money, ...]:
    amounts = {fee.currency: fee.amount for fee in fees}
    for fee in more:
        amounts[fee.currency] = add(amounts.get(fee.currency, ZERO), fee.amount)
    return tuple(Money(amount, currency) for currency, amount in sorted(amounts.items()))
