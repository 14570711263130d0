"""The market that the venue's process plays: synthetic, by seed, and lively enough that orders fill while one looks."""

from __future__ import annotations

from dataclasses import replace
from heapq import heapify, heapreplace
from random import Random

from brokergate.domain.instruments import Instrument
from brokergate.sim.feeds.profiles import AAPL, BTC_USDT, EUR_USD
from brokergate.sim.feeds.synthetic import SyntheticMarket
from brokergate.sim.market import MarketUpdate

PROFILES = tuple(
    replace(profile, annual_volatility=8.0, updates_per_second=50, trade_share=0.5, levels=10)
    for profile in (AAPL, BTC_USDT, EUR_USD)
)
"""A share, a coin and a pair of currencies: what is held moves different balances. Some fifty updates a second each."""


class LivelyMarket:
    """The markets in one stream, ordered by time."""

    def __init__(self, seed: int, start_ns: int) -> None:
        self._markets = [
            SyntheticMarket(profile.instrument.symbol, Random(f"{seed}/{index}"), start_ns, profile)
            for index, profile in enumerate(PROFILES)
        ]
        self._due = [(market.next_ns, index) for index, market in enumerate(self._markets)]
        heapify(self._due)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """What it has."""
        return tuple(market.instrument for market in self._markets)

    def advance(self, until_ns: int) -> list[MarketUpdate]:
        """What has happened since the last call and up to `until_ns`."""
        updates: list[MarketUpdate] = []
        while self._due[0][0] <= until_ns:
            due_ns, index = self._due[0]
            updates += self._markets[index].advance(due_ns)
            heapreplace(self._due, (self._markets[index].next_ns, index))
        return updates
