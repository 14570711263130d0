"""When a venue is open, and when its trading day ends: what a DAY order works until.

Three calendars (the days' ends are those of LEAN's brokerage models, `Common/Orders/`):

- `always`: round the clock, the day ends at midnight UTC. Crypto.
- `week`: Sunday 17:00 to Friday 17:00 New York without a pause; the day ends at 17:00 New York. Foreign exchange; that
  banks rest at Christmas and New Year is left out, for there is no venue that says so.
- `XNYS`: New York's stocks, 09:30 to 16:00, to 13:00 on the days that NYSE ends early, with its holidays and its days
  of mourning and storm, from the `holidays` package. `XNYS_EXTENDED` has the hours before and after as well: 04:00 to
  20:00, to 17:00 on an early day (NYSE Arca, "Holidays and Trading Hours").

A session is open from its opening until just before its close. Where one ends at the moment at which the next one
begins (midnight UTC), the venue is open at that moment too. All moments are nanoseconds since the epoch, UTC.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import ClassVar
from zoneinfo import ZoneInfo

from brokergate.domain.instruments import InstrumentKind

_NEW_YORK = ZoneInfo("America/New_York")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_SECOND_NS = 1_000_000_000
_DAY_NS = 86_400 * _SECOND_NS
_FRIDAY, _SUNDAY = 4, 6
_WEEK_TURNS = time(17)

Span = tuple[int, int, int]
"""When the session before ended, when the one that is on or comes next opens, and when that one closes."""


class Calendar(ABC):
    """The sessions of one venue. It remembers the session that it was last asked about, so that a question costs two
    comparisons until that one is over."""

    name: ClassVar[str]
    has_auctions: ClassVar[bool] = False
    """Whether its sessions begin and end with an auction: whether there are AT_OPEN and AT_CLOSE orders."""

    def __init__(self) -> None:
        self._span: Span = (0, 0, 0)

    def is_open(self, now_ns: int) -> bool:
        """Whether a session is on."""
        return self.span(now_ns)[1] <= now_ns

    def day_end_ns(self, now_ns: int) -> int:
        """The first end of a trading day after `now_ns`."""
        return self.span(now_ns)[2]

    def next_open_ns(self, now_ns: int) -> int:
        """The first moment after `now_ns` at which a session opens."""
        _, opens_ns, closes_ns = self.span(now_ns)
        return opens_ns if opens_ns > now_ns else self._find(closes_ns)[1]

    def next_close_ns(self, now_ns: int) -> int:
        """The first moment after `now_ns` at which a session closes."""
        return self.span(now_ns)[2]

    def span(self, now_ns: int) -> Span:
        """The session that is on or comes next, and when the one before it ended."""
        span = self._span
        if not span[0] <= now_ns < span[2]:
            span = self._span = self._find(now_ns)
        return span

    @abstractmethod
    def _find(self, now_ns: int) -> Span:
        """`span`, worked out."""


class Always(Calendar):
    """Round the clock. A session is a day of UTC; the next one begins as it ends."""

    name = "always"

    def _find(self, now_ns: int) -> Span:
        midnight_ns = now_ns - now_ns % _DAY_NS
        return midnight_ns, midnight_ns, midnight_ns + _DAY_NS


class Week(Calendar):
    """Foreign exchange: a session is a week, its days end at 17:00 New York."""

    name = "week"

    def __init__(self) -> None:
        super().__init__()
        self._day = (0, 0)

    def day_end_ns(self, now_ns: int) -> int:
        begins_ns, ends_ns = self._day
        if begins_ns <= now_ns < ends_ns:
            return ends_ns
        _, opens_ns, closes_ns = self.span(now_ns)
        day = _new_york_date(opens_ns)
        end_ns = opens_ns
        while end_ns <= max(now_ns, opens_ns) and end_ns < closes_ns:
            begins_ns, day = end_ns, day + _DAY
            end_ns = _new_york_ns(day, _WEEK_TURNS)
        self._day = (begins_ns, end_ns)
        return end_ns

    def _find(self, now_ns: int) -> Span:
        day = _new_york_date(now_ns)
        closes = day + timedelta(days=(_FRIDAY - day.weekday()) % 7)
        if _new_york_ns(closes, _WEEK_TURNS) <= now_ns:
            closes += timedelta(days=7)
        before, opens = closes - timedelta(days=7), closes - timedelta(days=5)
        return (
            _new_york_ns(before, _WEEK_TURNS),
            _new_york_ns(opens, _WEEK_TURNS),
            _new_york_ns(closes, _WEEK_TURNS),
        )


class NewYorkStocks(Calendar):
    """New York's stock exchange, its regular session."""

    name = "XNYS"
    has_auctions = True
    _opens, _closes, _closes_early = time(9, 30), time(16), time(13)

    def _find(self, now_ns: int) -> Span:
        day = _new_york_date(now_ns)
        closes_ns = self._close_ns(day)
        while closes_ns is None or closes_ns <= now_ns:
            day += _DAY
            closes_ns = self._close_ns(day)
        before, before_ns = day - _DAY, None
        while (before_ns := self._close_ns(before)) is None:
            before -= _DAY
        return before_ns, _new_york_ns(day, self._opens), closes_ns

    def _close_ns(self, day: date) -> int | None:
        closed, early = _new_york_holidays(day.year)
        if day.weekday() > _FRIDAY or day in closed:
            return None
        return _new_york_ns(day, self._closes_early if day in early else self._closes)


