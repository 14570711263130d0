"""When venues are open: dates that everybody remembers, the changes of the clock, and that the answers agree."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain.instruments import InstrumentKind
from brokergate.sim.sessions import Hours, NewYorkStocks, Week, calendar

NEW_YORK = ZoneInfo("America/New_York")
SECOND, HOUR = 10**9, 3_600 * 10**9
NAMES = ("always", "week", "XNYS", "XNYS_EXTENDED")

# fmt: off
CLOSED = (
    "2012-10-29", "2012-10-30",  # Hurricane Sandy
    "2014-04-18", "2015-07-03", "2016-07-04", "2016-12-26", "2017-01-02",
    "2018-12-05",  # mourning for George H. W. Bush
    "2020-07-03", "2021-07-05", "2021-12-24",
    "2022-06-20", "2023-06-19", "2024-06-19", "2025-06-19", "2026-06-19", "2027-06-18",  # Juneteenth
    "2022-12-26", "2023-01-02",
    "2025-01-09",  # mourning for Jimmy Carter
    "2026-07-03", "2027-01-01", "2027-03-26", "2027-07-05", "2027-12-24",
)
EARLY = (
    "2012-07-03", "2012-11-23", "2012-12-24", "2013-07-03", "2013-11-29", "2013-12-24", "2014-07-03", "2014-11-28",
    "2014-12-24", "2015-11-27", "2015-12-24", "2016-11-25", "2017-07-03", "2017-11-24", "2018-07-03", "2018-11-23",
    "2018-12-24", "2019-07-03", "2019-11-29", "2019-12-24", "2020-11-27", "2020-12-24", "2021-11-26", "2022-11-25",
    "2023-07-03", "2023-11-24", "2024-07-03", "2024-11-29", "2024-12-24", "2025-07-03", "2025-11-28", "2025-12-24",
    "2026-11-27", "2026-12-24", "2027-11-26",
)
WHOLE = (
    "2012-10-31", "2015-07-02", "2016-07-01", "2016-12-23", "2017-12-22", "2020-07-02",
    "2021-06-18",  # a year before NYSE kept Juneteenth
    "2021-07-02", "2021-12-23", "2021-12-31",  # New Year of 2022 fell on a Saturday, which NYSE does not make up for
    "2022-01-03", "2022-07-01", "2022-12-23", "2025-12-26", "2026-07-02", "2027-07-02", "2027-12-23", "2027-12-31",
)
# fmt: on


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND


def utc(text: str) -> int:
    return ns(datetime.fromisoformat(text).replace(tzinfo=UTC))


def new_york(text: str) -> int:
    return ns(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK))


@pytest.mark.parametrize("day", CLOSED)
def test_the_exchange_is_closed(day: str) -> None:
    """Not at noon, and no session ends on that day: the next one opens on a later one."""
    noon = new_york(f"{day}T12:00")
    assert not NewYorkStocks().is_open(noon)
    assert NewYorkStocks().next_open_ns(noon) > new_york(f"{day}T23:59")


@pytest.mark.parametrize(
    ("day", "closes"), [*((day, "13:00") for day in EARLY), *((day, "16:00") for day in WHOLE)]
)
def test_the_exchange_closes(day: str, closes: str) -> None:
    """At 13:00 on early days, at 16:00 on others, and it opened at 09:30."""
    stocks = NewYorkStocks()
    morning = new_york(f"{day}T06:00")
    assert stocks.next_open_ns(morning) == new_york(f"{day}T09:30")
    assert stocks.next_close_ns(morning) == stocks.day_end_ns(morning) == new_york(f"{day}T{closes}")
    assert stocks.is_open(new_york(f"{day}T{closes}") - 1)
    assert not stocks.is_open(new_york(f"{day}T{closes}"))


def test_how_many_sessions_years_have() -> None:
    """NYSE's own counts: 250 in 2012 (Sandy), 252 in 2013 to 2016, 251 in 2017 and 2018, 253 in 2020, 250 in 2025."""
    counts = {}
    for year in (2012, 2013, 2014, 2015, 2016, 2017, 2018, 2019, 2020, 2021, 2024, 2025):
        now, end, counts[year] = new_york(f"{year}-01-01T00:00"), new_york(f"{year}-12-31T23:59"), 0
        while (now := NewYorkStocks().next_close_ns(now)) < end:
            counts[year] += 1
    assert list(counts.values()) == [250, 252, 252, 252, 252, 251, 251, 252, 253, 252, 252, 250]


def test_hours_before_and_after() -> None:
    """04:00 to 20:00, to 17:00 where the regular session ends early, with the same holidays."""
    extended = calendar("XNYS_EXTENDED")
    assert extended.next_open_ns(new_york("2024-07-02T21:00")) == new_york("2024-07-03T04:00")
    assert extended.next_close_ns(new_york("2024-07-03T12:00")) == new_york("2024-07-03T17:00")
    assert extended.day_end_ns(new_york("2024-07-04T12:00")) == new_york("2024-07-05T20:00")
    assert calendar("XNYS").has_auctions
    assert not extended.has_auctions


