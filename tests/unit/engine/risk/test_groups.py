"""Linked orders count as the one of them that can fill, whatever the gateway has been told of them yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain import lifecycle
from brokergate.domain.fills import Fill, Liquidity
from brokergate.domain.money import ZERO
from brokergate.domain.orders import Order, OrderSpec, ProtectiveLeg, Side
from brokergate.domain.policy import RiskLimits
from brokergate.domain.values import changed
from brokergate.engine.risk.breach import Breach
from brokergate.engine.risk.exposure import Exposure
from brokergate.engine.risk.limits import Risk
from tests.unit.engine.risk.desk import BTC, Desk, spec, usdt
from tests.unit.engine.scripted import StillClock

LIMIT = RiskLimits(max_position_quantity={"BTC/USDT": Decimal(10)})


def entry_spec(quantity: str = "4", side: Side = Side.BUY) -> OrderSpec:
    up, down = ("120", "80") if side is Side.BUY else ("80", "120")
    return changed(
        spec(side, quantity, "100"),
        take_profit=ProtectiveLeg("tp", limit_price=Decimal(up)),
        stop_loss=ProtectiveLeg("sl", stop_price=Decimal(down)),
    )


def bracket_specs(quantity: str = "4", side: Side = Side.BUY) -> list[OrderSpec]:
    """The entry at 100 and its legs."""
    entry = entry_spec(quantity, side)
    closing = Side.SELL if side is Side.BUY else Side.BUY
    up, down = ("120", "80") if side is Side.BUY else ("80", "120")
    return [entry, spec(closing, quantity, up), spec(closing, quantity, None, down)]


def oco_specs(quantity: str = "4", side: Side = Side.SELL) -> list[OrderSpec]:
    return [spec(side, quantity, "120"), spec(side, quantity, None, "80")]


class Groups(Desk):
    """A desk that places groups."""

    def place_group(self, specs: list[OrderSpec]) -> list[Order] | Breach:
        return self.risk.check_group(specs, BTC) or self.intend_group(specs)

    def intend_group(self, specs: list[OrderSpec]) -> list[Order]:
        self._made += 1
        group_id = f"g{self._made}"
        orders = []
        for number, member in enumerate(specs):
            assert member.quantity is not None
            name = group_id if not number else f"{group_id}-{number}"
            orders.append(
                self.hold(
                    lifecycle.intend(
                        order_id=name, client_order_id=name, account_id="main", spec=member,
                        quantity=member.quantity, multiplier=Decimal(1), now_ns=1, group_id=group_id,
                    )
                )
            )  # fmt: skip
        return orders

    def placed(self, specs: list[OrderSpec]) -> list[Order]:
        orders = self.place_group(specs)
        assert isinstance(orders, list), orders
        return orders

    def restated(self, order: Order, quantity: str) -> Order:
        return self.hold(lifecycle.restated(order, Decimal(quantity), "", 1))

    def room(self, side: Side, limit: int = 10) -> int:
        """How much more fits, of a side."""
        fits = [
            lots
            for lots in range(1, 2 * limit + 1)
            if self.risk.preview(spec(side, lots, "100"), Decimal(lots), BTC) is None
        ]
        return max(fits, default=0)


@pytest.fixture
def at() -> Groups:
    desk = Groups(LIMIT)
    desk.quote("99", "101")
    return desk


def test_an_oco_counts_as_one_of_its_orders(at: Groups) -> None:
    high, low = at.placed(oco_specs("4"))
    assert at.room(Side.SELL) == 6
    high = at.fill(at.acknowledge(high), "1")
    assert at.room(Side.SELL) == 5  # one sold, and the other not yet told to be smaller
    at.restated(at.acknowledge(low), "3")
    assert at.room(Side.SELL) == 6
    at.cancel(high)
    assert at.room(Side.SELL) == 6
    at.cancel(at.orders["g1-1"])
    assert at.room(Side.SELL) == 9


def test_an_oco_of_both_sides_counts_on_both(at: Groups) -> None:
    buy, sell = at.placed([spec(Side.BUY, "4", "90"), spec(Side.SELL, "4", "110")])
    assert (at.room(Side.BUY), at.room(Side.SELL)) == (6, 6)
    at.cancel(buy)
    at.cancel(sell)
    assert (at.room(Side.BUY), at.room(Side.SELL)) == (10, 10)


def test_sleeping_legs_count_for_nothing(at: Groups) -> None:
    entry, profit, loss = at.placed(bracket_specs("4"))
    assert (at.room(Side.BUY), at.room(Side.SELL)) == (6, 10)
    entry = at.fill(at.acknowledge(entry), "3")
    # 3 are held and 3 may be sold by the legs: the same as before for who sells.
    assert (at.room(Side.BUY), at.room(Side.SELL)) == (6, 10)
    at.cancel(entry)
    assert (at.room(Side.BUY), at.room(Side.SELL)) == (7, 10)
    profit = at.fill(at.acknowledge(at.restated(at.acknowledge(profit), "3")), "2")
    assert (at.room(Side.BUY), at.room(Side.SELL)) == (9, 10)
    at.cancel(profit)
    at.cancel(loss)
    assert (at.room(Side.BUY), at.room(Side.SELL)) == (9, 11)


def test_a_bracket_is_held_to_the_limits_as_its_entry_is(at: Groups) -> None:
    assert isinstance(at.place_group(bracket_specs("11")), Breach)
    assert not at.orders
    assert isinstance(at.place_group(bracket_specs("10")), list)
    # A second one of the other side: its own entry counts, and none of the legs of the first.
    assert isinstance(at.place_group(bracket_specs("10", Side.SELL)), list)
    assert isinstance(at.place_group(bracket_specs("1")), Breach)


def test_all_orders_of_a_group_are_open_orders() -> None:
    desk = Groups(RiskLimits(max_open_orders=4))
    desk.quote("99", "101")
    desk.placed(bracket_specs())
    breach = desk.place_group(oco_specs())
    assert isinstance(breach, Breach)
    assert "3 are open" in breach.message
    assert "2 come together" in breach.message
    assert isinstance(desk.place(spec(Side.BUY, "1", "99")), Order)


def test_all_orders_of_a_group_count_for_the_pace() -> None:
    desk = Groups(RiskLimits(max_orders_per_second=4))
    desk.quote("99", "101")
    desk.placed(bracket_specs())
    breach = desk.place_group(oco_specs())
    assert isinstance(breach, Breach)
    assert "wait 1000 ms" in breach.message
    desk.wait(1)
    desk.placed(oco_specs())
    desk.wait(1)
    breach = desk.place_group([*oco_specs(), *oco_specs(), *oco_specs()])
    assert isinstance(breach, Breach)
    assert "link fewer" in breach.message


def test_a_leg_that_gives_money_away_is_outside_the_collar() -> None:
    desk = Groups(RiskLimits(price_collar_percent=Decimal(10)))
    desk.quote("99", "101")
    entry, profit, _ = bracket_specs()
    far = spec(Side.SELL, "4", "50", "80")
    breach = desk.place_group([entry, profit, far])
    assert isinstance(breach, Breach)
    assert "price_collar_percent" in breach.message
    # A take-profit and a stop may lie where their owner wants.
    assert isinstance(desk.place_group(bracket_specs()), list)


def test_the_price_of_a_sleeping_leg_can_be_changed_at_the_limit() -> None:
    desk = Groups(RiskLimits(max_position_quantity={"BTC/USDT": Decimal(4)}, max_orders_per_second=3))
    desk.quote("99", "101")
    _, profit, _ = desk.placed(bracket_specs("4"))
    shall = changed(profit.spec, limit_price=Decimal(130))
    assert isinstance(desk.replace(desk.acknowledge(profit), shall), Order)


def test_a_group_held_back_is_checked_with_itself(at: Groups) -> None:
    held = [at.hold(lifecycle.hold_back(order)) for order in at.placed(bracket_specs("10"))]
    specs = [order.spec for order in held]
    assert at.risk.check_group(specs, BTC, held) is None
    members = [at.hold(lifecycle.hold_back(order)) for order in at.placed(oco_specs("10"))]
    assert at.risk.check_group([order.spec for order in members], BTC, members) is None


def test_legs_are_worth_what_may_wake() -> None:
    """The value of a position: sleeping legs are worth nothing, and of two that are awake the dearer counts."""
    desk = Groups(RiskLimits(max_position_notional=usdt("1000")))
    desk.quote("100", "100")
    entry, *_ = desk.placed(bracket_specs("9"))
    assert isinstance(desk.place(spec(Side.SELL, "8", "100")), Order)
    desk.cancel(desk.orders["o2"])
    desk.fill(desk.acknowledge(entry), "9")
    # 9 are held, of which the legs may sell all: 8 more would be a short of 800 to 960.
    assert isinstance(desk.place(spec(Side.SELL, "8", "100")), Order)
    assert isinstance(desk.place(spec(Side.SELL, "3", "100")), Breach)


def test_after_a_start_the_legs_of_an_ended_entry_count_in_full() -> None:
    """What the entry filled is not known any more: the larger of the two counts."""
    exposure = Exposure(None)
    desk = Groups(LIMIT)
    desk.quote("99", "101")
    _, profit, loss = desk.placed(bracket_specs("4"))
    for leg in (profit, loss):
        exposure.hold(leg)
    assert exposure.of("BTC/USDT").sells.quantity == 4
    exposure.hold(lifecycle.cancel(profit, 1))
    assert exposure.of("BTC/USDT").sells.quantity == 4
    exposure.hold(lifecycle.cancel(loss, 1))
    assert exposure.of("BTC/USDT").sells.quantity == 0


def test_nothing_is_kept_of_groups_that_have_ended() -> None:
    exposure = Exposure(None)
    desk = Groups(LIMIT)
    desk.quote("99", "101")
    straddle = [spec(Side.BUY, "1", "90"), spec(Side.SELL, "1", "110")]
    for specs in (bracket_specs("1"), oco_specs("1"), straddle):
        for ending in (list, lambda orders: list(reversed(orders))):
            orders = desk.intend_group(specs)
            for order in orders:
                exposure.hold(order)
            for order in ending(orders):
                exposure.hold(lifecycle.cancel(order, 1))
    assert exposure.open_orders == 0
    assert not exposure._links
    holding = exposure.of("BTC/USDT")
    assert (holding.buys.quantity, holding.sells.quantity) == (ZERO, ZERO)


class Street:
    """A venue that links: what it has done, and what of that it has not told yet."""

    def __init__(self, orders: list[Order], *, bracket: bool) -> None:
        self.orders = {order.order_id: order for order in orders}
        self.names = [order.order_id for order in orders]
        self.bracket = bracket
        self.position = ZERO
        self.untold: deque[Callable[[Groups], object]] = deque()

    def fill(self, name: str, lots: int) -> None:
        """As much of `lots` of the order as the venue would let fill."""
        order = self.orders[name]
        size = min(Decimal(lots), self.leaves(name))
        if order.ended or not size:
            return
        self.orders[name] = self._filled(order, size)
        self.position += size if order.spec.side is Side.BUY else -size
        self.untold.append(lambda at: at.fill(at.orders[name], size))
        if self.bracket and name == self.names[0]:
            return
        for other in self.names[1 if self.bracket else 0 :]:
            sibling = self.orders[other]
            if other == name or sibling.ended:
                continue
            self._resize(other, sibling.quantity - size)

    def cancel(self, name: str) -> None:
        order = self.orders[name]
        if order.ended:
            return
        self._end(name)
        if self.bracket and name == self.names[0]:
            for leg in self.names[1:]:
                if not self.orders[leg].ended:
                    closed = order.quantity - self.orders[leg].quantity
                    self._resize(leg, order.cum_quantity - closed)

    def leaves(self, name: str) -> Decimal:
        """What of the order may fill now."""
        leaves = self.orders[name].leaves_quantity
        if not self.bracket or name == self.names[0]:
            return leaves
        closed = sum((self.orders[leg].cum_quantity for leg in self.names[1:]), ZERO)
        return min(leaves, self.orders[self.names[0]].cum_quantity - closed)

    def worst(self, side: Side) -> Decimal:
        """The position, as the side sees it, that these orders can still make by that side's fills alone."""
        held = self.position if side is Side.BUY else -self.position
        may = [self.leaves(name) for name, order in self.orders.items() if order.spec.side is side]
        return held + max(may, default=ZERO)

    def _resize(self, name: str, quantity: Decimal) -> None:
        order = self.orders[name]
        if quantity <= order.cum_quantity:
            self._end(name)
            return
        if quantity == order.quantity:
            return
        self.orders[name] = lifecycle.restated(order, quantity, "", 1)
        self.untold.append(lambda at: at.restated(at.orders[name], str(quantity)))

    def _end(self, name: str) -> None:
        self.orders[name] = lifecycle.cancel(self.orders[name], 1)
        self.untold.append(lambda at: at.cancel(at.orders[name]))

    @staticmethod
    def _filled(order: Order, size: Decimal) -> Order:
        spec = order.spec
        execution = Fill(
            "f", "main", order.order_id, "", "b", "e", spec.symbol, spec.side, size, Decimal(100), (),
            Liquidity.TAKER, 1, 1,
        )  # fmt: skip
        return lifecycle.fill(order, execution, 1)[0]


