"""A market that makes itself up, for ever and by seed: the embedded default's feed.

The fair price is a multiplicative walk whose variance clusters (GARCH(1,1), Bollerslev 1986) and which is
drawn back to its start over about a day; the spread returns to its mean; both sides show levels around the
fair price, with positive sizes; trades take from the best level and push the fair price. The book is never
crossed and never reaches zero. Same profile, same seed, same updates to the byte, on every machine: all
arithmetic is + - * / and square root, which IEEE 754 defines to the last bit, and no function of a platform's
mathematics library.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heapreplace
from math import sqrt
from random import Random

from brokergate.domain.instruments import Instrument
from brokergate.sim.feeds.profiles import PROFILES, SyntheticProfile
from brokergate.sim.market import BookDelta, BookSnapshot, MarketUpdate, TradeUpdate
from brokergate.sim.packing import Packer, Unpacker, Unreadable

Side = dict[int, int]

_YEAR_SECONDS = 31_557_600
_DAY_SECONDS = 86_400
_ARCH, _GARCH = 0.08, 0.91
"""How much of the last move's square, and of the last variance, the next variance keeps."""
_MAX_DEVIATIONS = 12.0
"""One step moves the price by at most this many ordinary standard deviations."""
_RANGE = 4.0
"""The fair price stays between a quarter of its start and four times it."""
_REFRESHED_LEVELS = 2
"""Levels of a side whose size changes in a step, at most."""


class SyntheticMarket:
    """One instrument's made-up market. It is pulled: time passes only by `advance`."""

    def __init__(
        self, symbol: str, random: Random, start_ns: int, profile: SyntheticProfile | None = None
    ) -> None:
        chosen = profile or PROFILES.get(symbol)
        if chosen is None:
            raise ValueError(
                f"no synthetic market {symbol!r}; there are {', '.join(PROFILES)}, or give a profile"
            )
        self.profile = chosen
        self.instrument: Instrument = chosen.instrument
        self.symbol = symbol
        self.next_ns = start_ns
        """When the next update is due."""
        self._random = random
        self._uniform = random.random
        self._opened = False
        self._fair = float(chosen.start_price)
        self._spread = float(chosen.spread)
        self._base_variance = (
            chosen.annual_volatility * chosen.annual_volatility / (_YEAR_SECONDS * chosen.updates_per_second)
        )
        self._variance = self._base_variance
        self._bids: Side = {}
        self._asks: Side = {}

    @property
    def mid_price(self) -> float:
        """The price around which it quotes, in ticks."""
        return self._fair

    def advance(self, until_ns: int) -> list[MarketUpdate]:
        """What has happened since the last call and up to `until_ns`, which is included; first of all a
        snapshot.

        It makes a second's updates in about a millisecond: pull hours in parts, or use `updates`.
        """
        updates: list[MarketUpdate] = []
        while self.next_ns <= until_ns:
            updates += self._step()
        return updates

    def updates(self) -> Iterator[MarketUpdate]:
        """The updates one after another, without end."""
        while True:
            yield from self._step()

    def shift(self, by_ns: int) -> None:
        """Everything that is still to come comes so much later."""
        self.next_ns += by_ns

    def save(self, pack: Packer) -> None:
        """Writes the market down, with the state of its dice."""
        version, words, _ = self._random.getstate()
        pack.put(version, self.next_ns, self._opened, self._fair, self._spread, self._variance)
        pack.column(words)
        for side in (self._bids, self._asks):
            pack.column(side)
            pack.column(side.values())

    def load(self, kept: Unpacker) -> None:
        """Takes up what `save` wrote."""
        version, self.next_ns, self._opened = kept.integer(), kept.integer(), kept.flag()
        self._fair, self._spread, self._variance = [kept.number() for _ in range(3)]
        try:
            self._random.setstate((version, tuple(kept.column()), None))
        except (ValueError, TypeError, OverflowError) as error:
            raise Unreadable(f"the dice of {self.symbol} cannot be taken up ({error})") from error
        self._bids, self._asks = [dict(zip(kept.column(), kept.column(), strict=True)) for _ in range(2)]

    def _step(self) -> list[MarketUpdate]:
        now_ns = self.next_ns
        mean_ns = 1_000_000_000 // self.profile.updates_per_second
        self.next_ns += max(1, int(mean_ns * (0.2 + 1.6 * self._uniform())))
        updates: list[MarketUpdate] = []
        changed: tuple[Side, Side] = ({}, {})
        if self._opened and self._uniform() < self.profile.trade_share:
            updates.append(self._trade(now_ns, changed))
        self._move()
        best_bid, best_ask = self._best_prices()
        self._requote(self._bids, changed[0], best_bid, -1)
        self._requote(self._asks, changed[1], best_ask, 1)
        if not self._opened:
            self._opened = True
            return [BookSnapshot(now_ns, self.symbol, _levels(self._bids, -1), _levels(self._asks, 1))]
        if changed[0] or changed[1]:
            updates.append(BookDelta(now_ns, self.symbol, _levels(changed[0], -1), _levels(changed[1], 1)))
        return updates

    def _trade(self, now_ns: int, changed: tuple[Side, Side]) -> TradeUpdate:
        """Somebody takes from the best level, seldom all of it, and pushes the fair price."""
        aggressor = 1 if self._uniform() < 0.5 else -1
        side, changes = (self._asks, changed[1]) if aggressor > 0 else (self._bids, changed[0])
        price = min(side) if aggressor > 0 else max(side)
        available = side[price]
        share = 1.1 * self._uniform() * self._uniform()
        size = min(available, 1 + int(available * share))
        changes[price] = available - size
        if size == available:
            del side[price]
        else:
            side[price] -= size
        self._fair *= 1 + aggressor * share * sqrt(self._base_variance)
        return TradeUpdate(now_ns, self.symbol, price, size, aggressor)

    def _move(self) -> None:
        """One step of fair price, variance and spread."""
        profile = self.profile
        limit = _MAX_DEVIATIONS * sqrt(self._base_variance)
        move = max(-limit, min(limit, self._normal() * sqrt(self._variance)))
        keep = 1 - _ARCH - _GARCH
        self._variance = keep * self._base_variance + _ARCH * move * move + _GARCH * self._variance
        start = profile.start_price
        pull = (1 - self._fair / start) / (_DAY_SECONDS * profile.updates_per_second)
        self._fair = max(start / _RANGE, min(start * _RANGE, self._fair * (1 + move + pull)))
        stress = sqrt(self._variance / self._base_variance) if self._base_variance else 1.0
        noise = 0.35 * profile.spread * self._normal()
        self._spread += 0.2 * (profile.spread * stress - self._spread) + noise
        self._spread = max(1.0, min(float(profile.max_spread), self._spread))

    def _best_prices(self) -> tuple[int, int]:
        width = int(self._spread + 0.5)
        best_bid = int(self._fair - width / 2)
        return best_bid, best_bid + width

    def _requote(self, side: Side, changes: Side, best: int, outward: int) -> None:
        """Bring a side to a new best price; `outward` is the way from it, -1 for bids."""
        for price in [price for price in side if (price - best) * outward < 0]:
            del side[price]
            changes[price] = 0
        if best not in side:
            side[best] = changes[best] = self._size(0)
        prices = sorted(side, key=lambda price: price * outward)
        for price in prices[self.profile.levels :]:
            del side[price]
            changes[price] = 0
        worst = prices[min(len(prices), self.profile.levels) - 1]
        for depth in range(len(side), self.profile.levels):
            worst += outward * (1 + int(self.profile.level_gap * self._uniform()))
            side[worst] = changes[worst] = self._size(depth)
        for _ in range(_REFRESHED_LEVELS):
            depth = int(len(prices) * self._uniform() * self._uniform())
            if prices[depth] in side:
                side[prices[depth]] = changes[prices[depth]] = self._size(depth)

    def _size(self, depth: int) -> int:
        """A size for a level: often small, now and then large, more the deeper."""
        chance = self._uniform()
        scale = self.profile.level_size * (1 + depth / self.profile.levels)
        return 1 + int(scale * (0.05 + 2.5 * chance * chance * chance))

    def _normal(self) -> float:
        """About normal with mean 0 and variance 1: the sum of four uniform numbers (within 3.47)."""
        uniform = self._uniform
        return (uniform() + uniform() + uniform() + uniform() - 2.0) * sqrt(3.0)


