"""What Alpaca takes of the coins that are bought. No I/O.

The fee of crypto is a share of what is received: coins of a purchase, dollars of a sale (docs.alpaca.markets, "Crypto
Spot Trading Fees"). It stands in no fill, and in the account's activities at the end of the day alone. But it is gone
from the position at once: what a purchase should have added, and did not, is its fee. So a position stays the sum of
its fills and their fees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from brokergate.domain.fills import Money
from brokergate.domain.money import ZERO, add, multiply, quotient, subtract, total
from brokergate.domain.orders import Side
from brokergate.domain.values import changed
from brokergate.ports.broker import FillReport

MOST = Decimal("0.01")
"""Of a purchase: more is no fee. The highest is 0.25 % at present."""


class Coins:
    """The positions of one account in crypto, as of the last fill that was looked at."""

    def __init__(self) -> None:
        self._held: dict[str, Decimal] = {}

    def start(self, positions: Iterable[tuple[str, Decimal]]) -> None:
        """These are the positions of before the fills that come next: what the journal has."""
        self._held = {symbol: quantity for symbol, quantity in positions if is_crypto(symbol)}

    def learn(self, positions: Mapping[str, Decimal]) -> None:
        """What is held, for coins that nothing is known of."""
        for symbol, quantity in positions.items():
            if is_crypto(symbol):
                self._held.setdefault(symbol, quantity)

    def live(self, fill: FillReport, position: Decimal | None) -> FillReport:
        """A fill of the stream with its fee, where the position after it shows that."""
        before = self._held.get(fill.symbol)
        if not is_crypto(fill.symbol) or position is None:
            return fill
        self._held[fill.symbol] = position
        if before is None or fill.side is not Side.BUY:
            return fill
        fee = subtract(add(before, fill.quantity), position)
        return _with_fee(fill, fee) if ZERO <= fee <= multiply(fill.quantity, MOST) else fill

    def missed(self, fills: Sequence[FillReport], positions: Mapping[str, Decimal]) -> list[FillReport]:
        """Fills that this process was not told, oldest first, with their fees where `positions`, the present ones, show
        them: all of a symbol's together, each purchase with its share. The first of them may be in the journal, from
        before a restart: then the others are what explains the position."""
        found = list(fills)
        for symbol in {fill.symbol for fill in fills if is_crypto(fill.symbol)}:
            before, now = self._held.get(symbol), positions.get(symbol, ZERO)
            self._held[symbol] = now
            of = [index for index, fill in enumerate(found) if fill.symbol == symbol]
            while before is not None and of and not _explain(found, of, subtract(now, before)):
                of = of[1:]
        return found


def _explain(fills: list[FillReport], of: Sequence[int], change: Decimal) -> bool:
    """Whether the fills at `of` and a fee make up the change of the position; then they get it."""
    bought = [index for index in of if fills[index].side is Side.BUY]
    volume = total([fills[index].quantity for index in bought])
    sold = subtract(total([fills[index].quantity for index in of]), volume)
    fee = subtract(subtract(volume, sold), change)
    if not ZERO <= fee <= multiply(volume, MOST):
        return False
    left = fee
    for index in bought:
        share = left if index == bought[-1] else quotient(multiply(fee, fills[index].quantity), volume)
        fills[index] = _with_fee(fills[index], share)
        left = subtract(left, share)
    return True


def is_crypto(symbol: str) -> bool:
    """Whether a symbol is a pair's."""
    return "/" in symbol


def _with_fee(fill: FillReport, fee: Decimal) -> FillReport:
    base = fill.symbol.partition("/")[0]
    return changed(fill, fees=(Money(fee, base),) if fee else (), fees_final=True)
