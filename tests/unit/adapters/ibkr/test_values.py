"""Interactive Brokers' floats as exact decimals, and its times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.adapters.ibkr.values import (
    UNSET,
    UNSET_INTEGER,
    UNSET_LONG,
    WireError,
    exact_float,
    moment_ns,
    number,
    number_or_none,
    write_time,
)


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=5, allow_nan=False))
def test_a_float_is_the_number_that_the_wire_had(written: Decimal) -> None:
    assert number(float(str(written)), "price") == written
    assert Decimal(repr(exact_float(written, "price"))) == written


@pytest.mark.parametrize(
    "nothing",
    [
        *(None, "", UNSET, repr(UNSET), "1.7976931348623157E308", UNSET_INTEGER),
        *(UNSET_LONG, str(UNSET_LONG), float(UNSET_LONG), str(-UNSET_LONG - 1), float(-UNSET_LONG)),
    ],
)
def test_what_is_unset_is_no_number(nothing: object) -> None:
    assert number_or_none(nothing, "price") is None
    with pytest.raises(WireError, match="price is missing"):
        number(nothing, "price")


def test_no_number_is_none() -> None:
    assert number_or_none(float("nan"), "price") is None


@pytest.mark.parametrize("odd", ["abc", "1,5", float("inf"), True, b"1", 1e300, 1e-300])
def test_what_is_no_amount_is_refused(odd: object) -> None:
    with pytest.raises(WireError, match="price is not a number"):
        number(odd, "price")


def test_whole_numbers_stay_plain() -> None:
    assert str(number(1e5, "quantity")) == "100000"
    assert str(number(100.0, "quantity")) == "100"
    assert str(number(0.1 + 0.2, "price")) == "0.30000000000000004"


def test_a_number_that_a_float_cannot_carry_is_not_sent() -> None:
    with pytest.raises(ValueError, match="lmtPrice has more digits"):
        exact_float(Decimal("1234567890.123456789"), "lmtPrice")


def test_times() -> None:
    moment = datetime(2026, 11, 21, 15, 30, 0, 250_000, tzinfo=timezone(timedelta(hours=-5)))
    assert moment_ns(moment) == 1_795_293_000_250_000_000
    assert moment_ns(moment.astimezone(UTC)) == moment_ns(moment)
    assert write_time(1_795_293_000_250_000_000) == "20261121 20:30:00 UTC"
    with pytest.raises(WireError, match="no zone"):
        moment_ns(datetime(2026, 11, 21))  # noqa: DTZ001 - that is the point
