"""Times as TWS writes them. Pure."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from brokergate.adapters.ibkr.values import NS_PER_S

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def wire_time(text: str, zone: ZoneInfo) -> datetime:
    """A time of TWS: `20261121-14:30:05` is UTC, `20261121 14:30:05 US/Eastern` has its zone, and without
    one it is TWS's own (TWS API, `Execution.time`). `ValueError` for what is none."""
    day, _, rest = text.replace("-", " UTC-", 1).partition(" ")
    if rest.startswith("UTC-"):
        clock, name = rest.removeprefix("UTC-"), "UTC"
    else:
        clock, _, name = rest.strip().partition(" ")
    if name:
        # TWS names zones as its Java does; where that is no name, it is its own zone, which is configured.
        with suppress(ZoneInfoNotFoundError, ValueError):
            zone = ZoneInfo(name.strip())
    moment = datetime.strptime(f"{day}{clock}", "%Y%m%d%H:%M:%S").replace(tzinfo=zone)
    return moment.astimezone(UTC)


def time_ns(moment: datetime) -> int:
    """Nanoseconds since the epoch, of whole seconds."""
    return (moment - _EPOCH) // timedelta(seconds=1) * NS_PER_S


def midnight_ns(now_ns: int, zone: ZoneInfo) -> int:
    """When the present day began in a zone."""
    now = datetime.fromtimestamp(now_ns // NS_PER_S, zone)
    return time_ns(now.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC))
