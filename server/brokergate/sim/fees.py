"""Commission: per cent of the notional, rounded once, half to even, to the currency's own scale."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain.money import ZERO

# fmt: off
CURRENCY_PLACES = {
    "AUD": 2, "BRL": 2, "CAD": 2, "CHF": 2, "CNY": 2, "CZK": 2, "DKK": 2, "EUR": 2, "GBP": 2, "HKD": 2, "HUF": 2,
    "INR": 2, "JPY": 0, "KRW": 0, "MXN": 2, "NOK": 2, "NZD": 2, "PLN": 2, "SEK": 2, "SGD": 2, "TRY": 2, "USD": 2,
    "ZAR": 2, "BTC": 8, "ETH": 8, "USDC": 8, "USDT": 8,
}
# fmt: on
"""Places after the point that fees of a currency are rounded to: ISO 4217's minor unit, 8 for crypto assets."""

DEFAULT_PLACES = 8
"""For a currency that is not listed."""


def currency_places(currency: str) -> int:
    """Places after the point that a fee in `currency` has."""
    return CURRENCY_PLACES.get(currency, DEFAULT_PLACES)


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """Commission in per cent of price × quantity × multiplier (0.1 is 0.1 %), 0 or more and below 100."""

    taker_percent: Decimal = ZERO
    maker_percent: Decimal = ZERO

    def __post_init__(self) -> None:
        for name in ("taker_percent", "maker_percent"):
            value = getattr(self, name)
            if not (value.is_finite() and 0 <= value < 100):
                raise ValueError(f"{name} is {value}; it must be 0 or more and below 100")


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
        steps, rest = divmod(notional * self._numerator, self._denominator)
        if 2 * rest > self._denominator or (2 * rest == self._denominator and steps & 1):
            steps += 1
        return steps * self._step

    def at_most(self, notional: int) -> int:
        """The fee rounded up: what is set aside for a fill to come."""
        return -(-notional * self._numerator // self._denominator) * self._step
