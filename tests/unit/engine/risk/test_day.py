"""The loss of the day."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Money
from brokergate.domain.orders import Side
from brokergate.domain.policy import RiskLimits, StopCause
from tests.unit.engine.risk.desk import SECOND_NS, Desk, passed, refusal, spec, usd, usdt
from tests.unit.engine.scripted import StillClock

BUY, SELL = Side.BUY, Side.SELL
LIMITS = RiskLimits(max_daily_loss=usdt("100"))
NEW_YORK = ZoneInfo("America/New_York")


def at_time(text: str, zone: ZoneInfo | None = None) -> StillClock:
    """A clock that stands at a time, of UTC where no zone is given."""
    clock = StillClock()
    clock.ns = int(datetime.fromisoformat(text).replace(tzinfo=zone or UTC).timestamp()) * SECOND_NS
    return clock


def moved(desk: Desk, text: str, zone: ZoneInfo | None = None) -> None:
    """Time goes on to `text`."""
    desk.clock.ns = at_time(text, zone).ns


@pytest.fixture
def at() -> Desk:
    """Long 10 at 100 on a day that has begun."""
    desk = Desk(LIMITS, clock=at_time("2026-11-20T12:00:00"))
    desk.quote("100", "100")
    desk.position("10", cost="1000")
    assert desk.risk.loss() is None
    return desk


def test_a_loss_on_what_is_held_counts(at: Desk) -> None:
    """At the limit, not only past it: then nothing is opened, and what may stop the account is told."""
    at.quote("90.01", "90.01")
    assert at.risk.loss() is None
    at.quote("90", "90")
    breach = refusal(at.risk.loss())
    assert (breach.reason, breach.cause) == (ErrorReason.RISK_LIMIT, StopCause.DAILY_LOSS)
    assert breach.message == (
        "risk_limits.max_daily_loss is 100 USDT and the day's loss came to 100 USDT; until 2026-11-21 00:00 (UTC) only "
        "orders that reduce a position are taken"
    )
    assert refusal(at.place(spec(BUY, 1))).cause is StopCause.DAILY_LOSS
    passed(at.place(spec(SELL, 10)))


def test_what_was_realised_and_fees_count(at: Desk) -> None:
    """Sold at 92 with 20 of fees is a loss of 100."""
    at.position("0", realized="-80", fees=(usdt("19.99"),))
    assert at.risk.loss() is None
    at.position("0", realized="-80", fees=(usdt("20"),))
    assert at.risk.loss() is not None


def test_what_was_lost_or_won_before_today_does_not_count() -> None:
    """The account comes with years of losses: they are where the day begins."""
    desk = Desk(LIMITS)
    desk.position("0", realized="-50000", fees=(usdt("1000"),))
    assert desk.risk.loss() is None
    desk.position("0", realized="-50099", fees=(usdt("1000"),))
    assert desk.risk.loss() is None
    desk.position("0", realized="-50100", fees=(usdt("1000"),))
    assert desk.risk.loss() is not None


def test_the_limit_stays_reached_until_the_day_ends(at: Desk) -> None:
    """A market that comes back does not open the account again; midnight does, from where the account then is."""
    at.quote("80", "80")
    assert at.risk.loss() is not None
    at.quote("100", "100")
    assert at.risk.loss() is not None
    moved(at, "2026-11-20T23:59:59")
    refusal(at.place(spec(BUY, 1)))
    moved(at, "2026-11-21T00:00:00")
    passed(at.place(spec(BUY, 1)))
    at.quote("90.01", "90.01")
    assert at.risk.loss() is None
    at.quote("90", "90")
    assert at.risk.loss() is not None


def test_an_order_is_held_to_what_was_seen_a_moment_ago(at: Desk) -> None:
    """The positions are not valued for every order, but anew within a tenth of a second, and when one changed."""
    passed(at.place(spec(BUY, "0.001")))
    at.quote("80", "80")
    at.wait(0.1)
    refusal(at.place(spec(BUY, "0.001")))


def test_a_changed_position_is_looked_at_at_once(at: Desk) -> None:
    """Without waiting for that moment."""
    passed(at.place(spec(BUY, "0.001")))
    at.position("0", realized="-100")
    refusal(at.place(spec(BUY, "0.001")))


def test_other_currencies_count_at_the_last_quote() -> None:
    """Losses in dollars and fees in a coin, against a limit of euros; only what moved today is converted."""
    desk = Desk(RiskLimits(max_daily_loss=Money(Decimal(100), "EUR")))
    desk.position("0", realized="-999", symbol="ESZ6")
    assert desk.risk.loss() is None
    desk.position("0", realized="-1064", symbol="ESZ6")
    assert desk.risk.loss() is None, "without a quote of EUR/USD nobody can tell"
    breach = refusal(desk.place(spec(BUY, 1)))
    assert (breach.reason, breach.message) == (
        ErrorReason.NO_REFERENCE_PRICE,
        "risk_limits.max_daily_loss needs a quote of EUR/USD, and there is none yet; wait for one",
    )
    desk.quote("1.25", "1.25", "EUR/USD")
    desk.wait(1000)
    assert desk.risk.loss() is None
    desk.position("0", realized="-1124", symbol="ESZ6")
    assert "came to 100 EUR" in refusal(desk.risk.loss()).message


def test_a_holding_in_a_closed_market_is_worth_its_last_price(at: Desk) -> None:
    """Its quote may be old: the account goes on trading elsewhere, and is held to what is known."""
    at.wait(10_000)
    passed(at.place(spec(BUY, 1, symbol="ESZ6")))
    at.quote("90", "90")
    at.wait(10_000)
    refusal(at.place(spec(BUY, 1, symbol="ESZ6")))


def test_without_any_price_of_what_is_held_nothing_is_opened() -> None:
    """The venue's own mark does where there is no quote yet; reductions pass without either."""
    desk = Desk(LIMITS)
    desk.position("10", cost="1000")
    assert desk.risk.loss() is None
    breach = refusal(desk.place(spec(BUY, 1, symbol="EUR/USD")))
    assert (breach.reason, breach.message) == (
        ErrorReason.NO_REFERENCE_PRICE,
        "risk_limits.max_daily_loss needs a price of BTC/USDT, which is held, and there is none yet; wait for one",
    )
    passed(desk.place(spec(SELL, 1)))
    desk.position("10", cost="1000", mark="95")
    passed(desk.place(spec(BUY, 1, symbol="EUR/USD")))
    desk.position("10", cost="1000", mark="85")
    assert desk.risk.loss() is not None


