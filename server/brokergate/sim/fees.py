"""What a venue or broker charges for executions, as data; and commission in per cent, in whole units.

Fees are rounded half to even to the currency's own scale, levies up. `sim/commission.py` charges them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import Enum
from typing import Any

from brokergate.domain.instruments import InstrumentKind
from brokergate.domain.money import ZERO, format_decimal, half_even

# fmt: off
MINOR_UNITS = {
    "AUD": 2, "BRL": 2, "CAD": 2, "CHF": 2, "CNH": 2, "CNY": 2, "CZK": 2, "DKK": 2, "EUR": 2, "GBP": 2, "HKD": 2,
    "HUF": 2, "ILS": 2, "INR": 2, "JPY": 0, "KRW": 0, "MXN": 2, "NOK": 2, "NZD": 2, "PLN": 2, "RON": 2, "SEK": 2,
    "SGD": 2, "THB": 2, "TRY": 2, "TWD": 2, "USD": 2, "ZAR": 2,
}
# fmt: on
"""Currencies of states, with the places after the point that fees in them are rounded to: ISO 4217's minor unit; the
offshore yuan's is the yuan's."""

DEFAULT_PLACES = 8
"""Of any other currency: a crypto asset."""


def currency_places(currency: str) -> int:
    """Places after the point that a fee in `currency` has."""
    return MINOR_UNITS.get(currency, DEFAULT_PLACES)


class TierBasis(Enum):
    """What volume decides an account's tier. Both count the account's own executions, in UTC days."""

    TURNOVER_30_DAYS = "turnover_30_days"
    """Price × quantity × multiplier of today and the 29 days before, in the quote currency; the dollars and dollar
    coins of `AT_PAR` count together."""
    QUANTITY_MONTH = "quantity_month"
    """Shares or contracts since the month began."""


AT_PAR = frozenset({"USD", "USDC", "USDT"})
"""Worth one another where no market of the account says otherwise: dollars, and coins that promise a dollar."""


@dataclass(frozen=True, slots=True)
class Tier:
    """The rates from a volume of `above` on."""

    above: Decimal
    taker_percent: Decimal = ZERO
    maker_percent: Decimal = ZERO
    per_unit: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """What executions cost. Per cents are of price × quantity × multiplier (0.1 is 0.1 %), amounts in the quote
    currency.

    An order costs Σ (per cent × notional + `per_unit` × quantity) over its executions; at least `minimum`, then at
    most `maximum` and `maximum_percent` of its notional, then `fixed` on top. Levies come on top of that. Where there
    is only a rate in per cent, each execution is rounded by itself; otherwise the order is, and each execution costs
    what it adds, so that the first one pays the minimum and the sum is the order's fee exactly. That is how a minimum
    per order works at Interactive Brokers (`pricing/commissions-stocks`), maximum above minimum included: 10 shares at
    0.20 cost 0.02, one per cent, and not 1.00.
    """

    taker_percent: Decimal = ZERO
    """0 or more and below 100."""
    maker_percent: Decimal = ZERO
    """Below zero is a rebate."""
    per_unit: Decimal = ZERO
    """A share, a contract, or whatever the quantity counts."""
    minimum: Decimal = ZERO
    """An order that fills at all."""
    maximum: Decimal | None = None
    maximum_percent: Decimal | None = None
    fixed: Decimal = ZERO
    """An order that fills at all."""
    levy_per_unit: Decimal = ZERO
    """Of the regulator, on both sides; an order's levies are rounded up."""
    sell_levy_percent: Decimal = ZERO
    """Of the regulator, on what is sold."""
    sell_levy_per_unit: Decimal = ZERO
    sell_levy_maximum: Decimal | None = None
    """The most that `sell_levy_per_unit` comes to, an order."""
    tiers: tuple[Tier, ...] = ()
    """From the lowest on. They take the place of the three rates from their volume on."""
    basis: TierBasis = TierBasis.TURNOVER_30_DAYS
    kinds: tuple[tuple[InstrumentKind, FeeSchedule], ...] = ()
    """Schedules of their own for some kinds of instrument."""

    def __post_init__(self) -> None:
        if not (self.taker_percent.is_finite() and 0 <= self.taker_percent < 100):
            raise ValueError(f"taker_percent is {self.taker_percent}; it must be 0 or more and below 100")
        if not (self.maker_percent.is_finite() and -100 < self.maker_percent < 100):
            raise ValueError(f"maker_percent is {self.maker_percent}; it must be above -100 and below 100")

    @property
    def plain(self) -> bool:
        """Whether there is nothing but the two rates in per cent."""
        return self == FeeSchedule(self.taker_percent, self.maker_percent, kinds=self.kinds)

    def of_kind(self, kind: InstrumentKind) -> FeeSchedule:
        """What instruments of `kind` cost."""
        return dict(self.kinds).get(kind, self)

    def text(self) -> str:
        """All of it in one line, as `read_schedule` reads it."""
        return json.dumps(_plain(self), separators=(",", ":"))


def read_schedule(text: str) -> FeeSchedule:
    """The schedule that `FeeSchedule.text` wrote. `ValueError` for anything else."""
    try:
        return _schedule(json.loads(text))
    except (TypeError, KeyError, ArithmeticError) as error:
        raise ValueError(f"{text[:64]!r} is no schedule of fees") from error


_AMOUNTS = tuple(field.name for field in fields(FeeSchedule) if field.name not in ("tiers", "basis", "kinds"))


def _plain(schedule: FeeSchedule) -> dict[str, Any]:
    amounts = {name: getattr(schedule, name) for name in _AMOUNTS}
    return {
        **{name: format_decimal(amount) for name, amount in amounts.items() if amount is not None},
        "tiers": [
            [
                format_decimal(each)
                for each in (tier.above, tier.taker_percent, tier.maker_percent, tier.per_unit)
            ]
            for tier in schedule.tiers
        ],
        "basis": schedule.basis.value,
        "kinds": {kind.name: _plain(each) for kind, each in schedule.kinds},
    }


def _schedule(plain: dict[str, Any]) -> FeeSchedule:
    amounts = {name: Decimal(plain[name]) for name in _AMOUNTS if name in plain}
    return FeeSchedule(
        **amounts,
        tiers=tuple(Tier(*map(Decimal, tier)) for tier in plain["tiers"]),
        basis=TierBasis(plain["basis"]),
        kinds=tuple((InstrumentKind[kind], _schedule(each)) for kind, each in plain["kinds"].items()),
    )


class Commission:
    """One rate in one currency, on amounts in units of 10^-`places` of it (`places` not below the currency's own)."""

    __slots__ = ("_denominator", "_numerator", "_step")

    def __init__(self, percent: Decimal, currency: str, places: int) -> None:
        self._step = int(10 ** (places - currency_places(currency)))
        self._numerator, denominator = percent.as_integer_ratio()
        self._denominator = 100 * denominator * self._step

    def of(self, notional: int) -> int:
        """The fee on `notional`, half to even to the currency's scale."""
        if not self._numerator:
            return 0
        return half_even(notional * self._numerator, self._denominator) * self._step

    def at_most(self, notional: int) -> int:
        """The fee rounded up: what is set aside for a fill to come."""
        return -(-notional * self._numerator // self._denominator) * self._step
