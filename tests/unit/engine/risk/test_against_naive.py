"""Random lives of an account: the limits never let the worst case pass them, never refuse a pure reduction, and say at
every step what a model says that works everything out from scratch."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from brokergate.domain import lifecycle
from brokergate.domain.orders import Order, OrderSpec, OrderState, PendingActionKind, Side
from brokergate.domain.policy import RiskLimits
from brokergate.domain.values import changed
from brokergate.engine.risk.breach import Breach
from brokergate.engine.risk.limits import Risk
from tests.unit.engine.risk.desk import INSTRUMENTS, Desk, spec, usdt
from tests.unit.engine.risk.naive import Naive

SYMBOLS = ("BTC/USDT", "ETH/BTC")
quantities = st.integers(1, 12).map(lambda halves: Decimal(halves) / 2)
prices = st.integers(1, 60).map(lambda fives: Decimal(fives) * 5)
optional_prices = st.none() | prices
specs = st.builds(
    spec,
    st.sampled_from([Side.BUY, Side.SELL]),
    quantities,
    optional_prices,
    optional_prices,
    symbol=st.sampled_from(SYMBOLS),
)
by_symbol = st.dictionaries(st.sampled_from(SYMBOLS), st.integers(1, 12).map(Decimal), max_size=2)
money = st.integers(1, 2000).map(lambda tens: usdt(str(tens * 10)))
limited = st.builds(
    RiskLimits,
    max_order_quantity=by_symbol,
    max_order_notional=st.none() | money,
    max_position_quantity=by_symbol,
    max_position_notional=money,
    max_open_orders=st.none() | st.integers(1, 6),
    max_orders_per_second=st.none() | st.integers(1, 4),
)


class Life(RuleBasedStateMachine):
    """One account."""

    @initialize(limits=limited)
    def open(self, limits: RiskLimits) -> None:
        """With any set of limits, flat, in a market."""
        self.desk = Desk(limits)
        self.naive = Naive(limits)
        self.ended: list[Order] = []
        self.move("BTC/USDT", Decimal(95), Decimal(10))
        self.move("ETH/BTC", Decimal(10), Decimal(5))

    @rule(symbol=st.sampled_from(SYMBOLS), bid=prices, spread=prices)
    def move(self, symbol: str, bid: Decimal, spread: Decimal) -> None:
        """The market moves."""
        self.desk.quote(str(bid), str(bid + spread), symbol)
        self.naive.quotes[symbol] = Fraction(bid), Fraction(bid + spread)

    @rule(tenths=st.integers(1, 12))
    def wait(self, tenths: int) -> None:
        """Time passes; quotes come again."""
        self.desk.wait(tenths / 10)
        for symbol, (bid, ask) in self.naive.quotes.items():
            self.desk.quote(
                str(Decimal(bid.numerator) / bid.denominator),
                str(Decimal(ask.numerator) / ask.denominator),
                symbol,
            )

    @rule(asked=specs)
    def place(self, asked: OrderSpec) -> None:
        """An order is asked for."""
        assert asked.quantity is not None
        quantity = Fraction(asked.quantity)
        broken = self.naive.broken(asked, quantity, None, self.desk.clock.ns)
        reduces = self.naive.worst(asked.symbol, asked.side, quantity) <= 0
        answer = self.desk.place(asked)
        self.same(answer, broken)
        if isinstance(answer, Breach):
            assert not reduces, "a pure reduction was refused"
            return
        self.naive.sent.append(self.desk.clock.ns)
        self.naive.hold(answer)
        limit = self.desk.limits.max_position_quantity.get(asked.symbol)
        assert limit is None or self.naive.worst(asked.symbol, asked.side) <= max(
            Fraction(limit), Fraction(0)
        )

    @rule(symbol=st.sampled_from(SYMBOLS), limit=optional_prices, halves=st.integers(-6, 4))
    def place_against(self, symbol: str, limit: Decimal | None, halves: int) -> None:
        """An order against the position is asked for: of a part, of all of it, or of more than that."""
        held = self.naive.position(symbol)
        quantity = abs(held) + Fraction(halves, 2)
        if quantity > 0:
            size = Decimal(quantity.numerator) / quantity.denominator
            self.place(spec(Side.SELL if held > 0 else Side.BUY, size, limit, symbol=symbol))

    @rule(asked=specs)
    def place_by_others(self, asked: OrderSpec) -> None:
        """An order of others shows up; nobody asks whether it fits."""
        self.naive.hold(self.desk.intend(asked, external=True))

    def working(self, data: st.DataObject, *states: OrderState) -> Order | None:
        """Some working order."""
        found = [order for order in self.desk.orders.values() if not states or order.state in states]
        return data.draw(st.sampled_from(found)) if found else None

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        """The venue takes an order."""
        if (order := self.working(data, OrderState.PENDING_NEW)) is not None:
            self.naive.hold(self.desk.acknowledge(order))

    @rule(data=st.data())
    def doubt(self, data: st.DataObject) -> None:
        """Something under way on an order becomes uncertain."""
        if (order := self.working(data)) is not None and order.pending:
            self.naive.hold(self.desk.doubt(order, data.draw(st.sampled_from(order.pending)).kind))

    @rule(data=st.data(), halves=st.integers(1, 12))
    def fill(self, data: st.DataObject, halves: int) -> None:
        """An order fills, partly, wholly or by more than it was for."""
        if (order := self.working(data)) is not None:
            quantity = Decimal(halves) / 2
            after = self.desk.fill(order, quantity)
            self.naive.executions.append((order.spec.symbol, order.spec.side, Fraction(quantity)))
            self.end(after)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """The venue cancels an order."""
        if (order := self.working(data)) is not None:
            self.end(self.desk.cancel(order))

    def end(self, order: Order) -> None:
        """The order is now this, and may have ended."""
        self.naive.hold(order)
        if order.ended:
            self.ended.append(order)

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), halves=st.integers(1, 4))
    def fill_late(self, data: st.DataObject, halves: int) -> None:
        """An execution comes of an order that was thought dead."""
        order = data.draw(st.sampled_from(self.ended))
        quantity = Decimal(halves) / 2
        self.desk.fill(order, quantity)
        self.naive.executions.append((order.spec.symbol, order.spec.side, Fraction(quantity)))

    @rule(data=st.data(), quantity=quantities, limit=optional_prices, same=st.booleans())
    def replace(self, data: st.DataObject, quantity: Decimal, limit: Decimal | None, same: bool) -> None:
        """A change of an order is asked for."""
        order = self.working(data, OrderState.NEW, OrderState.PARTIALLY_FILLED)
        if order is None or order.action(PendingActionKind.REPLACE) or quantity <= order.cum_quantity:
            return
        self.change(order, quantity, limit, same=same)

    @rule(data=st.data(), limit=prices)
    def reprice(self, data: st.DataObject, limit: Decimal) -> None:
        """Another price is asked for, where an order has one."""
        order = self.working(data, OrderState.NEW, OrderState.PARTIALLY_FILLED)
        if order is not None and not order.action(PendingActionKind.REPLACE):
            self.change(order, order.quantity, limit, same=False)

    def change(self, order: Order, quantity: Decimal, limit: Decimal | None, *, same: bool) -> None:
        """Asks for the order to become this."""
        price = (
            order.spec.limit_price
            if same or order.spec.limit_price is None
            else limit or order.spec.limit_price
        )
        shall = changed(order.spec, quantity=quantity, limit_price=price)
        broken = self.naive.broken(shall, Fraction(quantity), order, self.desk.clock.ns)
        before = self.naive.worst(shall.symbol, shall.side)
        answer = self.desk.replace(order, shall)
        self.same(answer, broken)
        if isinstance(answer, Order):
            self.naive.sent.append(self.desk.clock.ns)
            self.naive.hold(answer)
            limit = self.desk.limits.max_position_quantity.get(shall.symbol)
            assert limit is None or self.naive.worst(shall.symbol, shall.side) <= max(Fraction(limit), before)

    @rule(data=st.data(), done=st.booleans())
    def settle_replace(self, data: st.DataObject, done: bool) -> None:
        """The venue does what was asked, or refuses it."""
        found = [order for order in self.desk.orders.values() if order.action(PendingActionKind.REPLACE)]
        if not found:
            return
        order = data.draw(st.sampled_from(found))
        shall = order.action(PendingActionKind.REPLACE)
        assert shall is not None
        assert shall.replacement is not None
        assert shall.replacement.quantity is not None
        if done and shall.replacement.quantity > order.cum_quantity:
            self.end(self.desk.replaced(order))
        else:
            self.end(self.desk.refused(order))

    @rule(symbol=st.sampled_from(SYMBOLS), halves=st.integers(-12, 12))
    def tell_position(self, symbol: str, halves: int) -> None:
        """A person takes the broker's word on a position."""
        self.desk.position(str(Decimal(halves) / 2), symbol=symbol)
        self.naive.executions = [execution for execution in self.naive.executions if execution[0] != symbol]
        self.naive.executions.append((symbol, Side.BUY, Fraction(halves, 2)))

    @rule()
    def start_again(self) -> None:
        """The gateway starts over the journal: positions, then working orders, each as the journal has it."""
        desk, naive = self.desk, self.naive
        desk.risk = Risk(desk.limits, desk.quotes.get, lambda: INSTRUMENTS, desk.clock, None)
        for symbol in SYMBOLS:
            held = naive.position(symbol)
            desk.position(str(Decimal(held.numerator) / held.denominator), symbol=symbol)
        naive.prices.clear()
        naive.sent.clear()
        for order in desk.orders.values():
            desk.risk.hold(None, order)
            naive.hold(order)

    def same(self, answer: Order | Breach, broken: list[str]) -> None:
        """Both say the same; the message names the first limit that the model finds broken."""
        if isinstance(answer, Breach):
            assert broken, f"refused, and the model finds nothing: {answer.message}"
            assert answer.message.startswith(f"risk_limits.{broken[0]} "), (answer.message, broken)
        else:
            assert not broken, f"passed, and the model finds {broken}"

    @invariant()
    def sums_are_what_they_are_made_of(self) -> None:
        """Position, quantity and notional of each side, and the number of orders."""
        exposure = self.desk.risk._exposure
        assert exposure.open_orders == len(self.naive.orders)
        for symbol in SYMBOLS:
            holding = exposure.of(symbol)
            assert Fraction(holding.position) == self.naive.position(symbol)
            for side in (Side.BUY, Side.SELL):
                orders = self.naive.open_on(symbol, side, None)
                assert holding.held(side) + holding.side(side).quantity == self.naive.worst(symbol, side)
                assert Fraction(holding.side(side).notional) == sum(map(self.naive.notional, orders))
                assert not holding.side(side).unvalued


def test_every_life_is_within_its_limits() -> None:
    """A few hundred of them, each of up to sixty steps."""
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=400, stateful_step_count=60, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_lives_are_within_their_limits() -> None:
    """Longer ones, and other ones each time; a failing one is printed."""
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=1500, stateful_step_count=100, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_the_model_is_no_mirror() -> None:
    """It knows the position from all executions, and what an order counts for from the order alone."""
    desk, naive = Desk(RiskLimits(max_open_orders=5)), Naive(RiskLimits(max_open_orders=5))
    naive.quotes["BTC/USDT"] = Fraction(90), Fraction(110)
    order = desk.intend(spec(Side.SELL, 3, "80"))
    naive.hold(order)
    assert naive.worst("BTC/USDT", Side.SELL) == 3
    assert naive.notional(order) == 270
    naive.executions.append(("BTC/USDT", Side.BUY, Fraction(5)))
    assert naive.worst("BTC/USDT", Side.SELL) == -2
    naive.hold(lifecycle.cancel(order, 1))
    assert naive.worst("BTC/USDT", Side.SELL) == -5
