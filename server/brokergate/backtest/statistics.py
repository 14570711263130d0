"""What a run comes to. Pure functions over executions, orders and equity; money is exact, ratios are rounded to
18 places, and nothing here is a float.

Costs are positive: a slippage of 2 is money lost, one of -2 is money won.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain.fills import Money
from brokergate.domain.money import ZERO, add, multiply, quotient, subtract

BASIS_POINTS = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill."""

    time_ns: int
    symbol: str
    sign: int
    """+1 bought, -1 sold."""
    quantity: Decimal
    price: Decimal
    multiplier: Decimal
    currency: str
    """What was paid."""
    fees: tuple[Money, ...]
    maker: bool
    arrival_mid: Decimal | None
    """The middle of bid and ask when its order was given; None where there was none."""

    @property
    def notional(self) -> Decimal:
        """price × quantity × multiplier."""
        return multiply(multiply(self.price, self.quantity), self.multiplier)


@dataclass(frozen=True, slots=True)
class Wish:
    """An order, as far as it counts here. Refused ones have no `quantity` left to fill."""

    symbol: str
    sign: int
    ordered: Decimal
    filled: Decimal
    multiplier: Decimal
    currency: str
    outcome: str
    """`filled`, `partly filled`, `not filled` or `refused`."""
    reason: str
    """Why it was refused; empty for the others."""
    arrival_mid: Decimal | None
    last_mid: Decimal | None
    """The middle of bid and ask when it ended, or at the run's end."""
    queue_wait_ns: int | None
    """From its first standing in the book to its first fill from there; None where there was none."""
    rested: bool


# Equity


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The largest fall of an equity curve from its highest point until then."""

    amount: Decimal
    share: Decimal | None
    """Of that highest point; None where that is not above zero."""
    peak_ns: int
    trough_ns: int
    longest_ns: int
    """The longest time from a highest point until the curve was there again, or until its end. Not always the time of
    the largest fall."""


def drawdown(curve: Sequence[tuple[int, Decimal]]) -> Drawdown | None:
    """The drawdown of (nanoseconds, equity), in the order of time; None for an empty curve. Of several as large, the
    first. Magdon-Ismail and Atiya, "Maximum drawdown" (Risk, 2004): max over t of (max over s ≤ t of X_s) - X_t."""
    if not curve:
        return None
    peak_ns, peak = curve[0]
    worst, at = ZERO, (peak_ns, peak_ns, peak)
    longest_ns, under = 0, False
    for time_ns, equity in curve:
        if equity >= peak:
            if under:
                longest_ns = max(longest_ns, time_ns - peak_ns)
            peak_ns, peak, under = time_ns, equity, False
            continue
        under = True
        longest_ns = max(longest_ns, time_ns - peak_ns)
        if subtract(peak, equity) > worst:
            worst, at = subtract(peak, equity), (peak_ns, time_ns, peak)
    share = quotient(worst, at[2]) if at[2] > 0 else None
    return Drawdown(worst, share, at[0], at[1], longest_ns)


# Slippage


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What trading cost against the price that stood when each order was given (implementation shortfall, Perold,
    "The Implementation Shortfall: Paper versus Reality", Journal of Portfolio Management 14 (3), 1988), in one
    currency. Fees are counted apart."""

    execution: Decimal
    """Σ sign × (price - arrival mid) × quantity × multiplier, over executions: what filling cost."""
    execution_bps: Decimal | None
    """The same in basis points of Σ arrival mid × quantity × multiplier; None where nothing was filled."""
    opportunity: Decimal
    """Σ sign × (last mid - arrival mid) × unfilled × multiplier, over orders that were not refused: what not filling
    cost. Negative where it was as well that they did not fill."""
    unknown: int
    """Executions and orders without a mid: they are not in the sums."""


def slippage(execution: Execution) -> Decimal | None:
    """Of one fill, in its currency: sign × (price - arrival mid) × quantity × multiplier. None without a mid."""
    if execution.arrival_mid is None:
        return None
    worse = multiply(Decimal(execution.sign), subtract(execution.price, execution.arrival_mid))
    return multiply(multiply(worse, execution.quantity), execution.multiplier)


def slippage_bps(execution: Execution) -> Decimal | None:
    """Of one fill, in basis points of the arrival mid. None without a mid."""
    mid = execution.arrival_mid
    if mid is None or not mid:
        return None
    worse = multiply(Decimal(execution.sign), subtract(execution.price, mid))
    return quotient(multiply(worse, BASIS_POINTS), mid)