class NewYorkStocksExtended(NewYorkStocks):
    """The same days with the hours before and after, which have no auctions of their own."""

    name = "XNYS_EXTENDED"
    has_auctions = False
    _opens, _closes, _closes_early = time(4), time(20), time(17)


class Outside(StrEnum):
    """What becomes of orders that come while the calendar says that the venue is closed. Cancels are always taken."""

    REFUSE = "refuse"
    """Refused."""
    FOLLOW = "follow"
    """Refused where the feed has told nothing since the session ended, and nothing for a minute: where it goes on
    telling, the market trades, whatever the calendar says."""
    IGNORE = "ignore"
    """Taken."""


_NAMES: Mapping[InstrumentKind, str] = MappingProxyType(
    {InstrumentKind.FOREX: Week.name, InstrumentKind.EQUITY: NewYorkStocks.name}
)


@dataclass(frozen=True, slots=True)
class Hours:
    """Which calendar each kind of instrument has, and what it means for orders. A kind that is not named has
    `always`."""

    names: Mapping[InstrumentKind, str] = field(default_factory=lambda: _NAMES)
    outside: Outside = Outside.FOLLOW

    def calendar(self, kind: InstrumentKind) -> Calendar:
        """The calendar of instruments of this kind."""
        return calendar(self.names.get(kind, Always.name))

    def __str__(self) -> str:
        names = sorted(f"{kind.name} {name}" for kind, name in self.names.items())
        return ", ".join([*names, f"outside {self.outside.value}"])


@cache
def calendar(name: str) -> Calendar:
    """The calendar of that name."""
    return _CALENDARS[name]()


_CALENDARS: dict[str, type[Calendar]] = {
    kind.name: kind for kind in (Always, Week, NewYorkStocks, NewYorkStocksExtended)
}


@cache
def _new_york_holidays(year: int) -> tuple[frozenset[date], frozenset[date]]:
    """The weekdays of a year on which NYSE is closed, and those on which it closes early."""
    # Imported where it is asked for: 30 ms and 7 MB that an account without stocks does not need.
    from holidays import financial_holidays
    from holidays.constants import HALF_DAY, PUBLIC

    closed, early = (
        financial_holidays("NYSE", years=year, categories=(part,)) for part in (PUBLIC, HALF_DAY)
    )
    return frozenset(closed), frozenset(early)


def _new_york_date(now_ns: int) -> date:
    return (_EPOCH + timedelta(seconds=now_ns // _SECOND_NS)).astimezone(_NEW_YORK).date()


def _new_york_ns(day: date, clock: time) -> int:
    moment = datetime.combine(day, clock, tzinfo=_NEW_YORK)
    return int((moment - _EPOCH).total_seconds()) * _SECOND_NS
