"""Cursors: opaque, whole, and refused when they are anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain.cursor import (
    MAX_CURSOR_ACCOUNTS,
    MAX_CURSOR_LENGTH,
    Cursor,
    decode_cursor,
    encode_cursor,
)
from brokergate.domain.errors import ErrorReason, GatewayError

ACCOUNTS = st.text("abcXYZ019_-", min_size=1, max_size=64)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 10**9),
    st.dictionaries(ACCOUNTS, st.integers(0, 10**13), max_size=64),
)
def test_round_trip(journal: int, epoch: int, positions: dict[str, int]) -> None:
    """A cursor comes back as it was, for up to 64 accounts."""
    text = encode_cursor(f"{journal:08x}", epoch, positions)
    assert len(text) <= MAX_CURSOR_LENGTH
    assert decode_cursor(text) == Cursor(f"{journal:08x}", epoch, positions)


def test_the_longest() -> None:
    """A cursor of as many accounts as a stream follows, their ids and sequences as long as they can be, is read."""
    positions = {f"{number:064d}": 10**18 - 1 for number in range(MAX_CURSOR_ACCOUNTS)}
    assert decode_cursor(encode_cursor("0a1b2c3d", 10**9, positions)).positions == positions


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "2.abcd.1.paper:1",
        "1.XYZ.1.paper:1",
        "1.abcd.-1.paper:1",
        "1.abcd.1.paper",
        "1.abcd.1.paper:",
        "1.abcd.1.paper:1,",
        "1.abcd.1.paper:1,paper:2",
        "1.abcd.1.paper:-1",
        "1.abcd.1.paper:١",
        "1.abcd.1.paper:1\n",
        "1.abcd.1.pa per:1",
        "1.abcd.1.paper:9999999999999999999",
        "1.abcd.1." + ",".join(f"a{n}:1" for n in range(10_000)),
        "\x00",
    ],
)
def test_garbage(text: str) -> None:
    """What this contract never made is CURSOR_INVALID, and the error repeats at most 64 characters of it."""
    with pytest.raises(GatewayError) as caught:
        decode_cursor(text)
    assert caught.value.reason is ErrorReason.CURSOR_INVALID
    assert len(caught.value.message) < 300


@given(st.text())
def test_any_text(text: str) -> None:
    """Text that nobody made for a cursor is refused, whatever it is."""
    with pytest.raises(GatewayError):
        decode_cursor(text)
