"""OCO groups and brackets: one step of the venue does all of it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import Order, OrderType, TimeInForce
from brokergate.ports.broker import Accepted, GroupKind, OrderGroup, OrderReport, Outcome, Rejected
from brokergate.sim.market import TradeUpdate
from tests.unit.sim.matching.desk import BTC, EUR, IOC, Desk, quantity

OCO, BRACKET = GroupKind.OCO, GroupKind.BRACKET


@pytest.fixture
def desk() -> Desk:
    desk = Desk(EUR)
    desk.snapshot([(99, 500)], [(101, 500)])
    return desk


def group(desk: Desk, kind: GroupKind, *orders: Order) -> Sequence[Outcome]:
    outcomes = desk.venue.place_group(OrderGroup(kind, orders), desk.tick())
    for outcome in outcomes:
        desk._keep(outcome.reports)
    return outcomes


def left(desk: Desk) -> dict[str, int]:
    return {order.client_order_id: order.left for order in desk.venue.open_orders()}


def totals(desk: Desk) -> list[tuple[str, Decimal]]:
    """New totals that the venue told, in order."""
    return [
        (report.client_order_id, report.quantity)
        for report in desk.log
        if isinstance(report, OrderReport) and report.quantity is not None
    ]


def oco(desk: Desk, lots: int = 10) -> None:
    """A long position of `lots` with a take-profit at 110 and a stop-loss at 90."""
    desk.buy(lots)
    profit, loss = desk.order(-1, lots, 110), desk.order(-1, lots, stop=90)
    assert all(isinstance(outcome, Accepted) for outcome in group(desk, OCO, profit, loss))


def bracket(desk: Desk, entry: Order, lots: int) -> None:
    side = -1 if entry.spec.side.name == "BUY" else 1
    profit, loss = desk.order(side, lots, 100 - 10 * side), desk.order(side, lots, stop=100 + 10 * side)
    assert all(isinstance(outcome, Accepted) for outcome in group(desk, BRACKET, entry, profit, loss))


# OCO


def test_a_fill_takes_as_much_from_the_other(desk: Desk) -> None:
    """Told as its new total, in the same step; the one that is full ends the other."""
    oco(desk)
    reports = desk.trade(111, 4, 1)
    assert desk.fills(reports) == [("c2", 110, 4)]
    assert left(desk) == {"c2": 6, "c3": 6}
    assert totals(desk) == [("c3", quantity(6))]
    reports = desk.trade(111, 20, 1)
    assert desk.fills(reports) == [("c2", 110, 6)]
    (end,) = [report for report in reports if isinstance(report, OrderReport)]
    assert (end.client_order_id, end.event.name, end.reason) == ("c3", "CANCELED", ErrorReason.LINKED_ORDER)
    assert left(desk) == {}


def test_the_stop_takes_from_the_limit_too(desk: Desk) -> None:
    """The book has 4 at first: the rest of the stop is cancelled, and the limit keeps what is left to close."""
    oco(desk)
    desk.snapshot([(89, 4)], [(95, 1)])
    desk.trade(90, 1, -1)
    assert desk.fills()[1:] == [("c3", 89, 4)]
    assert left(desk) == {"c2": 6}


def test_one_that_is_cancelled_leaves_the_other(desk: Desk) -> None:
    """As one that expires; replacing a price leaves the group as it is."""
    oco(desk)
    desk.replace("c2", 10, 112)
    desk.cancel("c2")
    assert left(desk) == {"c3": 10}
    assert desk.fills(desk.trade(120, 50, 1)) == []


def test_both_in_one_update_never_fill_more_than_the_size() -> None:
    """A straddle of two stops that one gap reaches: the first is full, the second is gone before its turn."""
    desk = Desk(EUR)
    desk.snapshot([(99, 500)], [(101, 500)])
    buy, sell = desk.order(1, 10, stop=105), desk.order(1, 10, stop=106)
    group(desk, OCO, buy, sell)
    reports = desk.trade(120, 1, 1)
    assert desk.fills(reports) == [("c1", 101, 10)]
    assert desk.changes(reports) == [("c1", "TRIGGERED"), ("c2", "CANCELED")]


def test_funds_are_set_aside_once(desk: Desk) -> None:
    """A spot holding of 10 carries both orders that would sell it; and a pair that would buy costs the dearer one."""
    spot = Desk(BTC, balances={"USDT": Decimal("0.02"), "BTC": Decimal("0.01")})
    spot.snapshot([(99, 500)], [(101, 500)])
    group(spot, OCO, spot.order(-1, 10, 110), spot.order(-1, 10, stop=90))
    assert left(spot) == {"c1": 10, "c2": 10}
    assert spot.balance("BTC").held == Decimal("0.010")
    spot.trade(111, 4, 1)
    assert spot.balance("BTC").held == Decimal("0.006")
    spot.cancel("c1")
    assert spot.balance("BTC").held == Decimal("0.006")
    spot.cancel("c2")
    assert spot.balance("BTC").held == 0
    group(spot, OCO, spot.order(1, 10, 90), spot.order(1, 10, stop=120))
    assert spot.balance("USDT").held == Decimal("0.012")
    spot.cancel("c4")
    assert spot.balance("USDT").held == Decimal("0.009")
    spot.cancel("c3")
    assert spot.balance("USDT").held == 0


def test_all_or_none_at_placing(desk: Desk) -> None:
    """One that cannot be taken refuses the others, and nothing is left of any."""
    before = [balance.held for balance in desk.venue.balances()]
    poor = group(desk, OCO, desk.order(1, 5, 90), desk.order(1, 10**13, 80))
    assert [outcome.reason for outcome in poor if isinstance(outcome, Rejected)] == [
        ErrorReason.LINKED_ORDER,
        ErrorReason.INSUFFICIENT_FUNDS,
    ]
    for bad in (
        (OCO, desk.order(1, 5, 90), desk.order(1, 5, tif=IOC)),
        (BRACKET, desk.order(1, 5, 90), desk.order(1, 5, 110)),
        (BRACKET, desk.order(1, 5, 90), desk.order(-1, 6, 110)),
        (BRACKET, desk.order(1, 5, 90), desk.order(-1, 5, tif=TimeInForce.AT_OPEN)),
    ):
        outcomes = group(desk, *bad)
        assert all(isinstance(outcome, Rejected) for outcome in outcomes)
    assert left(desk) == {}
    assert [balance.held for balance in desk.venue.balances()] == before
    outcome = desk.buy(1, 90)
    assert isinstance(outcome, Accepted)
    assert outcome.broker_order_id == "P11"


# Brackets


def test_legs_sleep_until_the_entry_fills_and_close_what_it_has_filled(desk: Desk) -> None:
    """Three of ten: a trade through the profit fills three; the rest of both wakes with the rest of the entry."""
    bracket(desk, desk.order(1, 10, 98), 10)
    assert desk.fills(desk.trade(150, 50, 1)) == []
    assert desk.fills(desk.trade(97, 3, -1)) == [("c1", 98, 3)]
    assert desk.fills(desk.trade(111, 50, 1)) == [("c2", 110, 3)]
    assert left(desk) == {"c1": 7, "c2": 7, "c3": 7}
    assert desk.fills(desk.trade(111, 50, 1)) == []
    assert desk.fills(desk.trade(97, 7, -1)) == [("c1", 98, 7)]
    assert desk.fills(desk.trade(111, 5, 1)) == [("c2", 110, 5)]
    assert left(desk) == {"c2": 2, "c3": 2}
    reports = desk.trade(90, 1, -1)
    assert desk.fills(reports) == [("c3", 99, 2)]
    assert left(desk) == {}
    assert desk.position().quantity == 0


def test_a_market_entry_wakes_its_legs_at_once(desk: Desk) -> None:
    """For what it got: 4 of 10; the rest is cancelled, and the legs are cut."""
    desk.snapshot([(99, 500)], [(101, 4)])
    bracket(desk, desk.order(1, 10, tif=IOC), 10)
    assert left(desk) == {"c2": 4, "c3": 4}
    assert desk.changes()[0] == ("c1", "CANCELED")
    assert totals(desk) == [("c2", quantity(4)), ("c3", quantity(4))]


@pytest.mark.parametrize("filled", [0, 4])
def test_an_entry_that_ends_leaves_its_legs_what_it_filled(desk: Desk, filled: int) -> None:
    """Nothing ends them; four cut them to four."""
    bracket(desk, desk.order(1, 10, 98), 10)
    if filled:
        desk.trade(97, filled, -1)
    desk.cancel("c1")
    assert left(desk) == ({"c2": 4, "c3": 4} if filled else {})
    if not filled:
        ends = [report for report in desk.log if isinstance(report, OrderReport)]
        assert [(end.client_order_id, end.reason) for end in ends[1:]] == [
            ("c2", ErrorReason.LINKED_ORDER),
            ("c3", ErrorReason.LINKED_ORDER),
        ]


def test_an_entry_that_expires_takes_its_legs_with_it(desk: Desk) -> None:
    """As one that is cancelled."""
    entry = desk.order(1, 10, 98, tif=TimeInForce.GTD, expire_time_ns=50_000)
    bracket(desk, entry, 10)
    desk.venue.advance(60_000)
    assert left(desk) == {}


def test_an_entry_of_another_size_changes_its_legs(desk: Desk) -> None:
    """Told as their new totals; a leg's own size cannot be changed, its price can, asleep or awake."""
    bracket(desk, desk.order(1, 10, 98), 10)
    desk.replace("c1", 6, 98)
    assert left(desk) == {"c1": 6, "c2": 6, "c3": 6}
    assert isinstance(desk.replace("c2", 5, 110), Rejected)
    assert isinstance(desk.replace("c2", 6, 108), Accepted)
    desk.trade(97, 2, -1)
    assert isinstance(desk.replace("c2", 6, 107), Accepted)
    assert desk.fills(desk.trade(108, 9, 1)) == [("c2", 107, 2)]
    assert left(desk) == {"c1": 4, "c2": 4, "c3": 4}


