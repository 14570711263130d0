"""The first pass over a Binance recording: which symbols, streams and increments, from when to when."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import Enum
from math import gcd
from pathlib import Path
from typing import Any

from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.sim.feeds.binance_frames import Frame, FrameKind, FrameReader, missing_field
from brokergate.sim.feeds.binance_symbols import split_symbol
from brokergate.sim.feeds.increments import CommonDivisor, OffIncrement, StepTable, price_table, size_table
from brokergate.sim.feeds.layout import TableLayout
from brokergate.sim.feeds.tape import TapeError, TapeOverrides, TapeSurvey, listed

MAX_SYMBOLS = 2_000
"""Symbols that one recording may hold; Binance has fewer."""

_WAY_OUT = "record it again, or cut the line out"


class BookSource(Enum):
    """Which frames make a symbol's book, the best that the recording has."""

    DIFFS = "depth diffs joined to a snapshot"
    SNAPSHOTS = "partial-depth snapshots"
    QUOTES = "bookTicker alone (L1)"
    NONE = "none (trades alone)"


@dataclass(slots=True)
class SymbolTally:
    """What the first pass counts of one symbol."""

    prices: CommonDivisor = field(default_factory=lambda: CommonDivisor("price"))
    sizes: CommonDivisor = field(default_factory=lambda: CommonDivisor("size"))
    counts: Counter[FrameKind] = field(default_factory=Counter)

    def absorb(self, other: SymbolTally) -> None:
        """Add another's: frames that did not name their symbol."""
        self.counts.update(other.counts)
        self.prices.divisor = gcd(self.prices.divisor, other.prices.divisor)
        self.sizes.divisor = gcd(self.sizes.divisor, other.sizes.divisor)

    def source(self) -> BookSource:
        """Which of the frames make the book."""
        counts = self.counts
        if counts[FrameKind.DEPTH] and counts[FrameKind.SNAPSHOT]:
            return BookSource.DIFFS
        if counts[FrameKind.PARTIAL] or counts[FrameKind.SNAPSHOT]:
            return BookSource.SNAPSHOTS
        return BookSource.QUOTES if counts[FrameKind.TICKER] else BookSource.NONE


@dataclass(frozen=True, slots=True)
class BinanceSurvey:
    """What the second pass needs: by Binance's symbol, the instrument and where its book comes from."""

    survey: TapeSurvey
    instruments: dict[str, Instrument]
    sources: dict[str, BookSource]
    tables: dict[str, tuple[StepTable, StepTable]]
    """Prices to ticks and sizes to lots, with what the first pass has read of them."""
    aggregated_trades: dict[str, bool]
    """Whether trades come from `aggTrade`: where there is no `trade` stream, which tells the same in more
    detail.
    """


def survey_binance(path: Path, overrides: TapeOverrides) -> BinanceSurvey:
    """Read a whole recording once; `TapeError` at its first bad line."""
    reader = FrameReader(path)
    tallies: dict[str, SymbolTally] = {}
    first_ns = last_ns = 0
    lead_ns: int | None = None
    for frame in reader.frames():
        first_ns = first_ns or frame.time_ns
        last_ns = frame.time_ns
        tally = tallies.get(frame.symbol)
        if tally is None:
            if len(tallies) >= MAX_SYMBOLS:
                raise TapeError(
                    str(path), frame.line, f"more than {MAX_SYMBOLS} symbols", "split the recording"
                )
            tally = tallies[frame.symbol] = SymbolTally()
        tally.counts[frame.kind] += 1
        try:
            _measure(frame.kind, frame.data, tally)
        except KeyError as error:
            raise missing_field(str(path), frame.line, error) from error
        except (ValueError, TypeError) as error:
            raise bad_value(path, frame, error) from error
        if reader.stamped and frame.event_ns:
            ahead = frame.event_ns - frame.time_ns
            lead_ns = ahead if lead_ns is None or ahead > lead_ns else lead_ns
    if not tallies:
        raise TapeError(str(path), None, "the recording is empty", "give a recording with frames")
    others = _settle_nameless(path, tallies, overrides)
    instruments = _instruments(path, tallies, overrides)
    frames = {instruments[name].symbol: _counts(tally.counts) for name, tally in tallies.items()}
    if others:
        frames[""] = _counts(others)
    survey = TapeSurvey(
        tuple(instruments.values()), first_ns, last_ns, frames, reader.clock.repairs(), lead_ns
    )
    return BinanceSurvey(
        survey,
        instruments,
        {name: tally.source() for name, tally in tallies.items()},
        {
            name: (
                price_table(instruments[name].price_increment, tally.prices),
                size_table(instruments[name].quantity_increment, tally.sizes),
            )
            for name, tally in tallies.items()
        },
        {name: not tally.counts[FrameKind.TRADE] for name, tally in tallies.items()},
    )


