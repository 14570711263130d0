"""Tapes of tables played by a paper account: the weekend of EUR/USD, and Apple's days."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.ports.broker import ConnectionReport, Rejected, TapeAction
from tests.unit.adapters.paper.hand_clock import (
    NEW,
    HandClock,
    Reader,
    accepted,
    broker,
    fills,
    order,
    settle,
)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def ns(text: str) -> int:
    """A moment in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


async def test_nobody_trades_on_fridays_price_at_the_weekend(clock: HandClock, shared_data: Path) -> None:
    """The real quotes of 2 and 4 May 2014 as one tape: on Saturday an order is refused and says since when, what rests
    waits, and on Sunday evening it trades again."""
    paper = broker(clock, {"tape": str(shared_data / "fx_quotes"), "paused": True})
    await paper.connect(NEW)
    reader = Reader(paper)
    await paper.control_tape(TapeAction(seek_time_ns=ns("2014-05-02T15:00:00")))
    assert fills(await paper.place_order(order("EUR/USD", 1, "1000")))
    await paper.control_tape(TapeAction(seek_time_ns=ns("2014-05-03T12:00:00")))
    outcome = await paper.place_order(order("EUR/USD", 1, "1000"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason in (ErrorReason.STALE_MARKET_DATA, ErrorReason.MARKET_CLOSED)
    await paper.control_tape(TapeAction(seek_time_ns=ns("2014-05-04T22:00:00")))
    assert fills(await paper.place_order(order("EUR/USD", -1, "1000")))
    await paper.close()
    await reader.task


async def test_apples_days_are_played_to_their_end(clock: HandClock, shared_data: Path) -> None:
    """Three years in one seek; an account of bars takes orders between two of them, and holds where the tape stands."""
    tape = shared_data / "us_stock" / "AAPL_daily_2012_2014.csv.gz"
    feed = {"tape": str(tape), "paused": True, "price_increment": "0.01", "rounding": True}
    paper = broker(clock, feed)
    await paper.connect(NEW)
    reader = Reader(paper)
    await settle()
    (told,) = [report.message for report in reader.reports if isinstance(report, ConnectionReport)]
    assert told == "the tape was repaired: 1 splits_in_prices"
    await paper.control_tape(TapeAction(seek_time_ns=ns("2014-06-09T12:00:00")))
    accepted(await paper.place_order(order("AAPL", 1, "10", "1.00")))
    status = await paper.control_tape(TapeAction(seek_time_ns=ns("2014-12-31T22:00:00")))
    assert (status.state, status.played_updates) == ("ENDED", 764)
    await paper.close()
