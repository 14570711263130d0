"""Exact numbers and times: what goes between Python and the wire without losing a digit or a nanosecond.

Prices, quantities and amounts are `decimal.Decimal`, which prints and compares exactly. Arithmetic by the operators
rounds to the 28 digits of Python's default context; the contract allows 38, so sums of very long numbers want a context
of their own (`decimal.Context(prec=100)`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp

from brokergate_client.errors import InvalidNumberError

Number = Decimal | int | str
"""What is accepted as a price or quantity: `Decimal("0.1")`, `5` or `"0.1"`. A float is not: 0.1 has no exact float."""

NANOSECONDS = 1_000_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


_PLACES = 18
_MOST_PLACES = 10_000

_CONTRACT = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,18})?")


def exact(number: Number, field: str = "number") -> Decimal:
    """`number` as a Decimal. Raises `TypeError` for a float, `InvalidNumberError`, which names `field`, for text
    that is not written as the contract writes numbers: plain digits, 20 before the point and 18 after it at most."""
    given: object = number
    if not isinstance(given, Decimal | int | str) or isinstance(given, bool):
        raise TypeError(
            f"{number!r} is a {type(number).__name__}, which is not exact; give Decimal({str(number)!r})"
        )
    if isinstance(given, str):
        _expect_form(given, field)
    value = Decimal(number)
    if not value.is_finite():
        raise InvalidNumberError(field, f"{value} is not a finite number")
    return value


def decimal_text(number: Number, field: str = "number") -> str:
    """`number` as the contract writes it: plain digits, no exponent. Raises as `exact`, and for more digits than the
    contract has room for."""
    value = exact(number, field)
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or not -_MOST_PLACES <= exponent <= _MOST_PLACES:
        # Written out, 1E+1000000000 would fill the memory.
        raise InvalidNumberError(field, f"{str(value)[:64]} has too many digits")
    text = format(value, "f")
    whole, point, places = text.partition(".")
    # A product has the places of both its factors, zeros too.
    text = whole + point + places[:_PLACES] + places[_PLACES:].rstrip("0")
    _expect_form(text, field)
    return text


def _expect_form(text: str, field: str) -> None:
    if not (text.isascii() and _CONTRACT.fullmatch(text)):
        raise InvalidNumberError(
            field,
            f"{text[:64]!r} is not a number in plain digits, at most 20 before the point and 18 after it",
        )


def time_of(time_ns: int) -> datetime:
    """Nanoseconds since 1970 as an aware UTC datetime, cut to its microseconds."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def nanoseconds(timestamp: Timestamp) -> int:
    """A timestamp in nanoseconds since 1970."""
    return timestamp.seconds * NANOSECONDS + timestamp.nanos


def timestamp_of(time: datetime) -> Timestamp:
    """An aware datetime for the wire. Raises `ValueError` for a naive one, which could be any time of a day."""
    if time.tzinfo is None:
        raise ValueError(f"{time.isoformat()} has no time zone; give datetime(…, tzinfo=UTC)")
    since = time - _EPOCH
    return Timestamp(seconds=since.days * 86400 + since.seconds, nanos=since.microseconds * 1000)
