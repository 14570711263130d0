"""What stands ahead of a resting order at its price, and how it gives way.

The feed shows how much rests at a price, not in which order. When an order comes to rest, all that is shown stands
ahead of it. A trade at its price takes from the front: `ahead` falls by the trade's size, and what the trade has left
fills the order. What a model decides is whose a decrease was that no trade explains: somebody ahead, or somebody
behind. State is in whole lots, rounded so that the order never stands further in front than the model says.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil, log1p
from typing import Protocol

from brokergate.sim.book import UNKNOWN
from brokergate.sim.orders import WorkingOrder


class QueueModel(Protocol):
    """Follows `order.ahead`: lots of others that stand before it, `UNKNOWN` while nothing shows them."""

    def join(self, order: WorkingOrder, shown: int) -> None:
        """The order comes to rest where the feed shows so many lots, or `UNKNOWN`."""

    def trade(self, order: WorkingOrder, left: int, size: int) -> int:
        """A trade of `size` came at its price, of which our earlier orders left `left`: returns what remains for this
        one after those ahead. `ahead` is known."""

    def depth(self, order: WorkingOrder, shown: int) -> None:
        """The feed tells again what rests at its price, or no longer (`UNKNOWN`)."""


@dataclass(frozen=True, slots=True)
class ConservativeQueue:
    """Who leaves stood behind, as long as that can be: ahead ← ahead - trade; ahead ← min(ahead, shown).

    `RiskAdverseQueueModel` of hftbacktest (hftbacktest/src/backtest/models/queue.rs).
    """

    def join(self, order: WorkingOrder, shown: int) -> None:
        """See `QueueModel`."""
        order.ahead = shown

    def trade(self, order: WorkingOrder, left: int, size: int) -> int:
        """See `QueueModel`."""
        used = min(order.ahead, left)
        order.ahead -= used
        return left - used

    def depth(self, order: WorkingOrder, shown: int) -> None:
        """See `QueueModel`."""
        if shown != UNKNOWN and (order.ahead == UNKNOWN or shown < order.ahead):
            order.ahead = shown


class QueueFunction(StrEnum):
    """The f of the probabilistic queue."""

    POWER = "power"
    """f(x) = xⁿ (hftbacktest's PowerProbQueueFunc)."""
    LOG = "log"
    """f(x) = ln(1 + x) (hftbacktest's LogProbQueueFunc)."""


@dataclass(frozen=True, slots=True)
class ProbabilisticQueue:
    """Who leaves stood behind with a probability that grows with how many stand there.

    With `before` the size that was shown last, `shown` the one shown now, and `traded` what traded at the price in
    between:

        c      = before - shown - traded          what left without a trade
        behind = before - ahead                   (`ahead` is already less what traded)
        p      = f(behind) / (f(behind) + f(ahead))
        ahead  ← min(ahead - (1 - p)·c + min(behind - p·c, 0), shown)      where c ≥ 0
        ahead  ← min(ahead, shown)                                         where c < 0

    `ProbQueueModel` of hftbacktest (hftbacktest/src/backtest/models/queue.rs), after
    https://rigtorp.se/2013/06/08/estimating-order-queue-position.html; here in whole lots, rounded up, and never below
    zero. It fills more than the conservative queue, and can fill more than the market would have.
    """

    function: QueueFunction = QueueFunction.POWER
    exponent: float = 2.0
    """The n of `POWER`, above zero: the larger, the more those in the majority leave."""

    def join(self, order: WorkingOrder, shown: int) -> None:
        """See `QueueModel`."""
        order.ahead = order.seen = shown
        order.traded = 0

    def trade(self, order: WorkingOrder, left: int, size: int) -> int:
        """See `QueueModel`."""
        used = min(order.ahead, left)
        order.ahead -= used
        order.traded += size
        return left - used

    def depth(self, order: WorkingOrder, shown: int) -> None:
        """See `QueueModel`."""
        if shown == UNKNOWN:
            return
        ahead, before = order.ahead, order.seen
        if ahead == UNKNOWN:
            self.join(order, shown)
            return
        gone = before - shown - order.traded
        order.seen, order.traded = shown, 0
        if gone > 0 and ahead > 0:
            behind = before - ahead
            share = self.probability(ahead, behind)
            ahead = max(0, ceil(ahead - (1 - share) * gone + min(behind - share * gone, 0.0)))
        order.ahead = min(order.ahead, ahead, shown)

    def probability(self, ahead: int, behind: int) -> float:
        """How likely somebody who leaves stood behind: f(behind) / (f(behind) + f(ahead))."""
        if self.function is QueueFunction.LOG:
            before, after = log1p(ahead), log1p(behind)
            return after / (after + before) if behind > 0 else 0.0
        # As a ratio, which no exponent makes overflow.
        if behind <= 0:
            return 0.0
        ratio = float(min(ahead, behind)) / max(ahead, behind)
        weight = float(ratio**self.exponent)
        return 1 / (1 + weight) if behind >= ahead else weight / (1 + weight)
