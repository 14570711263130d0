"""Tables that cannot be: each is refused with file and line, or left out and counted."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from brokergate.sim.feeds.decoding import DROPPED
from brokergate.sim.feeds.layout import BadLines
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.feeds.tape import TapeError
from brokergate.sim.market import FeedGap, QuoteUpdate
from tests.unit.sim.feeds.tables import BARS, QUOTES, TRADES, opened, table, updates

QUOTE = "2024-05-06T10:00:01Z,1.0801,1.0803,5,7"


def quotes(bid: str) -> str:
    """The quotes with another bid on the third line."""
    return QUOTES.replace("1.0802", bid)


BAD: list[tuple[str, str | bytes, str]] = [
    ("crossed", quotes("1.0805"), "line 3: EUR/USD is crossed"),
    ("backwards", QUOTES.replace("10:00:00.5", "09:59:00"), "line 3: time runs backwards by 60.000 s"),
    ("truncated", gzip.compress((QUOTES + f"{QUOTE}\n" * 400).encode())[:-12], "the compressed file is truncated"),
    ("no column", QUOTES.replace(",ask,", ",x,"), "neither quotes, trades, bars nor books"),
    ("volume by another name", BARS.replace("volume", "tick_vol"), "line 1: bars need the column volume where"),
    ("nan", quotes("NaN"), "line 3: price 'NaN' is not a plain decimal"),
    ("infinite", quotes("inf"), "line 3: price 'inf'"),
    ("nothing", quotes(""), "line 3: price '' is not a plain decimal"),
    ("negative", quotes("-1.0802"), "line 3: price '-1.0802'"),
    ("zero", quotes("0"), "line 3: a price of zero"),
    ("trade of nothing", TRADES.replace("0.25", "0"), "line 3: a trade of size zero"),
    ("side", TRADES.replace("sell", "left"), "line 3: side 'left' is neither buy nor sell"),
    ("low above high", BARS.replace("11,13,10,12", "11,10,13,12"), "line 3: the bar's low is above its high"),
    ("outside", BARS.replace("11,13,10,12", "11,13,10,14"), "line 3: the bar opens or closes outside"),
    ("header twice", QUOTES.replace("ask_size", "bid"), "line 1: the header has the column 'bid' twice"),
    ("two of a role", QUOTES.replace("ask_size", "bid_price"), "line 1: the columns 'bid' and 'bid_price'"),
    ("ragged", quotes("1.0802,4"), "line 3: the line has 6 columns, and the header has 5"),
    ("short", QUOTES.replace(",6,8", ",6"), "line 3: the line has 4 columns"),
    ("latin", QUOTES.encode() + "2024-05-06T10:00:01Z,1,2,é,5\n".encode("latin-1"), "line 4: the text is not UTF-8"),
    ("utf-16", QUOTES.encode("utf-16"), "line 1: the text is UTF-16"),
    ("empty", b"", "the file is empty"),
    ("header alone", QUOTES.splitlines()[0], "there is no row in it"),
    ("date alone", "time,bid,ask\n2024-05-06,1,2\n", "line 2: time 2024-05-06 is a date alone"),
    ("no time", "time,bid,ask\nnow,1,2\n", "line 2: time 'now' is none that is known; set 'time_format'"),
    ("unitless", "time,bid,ask\n12345678901,1,2\n", "line 2: time '12345678901' has 11 digits"),
    ("noise", "time,bid,ask\n1714989600,0.30000000000000004,1\n", "17 decimal places, a float's noise"),
    ("split", "date,o,h,l,c,v,split\n2024-05-06,1,1,1,1,1,seven\n", "line 2: split 'seven' is no ratio"),
    ("dividend", "date,o,h,l,c,v,dividend\n2024-05-06,1,1,1,1,1,-1\n", "line 2: dividend -1 is below zero"),
    ("one bar", "time,o,h,l,c,v\n1714989600,1,1,1,1,1\n", "set 'bar_span'"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_what_cannot_be_names_file_and_line(tmp_path: Path, content: str | bytes, says: str) -> None:
    """And nothing of the bad line is played."""
    path = table(tmp_path, content, "quotes.csv")
    with pytest.raises(TapeError) as refused:
        updates(path, "EUR/USD")
    assert says in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_name_without_a_ticker_asks_for_the_symbol(tmp_path: Path) -> None:
    """Nobody guesses."""
    with pytest.raises(TapeError, match=r"neither a column nor the name 'quotes\.csv' tells the instrument"):
        open_tape(table(tmp_path, QUOTES, "quotes.csv"))


@pytest.mark.parametrize("bad", ["crossed", "nan", "negative", "zero", "ragged", "nothing"])
def test_a_dropped_quote_leaves_a_gap(tmp_path: Path, bad: str) -> None:
    """Nothing matches on the quote before it; the next good one is a market again."""
    content = next(case[1] for case in BAD if case[0] == bad)
    assert isinstance(content, str)
    path = table(tmp_path, content + "2024-05-06T10:00:02Z,1.0801,1.0803,5,7\n", "quotes.csv")
    tape = opened(path, "EUR/USD", bad_lines=BadLines.DROP)
    assert tape.survey().repairs == {DROPPED: 1}
    first, gap, last = tape.updates()
    assert isinstance(first, QuoteUpdate)
    assert isinstance(gap, FeedGap)
    assert "line 3" in gap.reason
    assert isinstance(last, QuoteUpdate)


def test_a_clock_that_steps_back_a_little_is_put_right_and_counted(tmp_path: Path) -> None:
    """Half a second; the line counts at the time of the one before."""
    path = table(tmp_path, QUOTES + "2024-05-06T10:00:00.1Z,1.0801,1.0803,5,7\n", "quotes.csv")
    tape = opened(path, "EUR/USD")
    assert tape.survey().repairs == {"time_clamped": 1}
    *_, before, last = tape.updates()
    assert last.time_ns == before.time_ns


def test_a_bad_setting_is_told(tmp_path: Path) -> None:
    """A column that there is not, and a layout where there is no table."""
    with pytest.raises(TapeError, match="there is no column 'ts', which 'columns' names for time"):
        opened(table(tmp_path, QUOTES), columns={"time": "ts"})
    lean = table(tmp_path, "0,1.1,1.2\n", "20140502_eurusd_tick_quote.csv")
    with pytest.raises(TapeError, match="a layout of tables is set"):
        opened(lean, columns={"time": "ts"})


def test_what_was_checked_can_all_be_played(tmp_path: Path) -> None:
    """The same content without the fault is a tape."""
    for content in (QUOTES, TRADES, BARS):
        assert updates(table(tmp_path, content))
