"""What a synthetic market has in common with real ones, measured on fixed seeds against declared ranges.

The facts are those of Cont, "Empirical properties of asset returns" (2001): fat tails, no linear autocorrelation,
volatility that clusters and decays slowly; and of order flow (Lillo, Mike and Farmer 2005): signs with long memory.
The ranges are three standard errors and more wide of what long runs give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from math import sqrt
from random import Random
from statistics import mean, median

import pytest

from brokergate.sim.feeds.profiles import PROFILES
from brokergate.sim.feeds.synthetic import SyntheticMarket
from brokergate.sim.market import TradeUpdate

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 10**9
HOURS = 3
YEAR_SECONDS = 31_557_600
SYMBOLS = sorted(PROFILES)


@dataclass
class Seen:
    """A market looked at every second."""

    returns: list[float] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)
    signs: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    flows: list[int] = field(default_factory=list)
    """Buys less sells of each second."""
    depths: list[list[int]] = field(default_factory=list)
    """The sizes of both sides by level, a minute apart."""


@cache
def seen(symbol: str) -> Seen:
    """Three hours of a market."""
    market = SyntheticMarket(symbol, Random(f"facts/{symbol}"), START_NS)
    found, mids = Seen(), []
    for second in range(1, HOURS * 3600 + 1):
        flow = 0
        last = 0
        for update in market.advance(START_NS + second * SECOND_NS):
            if isinstance(update, TradeUpdate):
                flow += update.aggressor
                if update.time_ns != last:
                    found.signs.append(update.aggressor)
                    found.sizes.append(0)
                found.sizes[-1] += update.size
                last = update.time_ns
        bids, asks = market._bids.levels(), market._asks.levels()
        mids.append((bids[0][0] + asks[0][0]) / 2)
        found.spreads.append(asks[0][0] - bids[0][0])
        found.flows.append(flow)
        if second % 60 == 0:
            found.depths += [[size for _, size in side] for side in (bids, asks)]
    found.returns = [after / before - 1 for before, after in pairwise(mids)]
    return found


def correlation(values: Sequence[float], lag: int) -> float:
    """The autocorrelation of `values` at `lag`."""
    middle = mean(values)
    apart = zip(values, values[lag:], strict=False)
    return sum((one - middle) * (other - middle) for one, other in apart) / sum(
        (one - middle) ** 2 for one in values
    )


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_returns_have_fat_tails(symbol: str) -> None:
    """The kurtosis of a second's returns is above the normal's 3."""
    returns = seen(symbol).returns
    variance = mean([move * move for move in returns])
    assert 3.3 < mean([move**4 for move in returns]) / variance**2 < 20


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_volatility_is_as_set(symbol: str) -> None:
    """A year's, from a second's returns; the slow variance makes three hours more or less than the mean."""
    returns = seen(symbol).returns
    measured = sqrt(mean([move * move for move in returns]) * YEAR_SECONDS)
    assert 0.75 < measured / PROFILES[symbol].annual_volatility < 1.35


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_returns_neither_bounce_nor_trend(symbol: str) -> None:
    """No autocorrelation beyond noise: with 10,800 seconds and clusters a standard error is some 0.02."""
    returns = seen(symbol).returns
    assert -0.06 < correlation(returns, 1) < 0.08
    for lag in (2, 5, 30):
        assert abs(correlation(returns, lag)) < 0.06


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_volatility_clusters_and_is_forgotten_slowly(symbol: str) -> None:
    """Moves of either sign are followed by moves of like size, for a minute and more."""
    sizes = [abs(move) for move in seen(symbol).returns]
    assert correlation(sizes, 1) > 0.08
    assert correlation(sizes, 5) > 0.05
    assert correlation(sizes, 60) > 0.02


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_spread_is_about_what_was_set_and_widens_with_volatility(symbol: str) -> None:
    """In the mean; and it is wider in the wilder half of the minutes."""
    facts = seen(symbol)
    assert 0.8 < mean(facts.spreads) / PROFILES[symbol].spread < 1.3
    minutes = [slice(start, start + 60) for start in range(0, len(facts.returns) - 60, 60)]
    wild = {start.start: sum(move * move for move in facts.returns[start]) for start in minutes}
    calm = median(wild.values())
    spreads = [(wild[part.start] > calm, mean(facts.spreads[part])) for part in minutes]
    assert mean([width for wilder, width in spreads if wilder]) > mean(
        [width for wilder, width in spreads if not wilder]
    )


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_book_is_deeper_away_from_the_best_price(symbol: str) -> None:
    """The last five levels hold more than the first five, and less than three times as much."""
    depths = seen(symbol).depths
    first, last = mean([sum(side[:5]) for side in depths]), mean([sum(side[-5:]) for side in depths])
    assert 1.2 < last / first < 3


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_trades_come_in_runs_of_one_side(symbol: str) -> None:
    """With long memory, and as many buys as sells."""
    signs = seen(symbol).signs
    assert correlation(signs, 1) > 0.4
    assert correlation(signs, 10) > 0.1
    assert correlation(signs, 50) > 0.01
    assert abs(mean(signs)) < 0.15


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_sizes_are_heavy_tailed(symbol: str) -> None:
    """The largest hundredth of the trades is more than five times the median."""
    sizes = sorted(seen(symbol).sizes)
    assert sizes[-len(sizes) // 100] > 5 * median(sizes)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_trades_move_the_price(symbol: str) -> None:
    """It rises in seconds in which more was bought, and falls in the others; what was bought says nothing of after."""
    facts = seen(symbol)
    pairs = list(zip(facts.flows[1:], facts.returns, strict=True))
    assert mean([move for flow, move in pairs if flow > 0]) > 0
    assert mean([move for flow, move in pairs if flow < 0]) < 0
    deviation = sqrt(mean([move * move for move in facts.returns]))
    after = [flow * move for flow, move in zip(facts.flows, facts.returns[1:], strict=False)]
    scale = sqrt(mean([flow * flow for flow in facts.flows])) * deviation
    assert abs(mean(after)) / scale < 0.06
