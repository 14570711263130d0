"""Tables with anything in them: a tape or a `TapeError`, and never a crossed quote."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokergate.sim.feeds.layout import BadLines
from brokergate.sim.feeds.tape import TapeError
from brokergate.sim.market import BarUpdate, QuoteUpdate, TradeUpdate
from tests.unit.sim.feeds.tables import BARS, QUOTES, TRADES, table, updates

CELLS = st.sampled_from(
    ["", "0", "1", "1.5", "-1", "NaN", "inf", "1e5", '"', '"1"', "\x00", "é", "9" * 30, "0001-01-01T00:00:00+14:00",
     "9999-12-31", "9999-12-31T23:59:59-12:00", "2024-05-06", "2024-13-45", "1714989600", "1714989601.5", "buy", "7:0"]
)  # fmt: skip
HEADERS = ["time,bid,ask", "time,bid,ask,bid_size,ask_size", "ts;price;qty;side", "date,o,h,l,c,v,dividend,split",
           "time,symbol,price,size", "t|bids[0].price|bids[0].size|asks[0].price|asks[0].size"]  # fmt: skip


@settings(max_examples=300)
@given(data=st.data(), header=st.sampled_from(HEADERS), bad=st.sampled_from(list(BadLines)))
def test_any_cells(
    data: st.DataObject, header: str, bad: BadLines, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What is played can be: prices and sizes above zero, times that never run backwards."""
    separator = next(mark for mark in ",;|" if mark in header)
    width = header.count(separator) + 1
    rows = data.draw(st.lists(st.lists(CELLS, min_size=width - 1, max_size=width + 1), max_size=6))
    text = "\n".join([header, *(separator.join(row) for row in rows)])
    _look(table(tmp_path_factory.mktemp("any"), text), bad)


@settings(max_examples=200)
@given(data=st.data(), whole=st.sampled_from([QUOTES, TRADES, BARS]), bad=st.sampled_from(list(BadLines)))
def test_any_damage(
    data: st.DataObject, whole: str, bad: BadLines, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes changed, cut out and put in."""
    content = bytearray(whole.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=5))
    _look(table(tmp_path_factory.mktemp("damage"), bytes(content)), bad)


def _look(path: Path, bad: BadLines) -> None:
    try:
        played = updates(path, bad_lines=bad)
    except TapeError:
        return
    times = [update.time_ns for update in played]
    assert times == sorted(times)
    for update in played:
        if isinstance(update, QuoteUpdate):
            assert update.bid is None or update.ask is None or 0 < update.bid[0] <= update.ask[0]
        elif isinstance(update, TradeUpdate):
            assert update.price > 0
            assert update.size > 0
        elif isinstance(update, BarUpdate):
            assert 0 < update.low <= min(update.open, update.close)
            assert max(update.open, update.close) <= update.high
