"""Tables of quotes, trades, bars and books as tapes: CSV and Parquet, one file or many, one instrument or many.

Rows are played by time. A row counts as its file has it (rows of the same time in the file's order); several files are
merged, of the same time the first file's first, and a file is opened when its time has come, so that a folder of days
is not read at once. Within a file time may step back by a second at most (`tape.ForwardClock`).

A bar is told at its end. Where its date stands alone it is a day: from the session's opening to its close by the clock
of the exchange (shares: 9:30 to 16:00 in New York; all else: the whole day in UTC). Its dividend and its split take
hold at its beginning.

Bars of an instrument that tell no volume, for want of the column or with zeros alone, have an unknown volume: of each
`quote_size` can be had.

Prices that a vendor adjusted to splits bear the split as well, which would multiply a holding at an unchanged price. So
a split counts where the price moved with it: where open × ratio is nearer to the close before than open is, by ratio.
Another one is left out, and counted as `splits_in_prices`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from heapq import heapify, heappop, heappush, heapreplace
from math import gcd
from pathlib import Path

from brokergate.domain.instruments import Instrument
from brokergate.domain.money import CONTEXT, multiply, normal
from brokergate.sim.feeds.crossing import uncrossed
from brokergate.sim.feeds.decoding import BarRow, Decoder, SymbolScale
from brokergate.sim.feeds.files import magic
from brokergate.sim.feeds.increments import (
    PLACES,
    CommonDivisor,
    RoundedSteps,
    Rounding,
    price_table,
    size_table,
)
from brokergate.sim.feeds.layout import BarTime, Columns, CorporateActions, RowKind, columns_of
from brokergate.sim.feeds.parquet import ParquetTable
from brokergate.sim.feeds.rows import Table, csv_tables
from brokergate.sim.feeds.symbols import gateway_symbol, instrument_of
from brokergate.sim.feeds.tape import Located, TapeError, TapeFormat, TapeOverrides, TapeSurvey, listed
from brokergate.sim.market import (
    BarUpdate,
    BookSnapshot,
    CorporateAction,
    CorporateActionKind,
    MarketUpdate,
    QuoteUpdate,
    TradeUpdate,
)
from brokergate.sim.scale import Scale

PARQUET_MAGIC = b"PAR1"
MAX_SYMBOLS = 10_000
"""Instruments that one tape may hold."""
MAX_PLACES = 10
"""Decimal places of an increment that is found: finer ones are a float's noise."""
SPLITS_IN_PRICES = "splits_in_prices"
"""The key in `TapeSurvey.repairs` under which splits are counted that the prices before them were adjusted to."""
DEFAULT_QUOTE_SIZE = Decimal(1_000_000)
DEFAULT_QUOTE_CURRENCY = "USD"
_ONE = 10**PLACES
_KINDS = {QuoteUpdate: "quote", TradeUpdate: "trade", BookSnapshot: "book", BarRow: "bar"}
_ticker = re.compile(
    r"([A-Z][A-Z0-9.]{0,11})(?:[_ -].*)?\.(?:csv|txt|tsv|parquet|zip|gz).*", re.ASCII
).fullmatch


@dataclass(slots=True)
class _File:
    """One table with what the survey found in it."""

    table: Table
    columns: Columns
    symbol: str
    """Its one instrument's; empty where a column tells."""
    start_ns: int = 0


@dataclass(slots=True)
class _Tally:
    """What the survey counts of one instrument."""

    prices: CommonDivisor = field(default_factory=lambda: CommonDivisor("price"))
    sizes: CommonDivisor = field(default_factory=lambda: CommonDivisor("size"))
    counts: Counter[str] = field(default_factory=Counter)
    first_ns: int = 0
    last_ns: int = 0
    """When the last bar began."""
    end_ns: int = 0
    step_ns: int = 0
    """The shortest time between two bars."""
    close: int = 0
    volume: int = 0
    """Of all bars."""

    def scale(self) -> SymbolScale:
        return SymbolScale(self.prices, self.prices, self.prices, self.sizes)


