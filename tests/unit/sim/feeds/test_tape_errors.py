"""Broken recordings: each fault names file and line, and what to do."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.sim.feeds.info import tape_info
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.feeds.tape import MAX_BACKWARDS_NS, TapeError, TapeOverrides
from tests.unit.sim.feeds.recording import GOOD, START_NS, depth, text, ticker, trade, write

BID, ASK = ("100.00", "1"), ("100.10", "2")


def fault(path: Path, overrides: TapeOverrides | None = None) -> TapeError:
    """The error that playing the tape to its end gives."""
    with pytest.raises(TapeError) as caught:
        for _ in open_tape(path, overrides).updates():
            pass
    error = caught.value
    assert error.file.startswith(str(path))
    assert (
        str(error) == f"{error.file}, line {error.line}: {error.problem}; {error.way_out}"
        or error.line is None
    )
    return error


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("1700000000010000000 {not json", "bad JSON"),
        ('1700000000010000000 {"p":NaN}', "bad JSON"),
        ("1700000000010000000 [1,2]", "not a JSON object"),
        ("1700000000010000000", "bad JSON"),
        ("yesterday {}", "neither a time since the epoch"),
        ("17000 {}", "neither a time since the epoch"),
        ('{"result":null,"id":1}', "some lines start with a time and some do not"),
        ('1700000000010000000 {"x":1}', "of no known kind"),
        ('1700000000010000000 {"stream":"btcusdt@trade"}', "no field 'data'"),
        (trade("NaN", "1", True), "price 'NaN' is not a plain decimal"),
        (trade("1e5", "1", True), "price '1e5' is not a plain decimal"),
        (trade("-1", "1", True), "price '-1' is not a plain decimal"),
        (trade("١", "1", True), "is not a plain decimal"),
        (trade("1", "0", True), "zero"),
        (ticker(7, BID, ("100.10", "Infinity")), "size 'Infinity' is not a plain decimal"),
        ('1700000000010000000 {"e":"trade","s":"BTCUSDT","p":"1","m":true}', "no field 'q'"),
        ('1700000000010000000 {"e":"trade","s":"BTCUSDT","p":1.5,"q":"1","m":true}', "price '1.5'"),
        ('1700000000010000000 {"e":"trade","p":"1","q":"1","m":true}', "no field 's'"),
        ('1700000000010000000 {"e":"depthUpdate","s":"BTCUSDT","u":7,"b":[],"a":[]}', "no field 'U'"),
        ('1700000000010000000 {"e":"depthUpdate","s":"BTCUSDT","U":"6","u":7,"b":[],"a":[]}', "U is '6'"),
        ('1700000000010000000 {"e":"depthUpdate","s":"BTCUSDT","U":8,"u":7,"b":[],"a":[]}', "U is above u"),
        (
            '1700000000010000000 {"e":"depthUpdate","s":"BTCUSDT","U":6,"u":7,"b":[["1"]],"a":[]}',
            "bad depth frame",
        ),
        ('1700000000010000000 {"e":"depthUpdate","s":"BTCUSDT","U":6,"u":7,"pu":5,"b":[],"a":[]}', "futures"),
        (
            '1700000000010000000 {"e":"trade","E":"now","s":"BTCUSDT","p":"1","q":"1","m":true}',
            "event time E",
        ),
        ('1700000000010000000 {"e":"trade","s":"../etc","p":"1","q":"1","m":true}', "not one of Binance's"),
    ],
)
def test_a_bad_frame_is_named_by_its_line(tmp_path: Path, bad: object, problem: str) -> None:
    """The third line is bad, and nothing is played of a tape that holds it."""
    error = fault(write(tmp_path, (*GOOD[:2], bad, *GOOD[2:])))
    assert error.line == 3
    assert problem in error.problem


def test_a_truncated_gzip_is_named_by_its_line(tmp_path: Path) -> None:
    """The line that could not be read whole, and how to save what is before it."""
    path = tmp_path / "cut.gz"
    noise = [trade(str(100 + number), str(1 + number * 7919 % 1009), True) for number in range(2_000)]
    path.write_bytes(gzip.compress(text((*GOOD, *noise)).encode())[:-9])
    error = fault(path)
    assert error.line is not None
    assert error.line > len(GOOD)
    assert "truncated" in error.problem
    assert "zcat" in error.way_out


def test_a_damaged_gzip_is_told(tmp_path: Path) -> None:
    """A wrong checksum is a fault of the file, not a market."""
    path = tmp_path / "bad.gz"
    packed = bytearray(gzip.compress(text(GOOD).encode()))
    packed[-6] ^= 0xFF
    path.write_bytes(packed)
    assert "damaged" in fault(path).problem


def test_a_crossed_book_is_an_error_at_its_line(tmp_path: Path) -> None:
    """Nothing is played from the bad book on; `tape info` counts it instead."""
    path = write(tmp_path, (*GOOD, depth(106, 107, bids=[("100.20", "1")])))
    error = fault(path)
    assert error.line == len(GOOD) + 1
    assert error.problem == "BTC/USDT is crossed: bid 1002 ticks, ask 1001 ticks"
    assert tape_info(path).crossed == 1


def test_a_crossed_quote_is_an_error_at_its_line(tmp_path: Path) -> None:
    """A feed of quotes with its bid above its ask is never matched on."""
    path = write(tmp_path, (ticker(1, BID, ASK), ticker(2, ASK, BID)))
    assert fault(path).line == 2


def test_time_running_backwards_is_an_error(tmp_path: Path) -> None:
    """Lines out of order are named."""
    late = f'{START_NS - 2 * MAX_BACKWARDS_NS} {{"result":null,"id":1}}'
    error = fault(write(tmp_path, (*GOOD[:3], late)))
    assert error.line == 4
    assert "time runs backwards by 2.002 s" in error.problem


def test_a_small_step_back_is_repaired_and_counted(tmp_path: Path) -> None:
    """A clock that was set back a little: the update takes its predecessor's time."""
    early = f'{START_NS} {{"e":"trade","s":"BTCUSDT","p":"100","q":"1","m":true}}'
    path = write(tmp_path, (*GOOD, early))
    assert list(open_tape(path).updates())[-1].time_ns == START_NS + 5_000_000
    assert tape_info(path).repairs == {"time_clamped": 1}


