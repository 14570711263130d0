"""Interactive Brokers' values: floats as exact decimals, and the words and times of its protocol. Pure.

The library reads every number of the wire into a float. The wire has at most 15 significant digits, and so many a
float gives back as they were written: `repr` is the number that was sent. This is the one place where that is done.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from brokergate.domain.money import ZERO, normal

NS_PER_S = 1_000_000_000
UNSET = 1.7976931348623157e308
"""How the protocol writes a number that there is not (Java's Double.MAX_VALUE)."""
UNSET_INTEGER = 2**31 - 1
"""The same of a whole number (Integer.MAX_VALUE)."""
UNSET_LONG = 2**63 - 1
"""The same of a quantity (Long.MAX_VALUE; and the least one)."""
_UNSET_QUANTITIES = frozenset(
    {Decimal(UNSET_LONG), Decimal(-UNSET_LONG - 1), *(Decimal(repr(sign * 2.0**63)) for sign in (1, -1))}
)
"""As they are written, and as the library's float has them."""
MAX_PLACES = 30
"""Digits before or after the point; more is no amount of anything that is traded."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WireError(Exception):
    """What came is not what the protocol says; the text names the field."""


def number(value: object, name: str) -> Decimal:
    """A number that has to be there. Raises `WireError`."""
    found = number_or_none(value, name)
    if found is None:
        raise WireError(f"{name} is missing")
    return found


def number_or_none(value: object, name: str) -> Decimal | None:
    """A number, exactly as the wire had it; None where it is unset, empty or no number (NaN). Raises `WireError`."""
    if value is None or value == "" or value in (UNSET, UNSET_INTEGER):
        return None
    if isinstance(value, float):
        if math.isnan(value):
            return None
        value = repr(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        try:
            value = Decimal(value)
        except InvalidOperation:
            raise WireError(f"{name} is not a number") from None
        if value.is_nan() or value == Decimal(repr(UNSET)) or value in _UNSET_QUANTITIES:
            return None
    if not isinstance(value, Decimal) or not value.is_finite():
        raise WireError(f"{name} is not a number")
    if not value:
        return ZERO
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    if value.adjusted() > MAX_PLACES or exponent < -MAX_PLACES:
        raise WireError(f"{name} is not a number of this size")
    return normal(value)


def exact_float(value: Decimal, name: str) -> float:
    """`value` as the library takes it. `ValueError` where a float cannot carry all of its digits: an order is then not
    sent, since the venue would have another price or quantity than was asked for."""
    sent = float(value)
    if Decimal(repr(sent)) != value:
        raise ValueError(
            f"{name} has more digits than Interactive Brokers' protocol carries; give 15 at most"
        )
    return sent


def moment_ns(value: datetime) -> int:
    """Nanoseconds since the epoch of a time with a zone. Raises `WireError` for one without: on another machine it
    would be another moment."""
    if value.tzinfo is None:
        raise WireError("a time has no zone")
    return (value - _EPOCH) // timedelta(microseconds=1) * 1000


def write_time(time_ns: int) -> str:
    """A time as orders carry it, in whole seconds of UTC (TWS API, `Order.goodTillDate`). The zone is written out:
    without one TWS takes the time for its own."""
    return f"{datetime.fromtimestamp(time_ns // NS_PER_S, UTC):%Y%m%d %H:%M:%S} UTC"
