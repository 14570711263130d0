"""What a market says: the updates that a feed gives to the venue, in integer ticks and lots.

Times are nanoseconds since the Unix epoch, in the feed's own clock. A price of 3 means three times the
instrument's `price_increment`, a size of 3 three times its `quantity_increment`; `sim/scale.py` converts.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from brokergate.domain.values import value


@value
class BookSnapshot:
    """The whole of both sides; it replaces what the book held. Levels are `(ticks, lots)`, any order, lots > 0."""

    time_ns: int
    symbol: str
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


@value
class BookDelta:
    """Levels whose size is now as given; a size of 0 removes the level."""

    time_ns: int
    symbol: str
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


@value
class QuoteUpdate:
    """The best bid and ask with their sizes in lots. `None` where a side is empty."""

    time_ns: int
    symbol: str
    bid: tuple[int, int] | None
    ask: tuple[int, int] | None
    advisory: bool = False
    """True for a quote that runs beside a full book (Binance's bookTicker beside depth): shown, not matched on."""


@value
class TradeUpdate:
    """A trade that others made. `aggressor` is +1 when a buyer took, -1 when a seller did, 0 when unknown."""

    time_ns: int
    symbol: str
    price: int
    size: int
    aggressor: int


@value
class FeedGap:
    """The feed lost updates: the book cannot be trusted until the next `BookSnapshot`."""

    time_ns: int
    symbol: str
    reason: str


@value
class BarUpdate:
    """What a span of time brought, told when it is over: `time_ns` is its end. Prices are of trades."""

    time_ns: int
    symbol: str
    span_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    """Lots that were traded in it; 0 or more."""
    assumed: int = 0
    """Where its feed tells no volumes: the lots that can be had of it instead."""


@value
class MarkUpdate:
    """The venue's mark price of a derivative, in ticks: what positions are valued and margin is counted at."""

    time_ns: int
    symbol: str
    mark: int


class CorporateActionKind(Enum):
    """What a company does to its shares."""

    SPLIT = "split"
    DIVIDEND = "dividend"


@value
class CorporateAction:
    """It takes hold before the first trade at or after `time_ns`."""

    time_ns: int
    symbol: str
    kind: CorporateActionKind
    ratio: tuple[int, int] = (1, 1)
    """For a SPLIT: so many new shares for so many old ones; (2, 1) doubles."""
    amount: Decimal = Decimal(0)
    """For a DIVIDEND: cash a share, in the quote currency."""


@value
class FundingUpdate:
    """A perpetual's funding falls due: longs pay shorts `rate` × mark × quantity, the other way round below zero."""

    time_ns: int
    symbol: str
    rate: Decimal
    """A share, not per cent: 0.0001 is 0.01 %."""


MarketUpdate = (
    BookSnapshot
    | BookDelta
    | QuoteUpdate
    | TradeUpdate
    | BarUpdate
    | MarkUpdate
    | CorporateAction
    | FundingUpdate
    | FeedGap
)
