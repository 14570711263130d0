"""Exact decimals: what is read, what is refused, what is never rounded."""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain import money

plain = st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,18})?", fullmatch=True, alphabet="-.0123456789")


@given(plain)
def test_a_plain_decimal_keeps_its_value_and_its_places(text: str) -> None:
    """Reading and writing a plain decimal gives the same number, digit for digit but for leading zeros and -0."""
    value = money.parse_decimal(text)
    assert value == Decimal(text)
    again = money.format_decimal(value)
    assert money.parse_decimal(again) == value
    if value:
        assert again.lstrip("-").lstrip("0").rjust(1, "0") == text.lstrip("-").lstrip("0").rjust(1, "0")
    assert "E" not in again


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            " 1",
            "1 ",
            "+1",
            ".5",
            "5.",
            "1e3",
            "1E3",
            "NaN",
            "Infinity",
            "-",
            "--1",
            "1,000",
            "0x10",
            "1_000",
        ],
        *["1" * 21, "0." + "1" * 19, "١٢٣", "1\n", "１", "1.5.2", "1\x00"],
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """What is not in the contract's notation raises, and the error repeats at most 64 characters of it."""
    with pytest.raises(ValueError, match="is not a plain decimal"):
        money.parse_decimal(text)


def test_minus_zero_is_zero() -> None:
    """-0 reads as zero without a sign."""
    assert str(money.parse_decimal("-0.00")) == "0"


wide = st.decimals(min_value=-(10**20), max_value=10**20, places=18, allow_nan=False)


@given(wide, wide, wide)
def test_sums_and_products_never_round(a: Decimal, b: Decimal, c: Decimal) -> None:
    """Sums and products of the widest values are exact, as rational arithmetic says."""
    from fractions import Fraction

    assert Fraction(money.add(a, b)) == Fraction(a) + Fraction(b)
    assert Fraction(money.subtract(a, b)) == Fraction(a) - Fraction(b)
    assert Fraction(money.multiply(a, b)) == Fraction(a) * Fraction(b)
    assert Fraction(money.total([a, b, c])) == Fraction(a) + Fraction(b) + Fraction(c)


def test_what_would_lose_a_digit_raises() -> None:
    """An operation past 100 digits raises Inexact and does not round."""
    wide_value = Decimal("1" + "0" * 60 + "1")
    with pytest.raises(decimal.Inexact):
        money.multiply(wide_value, wide_value)


def test_a_quotient_is_rounded_to_18_places_half_to_even() -> None:
    """1/3 has 18 places; a half goes to the even neighbour."""
    assert str(money.quotient(Decimal(1), Decimal(3))) == "0.333333333333333333"
    assert money.round_places(Decimal("0.125"), 2) == Decimal("0.12")
    assert money.round_places(Decimal("0.135"), 2) == Decimal("0.14")


@given(st.integers(-(10**40), 10**40), st.integers(1, 10**20))
def test_the_nearest_whole_number_is_the_decimal_one(numerator: int, denominator: int) -> None:
    """Python's own rounding of the exact fraction."""
    assert money.half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@pytest.mark.parametrize(("halves", "whole"), [(1, 0), (3, 2), (5, 2), (-1, 0), (-3, -2), (-5, -2)])
def test_halves_go_to_the_even_one(halves: int, whole: int) -> None:
    assert money.half_even(7 * halves, 14) == whole


@pytest.mark.parametrize(
    ("text", "expected"), [("1E+2", "100"), ("1.500", "1.5"), ("0.000", "0"), ("120", "120")]
)
def test_normal_form_has_no_exponent(text: str, expected: str) -> None:
    """The normal form drops zeros after the point and keeps those before it."""
    assert money.format_decimal(money.normal(Decimal(text))) == expected


@given(st.integers(0, 10**12), st.sampled_from(["0.01", "0.00001", "1", "0.25", "5"]))
def test_steps_count_whole_increments(count: int, step: str) -> None:
    """A multiple of a step is that many steps; half a step more is refused."""
    value = Decimal(count) * Decimal(step)
    assert money.steps(value, Decimal(step)) == count
    assert money.is_multiple(value, Decimal(step))
    with pytest.raises(ValueError, match="not a multiple"):
        money.steps(value + Decimal(step) / 2, Decimal(step))


@given(st.integers(0, 10**12), st.sampled_from(["0.01", "0.00001", "1", "0.25", "5"]))
def test_rounding_down_keeps_whole_steps(count: int, step: str) -> None:
    """What is between two steps becomes the lower one; a whole number of steps stays."""
    size = Decimal(step)
    value = Decimal(count) * size
    assert money.round_down(value, size) == value
    assert money.round_down(value + size / 2, size) == value
