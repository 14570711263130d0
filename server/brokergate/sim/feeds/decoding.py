"""Rows of a table to the venue's updates.

The survey reads with tables of units, which find the increments; playing reads with tables of ticks and lots. Both see
the same rows and refuse the same ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from brokergate.domain.instruments import InstrumentKind
from brokergate.domain.money import parse_decimal
from brokergate.sim.feeds.increments import OffIncrement
from brokergate.sim.feeds.layout import BadLines, BarTime, Columns, CorporateActions, RowKind, TableLayout
from brokergate.sim.feeds.rows import Table
from brokergate.sim.feeds.symbols import gateway_symbol, kind_of
from brokergate.sim.feeds.tape import ForwardClock, TapeError
from brokergate.sim.feeds.times import ReadTime, day_span_ns, time_reader
from brokergate.sim.market import BookSnapshot, FeedGap, MarketUpdate, QuoteUpdate, TradeUpdate

DROPPED = "lines_dropped"
"""The key in `TapeSurvey.repairs` under which bad lines are counted that were left out."""
SHARES_ZONE, SHARES_SESSION = "America/New_York", (34_200, 57_600)
OTHERS_ZONE, OTHERS_SESSION = "UTC", (0, 86_400)
MAX_SPLIT_PARTS = 10_000
"""The largest number on either side of a split's ratio."""
_MEND = "mend the line, or set 'bad_lines: drop'"
_SELLERS, _BUYERS = (
    frozenset({"sell", "s", "ask", "-1", "seller"}),
    frozenset({"buy", "b", "bid", "1", "buyer"}),
)
_UNKNOWN = frozenset({"", "0", "n", "none", "unknown", "u"})


@dataclass(frozen=True, slots=True)
class SymbolScale:
    """How the numbers of one instrument are read. Without rounding all prices share one table."""

    bid: dict[str, int]
    ask: dict[str, int]
    price: dict[str, int]
    size: dict[str, int]
    quote_lots: int = 1
    """The size at bid and ask where the table tells none."""


@dataclass(frozen=True, slots=True)
class BarRow:
    """A bar with what the company did before it. `start_ns` and `end_ns` are equal where the span is to be found."""

    start_ns: int
    end_ns: int
    symbol: str
    open: int
    high: int
    low: int
    close: int
    volume: int
    dividend: Decimal
    split: Fraction


Decoded = MarketUpdate | BarRow


