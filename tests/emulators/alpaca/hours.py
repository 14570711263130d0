"""When US stocks trade: New York's regular session, the hours before and after it, and the night between two days.

By docs.alpaca.markets, "Placing Orders": regular 9:30 to 16:00, pre-market from 4:00, after-hours to 20:00, overnight
20:00 to 4:00 before each trading day. Crypto trades round the clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from brokergate.sim.sessions import Calendar, calendar
from tests.emulators.alpaca.numbers import NEW_YORK, nanoseconds, new_york

_MINUTE_NS = 60_000_000_000
_NIGHT_NS = 8 * 60 * _MINUTE_NS
_MINUTES_BEFORE = {"opg": 2, "cls": 10}
"""How long before the auction its orders are refused."""
_EVENING = 19
"""The hour at which orders for the next day's auctions are taken again."""


class Mode(StrEnum):
    """Whose hours hold."""

    ALWAYS = "always"
    """The regular session is always on; a day ends at midnight UTC. For tests that run on any day."""
    NYSE = "nyse"


class Phase(StrEnum):
    """What is on."""

    REGULAR = "regular"
    EXTENDED = "extended"
    CLOSED = "closed"


class Turn(StrEnum):
    """What changes at a moment."""

    CLOSE = "close"
    """The regular session ends."""
    END = "end"
    """The day ends, after the hours that follow the close."""
    OPEN = "open"
    """The regular session begins."""
    EXTENDED = "extended"
    """The night or the hours before the open begin."""


class Hours:
    """See the module. Times are nanoseconds since the epoch."""

    def __init__(self, mode: Mode = Mode.ALWAYS) -> None:
        self.mode = mode

    @property
    def _regular(self) -> Calendar:
        return calendar("always" if self.mode is Mode.ALWAYS else "XNYS")

    @property
    def _whole(self) -> Calendar:
        return calendar("always" if self.mode is Mode.ALWAYS else "XNYS_EXTENDED")

    def phase(self, now_ns: int) -> Phase:
        """What is on now."""
        if self._regular.is_open(now_ns):
            return Phase.REGULAR
        _, opens_ns, _ = self._whole.span(now_ns)
        return Phase.EXTENDED if opens_ns - now_ns <= _NIGHT_NS else Phase.CLOSED

    def next_open_ns(self, now_ns: int) -> int:
        """The next regular open."""
        return self._regular.next_open_ns(now_ns)

    def next_close_ns(self, now_ns: int) -> int:
        """The next regular close."""
        return self._regular.next_close_ns(now_ns)

    def turns(self, after_ns: int, until_ns: int) -> Iterator[tuple[int, Turn]]:
        """What changes after one moment until another, in order; at one moment closing comes before opening."""
        while True:
            regular, whole = self._regular, self._whole
            _, day_opens_ns, day_ends_ns = whole.span(after_ns)
            nights = [opens_ns - _NIGHT_NS for opens_ns in (day_opens_ns, whole.span(day_ends_ns)[1])]
            moments = [
                (regular.next_close_ns(after_ns), 0, Turn.CLOSE),
                (day_ends_ns, 1, Turn.END),
                (regular.next_open_ns(after_ns), 2, Turn.OPEN),
                *((night_ns, 3, Turn.EXTENDED) for night_ns in nights if night_ns > after_ns),
            ]
            next_ns = min(moment for moment, _, _ in moments)
            if next_ns > until_ns:
                return
            for moment, _, turn in sorted(moments):
                if moment == next_ns:
                    yield moment, turn
            after_ns = next_ns

    def takes_auction(self, time_in_force: str, now_ns: int) -> bool:
        """Whether an order for an auction is taken now: on a trading day not from 9:28 (opg) or ten minutes before the
        close (cls) until 19:00."""
        if self.mode is Mode.ALWAYS:
            return True
        local = new_york(now_ns)
        midnight_ns = nanoseconds(local.replace(hour=0, minute=0, second=0, microsecond=0))
        _, opens_ns, closes_ns = self._regular.span(midnight_ns)
        auction_ns = opens_ns if time_in_force == "opg" else closes_ns
        if new_york(opens_ns).date() != local.date() or local.hour >= _EVENING:
            return True
        return now_ns < auction_ns - _MINUTES_BEFORE[time_in_force] * _MINUTE_NS

    def clock(self, now_ns: int) -> dict[str, Any]:
        """As `/v2/clock` shows it: times of New York."""
        return {
            "timestamp": new_york(now_ns).isoformat(),
            "is_open": self.phase(now_ns) is Phase.REGULAR,
            "next_open": new_york(self.next_open_ns(now_ns)).isoformat(),
            "next_close": new_york(self.next_close_ns(now_ns)).isoformat(),
        }


def trading_days(first: date, last: date) -> list[dict[str, str]]:
    """As `/v2/calendar` shows them: always New York's, whatever mode the emulator is in."""
    regular = calendar("XNYS")
    days: list[dict[str, str]] = []
    moment_ns = nanoseconds(datetime(first.year, first.month, first.day, tzinfo=NEW_YORK))
    while True:
        _, opens_ns, closes_ns = regular.span(moment_ns)
        opens, closes = new_york(opens_ns), new_york(closes_ns)
        if opens.date() > last:
            return days
        days.append(
            {
                "date": opens.date().isoformat(),
                "open": f"{opens:%H:%M}",
                "close": f"{closes:%H:%M}",
                "session_open": "0400",
                "session_close": "2000",
                "settlement_date": _settles(opens.date()),
            }
        )
        moment_ns = closes_ns


def _settles(day: date) -> str:
    """The next trading day: T+1 since 2024."""
    after = day + timedelta(days=1)
    moment_ns = nanoseconds(datetime(after.year, after.month, after.day, tzinfo=NEW_YORK))
    return new_york(calendar("XNYS").span(moment_ns)[1]).date().isoformat()
