"""Slippage: by how much what an order takes is dearer than the prices that it takes it at.

A model comes on top of what the market shows: an order walks the book (or takes at a bar's or a trade's price), and
each price is then made worse by the model's amount. It is rounded up to the tick, never brings a better price, and a
sale never falls below one tick. What it puts beyond an order's limit is not taken. Funds are checked at the slipped
prices. An order that rests gives at its limit and never slips.

A user's own model is a class with a method `slip` (`SlippageModel`), named in the configuration as
`package.module:ClassName` and made with its `options` as keyword arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from math import ceil, isfinite
from typing import Protocol

from brokergate.domain.instruments import Instrument

_UP = Context(prec=60, rounding=ROUND_CEILING)
_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Taking:
    """What an order is about to take at one price."""

    instrument: Instrument
    side: int
    """+1 buys, -1 sells."""
    price: Decimal
    """What the market shows there."""
    quantity: Decimal
    """What the order would take now in all, at this and at other prices."""
    volume: Decimal | None
    """What traded in the bar or the trade that it takes part in; None on an order book."""


class SlippageModel(Protocol):
    """The same question always has the same answer: a model keeps nothing from one to the next, so that a replay and
    a restart give the same fills. A larger quantity never slips less."""

    def slip(self, taking: Taking) -> Decimal | float:
        """How much worse the price is, in price units; 0 or more. What is below zero counts as 0."""


def slipped_ticks(model: SlippageModel, taking: Taking) -> int:
    """The model's amount in ticks, rounded up. `ValueError` for an amount that is not finite."""
    amount = model.slip(taking)
    step = taking.instrument.price_increment
    if isinstance(amount, Decimal):
        if not amount.is_finite():
            raise ValueError(f"{type(model).__name__} slips by {amount}")
        (above, below), (numerator, denominator) = amount.as_integer_ratio(), step.as_integer_ratio()
        ticks = -(-above * denominator // (below * numerator))
    else:
        if not isfinite(amount):
            raise ValueError(f"{type(model).__name__} slips by {amount}")
        ticks = ceil(amount / float(step))
    return max(0, ticks)


@dataclass(frozen=True, slots=True)
class FixedSlippage:
    """The same amount at every price: slip = amount. LEAN's ConstantSlippageModel with an amount instead of a share,
    zipline's FixedSlippage with half its spread."""

    amount: Decimal
    """In price units, 0 or more."""

    def slip(self, taking: Taking) -> Decimal:
        """See `SlippageModel`."""
        return self.amount


@dataclass(frozen=True, slots=True)
class PercentageSlippage:
    """A share of the price: slip = price × percent / 100.

    zipline's FixedBasisPointsSlippage (zipline/finance/slippage.py) with 0.01 per cent a basis point; LEAN's
    ConstantSlippageModel (Common/Orders/Slippage/ConstantSlippageModel.cs) with a share of percent / 100.
    """

    percent: Decimal
    """0 or more."""

    def slip(self, taking: Taking) -> Decimal:
        """See `SlippageModel`."""
        return _UP.multiply(_UP.multiply(taking.price, self.percent), _HUNDREDTH)


@dataclass(frozen=True, slots=True)
class VolumeShareSlippage:
    """The square of the share of the volume: slip = price × price_impact × min(quantity / volume, limit)².

    zipline's VolumeShareSlippage (zipline/finance/slippage.py) and LEAN's VolumeShareSlippageModel
    (Common/Orders/Slippage/VolumeShareSlippageModel.cs), both with 0.1 and 0.025. `volume` is the bar's, or the
    trade's; on an order book, which tells none, and where nothing traded, the share counts as `limit`.
    """

    price_impact: Decimal = Decimal("0.1")
    volume_limit: Decimal = Decimal("0.025")
    """Above 0, at most 1."""

    def slip(self, taking: Taking) -> Decimal:
        """See `SlippageModel`."""
        share = self.volume_limit
        if taking.volume:
            share = min(share, _UP.divide(taking.quantity, taking.volume))
        return _UP.multiply(taking.price, _UP.multiply(self.price_impact, _UP.multiply(share, share)))


@dataclass(frozen=True, slots=True)
class MarketImpactSlippage:
    """What an order costs by its own weight (Almgren, Thum, Hauptmann, Li: "Direct Estimation of Equity Market
    Impact", 2005; as in LEAN's Common/Orders/Slippage/MarketImpactSlippageModel.cs).

    With X the quantity, V̄ `average_volume` a day, σ `volatility` a day, T the days that the execution takes:

        ν         = X / (T · V̄)
        temporary = σ · eta · ν^beta                                eta 0.142, beta 0.6
        permanent = σ · T · gamma · ν^alpha · (shares / V̄)^delta    gamma 0.314, alpha 0.891, delta 0.267
        slip      = price × (temporary + permanent / 2), at most the price

    Unlike LEAN, which multiplies by a number drawn from 0 to 1 and adds Gaussian noise, this is the expected impact,
    the whole of it: it is monotone in size and the same at each replay. Without `shares_outstanding` the last factor
    is 1, as there. LEAN's T is 75 ms; the paper's are hours. The coefficients were fitted to large US stocks.
    """

    average_volume: Decimal
    """V̄: what trades in a day, in units of the instrument; above 0."""
    volatility: float
    """σ: the standard deviation of a day's returns, a share; 0 or more."""
    execution_days: float
    """T, above 0."""
    shares_outstanding: Decimal | None = None
    alpha: float = 0.891
    beta: float = 0.6
    gamma: float = 0.314
    eta: float = 0.142
    delta: float = 0.267

    def impact(self, quantity: Decimal) -> tuple[float, float]:
        """The temporary and the permanent impact of `quantity`, shares of the price."""
        volume = float(self.average_volume)
        rate = float(quantity) / (self.execution_days * volume)
        temporary = self.volatility * self.eta * rate**self.beta
        turnover = 1.0
        if self.shares_outstanding is not None:
            turnover = (float(self.shares_outstanding) / volume) ** self.delta
        permanent = self.volatility * self.execution_days * self.gamma * rate**self.alpha * turnover
        return temporary, permanent

    def slip(self, taking: Taking) -> float:
        """See `SlippageModel`."""
        temporary, permanent = self.impact(taking.quantity)
        return float(taking.price) * min(1.0, temporary + permanent / 2)
