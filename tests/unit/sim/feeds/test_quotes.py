"""CSV quotes: the real days of EUR/USD, and broken ones."""

from __future__ import annotations

import zipfile
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.domain.instruments import InstrumentKind
from brokergate.sim.feeds.info import tape_info
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.feeds.tape import TapeError, TapeFormat, TapeOverrides
from brokergate.sim.market import QuoteUpdate

MIDNIGHT_NS = 1_398_988_800_000_000_000  # 2014-05-02
DAY_NS = 86_400_000_000_000


def quotes(folder: Path, content: str, name: str = "20140502_eurusd_tick_quote.csv") -> Path:
    path = folder / name
    path.write_text(content, encoding="ascii")
    return path


@pytest.mark.parametrize(
    ("name", "rows"),
    [("oanda_eurusd_20140502_quote.zip", 49_341), ("oanda_eurusd_20140504_quote.zip", 1_164)],
)
def test_every_quote_of_a_day_is_counted(fx_folder: Path, name: str, rows: int) -> None:
    """49,341 on 2 May 2014, 1,164 on 4 May."""
    info = tape_info(fx_folder / name)
    assert info.format is TapeFormat.QUOTES
    assert info.frames == {"EUR/USD": {"quote": rows}}
    assert (info.crossed, info.gaps, info.repairs) == (0, 0, {})


def test_the_instrument_is_found(fx_folder: Path) -> None:
    """A pair of foreign exchange, its tick from the prices, its lot one unit."""
    (instrument,) = open_tape(fx_folder).survey().instruments
    assert (instrument.symbol, instrument.kind) == ("EUR/USD", InstrumentKind.FOREX)
    assert (instrument.base_currency, instrument.quote_currency) == ("EUR", "USD")
    assert (instrument.price_increment, instrument.quantity_increment) == (Decimal("0.00001"), Decimal(1))


def test_the_payrolls_print_is_on_the_tape(fx_folder: Path) -> None:
    """At 12:30:01.5 UTC the bid falls from 1.38467 to 1.38258 within 14 ms, both sides a million deep."""
    tape = open_tape(fx_folder / "oanda_eurusd_20140502_quote.zip")
    first_ns = MIDNIGHT_NS + 45_001_521 * 1_000_000
    before, after = [
        update for update in tape.updates() if first_ns <= update.time_ns <= first_ns + 14_000_000
    ]
    assert before == QuoteUpdate(first_ns, "EUR/USD", (138_467, 1_000_000), (138_617, 1_000_000))
    assert after == QuoteUpdate(first_ns + 14_000_000, "EUR/USD", (138_258, 1_000_000), (138_408, 1_000_000))


@pytest.mark.parametrize("reverse", [False, True])
def test_days_play_one_after_another_over_the_weekend(fx_folder: Path, reverse: bool) -> None:
    """By date, whatever order they are given in; the weekend is time and no gap."""
    paths = sorted(fx_folder.glob("*.zip"), reverse=reverse)
    times = [update.time_ns for update in open_tape(paths).updates()]
    assert len(times) == 49_341 + 1_164
    assert times == sorted(times)
    assert times[0] == MIDNIGHT_NS + 277_000_000
    assert times[49_341] - times[49_340] > DAY_NS
    assert times[49_341] == MIDNIGHT_NS + 2 * DAY_NS + 75_600_462_000_000


def test_a_folder_and_a_pattern_name_the_same_days(fx_folder: Path) -> None:
    """Each is one tape."""
    assert tape_info(fx_folder).frames == tape_info(str(fx_folder / "*.zip")).frames


