"""Resting orders on the recorded market, against the same worked out anew: dictionaries, fractions, no code shared."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import ceil
from pathlib import Path

import pytest

from brokergate.domain.instruments import Instrument
from brokergate.domain.orders import OrderType, TimeInForce, TriggerSource
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.filling import FillTerms
from brokergate.sim.market import BookDelta, BookSnapshot, MarketUpdate, TradeUpdate
from brokergate.sim.orders import Executed, WorkingOrder
from brokergate.sim.queue import ConservativeQueue, ProbabilisticQueue, QueueFunction, QueueModel
from brokergate.sim.terms import AccountTerms
from tests.unit.sim.matching.desk import RICH, Desk

Fill = tuple[str, int, int, bool, int]
ORDERS = 30


@cache
def recorded(recording: Path) -> tuple[Instrument, list[MarketUpdate]]:
    tape = open_tape(recording)
    (instrument,) = tape.survey().instruments
    return instrument, [update for *_, update in tape.located()]


@dataclass
class Resting:
    name: str
    side: int
    price: int
    leaves: int
    ahead: int | None = None
    before: int = 0
    traded: int = 0


class Anew:
    """The rules for resting orders, as plainly as they can be written."""

    def __init__(self, exponent: int | None) -> None:
        self.exponent = exponent
        self.told: dict[int, dict[int, int]] = {1: {}, -1: {}}
        self.left: dict[int, dict[int, int]] = {1: {}, -1: {}}
        self.orders: list[Resting] = []
        self.fills: list[Fill] = []

    def best(self, side: int) -> int:
        return max(self.left[side]) if side > 0 else min(self.left[side])

    def shown(self, side: int, price: int) -> int | None:
        book = self.left[side]
        worst = min(book) if side > 0 else max(book)
        return None if side * price < side * worst else book.get(price, 0)

    def rest(self, name: str, side: int, price: int, lots: int) -> None:
        order = Resting(name, side, price, lots, self.shown(side, price))
        order.before = order.ahead or 0
        self.orders.append(order)
        self.orders.sort(key=lambda o: (-o.side, -o.side * o.price))

    def apply(self, update: MarketUpdate) -> None:
        if isinstance(update, TradeUpdate):
            self.trade(update)
        elif isinstance(update, BookDelta | BookSnapshot):
            whole = isinstance(update, BookSnapshot)
            for side, levels in ((1, update.bids), (-1, update.asks)):
                self.tell(side, dict(levels), whole)
            for side, levels in ((1, update.bids), (-1, update.asks)):
                prices = {price for price, _ in levels}
                for order in self.orders:
                    if order.side == side and (whole or order.price in prices):
                        self.depth(order)
                self.meet(side, update.time_ns)

    def tell(self, side: int, levels: dict[int, int], whole: bool) -> None:
        told, left = self.told[side], self.left[side]
        if whole:
            levels = {**{price: 0 for price in told if price not in levels}, **levels}
        for price, size in levels.items():
            before, rest = told.pop(price, 0), left.pop(price, 0)
            if size:
                told[price] = size
                rest = min(size, rest + max(0, size - before))
                if rest:
                    left[price] = rest

    def depth(self, order: Resting) -> None:
        shown = self.shown(order.side, order.price)
        if shown is None:
            return
        if order.ahead is None:
            order.ahead = shown
        elif self.exponent is not None and (gone := order.before - shown - order.traded) > 0 and order.ahead:
            ahead, behind = order.ahead, order.before - order.ahead
            p = Fraction(behind**self.exponent, behind**self.exponent + ahead**self.exponent)
            order.ahead = max(0, ceil(ahead - (1 - p) * gone + min(behind - p * gone, Fraction(0))))
        order.ahead = min(order.ahead, shown)
        order.before, order.traded = shown, 0

    def meet(self, side: int, time_ns: int) -> None:
        for order in [order for order in self.orders if order.side == side]:
            if side * order.price < side * self.best(-side):
                continue
            got = 0
            for price in sorted(self.left[-side], reverse=side < 0):
                if side * price > side * order.price or got == order.leaves:
                    break
                lots = min(order.leaves - got, self.left[-side][price])
                got += lots
                self.left[-side][price] -= lots
                if not self.left[-side][price]:
                    del self.left[-side][price]
            self.give(order, got, time_ns)

    def trade(self, trade: TradeUpdate) -> None:
        size = trade.size
        for order in list(self.orders):
            if not size or order.side * order.price < order.side * trade.price:
                continue
            reach = size
            if order.price == trade.price:
                if trade.aggressor == order.side:
                    continue
                if order.ahead is None:
                    order.ahead = self.shown(order.side, order.price)
                    order.before, order.traded = order.ahead or 0, 0
                if order.ahead is None:
                    continue
                used = min(order.ahead, reach)
                order.ahead -= used
                order.traded += trade.size
                reach -= used
            got = min(reach, order.leaves)
            self.give(order, got, trade.time_ns)
            size -= got

    def give(self, order: Resting, lots: int, time_ns: int) -> None:
        if lots:
            self.fills.append((order.name, order.price, lots, True, time_ns))
            order.leaves -= lots
            if not order.leaves:
                self.orders.remove(order)


@pytest.mark.parametrize(
    ("model", "exponent"),
    [
        (ConservativeQueue(), None),
        (ProbabilisticQueue(QueueFunction.POWER, 1.0), 1),
        (ProbabilisticQueue(QueueFunction.POWER, 3.0), 3),
    ],
)
def test_resting_orders_on_the_recorded_market(
    btc_recording: Path, model: QueueModel, exponent: int | None
) -> None:
    """Every 800th update an order comes to rest on either side, at the touch or somewhat behind it: each fill of the
    346 seconds, its size and its moment, is the one worked out anew."""
    instrument, updates = recorded(btc_recording)
    desk = Desk(instrument, terms=AccountTerms(RICH, fills=FillTerms(queue=model)))
    happenings: list[Executed] = []
    market = desk.venue.listings[instrument.symbol].market
    anew = Anew(exponent)
    for index, update in enumerate(updates):
        market.apply(update)
        anew.apply(update)
        if index % 800 or market.book.distrust:
            continue
        for side in (1, -1):
            best = anew.best(side)
            price, lots = best - side * (index // 800 % 4) * 40, 40_000 + index
            order = WorkingOrder(
                f"{side}-{index}", f"P{index}", instrument.symbol, side, OrderType.LIMIT, TimeInForce.GTC,
                lots, price, None, TriggerSource.UNSPECIFIED,
            )  # fmt: skip
            if any(price == other.price for other in anew.orders):
                continue
            assert market.place(order, update.time_ns) is None
            anew.rest(order.client_order_id, side, price, lots)
    happenings = [happening for happening in desk.venue._happenings if isinstance(happening, Executed)]
    told = [(h.order.client_order_id, h.price, h.lots, h.maker, h.time_ns) for h in happenings]
    assert told == anew.fills
    assert len({name for name, *_ in told}) > ORDERS
