"""One instrument's market as the feed tells it: an order book in ticks and lots, and what we have taken from it.

Sizes are what can still be taken: a taker's share is subtracted from the level and stays away until the feed renews
it. The market of others never learns that we took, so that what the feed tells next still holds our share. Hence:

- a size that is told again renews nothing, whether by a delta, a snapshot or a quote: the same size is sold once;
- of a larger one, what it grew by is new and comes to what was left;
- of a smaller one, no more is left than it says;
- a level that is gone (size 0, or not in a snapshot or quote) is forgotten, and new when it comes back.

This is stricter than nautilus' `liquidity_consumption` (docs/concepts/backtesting.md there), for which any other
size renews the level whole. A book that the feed leaves crossed, or after a gap, is not trusted: nothing matches
against it until a snapshot or a quote replaces it whole.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from brokergate.sim.market import BookDelta, BookSnapshot, FeedGap, QuoteUpdate
from brokergate.sim.packing import Packer, Unpacker

Levels = tuple[tuple[int, int], ...]

NO_MARKET = "no market data has come yet"
UNKNOWN = -1
"""The size at a price that the feed does not show."""


class BookSide:
    """One side. Its keys are prices, negated for asks, so that the last key of the sorted list is the best price
    and what happens near the best moves little memory."""

    __slots__ = ("keys", "sign", "sizes", "told")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        """+1 for bids, -1 for asks."""
        self.keys: list[int] = []
        self.sizes: dict[int, int] = {}
        self.told: dict[int, int] = {}
        """What the feed last told at the prices where something was taken of it."""

    def replace(self, levels: Levels) -> None:
        """The whole side is now `levels`. `ValueError` for a price or a size that is not above zero."""
        sign = self.sign
        for price, size in levels:
            if price <= 0 or size <= 0:
                raise ValueError(f"a level of {size} lots at {price} ticks")
        sizes = {sign * price: size for price, size in levels}
        if self.told:
            for key in list(self.told):
                if key not in sizes:
                    del self.told[key]
                elif not (left := self._renewed(key, sizes[key])):
                    del sizes[key]
                else:
                    sizes[key] = left
        self.sizes = sizes
        self.keys = sorted(sizes)

    def update(self, levels: Levels) -> None:
        """The size of each of `levels` is now as given, 0 for gone. `ValueError` for a price that is not above zero
        or a size below it."""
        sign, sizes, keys, told = self.sign, self.sizes, self.keys, self.told
        for price, size in levels:
            key = sign * price
            if told and key in told:
                size = self._renewed(key, size)
            if size > 0:
                if key not in sizes:
                    if price <= 0:
                        raise ValueError(f"a level of {size} lots at {price} ticks")
                    if not keys or key > keys[-1]:
                        keys.append(key)
                    else:
                        insort(keys, key)
                sizes[key] = size
            elif size:
                raise ValueError(f"a level of {size} lots at {price} ticks")
            elif sizes.pop(key, None) is not None:
                self._drop(key)

    def best(self) -> int | None:
        """The best price, in ticks."""
        return self.sign * self.keys[-1] if self.keys else None

    def shown(self, price: int) -> int:
        """The size at `price`; `UNKNOWN` beyond the worst level that the feed shows."""
        key = self.sign * price
        if self.keys:
            if key < self.keys[0]:
                return UNKNOWN
        elif self.told and key < min(self.told):
            # All that it shows was taken by us; what stands beyond is as unknown as before.
            return UNKNOWN
        return self.sizes.get(key, 0)

    def walk(self, lots: int, limit: int | None) -> list[tuple[int, int]]:
        """What a taker of `lots` would get, best first, as (price, lots); no price beyond `limit`. Takes nothing."""
        sign, keys, sizes = self.sign, self.keys, self.sizes
        worst = None if limit is None else sign * limit
        taken: list[tuple[int, int]] = []
        index = len(keys)
        while lots and index:
            index -= 1
            key = keys[index]
            if worst is not None and key < worst:
                break
            size = sizes[key]
            if size >= lots:
                taken.append((sign * key, lots))
                break
            taken.append((sign * key, size))
            lots -= size
        return taken

    def take(self, taken: list[tuple[int, int]]) -> None:
        """Takes what `walk` gave."""
        sign, sizes, told = self.sign, self.sizes, self.told
        for price, lots in taken:
            key = sign * price
            size = sizes[key]
            if key not in told:
                told[key] = size
            left = size - lots
            if left:
                sizes[key] = left
            else:
                del sizes[key]
                self._drop(key)

    def levels(self, depth: int) -> list[tuple[int, int]]:
        """The `depth` best levels as (price, lots), best first."""
        return [(self.sign * key, self.sizes[key]) for key in self.keys[: -depth - 1 : -1]]

    def save(self, pack: Packer) -> None:
        """Writes the side down."""
        pack.column(self.keys)
        pack.column(map(self.sizes.__getitem__, self.keys))
        pack.column(self.told.keys())
        pack.column(self.told.values())

    def load(self, kept: Unpacker) -> None:
        """Takes up what `save` wrote."""
        self.keys = kept.column()
        self.sizes = dict(zip(self.keys, kept.column(), strict=True))
        prices = kept.column()
        self.told = dict(zip(prices, kept.column(), strict=True))

    def _renewed(self, key: int, size: int) -> int:
        """What can be taken at a level of which something was taken, now that the feed tells `size`."""
        before, left = self.told[key], self.sizes.get(key, 0)
        left = left + size - before if size > before else min(left, size)
        if size <= 0 or left == size:
            del self.told[key]
        else:
            self.told[key] = size
        return left

    def _drop(self, key: int) -> None:
        keys = self.keys
        if keys[-1] == key:
            keys.pop()
        else:
            del keys[bisect_left(keys, key)]


class Book:
    """Both sides, and whether they can be trusted."""

    __slots__ = ("asks", "bids", "distrust", "quote", "time_ns")

    def __init__(self) -> None:
        self.bids = BookSide(1)
        self.asks = BookSide(-1)
        self.distrust = NO_MARKET
        """Why nothing may match now; empty when all is well."""
        self.quote: QuoteUpdate | None = None
        """The latest advisory quote: shown, never matched on."""
        self.time_ns = 0
        """The feed's time of the latest change."""

    def snapshot(self, update: BookSnapshot) -> None:
        """The feed tells the whole book."""
        self._begin(update.time_ns)
        self.bids.replace(update.bids)
        self.asks.replace(update.asks)
        self._judge(1)

    def delta(self, update: BookDelta) -> None:
        """The feed tells some levels. On a book that is not trusted they count for nothing."""
        if self.distrust:
            return
        self._begin(update.time_ns)
        self.bids.update(update.bids)
        self.asks.update(update.asks)
        self._judge(1)

    def top(self, update: QuoteUpdate) -> None:
        """The feed tells the best prices: all there is, unless the quote is advisory."""
        if update.advisory:
            self.quote = update
            return
        self._begin(update.time_ns)
        self.bids.replace((update.bid,) if update.bid and update.bid[1] else ())
        self.asks.replace((update.ask,) if update.ask and update.ask[1] else ())
        # Quoted by different people, the two may meet; they may not overlap.
        self._judge(0)

    def gap(self, update: FeedGap) -> None:
        """The feed lost something: nothing matches until it tells the whole again."""
        self.distrust = f"the feed has a gap: {update.reason}"
        self.quote = None

    def middle(self) -> int | None:
        """Bid plus ask, which is twice the mid price; None without both or without trust."""
        bids, asks = self.bids.keys, self.asks.keys
        return bids[-1] - asks[-1] if bids and asks and not self.distrust else None

    def save(self, pack: Packer) -> None:
        """Writes the book down."""
        self.bids.save(pack)
        self.asks.save(pack)
        quote = self.quote
        pack.put(self.distrust, self.time_ns, quote is not None)
        if quote is not None:
            pack.put(quote.time_ns, quote.symbol, *(quote.bid or (0, 0)), *(quote.ask or (0, 0)))

    def load(self, kept: Unpacker) -> None:
        """Takes up what `save` wrote."""
        self.bids.load(kept)
        self.asks.load(kept)
        self.distrust, self.time_ns = kept.text(), kept.integer()
        self.quote = None
        if kept.flag():
            time_ns, symbol = kept.integer(), kept.text()
            bid, ask = [(kept.integer(), kept.integer()) for _ in range(2)]
            self.quote = QuoteUpdate(time_ns, symbol, bid if bid[0] else None, ask if ask[0] else None, True)

    def _begin(self, time_ns: int) -> None:
        self.time_ns = time_ns
        # What stays if a level is refused halfway through.
        self.distrust = "the feed told a level that cannot be"

    def _judge(self, least_spread: int) -> None:
        bids, asks = self.bids.keys, self.asks.keys
        if bids and asks and -asks[-1] - bids[-1] < least_spread:
            self.distrust = f"the feed's book is crossed: bid {bids[-1]} ticks, ask {-asks[-1]} ticks"
        else:
            self.distrust = ""
