"""The accounts of one login: cash by currency, positions with their cost, margin, and the values that TWS tells.

The tags are those of tws-api, "Account Summary" and "Account Value Update Subscriptions". Base currency is USD. Cash of
futures moves when they are closed; a currency pair moves cash at once and is a (virtual) position besides, as TWS shows
it. Margin is a flat share of the value, by kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from tests.emulators.tws.contracts import Listed
from tests.emulators.tws.orders import TwsExecution
from tests.emulators.tws.wire import shown

D = Decimal
ZERO = D(0)
BASE = "USD"
CASH = D(1_000_000)
"""What an account begins with."""
LEVERAGE = 4
_CENT = D("0.01")
_FINE = D("1e-8")
_MARGIN = {"STK": D("0.25"), "CASH": D("0.03"), "FUT": D("0.06"), "OPT": D(1), "CRYPTO": D(1)}
_VALUED = ("STK", "OPT", "CRYPTO")
"""Kinds whose positions are worth their price; the others are worth what they have gained."""


@dataclass(slots=True)
class Holding:
    """A position. `cost` is what all of it cost, or brought where it is short, positive; `fees` are the commissions of
    that."""

    listed: Listed
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    fees: Decimal = ZERO

    @property
    def average_cost(self) -> Decimal:
        """Of one contract, with its multiplier and the commissions in it, as TWS tells it."""
        if not self.quantity:
            return ZERO
        cost = self.cost + (self.fees if self.quantity > 0 else -self.fees)
        return (cost / abs(self.quantity)).quantize(_FINE)

    def value(self, price: Decimal) -> Decimal:
        """At a price, negative for a short position."""
        return self.quantity * price * self.listed.units

    def moved(self, price: Decimal) -> Decimal:
        """What it is worth more at a price than it cost."""
        return self.value(price) - (self.cost if self.quantity > 0 else -self.cost)

    def gained(self, price: Decimal) -> Decimal:
        """What is not realised yet at a price."""
        return self.moved(price) - self.fees


class Account:
    """One account. `price_of` says what a contract is worth now."""

    def __init__(
        self, name: str, cash: Mapping[str, Decimal], price_of: Callable[[Listed], Decimal | None]
    ) -> None:
        self.name = name
        self.cash = dict(cash)
        self.holdings: dict[int, Holding] = {}
        """By contract id; those of zero are of today."""
        self.realized = ZERO
        self.rates: dict[str, Decimal] = {BASE: D(1), "EUR": D("1.085"), "GBP": D("1.30")}
        """Base currency for one unit of another."""
        self._price_of = price_of

    def deposit(self, currency: str, amount: Decimal) -> None:
        """Money comes, or goes where `amount` is negative."""
        self.cash[currency] = self.cash.get(currency, ZERO) + amount

    def book(self, execution: TwsExecution) -> None:
        """An execution moves cash and a position; what it realised is noted in it."""
        listed, sign = execution.order.listed, 1 if execution.order.asked.buys else -1
        quantity, fee = sign * execution.quantity, execution.commission
        holding = self.holdings.setdefault(listed.con_id, Holding(listed))
        value = execution.quantity * execution.price * listed.units
        closed = min(execution.quantity, abs(holding.quantity)) if holding.quantity * sign < 0 else ZERO
        opened = execution.quantity - closed
        if closed:
            execution.realized = self._close(holding, closed, execution.price, sign) - fee
            self.realized += execution.realized
        if opened:
            holding.cost += (value * opened / execution.quantity).quantize(_FINE)
            holding.fees += ZERO if closed else fee
        holding.quantity += quantity
        self._pay(listed, sign, execution, value)

    def _close(self, holding: Holding, closed: Decimal, price: Decimal, sign: int) -> Decimal:
        share = closed / abs(holding.quantity)
        cost, fees = (holding.cost * share).quantize(_FINE), (holding.fees * share).quantize(_FINE)
        holding.cost -= cost
        holding.fees -= fees
        proceeds = closed * price * holding.listed.units
        gain = proceeds - cost if sign < 0 else cost - proceeds
        if holding.listed.security == "FUT":
            self.deposit(holding.listed.currency, gain)
        return gain - fees

    def _pay(self, listed: Listed, sign: int, execution: TwsExecution, value: Decimal) -> None:
        if listed.security != "FUT":
            self.deposit(listed.currency, -sign * value)
        if listed.security == "CASH":
            self.deposit(listed.symbol, sign * execution.quantity)
        self.deposit(listed.currency, -execution.commission)

    # What it is worth

    def held(self) -> Iterator[tuple[Holding, Decimal]]:
        """The positions with their prices; one without a price is worth its cost."""
        for holding in self.holdings.values():
            price = self._price_of(holding.listed)
            units = holding.listed.units
            yield holding, price if price is not None else holding.average_cost / units

    def total_cash(self) -> Decimal:
        """In the base currency."""
        return sum((amount * self._rate(currency) for currency, amount in self.cash.items()), ZERO)

    def equity(self) -> Decimal:
        """Net liquidation value."""
        return self.total_cash() + sum((self._worth(*pair) for pair in self.held()), ZERO)

    def margin(self, change: tuple[Listed, Decimal, Decimal] | None = None) -> Decimal:
        """The initial margin of the positions, as it would be after `change` (contract, signed quantity, price)."""
        quantities = {con_id: holding.quantity for con_id, holding in self.holdings.items()}
        prices = {holding.listed.con_id: (holding.listed, price) for holding, price in self.held()}
        if change is not None:
            listed, quantity, price = change
            quantities[listed.con_id] = quantities.get(listed.con_id, ZERO) + quantity
            prices[listed.con_id] = (listed, price)
        total = ZERO
        for con_id, quantity in quantities.items():
            listed, price = prices[con_id]
            rate = self._rate(listed.currency) * _MARGIN[listed.security]
            total += abs(quantity) * price * listed.units * rate
        return total.quantize(_CENT)

    def available(self) -> Decimal:
        """What new margin may come to."""
        return (self.equity() - self.margin()).quantize(_CENT)

    def lacks(self, listed: Listed, quantity: Decimal, price: Decimal) -> Decimal | None:
        """How much margin an order needs that the account has not; None where it can be had."""
        needed = self.margin((listed, quantity, price)) - self.margin()
        return needed if needed > 0 and needed > self.available() else None

    def unrealized(self) -> Decimal:
        """In the base currency."""
        return sum(
            (holding.gained(price) * self._rate(holding.listed.currency) for holding, price in self.held()),
            ZERO,
        )

    def _worth(self, holding: Holding, price: Decimal) -> Decimal:
        listed = holding.listed
        if listed.security == "CASH":
            return ZERO
        amount = holding.value(price) if listed.security in _VALUED else holding.moved(price)
        return amount * self._rate(listed.currency)

    def _rate(self, currency: str) -> Decimal:
        return self.rates.get(currency, D(1))

    # What TWS tells of it

    def summary(self) -> list[tuple[str, str, str]]:
        """(tag, value, currency) of the account as a whole."""
        equity, margin, cash = self.equity(), self.margin(), self.total_cash()
        gross = sum(
            (
                abs(self._worth(holding, price))
                for holding, price in self.held()
                if holding.listed.security in _VALUED
            ),
            ZERO,
        )
        available = equity - margin
        amounts = {
            "NetLiquidation": equity,
            "TotalCashValue": cash,
            "SettledCash": cash,
            "AccruedCash": ZERO,
            "BuyingPower": available * LEVERAGE,
            "EquityWithLoanValue": equity,
            "PreviousDayEquityWithLoanValue": equity,
            "GrossPositionValue": gross,
            "RegTEquity": equity,
            "RegTMargin": margin,
            "SMA": available,
            "InitMarginReq": margin,
            "MaintMarginReq": margin,
            "AvailableFunds": available,
            "ExcessLiquidity": available,
            "FullInitMarginReq": margin,
            "FullMaintMarginReq": margin,
            "FullAvailableFunds": available,
            "FullExcessLiquidity": available,
            "LookAheadInitMarginReq": margin,
            "LookAheadMaintMarginReq": margin,
            "LookAheadAvailableFunds": available,
            "LookAheadExcessLiquidity": available,
        }
        told = [("AccountType", "INDIVIDUAL", "")]
        told += [(tag, shown_money(amount), BASE) for tag, amount in amounts.items()]
        cushion = (available / equity).quantize(D("1e-6")) if equity > 0 else ZERO
        leverage = (gross / equity).quantize(_CENT) if equity > 0 else ZERO
        return [
            *told,
            ("Cushion", shown(cushion), ""),
            ("DayTradesRemaining", "-1", ""),
            ("HighestSeverity", "0", ""),
            ("Leverage", f"{leverage:f}", ""),
            ("LookAheadNextChange", "0", ""),
        ]

    def ledger(self) -> list[tuple[str, str, str]]:
        """(tag, value, currency) of each currency, and of all as `BASE`."""
        told: list[tuple[str, str, str]] = []
        for currency, cash in sorted(self.cash.items()):
            told += self._ledger_of(currency, cash, self._rate(currency))
        return told + self._ledger_of("BASE", self.total_cash(), D(1))

    def _ledger_of(self, currency: str, cash: Decimal, rate: Decimal) -> list[tuple[str, str, str]]:
        every = currency == "BASE"
        held = [pair for pair in self.held() if every or pair[0].listed.currency == currency]
        amounts = {
            "CashBalance": cash,
            "TotalCashBalance": cash,
            "AccruedCash": ZERO,
            "StockMarketValue": self._value_of(held, "STK", base=every),
            "OptionMarketValue": self._value_of(held, "OPT", base=every),
            "FuturesPNL": self._value_of(held, "FUT", base=every),
            "CryptocurrencyValue": self._value_of(held, "CRYPTO", base=every),
            "UnrealizedPnL": sum(
                (
                    holding.gained(price) * (self._rate(holding.listed.currency) if every else 1)
                    for holding, price in held
                ),
                ZERO,
            ),
            "RealizedPnL": self.realized if every or currency == BASE else ZERO,
        }
        amounts["NetLiquidationByCurrency"] = cash + sum(
            amounts[tag]
            for tag in ("StockMarketValue", "OptionMarketValue", "FuturesPNL", "CryptocurrencyValue")
        )
        told = [("Currency", currency, currency), ("ExchangeRate", f"{rate:f}", currency)]
        return told + [(tag, shown_money(amount), currency) for tag, amount in amounts.items()]

    def _value_of(self, held: list[tuple[Holding, Decimal]], security: str, *, base: bool) -> Decimal:
        return sum(
            (
                (holding.value(price) if security in _VALUED else holding.moved(price))
                * (self._rate(holding.listed.currency) if base else 1)
                for holding, price in held
                if holding.listed.security == security
            ),
            ZERO,
        )


def shown_money(amount: Decimal) -> str:
    """An amount with its cents, as account values have it."""
    return f"{amount.quantize(_CENT):f}"
