"""Exact decimal arithmetic: the one place that says how numbers are read, written, combined and rounded.

Every price, quantity and amount is a `decimal.Decimal` under `CONTEXT`: precision 100 with `Inexact` trapped, so
an operation that would lose a digit raises instead of rounding. Python's ambient context (28 digits) silently
rounds values that the contract allows; therefore code on money uses the functions here and not the operators
`+ - * /`, which obey the ambient context. Comparison, `min`, `max` and `==` are exact and free to use.
"""

from __future__ import annotations

import re
from decimal import (
    ROUND_HALF_EVEN,
    Clamped,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)

PRECISION = 100
"""Significant digits; the widest product that the contract allows (38 digits times 38) fits with room."""

QUOTIENT_PLACES = 18
"""Decimal places of a derived quotient, such as an average price. A quotient is shown and never booked."""

CONTEXT = Context(
    prec=PRECISION,
    rounding=ROUND_HALF_EVEN,
    traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, Clamped],
)
_ROUNDING = Context(
    prec=PRECISION, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)

ZERO = Decimal(0)
ONE = Decimal(1)

DECIMAL_PATTERN = r"-?[0-9]{1,20}(\.[0-9]{1,18})?"
"""The contract's notation: plain digits, at most 20 before the point and 18 after it."""

_matches = re.compile(DECIMAL_PATTERN, re.ASCII).fullmatch

add = CONTEXT.add
subtract = CONTEXT.subtract
multiply = CONTEXT.multiply
remainder = CONTEXT.remainder


def parse_decimal(text: str) -> Decimal:
    """The value of `text`, which must be in the contract's plain notation.

    Raises `ValueError` for anything else: an exponent, `NaN`, a sign `+`, blanks, other scripts' digits, or more
    than 20 digits before or 18 after the point. `-0` reads as zero.
    """
    if _matches(text) is None:
        raise ValueError(
            f"{text[:64]!r} is not a plain decimal such as 12.5 (at most 20 digits, a point, 18 digits)"
        )
    value = Decimal(text)
    return value if value else ZERO


def format_decimal(value: Decimal) -> str:
    """`value` in plain notation, without an exponent; trailing zeros are kept as they stand in the value."""
    return format(value, "f")


def normal(value: Decimal) -> Decimal:
    """`value` without trailing zeros after the point and never in exponent form (100, not 1E+2)."""
    stripped = CONTEXT.normalize(value)
    exponent = stripped.as_tuple().exponent
    if isinstance(exponent, int) and exponent > 0:
        return CONTEXT.quantize(stripped, ONE)
    return stripped


def total(values: list[Decimal]) -> Decimal:
    """The exact sum of `values`; zero for none."""
    result = ZERO
    for value in values:
        result = add(result, value)
    return result


def quotient(dividend: Decimal, divisor: Decimal) -> Decimal:
    """`dividend / divisor` to 18 places, half to even: for what is derived and shown, such as an average price."""
    return round_places(_ROUNDING.divide(dividend, divisor), QUOTIENT_PLACES)


def round_places(value: Decimal, places: int) -> Decimal:
    """`value` rounded half to even to `places` digits after the point."""
    return _ROUNDING.quantize(value, Decimal(1).scaleb(-places))


def half_even(numerator: int, denominator: int) -> int:
    """The whole number nearest to the quotient, of two that are equally near the even one. `denominator` is above 0."""
    whole, rest = divmod(numerator, denominator)
    doubled = 2 * rest
    return whole + (doubled > denominator or (doubled == denominator and whole & 1))


def round_down(value: Decimal, step: Decimal) -> Decimal:
    """The largest whole number of `step`s that is not above `value`, which is zero or more."""
    return CONTEXT.subtract(value, CONTEXT.remainder(value, step))


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Whether `value` is a whole number of `step`s (of a tick or a lot)."""
    return not CONTEXT.remainder(value, step)


def steps(value: Decimal, step: Decimal) -> int:
    """How many whole `step`s `value` is. Raises `ValueError` when it is not a multiple of `step`."""
    if CONTEXT.remainder(value, step):
        raise ValueError(f"{format_decimal(value)} is not a multiple of {format_decimal(step)}")
    return int(CONTEXT.divide_int(value, step))