def shortfalls(executions: Iterable[Execution], wishes: Iterable[Wish]) -> dict[str, Shortfall]:
    """By currency, in their order."""
    costs: dict[str, list[Decimal]] = {}
    unknown: Counter[str] = Counter()
    for execution in executions:
        sums = costs.setdefault(execution.currency, [ZERO, ZERO, ZERO])
        cost = slippage(execution)
        if cost is None or execution.arrival_mid is None:
            unknown[execution.currency] += 1
            continue
        at_mid = multiply(multiply(execution.arrival_mid, execution.quantity), execution.multiplier)
        sums[0], sums[1] = add(sums[0], cost), add(sums[1], at_mid)
    for wish in wishes:
        unfilled = subtract(wish.ordered, wish.filled)
        if wish.outcome == "refused" or unfilled <= 0:
            continue
        sums = costs.setdefault(wish.currency, [ZERO, ZERO, ZERO])
        if wish.arrival_mid is None or wish.last_mid is None:
            unknown[wish.currency] += 1
            continue
        moved = multiply(Decimal(wish.sign), subtract(wish.last_mid, wish.arrival_mid))
        sums[2] = add(sums[2], multiply(multiply(moved, unfilled), wish.multiplier))
    return {
        currency: Shortfall(
            sums[0],
            quotient(multiply(sums[0], BASIS_POINTS), sums[1]) if sums[1] else None,
            sums[2],
            unknown[currency],
        )
        for currency, sums in sorted(costs.items())
    }


# Filling


@dataclass(frozen=True, slots=True)
class FillRatio:
    """How much of what was ordered was filled, of one instrument; refused orders are not in the sums."""

    ordered: Decimal
    filled: Decimal
    ratio: Decimal | None


def fill_ratios(wishes: Iterable[Wish]) -> dict[str, FillRatio]:
    """By symbol, in their order."""
    sums: dict[str, tuple[Decimal, Decimal]] = {}
    for wish in wishes:
        ordered, filled = sums.get(wish.symbol, (ZERO, ZERO))
        if wish.outcome != "refused":
            ordered, filled = add(ordered, wish.ordered), add(filled, wish.filled)
        sums[wish.symbol] = ordered, filled
    return {
        symbol: FillRatio(ordered, filled, quotient(filled, ordered) if ordered else None)
        for symbol, (ordered, filled) in sorted(sums.items())
    }


OUTCOMES = ("filled", "partly filled", "not filled", "refused")


def outcomes(wishes: Iterable[Wish]) -> dict[str, int]:
    """How many orders came to which outcome."""
    counts = Counter(wish.outcome for wish in wishes)
    return {outcome: counts[outcome] for outcome in OUTCOMES}


def refusals(wishes: Iterable[Wish]) -> dict[str, int]:
    """How many orders were refused for which reason, by its name."""
    return dict(sorted(Counter(wish.reason for wish in wishes if wish.outcome == "refused").items()))


@dataclass(frozen=True, slots=True)
class QueueWaits:
    """How long orders stood in the book before they first filled from there. Those that never did are counted apart:
    their wait was longer than they lived, so that the figures flatter where there are many."""

    count: int
    shortest_ns: int
    median_ns: int
    p90_ns: int
    longest_ns: int
    never: int


def queue_waits(wishes: Iterable[Wish]) -> QueueWaits | None:
    """None where no order ever stood in the book. Quantiles are nearest ranks, so that each is a wait that was."""
    rested = [wish for wish in wishes if wish.rested]
    waits = sorted(wish.queue_wait_ns for wish in rested if wish.queue_wait_ns is not None)
    if not rested:
        return None
    if not waits:
        return QueueWaits(0, 0, 0, 0, 0, len(rested))
    return QueueWaits(
        len(waits),
        waits[0],
        nearest_rank(waits, 50),
        nearest_rank(waits, 90),
        waits[-1],
        len(rested) - len(waits),
    )


def nearest_rank(values: Sequence[int], percent: int) -> int:
    """The least of sorted `values` that at least `percent` per cent of them do not exceed."""
    return values[max(0, -(-len(values) * percent // 100) - 1)]


# Volume


@dataclass(frozen=True, slots=True)
class Volume:
    """What was traded of one currency."""

    turnover: Decimal
    """Σ price × quantity × multiplier, bought and sold."""
    maker: Decimal
    """Of that, by orders that rested."""
    maker_share: Decimal | None


def volumes(executions: Sequence[Execution]) -> dict[str, Volume]:
    """By currency, in their order."""
    turnover, maker = (
        _sums(executions, lambda execution: execution.notional),
        _sums(
            (execution for execution in executions if execution.maker), lambda execution: execution.notional
        ),
    )
    return {
        currency: Volume(amount, maker.get(currency, ZERO), quotient(maker.get(currency, ZERO), amount))
        for currency, amount in sorted(turnover.items())
        if amount
    }


def _sums(executions: Iterable[Execution], amount: Callable[[Execution], Decimal]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for execution in executions:
        sums[execution.currency] = add(sums.get(execution.currency, ZERO), amount(execution))
    return sums


def fees(executions: Iterable[Execution]) -> dict[str, Decimal]:
    """What was paid, by currency; below zero for rebates. Fees of zero name no currency."""
    sums: dict[str, Decimal] = {}
    for execution in executions:
        for fee in execution.fees:
            if fee.amount:
                sums[fee.currency] = add(sums.get(fee.currency, ZERO), fee.amount)
    return dict(sorted(sums.items()))