class TableTape:
    """See the module."""

    def __init__(self, paths: Sequence[Path], overrides: TapeOverrides | None = None) -> None:
        self.name = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        self.overrides = overrides or TapeOverrides()
        self._layout = self.overrides.layout
        parquet = magic(paths[0]).startswith(PARQUET_MAGIC)
        self.format = TapeFormat.PARQUET if parquet else TapeFormat.CSV
        tables: list[Table] = []
        for path in paths:
            tables += [ParquetTable(path)] if parquet else csv_tables(path)
        self._files = [self._opened(table) for table in tables]
        self._survey: TapeSurvey | None = None
        self._spans: dict[str, int] = {}
        self._instruments: dict[str, Instrument] = {}
        self._assumed: dict[str, int] = {}
        """What can be had of each bar of those whose bars tell no volume, in lots."""
        self._splits: set[tuple[str, int]] = set()
        """Those that count, by file and row."""

    def survey(self) -> TapeSurvey:
        """Instruments, times and counts; the first call reads all files."""
        if self._survey is None:
            self._survey = self._surveyed()
        return self._survey

    def updates(self) -> Iterator[MarketUpdate]:
        """The updates from the start; `TapeError` on a bad line or a crossed quote or book."""
        return uncrossed(self.located(), self._files[0].table.unit)

    def located(self) -> Iterator[Located]:
        """The updates with file and line (of Parquet: row), crossed or not."""
        self.survey()
        waiting = sorted(
            range(len(self._files)), key=lambda index: (self._files[index].start_ns, index), reverse=True
        )
        heads: list[tuple[int, int, Located, Iterator[Located]]] = []
        while heads or waiting:
            while waiting and (not heads or self._files[waiting[-1]].start_ns <= heads[0][0]):
                index = waiting.pop()
                stream = self._play(self._files[index])
                head = next(stream, None)
                if head is not None:
                    heads.append((head[3].time_ns, index, head, stream))
                    heapify(heads)
            if not heads:
                continue
            _, index, head, stream = heads[0]
            yield head
            following = next(stream, None)
            if following is None:
                heappop(heads)
            else:
                heapreplace(heads, (following[3].time_ns, index, following, stream))

    # Opening

    def _opened(self, table: Table) -> _File:
        try:
            columns = columns_of(table.header, self._layout)
            symbol = self.overrides.symbol or ("" if "symbol" in columns.at else _file_symbol(table.name))
        except ValueError as error:
            way_out = "name the columns in 'columns', such as {time: ts, bid: best_bid}, and the instrument in 'symbol'"
            raise TapeError(table.name, table.header_line or None, str(error), way_out) from error
        return _File(table, columns, symbol)

    # The survey

    def _surveyed(self) -> TapeSurvey:
        tallies: dict[str, _Tally] = {}
        repairs: Counter[str] = Counter()
        names: set[str] = set()
        first_ns = last_ns = 0

        def scale(symbol: str) -> SymbolScale:
            if len(tallies) >= MAX_SYMBOLS:
                raise ValueError(f"more than {MAX_SYMBOLS} instruments")
            return tallies.setdefault(symbol, _Tally()).scale()

        for file in self._files:
            decoder = Decoder(file.table, file.columns, self._layout, file.symbol, scale, {})
            for number, decoded in decoder.rows():
                tally = tallies[decoded.symbol]
                kind = _KINDS.get(type(decoded))
                if kind is None:
                    continue
                tally.counts[kind] += 1
                time_ns = decoded.start_ns if isinstance(decoded, BarRow) else decoded.time_ns
                file.start_ns = file.start_ns or time_ns
                if isinstance(decoded, BarRow):
                    self._measure(decoded, tally, repairs, (file.table.name, number))
                last_ns = max(last_ns, time_ns)
            repairs.update(decoder.clock.repairs())
            repairs.update(decoder.dropped)
            names |= decoder.names
            if file.start_ns and (not first_ns or file.start_ns < first_ns):
                first_ns = file.start_ns
        tallies = {symbol: tally for symbol, tally in tallies.items() if tally.counts}
        if not tallies:
            raise TapeError(self.name, None, "there is no row in it", "give a recording with rows")
        if self.overrides.symbol is not None and len(names) > 1:
            problem = f"symbol is set, but the tape is of {listed(sorted(names))}"
            raise TapeError(
                self.name, None, problem, "leave it out, or set 'symbols' by the file's own names"
            )
        for symbol, tally in tallies.items():
            self._instruments[symbol] = self._instrument(symbol, tally)
            self._spans[symbol] = self._span(symbol, tally)
            if tally.counts["bar"] and not tally.volume:
                self._assumed[symbol] = self._quote_lots(self._instruments[symbol])
        first_ns, last_ns = self._bounds(first_ns, last_ns, tallies)
        frames = {symbol: dict(tally.counts) for symbol, tally in tallies.items()}
        assumed = {
            symbol: multiply(self._instruments[symbol].quantity_increment, Decimal(lots))
            for symbol, lots in self._assumed.items()
        }
        instruments = tuple(self._instruments.values())
        return TapeSurvey(instruments, first_ns, last_ns, frames, dict(repairs), assumed_sizes=assumed)

    def _measure(self, bar: BarRow, tally: _Tally, repairs: Counter[str], row: tuple[str, int]) -> None:
        """Lets a bar bear on the span, and judges its split."""
        if tally.last_ns and bar.end_ns == bar.start_ns > tally.last_ns:
            step_ns = bar.start_ns - tally.last_ns
            tally.step_ns = min(tally.step_ns or step_ns, step_ns)
        tally.last_ns, tally.end_ns = bar.start_ns, bar.end_ns
        if bar.dividend:
            tally.counts["dividend"] += 1
        if bar.split != 1:
            if self._layout.corporate_actions is CorporateActions.APPLY or _moved(bar, tally.close):
                self._splits.add(row)
                tally.counts["split"] += 1
            else:
                repairs[SPLITS_IN_PRICES] += 1
        tally.close = bar.close
        tally.volume += bar.volume

    def _span(self, symbol: str, tally: _Tally) -> int:
        """How long a bar lasts; 0 for days, and where there are no bars."""
        if not tally.last_ns or tally.end_ns != tally.last_ns:
            return 0
        span_ns = self._layout.bar_span_ns or tally.step_ns
        if not span_ns:
            problem = f"{symbol} has one bar, which does not tell how long it lasts"
            raise TapeError(self.name, None, problem, "set 'bar_span', such as 1m, 1h or 1d")
        return span_ns

    def _bounds(self, first_ns: int, last_ns: int, tallies: dict[str, _Tally]) -> tuple[int, int]:
        """From when to when the tape plays: bars are told at their ends, which the survey had not found."""
        if self._layout.bar_time is BarTime.START:
            ends = (
                max(tally.end_ns, tally.last_ns + self._spans[symbol]) for symbol, tally in tallies.items()
            )
            return first_ns, max(last_ns, *ends)
        longest_ns = max(self._spans.values())
        for file in self._files:
            if file.columns.kind is RowKind.BARS:
                file.start_ns = max(1, file.start_ns - longest_ns)
        return max(1, first_ns - longest_ns), max(last_ns, *(tally.end_ns for tally in tallies.values()))

    def _instrument(self, symbol: str, tally: _Tally) -> Instrument:
        overrides = self.overrides
        # A few prices, or sizes in hundreds, have coarser divisors than any market.
        price = overrides.price_increment or _decimal(gcd(tally.prices.divisor, _ONE))
        lot = overrides.quantity_increment or _decimal(gcd(tally.sizes.divisor, _ONE))
        for noun, found, setting in (
            ("prices", price, "price_increment"),
            ("sizes", lot, "quantity_increment"),
        ):
            if getattr(overrides, setting) is None and _places(found) > MAX_PLACES:
                problem = f"the {noun} of {symbol} have {_places(found)} decimal places, a float's noise"
                raise TapeError(self.name, None, problem, f"set '{setting}' and 'rounding: true'")
        currency = self._layout.quote_currency or DEFAULT_QUOTE_CURRENCY
        try:
            return instrument_of(symbol, symbol, currency, price, lot)
        except ValueError as error:
            raise TapeError(self.name, None, str(error), "set 'symbol' for this tape") from error

    # Playing

    def _play(self, file: _File) -> Iterator[Located]:
        decoder = Decoder(file.table, file.columns, self._layout, file.symbol, self._scale, self._spans)
        name = file.table.name
        if file.columns.kind is RowKind.BARS:
            yield from self._bars(name, decoder)
            return
        for number, decoded in decoder.rows():
            if not isinstance(decoded, BarRow):
                yield name, number, 0, decoded

    def _bars(self, name: str, decoder: Decoder) -> Iterator[Located]:
        """Bars at their ends, what a company did at their beginnings: rows are held until nothing can come before."""
        held: list[tuple[int, int, Located]] = []
        order = 0
        for number, row in decoder.rows():
            if not isinstance(row, BarRow):
                continue
            while held and held[0][0] <= row.start_ns:
                yield heappop(held)[2]
            for update in self._of_bar(name, number, row):
                order += 1
                heappush(held, (update.time_ns, order, (name, number, 0, update)))
        while held:
            yield heappop(held)[2]

    def _of_bar(self, name: str, number: int, row: BarRow) -> Iterator[MarketUpdate]:
        if row.split != 1 and (name, number) in self._splits:
            yield CorporateAction(
                row.start_ns, row.symbol, CorporateActionKind.SPLIT, row.split.as_integer_ratio()
            )
        if row.dividend:
            yield CorporateAction(row.start_ns, row.symbol, CorporateActionKind.DIVIDEND, amount=row.dividend)
        yield BarUpdate(
            row.end_ns,
            row.symbol,
            row.end_ns - row.start_ns,
            row.open,
            row.high,
            row.low,
            row.close,
            row.volume,
            self._assumed.get(row.symbol, 0),
        )

    def _scale(self, symbol: str) -> SymbolScale:
        instrument = self._instruments.get(symbol)
        if instrument is None:
            raise ValueError(f"{symbol} has no good line")
        tick, lot = instrument.price_increment, instrument.quantity_increment
        prices, sizes = price_table(tick), size_table(lot)
        quote_lots = self._quote_lots(instrument)
        if not self._layout.rounding:
            return SymbolScale(prices, prices, prices, sizes, quote_lots)
        return SymbolScale(
            RoundedSteps("price", tick, Rounding.DOWN),
            RoundedSteps("price", tick, Rounding.UP),
            RoundedSteps("price", tick, Rounding.NEAREST),
            RoundedSteps("size", lot, Rounding.DOWN),
            quote_lots,
        )

    def _quote_lots(self, instrument: Instrument) -> int:
        """The size at the bid and at the ask, or of a bar, where the table tells none, in lots."""
        size = self.overrides.quote_size or DEFAULT_QUOTE_SIZE
        try:
            return Scale(instrument.price_increment, instrument.quantity_increment).lots(size)
        except ValueError as error:
            way_out = "set 'quote_size' to a whole number of 'quantity_increment'"
            raise TapeError(self.name, None, f"quote_size {error}", way_out) from error


def _moved(bar: BarRow, close: int) -> bool:
    """Whether the price moved with the split: whether open × ratio is nearer to the close before than open is."""
    if not close:
        return True
    raw, adjusted = Fraction(bar.open, close) * bar.split, Fraction(bar.open, close)
    return max(raw, 1 / raw) < max(adjusted, 1 / adjusted)


def _decimal(units: int) -> Decimal:
    return normal(CONTEXT.scaleb(Decimal(units), -PLACES))


def _places(increment: Decimal) -> int:
    exponent = increment.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def _file_symbol(name: str) -> str:
    """The ticker that a file's name begins with; `ValueError` where it begins with none."""
    file = name.rpartition("/")[2].rpartition(":")[2]
    match = _ticker(file)
    if match is None:
        raise ValueError(f"neither a column nor the name {file[:64]!r} tells the instrument")
    return gateway_symbol(match[1])
