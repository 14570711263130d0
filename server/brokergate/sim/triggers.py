"""Our own orders that wait for a price: stops, orders that wait to be touched, and stops that trail the market.

Prices are compared as keys, which are prices or their negatives, so that each kind asks the same: is the market's
key at or below the order's. What comes first is the last of a sorted list; an update that sets nothing off costs one
comparison a side that has orders, however many there are.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator

from brokergate.domain.orders import OrderType, TriggerSource
from brokergate.sim.orders import WorkingOrder
from brokergate.sim.special import WHOLE

_TOUCHED = (OrderType.MARKET_IF_TOUCHED, OrderType.LIMIT_IF_TOUCHED)
_SOURCES = (TriggerSource.UNSPECIFIED, TriggerSource.LAST, TriggerSource.BID_ASK, TriggerSource.MARK)

Entry = tuple[int, int, WorkingOrder]


class StopSide:
    """Orders with a fixed trigger that wait for one source of prices to move one way: the first to be reached is the
    last of the list."""

    __slots__ = ("orders", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        """-1 waits for a rise, so that the lowest trigger comes first; +1 for a fall."""
        self.orders: list[Entry] = []

    def __bool__(self) -> bool:
        return bool(self.orders)

    def add(self, order: WorkingOrder, best: int | None) -> None:
        """Takes an order in."""
        assert order.stop is not None
        insort(self.orders, (self.sign * order.stop, -order.number, order))

    def remove(self, order: WorkingOrder) -> None:
        """Takes an order out."""
        assert order.stop is not None
        del self.orders[bisect_left(self.orders, (self.sign * order.stop, -order.number))]

    def reached(self, price: int) -> list[WorkingOrder]:
        """Takes out the orders that `price` sets off, by trigger, then by time."""
        gone: list[WorkingOrder] = []
        key = self.sign * price
        while self.orders and self.orders[-1][0] >= key:
            gone.append(self.orders.pop()[2])
        return gone


class Crest:
    """Trailing stops that have seen the same best price, which is one key for all of them."""

    __slots__ = ("amounts", "key", "shares", "sign")

    def __init__(self, sign: int, key: int) -> None:
        self.sign = sign
        self.key = key
        self.amounts: list[Entry] = []
        """(-distance in ticks, -number, order): the nearest, then the earliest, is the last."""
        self.shares: list[Entry] = []
        """The same for distances in parts of the price."""

    def __len__(self) -> int:
        return len(self.amounts) + len(self.shares)

    @property
    def price(self) -> int:
        """The best price, in ticks."""
        return self.sign * self.key

    def trigger_key(self, order: WorkingOrder) -> int:
        """Where an order's trigger stands: a per cent of the price is rounded away from the market."""
        special = order.special
        assert special is not None
        if special.trail_share:
            return trailed(self.key, self.sign, special.trail_share)
        return self.key - special.trail

    def first(self) -> Entry:
        """(trigger's key, -number, order) of the one that is set off first."""
        entries = [entries[-1] for entries in (self.amounts, self.shares) if entries]
        return max([(self.trigger_key(order), number, order) for _, number, order in entries])

    def add(self, order: WorkingOrder) -> None:
        """Takes an order in."""
        entries, distance = self._entries(order)
        insort(entries, (-distance, -order.number, order))
        assert order.special is not None
        order.special.crest = self

    def remove(self, order: WorkingOrder) -> None:
        """Takes an order out."""
        entries, distance = self._entries(order)
        del entries[bisect_left(entries, (-distance, -order.number))]
        assert order.special is not None
        order.special.crest = None

    def orders(self) -> Iterator[WorkingOrder]:
        """All of them."""
        for entries in (self.amounts, self.shares):
            for entry in entries:
                yield entry[2]

    def _entries(self, order: WorkingOrder) -> tuple[list[Entry], int]:
        special = order.special
        assert special is not None
        if special.trail_share:
            return self.shares, special.trail_share
        return self.amounts, special.trail


