"""DAY orders, and when a day ends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from brokergate.domain.instruments import Instrument
from brokergate.ports.broker import Rejected
from brokergate.sim.sessions import Hours
from tests.unit.sim.matching.desk import AAPL, BTC, DAY, EUR, Desk


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize("instrument", [BTC, EUR, AAPL])
def test_a_day_order_expires_before_anything_else_of_that_instant(instrument: Instrument) -> None:
    """A trade at the very end of the day no longer fills it; a GTC order beside it goes on."""
    desk = Desk(instrument, start_ns=at("2024-08-08T10:00:00"))
    desk.snapshot([(99, 5)], [(101, 5)])
    desk.buy(1, 100, DAY)
    desk.buy(1, 100)
    desk.now_ns = Hours().calendar(instrument.kind).day_end_ns(desk.now_ns) - 1_000
    reports = desk.trade(90, 5, -1)
    assert desk.changes(reports) == [("c1", "EXPIRED")]
    assert desk.fills(reports) == [("c2", 100, 1)]
    assert isinstance(desk.cancel("c1"), Rejected)


def test_an_order_expires_though_the_market_stands_still() -> None:
    """Time alone is enough, and what was set aside comes back."""
    desk = Desk(start_ns=at("2024-08-08T10:00:00"))
    desk.buy(1, 100, DAY)
    assert desk.venue.advance(at("2024-08-08T23:59:59")) == []
    reports = desk.venue.advance(at("2024-08-09T00:00:00"))
    assert desk.changes(reports) == [("c1", "EXPIRED")]
    assert desk.balance("USDT").held == 0
    assert reports[0].event_time_ns == at("2024-08-09T00:00:00")  # type: ignore[union-attr]


def test_a_command_after_the_end_of_the_day_tells_the_expiry_first() -> None:
    """The answer to a later command carries what time brought, before its own."""
    desk = Desk(start_ns=at("2024-08-08T10:00:00"))
    desk.snapshot([(99, 5)], [(101, 5)])
    desk.buy(1, 100, DAY)
    desk.now_ns = at("2024-08-09T01:00:00")
    outcome = desk.buy(1)
    assert desk.changes(outcome.reports) == [("c1", "EXPIRED")]
    assert type(outcome.reports[0]).__name__ == "OrderReport"