GROUPS = (
    (bracket_specs("5"), True),
    (bracket_specs("5", Side.SELL), True),
    (oco_specs("5"), False),
    (oco_specs("5", Side.BUY), False),
    ([spec(Side.BUY, "5", "90"), spec(Side.SELL, "5", "110")], False),
)
steps = st.lists(
    st.tuples(st.sampled_from(["fill", "fill", "cancel", "tell"]), st.integers(0, 2), st.integers(1, 5)),
    max_size=30,
)


@given(st.sampled_from(GROUPS), steps)
def test_the_worst_that_can_come_is_never_more_than_what_counts(
    group: tuple[list[OrderSpec], bool], doings: list[tuple[str, int, int]]
) -> None:
    """Whatever the venue has done and not told yet, and in whatever order it tells it by itself."""
    specs, bracket = group
    at = Groups(LIMIT)
    exposure = Exposure(None)
    at.risk = Recorder(LIMIT, exposure)
    orders = [at.acknowledge(order) for order in at.intend_group(specs)]
    venue = Street(orders, bracket=bracket)
    for what, number, lots in doings:
        name = venue.names[number % len(venue.names)]
        if what == "tell":
            if venue.untold:
                venue.untold.popleft()(at)
        elif what == "fill":
            venue.fill(name, lots)
        else:
            venue.cancel(name)
        holding = exposure.of("BTC/USDT")
        for side in (Side.BUY, Side.SELL):
            assert holding.held(side) + holding.side(side).quantity >= venue.worst(side)
    while venue.untold:
        venue.untold.popleft()(at)
    holding = exposure.of("BTC/USDT")
    assert holding.position == venue.position
    for side in (Side.BUY, Side.SELL):
        assert holding.held(side) + holding.side(side).quantity == venue.worst(side)


class Recorder(Risk):
    """Tells an exposure of its own what happens."""

    def __init__(self, limits: RiskLimits, exposure: Exposure) -> None:
        super().__init__(limits, lambda _: None, dict, StillClock(), None)
        self.told = exposure

    def hold(self, before: Order | None, after: Order) -> None:
        self.told.hold(after)

    def filled(self, symbol: str, side: Side, quantity: Decimal) -> None:
        self.told.move(symbol, side, quantity)
