"""What holds of every fill on random books, whatever the terms: limits, sizes, priority, participation, adversity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain.fills import Liquidity
from brokergate.ports.broker import Accepted, FillReport, Report
from brokergate.sim.filling import FillTerms
from brokergate.sim.queue import ConservativeQueue, ProbabilisticQueue, QueueFunction
from brokergate.sim.slippage import FixedSlippage, MarketImpactSlippage, PercentageSlippage
from brokergate.sim.terms import AccountTerms
from tests.unit.sim.matching.desk import GTC, IOC, RICH, Desk

D = Decimal
terms = st.builds(
    FillTerms,
    st.sampled_from(
        [
            ConservativeQueue(),
            ProbabilisticQueue(),
            ProbabilisticQueue(QueueFunction.LOG),
            ProbabilisticQueue(exponent=0.5),
        ]
    ),
    st.sampled_from(
        [None, FixedSlippage(D("0.01")), PercentageSlippage(D(2)), MarketImpactSlippage(D(1), 0.05, 0.1)]
    ),
    st.just(""),
    st.sampled_from([None, D(30), D(100)]),
)
near = st.integers(-4, 4)
sizes = st.lists(st.integers(0, 9), min_size=4, max_size=4)
steps = st.one_of(
    st.tuples(st.just("snapshot"), near, sizes, sizes),
    st.tuples(st.just("delta"), near, sizes, sizes),
    st.tuples(st.just("trade"), near, st.integers(1, 30), st.sampled_from([-1, 0, 1])),
    st.tuples(st.just("order"), st.sampled_from([-1, 1]), st.integers(1, 20), st.none() | near),
    st.tuples(st.just("ioc"), st.sampled_from([-1, 1]), st.integers(1, 20), st.none() | near),
)


class Watched:
    """A desk whose every fill is judged by what the market and the orders were before it."""

    def __init__(self, terms: FillTerms) -> None:
        self.terms = terms
        self.desk = Desk(terms=AccountTerms(RICH, fills=terms))
        self.asked: dict[str, tuple[int, int, int | None]] = {}
        self.got: dict[str, int] = defaultdict(int)

    def levels(self) -> dict[int, dict[int, int]]:
        """What can be taken, by the side of who takes it."""
        book = self.desk.venue.listings[self.desk.symbol].market.book
        return {1: dict(book.asks.levels(99)), -1: dict(book.bids.levels(99))}

    def market(self, what: str, at: int, first: object, second: object) -> None:
        desk = self.desk
        resting = {order.client_order_id: order for order in desk.venue.open_orders()}
        if what == "trade":
            assert isinstance(first, int)
            assert isinstance(second, int)
            told = desk.trade(100 + at, first, second)
        else:
            assert isinstance(first, list)
            assert isinstance(second, list)
            bids = [(99 + at - step, size) for step, size in enumerate(first)]
            asks = [(101 + at + step, size) for step, size in enumerate(second)]
            if what == "snapshot":
                told = desk.snapshot(
                    [level for level in bids if level[1]], [level for level in asks if level[1]]
                )
            else:
                told = desk.delta(bids, asks)
        fills = self.judge(told)
        assert all(fill.liquidity is Liquidity.MAKER for fill in fills)
        taken = sum(int(fill.quantity.scaleb(3)) for fill in fills)
        if what == "trade":
            assert isinstance(first, int)
            part = self.terms.participation_percent
            assert taken <= (first if part is None else first * int(part) // 100)
        for fill in fills:  # nobody of ours with a better claim was left standing
            order = resting[fill.client_order_id]
            for other in desk.venue.open_orders():
                if other.side == order.side and other.limit is not None and order.limit is not None:
                    better = other.side * (other.limit - order.limit)
                    earlier = other.number < order.number
                    assert better < 0 or (better == 0 and not earlier) or other is order

    def order(self, what: str, side: int, lots: int, at: int | None) -> None:
        limit = None if at is None else 100 + at
        before = self.levels()[side]
        name = f"c{len(self.desk.orders) + 1}"
        self.asked[name] = (side, lots, limit)
        outcome = self.desk.send(side, lots, limit, tif=IOC if what == "ioc" else GTC)
        if not isinstance(outcome, Accepted):
            del self.asked[name]
            return
        fills = self.judge(outcome.reports)
        paid = [(int(fill.price.scaleb(2)), int(fill.quantity.scaleb(3))) for fill in fills]
        assert all(fill.liquidity is Liquidity.TAKER for fill in fills)
        if self.terms.slippage is None:
            assert all(size <= before[price] for price, size in paid)
        # Level for level no better than the book, and no more of it than it had.
        shown = sorted(before.items(), key=lambda level: side * level[0])
        assert all(side * price >= side * level[0] for (price, _), level in zip(paid, shown, strict=False))
        after = self.levels()[side]
        assert sum(before.values()) - sum(after.values()) == sum(size for _, size in paid)

    def judge(self, told: Sequence[Report]) -> list[FillReport]:
        fills = [report for report in told if isinstance(report, FillReport)]
        for fill in fills:
            side, lots, limit = self.asked[fill.client_order_id]
            price = int(fill.price.scaleb(2))
            if limit is not None:
                assert side * price <= side * limit
                assert fill.liquidity is Liquidity.TAKER or price == limit
            self.got[fill.client_order_id] += int(fill.quantity.scaleb(3))
            assert self.got[fill.client_order_id] <= lots
        return fills


@given(terms, st.lists(steps, max_size=40))
def test_every_fill_keeps_the_invariants(
    terms: FillTerms, doings: list[tuple[str, int, object, object]]
) -> None:
    """Never worse than the limit, a maker's exactly it; a taker's within what was shown, all of it consumed; better
    price and earlier order first; the participation of a trade shared; slippage never to our gain."""
    watched = Watched(terms)
    watched.market("snapshot", 0, [3, 4, 5, 6], [3, 4, 5, 6])
    for what, first, second, third in doings:
        if what in ("order", "ioc"):
            assert isinstance(second, int)
            assert third is None or isinstance(third, int)
            watched.order(what, first, second, third)
        else:
            watched.market(what, first, second, third)
    open_lots = {order.client_order_id: order.leaves for order in watched.desk.venue.open_orders()}
    ended = {name for name, what in watched.desk.changes() if what == "CANCELED"}
    for name, (_, lots, _) in watched.asked.items():
        assert watched.got[name] + open_lots.get(name, 0) == lots or name in ended