class SyntheticFeed:
    """Several synthetic markets in one stream, ordered by time. Each has its own dice, by seed and symbol, so
    that adding an instrument changes nothing in the others.
    """

    def __init__(self, seed: int, start_ns: int, symbols: Sequence[str] = tuple(PROFILES)) -> None:
        if not symbols or len(set(symbols)) != len(symbols):
            raise ValueError("a synthetic feed has one or more symbols, each once")
        self.markets = tuple(
            SyntheticMarket(symbol, Random(f"{seed}/{symbol}"), start_ns) for symbol in symbols
        )
        self._line_up()

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Its instruments, in the order of the symbols."""
        return tuple(market.instrument for market in self.markets)

    @property
    def next_ns(self) -> int:
        """When the next update is due."""
        return self._due[0][0]

    def advance(self, until_ns: int) -> list[MarketUpdate]:
        """What has happened since the last call and up to `until_ns`, which is included."""
        updates: list[MarketUpdate] = []
        while self._due[0][0] <= until_ns:
            updates += self._pull()
        return updates

    def updates(self) -> Iterator[MarketUpdate]:
        """The updates one after another, without end."""
        while True:
            yield from self._pull()

    def pull(self, count: int) -> list[MarketUpdate]:
        """The next `count` updates, which `advance` gave in calls of its own."""
        updates: list[MarketUpdate] = []
        while len(updates) < count:
            updates += self._pull()
        return updates

    def shift(self, by_ns: int) -> None:
        """Everything that is still to come comes so much later: the markets stood still."""
        for market in self.markets:
            market.shift(by_ns)
        self._line_up()

    def save(self, pack: Packer) -> None:
        """Writes the markets down."""
        for market in self.markets:
            market.save(pack)

    def load(self, kept: Unpacker) -> None:
        """Takes up what `save` wrote for the same symbols."""
        for market in self.markets:
            market.load(kept)
        self._line_up()

    def _line_up(self) -> None:
        self._due = [(market.next_ns, index) for index, market in enumerate(self.markets)]
        heapify(self._due)

    def _pull(self) -> list[MarketUpdate]:
        due_ns, index = self._due[0]
        market = self.markets[index]
        updates = market.advance(due_ns)
        heapreplace(self._due, (market.next_ns, index))
        return updates


def _levels(side: Side, outward: int) -> tuple[tuple[int, int], ...]:
    """The levels from the best outwards."""
    return tuple(sorted(side.items(), key=lambda level: level[0] * outward))