def test_a_price_off_the_set_tick_is_an_error(tmp_path: Path) -> None:
    """The line is named, and the setting."""
    error = fault(write(tmp_path, GOOD), TapeOverrides(price_increment=Decimal("0.25")))
    assert error.line == 1
    assert "price 100.30 is not a whole number of price_increment 0.25" in error.problem


@pytest.mark.parametrize("content", [b"", b"\n\n", b"20240506,open,high,low,close\n", b"\x00\x01\x02"])
def test_a_file_that_is_no_tape_is_told(tmp_path: Path, content: bytes) -> None:
    """Empty, of another format, or of none: the formats that are read are named."""
    path = tmp_path / "file"
    path.write_bytes(content)
    assert "Binance" in fault(path).way_out


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """So is a pattern that nothing matches."""
    assert "No such file" in fault(tmp_path / "absent.gz").problem
    with pytest.raises(TapeError, match="there are 0 files"):
        open_tape(tmp_path / "*.gz")


def test_two_files_of_frames_are_refused(tmp_path: Path) -> None:
    """The book's sequence runs through one file."""
    path = write(tmp_path, GOOD)
    with pytest.raises(TapeError, match="a second file of Binance frames"):
        open_tape([path, path])


@pytest.mark.parametrize("value", [Decimal(0), Decimal(-1), Decimal("NaN")])
def test_an_override_that_is_not_positive_is_refused(value: Decimal) -> None:
    """It names the setting."""
    with pytest.raises(ValueError, match="quantity_increment"):
        TapeOverrides(quantity_increment=value)


def test_an_unknown_quote_currency_wants_the_symbol_set(tmp_path: Path) -> None:
    """The way out is in the message."""
    path = write(tmp_path, (ticker(1, BID, ASK, "ABCXYZ"),))
    assert "set 'symbol'" in fault(path).way_out
    assert next(open_tape(path, TapeOverrides(symbol="ABC/XYZ")).updates()).symbol == "ABC/XYZ"
