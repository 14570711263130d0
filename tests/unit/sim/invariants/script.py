"""Random days: each step is a row of small numbers, which say what the market or the trader does next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random

from brokergate.domain import lifecycle
from brokergate.domain.orders import (
    Order,
    OrderSpec,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TriggerSource,
)
from brokergate.ports.broker import Accepted, GroupKind, OrderGroup, Outcome, ReplaceCommand, Report
from brokergate.sim.fees import FeeSchedule
from brokergate.sim.market import BookDelta, BookSnapshot, FeedGap, MarketUpdate, QuoteUpdate, TradeUpdate
from brokergate.sim.terms import AccountTerms
from brokergate.sim.venue import Venue
from tests.unit.sim.invariants.judge import Judge
from tests.unit.sim.matching.desk import BTC, EUR, NEW, price, quantity

WIDTH = 9
"""Numbers a step."""
Row = tuple[int, ...]
START_NS = 1_700_005_800 * 10**9
"""Ten minutes before a day of UTC ends."""
START = {"USDT": Decimal(100), "BTC": Decimal("0.02"), "USD": Decimal(100)}
FEES = FeeSchedule(Decimal("0.1234"), Decimal("0.0567"))
INSTRUMENTS = (BTC, EUR)
FORCES = (
    TimeInForce.GTC,
    TimeInForce.GTC,
    TimeInForce.IOC,
    TimeInForce.FOK,
    TimeInForce.DAY,
    TimeInForce.GTD,
)
TYPES = (
    OrderType.LIMIT,
    OrderType.LIMIT,
    OrderType.LIMIT,
    OrderType.MARKET,
    OrderType.STOP,
    OrderType.STOP_LIMIT,
    OrderType.TRAILING_STOP,
    OrderType.MARKET_IF_TOUCHED,
    OrderType.LIMIT_IF_TOUCHED,
)
LIMITED = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED)
STOPPED = (
    OrderType.STOP,
    OrderType.STOP_LIMIT,
    OrderType.MARKET_IF_TOUCHED,
    OrderType.LIMIT_IF_TOUCHED,
)


def rows(seed: int, count: int) -> list[Row]:
    """A day of a seed."""
    random = Random(seed)
    return [tuple(random.randrange(256) for _ in range(WIDTH)) for _ in range(count)]


class Day:
    """Plays rows on a venue, with a judge beside it."""

    def __init__(self, terms: AccountTerms | None = None, share: Decimal = Decimal(1)) -> None:
        self.terms = terms or AccountTerms(START, FEES)
        self.venue = Venue(INSTRUMENTS, self.terms, NEW, START_NS)
        self.judge = Judge(INSTRUMENTS, START, share)
        self.now_ns = START_NS
        self.middle = {instrument.symbol: 100 for instrument in INSTRUMENTS}
        self.log: list[object] = list(self.venue.opening())
        self.outcomes: dict[str, int] = {}
        self._names = 0

    def play(self, day: Sequence[Row]) -> list[str]:
        """Plays to the end; returns what the judge found."""
        for symbol in self.middle:
            self._market(BookSnapshot(self.now_ns, symbol, ((99, 5), (98, 5)), ((101, 5), (102, 5))))
        for row in day:
            self.step(row)
            if self.judge.findings:
                break
            self.check()
        return self.judge.findings

    def check(self) -> None:
        """Everything that can be asked, against the judge's own books."""
        venue = self.venue
        self.judge.settle(
            {balance.currency: balance.total for balance in venue.balances()},
            {position.symbol: position.quantity for position in venue.positions()},
            {
                order.client_order_id: (shown.quantity, shown.cum_quantity)
                for order in venue.open_orders()
                for shown in (venue.listings[order.symbol].shown(order),)
            },
            venue.now_ns,
        )

    def step(self, row: Row) -> None:
        """One step."""
        numbers = iter(row[1:])
        self.now_ns += next(numbers) * 1_000
        kind = row[0] % 16
        symbol = INSTRUMENTS[next(numbers) % 4 == 0].symbol
        if kind < 6:
            self._move(kind, symbol, numbers)
        elif kind == 6:
            self.now_ns += next(numbers) * 10**9
            self._hear(self.venue.advance(self.now_ns))
        elif kind < 12:
            self._place([self._spec(symbol, numbers)])
        elif kind == 12:
            self._link(symbol, numbers)
        elif self.venue.open_orders():
            orders = [self.judge.orders[order.client_order_id] for order in self.venue.open_orders()]
            chosen = orders[next(numbers) % len(orders)].order
            if kind < 14:
                self._cancel(chosen)
            else:
                self._replace(chosen, numbers)

    # The market

    def _move(self, kind: int, symbol: str, numbers: Iterator[int]) -> None:
        middle = self.middle[symbol] = max(20, self.middle[symbol] + next(numbers) % 7 - 3)
        if kind < 2:
            levels = [self._levels(middle, side, numbers, 1) for side in (-1, 1)]
            self._market(BookSnapshot(self.now_ns, symbol, *levels))
        elif kind == 2:
            levels = [self._levels(middle, side, numbers, 0) for side in (-1, 1)]
            self._market(BookDelta(self.now_ns, symbol, *levels))
        elif kind == 3 and next(numbers) % 3 == 0:
            bid, ask = (middle - 1, 1 + next(numbers) % 9), (middle + 1, 1 + next(numbers) % 9)
            self._market(QuoteUpdate(self.now_ns, symbol, bid, ask))
        elif kind == 4 and next(numbers) % 16 == 15:
            self._market(FeedGap(self.now_ns, symbol, "lost"))
        else:
            at, size = middle + next(numbers) % 7 - 3, 1 + next(numbers) % 12
            self._market(TradeUpdate(self.now_ns, symbol, at, size, next(numbers) % 3 - 1))

    @staticmethod
    def _levels(middle: int, outward: int, numbers: Iterator[int], least: int) -> tuple[tuple[int, int], ...]:
        """Some prices near the middle, from three bits each: which, and how much."""
        bits, sizes = next(numbers), next(numbers)
        chosen = [offset for offset in range(1, 7) if bits >> offset & 1]
        return tuple((middle + outward * offset, max(least, (sizes * offset) % 10)) for offset in chosen)

    def _market(self, update: MarketUpdate) -> None:
        judge, symbol = self.judge, update.symbol
        before_expiry = self.venue.advance(self.now_ns)
        self._hear(before_expiry)
        shown = judge.shown[symbol]
        trade = None
        if isinstance(update, BookSnapshot):
            for side, levels in ((1, update.bids), (-1, update.asks)):
                shown[side].tell_all({price(at): quantity(size) for at, size in levels})
        elif isinstance(update, BookDelta) and self.venue.quote(symbol) is not None:
            for side, levels in ((1, update.bids), (-1, update.asks)):
                for at, size in levels:
                    shown[side].tell(price(at), quantity(size))
        elif isinstance(update, QuoteUpdate):
            for side, level in ((1, update.bid), (-1, update.ask)):
                shown[side].tell_all({price(level[0]): quantity(level[1])} if level else {})
        elif isinstance(update, TradeUpdate):
            trade = price(update.price), quantity(update.size), update.aggressor
        reports = self.venue.apply((update,), self.now_ns)
        trusted = self.venue.quote(symbol) is not None
        due = judge.moves(symbol, trade, trusted=trusted)
        self._hear(reports, symbol)
        judge.moved(symbol, due, trusted=trusted)

    # Orders

    def _spec(self, symbol: str, numbers: Iterator[int]) -> OrderSpec:
        middle = self.middle[symbol]
        kind, flags = TYPES[next(numbers) % len(TYPES)], next(numbers)
        side = Side.BUY if flags & 1 else Side.SELL
        size, force = 1 + next(numbers) % 9, FORCES[next(numbers) % len(FORCES)]
        limit, stop = middle + next(numbers) % 9 - 4, middle + next(numbers) % 11 - 5
        plain = kind in (OrderType.LIMIT, OrderType.MARKET)
        if not plain and force in (TimeInForce.IOC, TimeInForce.FOK):
            force = TimeInForce.GTC
        if kind is OrderType.MARKET and force is TimeInForce.GTD:
            force = TimeInForce.DAY
        by_book = kind in (OrderType.STOP, OrderType.STOP_LIMIT) and bool(flags & 2)
        rests = kind is OrderType.LIMIT and force not in (TimeInForce.IOC, TimeInForce.FOK)
        return OrderSpec(
            symbol=symbol,
            side=side,
            type=kind,
            quantity=quantity(size),
            limit_price=price(limit) if kind in LIMITED else None,
            stop_price=price(stop) if kind in STOPPED else None,
            trail_amount=price(1 + stop % 4) if kind is OrderType.TRAILING_STOP else None,
            trigger_source=TriggerSource.UNSPECIFIED
            if plain
            else TriggerSource.BID_ASK
            if by_book
            else TriggerSource.LAST,
            time_in_force=force,
            expire_time_ns=self.now_ns + size * 30 * 10**9 if force is TimeInForce.GTD else None,
            post_only=rests and flags & 12 == 12,
            reduce_only=flags & 48 == 48,
            display_quantity=quantity(1 + size // 3) if rests and flags & 192 == 192 else None,
            self_trade_prevention=SelfTradePrevention(flags >> 2 & 3)
            if flags & 32
            else SelfTradePrevention(0),
        )

    def _orders(self, specs: Sequence[OrderSpec], group_id: str = "") -> list[Order]:
        made = []
        for spec in specs:
            self._names += 1
            assert spec.quantity is not None
            made.append(
                lifecycle.intend(
                    order_id=f"o{self._names}",
                    client_order_id=f"c{self._names}",
                    account_id="paper",
                    spec=spec,
                    quantity=spec.quantity,
                    multiplier=Decimal(1),
                    now_ns=self.now_ns,
                    group_id=group_id,
                )
            )
        return made

    def _place(self, specs: Sequence[OrderSpec]) -> None:
        self._hear(self.venue.advance(self.now_ns))
        orders = self._orders(specs)
        for order, outcome in zip(orders, self.venue.place(orders, self.now_ns), strict=True):
            self._count(outcome)
            self.judge.placed(order, outcome, self.now_ns)
            self._hear(list(outcome.reports), order.spec.symbol)

    def _link(self, symbol: str, numbers: Iterator[int]) -> None:
        """A bracket or an OCO around the middle."""
        self._hear(self.venue.advance(self.now_ns))
        middle, flags, size = self.middle[symbol], next(numbers), quantity(1 + next(numbers) % 6)
        away = 1 + next(numbers) % 4
        side, sign = (Side.BUY, 1) if flags & 1 else (Side.SELL, -1)
        closing = Side.SELL if side is Side.BUY else Side.BUY
        entry = OrderSpec(symbol, side, OrderType.LIMIT, size, limit_price=price(middle - sign * (flags % 3)))
        profit = OrderSpec(symbol, closing, OrderType.LIMIT, size, limit_price=price(middle + sign * away))
        loss = OrderSpec(
            symbol,
            closing,
            OrderType.STOP,
            size,
            stop_price=price(middle - sign * (away + 2)),
            trigger_source=TriggerSource.LAST,
        )
        bracket = bool(flags & 2)
        specs = [replace(spec, time_in_force=TimeInForce.GTC) for spec in (entry, profit, loss)]
        orders = self._orders(specs if bracket else specs[1:], "g")
        group = OrderGroup(GroupKind.BRACKET if bracket else GroupKind.OCO, tuple(orders))
        names = tuple(order.client_order_id for order in orders)
        outcomes = self.venue.place_group(group, self.now_ns)
        for order, outcome in zip(orders, outcomes, strict=True):
            self._count(outcome)
            self.judge.placed(order, outcome, self.now_ns, names, bracket=bracket)
        for outcome in outcomes:
            self._hear(list(outcome.reports), symbol)

    def _cancel(self, order: Order) -> None:
        outcome = self.venue.cancel(order, self.now_ns)
        self._count(outcome)
        self._hear(list(outcome.reports), order.spec.symbol)

    def _replace(self, order: Order, numbers: Iterator[int]) -> None:
        self._hear(self.venue.advance(self.now_ns))
        judged = self.judge.orders[order.client_order_id]
        if not judged.open:
            return
        size, spec = quantity(1 + next(numbers) % 9), order.spec
        middle, shift = self.middle[spec.symbol], next(numbers) % 9 - 4
        limit = judged.limit if shift == 0 or judged.limit is None else price(middle + shift)
        stop = judged.stop if shift == 0 or judged.stop is None else price(middle - shift)
        display = spec.display_quantity
        spec = replace(
            spec,
            quantity=size,
            limit_price=limit,
            stop_price=stop,
            display_quantity=None if display is None else min(display, size),
        )
        known = replace(order, generation=order.generation + 1)
        outcome = self.venue.replace(ReplaceCommand(order, spec, size), self.now_ns)
        self._count(outcome)
        if isinstance(outcome, Accepted):
            self.judge.replaced(order.client_order_id, size, limit, stop)
            self.judge.orders[order.client_order_id].order = known
        self._hear(list(outcome.reports), order.spec.symbol)

    def _count(self, outcome: Outcome) -> None:
        name = "accepted" if isinstance(outcome, Accepted) else outcome.reason.name  # type: ignore[union-attr]
        self.outcomes[name] = self.outcomes.get(name, 0) + 1

    def _hear(self, reports: Sequence[Report], symbol: str = "") -> None:
        self.log.extend(reports)
        trusted = not symbol or self.venue.quote(symbol) is not None
        self.judge.hear(list(reports), self.now_ns, trusted=trusted)
