"""What is in a tape, and whether its book holds together: for `brokergate tape info`.

A Binance book is checked against `bookTicker`, which Binance sends for every change of the best bid or ask,
with the book's update id. An applied depth update with last id u is comparable when a bookTicker with an id
of at most u is on the tape; the latest of those is the top of the book at u, and the joined book's best
prices and sizes must equal it. The comparison waits for a bookTicker with a later id, or the end of the tape,
because the two streams race.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from brokergate.domain.instruments import Instrument
from brokergate.sim.feeds.binance import BinanceTape
from brokergate.sim.feeds.opening import TapeSource, open_tape
from brokergate.sim.feeds.tape import TapeFormat, TapeOverrides
from brokergate.sim.market import BookDelta, BookSnapshot, FeedGap, QuoteUpdate

MAX_PENDING = 100_000
"""Tops of a book that wait to be compared, and bookTickers likewise; the oldest go unchecked beyond it."""

Top = tuple[tuple[int, int] | None, tuple[int, int] | None]


@dataclass(frozen=True, slots=True)
class TapeInfo:
    """The findings. Times are nanoseconds since the epoch in the tape's clock."""

    name: str
    format: TapeFormat
    instruments: tuple[Instrument, ...]
    start_ns: int
    end_ns: int
    frames: Mapping[str, Mapping[str, int]]
    """By symbol and kind; `""` holds those of no instrument."""
    updates: Mapping[str, int]
    """What the venue gets, by kind of update."""
    book_levels: int
    """Levels in those updates."""
    gaps: int
    crossed: int
    """Updates after which a book's bid is at or above its ask, or a quote's bid above its ask."""
    comparable: int
    """Book updates that a bookTicker tells the top for."""
    agreeing: int
    """How many of those agree."""
    repairs: Mapping[str, int]
    exchange_lead_ns: int | None
    """By how much the exchange's clock is ahead of the recorder's, short of the fastest delivery."""
    silences: Mapping[str, tuple[int, int]]
    """The longest time without an update of each instrument, by symbol: when it began, and how long it was."""
    assumed_sizes: Mapping[str, Decimal]
    """As `TapeSurvey.assumed_sizes`."""

    def frame_counts(self) -> dict[str, int]:
        """Frames by kind, over all symbols."""
        result: Counter[str] = Counter()
        for counts in self.frames.values():
            result.update(counts)
        return dict(result)


class _Book:
    """A plain book to check with: price to size, a dict a side."""

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.tops: deque[tuple[int, Top]] = deque(maxlen=MAX_PENDING)
        self.tickers: deque[tuple[int, Top]] = deque(maxlen=MAX_PENDING)
        self.told: Top | None = None
        """The latest bookTicker at or before the top that is looked at."""
        self.comparable = 0
        self.agreeing = 0

    def apply(self, update: BookSnapshot | BookDelta) -> Top:
        """The best bid and ask, with sizes, after an update."""
        if isinstance(update, BookSnapshot):
            self.bids.clear()
            self.asks.clear()
        for side, levels in ((self.bids, update.bids), (self.asks, update.asks)):
            for price, size in levels:
                if size:
                    side[price] = size
                else:
                    side.pop(price, None)
        bid, ask = max(self.bids, default=None), min(self.asks, default=None)
        return (
            None if bid is None else (bid, self.bids[bid]),
            None if ask is None else (ask, self.asks[ask]),
        )

    def compare(self, known_to: int | None) -> None:
        """Compare the tops up to the id `known_to`, or all of them at the end of the tape."""
        while self.tops and (known_to is None or self.tops[0][0] < known_to):
            book_id, top = self.tops.popleft()
            while self.tickers and self.tickers[0][0] <= book_id:
                self.told = self.tickers.popleft()[1]
            if self.told is not None:
                self.comparable += 1
                self.agreeing += self.told == top