def test_a_plain_file_is_read_by_its_name(tmp_path: Path) -> None:
    """With settings: the size in lots of a hundredth, a finer tick."""
    overrides = TapeOverrides(
        price_increment=Decimal("0.000005"), quantity_increment=Decimal("0.01"), quote_size=Decimal(500)
    )
    tape = open_tape(quotes(tmp_path, "0,1.38694,1.38705\r\n"), overrides)
    assert list(tape.updates()) == [QuoteUpdate(MIDNIGHT_NS, "EUR/USD", (277_388, 50_000), (277_410, 50_000))]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("1000,NaN,1.38705", "price 'NaN' is not a plain decimal"),
        ("1000,1.38694", "2 columns where there are three"),
        ("1000,1.38694,", "price '' is not a plain decimal"),
        ("1000,0,1.38694", "a price of zero"),
        ("86400000,1.38694,1.38705", "not milliseconds since midnight"),
        ("-1,1.38694,1.38705", "not milliseconds since midnight"),
        ("1e3,1.38694,1.38705", "not milliseconds since midnight"),
        ("1000,1.38694,1.38705,1,2", "5 columns"),
        ("1000,1.38706,1.38705", "EUR/USD is crossed"),
    ],
)
def test_a_bad_quote_is_named_by_its_line(tmp_path: Path, row: str, problem: str) -> None:
    """The second line is bad."""
    path = quotes(tmp_path, f"500,1.38694,1.38705\n{row}\n1500,1.38694,1.38705\n")
    with pytest.raises(TapeError) as caught:
        list(open_tape(path).updates())
    assert (caught.value.file, caught.value.line) == (str(path), 2)
    assert problem in caught.value.problem


def test_time_running_backwards_is_an_error(tmp_path: Path) -> None:
    """Beyond a second it is disorder; up to it, it is repaired and counted."""
    near = quotes(tmp_path, "5000,1.1,1.2\n4500,1.1,1.2\n")
    assert tape_info(near).repairs == {"time_clamped": 1}
    far = quotes(tmp_path, "5000,1.1,1.2\n3000,1.1,1.2\n")
    with pytest.raises(TapeError, match=r"line 2: time runs backwards by 2\.000 s"):
        open_tape(far).survey()


def test_the_same_day_twice_runs_backwards(tmp_path: Path) -> None:
    """It is not played twice."""
    path = quotes(tmp_path, "5000,1.1,1.2\n9000,1.1,1.2\n")
    with pytest.raises(TapeError, match="time runs backwards"):
        open_tape([path, path]).survey()


def test_a_name_without_a_date_is_an_error(tmp_path: Path) -> None:
    """The way out shows a name that is understood."""
    with pytest.raises(TapeError, match=r"name it like '20140502_eurusd_tick_quote\.csv'"):
        open_tape(quotes(tmp_path, "0,1.1,1.2\n", "quotes.csv"))
    with pytest.raises(TapeError, match="does not tell date and pair"):
        open_tape(quotes(tmp_path, "0,1.1,1.2\n", "20141302_eurusd_tick_quote.csv"))


def test_files_of_two_pairs_are_refused(tmp_path: Path) -> None:
    """One tape of quotes is of one pair."""
    paths = [
        quotes(tmp_path, "0,1.1,1.2\n", f"20140502_{pair}_tick_quote.csv") for pair in ("eurusd", "gbpusd")
    ]
    with pytest.raises(TapeError, match="give the files of one pair"):
        open_tape(paths)


def test_a_damaged_zip_is_told(fx_folder: Path, tmp_path: Path) -> None:
    """Cut short it has no directory; with a byte changed its checksum fails at a line."""
    whole = (fx_folder / "oanda_eurusd_20140504_quote.zip").read_bytes()
    path = tmp_path / "oanda_eurusd_20140504_quote.zip"
    for content in (whole[:-30], whole[:3000] + b"\xff\x00\xff" + whole[3003:]):
        path.write_bytes(content)
        with pytest.raises(TapeError, match="damaged"):
            list(open_tape(path).updates())


def test_an_empty_zip_is_told(tmp_path: Path) -> None:
    """There is no day in it."""
    path = tmp_path / "oanda_eurusd_20140504_quote.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("20140504_eurusd_tick_quote.csv", "")
    with pytest.raises(TapeError, match="the file is empty"):
        open_tape(path).survey()


def test_a_quote_size_that_is_no_whole_number_of_lots_is_refused(tmp_path: Path) -> None:
    """Both settings are named."""
    path = quotes(tmp_path, "0,1.1,1.2\n")
    overrides = TapeOverrides(quantity_increment=Decimal(3), quote_size=Decimal(10))
    with pytest.raises(TapeError, match="quote_size 10 is not a multiple of 3"):
        next(open_tape(path, overrides).updates())
