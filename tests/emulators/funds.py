"""The money of an account at an emulated venue: what is held, what open orders lock, what an execution costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from decimal import Decimal

from brokergate.domain.fills import Liquidity
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView
from tests.emulators.orders import ZERO, VenueOrderState

MAX_LEVELS = 5000
"""How deep a market order is priced."""


class Funds(ABC):
    """See the module. What a venue judges otherwise (margin, fees of its own) it overrides."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        balances: Mapping[str, Decimal],
        taker_rate: Decimal,
        maker_rate: Decimal,
    ) -> None:
        self.instruments = instruments
        """By the project's symbol."""
        self.taker_rate = taker_rate
        self.maker_rate = maker_rate
        currencies = {instrument.base_currency for instrument in instruments.values()}
        currencies |= {instrument.quote_currency for instrument in instruments.values()}
        currencies.discard("")
        self.currencies = sorted(currencies)
        """Those that something is traded in."""
        self.totals: dict[str, Decimal] = dict.fromkeys(self.currencies, ZERO) | dict(balances)
        self.open: dict[int, VenueOrderState] = {}
        """The orders that have not ended, by number."""

    @abstractmethod
    def book(self, symbol: str, depth: int) -> BookView | None:
        """What can be taken now; None while nobody knows."""

    def locked(self, currency: str, without: VenueOrderState | None = None) -> Decimal:
        """What open orders lock of a currency."""
        locked = ZERO
        groups: dict[int, Decimal] = {}
        for order in self.open.values():
            if order is without or order.asleep:
                continue
            needed, amount = self.needs(order)
            if needed != currency:
                continue
            if order.lock_group is None:
                locked += amount
            else:
                groups[order.lock_group] = max(groups.get(order.lock_group, ZERO), amount)
        return locked + sum(groups.values(), ZERO)

    def free(self, currency: str, without: VenueOrderState | None = None) -> Decimal:
        """What can be used of a currency."""
        return self.totals.get(currency, ZERO) - self.locked(currency, without)

    def needs(self, order: VenueOrderState) -> tuple[str, Decimal]:
        """What an order that works locks: (currency, amount)."""
        instrument, spec = self.instruments[order.spec.symbol], order.spec
        if not order.buys:
            return instrument.base_currency, order.leaves
        price = order.lock_price or spec.limit_price or spec.stop_price
        if price is None:
            return instrument.quote_currency, spec.quote_quantity or self.cost(spec.symbol, order.leaves)
        return instrument.quote_currency, price * order.leaves

    def cost(self, symbol: str, quantity: Decimal) -> Decimal:
        """What a buyer of `quantity` would pay now, as far as the book goes."""
        book, paid = self.book(symbol, MAX_LEVELS), ZERO
        for price, size in book.asks if book else ():
            part = min(size, quantity)
            paid += part * price
            quantity -= part
        return paid

    def shortfall(self, order: VenueOrderState, instead_of: VenueOrderState | None = None) -> str:
        """Why the account cannot afford an order that comes; empty where it can. A venue with margin has its own."""
        currency, amount = self.needs(order)
        free = self.free(currency, instead_of)
        if order.lock_group is not None:
            mates = [
                mate
                for mate in self.open.values()
                if mate.lock_group == order.lock_group and mate not in (order, instead_of) and not mate.asleep
            ]
            free += max(
                (self.needs(mate)[1] for mate in mates if self.needs(mate)[0] == currency), default=ZERO
            )
        return f"it needs {amount} {currency}, and {free} is free" if amount > free else ""

    def fee(
        self, order: VenueOrderState, quantity: Decimal, price: Decimal, liquidity: Liquidity
    ) -> tuple[Decimal, str]:
        """What an execution costs: a share of what is received, to eight places, rounded down."""
        instrument = self.instruments[order.spec.symbol]
        rate = self.maker_rate if liquidity is Liquidity.MAKER else self.taker_rate
        received = quantity if order.buys else quantity * price
        currency = instrument.base_currency if order.buys else instrument.quote_currency
        return (received * rate).quantize(Decimal("1e-8"), "ROUND_DOWN"), currency
