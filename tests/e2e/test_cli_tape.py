"""`brokergate tape info`, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.console import brokergate

QUOTES = "0,1.10000,1.10010\n1500,1.10005,1.10015\n"


def test_it_says_what_is_in_a_tape(tmp_path: Path) -> None:
    """For people, a tape after the other."""
    (tmp_path / "oanda_eurusd_20140502_quote.csv").write_text(QUOTES)
    done = brokergate("tape", "info", "oanda_eurusd_20140502_quote.csv", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert "format       quotes" in done.text
    assert "EUR/USD" in done.text
    assert "2014-05-02T00:00:01.500000000Z (1.500 s)" in done.text


def test_it_gives_json_a_line_for_each_tape(tmp_path: Path) -> None:
    """For pipes."""
    names = ["oanda_eurusd_20140502_quote.csv", "oanda_gbpusd_20140502_quote.csv"]
    for name in names:
        (tmp_path / name).write_text(QUOTES)
    done = brokergate("tape", "info", *names, "--json", cwd=tmp_path)
    found = [json.loads(line) for line in done.text.splitlines()]
    assert [tape["name"] for tape in found] == names
    assert [tape["instruments"][0]["symbol"] for tape in found] == ["EUR/USD", "GBP/USD"]
    assert [tape["updates"] for tape in found] == [{"QuoteUpdate": 2}] * 2


def test_it_says_that_bars_tell_no_volume(tmp_path: Path) -> None:
    """And what can be had of each, for people and for pipes."""
    rows = "".join(f"2024-05-06 10:0{minute},1.08,1.09,1.07,1.08\n" for minute in range(3))
    (tmp_path / "EURUSD.csv").write_text("time,open,high,low,close\n" + rows)
    done = brokergate("tape", "info", "EURUSD.csv", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert "its bars tell none; 1,000,000 can be had of each (quote_size)" in done.text
    done = brokergate("tape", "info", "EURUSD.csv", "--json", cwd=tmp_path)
    assert list(json.loads(done.text)["assumed_sizes"].values()) == ["1000000"]


def test_a_broken_tape_is_named_with_its_line(tmp_path: Path) -> None:
    """Status 1 and the way out; the tapes before it are shown."""
    (tmp_path / "oanda_eurusd_20140502_quote.csv").write_text(QUOTES + "2000,NaN,1.1\n")
    done = brokergate("tape", "info", "oanda_eurusd_20140502_quote.csv", cwd=tmp_path)
    assert (done.status, done.text) == (1, "")
    assert "oanda_eurusd_20140502_quote.csv, line 3: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_tape_is_named(tmp_path: Path) -> None:
    """Status 1."""
    done = brokergate("tape", "info", "nowhere.gz", cwd=tmp_path)
    assert (done.status, done.text) == (1, "")
    assert "nowhere.gz" in done.stderr
