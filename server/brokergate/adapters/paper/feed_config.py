"""Where a paper account's market comes from: the settings of its feed."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from brokergate.adapters.paper.instruments_config import (
    MAX_INSTRUMENTS,
    PushInstrumentConfig,
    SyntheticConfig,
)
from brokergate.config.accounts import Currency, PositiveAmount, Symbol, TimeZone
from brokergate.config.section import Flag, Section, Text
from brokergate.domain.instruments import Instrument
from brokergate.domain.money import parse_decimal
from brokergate.sim.feeds.layout import ROLES, BadLines, BarTime, CorporateActions, RowKind, TableLayout
from brokergate.sim.feeds.profiles import PROFILES
from brokergate.sim.feeds.tape import TapeOverrides
from brokergate.sim.feeds.times import EPOCHS, ISO

MAX_SPEED = "max"

_SPAN_NS = {"s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}
_span = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII).fullmatch
_session = re.compile(r"([0-9]{2}):([0-5][0-9])-([0-9]{2}):([0-5][0-9])", re.ASCII).fullmatch
_OF_TAPES = (
    "speed",
    "paused",
    "symbol",
    "price_increment",
    "quantity_increment",
    "quote_size",
    "columns",
    "kind",
    "time_format",
    "timezone",
    "session",
    "bar_time",
    "bar_span",
    "corporate_actions",
    "bad_lines",
    "rounding",
    "symbols",
    "quote_currency",
)


def _speed(value: object) -> object:
    text = f"{value:f}" if isinstance(value, Decimal) and value.is_finite() else value
    if text == MAX_SPEED:
        return text
    try:
        if isinstance(text, str) and parse_decimal(text) > 0:
            return text
    except ValueError:
        pass
    raise ValueError("is not a speed; write 'max', or a number above zero such as 1 or 10")


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _columns(value: object) -> object:
    unknown = [role for role in value if role not in ROLES] if isinstance(value, dict) else []
    if unknown:
        raise ValueError(f"names a column for what is none; write {', '.join(sorted(ROLES))}")
    return value


def _time_format(value: str) -> str:
    if value == ISO or value in EPOCHS or ("%" in value and _is_pattern(value)):
        return value
    raise ValueError(
        f"is no format; write {ISO}, {', '.join(EPOCHS)}, or a pattern of strptime such as %d.%m.%Y"
    )


def _is_pattern(value: str) -> bool:
    """Whether strptime knows all of its directives."""
    try:
        datetime.strptime("", value)  # noqa: DTZ007 - nothing becomes of it
    except re.error:  # a directive twice
        return False
    except ValueError as error:
        return str(error).startswith("time data")
    return True


def _span_text(value: object) -> object:
    match = _span(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not a span; write a number and s, m, h or d, such as 1m or 1d")
    return value


def _session_text(value: object) -> object:
    match = _session(value) if isinstance(value, str) else None
    if match is not None:
        first, last = _seconds(match[1], match[2]), _seconds(match[3], match[4])
        if first < last <= 86_400:
            return value
    raise ValueError("is not a session; write from when to when, such as 09:30-16:00, at most to 24:00")


def _seconds(hours: str, minutes: str) -> int:
    return int(hours) * 3600 + int(minutes) * 60


Speed = Annotated[str, BeforeValidator(_speed)]


class PushConfig(Section):
    """A market that a client gives with PushMarketData."""

    instruments: Annotated[tuple[PushInstrumentConfig, ...], Field(max_length=MAX_INSTRUMENTS)] = ()
    """The instruments. Default: those of the synthetic market."""

    @model_validator(mode="after")
    def _once(self) -> PushConfig:
        symbols = [instrument.symbol for instrument in self.instruments]
        if len(set(symbols)) != len(symbols):
            raise ValueError("has an instrument twice; keep one")
        return self

    def listed(self) -> tuple[Instrument, ...]:
        """The instruments."""
        if self.instruments:
            return tuple(pushed.instrument() for pushed in self.instruments)
        return tuple(profile.instrument for profile in PROFILES.values())


class FeedConfig(Section):
    """Where a paper account's market comes from: one of `tape`, `synthetic`, `push`, `account`. What describes a tape
    of CSV or Parquet, from `columns` on, is found from the file where it is not set (`docs/paper-venue.md`, Feeds)."""

    tape: Annotated[tuple[Text, ...] | None, BeforeValidator(_one_or_many)] = None
    """A recording to replay: the path of a file or folder, or several. Default none."""
    speed: Speed | None = None
    """How fast a tape plays: 1 as recorded, 10 ten times that, `max` as fast as it goes. Default 1."""
    paused: Flag | None = None
    """Whether a tape stands still at its beginning until it is told to play. Default false."""
    symbol: Symbol | None = None
    """What the tape's one instrument is called. Default: read from the recording."""
    price_increment: PositiveAmount | None = None
    """The tape's tick. Default: found from its prices."""
    quantity_increment: PositiveAmount | None = None
    """The tape's lot. Default: found from its sizes, 1 for quotes and bars without sizes."""
    quote_size: PositiveAmount | None = None
    """The size at bid and ask of a tape that tells none, and what can be had of a bar of one without volumes, in units
    of the base. Default 1000000."""
    columns: Annotated[dict[str, Text] | None, BeforeValidator(_columns)] = None
    """Which column is what, where its name does not say it: `{time: ts, bid: best_bid}`. Default: by common names."""
    kind: RowKind | None = None
    """What a row tells: `quotes`, `trades`, `bars` or `books`. Default: by the columns."""
    time_format: Annotated[Text, AfterValidator(_time_format)] | None = None
    """How times are written: `iso`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, or a pattern of strptime. Default:
    found from each."""
    timezone: TimeZone | None = None
    """Whose clock times without an offset, and dates, are by. Default: America/New_York for shares, UTC for others."""
    session: Annotated[str, BeforeValidator(_session_text)] | None = None
    """From when to when a bar lasts that bears a date alone, by that clock. Default: 09:30-16:00 for shares,
    00:00-24:00 for others."""
    bar_time: BarTime | None = None
    """Whether a bar's time is its `start` or its `end`. Default `start`."""
    bar_span: Annotated[str, BeforeValidator(_span_text)] | None = None
    """How long a bar lasts: `1m`, `1h`, `1d`. Default: the shortest time between two bars of an instrument."""
    corporate_actions: CorporateActions | None = None
    """What becomes of dividends and splits of a tape of bars: `auto` leaves out splits that the prices before them are
    adjusted to, `apply` plays all, `ignore` none. Default `auto`."""
    bad_lines: BadLines | None = None
    """What becomes of lines that cannot be: `refuse` the tape, or `drop` and count them; then nothing matches until the
    next good quote. Default `refuse`."""
    rounding: Flag | None = None
    """Whether what is off the increments is rounded: bids and sizes down, asks up, others to the nearest. Default
    false: it is refused."""
    symbols: dict[Text, Symbol] | None = None
    """What the file's own names of instruments are called: `{BTCUSDT: BTC/USDT}`. Default: as the file has them, six
    letters of two states' currencies as a pair."""
    quote_currency: Currency | None = None
    """What a ticker on the tape is paid in. Default USD."""
    synthetic: SyntheticConfig | None = None
    """A market that makes itself up. The default feed, with seed 0."""
    push: PushConfig | None = None
    """A market that a client pushes. Default none."""
    account: Text | None = None
    """The account whose broker's market data are the market. Default none."""
    instruments: tuple[Symbol, ...] = ()
    """Of another account's market, the instruments that are traded here. Default: all."""

    @model_validator(mode="after")
    def _one(self) -> FeedConfig:
        named = [name for name in ("tape", "synthetic", "push", "account") if getattr(self, name) is not None]
        if len(named) > 1:
            raise ValueError(f"names {' and '.join(named)}; keep one")
        if self.instruments and self.account is None:
            raise ValueError("names instruments without an account; add account, or remove them")
        if len(set(self.instruments)) != len(self.instruments):
            raise ValueError("names an instrument twice; keep one")
        if not self.tape:
            given = [name for name in _OF_TAPES if getattr(self, name) is not None]
            if given:
                raise ValueError(f"sets {', '.join(given)} without a tape; add tape, or remove them")
            if self.tape is not None:
                raise ValueError("names no tape; write the path of a recording")
        return self

    def overrides(self) -> TapeOverrides:
        """What is said about the tape instead of found."""
        layout = TableLayout(
            columns=self.columns or {},
            kind=self.kind,
            time_format=self.time_format,
            timezone=self.timezone,
            session=None if self.session is None else _session_seconds(self.session),
            bar_time=self.bar_time or BarTime.START,
            bar_span_ns=None
            if self.bar_span is None
            else int(self.bar_span[:-1]) * _SPAN_NS[self.bar_span[-1]],
            corporate_actions=self.corporate_actions or CorporateActions.AUTO,
            bad_lines=self.bad_lines or BadLines.REFUSE,
            rounding=bool(self.rounding),
            symbols=self.symbols or {},
            quote_currency=self.quote_currency,
        )
        return TapeOverrides(
            self.symbol, self.price_increment, self.quantity_increment, self.quote_size, layout
        )


def _session_seconds(text: str) -> tuple[int, int]:
    match = _session(text)
    assert match is not None
    return _seconds(match[1], match[2]), _seconds(match[3], match[4])
