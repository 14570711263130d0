"""Stops that trail the market, and orders that wait to be touched."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import ceil, floor
from random import Random

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import OrderType, TriggerSource
from brokergate.ports.broker import Rejected
from brokergate.sim.market import MarkUpdate
from tests.unit.sim.matching.desk import Desk

TRAIL, TOUCH, LIMIT_TOUCH = (
    OrderType.TRAILING_STOP,
    OrderType.MARKET_IF_TOUCHED,
    OrderType.LIMIT_IF_TOUCHED,
)
LAST, BOOK, MARK = TriggerSource.LAST, TriggerSource.BID_ASK, TriggerSource.MARK


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.snapshot([(990, 500)], [(1010, 500)])
    desk.trade(1000, 1)
    return desk


def trigger(desk: Desk, name: str) -> int | None:
    order = desk.venue.working(name)
    assert order is not None
    shown = desk.venue.listings[order.symbol].shown(order).stop_price
    return None if shown is None else int(shown * 100)


def test_it_follows_one_way_and_is_set_off_once(desk: Desk) -> None:
    """A sell of 20 ticks under the highest trade: 980, 1010, still 1010, then off, at the bid."""
    desk.send(-1, 5, type=TRAIL, trail_amount=20, source=LAST)
    assert trigger(desk, "c1") == 980
    desk.trade(1030, 1)
    assert trigger(desk, "c1") == 1010
    desk.trade(1011, 1)
    assert trigger(desk, "c1") == 1010
    reports = desk.trade(1010, 1)
    assert desk.changes(reports) == [("c1", "TRIGGERED")]
    assert desk.fills(reports) == [("c1", 990, 5)]


def test_a_buy_follows_the_lowest(desk: Desk) -> None:
    """Above the lowest ask, set off by the ask."""
    desk.send(1, 5, type=TRAIL, trail_amount=15, source=BOOK)
    assert trigger(desk, "c1") == 1025
    desk.snapshot([(900, 9)], [(950, 9)])
    assert trigger(desk, "c1") == 965
    desk.snapshot([(900, 9)], [(964, 9)])
    assert desk.changes() == []
    reports = desk.snapshot([(960, 9)], [(980, 9)])
    assert desk.fills(reports) == [("c1", 980, 5)]


def test_a_gap_fills_at_the_market_and_not_at_the_trigger(desk: Desk) -> None:
    """The bid falls from 990 to 700 in one update."""
    desk.send(-1, 5, type=TRAIL, trail_amount=20, source=BOOK)
    assert desk.fills(desk.snapshot([(700, 9)], [(720, 9)])) == [("c1", 700, 5)]


def test_a_price_is_tested_before_it_moves_the_trigger(desk: Desk) -> None:
    """A fall to a trigger that only a later rise would have lifted there does not count, and a new high never sets
    its own order off."""
    desk.send(-1, 5, type=TRAIL, trail_amount=1, source=LAST)
    for price in (1001, 1050, 2000):
        assert desk.changes(desk.trade(price, 1)) == []
    assert trigger(desk, "c1") == 1999


@pytest.mark.parametrize(
    ("side", "percent", "expected"),
    [(-1, "1.55", 984), (1, "1.55", 1016), (-1, "0.001", 999), (1, "0.001", 1001), (-1, "99.9", 1)],
)
def test_per_cent_are_never_nearer_than_asked(desk: Desk, side: int, percent: str, expected: int) -> None:
    """1.55 % of 1000 are 15.5 ticks: 16 away, on either side."""
    desk.send(side, 5, type=TRAIL, trail_percent=Decimal(percent), source=LAST)
    assert trigger(desk, "c1") == expected


def test_it_needs_a_price_to_trail_and_room(desk: Desk) -> None:
    """Before any price, and further than the price is high, it is refused."""
    nothing = Desk().send(-1, 5, type=TRAIL, trail_amount=20)
    assert isinstance(nothing, Rejected)
    assert nothing.reason is ErrorReason.NO_REFERENCE_PRICE
    far = desk.send(-1, 5, type=TRAIL, trail_amount=1000, source=LAST)
    assert isinstance(far, Rejected)
    assert far.reason is ErrorReason.INVALID_FIELD


def test_a_replace_keeps_the_best_price_that_it_saw(desk: Desk) -> None:
    """From 1030 on, 50 instead of 20 behind; and nearer than the present price is set off at once."""
    desk.send(-1, 5, type=TRAIL, trail_amount=20, source=LAST)
    desk.trade(1030, 1)
    desk.trade(1015, 1)
    desk.replace("c1", 5, trail_amount=50)
    assert trigger(desk, "c1") == 980
    outcome = desk.replace("c1", 4, trail_amount=10)
    assert desk.fills(outcome) == [("c1", 990, 4)]


def test_the_mark_is_the_feeds_or_the_mid(desk: Desk) -> None:
    """Mid 1000 at first; a mark that the feed tells then counts alone."""
    desk.send(-1, 5, stop=995, source=MARK)
    desk.snapshot([(985, 9)], [(1006, 9)])
    assert desk.changes() == []
    reports = desk.snapshot([(985, 9)], [(1005, 9)])
    assert desk.changes(reports) == [("c1", "TRIGGERED")]
    desk.market(MarkUpdate(desk.tick(), desk.symbol, 1100))
    desk.send(-1, 5, type=TRAIL, trail_amount=10, source=MARK)
    assert trigger(desk, "c2") == 1090
    desk.snapshot([(800, 9)], [(810, 9)])
    assert desk.changes()[1:] == []
    reports = desk.market(MarkUpdate(desk.tick(), desk.symbol, 1090))
    assert desk.fills(reports) == [("c2", 800, 5)]


def test_what_waits_to_be_touched_waits_for_the_other_direction(desk: Desk) -> None:
    """A buy for a fall of the ask, a sell for a rise of the bid; it takes what the book has, up to its limit."""
    desk.send(1, 5, stop=950, type=TOUCH, source=BOOK)
    desk.send(-1, 5, stop=1050, type=TOUCH, source=BOOK)
    desk.send(1, 5, 945, 950, type=LIMIT_TOUCH, source=BOOK)
    assert desk.changes(desk.snapshot([(940, 9)], [(951, 9)])) == []
    reports = desk.snapshot([(940, 9)], [(947, 3), (949, 9)])
    assert desk.fills(reports) == [("c1", 947, 3), ("c1", 949, 2)]
    assert desk.changes(reports) == [("c1", "TRIGGERED"), ("c3", "TRIGGERED")]
    assert desk.fills(desk.snapshot([(940, 9)], [(944, 9)])) == [("c3", 945, 5)]
    assert desk.fills(desk.snapshot([(1060, 9)], [(1070, 9)])) == [("c2", 1060, 5)]
    assert desk.fills(desk.send(1, 2, stop=1080, type=TOUCH, source=BOOK)) == [("c4", 1070, 2)]


@dataclass
class Plain:
    """A trailing stop as one would write it down."""

    name: str
    side: int
    amount: int
    share: Decimal
    best: int

    def trigger(self) -> int:
        if self.amount:
            return self.best + self.side * self.amount
        exact = self.best * (1 + self.side * self.share / 100)
        return ceil(exact) if self.side > 0 else floor(exact)


@pytest.mark.parametrize("seed", range(6))
def test_many_of_them_do_what_each_would_do_alone(seed: int) -> None:
    """Hundreds, of both sides, by amount and per cent, coming, cancelled, replaced: triggers and what is set off are
    those of a list that is gone through at every price."""
    random, desk = Random(seed), Desk()
    desk.snapshot([(1, 10**6)], [(10**5, 10**6)])
    last, plain, gone = 5000, dict[str, Plain](), 0
    desk.trade(last, 1)
    for _ in range(1500):
        roll = random.random()
        if roll < 0.3:
            side, amount = random.choice((1, -1)), random.randint(1, 300)
            percent = Decimal(random.randint(1, 40)) / 8 if random.random() < 0.5 else None
            how = {"trail_percent": percent} if percent else {"trail_amount": amount}
            order = desk.order(side, 1, type=TRAIL, source=LAST, **how)
            desk.place([order])
            name = order.client_order_id
            plain[name] = Plain(name, side, 0 if percent else amount, percent or Decimal(0), last)
        elif roll < 0.35 and plain:
            name = random.choice(list(plain))
            desk.cancel(name)
            del plain[name]
        elif roll < 0.4 and plain:
            each = plain[random.choice(list(plain))]
            if each.amount:
                each.amount += random.randint(1, 50)
                desk.replace(each.name, 1, trail_amount=each.amount)
        else:
            last = max(1000, last + random.choice((-60, -9, -1, 0, 1, 9, 60)))
            off = {each.name for each in plain.values() if each.side * last >= each.side * each.trigger()}
            reports = desk.trade(last, 1)
            changes = desk.changes(reports)
            assert {name for name, change in changes if change == "TRIGGERED"} == off
            assert len(desk.fills(reports)) == len(off)
            gone += len(off)
            for name in off:
                del plain[name]
            for each in plain.values():
                each.best = min(each.best, last) if each.side > 0 else max(each.best, last)
    assert {name: trigger(desk, name) for name in plain} == {
        each.name: each.trigger() for each in plain.values()
    }
    assert gone > 50
    assert len(plain) > 5