class TestDays:
    """When a day begins and ends."""

    @pytest.mark.parametrize(
        ("zone", "before", "after"),
        [
            # Midnight of New York in winter, and on the days of 23 and of 25 hours.
            ("America/New_York", "2026-11-21T04:59:59", "2026-11-21T05:00:00"),
            ("America/New_York", "2026-03-09T03:59:59", "2026-03-09T04:00:00"),
            ("America/New_York", "2026-11-02T04:59:59", "2026-11-02T05:00:00"),
            # Cairo's day of the change in April 2026 has no midnight: it begins at one o'clock.
            ("Africa/Cairo", "2026-04-23T21:59:59", "2026-04-23T22:00:00"),
            # Kiritimati is fourteen hours ahead, Kathmandu five and three quarters.
            ("Pacific/Kiritimati", "2026-11-20T09:59:59", "2026-11-20T10:00:00"),
            ("Asia/Kathmandu", "2026-11-20T18:14:59", "2026-11-20T18:15:00"),
        ],
    )
    def test_a_day_begins_at_midnight_of_its_zone(self, zone: str, before: str, after: str) -> None:
        """The baseline is another one from then on, and not a second before."""
        limits = RiskLimits(max_daily_loss=usdt("100"), daily_loss_time_zone=zone)
        desk = Desk(limits, clock=at_time(before))
        desk.clock.ns -= 3600 * SECOND_NS
        desk.position("0")
        assert desk.risk.loss() is None
        desk.clock.ns = at_time(before).ns
        desk.position("0", realized="-99")
        assert desk.risk.loss() is None
        moved(desk, after)
        assert desk.risk.loss() is None
        desk.position("0", realized="-198")
        assert desk.risk.loss() is None
        desk.position("0", realized="-199")
        assert desk.risk.loss() is not None

    def test_a_clock_that_is_set_back_begins_no_day(self) -> None:
        """Over midnight and back: the day that has begun goes on."""
        desk = Desk(LIMITS, clock=at_time("2026-11-21T00:00:01"))
        desk.position("0")
        assert desk.risk.loss() is None
        desk.position("0", realized="-100")
        assert desk.risk.loss() is not None
        moved(desk, "2026-11-20T23:59:00")
        assert desk.risk.loss() is not None

    def test_the_day_can_be_begun_anew(self, at: Desk) -> None:
        """As after a paper account was reset: what was, does not count."""
        at.quote("80", "80")
        assert at.risk.loss() is not None
        at.risk.begin_day()
        at.position("0")
        assert at.risk.loss() is None
        passed(at.place(spec(BUY, 1)))


