"""The venue and the naive model of it, through thousands of random steps: not one lot of difference."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest

from brokergate.domain.fills import Liquidity
from brokergate.domain.orders import SelfTradePrevention, TriggerSource
from brokergate.ports.broker import Accepted, FillReport, Rejected
from brokergate.sim.fees import FeeSchedule
from brokergate.sim.terms import AccountTerms
from tests.unit.sim.matching.desk import DAY, FOK, GTC, IOC, Desk
from tests.unit.sim.matching.naive import NaiveOrder, NaiveVenue

STEPS = 1500
TAKER, MAKER = "0.1234", "0.0567"
START = {"USDT": "0.12", "BTC": "0.04"}
WAYS = {
    "maker": SelfTradePrevention.UNSPECIFIED,
    "taker": SelfTradePrevention.CANCEL_TAKER,
    "both": SelfTradePrevention.CANCEL_BOTH,
}
SOURCES = {"last": TriggerSource.LAST, "book": TriggerSource.BID_ASK, "any": TriggerSource.UNSPECIFIED}


class Pair:
    """Both, given the same and compared."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        terms = AccountTerms(
            {currency: Decimal(amount) for currency, amount in START.items()},
            FeeSchedule(Decimal(TAKER), Decimal(MAKER)),
        )
        self.desk = Desk(terms=terms)
        self.naive = NaiveVenue(
            Fraction(START["USDT"]), Fraction(START["BTC"]), Fraction(TAKER), Fraction(MAKER)
        )
        self.middle = 100
        self.refusals: set[str] = set()

    def price(self, spread: int = 8) -> int:
        return max(1, self.middle + self.random.randint(-spread, spread))

    def side_levels(self, outward: int, count: int) -> dict[int, int]:
        prices = {self.middle + outward * self.random.randint(1, 9) for _ in range(count)}
        return {price: self.random.randint(1, 9) for price in sorted(prices) if price > 0}

    def move(self) -> None:
        self.middle = max(15, self.middle + self.random.choice((-2, -1, -1, 0, 1, 1, 2)))

    def snapshot(self) -> None:
        self.move()
        bids, asks = self.side_levels(-1, 6), self.side_levels(1, 6)
        self.desk.snapshot(bids.items(), asks.items())
        self.naive.snapshot(bids, asks)

    def delta(self) -> None:
        self.move()
        bids = {price: self.random.choice((0, 0, 3, 8)) for price in self.side_levels(-1, 3)}
        asks = {price: self.random.choice((0, 0, 3, 8)) for price in self.side_levels(1, 3)}
        # What the market moved over is gone, mostly; now and then the feed is broken and crosses.
        if self.random.random() < 0.98:
            bids |= {price: 0 for price in self.naive.books[1] if price >= self.middle}
            asks |= {price: 0 for price in self.naive.books[-1] if price <= self.middle}
        self.desk.delta(bids.items(), asks.items())
        self.naive.delta(bids, asks)

    def trade(self) -> None:
        if not self.naive.told:
            self.snapshot()  # a market of trades alone has rules of its own
            return
        price, lots, aggressor = self.price(4), self.random.randint(1, 9), self.random.choice((-1, 0, 1))
        self.desk.trade(price, lots, aggressor)
        self.naive.traded(price, lots, aggressor)

    def gap(self) -> None:
        if self.random.random() < 0.1:
            self.desk.gap()
            self.naive.gap()

    def place(self) -> None:
        random = self.random
        side, lots = random.choice((1, -1)), random.randint(1, 25)
        limit = self.price() if random.random() < 0.7 else None
        stop = self.price() if random.random() < 0.3 else None
        source = random.choice(list(SOURCES)) if stop is not None else "any"
        tif = random.choice((GTC, DAY) if stop is not None else (GTC, GTC, DAY, IOC, FOK))
        way = random.choice(list(WAYS))
        order = self.desk.order(
            side, lots, limit, stop, tif, SOURCES[source], self_trade_prevention=WAYS[way]
        )
        (outcome,) = self.desk.place([order])
        refusal = self.naive.place(
            NaiveOrder(
                order.client_order_id,
                side,
                lots,
                limit,
                stop,
                source,
                tif in (IOC, FOK),
                tif is FOK,
                stop is not None,
                way=way,
            )
        )
        self.compare_outcome(outcome, refusal)

    def some_order(self) -> NaiveOrder | None:
        return self.random.choice(self.naive.orders) if self.naive.orders else None

    def cancel(self) -> None:
        order = self.some_order()
        if order is not None:
            outcome = self.desk.cancel(order.name)
            self.compare_outcome(outcome, "" if self.naive.cancel(order.name) else "ORDER_ENDED")

    def replace(self) -> None:
        order = self.some_order()
        if order is None:
            return
        lots = max(1, order.filled + order.leaves + self.random.randint(-20, 5))
        limit = order.limit if order.limit is None or self.random.random() < 0.4 else self.price()
        stop = order.stop if not order.waiting or self.random.random() < 0.4 else self.price()
        outcome = self.desk.replace(order.name, lots, limit, stop)
        self.compare_outcome(outcome, self.naive.replace(order.name, lots, limit, stop))

    def compare_outcome(self, outcome: object, refusal: str) -> None:
        self.refusals.add(refusal)
        if isinstance(outcome, Rejected):
            assert outcome.reason.name == refusal, outcome.message
        else:
            assert isinstance(outcome, Accepted)
            assert not refusal

    def compare(self) -> None:
        ours = [
            (*fill, report.liquidity is Liquidity.MAKER)
            for report, fill in zip(
                [r for r in self.desk.log if isinstance(r, FillReport)], self.desk.fills(), strict=True
            )
        ]
        theirs = [(fill.name, fill.price, fill.lots, fill.maker) for fill in self.naive.fills]
        assert ours == theirs
        assert self.desk.changes() == self.naive.ended
        total, held = self.naive.total(), self.naive.held()
        for currency in ("USDT", "BTC"):
            balance = self.desk.balance(currency)
            assert (Fraction(balance.total), Fraction(balance.held)) == (total[currency], held[currency])
        if self.naive.fills:
            lots, cost, realized = self.naive.position()
            position = self.desk.position()
            assert Fraction(position.quantity) == Fraction(lots, 1000)
            assert (Fraction(position.cost), Fraction(position.realized_pnl)) == (cost, realized)


@pytest.mark.parametrize("seed", range(4))
def test_the_venue_does_what_the_rules_say(seed: int) -> None:
    """Fills, ends, refusals, balances, holds, position and profit agree after every step, to the last digit."""
    pair = Pair(seed)
    actions = [pair.snapshot, pair.delta, pair.trade, pair.gap, pair.place, pair.cancel, pair.replace]
    weights = [2, 6, 5, 1, 8, 2, 3]
    for step in range(STEPS):
        pair.random.choices(actions, weights)[0]()
        if step % 50 == 0 or step == STEPS - 1:
            pair.compare()
    makers = sum(fill.maker for fill in pair.naive.fills)
    assert makers > 50
    assert len(pair.naive.fills) - makers > 50
    assert {
        "",
        "INSUFFICIENT_FUNDS",
        "NOT_FILLABLE",
        "STALE_MARKET_DATA",
        "REPLACE_BELOW_FILLED",
        "SELF_TRADE",
    } <= pair.refusals
