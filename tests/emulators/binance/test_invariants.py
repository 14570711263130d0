"""Whatever is done to it, the account adds up: random days by seed, in this process."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from brokergate.domain.orders import OrderState, Side
from tests.emulators.binance.errors import ApiError
from tests.emulators.binance.events import UserEvents
from tests.emulators.binance.lists import ListExchange
from tests.emulators.binance.market import PublicMarket
from tests.emulators.binance.parameters import Parameters
from tests.emulators.binance.showing import kept
from tests.emulators.clock import VenueClock
from tests.emulators.orders import BookMoved, Happening

BALANCES = {"BTC": Decimal(5), "ETH": Decimal(50), "USDT": Decimal(200_000)}
STEPS = 120
CODES = {-1013, -1015, -1111, -2010, -2011, -2021, -2022, -2038}
"""What a random day may be refused for; everything else is an error of the emulator or of the test."""


class RandomDay:
    """A market and a client who do anything, the venue's own account of it, and what was told to listeners."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.exchange = ListExchange(VenueClock(), dict(BALANCES))
        self.exchange.limits.set(orders_10s=10_000)
        self.core = self.exchange.core
        self.told: list[dict[str, Any]] = []
        UserEvents(self.exchange).sinks.append(self.told.append)
        self.market = PublicMarket(self.exchange)
        self.public: dict[str, dict[Decimal, Decimal]] = {"bids": {}, "asks": {}}
        self.core.listeners.append(self._listen)
        self.middle = 50_000
        self._show()

    def _listen(self, happening: Happening) -> None:
        if isinstance(happening, BookMoved):
            bids, asks = self.market.refresh("BTCUSDT")
            for side, changes in (("bids", bids), ("asks", asks)):
                self.public[side] |= changes
                self.public[side] = {price: size for price, size in self.public[side].items() if size}

    def step(self) -> None:
        """Anything."""
        moves: list[Callable[[], None]] = [
            self._show, self._trade, self._place, self._place, self._place, self._cancel, self._replace, self._amend,
            self._oco, self._otoco, self._fill, self._cancel_all,
        ]  # fmt: skip
        weights = [3, 6, 3, 3, 3, 3, 2, 2, 1, 1, 1, 0.3]
        try:
            self.random.choices(moves, weights)[0]()
        except ApiError as error:
            if error.code not in CODES:
                raise

    def price(self, width: int = 300) -> str:
        return f"{self.middle + self.random.randint(-width, width)}.{self.random.choice(('00', '50'))}"

    def quantity(self) -> str:
        return self.random.choice(("0.001", "0.05", "0.3", "1", "2.5"))

    def _show(self) -> None:
        self.middle += self.random.randint(-100, 100)
        sides: list[list[tuple[Decimal, Decimal]]] = [
            [
                (Decimal(self.middle + sign * 5 * level), Decimal(self.quantity()))
                for level in range(1, self.random.randint(1, 5) + 1)
            ]
            for sign in (-1, 1)
        ]
        self.core.show("BTCUSDT", sides[0], sides[1], self.exchange.now_ns)

    def _trade(self) -> None:
        taker = self.random.choice(("buy", "sell", ""))
        price, quantity = Decimal(self.price()), Decimal(self.quantity())
        self.core.trade("BTCUSDT", price, quantity, taker, self.exchange.now_ns)

    def _place(self) -> None:
        kind = self.random.choice(
            ("LIMIT", "LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "TAKE_PROFIT_LIMIT", "STOP_LOSS_LIMIT")
        )
        wanted = {"side": self.random.choice(("BUY", "SELL")), "type": kind, "quantity": self.quantity()}
        if kind in ("LIMIT", "TAKE_PROFIT_LIMIT", "STOP_LOSS_LIMIT"):
            wanted["timeInForce"] = self.random.choice(("GTC", "GTC", "IOC", "FOK"))
        if kind not in ("MARKET", "STOP_LOSS"):
            wanted["price"] = self.price()
        if kind in ("STOP_LOSS", "TAKE_PROFIT_LIMIT", "STOP_LOSS_LIMIT"):
            wanted[self.random.choice(("stopPrice", "stopPrice", "trailingDelta"))] = "0"
            if "stopPrice" in wanted:
                wanted["stopPrice"] = self.price()
            else:
                wanted["trailingDelta"] = str(self.random.randint(10, 100))
        if kind == "LIMIT" and wanted["timeInForce"] == "GTC" and self.random.random() < 0.2:
            wanted["icebergQty"] = "0.3"
        wanted["selfTradePreventionMode"] = self.random.choice(
            ("EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")
        )
        self.do(self.exchange.place, **wanted)

    def _any(self) -> str:
        names = [order.client_order_id for order in self.core.orders[-30:]]
        return self.random.choice(names or ["none"])

    def _cancel(self) -> None:
        self.do(self.exchange.cancel, origClientOrderId=self._any())

    def _cancel_all(self) -> None:
        self.do(self.exchange.cancel_all)

    def _replace(self) -> None:
        self.do(
            self.exchange.cancel_replace,
            cancelReplaceMode=self.random.choice(("STOP_ON_FAILURE", "ALLOW_FAILURE")),
            cancelOrigClientOrderId=self._any(),
            side=self.random.choice(("BUY", "SELL")),
            type="LIMIT",
            timeInForce="GTC",
            quantity=self.quantity(),
            price=self.price(),
        )

    def _amend(self) -> None:
        self.do(self.exchange.amend, origClientOrderId=self._any(), newQty=self.quantity())

    def _oco(self) -> None:
        self.do(
            self.exchange.place_oco,
            side="SELL",
            quantity=self.quantity(),
            aboveType="LIMIT_MAKER",
            abovePrice=str(self.middle + 150),
            belowType="STOP_LOSS",
            belowStopPrice=str(self.middle - 150),
        )

    def _otoco(self) -> None:
        self.do(
            self.exchange.place_otoco,
            workingType="LIMIT",
            workingSide="BUY",
            workingPrice=self.price(50),
            workingQuantity="0.3",
            workingTimeInForce="GTC",
            pendingSide="SELL",
            pendingQuantity="0.29",
            pendingAboveType="LIMIT_MAKER",
            pendingAbovePrice=str(self.middle + 200),
            pendingBelowType="STOP_LOSS",
            pendingBelowStopPrice=str(self.middle - 200),
        )

    def _fill(self) -> None:
        side = Side.SELL if self.core.free("BTC") >= 1 else Side.BUY
        self.core.add_fill("BTCUSDT", side, Decimal("0.01"), Decimal(self.price()), self.exchange.now_ns)

    def do(self, command: Callable[[Parameters], Any], **parameters: str) -> None:
        """A command of the client's."""
        command(Parameters({"symbol": "BTCUSDT"} | parameters))


def check(day: RandomDay) -> None:
    core = day.core
    expected = dict(BALANCES)
    for execution in core.executions:
        sign = 1 if execution.order.buys else -1
        expected["BTC"] += sign * execution.quantity
        expected["USDT"] -= sign * execution.quantity * execution.price
        expected[execution.fee_currency] -= execution.fee
    assert {name: core.totals[name] for name in expected} == expected
    for currency in expected:
        assert core.free(currency) >= 0, f"{currency} is overdrawn"
    working = {order.client_order_id for order in core.venue.open_orders()}
    assert working == {order.key for order in core.open.values() if not order.asleep}
    for order in core.orders:
        assert order.open == (order.number in core.open)
        assert order.cum_quantity <= order.quantity
        assert (order.state is OrderState.FILLED) == (
            order.cum_quantity == order.quantity and bool(order.quantity)
        )
        if order.spec.limit_price is not None:
            sign = 1 if order.buys else -1
            assert all(sign * each.price <= sign * order.spec.limit_price for each in order.executions)
    for order_list in day.exchange.lists:
        assert order_list.done == (not any(leg.open for leg in order_list.legs))
        filled = [leg for leg in order_list.either if leg.executions]
        assert len(filled) <= 1, "both legs have filled"


def check_told(day: RandomDay) -> None:
    """A client that heard everything knows everything."""
    reports = [event for event in day.told if event["e"] == "executionReport"]
    last = {event["i"]: event for event in reports}
    assert last.keys() == {order.number for order in day.core.orders}
    for order in day.core.orders:
        event = last[order.number]
        assert Decimal(event["z"]) == order.cum_quantity
        assert event["X"] in (order.state.name, "PENDING_NEW", "EXPIRED_IN_MATCH"), kept(order)
    trades = [event["t"] for event in reports if event["x"] == "TRADE"]
    assert trades == [execution.trade for execution in day.core.executions]
    assert len({event["I"] for event in reports}) == len(reports)
    balances: dict[str, dict[str, str]] = {}
    for event in day.told:
        if event["e"] == "outboundAccountPosition":
            balances |= {row["a"]: row for row in event["B"]}
    for currency, row in balances.items():
        assert Decimal(row["f"]) == day.core.free(currency).quantize(Decimal("1e-8"))
    view = day.core.book("BTCUSDT", 100)
    assert view is not None
    assert (day.public["bids"], day.public["asks"]) == (dict(view.bids), dict(view.asks))


@pytest.mark.parametrize("seed", range(20))
def test_a_random_day_adds_up(seed: int) -> None:
    day = RandomDay(seed)
    for _ in range(STEPS):
        day.step()
        check(day)
    check_told(day)
    assert day.core.executions
    assert any(not order.executions for order in day.core.orders)
