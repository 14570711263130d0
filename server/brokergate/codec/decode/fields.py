"""The checks that requests share. Each adds what is wrong to `Violations` and goes on with a harmless value, so that
one answer names every field that is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import IntEnum
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from brokergate.domain.errors import MAX_VIOLATIONS, ErrorReason, FieldViolation, GatewayError, shorten
from brokergate.domain.fills import Money
from brokergate.domain.instruments import SYMBOL_PATTERN
from brokergate.domain.money import ZERO, parse_decimal
from brokergate.v1 import money_pb2

E = TypeVar("E", bound=IntEnum)

NS_PER_S = 1_000_000_000
MAX_SECONDS = 9_223_372_035
"""The last second whose nanoseconds fit 64 bits, in 2262."""

MAX_PAGE_SIZE = 1000
MAX_CHOICES = 64
"""Values of an enum to filter by; a message could hold millions, each a violation."""
DEFAULT_PAGE_SIZE = 100

ID_FORM = "1 to 64 of A-Z, a-z, 0-9, _ and -"
matches_id = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII).fullmatch
matches_symbol = re.compile(SYMBOL_PATTERN, re.ASCII).fullmatch
_matches_currency = re.compile(r"[A-Z0-9]{1,16}", re.ASCII).fullmatch


class Violations:
    """What is wrong with a request: the first 16 fields in full, the others counted."""

    __slots__ = ("_found", "_omitted")

    def __init__(self) -> None:
        self._found: list[FieldViolation] = []
        self._omitted = 0

    def add(self, field: str, problem: str, value: str | None = None) -> None:
        """`field` is wrong: `problem` says what it must be; the value, where one was given, stands before it."""
        if len(self._found) >= MAX_VIOLATIONS:
            self._omitted += 1
            return
        self._found.append(
            FieldViolation(field, problem if value is None else f"{shorten(value)!r} {problem}")
        )

    def __bool__(self) -> bool:
        return bool(self._found)

    def error(self) -> GatewayError:
        """The error that says all of it."""
        first = self._found[0]
        others = len(self._found) - 1 + self._omitted
        more = f" (and {others} more)" if others else ""
        metadata = {"violations_omitted": str(self._omitted)} if self._omitted else {}
        return GatewayError(
            ErrorReason.INVALID_FIELD,
            f"{first.field}: {first.description}{more}",
            violations=self._found,
            metadata=metadata,
        )

    def check(self) -> None:
        """Raises the error if anything is wrong."""
        if self._found:
            raise self.error()


def identifier(out: Violations, field: str, text: str) -> str:
    """A required id of the client's: an order's, a request's, an account's."""
    if matches_id(text) is None:
        if text:
            out.add(field, f"is no id; use {ID_FORM}", text)
        else:
            out.add(field, f"is required; give {ID_FORM}")
    return text


def symbol(out: Violations, field: str, text: str) -> str:
    """A required symbol."""
    if matches_symbol(text) is None:
        if text:
            out.add(field, "is no symbol; write it like BTC/USDT, AAPL or ESZ6, 64 characters at most", text)
        else:
            out.add(field, "is required; write it like BTC/USDT, AAPL or ESZ6")
    return text


def optional_symbol(out: Violations, field: str, text: str) -> str:
    """A symbol to filter by; '' where none is given."""
    return symbol(out, field, text) if text else text


def currency(out: Violations, field: str, text: str) -> str:
    """A required currency code."""
    if _matches_currency(text) is None:
        out.add(field, "is no currency code; use 1 to 16 of A-Z and 0-9, such as USD or USDT", text)
    return text


def number(out: Violations, field: str, text: str) -> Decimal | None:
    """A decimal of any sign; None where it is none."""
    try:
        return parse_decimal(text)
    except ValueError:
        out.add(
            field, "is not a plain decimal; write it like 12.5, at most 20 digits, a point, 18 digits", text
        )
        return None


def positive(out: Violations, field: str, text: str) -> Decimal:
    """A decimal above zero."""
    value = number(out, field, text)
    if value is None:
        return ZERO
    if value <= ZERO:
        out.add(field, "must be above zero", text)
    return value


def percent(out: Violations, field: str, text: str, low: Decimal, high: Decimal) -> Decimal:
    """A percentage from `low` to below `high`."""
    value = number(out, field, text)
    if value is None:
        return low
    if not low <= value < high:
        out.add(field, f"must be at least {low} and below {high} per cent", text)
    return value


def choice(out: Violations, field: str, value: int, known: Mapping[int, E]) -> E:
    """A value of an enum; what is not in `known` is refused, UNSPECIFIED too where that lacks it."""
    found = known.get(value)
    if found is None:
        names = ", ".join(member.name for member in known.values())
        if value:
            out.add(field, f"is not known; use one of {names}", str(value))
        else:
            out.add(field, f"is required; use one of {names}")
        return next(iter(known.values()))
    return found


def choices(out: Violations, field: str, values: Sequence[int], known: Mapping[int, E]) -> frozenset[E]:
    """A filter by up to 64 values of an enum."""
    if not count(out, field, values, 0, MAX_CHOICES):
        return frozenset()
    return frozenset(choice(out, f"{field}[{index}]", value, known) for index, value in enumerate(values))


def members(kind: type[E]) -> dict[int, E]:
    """The values of an enum but UNSPECIFIED, by number: what a client must choose from."""
    return {member.value: member for member in kind if member.value}


def all_members(kind: type[E]) -> dict[int, E]:
    """The values of an enum, UNSPECIFIED too: what a client may leave to the gateway."""
    return {member.value: member for member in kind}


def time_ns(out: Violations, field: str, time: Timestamp) -> int:
    """Nanoseconds since the epoch of a Timestamp between 1970 and 2262."""
    if not 0 <= time.nanos < NS_PER_S:
        out.add(field, "nanos must be 0 to 999999999", str(time.nanos))
        return 0
    if not 0 <= time.seconds <= MAX_SECONDS:
        out.add(field, "seconds must lie between 1970 and 2262", str(time.seconds))
        return 0
    return time.seconds * NS_PER_S + time.nanos


def duration_ns(out: Violations, field: str, duration: Duration, low_s: int, high_s: int) -> int:
    """Nanoseconds of a Duration from `low_s` to `high_s` seconds."""
    if not 0 <= duration.nanos < NS_PER_S or not 0 <= duration.seconds <= high_s:
        out.add(field, f"must be {low_s} s to {high_s} s", f"{duration.seconds} s {duration.nanos} ns")
        return low_s * NS_PER_S
    value = duration.seconds * NS_PER_S + duration.nanos
    if not low_s * NS_PER_S <= value <= high_s * NS_PER_S:
        out.add(field, f"must be {low_s} s to {high_s} s", f"{duration.seconds} s {duration.nanos} ns")
    return value


def page_size(out: Violations, field: str, value: int) -> int:
    """How many items a page has: 1 to 1000, 0 is 100."""
    if not 0 <= value <= MAX_PAGE_SIZE:
        out.add(field, f"must be 1 to {MAX_PAGE_SIZE}, or 0 for {DEFAULT_PAGE_SIZE}", str(value))
    return value or DEFAULT_PAGE_SIZE


def count(out: Violations, field: str, items: Sequence[object], low: int, high: int) -> bool:
    """Whether a list has `low` to `high` items."""
    if low <= len(items) <= high:
        return True
    out.add(field, f"has {len(items)} items; give {low} to {high}")
    return False


def text(out: Violations, field: str, value: str, most: int) -> str:
    """A required text for people, of up to `most` characters."""
    if not value:
        out.add(field, f"is required; give up to {most} characters")
    elif len(value) > most:
        out.add(field, f"has {len(value)} characters; give up to {most}", value)
    return value


def money(out: Violations, field: str, value: money_pb2.Money) -> Money:
    """An amount above zero of a currency."""
    return Money(
        positive(out, f"{field}.amount", value.amount),
        currency(out, f"{field}.currency_code", value.currency_code),
    )
