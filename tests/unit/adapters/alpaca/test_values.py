"""Numbers, times and words on Alpaca's wire."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.adapters.alpaca.values import (
    WireError,
    as_decimal,
    load,
    number,
    number_or_none,
    time_ns,
    write_time,
    written,
)


def test_a_json_number_is_its_own_text() -> None:
    """No float is ever in between: 0.1 + 0.2 would show it."""
    loaded = load(b'{"p": 0.1, "q": 60010.5, "n": 12, "e": 1e-9, "s": "0.30000000000000004"}')
    assert {name: str(number(loaded, name)) for name in loaded} == {
        "p": "0.1",
        "q": "60010.5",
        "n": "12",
        "e": "1E-9",
        "s": "0.30000000000000004",
    }
    assert written(number(loaded, "e")) == "0.000000001"


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "", "1,5", "0x10", "1e99", "1e-99", "9" * 80]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    """A number that nothing is traded in is a wrong answer, not a price."""
    with pytest.raises(WireError):
        as_decimal(text, "price")


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b'{"p": NaN}', b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """Also HTML of a proxy, half an answer, and one that is too deep."""
    with pytest.raises(WireError):
        load(body)


def test_a_number_that_is_not_there() -> None:
    """Null and an empty text are none; where one is needed that is an error."""
    assert number_or_none({"p": None}, "p") is None
    assert number_or_none({"p": ""}, "p") is None
    with pytest.raises(WireError, match="p is missing"):
        number({}, "p")
    with pytest.raises(WireError, match="p is not a number"):
        number({"p": True}, "p")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-03-16T18:38:02.142282368Z", 1773686282142282368),
        ("2026-03-16T14:38:02.142282368-04:00", 1773686282142282368),
        ("2026-03-16T18:38:02.1Z", 1773686282100000000),
        ("2026-03-16 18:38:02+00:00", 1773686282000000000),
    ],
)
def test_times_to_the_nanosecond(text: str, expected: int) -> None:
    """RFC 3339 in any zone, with no to nine digits of a second."""
    assert time_ns(text, "t") == expected
    assert time_ns(write_time(expected), "t") == expected


@pytest.mark.parametrize(
    "text", [None, "", "2026-03-16", "2026-13-16T18:38:02Z", "2026-03-16T18:38:02", "now"]
)
def test_what_is_no_time_is_refused(text: object) -> None:
    """A date, a month too many, a time without a zone."""
    with pytest.raises(WireError):
        time_ns(text, "t")


def test_numbers_are_written_plain() -> None:
    """Without an exponent and without needless zeros."""
    assert [written(Decimal(text)) for text in ("1E+3", "0.500", "100", "0.000000001")] == [
        "1000",
        "0.5",
        "100",
        "0.000000001",
    ]
