"""A market that makes itself up, for ever and by seed: the embedded default's feed.

- **Volatility clusters**: a fast variance by GARCH(1,1) (Bollerslev 1986), which remembers seconds, times a slow one by
  a square-root process (Cox, Ingersoll and Ross 1985), which remembers minutes. Returns are fat-tailed by it, and draw
  back to the start over about a day.
- **Quotes** follow the fair price only where it leaves the middle by a tick (the uncertainty zones of Robert and
  Rosenbaum 2011, with zones as wide as the tick), so that rounding makes the price neither bounce nor trend. The spread
  returns to its mean, which grows with volatility; it widens and narrows on the side that brings the middle nearer to
  the fair price.
- **Depth** shrinks as volatility grows, and grows away from the best price.
- **Trades** come in runs of one side, whose lengths have a power-law tail (orders that are split: Lillo, Mike and
  Farmer 2005), so that signs are autocorrelated for long. Sizes are heavy-tailed (tail exponent 2); a large one walks
  the book. Each moves the fair price by the square root of its size, times how unexpected its side was (Madhavan,
  Richardson and Roomans 1997): trades move prices, and yet signs foretell no returns.

The book is never crossed and never reaches zero. Same profile, same seed, same updates to the byte, on every machine:
all arithmetic is + - * / and square root, which IEEE 754 defines to the last bit, and no function of a platform's
mathematics library.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from random import Random

from brokergate.domain.instruments import Instrument
from brokergate.sim.feeds.profiles import PROFILES, SyntheticProfile
from brokergate.sim.market import BookDelta, BookSnapshot, MarketUpdate, TradeUpdate
from brokergate.sim.packing import Packer, Unpacker, Unreadable

MODEL = 2
"""Which model of the market this is: what was kept of another one is not taken up."""

_YEAR_SECONDS = 31_557_600
_DAY_SECONDS = 86_400
_ARCH, _GARCH = 0.08, 0.91
"""How much of the last move's square, and of the last variance, the next fast variance keeps."""
_SLOW_SECONDS = 600.0
"""How long the slow variance remembers."""
_SLOW_VARIANCE = 0.4
"""Of the slow variance itself, in the long run; its mean is 1."""
_LEAST_SLOW = 0.02
_MOST_FAST = 12.0
"""What the fast variance never exceeds; its mean is 1."""
_RANGE = 4.0
"""The fair price stays between a quarter of its start and four times it."""
_BY_TRADES = 0.4
"""The part of the variance that trades bring; the rest is news."""
_SURPRISE = 0.563
"""The mean square of a trade's surprise times its push (worked out over long runs): it scales the impact."""
_MAX_PUSH = 3.0
"""The most that the size of one trade weighs, in trades of an ordinary size."""
_LONGEST_RUN = 500
"""Trades of one side after one another that belong to one order, at most."""
_ORDINARY_TRADE = 0.05
"""The smallest trade, as a part of an ordinary level."""
_MAX_WALK = 5
"""Levels that one trade takes, at most."""
_SPREAD_RETURN = 0.05
"""The part of its distance from the mean that the spread makes up in a step."""
_SPREAD_NOISE = 0.12
"""A step's noise of the spread, as a part of its mean."""


def _run_tails() -> tuple[float, ...]:
    """How likely a run is at least as long as 1, 2, 3 …: m^-1.5, cut off at the longest."""
    return tuple(1.0 / (length * sqrt(length)) for length in range(1, _LONGEST_RUN + 1))


_TAILS = _run_tails()
_RISING = tuple(-tail for tail in _TAILS)


