"""Parquet as tapes: the same as CSV, row groups at a time."""

from __future__ import annotations

import csv
import gzip
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brokergate.sim.feeds.layout import BadLines
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.feeds.tape import TapeError, TapeFormat
from brokergate.sim.market import BarUpdate, CorporateAction, QuoteUpdate, TradeUpdate
from tests.unit.sim.feeds.tables import opened, updates

arrow: Any = pytest.importorskip("pyarrow", reason="the extra brokergate[parquet] is not installed")
parquet: Any = pytest.importorskip("pyarrow.parquet")

TEN = datetime(2024, 5, 6, 10, tzinfo=UTC)
TEN_NS = 1_714_989_600_000_000_000


def written(folder: Path, columns: dict[str, Any], name: str = "AAPL.parquet", **settings: Any) -> Path:
    """A file with these columns."""
    path = folder / name
    parquet.write_table(arrow.table(columns), path, **settings)
    return path


def test_the_same_days_are_the_same_tape(shared_data: Path, tmp_path: Path) -> None:
    """Apple's days as text and as Parquet with dates and doubles, in row groups of a hundred."""
    source = shared_data / "us_stock" / "AAPL_daily_2012_2014.csv.gz"
    with gzip.open(source, "rt") as stream:
        rows = list(csv.DictReader(stream))
    columns: dict[str, Any] = {name: [float(row[name]) for row in rows] for name in rows[0] if name != "date"}
    columns["date"] = [date.fromisoformat(row["date"]) for row in rows]
    path = written(tmp_path, columns, row_group_size=100)
    assert open_tape(path).format is TapeFormat.PARQUET
    assert updates(path) == updates(source)
    assert {type(update) for update in updates(path)} == {BarUpdate, CorporateAction}


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_times_of_every_unit_are_one_moment(tmp_path: Path, unit: str, zone: str | None) -> None:
    """With a zone it is an instant; without one the clock on the wall, here UTC's."""
    kind = arrow.timestamp(unit, zone)
    times = arrow.array([TEN if zone else TEN.replace(tzinfo=None)], kind)
    path = written(tmp_path, {"time": times, "bid": [1.1], "ask": [1.2]})
    assert updates(path, "EUR/USD")[0].time_ns == TEN_NS


def test_doubles_and_decimals_and_whole_numbers_are_exact(tmp_path: Path) -> None:
    """0.1 is 0.1, and 1e-05 is 0.00001."""
    columns = {
        "ts": [TEN_NS, TEN_NS + 1],
        "price": arrow.array([Decimal("0.10000"), Decimal("0.10001")], arrow.decimal128(12, 5)),
        "size": [1e-05, 0.3],
    }
    path = written(tmp_path, columns)
    tape = opened(path, "BTC/USDT")
    (instrument,) = tape.survey().instruments
    assert (instrument.price_increment, instrument.quantity_increment) == (
        Decimal("0.00001"),
        Decimal("0.00001"),
    )
    assert list(tape.updates()) == [
        TradeUpdate(TEN_NS, "BTC/USDT", 10_000, 1, 0),
        TradeUpdate(TEN_NS + 1, "BTC/USDT", 10_001, 30_000, 0),
    ]


@pytest.mark.parametrize(
    ("bid", "says"),
    [(float("nan"), "'nan'"), (float("inf"), "'inf'"), (-1.0, "'-1'"), (None, "price ''"), (0.0, "a price of zero"),
     (9.5, "crossed")],
)  # fmt: skip
def test_a_bad_row_is_named_or_dropped(tmp_path: Path, bid: float | None, says: str) -> None:
    """By its number from 1."""
    path = written(tmp_path, {"time": [TEN_NS] * 3, "bid": [1.5, bid, 1.5], "ask": [2.0, 2.0, 2.0]})
    with pytest.raises(TapeError, match=says) as refused:
        updates(path)
    assert f"{path}, row 2" in str(refused.value)
    first, gap, last = updates(path, bad_lines=BadLines.DROP)
    assert (type(first), type(last)) == (QuoteUpdate, QuoteUpdate)
    assert "row 2" in gap.reason  # type: ignore[union-attr]


def test_a_moment_beyond_the_calendar_is_told(tmp_path: Path) -> None:
    """With its row."""
    times = arrow.array([2**60], arrow.timestamp("ms"))
    path = written(tmp_path, {"time": times, "bid": [1.1], "ask": [1.2]})
    with pytest.raises(TapeError, match="row 1: time "):
        updates(path)


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    """Cut short, and with bytes changed in the middle."""
    path = written(
        tmp_path, {"time": list(range(TEN_NS, TEN_NS + 9_999)), "bid": [1.0] * 9_999, "ask": [2.0] * 9_999}
    )
    whole = path.read_bytes()
    for content in (whole[:-20], whole[:200] + b"\xff" * 100 + whole[300:]):
        path.write_bytes(content)
        with pytest.raises(TapeError, match="the Parquet file is damaged"):
            updates(path)


def test_without_pyarrow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And CSV goes on."""
    path = written(tmp_path, {"time": [TEN_NS], "bid": [1.0], "ask": [2.0]})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(TapeError, match=r"brokergate\[parquet\]"):
        open_tape(path)