@pytest.mark.parametrize(
    ("name", "now", "opens", "closes"),
    [
        # Summer time began on 10 March 2024 and ended on 3 November: the same hours of New York, an hour apart in UTC.
        ("XNYS", "2024-03-08T22:00", "2024-03-11T13:30", "2024-03-11T20:00"),
        ("XNYS", "2024-03-07T22:00", "2024-03-08T14:30", "2024-03-08T21:00"),
        ("XNYS", "2024-11-01T20:30", "2024-11-04T14:30", "2024-11-04T21:00"),
        ("XNYS", "2024-10-31T20:30", "2024-11-01T13:30", "2024-11-01T20:00"),
        ("week", "2024-03-08T22:00", "2024-03-10T21:00", "2024-03-15T21:00"),
        ("week", "2024-03-01T22:00", "2024-03-03T22:00", "2024-03-08T22:00"),
        ("week", "2024-11-01T21:00", "2024-11-03T22:00", "2024-11-08T22:00"),
        ("week", "2024-10-25T21:00", "2024-10-27T21:00", "2024-11-01T21:00"),
        ("always", "2024-03-10T12:00", "2024-03-11T00:00", "2024-03-11T00:00"),
    ],
)
def test_the_clock_changes(name: str, now: str, opens: str, closes: str) -> None:
    """Both ways, in the night before the session, and a week before for comparison."""
    assert calendar(name).next_open_ns(utc(now)) == utc(opens)
    assert calendar(name).next_close_ns(utc(now)) == utc(closes)


@pytest.mark.parametrize(
    ("kind", "now", "end"),
    [
        (InstrumentKind.SPOT, "2024-08-08T23:59:59", "2024-08-09T00:00:00"),
        (InstrumentKind.SPOT, "2024-08-09T00:00:00", "2024-08-10T00:00:00"),
        (InstrumentKind.EQUITY, "2024-07-01T19:59:59", "2024-07-01T20:00:00"),
        (InstrumentKind.EQUITY, "2024-07-01T20:00:00", "2024-07-02T20:00:00"),
        (InstrumentKind.EQUITY, "2024-07-03T17:00:00", "2024-07-05T20:00:00"),
        (InstrumentKind.EQUITY, "2024-01-02T20:30:00", "2024-01-02T21:00:00"),
        (InstrumentKind.FOREX, "2024-07-01T20:30:00", "2024-07-01T21:00:00"),
        (InstrumentKind.FOREX, "2024-07-01T21:00:00", "2024-07-02T21:00:00"),
        (InstrumentKind.FOREX, "2024-07-05T20:59:59", "2024-07-05T21:00:00"),
        # What comes at the weekend works all Monday, what comes on Sunday evening too.
        (InstrumentKind.FOREX, "2024-03-08T22:00:00", "2024-03-11T21:00:00"),
        (InstrumentKind.FOREX, "2024-03-10T21:00:00", "2024-03-11T21:00:00"),
        (InstrumentKind.FOREX, "2024-11-02T22:00:00", "2024-11-04T22:00:00"),
        (InstrumentKind.FOREX, "2024-11-03T22:00:00", "2024-11-04T22:00:00"),
    ],
)
def test_a_day_ends_where_the_instrument_lives(kind: InstrumentKind, now: str, end: str) -> None:
    """Midnight UTC for crypto, the close for stocks, 17:00 New York for currencies, summer time and all."""
    assert Hours().calendar(kind).day_end_ns(utc(now)) == utc(end)


moments = st.integers(utc("2005-01-01T00:00"), utc("2035-12-31T00:00"))


@given(st.sampled_from(NAMES), st.lists(moments, min_size=1, max_size=5))
def test_openings_and_closes_alternate_and_agree_with_is_open(name: str, nows: list[int]) -> None:
    """Asked in any order: while it is open a close comes next, or both at once where sessions touch; while it is
    closed an opening. At an opening it is open, just before a close it is, and nothing changes in between."""
    hours = calendar(name)
    for now in nows:
        opens, closes = hours.next_open_ns(now), hours.next_close_ns(now)
        assert now < min(opens, closes)
        assert hours.is_open(now) == (closes <= opens)
        assert hours.is_open(opens)
        assert hours.is_open(closes - 1)
        assert hours.is_open(closes) == (hours.next_open_ns(closes - 1) == closes)
        assert hours.is_open(min(opens, closes) - 1) == hours.is_open(now)
        fresh = type(hours)()
        assert (fresh.next_open_ns(now), fresh.next_close_ns(now)) == (opens, closes)


@given(st.sampled_from(NAMES), st.lists(moments, min_size=1, max_size=5))
def test_a_day_ends_after_now_and_no_later_than_the_close(name: str, nows: list[int]) -> None:
    """Within the session that is on or comes next, and the next day's end is a later one."""
    hours = calendar(name)
    for now in nows:
        end = hours.day_end_ns(now)
        assert now < end <= hours.next_close_ns(now)
        assert type(hours)().day_end_ns(now) == end == hours.day_end_ns(end - 1)
        assert hours.day_end_ns(end) > end
        if isinstance(hours, Week):
            local = datetime.fromtimestamp(end // SECOND, NEW_YORK)
            assert (local.hour, local.minute, local.weekday() < 5) == (17, 0, True)
            assert end - max(now, hours.span(now)[1]) <= 25 * HOUR


@given(st.dates(date(2012, 1, 1), date(2027, 12, 31)), st.integers(0, 86_399))
def test_a_stock_session_is_a_weekday_of_new_york(day: date, second: int) -> None:
    """Open means: a weekday, from 09:30 until before 16:00 there."""
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
    if calendar("XNYS").is_open(ns(moment)):
        local = moment.astimezone(NEW_YORK)
        assert local.weekday() < 5
        assert (9, 30) <= (local.hour, local.minute) < (16, 0)


def test_only_stocks_load_the_holidays() -> None:
    """An account without them does not wait for the package, nor carries it."""
    script = (
        "import sys; from brokergate.sim.sessions import calendar; import brokergate.adapters.paper.broker\n"
        "[calendar(name).day_end_ns(10**18) for name in ('always', 'week')]; assert 'holidays' not in sys.modules\n"
        "calendar('XNYS').day_end_ns(10**18); assert 'holidays' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
