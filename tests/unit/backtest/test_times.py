"""Moments and spans in text."""

from __future__ import annotations

import pytest

from brokergate.backtest.market import SYNTHETIC_START_NS
from brokergate.backtest.times import moment_ns, span_ns, time_text

START = 1_000_000_000_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+0s", START),
        ("+90s", START + 90_000_000_000),
        ("+1.5m", START + 90_000_000_000),
        ("+250ms", START + 250_000_000),
        ("+7ns", START + 7),
        ("1723161253937085768", 1_723_161_253_937_085_768),
        ("2024-08-08T23:54:13.937085768Z", 1_723_161_253_937_085_768),
        ("2024-08-08T23:54:13.5Z", 1_723_161_253_500_000_000),
        ("2024-08-09T01:54:13+02:00", 1_723_161_253_000_000_000),
    ],
)
def test_a_moment_is_read_to_the_nanosecond(text: str, expected: int) -> None:
    assert moment_ns(text, START) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "+",
        "+90",
        "+-1s",
        "-5s",
        "2024-08-08T23:54:13",
        "2024-13-08T23:54:13Z",
        "99999999999999999999",
        "1e9",
    ],
)
def test_what_is_no_moment_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        moment_ns(text, START)


def test_spans_and_texts() -> None:
    assert span_ns("2h") == 7_200_000_000_000
    assert time_text(1_723_161_253_937_085_768) == "2024-08-08T23:54:13.937085768Z"
    assert time_text(SYNTHETIC_START_NS) == "2026-01-05T14:30:00.000000000Z"
