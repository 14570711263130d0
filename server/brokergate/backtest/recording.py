"""What a run is watched by: the account's equity, and the price of each instrument, thinned so that memory is bounded.

Equity is looked at `EQUITY_SAMPLES` times at even distances, after every moment with a fill, and at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from brokergate.sim.venue import Venue

EQUITY_SAMPLES = 1000
"""Looks at the account over a run, beside those at its fills."""
MAX_PRICES = 100_000
"""Prices of an instrument that a run keeps; beyond them every four become their lowest and their highest."""


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """The account at a moment, in its base currency; None where something that it holds cannot be valued."""

    time_ns: int
    equity: Decimal | None
    realized_pnl: Decimal | None
    unrealized_pnl: Decimal | None


class PriceSeries:
    """An instrument's price over time, as (nanoseconds, twice the price in ticks): where it changed."""

    def __init__(self, most: int = MAX_PRICES) -> None:
        self.points: list[tuple[int, int]] = []
        self._most = most
        self._last: int | None = None

    def add(self, time_ns: int, doubled: int) -> None:
        """The price at `time_ns`."""
        if doubled == self._last:
            return
        self._last = doubled
        self.points.append((time_ns, doubled))
        if len(self.points) > self._most:
            self.points = thinned(self.points)


def thinned(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Half as many points: of each four, in their order, the lowest and the highest. What is left over stays."""
    kept: list[tuple[int, int]] = []
    whole = len(points) // 4 * 4
    for index in range(0, whole, 4):
        four = points[index : index + 4]
        low, high = min(four, key=lambda point: point[1]), max(four, key=lambda point: point[1])
        kept += sorted({low, high})
    return kept + points[whole:]


class Recorder:
    """Watches a venue from `start_ns` to `end_ns`."""

    def __init__(self, venue: Venue, start_ns: int, end_ns: int) -> None:
        self.equity: list[EquityPoint] = []
        self.prices = {symbol: PriceSeries() for symbol in venue.listings}
        self.held: dict[str, list[tuple[int, int]]] = {symbol: [] for symbol in venue.listings}
        """Lots of each instrument after each change, as (nanoseconds, lots); one point a moment."""
        self._venue = venue
        self._step_ns = max(1, (end_ns - start_ns) // EQUITY_SAMPLES)
        self.next_ns = start_ns
        """When the account is looked at next."""

    def until(self, time_ns: int) -> None:
        """Time goes on to `time_ns`, where something is about to happen: what was due before stands as it is."""
        # However long nothing happened, one look says it: nothing changed in between.
        if self.next_ns < time_ns:
            self.look(self.next_ns)
            self.next_ns += (time_ns - self.next_ns + self._step_ns - 1) // self._step_ns * self._step_ns

    def look(self, time_ns: int) -> None:
        """The account, now."""
        for symbol in self.held:
            self._hold(symbol, time_ns)
        info = self._venue.info()
        point = EquityPoint(time_ns, info.equity, info.realized_pnl, info.unrealized_pnl)
        if self.equity and self.equity[-1].time_ns == time_ns:
            self.equity[-1] = point
        else:
            self.equity.append(point)

    def price(self, symbol: str, time_ns: int) -> None:
        """The market of `symbol` moved."""
        self._hold(symbol, time_ns)
        doubled = self._venue.listings[symbol].market.mark()
        if doubled is not None:
            self.prices[symbol].add(time_ns, doubled)

    def _hold(self, symbol: str, time_ns: int) -> None:
        steps, lots = self.held[symbol], self._venue.listings[symbol].funds.position.lots
        if lots != (steps[-1][1] if steps else 0):
            if steps and steps[-1][0] == time_ns:
                steps.pop()
            steps.append((time_ns, lots))