def test_a_leg_can_be_cancelled_alone(desk: Desk) -> None:
    """Asleep or awake; the other one stays."""
    bracket(desk, desk.order(1, 10, 98), 10)
    desk.cancel("c2")
    desk.trade(97, 20, -1)
    assert left(desk) == {"c3": 10}
    assert desk.fills(desk.trade(90, 1, -1)) == [("c3", 99, 10)]


def test_a_stop_that_is_reached_when_it_wakes_is_set_off(desk: Desk) -> None:
    """The trade that fills the entry is below the stop already."""
    bracket(desk, desk.order(1, 10, 98), 10)
    reports = desk.trade(80, 10, -1)
    assert desk.fills(reports) == [("c1", 98, 10), ("c3", 99, 10)]
    assert left(desk) == {}


def test_legs_do_not_turn_a_position_that_was_closed_elsewhere(desk: Desk) -> None:
    """Where positions may go short they only reduce."""
    bracket(desk, desk.order(1, 10), 10)
    desk.sell(7)
    assert left(desk) == {"c2": 3, "c3": 3}
    desk.sell(3)
    assert left(desk) == {}
    assert desk.position().quantity == 0


def test_a_trailing_leg_begins_where_it_wakes(desk: Desk) -> None:
    """It follows from the price of then, not from that of its placing."""
    desk.trade(100, 1)
    entry = desk.order(1, 10, 98)
    stop = desk.order(-1, 10, type=OrderType.TRAILING_STOP, trail_amount=5)
    group(desk, BRACKET, entry, stop)
    desk.trade(150, 1)
    desk.trade(97, 10, -1)
    (leg,) = desk.venue.open_orders()
    assert leg.stop == 92


