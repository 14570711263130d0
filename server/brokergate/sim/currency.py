"""One currency of an account, counted in whole units."""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain.accounts import BrokerBalance
from brokergate.domain.money import CONTEXT, normal


class CurrencyAccount:
    """One currency: all of it, and what is set aside of it, in units of 10^-`places`."""

    __slots__ = ("changed", "currency", "held", "places", "pledged", "total")

    def __init__(self, currency: str, places: int) -> None:
        self.currency = currency
        self.places = places
        self.total = 0
        self.held = 0
        self.pledged = 0
        """What of `held` open orders on margin have set aside."""
        self.changed = False

    @property
    def available(self) -> int:
        """What may be spent."""
        return self.total - self.held

    def units(self, amount: Decimal) -> int:
        """`amount` in units; it has no more places than the account."""
        return int(CONTEXT.scaleb(amount, self.places))

    def amount(self, units: int) -> Decimal:
        """`units` as an amount, without zeros at its end."""
        return normal(CONTEXT.scaleb(Decimal(units), -self.places))

    def report(self, now_ns: int) -> BrokerBalance:
        """As it is told."""
        return BrokerBalance(self.currency, self.amount(self.total), self.amount(self.held), now_ns)
