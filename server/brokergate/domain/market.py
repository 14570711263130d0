"""Market data as it is shown: in decimals. (The venue's own, in ticks and lots, is `sim/market.py`.)"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain.orders import Side


@dataclass(frozen=True, slots=True)
class QuoteView:
    """The best bid and ask; None where a side is empty. `event_time_ns` is the market's clock."""

    symbol: str
    bid_price: Decimal | None
    bid_quantity: Decimal | None
    ask_price: Decimal | None
    ask_quantity: Decimal | None
    event_time_ns: int
    receive_time_ns: int
    last_price: Decimal | None = None
    delayed: bool = False
    """Whether it is old because nobody pays for a present one."""


@dataclass(frozen=True, slots=True)
class TradeView:
    """A trade between others."""

    symbol: str
    price: Decimal
    quantity: Decimal
    aggressor_side: Side
    event_time_ns: int
    receive_time_ns: int
    delayed: bool = False


@dataclass(frozen=True, slots=True)
class BookView:
    """A book, best first, levels as (price, quantity)."""

    symbol: str
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    event_time_ns: int
    receive_time_ns: int


@dataclass(frozen=True, slots=True)
class BarView:
    """What a span of time brought; `event_time_ns` is its end. It is pushed, and told to nobody."""

    symbol: str
    span_ns: int
    open_price: Decimal
    high_price: Decimal
    low_price: Decimal
    close_price: Decimal
    volume: Decimal
    event_time_ns: int
    receive_time_ns: int


@dataclass(frozen=True, slots=True)
class BookChanged:
    """The book of `symbol` is another one now; ask the broker's `book()` for it when it is wanted."""

    symbol: str
    event_time_ns: int


MarketDatum = QuoteView | TradeView | BookView | BookChanged
