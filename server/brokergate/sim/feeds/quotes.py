"""CSV quotes as tapes: `milliseconds since midnight UTC,bid,ask`, a file a day, as Lean keeps OANDA's ticks.

Date and pair come from the file's name: `oanda_eurusd_20140502_quote.zip` holding
`20140502_eurusd_tick_quote.csv`, or that CSV itself, plain or gzip (QuantConnect/Lean,
`Data/forex/readme.md`). Several days make one tape, played by date; the time between them, a weekend say, is
no gap: a quote is whole by itself. The feed tells no sizes: both sides show `quote_size` (default 1,000,000
units of the base, an ordinary size in foreign exchange). A quote with its bid above its ask is a `TapeError`;
equal ones pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.sim.feeds.crossing import uncrossed
from brokergate.sim.feeds.files import is_zip, read_lines, read_zip_lines, zip_members
from brokergate.sim.feeds.increments import CommonDivisor, OffIncrement, price_table
from brokergate.sim.feeds.tape import ForwardClock, Located, TapeError, TapeFormat, TapeOverrides, TapeSurvey
from brokergate.sim.market import MarketUpdate, QuoteUpdate
from brokergate.sim.scale import Scale

DEFAULT_QUOTE_SIZE = Decimal(1_000_000)
DEFAULT_QUANTITY_INCREMENT = Decimal(1)
DAY_MS = 86_400_000

QUOTE = "quote"
"""The kind under which `TapeSurvey.frames` counts these lines."""

_NAMES = (
    re.compile(r"(?P<date>[0-9]{8})_(?P<pair>[a-z]{6})_tick_quote\.csv(\.gz)?", re.ASCII),
    re.compile(r"[a-z]+_(?P<pair>[a-z]{6})_(?P<date>[0-9]{8})_quote\.(zip|csv|csv\.gz)", re.ASCII),
)
_ROW = "a line must be 'milliseconds since midnight UTC,bid,ask'"


@dataclass(frozen=True, slots=True)
class QuoteDay:
    """One day's file."""

    path: Path
    member: str | None
    """Which file in the zip; `None` where `path` is no zip."""
    midnight_ns: int
    pair: str

    @property
    def name(self) -> str:
        """The file for a message."""
        return str(self.path) if self.member is None else f"{self.path}:{self.member}"

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """`(line number, text)`."""
        return read_lines(self.path) if self.member is None else read_zip_lines(self.path, self.member)


