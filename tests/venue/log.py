"""What a venue wrote down by itself, and what can be concluded from it: the judge of laws 2 and 7."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from brokergate.domain.fills import Money
from brokergate.domain.money import ZERO, add, multiply, subtract
from brokergate.domain.orders import Side
from brokergate.domain.values import value


class EntryKind(StrEnum):
    """What an entry is about."""

    PLACE = "place"
    """A request to place an order came."""
    REPLACE = "replace"
    CANCEL = "cancel"
    ACCEPTED = "accepted"
    """The request just before of the same `client_order_id` was done."""
    REFUSED = "refused"
    FILL = "fill"
    ENDED = "ended"
    """An order was cancelled or expired."""


@value
class Entry:
    """One line of the log. `number` counts from 1; fields that do not belong to the kind are empty.

    `generation` is the one that the request asks for: 1 to place, one more than it saw to replace. `sequence`, `price`,
    `execution_id`, `multiplier` and `fees` are those of a fill.
    """

    number: int
    time_ns: int
    kind: EntryKind
    client_order_id: str = ""
    broker_order_id: str = ""
    generation: int = 0
    symbol: str = ""
    side: Side = Side.UNSPECIFIED
    quantity: Decimal = ZERO
    price: Decimal = ZERO
    multiplier: Decimal = Decimal(1)
    sequence: int = 0
    execution_id: str = ""
    quote_currency: str = ""
    fees: tuple[Money, ...] = ()
    message: str = ""

    @property
    def fill_key(self) -> tuple[str, str, str]:
        """What makes a fill one execution (law 7): symbol, broker order id, execution id."""
        return (self.symbol, self.broker_order_id, self.execution_id)


class SentTwice:
    """Finds what the venue was asked for more than once, entry by entry: law 2 says that there is nothing."""

    def __init__(self) -> None:
        self._asked: set[tuple[str, int]] = set()
        self._last: Entry | None = None

    def take(self, entries: Iterable[Entry]) -> list[tuple[str, int]]:
        """The next entries; each (client_order_id, generation) among them that was asked for before. A replace that the
        venue refused may be asked for again: only one that it did counts. Orders of others are left out."""
        again = []
        for entry in entries:
            asked = (entry.client_order_id, entry.generation)
            if entry.kind is EntryKind.ACCEPTED and self._last is not None:
                # Of the request just before.
                self._asked.add((self._last.client_order_id, self._last.generation))
            elif entry.client_order_id and entry.kind in (EntryKind.PLACE, EntryKind.REPLACE):
                if asked in self._asked:
                    again.append(asked)
                if entry.kind is EntryKind.PLACE:
                    self._asked.add(asked)
            self._last = entry
        return again


def sent_twice(entries: Iterable[Entry]) -> list[tuple[str, int]]:
    """All of a log that breaks law 2; see `SentTwice`."""
    return SentTwice().take(entries)


def fills(entries: Iterable[Entry]) -> list[Entry]:
    """The executions, in their order."""
    return [entry for entry in entries if entry.kind is EntryKind.FILL]


def held(entries: Iterable[Entry]) -> dict[str, Decimal]:
    """What the fills come to, by symbol: bought less sold; flat ones too."""
    positions: dict[str, Decimal] = {}
    for entry in fills(entries):
        before = positions.get(entry.symbol, ZERO)
        combine = add if entry.side is Side.BUY else subtract
        positions[entry.symbol] = combine(before, entry.quantity)
    return positions


def cash_moved(entries: Iterable[Entry]) -> dict[str, Decimal]:
    """What the fills brought of each quote currency, with their fees: −Σ side × price × quantity × multiplier − fees.
    What a spot fill brings or takes of its base currency is the position."""
    moved: dict[str, Decimal] = {}
    for entry in fills(entries):
        notional = multiply(multiply(entry.price, entry.quantity), entry.multiplier)
        before = moved.get(entry.quote_currency, ZERO)
        combine = subtract if entry.side is Side.BUY else add
        moved[entry.quote_currency] = combine(before, notional)
        for fee in entry.fees:
            moved[fee.currency] = subtract(moved.get(fee.currency, ZERO), fee.amount)
    return moved