class Decoder:
    """One pass over one table. `dropped` counts the lines that were left out."""

    def __init__(
        self,
        table: Table,
        columns: Columns,
        layout: TableLayout,
        symbol: str,
        scale: Callable[[str], SymbolScale],
        spans: dict[str, int],
    ) -> None:
        """`symbol` is what the one instrument is called where no column tells; `scale` is asked by symbol, and
        `spans` is how long a bar lasts, 0 where that is to be found."""
        self.dropped: Counter[str] = Counter()
        self.clock = ForwardClock()
        self._table = table
        self._columns = columns
        self._layout = layout
        self._symbol = symbol
        self._scale = scale
        self._spans = spans
        self._scales: dict[str, SymbolScale] = {}
        self._symbols: dict[str, str] = {}
        self._readers: dict[str, tuple[ReadTime, tuple[int, int], ZoneInfo]] = {}
        self._dropping = layout.bad_lines is BadLines.DROP
        self._decode = {
            RowKind.QUOTES: self._quote,
            RowKind.TRADES: self._trade,
            RowKind.BARS: self._bar,
            RowKind.BOOKS: self._book,
        }[columns.kind]
        self._sized = "bid_size" in columns.at and "ask_size" in columns.at

    @property
    def names(self) -> set[str]:
        """What the table called its instruments so far."""
        return set(self._symbols) or {self._symbol}

    def rows(self) -> Iterator[tuple[int, Decoded]]:
        """The rows with their numbers. `TapeError` at a bad one, unless such are dropped: then a gap takes the place of
        one that was to tell the book."""
        decode = self._decode
        for row in self._table.rows(self._columns.used()):
            if isinstance(row, TapeError):
                if not self._dropping:
                    raise row
                yield from self._drop(row.line or 0, row.problem)
                continue
            number, fields = row
            try:
                decoded = decode(fields)
            except (ValueError, OverflowError) as error:
                if not self._dropping:
                    way_out = error.way_out if isinstance(error, OffIncrement) else _MEND
                    raise TapeError(
                        self._table.name, number, str(error)[:200], way_out, unit=self._table.unit
                    ) from error
                yield from self._drop(number, str(error)[:200])
                continue
            if decoded is not None:
                yield number, decoded

    def _drop(self, number: int, problem: str) -> Iterator[tuple[int, Decoded]]:
        self.dropped[DROPPED] += 1
        if self._columns.kind in (RowKind.QUOTES, RowKind.BOOKS) and self.clock.now_ns:
            reason = f"{self._table.unit} {number} of {self._table.name} was left out: {problem}"
            # Whose line it was may be what cannot be read.
            for symbol in self._scales:
                yield number, FeedGap(self.clock.now_ns, symbol, reason)

    def _head(self, fields: Sequence[str]) -> tuple[str, SymbolScale]:
        at = self._columns.at.get("symbol")
        symbol = self._symbol
        if at is not None:
            name = fields[at].strip()
            known = self._symbols.get(name)
            symbol = known or self._named(name)
        scale = self._scales.get(symbol)
        if scale is None:
            scale = self._scales[symbol] = self._scale(symbol)
        return symbol, scale

    def _named(self, name: str) -> str:
        symbol = self._symbol or self._layout.symbols.get(name) or gateway_symbol(name)
        self._symbols[name] = symbol
        return symbol

    def _moment(self, fields: Sequence[str], symbol: str) -> int | date:
        reader = self._readers.get(symbol)
        if reader is None:
            reader = self._readers[symbol] = self._reader(symbol)
        return reader[0](fields[self._columns.at["time"]].strip())

    def _reader(self, symbol: str) -> tuple[ReadTime, tuple[int, int], ZoneInfo]:
        shares = kind_of(symbol) is InstrumentKind.EQUITY
        zone = ZoneInfo(self._layout.timezone or (SHARES_ZONE if shares else OTHERS_ZONE))
        session = self._layout.session or (SHARES_SESSION if shares else OTHERS_SESSION)
        return time_reader(self._table.time_format or self._layout.time_format, zone), session, zone

    def _time(self, fields: Sequence[str], symbol: str) -> int:
        moment = self._moment(fields, symbol)
        if isinstance(moment, date):
            raise ValueError(
                f"time {moment.isoformat()} is a date alone, and a {self._columns.kind[:-1]} has a time"
            )
        return self.clock.advance(moment)

    def _quote(self, fields: Sequence[str]) -> QuoteUpdate:
        at = self._columns.at
        symbol, scale = self._head(fields)
        time_ns = self._time(fields, symbol)
        bid, ask = scale.bid[fields[at["bid"]].strip()], scale.ask[fields[at["ask"]].strip()]
        if not bid or not ask:
            raise ValueError("a price of zero")
        if self._dropping and bid > ask:
            raise ValueError("the quote is crossed")
        bid_size = ask_size = scale.quote_lots
        if self._sized:
            bid_size, ask_size = (
                scale.size[fields[at["bid_size"]].strip()],
                scale.size[fields[at["ask_size"]].strip()],
            )
        return QuoteUpdate(
            time_ns, symbol, (bid, bid_size) if bid_size else None, (ask, ask_size) if ask_size else None
        )

    def _trade(self, fields: Sequence[str]) -> TradeUpdate | None:
        at = self._columns.at
        symbol, scale = self._head(fields)
        time_ns = self._time(fields, symbol)
        price, size = scale.price[fields[at["price"]].strip()], scale.size[fields[at["size"]].strip()]
        if not price:
            raise ValueError("a price of zero")
        if not size:
            if self._layout.rounding:
                return None
            raise ValueError("a trade of size zero")
        return TradeUpdate(time_ns, symbol, price, size, self._aggressor(fields))

    def _aggressor(self, fields: Sequence[str]) -> int:
        at = self._columns.at
        if "side" in at:
            side = fields[at["side"]].strip().lower()
            if side in _BUYERS:
                return 1
            if side in _SELLERS:
                return -1
            if side not in _UNKNOWN:
                raise ValueError(f"side {side[:40]!r} is neither buy nor sell")
        elif "buyer_maker" in at:
            maker = fields[at["buyer_maker"]].strip().lower()
            if maker not in ("true", "false", "1", "0"):
                raise ValueError(
                    f"{maker[:40]!r} does not say whether the buyer was the maker; write true or false"
                )
            return -1 if maker in ("true", "1") else 1
        return 0

    def _book(self, fields: Sequence[str]) -> BookSnapshot:
        symbol, scale = self._head(fields)
        time_ns = self._time(fields, symbol)
        bids = _levels(fields, self._columns.bids, scale.bid, scale.size)
        asks = _levels(fields, self._columns.asks, scale.ask, scale.size)
        if self._dropping and bids and asks and max(bids)[0] >= min(asks)[0]:
            raise ValueError("the book is crossed")
        return BookSnapshot(time_ns, symbol, bids, asks)

    def _bar(self, fields: Sequence[str]) -> BarRow:
        at = self._columns.at
        symbol, scale = self._head(fields)
        moment = self._moment(fields, symbol)
        prices = scale.price
        opened, high = prices[fields[at["open"]].strip()], prices[fields[at["high"]].strip()]
        low, close = prices[fields[at["low"]].strip()], prices[fields[at["close"]].strip()]
        if not low:
            raise ValueError("a price of zero")
        if low > high:
            raise ValueError("the bar's low is above its high")
        if not low <= opened <= high or not low <= close <= high:
            raise ValueError("the bar opens or closes outside its low and high")
        volume = scale.size[fields[at["volume"]].strip()] if "volume" in at else 0
        dividend, split = self._actions(fields)
        if isinstance(moment, date):
            _, session, zone = self._readers[symbol]
            start_ns, end_ns = day_span_ns(moment, session, zone)
        else:
            span_ns = self._spans.get(symbol, 0)
            start_ns = moment if self._layout.bar_time is BarTime.START else moment - span_ns
            end_ns = start_ns + span_ns
        passed = self.clock.advance(start_ns) - start_ns
        return BarRow(
            start_ns + passed, end_ns + passed, symbol, opened, high, low, close, volume, dividend, split
        )

    def _actions(self, fields: Sequence[str]) -> tuple[Decimal, Fraction]:
        at = self._columns.at
        dividend, split = Decimal(0), Fraction(1)
        if self._layout.corporate_actions is CorporateActions.IGNORE:
            return dividend, split
        if "dividend" in at and (text := fields[at["dividend"]].strip()):
            dividend = parse_decimal(text)
            if dividend < 0:
                raise ValueError(f"dividend {text[:40]} is below zero")
        if "split" in at and (text := fields[at["split"]].strip()):
            split = _ratio(text)
        return dividend, split