def bad_value(path: Path, frame: Frame, error: Exception) -> TapeError:
    """The error of a frame with a field that cannot be what it is."""
    way_out = error.way_out if isinstance(error, OffIncrement) else _WAY_OUT
    return TapeError(str(path), frame.line, f"bad {frame.kind} frame: {str(error)[:200]}", way_out)


def integer(data: dict[str, Any], name: str) -> int:
    """An id of a frame; `ValueError` when it is no whole number."""
    value = data[name]
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} is {str(value)[:64]!r}, not an id")
    return value


def _counts(counts: Counter[FrameKind]) -> dict[str, int]:
    return {kind.value: counts[kind] for kind in FrameKind if counts[kind]}


def _measure(kind: FrameKind, data: dict[str, Any], tally: SymbolTally) -> None:
    """Let the frame's prices and sizes bear on the increments, and see that it has the fields of its kind."""
    prices, sizes = tally.prices, tally.sizes
    if kind is FrameKind.TICKER:
        integer(data, "u")
        prices[data["b"]], sizes[data["B"]], prices[data["a"]], sizes[data["A"]]
    elif kind is FrameKind.TRADE or kind is FrameKind.AGG_TRADE:
        if not prices[data["p"]] or not sizes[data["q"]]:
            raise ValueError("the price or the size of a trade is zero")
        if type(data["m"]) is not bool:
            raise ValueError("m is neither true nor false")
    elif kind is not FrameKind.OTHER:
        names = ("b", "a") if kind is FrameKind.DEPTH else ("bids", "asks")
        if kind is not FrameKind.DEPTH:
            integer(data, "lastUpdateId")
        elif integer(data, "U") > integer(data, "u"):
            raise ValueError("U is above u")
        elif "pu" in data:
            raise ValueError(
                "the frame is of the futures' streams (it has 'pu'), which are not read; record spot's"
            )
        for name in names:
            for price, size in data[name]:
                sizes[size]
                if not prices[price]:
                    raise ValueError("the price of a level is zero")


def _settle_nameless(
    path: Path, tallies: dict[str, SymbolTally], overrides: TapeOverrides
) -> Counter[FrameKind] | None:
    """Give snapshots without a symbol to the only symbol there is; answers how many frames are nobody's."""
    nameless = tallies.pop("", None)
    others: Counter[FrameKind] = Counter()
    if nameless is not None:
        others[FrameKind.OTHER] = nameless.counts.pop(FrameKind.OTHER, 0)
        if nameless.counts:
            if len(tallies) > 1:
                problem = f"a depth snapshot does not say which of {listed(sorted(tallies))} it is of"
                way_out = 'record it as {"symbol": ..., "lastUpdateId": ..., ...}, or one symbol a file'
                raise TapeError(str(path), None, problem, way_out)
            if not tallies:
                if overrides.symbol is None:
                    raise TapeError(str(path), None, "no frame names a symbol", "set 'symbol' for this tape")
                tallies[overrides.symbol.replace("/", "").upper()] = SymbolTally()
            next(iter(tallies.values())).absorb(nameless)
    if not tallies:
        raise TapeError(
            str(path), None, "no frame tells of a book or a trade", "record depth, bookTicker or trade"
        )
    return others if others[FrameKind.OTHER] else None


def _instruments(
    path: Path, tallies: dict[str, SymbolTally], overrides: TapeOverrides
) -> dict[str, Instrument]:
    """The instruments by Binance's symbol."""
    if len(tallies) > 1 and replace(overrides, quote_size=None, layout=TableLayout()) != TapeOverrides():
        problem = f"symbol and increments are set, but the tape is of {listed(sorted(tallies))}"
        raise TapeError(str(path), None, problem, "leave them out, or record one symbol a file")
    result: dict[str, Instrument] = {}
    for name, tally in tallies.items():
        if overrides.symbol is None:
            pair = split_symbol(name)
        else:
            base, _, quote = overrides.symbol.partition("/")
            pair = (base, quote) if base and quote else None
        if pair is None:
            problem = f"symbol {overrides.symbol or name!r} does not split into base and quote currency"
            raise TapeError(str(path), None, problem, "set 'symbol' for this tape, such as 'BTC/USDT'")
        price = overrides.price_increment or tally.prices.increment()
        quantity = overrides.quantity_increment or tally.sizes.increment()
        if price is None or quantity is None:
            raise TapeError(str(path), None, f"{name} has no price or no size but zero", "record it again")
        result[name] = Instrument(
            "/".join(pair), name, InstrumentKind.SPOT, pair[0], pair[1], price, quantity
        )
    return result