class TestRestart:
    """What the journal keeps of the day."""

    def test_the_record_is_given_when_it_changed_and_once(self, at: Desk) -> None:
        """Where the day begins, and when the limit is reached; in between there is nothing to keep."""
        first = at.risk.day_record()
        assert first is not None
        assert json.loads(first) == {"day": "2026-11-20", "worth": {"USDT": "0"}}
        assert at.risk.day_record() is None
        at.quote("95", "95")
        at.risk.loss()
        assert at.risk.day_record() is None
        at.quote("85", "85")
        at.risk.loss()
        second = at.risk.day_record()
        assert second is not None
        assert json.loads(second) == json.loads(first) | {"loss": "150", "currency": "USDT"}
        assert at.risk.day_record() is None

    def again(self, desk: Desk, record: str | None, limits: RiskLimits = LIMITS) -> Desk:
        """The account after a restart, with what the journal has."""
        other = Desk(limits, record, desk.clock)
        other.quotes.update(desk.quotes)
        return other

    def test_a_restart_goes_on_from_the_same_baseline(self, at: Desk) -> None:
        """60 lost before and 40 after are 100 of one day."""
        record = at.risk.day_record()
        at.quote("94", "94")
        assert at.risk.loss() is None
        other = self.again(at, record)
        other.position("10", cost="1000")
        assert other.risk.loss() is None
        assert other.risk.day_record() is None, "nothing changed"
        other.quote("90", "90")
        assert other.risk.loss() is not None

    def test_a_limit_that_was_reached_stays_so(self, at: Desk) -> None:
        """Also when the market came back meanwhile, and before there is any quote."""
        at.quote("90", "90")
        at.risk.loss()
        other = self.again(at, at.risk.day_record())
        other.quotes.clear()
        other.position("10", cost="1000")
        assert refusal(other.risk.loss()).cause is StopCause.DAILY_LOSS

    @pytest.mark.parametrize("limit", [usdt("150"), usd("100")])
    def test_a_limit_that_was_changed_is_looked_at_anew(self, at: Desk, limit: Money) -> None:
        """Who raises it and starts again trades on."""
        at.quote("90", "90")
        at.risk.loss()
        other = self.again(at, at.risk.day_record(), RiskLimits(max_daily_loss=limit))
        other.quote("100", "100")
        other.position("10", cost="1000")
        assert other.risk.loss() is None
        passed(other.place(spec(BUY, 1)))

    def test_a_record_of_another_day_is_over(self, at: Desk) -> None:
        """The first look of the new day is its baseline."""
        at.quote("90", "90")
        at.risk.loss()
        record = at.risk.day_record()
        moved(at, "2026-11-21T08:00:00")
        other = self.again(at, record)
        other.position("10", cost="1000")
        assert other.risk.loss() is None
        assert json.loads(other.risk.day_record() or "")["worth"] == {"USDT": "-100"}

    def test_no_digit_is_lost(self) -> None:
        """Amounts finer than the contract writes are kept as they are."""
        desk = Desk(LIMITS)
        desk.quote("0.000000000000000001", "0.000000000000000002")
        desk.position("0.000000000000000001", realized="-12345678901234567890.5")
        assert desk.risk.loss() is None
        record = desk.risk.day_record() or ""
        other = self.again(desk, record)
        other.position("0.000000000000000001", realized="-12345678901234567990.499999999999999999")
        assert other.risk.loss() is None
        other.position("0.000000000000000001", realized="-12345678901234567990.5")
        assert other.risk.loss() is not None

    @pytest.mark.parametrize(
        "record",
        ["", "x", "[]", "{}", '{"day": "x", "worth": {}}', '{"day": "2026-11-20", "worth": {"A": "x"}}'],
    )
    def test_a_record_that_cannot_be_read_is_an_error(self, record: str) -> None:
        """A limit is not forgotten because its record is spoilt."""
        with pytest.raises(ValueError, match="the journal's record of the day's loss cannot be read"):
            Desk(LIMITS, record)

    def test_without_a_limit_nothing_is_kept(self) -> None:
        """And nothing is lost."""
        desk = Desk(RiskLimits(max_open_orders=1))
        desk.position("0", realized="-5000")
        assert desk.risk.loss() is None
        assert desk.risk.day_record() is None
        desk.risk.begin_day()