class _Side:
    """One side of the book: its keys are prices, negated for bids, so that the first of the sorted list is the best."""

    __slots__ = ("changes", "keys", "sign", "sizes")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        """+1 for asks, -1 for bids."""
        self.keys: list[int] = []
        self.sizes: dict[int, int] = {}
        self.changes: dict[int, int] = {}

    def put(self, key: int, size: int) -> None:
        if key not in self.sizes:
            insort(self.keys, key)
        self.sizes[key] = self.changes[key] = size

    def drop(self, index: int) -> None:
        key = self.keys.pop(index)
        del self.sizes[key]
        self.changes[key] = 0

    def levels(self) -> tuple[tuple[int, int], ...]:
        """All of it, best first."""
        sign, sizes = self.sign, self.sizes
        return tuple([(sign * key, sizes[key]) for key in self.keys])

    def changed(self) -> tuple[tuple[int, int], ...]:
        """What changed since the last call, best first."""
        sign, changes = self.sign, self.changes
        if not changes:
            return ()
        told = tuple([(sign * key, changes[key]) for key in sorted(changes)])
        changes.clear()
        return told


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
        steps = chosen.updates_per_second
        self._base_variance = chosen.annual_volatility * chosen.annual_volatility / (_YEAR_SECONDS * steps)
        by_trades = _BY_TRADES if chosen.trade_share else 0.0
        self._news_variance = self._base_variance * (1.0 - by_trades)
        self._impact = (
            sqrt(self._base_variance * by_trades / (chosen.trade_share * _SURPRISE)) if by_trades else 0.0
        )
        self._slow_return = 1.0 / (_SLOW_SECONDS * steps)
        self._slow_noise = sqrt(2.0 * self._slow_return * _SLOW_VARIANCE)
        self._fast = self._slow = self._stress = 1.0
        self._best_bid = chosen.start_price - chosen.spread // 2
        self._width = chosen.spread
        self._run_side = 1
        self._run_left = self._run_done = 0
        self._bids = _Side(-1)
        self._asks = _Side(1)

    def advance(self, until_ns: int) -> list[MarketUpdate]:
        """What has happened since the last call and up to `until_ns`, which is included; first of all a
        snapshot.

        It makes a second's updates in less than a millisecond: pull hours in parts, or use `updates`.
        """
        updates: list[MarketUpdate] = []
        while self.next_ns <= until_ns:
            self._step(updates)
        return updates

    def updates(self) -> Iterator[MarketUpdate]:
        """The updates one after another, without end."""
        while True:
            updates: list[MarketUpdate] = []
            self._step(updates)
            yield from updates

    def shift(self, by_ns: int) -> None:
        """Everything that is still to come comes so much later."""
        self.next_ns += by_ns

    def save(self, pack: Packer) -> None:
        """Writes the market down, with the state of its dice."""
        version, words, _ = self._random.getstate()
        pack.put(
            version,
            self.next_ns,
            self._opened,
            self._fair,
            self._spread,
            self._fast,
            self._slow,
            self._stress,
        )
        pack.put(self._best_bid, self._width, self._run_side, self._run_left, self._run_done)
        pack.column(words)
        for side in (self._bids, self._asks):
            pack.column(side.keys)
            pack.column([side.sizes[key] for key in side.keys])

    def load(self, kept: Unpacker) -> None:
        """Takes up what `save` wrote."""
        version, self.next_ns, self._opened = kept.integer(), kept.integer(), kept.flag()
        self._fair, self._spread, self._fast, self._slow, self._stress = [kept.number() for _ in range(5)]
        self._best_bid, self._width, self._run_side = [kept.integer() for _ in range(3)]
        self._run_left, self._run_done = kept.integer(), kept.integer()
        try:
            self._random.setstate((version, tuple(kept.column()), None))
        except (ValueError, TypeError, OverflowError) as error:
            raise Unreadable(f"the dice of {self.symbol} cannot be taken up ({error})") from error
        for side in (self._bids, self._asks):
            side.keys = list(kept.column())
            side.sizes = dict(zip(side.keys, kept.column(), strict=True))

    def _step(self, updates: list[MarketUpdate]) -> None:
        now_ns = self.next_ns
        mean_ns = 1_000_000_000 // self.profile.updates_per_second
        self.next_ns += max(1, int(mean_ns * (0.2 + 1.6 * self._uniform())))
        if self._opened and self._uniform() < self.profile.trade_share:
            self._trade(now_ns, updates)
        self._move()
        self._quote()
        bids, asks = self._bids, self._asks
        self._requote(bids, -self._best_bid)
        self._requote(asks, self._best_bid + self._width)
        if not self._opened:
            self._opened = True
            bids.changes.clear()
            asks.changes.clear()
            updates.append(BookSnapshot(now_ns, self.symbol, bids.levels(), asks.levels()))
        elif bids.changes or asks.changes:
            updates.append(BookDelta(now_ns, self.symbol, bids.changed(), asks.changed()))

    def _trade(self, now_ns: int, updates: list[MarketUpdate]) -> None:
        """Somebody takes, level by level, and pushes the fair price by what was not expected of it."""
        uniform = self._uniform
        done = self._run_done
        # A run that has lasted `done` goes on as its lengths are distributed; a new one may be of either side.
        surprise = -self._run_side * _TAILS[done] / _TAILS[done - 1] if done else 0.0
        if not self._run_left:
            self._run_side = 1 if uniform() < 0.5 else -1
            self._run_left = bisect_right(_RISING, -uniform())
            done = 0
        surprise += self._run_side
        self._run_left -= 1
        self._run_done = done + 1 if done + 1 < _LONGEST_RUN else done
        aggressor = self._run_side
        side = self._asks if aggressor > 0 else self._bids
        share = _ORDINARY_TRADE / sqrt(1.0 - uniform())
        left = 1 + int(self.profile.level_size * share)
        for _ in range(_MAX_WALK):
            key = side.keys[0]
            available = side.sizes[key]
            size = left if left < available else available
            updates.append(TradeUpdate(now_ns, self.symbol, side.sign * key, size, aggressor))
            if size == available:
                side.drop(0)
            else:
                side.sizes[key] = side.changes[key] = available - size
            left -= size
            if not left:
                break
        push = sqrt(share / (2.0 * _ORDINARY_TRADE))
        if push > _MAX_PUSH:
            push = _MAX_PUSH
        self._fair *= 1.0 + surprise * push * self._impact * sqrt(self._slow)

    def _move(self) -> None:
        """One step of the variances, the fair price and the spread."""
        profile = self.profile
        normal = self._normal()
        fast, slow = self._fast, self._slow
        move = normal * sqrt(self._news_variance * fast * slow)
        self._fast = 1.0 - _ARCH - _GARCH + (_ARCH * normal * normal + _GARCH) * fast
        if self._fast > _MOST_FAST:
            self._fast = _MOST_FAST
        slow += (1.0 - slow) * self._slow_return + self._slow_noise * sqrt(slow) * self._normal()
        self._slow = slow if slow > _LEAST_SLOW else _LEAST_SLOW
        start = profile.start_price
        pull = (1.0 - self._fair / start) / (_DAY_SECONDS * profile.updates_per_second)
        fair = self._fair * (1.0 + move + pull)
        self._fair = max(start / _RANGE, min(start * _RANGE, fair))
        self._stress += 0.02 * (sqrt(self._fast * self._slow) - self._stress)
        spread = self._spread
        spread += _SPREAD_RETURN * (profile.spread * (0.3 + 0.7 * self._stress) - spread)
        spread += _SPREAD_NOISE * profile.spread * (self._uniform() - 0.5)
        self._spread = max(1.0, min(float(profile.max_spread), spread))

    def _quote(self) -> None:
        """Best bid and width by the fair price and the spread; as they were while those are near."""
        away = self._fair - (self._best_bid + self._width / 2)
        wider = self._spread - self._width
        if wider > 0.75 or wider < -0.75:
            ticks = int(wider) or (1 if wider > 0 else -1)
            self._width += ticks
            # The side that moves is the one that brings the middle nearer to the fair price.
            if (away < 0) == (ticks > 0):
                self._best_bid -= ticks
                away += ticks / 2
            else:
                away -= ticks / 2
        if away >= 1.0 or away <= -1.0:
            self._best_bid += int(away)

    def _requote(self, side: _Side, best: int) -> None:
        """Brings a side to a new best key, and to as many levels as it has."""
        keys, profile = side.keys, self.profile
        while keys and keys[0] < best:
            side.drop(0)
        if not keys or keys[0] != best:
            side.put(best, self._size(0))
        levels = profile.levels
        while len(keys) > levels:
            side.drop(levels)
        uniform, gap = self._uniform, profile.level_gap
        while len(keys) < levels:
            side.put(keys[-1] + 1 + int(gap * uniform()), self._size(len(keys)))
        depth = int(levels * uniform() * uniform())
        key = keys[depth]
        side.sizes[key] = side.changes[key] = self._size(depth)

    def _size(self, depth: int) -> int:
        """A size for a level: often small, now and then large, more the deeper and the calmer."""
        chance = self._uniform()
        profile = self.profile
        scale = profile.level_size * (1.0 + depth / profile.levels) / (0.5 + 0.5 * self._stress)
        return 1 + int(scale * (0.1 + 3.6 * chance * chance * chance))

    def _normal(self) -> float:
        """About normal with mean 0 and variance 1: the sum of four uniform numbers (within 3.47)."""
        uniform = self._uniform
        return (uniform() + uniform() + uniform() + uniform() - 2.0) * _ROOT_3


_ROOT_3 = sqrt(3.0)


class SyntheticFeed:
    """Several synthetic markets in one stream, ordered by time. Each has its own dice, by seed and symbol, so
    that adding an instrument changes nothing in the others.
    """

    def __init__(
        self,
        seed: int,
        start_ns: int,
        symbols: Sequence[str] = tuple(PROFILES),
        profiles: Mapping[str, SyntheticProfile] = PROFILES,
    ) -> None:
        """`symbols` are of `profiles`, by symbol."""
        if not symbols or len(set(symbols)) != len(symbols):
            raise ValueError("a synthetic feed has one or more symbols, each once")
        self.markets = tuple(
            SyntheticMarket(symbol, Random(f"{seed}/{symbol}"), start_ns, profiles.get(symbol))
            for symbol in symbols
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
        self._due.sort()

    def _pull(self) -> list[MarketUpdate]:
        due_ns, index = self._due[0]
        market = self.markets[index]
        updates = market.advance(due_ns)
        del self._due[0]
        insort(self._due, (market.next_ns, index))
        return updates
