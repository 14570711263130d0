"""What an account on margin is worth, what its positions tie up, and what is left for new ones.

Notional is mark × quantity × multiplier. A position ties up its initial share of it, and is liquidated where the
account's equity falls to the maintenance shares of all of them. Leverage and initial share are one thing said in two
ways: 5 and 20 %. (nautilus, `docs/concepts/accounting.md`: margin = notional / leverage × rate, of which this is the
rate 1; LEAN, `Common/Securities/SecurityMarginModel.cs`: leverage is 1 / initial requirement.)

    equity     = Σ currencies + Σ positions at their marks (cost and profit; profit alone where a position is settled)
    free       = Σ available + Σ margined positions at their marks − Σ their initial margin
    buying power = free × leverage = equity × leverage − what is used, at one leverage and without other orders

All in the account's base currency, by the marks of its currency pairs. What is counted in whole units stays exact;
a margin is rounded up to a unit. A currency that nothing values counts as nothing where it is held, and forbids new
positions where it is owed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.money import ONE, ZERO, add, format_decimal, multiply, quotient, subtract
from brokergate.sim.currency import CurrencyAccount
from brokergate.sim.fees import AT_PAR

if TYPE_CHECKING:
    from brokergate.sim.funds import InstrumentFunds

HALF = Decimal("0.5")
_CURRENCY_PAIRS = (InstrumentKind.SPOT, InstrumentKind.FOREX)
Share = tuple[int, int]
"""Numerator and denominator of a share of the notional."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Margin of one kind or symbol, or of the account where the others say nothing. None leaves it to the next.

    The initial share is `initial_percent`, else 1 / `leverage`; the maintenance share half of the initial one unless
    `maintenance_percent` says otherwise (50 % and 25 % are Regulation T's and FINRA's rule 4210's, too).
    """

    leverage: Decimal | None = None
    initial_percent: Decimal | None = None
    maintenance_percent: Decimal | None = None

    def initial(self) -> Share | None:
        """What opening ties up."""
        if self.initial_percent is not None:
            return _share(self.initial_percent)
        if self.leverage is not None:
            numerator, denominator = self.leverage.as_integer_ratio()
            return denominator, numerator
        return None


@dataclass(frozen=True, slots=True)
class MarginTerms:
    """A margin account. Ratios are in per cent of the maintenance margin."""

    rates: Rates = Rates(ONE)
    kinds: tuple[tuple[InstrumentKind, Rates], ...] = ()
    symbols: tuple[tuple[str, Rates], ...] = ()
    call_percent: Decimal = Decimal(125)
    """Equity below it is a margin call, and above it a liquidation ends."""
    liquidation_percent: Decimal = Decimal(100)
    """Equity at it or below is liquidated (nautilus, `crates/backtest/src/config.rs`: equity ≤ ratio ×
    maintenance)."""
    liquidation_fee_percent: Decimal = ZERO
    """Of the notional of what is liquidated, beside the commission."""

    def shares(self, instrument: Instrument) -> tuple[Share, Share]:
        """Initial and maintenance share: of the symbol, else its kind, else the account."""
        layers = [
            dict(self.symbols).get(instrument.symbol, Rates()),
            dict(self.kinds).get(instrument.kind, Rates()),
            self.rates,
            Rates(ONE),
        ]
        initial = next(share for share in (layer.initial() for layer in layers) if share is not None)
        for layer in layers:
            if layer.maintenance_percent is not None:
                return initial, _share(layer.maintenance_percent)
            if layer.initial() is not None:
                break
        return initial, (initial[0], 2 * initial[1])

    @property
    def leverage(self) -> Decimal:
        """The account's own, to 18 places: what turns free margin into buying power."""
        numerator, denominator = self.rates.initial() or (1, 1)
        return quotient(Decimal(denominator), Decimal(numerator))

    def text(self) -> str:
        """All of it in one line, equal for equal terms."""
        return json.dumps(
            [
                _plain(self.rates),
                {
                    kind.name: _plain(rates)
                    for kind, rates in sorted(self.kinds, key=lambda pair: pair[0].name)
                },
                {symbol: _plain(rates) for symbol, rates in sorted(self.symbols)},
                *map(
                    format_decimal,
                    (self.call_percent, self.liquidation_percent, self.liquidation_fee_percent),
                ),
            ]
        )


def _share(percent: Decimal) -> Share:
    numerator, denominator = percent.as_integer_ratio()
    return numerator, 100 * denominator


def _plain(rates: Rates) -> list[str | None]:
    values = (rates.leverage, rates.initial_percent, rates.maintenance_percent)
    return [None if value is None else format_decimal(value) for value in values]


class Exchange:
    """What one unit of a currency is worth in another, by the marks of the account's currency pairs."""

    def __init__(self, funds: Iterable[InstrumentFunds]) -> None:
        self._pairs = {
            (each.instrument.base_currency, each.instrument.quote_currency): each
            for each in funds
            if each.instrument.kind in _CURRENCY_PAIRS
        }

    def rate(self, currency: str, base_currency: str) -> Decimal | None:
        """By the mark of the pair, either way round (the inverse to 18 places), else at par; None where nothing
        tells."""
        if currency == base_currency:
            return ONE
        pair = self._pairs.get((currency, base_currency))
        mark = None if pair is None else pair.mark_price()
        if mark is not None:
            return mark
        pair = self._pairs.get((base_currency, currency))
        mark = None if pair is None else pair.mark_price()
        if mark is not None:
            return quotient(ONE, mark)
        return ONE if {currency, base_currency} <= AT_PAR else None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a margin account stands, in its base currency."""

    equity: Decimal
    initial: Decimal
    """Of the positions; what open orders have set aside is not in it."""
    maintenance: Decimal
    free: Decimal
    unvalued: str
    """What cannot be valued, in words; then nothing else here can be relied on. Empty where all can."""


class MarginAccount:
    """The margin side of a ledger. `positions` are the open positions on margin, by symbol."""

    def __init__(
        self,
        terms: MarginTerms,
        base_currency: str,
        currencies: Mapping[str, CurrencyAccount],
        funds: Mapping[str, InstrumentFunds],
    ) -> None:
        self.terms = terms
        self.base_currency = base_currency
        self.positions: dict[str, InstrumentFunds] = {}
        self._currencies = currencies
        self._paid = [each for each in funds.values() if not each.margined and each.base is None]
        self._exchange = Exchange(funds.values())

    def rate(self, currency: str) -> Decimal | None:
        """What one unit of `currency` is worth; None where nothing tells."""
        return self._exchange.rate(currency, self.base_currency)

    def held(self, funds: InstrumentFunds) -> None:
        """A position on margin may have been opened or closed."""
        if funds.position.lots:
            self.positions[funds.instrument.symbol] = funds
        else:
            self.positions.pop(funds.instrument.symbol, None)

    def holdings(self) -> tuple[object, ...]:
        """All that the account holds: with the marks, what its standing is made of."""
        return (
            *self.positions,
            *[funds.position.lots for funds in self.positions.values()],
            *[funds.position.lots for funds in self._paid],
            *[account.total for account in self._currencies.values()],
        )

    def standing(self) -> Standing:
        """The account at the present marks. O(currencies + instruments held)."""
        doubled: dict[str, list[int]] = {}
        unvalued = ""
        for symbol, funds in self.positions.items():
            value = funds.worth()
            if value is None:
                unvalued = unvalued or f"the position in {symbol} has no mark"
                continue
            sums = doubled.setdefault(funds.quote.currency, [0, 0, 0])
            sums[0] += value
            sums[1] += funds.initial_margin()
            sums[2] += funds.maintenance_margin()
        equity = initial = maintenance = free = ZERO
        for currency, account in self._currencies.items():
            value, first, least = doubled.get(currency, (0, 0, 0))
            if not (account.total or account.held or value or first):
                continue
            rate = self.rate(currency)
            total = 2 * account.total + value
            available = 2 * account.available + value - first
            if rate is None:
                if first or total < 0:
                    unvalued = unvalued or f"nothing says what {currency} is worth in {self.base_currency}"
                continue
            rate = multiply(rate, HALF)
            equity = add(equity, multiply(account.amount(total), rate))
            free = add(free, multiply(account.amount(available), rate))
            if first:
                initial = add(initial, multiply(account.amount(first), rate))
                maintenance = add(maintenance, multiply(account.amount(least), rate))
        equity = add(equity, self._paid_in_full())
        return Standing(equity, initial, maintenance, free, unvalued)

    def _paid_in_full(self) -> Decimal:
        """The worth of positions that are not on margin, where it is known: part of equity, and nothing to open by."""
        worth = ZERO
        for funds in self._paid:
            value, rate = funds.worth(), self.rate(funds.quote.currency)
            if value and rate is not None:
                worth = add(worth, multiply(funds.quote.amount(value), multiply(rate, HALF)))
        return worth


def short_of(need: Decimal, standing: Standing, account: MarginAccount) -> str:
    """Why an order that needs `need` of the base currency cannot be taken, with the figures."""
    currency = account.base_currency
    return (
        f"the order needs {format_decimal(need)} {currency} of initial margin and fees, free are "
        f"{format_decimal(standing.free)}: equity {format_decimal(standing.equity)}, positions tie up "
        f"{format_decimal(standing.initial)}, open orders the rest; order less, or close or cancel something"
    )


def less(standing: Standing, percent: Decimal) -> Decimal:
    """By how much equity falls short of `percent` of the maintenance margin; below zero where it is above."""
    return subtract(multiply(standing.maintenance, multiply(percent, Decimal("0.01"))), standing.equity)
