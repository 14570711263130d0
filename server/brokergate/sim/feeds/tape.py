"""A tape: a recorded market that can be played any number of times, each time with the same updates.

Times are nanoseconds since the Unix epoch in the tape's own clock and never run backwards. A recording's
clock that steps back by at most `MAX_BACKWARDS_NS` (an adjusted clock, two streams a few milliseconds apart)
is repaired: the update takes its predecessor's time, and `TapeSurvey.repairs["time_clamped"]` counts it. A
larger step is a `TapeError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from brokergate.domain.instruments import Instrument
from brokergate.sim.feeds.layout import TableLayout
from brokergate.sim.market import MarketUpdate

MAX_BACKWARDS_NS = 1_000_000_000
"""The largest step back of a tape's clock that is repaired: one second. Beyond it the lines are out of order.
"""

TIME_CLAMPED = "time_clamped"
"""The key in `TapeSurvey.repairs` under which times that stepped back are counted."""


class TapeError(Exception):
    """A recording that cannot be played: names the file, the line where there is one, the fault and the way
    out.
    """

    def __init__(
        self, file: str, line: int | None, problem: str, way_out: str, *, unit: str = "line"
    ) -> None:
        self.file = file
        self.line = line
        self.problem = problem
        self.way_out = way_out
        where = file if line is None else f"{file}, {unit} {line}"
        super().__init__(f"{where}: {problem}; {way_out}")


class TapeFormat(StrEnum):
    """What a recording is written in, found from its content."""

    BINANCE = "binance"
    """Raw frames of Binance's public spot streams, a line each."""
    QUOTES = "quotes"
    """CSV of `milliseconds since midnight UTC,bid,ask`, as Lean keeps OANDA's ticks."""
    CSV = "csv"
    """CSV with a header: quotes, trades, bars or books (`layout.py`)."""
    PARQUET = "parquet"
    """The same as Parquet."""


@dataclass(frozen=True, slots=True)
class TapeOverrides:
    """What a configuration says about a tape of one instrument instead of having it found out."""

    symbol: str | None = None
    """The gateway's notation, such as `BTC/USDT`; default: derived from the recording's."""
    price_increment: Decimal | None = None
    """Default: the greatest common divisor of all prices on the tape."""
    quantity_increment: Decimal | None = None
    """Default: the greatest common divisor of all sizes on the tape; 1 for quotes without sizes."""
    quote_size: Decimal | None = None
    """Size shown at the bid and at the ask of a feed that tells none, and what can be had of a bar of one that tells
    no volumes, in units of the base; default 1,000,000.
    """
    layout: TableLayout = field(default_factory=TableLayout)
    """Of tables alone."""

    def __post_init__(self) -> None:
        for name in ("price_increment", "quantity_increment", "quote_size"):
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and value > 0):
                raise ValueError(f"{name} is {value}; it must be greater than zero")


@dataclass(frozen=True, slots=True)
class TapeSurvey:
    """What one pass over a whole recording finds, before any book is built."""

    instruments: tuple[Instrument, ...]
    start_ns: int
    end_ns: int
    frames: Mapping[str, Mapping[str, int]]
    """How many frames of each kind, by the gateway's symbol; `""` holds those that belong to no instrument.
    """
    repairs: Mapping[str, int] = field(default_factory=dict)
    """How often each declared repair was made."""
    exchange_lead_ns: int | None = None
    """The most by which the exchange's event time ran ahead of the recorder's clock; `None` where one is
    missing.
    """
    assumed_sizes: Mapping[str, Decimal] = field(default_factory=dict)
    """How much can be had of each bar of an instrument whose bars tell no volume, by symbol."""

    @property
    def barred(self) -> bool:
        """Whether there are bars on it."""
        return any("bar" in kinds for kinds in self.frames.values())


Located = tuple[str, int, int, MarketUpdate]
"""File, line, the venue's id of the book's state after it (0 where it has none), update."""


class Tape(Protocol):
    """A recording that has been opened."""

    @property
    def name(self) -> str:
        """What to call it in a message: the path that it was opened with."""
        ...

    @property
    def format(self) -> TapeFormat:
        """What it is written in."""
        ...

    def survey(self) -> TapeSurvey:
        """Instruments, times and counts. The first call reads the whole recording; `TapeError` where it is
        broken.
        """
        ...

    def located(self) -> Iterator[Located]:
        """The updates with where they stand, crossed or not: for `info`, which counts those."""
        ...

    def updates(self) -> Iterator[MarketUpdate]:
        """The updates from the start, in the file's order; a crossed book or quote is a `TapeError`."""
        ...


class ForwardClock:
    """A tape's clock, which never runs backwards."""

    __slots__ = ("clamped", "now_ns")

    def __init__(self) -> None:
        self.now_ns = 0
        self.clamped = 0

    def advance(self, time_ns: int) -> int:
        """`time_ns`, or the latest time so far if that is later; `ValueError` beyond `MAX_BACKWARDS_NS`."""
        if time_ns >= self.now_ns:
            self.now_ns = time_ns
        elif self.now_ns - time_ns > MAX_BACKWARDS_NS:
            seconds = (self.now_ns - time_ns) / 1e9
            raise ValueError(f"time runs backwards by {seconds:.3f} s (to {time_ns} ns since the epoch)")
        else:
            self.clamped += 1
        return self.now_ns

    def repairs(self) -> dict[str, int]:
        """The count of clamped times under `TIME_CLAMPED`; empty when there was none."""
        return {TIME_CLAMPED: self.clamped} if self.clamped else {}


def listed(names: Iterable[str], limit: int = 8) -> str:
    """Names for a message, quoted and cut after `limit`."""
    shown = [repr(name[:64]) for name in names]
    return ", ".join(shown[:limit]) + (f" and {len(shown) - limit} more" if len(shown) > limit else "")