@pytest.mark.parametrize("symbol", [EUR, BTC])
@pytest.mark.parametrize("seed", range(5))
def test_legs_never_close_more_than_their_entry_filled(seed: int, symbol: object) -> None:
    """Random brackets, markets, cancels and replaces: at every step Σ legs ≤ entry, holds end at nothing, and what the
    venue tells adds up: fills and what is left are the total that was told last."""
    random = Random(seed)
    desk = Desk(symbol)  # type: ignore[arg-type]
    currency = "USD" if symbol is EUR else "USDT"
    desk.snapshot([(99, 9)], [(101, 9)])
    families: list[tuple[str, str, str]] = []
    for step in range(500):
        middle = random.randint(92, 108)
        roll = random.random()
        if roll < 0.35:
            desk.snapshot([(middle - 1, random.randint(1, 9))], [(middle + 1, random.randint(1, 9))])
        elif roll < 0.6:
            desk.market(
                TradeUpdate(
                    desk.tick(), desk.symbol, middle, random.randint(1, 12), random.choice((-1, 0, 1))
                )
            )
        elif roll < 0.8:
            side, lots = random.choice((1, -1)), random.randint(1, 12)
            limit = random.choice((None, middle))
            entry = (
                desk.order(side, lots, limit, display_quantity=2)
                if limit and lots > 2
                else desk.order(side, lots, limit)
            )
            legs = (
                desk.order(-side, lots, middle + side * random.randint(0, 5)),
                desk.order(-side, lots, stop=middle - side * random.randint(1, 5)),
            )
            group(desk, BRACKET, entry, *legs)
            families.append(tuple(order.client_order_id for order in (entry, *legs)))  # type: ignore[arg-type]
        elif desk.venue.open_orders():
            working = random.choice(desk.venue.open_orders())
            if roll < 0.9:
                desk.cancel(working.client_order_id)
            elif working.limit is not None and working.stop is None:
                total = working.filled + working.left
                desk.replace(
                    working.client_order_id, total, max(1, working.limit + random.choice((-1, 0, 1)))
                )
        if step % 10 == 0:
            filled = dict[str, int]()
            for name, _, lots in desk.fills():
                filled[name] = filled.get(name, 0) + lots
            for entry_name, *leg_names in families:
                assert sum(filled.get(name, 0) for name in leg_names) <= filled.get(entry_name, 0)
            for working in desk.venue.open_orders():
                assert working.filled == filled.get(working.client_order_id, 0)
                assert working.left > 0
    sizes = {name: order.quantity for name, order in desk.orders.items()} | dict(totals(desk))
    for working in desk.venue.open_orders():
        assert quantity(working.filled + working.left) == sizes[working.client_order_id]
    assert (
        len([name for name, _, _ in desk.fills() if name in {leg for _, *legs in families for leg in legs}])
        > 10
    )
    for working in desk.venue.open_orders():
        if working.left:
            desk.cancel(working.client_order_id)
    position = desk.position()
    short_tie = max(Decimal(0), -2 * position.cost) if symbol is EUR else Decimal(0)
    assert desk.balance(currency).held == short_tie