def _levels(
    fields: Sequence[str],
    columns: tuple[tuple[int, int], ...],
    prices: dict[str, int],
    sizes: dict[str, int],
) -> tuple[tuple[int, int], ...]:
    """The levels of a side that are there: a cell may be empty, and a size zero."""
    levels: dict[int, int] = {}
    for price_at, size_at in columns:
        price, size = fields[price_at].strip(), fields[size_at].strip()
        if not price and not size:
            continue
        ticks, lots = prices[price], sizes[size]
        if not ticks:
            raise ValueError("a price of zero")
        if ticks in levels:
            raise ValueError(f"the price {price[:40]} stands there twice")
        if lots:
            levels[ticks] = lots
    return tuple(levels.items())


def _ratio(text: str) -> Fraction:
    """New shares for old ones: `7`, `0.1`, `7:1` or `3/2`; 0 is none, as some vendors have it."""
    new, separator, old = text.replace(":", "/").partition("/")
    try:
        ratio = Fraction(parse_decimal(new)) / (Fraction(parse_decimal(old)) if separator else 1)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"split {text[:40]!r} is no ratio such as 7 or 3:2") from None
    ratio = ratio.limit_denominator(MAX_SPLIT_PARTS) if ratio >= 0 else ratio
    if not ratio:
        return Fraction(1)
    if ratio < 0 or ratio.numerator > MAX_SPLIT_PARTS:
        raise ValueError(f"split {text[:40]!r} is no ratio such as 7 or 3:2")
    return ratio
