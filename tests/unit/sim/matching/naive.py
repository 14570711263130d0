"""The venue's rules once more, as plainly as they can be written: lists, loops, fractions, everything worked out anew.

Spot only. Prices in ticks, sizes in lots. Written from the rules (sim/matching.py and sim/funds.py say them in their
docstrings), sharing no code with the venue.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

TICK, LOT, FEE_STEP = Fraction(1, 100), Fraction(1, 1000), Fraction(1, 10**8)


@dataclass
class NaiveOrder:
    name: str
    side: int
    leaves: int
    limit: int | None
    stop: int | None
    source: str
    """`last`, `book` or `any`."""
    at_once: bool
    whole: bool
    waiting: bool
    time: int = 0
    ahead: int | None = 0
    filled: int = 0
    way: str = "maker"
    """Who is cancelled where it meets an order of its own account: `maker`, `taker` or `both`."""


@dataclass
class NaiveFill:
    name: str
    side: int
    price: int
    lots: int
    maker: bool


class NaiveVenue:
    def __init__(self, usdt: Fraction, btc: Fraction, taker: Fraction, maker: Fraction) -> None:
        self.start = {"USDT": usdt, "BTC": btc}
        self.rates = {True: maker, False: taker}
        self.books: dict[int, dict[int, int]] = {1: {}, -1: {}}
        self.told_sizes: dict[int, dict[int, int]] = {1: {}, -1: {}}
        self.trusted = False
        self.told = False
        self.last: int | None = None
        self.orders: list[NaiveOrder] = []
        self.fills: list[NaiveFill] = []
        self.ended: list[tuple[str, str]] = []
        self.time = 0

    # Money, always from the beginning

    def fee(self, notional: Fraction, maker: bool) -> Fraction:
        steps = notional * self.rates[maker] / 100 / FEE_STEP
        return round(steps) * FEE_STEP  # Python rounds a fraction half to even

    def total(self) -> dict[str, Fraction]:
        total = dict(self.start)
        for fill in self.fills:
            notional = fill.price * TICK * fill.lots * LOT
            total["USDT"] -= fill.side * notional + self.fee(notional, fill.maker)
            total["BTC"] += fill.side * fill.lots * LOT
        return total

    def aside(self, order: NaiveOrder, lots: int) -> tuple[str, Fraction]:
        if order.side < 0:
            return "BTC", lots * LOT
        price = order.limit if order.limit is not None else order.stop
        assert price is not None
        notional = price * TICK * lots * LOT
        return "USDT", notional + max(
            ceil(notional * rate / 100 / FEE_STEP) for rate in self.rates.values()
        ) * FEE_STEP

    def held(self, without: NaiveOrder | None = None) -> dict[str, Fraction]:
        held = {"USDT": Fraction(0), "BTC": Fraction(0)}
        for order in self.orders:
            if order is not without:
                currency, amount = self.aside(order, order.leaves)
                held[currency] += amount
        return held

    def position(self) -> tuple[int, Fraction, Fraction]:
        """Lots, cost and realised profit, first in first out, lot by lot."""
        queue: list[int] = []
        side, realized = 0, Fraction(0)
        for fill in self.fills:
            for _ in range(fill.lots):
                if queue and side != fill.side:
                    realized += side * (fill.price - queue.pop(0)) * TICK * LOT
                else:
                    side = fill.side
                    queue.append(fill.price)
        return side * len(queue), side * sum(queue) * TICK * LOT, realized

    # The market

    def levels(self, side: int) -> list[tuple[int, int]]:
        """What takers of `side` find, best first."""
        return sorted(self.books[-side].items(), key=lambda level: side * level[0])

    def snapshot(self, bids: dict[int, int], asks: dict[int, int]) -> None:
        for side, sizes in ((1, bids), (-1, asks)):
            gone = {price: 0 for price in self.told_sizes[side] if price not in sizes}
            self.renew(side, {**gone, **sizes})
        self.told = self.trusted = True
        self.moved({(side, price) for side in (1, -1) for price in range(400)})

    def delta(self, bids: dict[int, int], asks: dict[int, int]) -> None:
        if not self.trusted:
            return
        for side, levels in ((1, bids), (-1, asks)):
            self.renew(side, levels)
        self.moved({(1, price) for price in bids} | {(-1, price) for price in asks})

    def renew(self, side: int, levels: dict[int, int]) -> None:
        """What is told again was told before: only what a level grew by is new, and it holds no more than it says."""
        for price, size in levels.items():
            before = self.told_sizes[side].pop(price, 0)
            left = self.books[side].pop(price, 0) + max(0, size - before)
            if size:
                self.told_sizes[side][price] = size
            if min(left, size):
                self.books[side][price] = min(left, size)

    def gap(self) -> None:
        self.trusted = False

    def shown(self, side: int, price: int) -> int | None:
        book = self.books[side]
        if book and side * price < min(side * other for other in book):
            return None
        return book.get(price, 0)

    def resting(self, side: int) -> list[NaiveOrder]:
        orders = [order for order in self.orders if order.side == side and not order.waiting]
        return sorted(orders, key=lambda order: (-side * (order.limit or 0), order.time))

    def moved(self, told: set[tuple[int, int]]) -> None:
        if self.books[1] and self.books[-1] and max(self.books[1]) >= min(self.books[-1]):
            self.trusted = False
            return
        for side in (1, -1):
            for order in self.resting(side):
                assert order.limit is not None
                size = self.shown(side, order.limit)
                if (side, order.limit) in told and size is not None:
                    order.ahead = size if order.ahead is None else min(order.ahead, size)
            for order in self.resting(side):
                lots = sum(size for _, size in self.take(order))
                self.give(order, lots)
        self.set_off()

    def traded(self, price: int, lots: int, aggressor: int) -> None:
        self.last = price
        if not self.trusted:
            return
        for side in (1, -1):
            for order in self.resting(side):
                assert order.limit is not None
                if side * order.limit < side * price:
                    continue
                reach = lots
                if order.limit == price:
                    if aggressor == side:
                        continue
                    if order.ahead is None and lots:
                        order.ahead = self.shown(side, price)
                    if order.ahead is None:
                        continue
                    used = min(order.ahead, reach)
                    order.ahead -= used
                    reach -= used
                got = min(reach, order.leaves)
                self.give(order, got)
                lots -= got
        self.set_off()

    def reached(self, order: NaiveOrder) -> bool:
        assert order.stop is not None
        if order.source == "last" or (order.source == "any" and self.last is not None):
            price = self.last
        else:
            levels = self.levels(order.side)
            price = levels[0][0] if levels else None
        return price is not None and order.side * price >= order.side * order.stop

    def set_off(self) -> None:
        due = [order for order in self.orders if order.waiting and self.reached(order)]
        sources = ["any", "last", "book"]
        due.sort(key=lambda o: (sources.index(o.source), -o.side, o.side * (o.stop or 0), o.time))
        for order in due:
            self.orders.remove(order)
            order.waiting = False
            self.ended.append((order.name, "TRIGGERED"))
            if self.refusal(order):
                self.ended.append((order.name, "CANCELED"))
            else:
                self.enter(order)

    # Orders

    def take(self, order: NaiveOrder, peek: bool = False) -> list[tuple[int, int]]:
        """What the order gets from the book, level by level; it is gone from there unless `peek`."""
        got: list[tuple[int, int]] = []
        if not self.trusted:
            return got
        left = order.leaves
        for price, size in self.levels(order.side):
            if left and (order.limit is None or order.side * price <= order.side * order.limit):
                lots = min(left, size)
                got.append((price, lots))
                left -= lots
                if not peek:
                    self.books[-order.side][price] -= lots
                    if not self.books[-order.side][price]:
                        del self.books[-order.side][price]
        return got

    def give(self, order: NaiveOrder, lots: int) -> None:
        if lots:
            assert order.limit is not None
            self.fills.append(NaiveFill(order.name, order.side, order.limit, lots, True))
            order.leaves -= lots
            order.filled += lots
            if not order.leaves:
                self.orders.remove(order)

    def meets(self, order: NaiveOrder) -> tuple[list[NaiveOrder], bool, int]:
        """Own orders that are cancelled, whether the taker's rest is, and how many lots it takes."""
        prices = [price for price, size in self.take(order, peek=True) for _ in range(size)]
        gone: list[NaiveOrder] = []
        for maker in self.resting(-order.side):
            assert maker.limit is not None
            if order.limit is not None and order.side * maker.limit > order.side * order.limit:
                continue
            earlier = len([price for price in prices if order.side * price < order.side * maker.limit])
            if earlier == order.leaves:
                break
            if order.way != "taker":
                gone.append(maker)
            if order.way != "maker":
                return gone, True, earlier
        return gone, False, len(prices)

    def refusal(self, order: NaiveOrder) -> str:
        at_once = order.limit is None or order.at_once
        walk = (
            []
            if order.waiting and not (self.trusted and self.reached(order))
            else self.take(order, peek=True)
        )
        waits = order.waiting and not (self.trusted and self.reached(order))
        gone: list[NaiveOrder] = []
        cut = False
        if not waits:
            gone, cut, taken = self.meets(order)
            if cut and not gone and not taken:
                return "SELF_TRADE"
            whole, order.leaves = order.leaves, taken if cut else order.leaves
            walk = self.take(order, peek=True)
            order.leaves = whole
        taken = sum(lots for _, lots in walk)
        if not waits:
            if at_once and not self.trusted:
                return "STALE_MARKET_DATA" if self.told else "NO_REFERENCE_PRICE"
            if order.limit is None and not walk and not gone:
                return "NO_REFERENCE_PRICE"
            if order.whole and taken < order.leaves:
                return "NOT_FILLABLE"
        rest = order.leaves - taken if waits or not (at_once or cut) else 0
        available = {c: self.total()[c] - self.held(without=order)[c] for c in ("USDT", "BTC")}
        if order.side < 0:
            return "INSUFFICIENT_FUNDS" if (taken + rest) * LOT > available["BTC"] else ""
        needed = Fraction(0)
        for price, lots in walk:
            notional = price * TICK * lots * LOT
            needed += notional + self.fee(notional, False)
        if rest:
            needed += self.aside(order, rest)[1]
        return "INSUFFICIENT_FUNDS" if needed > available["USDT"] and needed > 0 else ""

    def place(self, order: NaiveOrder) -> str:
        refusal = self.refusal(order)
        if not refusal:
            self.accept(order)
        return refusal

    def accept(self, order: NaiveOrder) -> None:
        if order.waiting and not (self.trusted and self.reached(order)):
            self.rest(order)
            return
        if order.waiting:
            order.waiting = False
            self.ended.append((order.name, "TRIGGERED"))
        self.enter(order)

    def enter(self, order: NaiveOrder) -> None:
        gone, cut, most = self.meets(order)
        for maker in gone:
            self.cancel(maker.name)
        rest = order.leaves - most if cut else 0
        order.leaves -= rest
        walk = self.take(order)
        order.leaves += rest
        for price, lots in walk:
            self.fills.append(NaiveFill(order.name, order.side, price, lots, False))
            order.leaves -= lots
            order.filled += lots
        if order.leaves and (order.limit is None or order.at_once or cut):
            self.ended.append((order.name, "CANCELED"))
        elif order.leaves:
            assert order.limit is not None
            order.ahead = self.shown(order.side, order.limit) if self.trusted else None
            self.rest(order)

    def rest(self, order: NaiveOrder) -> None:
        self.time += 1
        order.time = self.time
        self.orders.append(order)

    def find(self, name: str) -> NaiveOrder | None:
        return next((order for order in self.orders if order.name == name), None)

    def cancel(self, name: str) -> bool:
        order = self.find(name)
        if order is None:
            return False
        self.orders.remove(order)
        self.ended.append((name, "CANCELED"))
        return True

    def replace(self, name: str, lots: int, limit: int | None, stop: int | None) -> str:
        order = self.find(name)
        if order is None:
            return "ORDER_ENDED"
        leaves = lots - order.filled
        if leaves <= 0:
            return "REPLACE_BELOW_FILLED"
        if (limit, stop) == (order.limit, order.stop) and leaves <= order.leaves:
            order.leaves = leaves
            self.ended.append((name, "REPLACED"))
            return ""
        before = (order.leaves, order.limit, order.stop)
        order.leaves, order.limit, order.stop = leaves, limit, stop
        refusal = self.refusal(order)
        if refusal:
            order.leaves, order.limit, order.stop = before
            return refusal
        self.orders.remove(order)
        self.ended.append((name, "REPLACED"))
        self.accept(order)
        return ""
