"""Orders outside the hours of a calendar: what is refused, what is taken, and what fills."""

from __future__ import annotations

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.instruments import InstrumentKind
from brokergate.domain.orders import TimeInForce
from brokergate.ports.broker import Accepted, Outcome, Rejected
from brokergate.sim.sessions import Hours, Outside
from brokergate.sim.terms import AccountTerms
from tests.unit.sim.matching.desk import AAPL, BTC, DAY, EUR, IOC, RICH, Desk
from tests.unit.sim.test_sessions import new_york

SECOND = 10**9
THURSDAY_EVENING, FRIDAY = "2024-07-04T18:00", "2024-07-05T09:30"
"""Independence Day, and the opening after it."""


def desk(outside: Outside, heard: str, *, kind: str = "XNYS") -> Desk:
    """A desk in AAPL that has heard of the market once, at `heard`, New York's time."""
    terms = AccountTerms(RICH, hours=Hours({InstrumentKind.EQUITY: kind}, outside))
    made = Desk(AAPL, terms=terms, start_ns=new_york(heard))
    made.snapshot([(99, 5)], [(101, 5)])
    return made


def refused(outcome: Outcome) -> tuple[ErrorReason, str]:
    assert isinstance(outcome, Rejected)
    return outcome.reason, outcome.message


@pytest.mark.parametrize("outside", [Outside.FOLLOW, Outside.REFUSE])
def test_a_market_that_fell_silent_at_its_close_takes_no_orders(outside: Outside) -> None:
    """Refused by name of the next opening, a change too; a cancel is taken, and at the opening orders are."""
    night = desk(outside, "2024-07-03T12:59")
    night.buy(1, 90)
    night.now_ns = new_york(THURSDAY_EVENING)
    reason, message = refused(night.buy(1))
    assert reason is ErrorReason.MARKET_CLOSED
    assert "closed since 2024-07-03T17:00:00.000+00:00 and opens at 2024-07-05T13:30:00.000+00:00" in message
    assert refused(night.replace("c1", 2, 91))[0] is ErrorReason.MARKET_CLOSED
    preview = night.venue.preview(night.order(1, 1, 90).spec, night.now_ns)
    assert preview.rejection is not None
    assert preview.rejection[0] is ErrorReason.MARKET_CLOSED
    assert isinstance(night.cancel("c1"), Accepted)
    night.now_ns = new_york(FRIDAY)
    assert night.fills(night.buy(1)) == [(list(night.orders)[-1], 101, 1)]


def test_a_market_that_goes_on_telling_trades_whatever_the_calendar_says() -> None:
    """So does the synthetic one by night; its DAY orders still end at the close."""
    night = desk(Outside.FOLLOW, THURSDAY_EVENING)
    assert night.fills(night.buy(1, 101, IOC)) == [("c1", 101, 1)]
    night.now_ns += 8 * 3_600 * SECOND
    assert isinstance(night.buy(1, 100, DAY), Accepted)
    assert night.changes(night.venue.advance(new_york("2024-07-05T15:59:59"))) == []
    assert night.changes(night.venue.advance(new_york("2024-07-05T16:00"))) == [("c2", "EXPIRED")]


def test_a_minute_of_silence_is_not_yet_a_close() -> None:
    """A feed that told of 15:59:30 is asked at 16:00:29, and half a second later than a minute."""
    evening = desk(Outside.FOLLOW, "2024-07-01T15:59:30")
    heard_ns = evening.now_ns
    evening.now_ns = heard_ns + 60 * SECOND - 2_000
    assert isinstance(evening.buy(1, 90), Accepted)
    evening.now_ns = heard_ns + 60 * SECOND
    assert refused(evening.buy(1, 90))[0] is ErrorReason.MARKET_CLOSED


def test_nobody_knows_that_a_market_is_closed_which_never_told_anything() -> None:
    """A pushed market before its first push: a limit order rests, unless the calendar is the law."""
    for outside, taken in ((Outside.FOLLOW, True), (Outside.REFUSE, False)):
        terms = AccountTerms(RICH, hours=Hours(outside=outside))
        outcome = Desk(EUR, terms=terms, start_ns=new_york("2024-07-06T12:00")).buy(1, 100)
        assert isinstance(outcome, Accepted) == taken


def test_hours_that_are_ignored_refuse_nothing() -> None:
    """Not at night and in silence either."""
    night = desk(Outside.IGNORE, "2024-07-03T12:59")
    night.now_ns = new_york(THURSDAY_EVENING)
    assert night.fills(night.buy(1)) == [("c1", 101, 1)]


def test_with_strict_hours_nothing_fills_before_the_opening() -> None:
    """The market is heard all night, trades and all; the opening fills what it reaches then, at its limit."""
    night = desk(Outside.REFUSE, "2024-07-03T12:59")
    night.buy(2, 95)
    night.send(-1, 1, stop=97)
    night.now_ns = new_york("2024-07-03T15:00")
    assert night.trade(90, 5, -1) == []
    assert night.delta([(99, 0), (92, 5)], [(101, 0), (94, 5)]) == []
    night.now_ns = new_york(FRIDAY)
    reports = night.delta([(91, 1)])
    assert night.fills(reports) == [("c1", 95, 2), ("c2", 92, 1)]
    assert night.changes(reports) == [("c2", "TRIGGERED")]


def test_hours_before_and_after_are_a_calendar_of_their_own() -> None:
    """At 08:00 a stock trades where the account has extended hours."""
    for kind, opened in (("XNYS", False), ("XNYS_EXTENDED", True)):
        morning = desk(Outside.REFUSE, "2024-07-05T08:00", kind=kind)
        assert isinstance(morning.buy(1, 101), Accepted) == opened


def test_crypto_never_closes() -> None:
    """Silent since Saturday noon, and strict: taken."""
    terms = AccountTerms(RICH, hours=Hours(outside=Outside.REFUSE))
    weekend = Desk(BTC, terms=terms, start_ns=new_york("2024-07-06T12:00"))
    weekend.snapshot([(99, 5)], [(101, 5)])
    weekend.now_ns += 86_400 * SECOND
    assert weekend.fills(weekend.send(1, 1, 101, tif=TimeInForce.FOK)) == [("c1", 101, 1)]
