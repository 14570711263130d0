"""CSV with a header as tapes: quotes, trades, bars and books, one file or many."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain.instruments import InstrumentKind
from brokergate.sim.feeds.info import tape_info
from brokergate.sim.feeds.layout import BarTime, CorporateActions, RowKind, role_of
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.feeds.tape import TapeError, TapeFormat, TapeOverrides
from brokergate.sim.market import (
    BarUpdate,
    BookSnapshot,
    CorporateAction,
    CorporateActionKind,
    QuoteUpdate,
    TradeUpdate,
)
from tests.unit.sim.feeds.tables import BARS, QUOTES, TRADES, opened, table, updates

TEN_NS = 1_714_989_600_000_000_000  # 2024-05-06 10:00 UTC
HOUR_NS = 3_600_000_000_000


@pytest.fixture(scope="session")
def aapl_daily(shared_data: Path) -> Path:
    """754 days of Apple with dividends and the split of 9 June 2014."""
    return shared_data / "us_stock" / "AAPL_daily_2012_2014.csv.gz"


def utc(text: str) -> int:
    """A moment in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def test_quotes_with_sizes_are_played(tmp_path: Path) -> None:
    """Ticks and lots are found; half a second is half a second."""
    path = table(tmp_path, QUOTES, "q.csv")
    tape = opened(path, "EUR/USD")
    (instrument,) = tape.survey().instruments
    assert (instrument.kind, instrument.price_increment, instrument.quantity_increment) == (
        InstrumentKind.FOREX,
        Decimal("0.0001"),
        Decimal(1),
    )
    assert list(tape.updates()) == [
        QuoteUpdate(TEN_NS, "EUR/USD", (10_801, 5), (10_803, 7)),
        QuoteUpdate(TEN_NS + 500_000_000, "EUR/USD", (10_802, 6), (10_804, 8)),
    ]
    assert tape.format is TapeFormat.CSV


def test_trades_tell_who_took(tmp_path: Path) -> None:
    """By a side, or by whether the buyer was the maker; milliseconds are known by their digits."""
    expected = [
        TradeUpdate(TEN_NS, "BTC/USDT", 610_001, 2, 1),
        TradeUpdate(TEN_NS + 250_000_000, "BTC/USDT", 610_002, 1, -1),
    ]
    assert updates(table(tmp_path, TRADES, "t.csv"), "BTC/USDT") == expected
    binance = TRADES.replace("side", "is_buyer_maker").replace("buy", "False", 1).replace("sell", "True")
    binance = binance.replace("is_Falseer_maker", "is_buyer_maker").replace("0.5,buy", "0.5,False")
    assert updates(table(tmp_path, binance, "b.csv"), "BTC/USDT") == expected


