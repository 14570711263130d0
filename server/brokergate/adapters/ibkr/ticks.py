"""What `reqMktData` tells of one contract, tick by tick: the best prices, their sizes, and the last trade. Pure.

A price comes with its size, and its size comes once more by itself. Prices are in the venue's units. Several times a
second is the most that TWS tells, so that not every trade is there. (Kinds: tws-api/tick_types.html; data types:
tws-api/market_data_type.html.)
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from brokergate.adapters.ibkr.values import NS_PER_S
from brokergate.domain.money import ZERO

_FIRST_DELAYED = 66
_DELAYED_KINDS = {66: 1, 67: 2, 68: 4, 69: 0, 70: 3, 71: 5, 88: 45}
"""Kinds of delayed ticks, and the live ones that they are otherwise."""
_BID_SIZE, _BID, _ASK, _ASK_SIZE, _LAST, _LAST_SIZE, _LAST_TIME = 0, 1, 2, 3, 4, 5, 45
_NO_PRICE = Decimal(-1)
LIVE, FROZEN, DELAYED, DELAYED_FROZEN = 1, 2, 3, 4
"""Data types."""


class News(Enum):
    """What a tick changed."""

    NOTHING = "nothing"
    QUOTE = "quote"
    TRADE = "trade"


@dataclass(slots=True)
class Ticks:
    """The present market of one contract; None where there is no such price or size."""

    bid: Decimal | None = None
    bid_size: Decimal | None = None
    ask: Decimal | None = None
    ask_size: Decimal | None = None
    last: Decimal | None = None
    last_size: Decimal | None = None
    last_time_ns: int | None = None
    data_type: int = LIVE
    cut: bool = False
    """Whether where it comes from is away: what is known stays, and may be old."""

    @property
    def delayed(self) -> bool:
        """Whether it is some 15 minutes old."""
        return self.data_type in (DELAYED, DELAYED_FROZEN)

    @property
    def live(self) -> bool:
        """Whether it is the present market: neither delayed, nor what was left when the market closed or its farm went
        away."""
        return self.data_type == LIVE and not self.cut

    def take(self, kind: int, price: Decimal | None, size: Decimal | None) -> News:
        """Takes a price and its size, or a size; one below zero is none."""
        if size is not None and size < ZERO:
            size = None
        if kind >= _FIRST_DELAYED and kind in _DELAYED_KINDS:
            if not self.delayed:
                self.data_type = DELAYED
            kind = _DELAYED_KINDS[kind]
        if kind in (_LAST, _LAST_SIZE):
            return self._traded(kind, price, size)
        before = self.bid, self.bid_size, self.ask, self.ask_size
        if kind == _BID:
            self.bid, self.bid_size = _side(price, size, self.bid_size)
        elif kind == _ASK:
            self.ask, self.ask_size = _side(price, size, self.ask_size)
        elif kind == _BID_SIZE and self.bid is not None:
            self.bid_size = size
        elif kind == _ASK_SIZE and self.ask is not None:
            self.ask_size = size
        changed = before != (self.bid, self.bid_size, self.ask, self.ask_size)
        return News.QUOTE if changed else News.NOTHING

    def take_time(self, kind: int, text: str) -> None:
        """Takes the time of the last trade, in seconds since the epoch."""
        if _DELAYED_KINDS.get(kind, kind) == _LAST_TIME and text.isascii() and text.isdigit():
            self.last_time_ns = int(text) * NS_PER_S

    def _traded(self, kind: int, price: Decimal | None, size: Decimal | None) -> News:
        """The first one is the last trade of before: it is known from then on, and is no news."""
        if kind == _LAST_SIZE:
            price = self.last
        if price is None or price == _NO_PRICE or size is None or size <= ZERO:
            return News.NOTHING
        if (price, size) == (self.last, self.last_size) and kind == _LAST_SIZE:
            return News.NOTHING
        first = self.last is None
        self.last, self.last_size = price, size
        return News.QUOTE if first else News.TRADE


def _side(
    price: Decimal | None, size: Decimal | None, known: Decimal | None
) -> tuple[Decimal | None, Decimal | None]:
    """A side of the market; -1, or nothing at 0, is none."""
    if price is None or price == _NO_PRICE or (not price and not size):
        return None, None
    return price, known if size is None else size