def tape_info(path: TapeSource, overrides: TapeOverrides | None = None) -> TapeInfo:
    """Read a whole tape and say what is in it; crossed books are counted, other faults are `TapeError`."""
    tape = open_tape(path, overrides)
    survey = tape.survey()
    books = {instrument.symbol: _Book() for instrument in survey.instruments}
    kinds: Counter[str] = Counter()
    levels = crossed = 0
    heard: dict[str, int] = {}
    silences: dict[str, tuple[int, int]] = {}
    for _, _, book_id, update in tape.located():
        silent_ns = update.time_ns - heard.get(update.symbol, update.time_ns)
        if silent_ns > silences.get(update.symbol, (0, 0))[1]:
            silences[update.symbol] = (heard[update.symbol], silent_ns)
        heard[update.symbol] = update.time_ns
        kinds[type(update).__name__] += 1
        book = books[update.symbol]
        if isinstance(update, (BookDelta, BookSnapshot)):
            levels += len(update.bids) + len(update.asks)
            top = book.apply(update)
            crossed += top[0] is not None and top[1] is not None and top[0][0] >= top[1][0]
            if isinstance(update, BookDelta):
                book.tops.append((book_id, top))
        elif isinstance(update, QuoteUpdate):
            crossed += update.bid is not None and update.ask is not None and update.bid[0] > update.ask[0]
            if update.advisory:
                book.tickers.append((book_id, (update.bid, update.ask)))
                book.compare(book_id)
    for book in books.values():
        book.compare(None)
    repairs = Counter(survey.repairs)
    if isinstance(tape, BinanceTape):
        repairs.update(tape.join_counts)
    return TapeInfo(
        name=tape.name,
        format=tape.format,
        instruments=survey.instruments,
        start_ns=survey.start_ns,
        end_ns=survey.end_ns,
        frames=survey.frames,
        updates=dict(kinds),
        book_levels=levels,
        gaps=kinds[FeedGap.__name__],
        crossed=crossed,
        comparable=sum(book.comparable for book in books.values()),
        agreeing=sum(book.agreeing for book in books.values()),
        repairs=dict(repairs),
        exchange_lead_ns=survey.exchange_lead_ns,
        silences=silences,
        assumed_sizes=survey.assumed_sizes,
    )


def render(info: TapeInfo) -> list[str]:
    """The findings as lines of plain text."""
    seconds = (info.end_ns - info.start_ns) / 1e9
    lines = [
        f"tape         {info.name}",
        f"format       {info.format}",
        f"from         {_utc(info.start_ns)}",
        f"to           {_utc(info.end_ns)} ({seconds:,.3f} s)",
    ]
    lines += [
        f"instrument   {instrument.symbol} ({instrument.broker_symbol}, {instrument.kind.name}), "
        f"tick {instrument.price_increment:f}, lot {instrument.quantity_increment:f}"
        for instrument in info.instruments
    ]
    lines.append(f"frames       {sum(info.frame_counts().values()):,}")
    for symbol, counts in info.frames.items():
        lines.append(f"  {symbol or 'no instrument'}: {_counts(counts)}")
    lines.append(f"updates      {_counts(info.updates)}; {info.book_levels:,} levels")
    lines.append(f"gaps         {info.gaps:,}")
    lines += [
        f"silence      {symbol}: {silent_ns / 1e9:,.3f} s at most, from {_utc(since_ns)}"
        for symbol, (since_ns, silent_ns) in info.silences.items()
    ]
    lines += [
        f"volume       {symbol}: its bars tell none; {size:,f} can be had of each (quote_size)"
        for symbol, size in info.assumed_sizes.items()
    ]
    lines.append(f"crossed      {info.crossed:,}")
    if info.comparable:
        lines.append(f"bookTicker   agrees with the book at {info.agreeing:,} of {info.comparable:,} updates")
    lines.append(f"repairs      {_counts(info.repairs)}")
    if info.exchange_lead_ns is not None:
        lines.append(f"clock        exchange ahead of recorder by {info.exchange_lead_ns / 1e9:.3f} s")
    return lines


def as_dict(info: TapeInfo) -> dict[str, object]:
    """The findings for JSON: increments as decimal texts, times in ISO 8601 (UTC) and in nanoseconds."""
    return {
        "name": info.name,
        "format": str(info.format),
        "instruments": [
            {
                "symbol": instrument.symbol,
                "broker_symbol": instrument.broker_symbol,
                "kind": instrument.kind.name,
                "base_currency": instrument.base_currency,
                "quote_currency": instrument.quote_currency,
                "price_increment": f"{instrument.price_increment:f}",
                "quantity_increment": f"{instrument.quantity_increment:f}",
            }
            for instrument in info.instruments
        ],
        "start_time": _utc(info.start_ns),
        "end_time": _utc(info.end_ns),
        "start_ns": info.start_ns,
        "end_ns": info.end_ns,
        "frames": {symbol: dict(counts) for symbol, counts in info.frames.items()},
        "frame_counts": info.frame_counts(),
        "updates": dict(info.updates),
        "book_levels": info.book_levels,
        "gaps": info.gaps,
        "crossed": info.crossed,
        "comparable": info.comparable,
        "agreeing": info.agreeing,
        "repairs": dict(info.repairs),
        "exchange_lead_ns": info.exchange_lead_ns,
        "silences": {
            symbol: {"since_ns": since_ns, "silent_ns": silent_ns}
            for symbol, (since_ns, silent_ns) in info.silences.items()
        },
        "assumed_sizes": {symbol: f"{size:f}" for symbol, size in info.assumed_sizes.items()},
    }


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items()) or "none"


def _utc(time_ns: int) -> str:
    """ISO 8601 to the nanosecond, exactly."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime(
        "%Y-%m-%dT%H:%M:%S"
    ) + f".{rest:09d}Z"
