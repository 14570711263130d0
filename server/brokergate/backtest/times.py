"""Moments in text: ISO 8601, nanoseconds since the epoch, or an offset from a run's start."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

SECOND_NS = 1_000_000_000
LATEST_NS = 2**63 - 1
FORMS = (
    "write an ISO time with its zone (2024-08-08T10:00:00.5Z), nanoseconds since 1970, or an offset from the start "
    "(+90s, +250ms, +15m)"
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"ns": 1, "us": 1000, "ms": 1_000_000, "s": SECOND_NS, "m": 60 * SECOND_NS, "h": 3600 * SECOND_NS}
_span = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?(ns|us|ms|s|m|h)", re.ASCII).fullmatch
_iso = re.compile(
    r"(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})", re.ASCII
).fullmatch
_epoch = re.compile(r"[0-9]{1,19}", re.ASCII).fullmatch


def span_ns(text: str) -> int:
    """A span such as `90s`, `1.5h` or `250ms` in nanoseconds. `ValueError` for anything else."""
    found = _span(text)
    if found is None:
        raise ValueError(f"{text[:64]!r} is no span of time; write a number and ns, us, ms, s, m or h (90s)")
    whole, fraction, unit = found.groups()
    part = int(fraction) * _UNITS[unit] // 10 ** len(fraction) if fraction else 0
    return int(whole) * _UNITS[unit] + part


def moment_ns(text: str, start_ns: int) -> int:
    """The moment that `text` names, in nanoseconds since the epoch; offsets (`+90s`) count from `start_ns`.
    `ValueError` for anything else, and for a time without a zone, which could be any of a day."""
    if text.startswith("+"):
        return _bounded(start_ns + span_ns(text[1:]), text)
    if _epoch(text):
        return _bounded(int(text), text)
    found = _iso(text)
    if found is None:
        raise ValueError(f"{text[:64]!r} is no time; {FORMS}")
    seconds, fraction, zone = found.groups()
    try:
        time = datetime.fromisoformat(seconds + zone.replace("Z", "+00:00"))
        since = time - _EPOCH
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:64]!r} is no time ({error}); {FORMS}") from None
    whole = since.days * 86_400 + since.seconds
    return _bounded(whole * SECOND_NS + int((fraction or "0").ljust(9, "0")), text)


def time_text(time_ns: int) -> str:
    """Nanoseconds since the epoch in ISO 8601, to the last digit."""
    second = _EPOCH + timedelta(seconds=time_ns // SECOND_NS)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{time_ns % SECOND_NS:09d}Z"


def _bounded(time_ns: int, text: str) -> int:
    if not 0 <= time_ns <= LATEST_NS:
        raise ValueError(f"{text[:64]!r} is no time between 1970 and 2262; {FORMS}")
    return time_ns
