"""When a trading day ends: what a DAY order works until.

The first form of the venue's calendar, by kind of instrument: foreign exchange ends its day at 17:00 New York, a
stock its at 16:00 New York, everything else at midnight UTC (as LEAN's brokerage models do, `Common/Orders/`). A
DAY order that comes later works until the next day's end; weekends and holidays are days like others.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from brokergate.domain.instruments import InstrumentKind

_NEW_YORK = ZoneInfo("America/New_York")
_ENDS: dict[InstrumentKind, tuple[tzinfo, time]] = {
    InstrumentKind.FOREX: (_NEW_YORK, time(17)),
    InstrumentKind.EQUITY: (_NEW_YORK, time(16)),
}
_MIDNIGHT = (UTC, time(0))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_NS = 1_000_000_000


def day_end_ns(kind: InstrumentKind, now_ns: int) -> int:
    """The first end of a trading day after `now_ns`, in nanoseconds since the epoch."""
    zone, end = _ENDS.get(kind, _MIDNIGHT)
    date = (_EPOCH + timedelta(seconds=now_ns // _SECOND_NS)).astimezone(zone).date()
    while True:
        moment = datetime.combine(date, end, tzinfo=zone)
        end_ns = int((moment - _EPOCH).total_seconds()) * _SECOND_NS
        if end_ns > now_ns:
            return end_ns
        date += timedelta(days=1)