def test_a_day_of_a_share_is_its_session_in_new_york(tmp_path: Path) -> None:
    """9:30 to 16:00 there, which is 13:30 to 20:00 UTC in May; a pair's day is the whole day in UTC."""
    path = table(tmp_path, BARS)
    first, second = updates(path)
    assert first == BarUpdate(utc("2024-05-06T20:00"), "AAPL", 13 * HOUR_NS // 2, 10, 12, 9, 11, 1000)
    assert second.time_ns == utc("2024-05-07T20:00")
    assert open_tape(path).survey().start_ns == utc("2024-05-06T13:30")
    (pair, _) = updates(path, "BTC/USDT")
    assert (pair.time_ns, pair.span_ns) == (utc("2024-05-07T00:00"), 24 * HOUR_NS)  # type: ignore[union-attr]
    (london, _) = updates(path, timezone="Europe/London", session=(8 * 3600, 16 * 3600 + 1800))
    assert london.time_ns == utc("2024-05-06T15:30")


@pytest.mark.parametrize("bar_time", list(BarTime))
def test_the_span_of_bars_is_found(tmp_path: Path, bar_time: BarTime) -> None:
    """The shortest step between two of them; each is told at its end."""
    rows = ["2024-05-06 10:00", "2024-05-06 10:01", "2024-05-06 10:05"]
    text = "time,o,h,l,c,v\n" + "".join(f"{row},1,1,1,1,5\n" for row in rows)
    played = updates(table(tmp_path, text), timezone="UTC", bar_time=bar_time)
    later = 60_000_000_000 if bar_time is BarTime.START else 0
    assert [update.time_ns - TEN_NS - later for update in played] == [0, 60_000_000_000, 300_000_000_000]
    assert {update.span_ns for update in played if isinstance(update, BarUpdate)} == {60_000_000_000}


NO_COLUMN = "time,o,h,l,c\n2024-05-06 10:00,1.1,1.2,1,1.1\n2024-05-06 10:01,1.1,1.2,1,1.1\n"
ZEROS = "time,o,h,l,c,v\n2024-05-06 10:00,1.1,1.2,1,1.1,0\n2024-05-06 10:01,1.1,1.2,1,1.1,0\n"


@pytest.mark.parametrize("text", [NO_COLUMN, ZEROS])
@pytest.mark.parametrize(("size", "assumed"), [(None, 1_000_000), ("2500", 2500)])
def test_of_bars_without_volumes_the_quote_size_can_be_had(
    tmp_path: Path, text: str, size: str | None, assumed: int
) -> None:
    """Whether there is no column or nothing but zeros in it; a lot is one."""
    overrides = TapeOverrides("EUR/USD", quote_size=None if size is None else Decimal(size))
    tape = open_tape(table(tmp_path, text), overrides)
    assert tape.survey().assumed_sizes == {"EUR/USD": assumed}
    bars = [update for update in tape.updates() if isinstance(update, BarUpdate)]
    assert [(bar.volume, bar.assumed) for bar in bars] == [(0, assumed)] * 2


def test_a_bar_without_trades_among_others_brings_nothing(tmp_path: Path) -> None:
    """Instruments are judged apart: of one that ever told a volume nothing is assumed."""
    rows = [("AAPL", "10:00", 0), ("EUR/USD", "10:00", 0), ("AAPL", "10:01", 300), ("EUR/USD", "10:01", 0)]
    text = "symbol,time,o,h,l,c,v\n" + "".join(
        f"{symbol},2024-05-06T{time}Z,1,1,1,1,{volume}\n" for symbol, time, volume in rows
    )
    tape = open_tape(table(tmp_path, text))
    assert tape.survey().assumed_sizes == {"EUR/USD": 1_000_000}
    bars = [update for update in tape.updates() if isinstance(update, BarUpdate)]
    assert {(bar.symbol, bar.volume > 0, bar.assumed) for bar in bars} == {
        ("AAPL", False, 0),
        ("AAPL", True, 0),
        ("EUR/USD", False, 1_000_000),
    }


def test_the_real_days_of_apple_are_played_as_they_are(aapl_daily: Path) -> None:
    """754 bars and 10 dividends. Its prices are adjusted to the split of 2014: it does not count again."""
    tape = open_tape(aapl_daily)
    assert tape.survey().repairs == {"splits_in_prices": 1}
    played = list(tape.updates())
    bars = [update for update in played if isinstance(update, BarUpdate)]
    actions = [update for update in played if isinstance(update, CorporateAction)]
    with gzip.open(aapl_daily, "rt") as stream:
        rows = list(csv.DictReader(stream))
    assert len(bars) == len(rows) == 754
    for bar, row in zip(bars, rows, strict=True):
        for name in ("open", "high", "low", "close"):
            assert getattr(bar, name) == Decimal(row[name]) * 1_000_000
        assert bar.volume == int(row["volume"])
    assert [action.amount for action in actions] == [
        Decimal(row["dividend"]) for row in rows if Decimal(row["dividend"])
    ]
    assert actions[0].time_ns == utc("2012-08-09T13:30")
    times = [update.time_ns for update in played]
    assert times == sorted(times)


def test_a_split_counts_where_the_price_moved_with_it(aapl_daily: Path, tmp_path: Path) -> None:
    """The same days with the prices of then: 645.57 on Friday, 92.70 on Monday, seven for one."""
    with gzip.open(aapl_daily, "rt") as stream:
        rows = list(csv.DictReader(stream))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    for row in rows:
        if row["date"] < "2014-06-09":
            for name in ("open", "high", "low", "close"):
                row[name] = str(Decimal(row[name]) * 7)
        writer.writerow(row)
    tape = open_tape(table(tmp_path, out.getvalue()))
    (split,) = [
        update
        for update in tape.updates()
        if isinstance(update, CorporateAction) and update.kind is CorporateActionKind.SPLIT
    ]
    assert (split.time_ns, split.ratio) == (utc("2014-06-09T13:30"), (7, 1))
    assert tape.survey().repairs == {}


def test_corporate_actions_can_be_forced_and_left_out(aapl_daily: Path) -> None:
    """`apply` believes the file, `ignore` plays none."""
    forced = updates(aapl_daily, corporate_actions=CorporateActions.APPLY)
    assert sum(isinstance(update, CorporateAction) for update in forced) == 11
    none = updates(aapl_daily, corporate_actions=CorporateActions.IGNORE)
    assert not any(isinstance(update, CorporateAction) for update in none)


def test_books_are_whole_in_each_row(tmp_path: Path) -> None:
    """Levels by number, whatever the order of the columns; an empty cell is no level."""
    text = (
        "timestamp,asks[0].price,asks[0].amount,bids[0].price,bids[0].amount,bids[1].price,bids[1].amount\n"
        "1714989600000000,101,5,100,4,99,3\n1714989600100000,101,5,100,4,,\n"
    )
    first, second = updates(table(tmp_path, text), "BTC/USDT")
    assert first == BookSnapshot(TEN_NS, "BTC/USDT", ((100, 4), (99, 3)), ((101, 5),))
    assert second == BookSnapshot(TEN_NS + 100_000_000, "BTC/USDT", ((100, 4),), ((101, 5),))


def test_one_file_holds_several_instruments(tmp_path: Path) -> None:
    """Each with increments of its own; six letters of two states are a pair."""
    text = "time,symbol,bid,ask\n1714989600,EURUSD,1.1,1.2\n1714989600,AAPL,190.25,190.5\n"
    path = table(tmp_path, text)
    tape = opened(path)
    assert {item.symbol: item.price_increment for item in tape.survey().instruments} == {
        "EUR/USD": Decimal("0.1"),
        "AAPL": Decimal("0.25"),
    }
    assert [update.symbol for update in tape.updates()] == ["EUR/USD", "AAPL"]
    named = opened(path, symbols={"AAPL": "AAPL/USD"}).survey().instruments
    assert [item.symbol for item in named] == ["EUR/USD", "AAPL/USD"]
    with pytest.raises(TapeError, match="symbol is set, but the tape is of 'AAPL', 'EURUSD'"):
        opened(path, "BTC/USDT").survey()


def test_several_files_are_merged_by_time(tmp_path: Path) -> None:
    """Quotes and trades side by side, and a folder of days one after another: the same as in one file."""
    folder = tmp_path / "day"
    folder.mkdir()
    table(folder, "time,bid,ask\n1714989600,1,2\n1714989602,1,3\n", "a.csv")
    table(folder, "time,price,size\n1714989601,2,1\n1714989602,3,1\n", "b.csv")
    with zipfile.ZipFile(folder / "c.zip", "w") as archive:
        archive.writestr("c.csv", "time,bid,ask\n1714989605,2,3\n")
    played = updates(folder, "BTC/USDT")
    assert [(type(update).__name__[0], update.time_ns - TEN_NS) for update in played] == [
        ("Q", 0),
        ("T", 1_000_000_000),
        ("Q", 2_000_000_000),
        ("T", 2_000_000_000),
        ("Q", 5_000_000_000),
    ]


def test_columns_are_named_by_configuration(tmp_path: Path) -> None:
    """What nobody recognises, with a format of the times and a zone."""
    text = "wann;Geld;Brief\n06.05.2024 12:00:00;1.1;1.2\n"
    (quote,) = updates(
        table(tmp_path, text),
        "EUR/USD",
        columns={"time": "wann", "bid": "Geld", "ask": "Brief"},
        time_format="%d.%m.%Y %H:%M:%S",
        timezone="Europe/Berlin",
    )
    assert quote == QuoteUpdate(TEN_NS, "EUR/USD", (11, 1_000_000), (12, 1_000_000))


@pytest.mark.parametrize(
    ("time", "time_format"),
    [
        ("1714989600", None),
        ("1714989600.000", None),
        ("1714989600000000000", None),
        ("2024-05-06T10:00:00Z", None),
        ("2024-05-06 12:00:00.000000000+02:00", None),
        ("20240506 10:00:00", None),
        ("1714989600", "epoch_s"),
        ("1714989600000000", "epoch_us"),
        ("2024-05-06T10:00", "iso"),
        ("06May2024 10:00:00", "%d%b%Y %H:%M:%S"),
    ],
)
def test_times_of_every_format_are_one_moment(tmp_path: Path, time: str, time_format: str | None) -> None:
    """Ten o'clock in UTC on 6 May 2024."""
    path = table(tmp_path, f"time,bid,ask\n{time},1,2\n")
    assert updates(path, "EUR/USD", time_format=time_format)[0].time_ns == TEN_NS


@given(time_ns=st.integers(10**18, 2**62))
def test_no_nanosecond_is_lost(time_ns: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As a number, and as ISO 8601."""
    seconds, rest = divmod(time_ns, 10**9)
    iso = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
    path = table(tmp_path_factory.mktemp("ns"), f"time,bid,ask\n{iso},1,2\n{time_ns},1,2\n")
    assert [update.time_ns for update in updates(path, "EUR/USD")] == [time_ns, time_ns]


def test_a_moment_in_winter_and_one_in_summer_are_by_the_clock_on_the_wall(tmp_path: Path) -> None:
    """New York is five hours behind, then four."""
    text = "time,bid,ask\n2024-01-15 09:30:00,1,2\n2024-07-15 09:30:00,1,2\n"
    played = updates(table(tmp_path, text))
    assert [update.time_ns for update in played] == [utc("2024-01-15T14:30"), utc("2024-07-15T13:30")]


def test_rounding_is_against_the_taker_and_counted_by_nobody_else(tmp_path: Path) -> None:
    """Bids down, asks up, sizes down, trades and bars to the nearest."""
    overrides = {"rounding": True}
    quotes = table(tmp_path, "time,bid,ask,bid_size,ask_size\n1714989600,1.019,1.021,5.9,6.9\n", "q.csv")
    bars = table(tmp_path, "date,o,h,l,c,v\n2024-05-06,1.014,1.016,1.004,1.005,10.9\n", "b.csv")

    def first(path: Path) -> object:
        from brokergate.sim.feeds.layout import TableLayout

        layout = TableLayout(**overrides)  # type: ignore[arg-type]
        settings = TapeOverrides("EUR/USD", Decimal("0.01"), Decimal(1), layout=layout)
        return next(open_tape(path, settings).updates())

    assert first(quotes) == QuoteUpdate(TEN_NS, "EUR/USD", (101, 5), (103, 6))
    assert first(bars) == BarUpdate(utc("2024-05-07T00:00"), "EUR/USD", 24 * HOUR_NS, 101, 102, 100, 100, 10)


def test_info_says_what_is_in_a_table(tmp_path: Path) -> None:
    """Kinds and counts, and the longest time without a word."""
    info = tape_info(table(tmp_path, BARS))
    assert info.frames == {"AAPL": {"bar": 2}}
    assert info.updates == {"BarUpdate": 2}
    assert info.silences == {"AAPL": (utc("2024-05-06T20:00"), 24 * HOUR_NS)}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Best Bid", "bid"), ("bidPrice", "bid"), ("offer_price", "ask"), ("Stock Splits", "split"),
        ("Dividends", "dividend"), ("Ticker", "symbol"), ("askQty", "ask_size"), ("Adj Close", None), ("note", None),
    ],
)  # fmt: skip
def test_common_names_are_recognised(name: str, role: str | None) -> None:
    """Without case, and without what is no letter."""
    assert role_of(name) == role


def test_the_kind_can_be_told(tmp_path: Path) -> None:
    """A table that has both is what it is said to be."""
    path = table(tmp_path, "time,bid,ask,price,size\n1714989600,1,3,2,7\n")
    assert isinstance(updates(path)[0], QuoteUpdate)
    assert updates(path, kind=RowKind.TRADES) == [TradeUpdate(TEN_NS, "AAPL", 2, 7, 0)]