class QuoteTape:
    """One pair's quotes over one or several days."""

    format = TapeFormat.QUOTES

    def __init__(self, paths: Sequence[Path], overrides: TapeOverrides | None = None) -> None:
        self.name = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        self.overrides = overrides or TapeOverrides()
        days = [day for path in paths for day in _days(path)]
        self.days = sorted(days, key=lambda day: day.midnight_ns)
        for day in self.days:
            if day.pair != self.days[0].pair:
                problem = f"is of {day.pair}, and {self.days[0].name} of {self.days[0].pair}"
                raise TapeError(day.name, None, problem, "give the files of one pair")
        self._survey: TapeSurvey | None = None

    def survey(self) -> TapeSurvey:
        """Instrument, times and counts; the first call reads all files."""
        if self._survey is None:
            prices = CommonDivisor("price")
            clock = ForwardClock()
            first_ns = rows = 0
            for _, _, time_ns, _, _ in self._rows(clock, prices):
                first_ns = first_ns or time_ns
                rows += 1
            if not rows:
                raise TapeError(self.name, None, "there is no quote in it", "give a recording with quotes")
            instrument = self._instrument(prices)
            frames = {instrument.symbol: {QUOTE: rows}}
            self._survey = TapeSurvey((instrument,), first_ns, clock.now_ns, frames, clock.repairs())
        return self._survey

    def updates(self) -> Iterator[MarketUpdate]:
        """The quotes from the start; `TapeError` on a bad line or a crossed quote."""
        return uncrossed(self.located())

    def located(self) -> Iterator[Located]:
        """The quotes with file and line, crossed or not."""
        instrument = self.survey().instruments[0]
        symbol = instrument.symbol
        size = self._quote_lots(instrument)
        for file, line, time_ns, bid, ask in self._rows(
            ForwardClock(), price_table(instrument.price_increment)
        ):
            yield file, line, 0, QuoteUpdate(time_ns, symbol, (bid, size), (ask, size))

    def _rows(self, clock: ForwardClock, prices: dict[str, int]) -> Iterator[tuple[str, int, int, int, int]]:
        """`(file, line, time in ns, bid, ask)`, the prices as the table reads them."""
        for day in self.days:
            name = day.name
            for line, raw in day.lines():
                try:
                    fields = raw.decode("ascii").split(",")
                    if len(fields) != 3:
                        raise ValueError(f"{len(fields)} columns where there are three")
                    ms, bid, ask = fields
                    if not (ms.isdigit() and len(ms) <= 8 and int(ms) < DAY_MS):
                        raise ValueError(f"time {ms[:64]!r} is not milliseconds since midnight")
                    row = (prices[bid], prices[ask])
                    if not row[0] or not row[1]:
                        raise ValueError("a price of zero")
                    time_ns = clock.advance(day.midnight_ns + int(ms) * 1_000_000)
                except OffIncrement as error:
                    raise TapeError(name, line, str(error), error.way_out) from error
                except ValueError as error:
                    raise TapeError(name, line, str(error)[:200], _ROW) from error
                yield name, line, time_ns, row[0], row[1]

    def _instrument(self, prices: CommonDivisor) -> Instrument:
        pair = self.days[0].pair
        symbol = self.overrides.symbol or f"{pair[:3]}/{pair[3:]}".upper()
        base, _, quote = symbol.partition("/")
        if not base or not quote:
            raise TapeError(
                self.name, None, f"symbol {symbol!r} is not a pair", "set 'symbol' such as 'EUR/USD'"
            )
        increment = self.overrides.price_increment or prices.increment()
        if increment is None:
            raise TapeError(self.name, None, "there is no price in it", "set 'price_increment' for this tape")
        lot = self.overrides.quantity_increment or DEFAULT_QUANTITY_INCREMENT
        return Instrument(symbol, pair.upper(), InstrumentKind.FOREX, base, quote, increment, lot)

    def _quote_lots(self, instrument: Instrument) -> int:
        """The size shown at the bid and at the ask, in lots."""
        size = self.overrides.quote_size or DEFAULT_QUOTE_SIZE
        try:
            return Scale(instrument.price_increment, instrument.quantity_increment).lots(size)
        except ValueError as error:
            way_out = "set 'quote_size' to a whole number of 'quantity_increment'"
            raise TapeError(self.name, None, f"quote_size {error}", way_out) from error


def _days(path: Path) -> list[QuoteDay]:
    """The days in a file: one, or for a zip as many as it holds."""
    if not is_zip(path):
        return [_day(path, None, (path.name,))]
    return [_day(path, member, (member.rpartition("/")[2], path.name)) for member in zip_members(path)]


def _day(path: Path, member: str | None, names: tuple[str, ...]) -> QuoteDay:
    """The day by the first of its names that tells date and pair."""
    for name in names:
        for pattern in _NAMES:
            match = pattern.fullmatch(name)
            if match is None:
                continue
            try:
                date = datetime.strptime(match["date"], "%Y%m%d").replace(tzinfo=UTC)
            except ValueError:
                continue
            return QuoteDay(path, member, int(date.timestamp()) * 1_000_000_000, match["pair"])
    problem = f"the name {names[0][:64]!r} does not tell date and pair"
    raise TapeError(str(path), None, problem, "name it like '20140502_eurusd_tick_quote.csv'")