class TrailSide:
    """Stops that trail one source of prices on one side.

    Those that have seen the same best price stand together (`Crest`), so that a new best price moves one number for
    all of them: those who saw a worse one join them, the few to the many. An order is thus moved at most as often as
    its crest doubles, and an update costs a logarithm of the orders, not their number.
    """

    __slots__ = ("crests", "firsts", "fresh", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        """+1 for sells, which trail the highest price, -1 for buys, which trail the lowest."""
        self.crests: list[tuple[int, Crest]] = []
        """(-key, crest): the one with the worst price is the last."""
        self.firsts: list[tuple[int, int, WorkingOrder]] = []
        """The `first` of each crest: what is set off next is the last."""
        self.fresh: list[WorkingOrder] = []
        """Orders that were taken up before there was a price to trail: they begin at the first."""

    def __bool__(self) -> bool:
        return bool(self.crests or self.fresh)

    def add(self, order: WorkingOrder, best: int | None) -> None:
        """Takes an order in that has seen `best`; None where there was no price yet."""
        if best is None:
            self.fresh.append(order)
        else:
            self._join(order, self.sign * best)

    def remove(self, order: WorkingOrder) -> None:
        """Takes an order out."""
        special = order.special
        assert special is not None
        crest = special.crest
        if crest is None:
            self.fresh.remove(order)
            return
        self._unlist(crest)
        crest.remove(order)
        if crest:
            insort(self.firsts, crest.first())
        else:
            del self.crests[bisect_left(self.crests, (-crest.key,))]

    def reached(self, price: int) -> list[WorkingOrder]:
        """Takes out the orders that `price` sets off, by trigger, then by time; only then do the others follow it
        (LEAN's `FillModel.cs` tests before it ratchets, too). The `stop` of each is where its trigger stood."""
        gone: list[WorkingOrder] = []
        key = self.sign * price
        while self.firsts and self.firsts[-1][0] >= key:
            trigger, _, order = self.firsts[-1]
            self.remove(order)
            order.stop = self.sign * trigger
            gone.append(order)
        if self.crests and self.crests[-1][1].key < key:
            self._follow(key)
        if self.fresh:
            for order in self.fresh:
                order.stop = first_trigger(order, price)
                self._join(order, key)
            self.fresh.clear()
        return gone

    def _follow(self, key: int) -> None:
        """The price is `key`: who saw none better, sees it."""
        seen: Crest | None = None
        while self.crests and self.crests[-1][1].key <= key:
            crest = self.crests.pop()[1]
            self._unlist(crest)
            if seen is None:
                seen = crest
                continue
            few, seen = sorted((seen, crest), key=len)
            for order in few.orders():
                seen.add(order)
        assert seen is not None
        seen.key = key
        self.crests.append((-key, seen))
        insort(self.firsts, seen.first())

    def _join(self, order: WorkingOrder, key: int) -> None:
        place = bisect_left(self.crests, (-key,))
        if place < len(self.crests) and self.crests[place][1].key == key:
            crest = self.crests[place][1]
            self._unlist(crest)
        else:
            crest = Crest(self.sign, key)
            self.crests.insert(place, (-key, crest))
        crest.add(order)
        insort(self.firsts, crest.first())

    def _unlist(self, crest: Crest) -> None:
        del self.firsts[bisect_left(self.firsts, crest.first()[:2])]


class Triggers:
    """All orders of one instrument that wait for a price."""

    def __init__(self) -> None:
        self.active: list[tuple[tuple[int, int, int], StopSide | TrailSide]] = []
        """The sides that have orders, by source, buys first, then fixed triggers, touched ones, trailing ones."""
        self.count = 0

    def add(self, order: WorkingOrder, best: int | None = None) -> None:
        """Takes an order in; a trailing stop has seen `best`."""
        key = _key(order)
        side = self._side(key)
        if side is None:
            side = TrailSide(-order.side) if key[2] == _TRAIL else StopSide(-direction(order))
            insort(self.active, (key, side), key=lambda active: active[0])
        side.add(order, best)
        self.count += 1

    def remove(self, order: WorkingOrder) -> None:
        """Takes an order out."""
        side = self._side(_key(order))
        assert side is not None
        side.remove(order)
        self.count -= 1
        self._rest()

    def reached(self, price_of: Callable[[TriggerSource, int, int], int | None]) -> list[WorkingOrder]:
        """Takes out the orders that the market sets off. `price_of` gives the price of a source for a side (+1 buys)
        and a direction (+1 where the order waits for a rise)."""
        gone: list[WorkingOrder] = []
        for (source, side, _), orders in self.active:
            price = price_of(_SOURCES[source], -side, -orders.sign)
            if price is not None:
                gone += orders.reached(price)
        if gone:
            self.count -= len(gone)
            self._rest()
        return gone

    def _side(self, key: tuple[int, int, int]) -> StopSide | TrailSide | None:
        return next((side for other, side in self.active if other == key), None)

    def _rest(self) -> None:
        """Passes over the sides that are empty from now on."""
        if not all(side for _, side in self.active):
            self.active = [(key, side) for key, side in self.active if side]


_STOP, _TOUCH, _TRAIL = range(3)


def is_trailing(order: WorkingOrder) -> bool:
    """Whether its trigger follows the market."""
    return order.type is OrderType.TRAILING_STOP


def direction(order: WorkingOrder) -> int:
    """+1 where a rise of the price sets it off, -1 where a fall does."""
    return -order.side if order.type in _TOUCHED else order.side


def first_trigger(order: WorkingOrder, best: int) -> int:
    """The trigger, in ticks, of a trailing stop that has seen `best`."""
    sign = -order.side
    special = order.special
    assert special is not None
    if special.trail_share:
        return sign * trailed(sign * best, sign, special.trail_share)
    return best - sign * special.trail


def standing_trigger(order: WorkingOrder) -> int | None:
    """Where an order's trigger stands now, in ticks; None for one that has none."""
    crest = order.special.crest if order.special is not None else None
    return order.stop if crest is None else crest.sign * crest.trigger_key(order)


def trailed(key: int, sign: int, share: int) -> int:
    """The key of the trigger that stands `share` parts of `WHOLE` from the price of `key`: rounded to the tick that is
    not nearer to the market than asked."""
    return key * (WHOLE - sign * share) // WHOLE


def _key(order: WorkingOrder) -> tuple[int, int, int]:
    family = _TOUCH if order.type in _TOUCHED else _TRAIL if is_trailing(order) else _STOP
    return _SOURCES.index(order.source), -order.side, family
