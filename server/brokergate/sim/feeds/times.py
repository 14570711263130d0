"""Times as tables have them, to nanoseconds since the epoch: exactly, and by the zone where they name none."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

NS = 1_000_000_000
EPOCHS = {"epoch_s": NS, "epoch_ms": 1_000_000, "epoch_us": 1_000, "epoch_ns": 1}
"""Numbers since the epoch, by their units in nanoseconds."""
ISO = "iso"
_DAY_S = 86_400
_UNIT_BY_DIGITS = {10: NS, 13: 1_000_000, 16: 1_000, 19: 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_NS = 2**63 - 1

_number = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,9})[0-9]*)?", re.ASCII).fullmatch
_iso = re.compile(
    r"([0-9]{4}-?[0-9]{2}-?[0-9]{2})[T ]([0-9]{2}:?[0-9]{2}(?::?[0-9]{2})?)(?:[.,]([0-9]{1,9})[0-9]*)?"
    r" ?(Z|[+-][0-9]{2}:?(?:[0-9]{2})?)?",
    re.ASCII,
).fullmatch
_date = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})", re.ASCII).fullmatch

ReadTime = Callable[[str], "int | date"]
"""Nanoseconds, or the date where the text is one alone. `ValueError` for what is no time."""


def time_reader(time_format: str | None, zone: ZoneInfo) -> ReadTime:
    """Reads times of one format; None finds it from each text."""
    if time_format is None:
        return lambda text: _found(text, zone)
    if time_format == ISO:
        return lambda text: _iso_ns(text, zone)
    if time_format in EPOCHS:
        unit = EPOCHS[time_format]
        return lambda text: _epoch_ns(text, unit)
    return lambda text: _pattern(text, time_format, zone)


def day_span_ns(day: date, session: tuple[int, int], zone: ZoneInfo) -> tuple[int, int]:
    """When a day's session begins and ends: `session` is seconds after midnight by the clock on the wall."""
    first, last = (_wall_ns(day, seconds, zone) for seconds in session)
    return first, last


def _wall_ns(day: date, seconds: int, zone: ZoneInfo) -> int:
    days, rest = divmod(seconds, _DAY_S)
    midnight = datetime.combine(day + timedelta(days=days), datetime.min.time(), zone)
    return _ns(midnight.replace(hour=rest // 3600, minute=rest // 60 % 60, second=rest % 60))


def _found(text: str, zone: ZoneInfo) -> int | date:
    number = _number(text)
    if number is not None and len(number[1]) != 8:
        unit = _UNIT_BY_DIGITS.get(len(number[1]))
        if unit is None:
            raise ValueError(
                f"time {text[:40]!r} has {len(number[1])} digits, which tell no unit; set 'time_format'"
            )
        return _epoch_ns(text, unit)
    return _iso_ns(text, zone)


def _epoch_ns(text: str, unit: int) -> int:
    number = _number(text)
    if number is None:
        raise ValueError(f"time {text[:40]!r} is no number since the epoch")
    fraction = (number[2] or "").ljust(9, "0")
    return _bounded(int(number[1]) * unit + int(fraction) * unit // NS, text)


def _iso_ns(text: str, zone: ZoneInfo) -> int | date:
    match = _iso(text)
    if match is None:
        alone = _date(text)
        if alone is None:
            raise ValueError(f"time {text[:40]!r} is none that is known; set 'time_format'")
        return date(int(alone[1]), int(alone[2]), int(alone[3]))
    day, clock, fraction, offset = match.groups()
    whole = _whole_ns(f"{day} {clock}", offset or "", zone)
    return _bounded(whole + int((fraction or "").ljust(9, "0")), text)


@lru_cache(maxsize=4096)
def _whole_ns(text: str, offset: str, zone: ZoneInfo) -> int:
    """Whole seconds, which many lines share."""
    moment = datetime.fromisoformat(text + offset)
    return _ns(moment if offset else moment.replace(tzinfo=zone))


@lru_cache(maxsize=4096)
def _pattern(text: str, pattern: str, zone: ZoneInfo) -> int | date:
    moment = datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone comes below, where the text has none
    if not any(code in pattern for code in ("%H", "%I", "%c", "%X")):
        return moment.date()
    return _bounded(_ns(moment if moment.tzinfo else moment.replace(tzinfo=zone)), text)


def _ns(moment: datetime) -> int:
    passed = moment.astimezone(UTC) - _EPOCH
    return (passed.days * _DAY_S + passed.seconds) * NS + passed.microseconds * 1_000


def _bounded(time_ns: int, text: str) -> int:
    if not 0 < time_ns <= _LATEST_NS:
        raise ValueError(f"time {text[:40]!r} is not between 1970 and 2262")
    return time_ns
