"""Numbers and times on Alpaca's wire: strings out; strings and JSON numbers in; times in RFC 3339."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_NS = 1_000_000_000


def number(value: Any) -> Decimal | None:
    """A number as it came: a string, or a JSON number that was parsed as `Decimal` or int. None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        parsed = Decimal(value)
    except InvalidOperation:
        return None
    return parsed if parsed.is_finite() else None


def text(value: Decimal) -> str:
    """`value` in plain notation without needless zeros."""
    plain = format(value, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in ("-0", "") else plain


def maybe(value: Decimal | None) -> str | None:
    """`text`, or null."""
    return None if value is None else text(value)


def places(value: Decimal) -> int:
    """Digits after the point, needless zeros left out."""
    _, _, fraction = text(value).partition(".")
    return len(fraction)


def utc(time_ns: int) -> str:
    """`2026-06-15T14:30:00.123456789Z`."""
    whole, rest = divmod(time_ns, _SECOND_NS)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def maybe_utc(time_ns: int | None) -> str | None:
    """`utc`, or null."""
    return None if time_ns is None else utc(time_ns)


def new_york(time_ns: int) -> datetime:
    """The time in New York, to the microsecond."""
    return (_EPOCH + timedelta(microseconds=time_ns // 1000)).astimezone(NEW_YORK)


def nanoseconds(moment: datetime) -> int:
    """Nanoseconds since the Unix epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def moment_ns(value: str, *, end_of_day: bool = False) -> int | None:
    """The time of a parameter: RFC 3339 to the nanosecond, or a date (of New York; its end where asked). None where it
    is neither."""
    value = value.strip().replace(" ", "+")  # an unescaped `+00:00` arrives as a blank
    try:
        if len(value) == len("2026-06-15"):
            day = date.fromisoformat(value) + timedelta(days=end_of_day)
            return nanoseconds(datetime(day.year, day.month, day.day, tzinfo=NEW_YORK))
        head, _, tail = value.partition(".")
        digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        moment = datetime.fromisoformat(head + tail[len(digits) :])
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return nanoseconds(moment) + int(digits[:9].ljust(9, "0") if digits else 0)
