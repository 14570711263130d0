"""The account as a whole, in one currency, at the present marks."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from brokergate.domain.accounts import BrokerAccountInfo
from brokergate.domain.instruments import InstrumentKind
from brokergate.domain.money import ONE, ZERO, add, multiply, quotient
from brokergate.sim.fees import AT_PAR
from brokergate.sim.funds import InstrumentFunds, tellable
from brokergate.sim.ledger import Ledger

_CURRENCY_PAIRS = (InstrumentKind.SPOT, InstrumentKind.FOREX)


def rate(currency: str, base_currency: str, funds: Iterable[InstrumentFunds]) -> Decimal | None:
    """What one unit of `currency` is worth: by the mark of the pair, either way round (the inverse to 18 places),
    else at par; None where nothing tells."""
    if currency == base_currency:
        return ONE
    for each in funds:
        instrument, mark = each.instrument, each.mark_price()
        if instrument.kind not in _CURRENCY_PAIRS or mark is None:
            continue
        if (instrument.base_currency, instrument.quote_currency) == (currency, base_currency):
            return mark
        if (instrument.base_currency, instrument.quote_currency) == (base_currency, currency):
            return quotient(ONE, mark)
    return ONE if {currency, base_currency} <= AT_PAR else None


def account_info(ledger: Ledger, base_currency: str, now_ns: int) -> BrokerAccountInfo:
    """The account in `base_currency`; None where a holding cannot be valued, or comes to more than can be told.

    Equity is all currencies and, for instruments that move no base currency, the positions at their marks. Buying
    power is what is available of the base currency alone. Initial margin is what short positions tie up beyond
    their proceeds; there is no liquidation in this form, so the maintenance margin is zero.
    """
    funds = list(ledger.funds.values())
    rates = {currency: rate(currency, base_currency, funds) for currency in ledger.currencies}
    unvalued: set[str] = set()
    equity = unrealized = realized = margin = ZERO

    def valued(amount: Decimal | None, currency: str) -> Decimal:
        worth = rates[currency]
        if amount is None or (worth is None and amount):
            unvalued.add(currency)
            return ZERO
        return ZERO if worth is None else multiply(amount, worth)

    for account in ledger.currencies.values():
        equity = add(equity, valued(account.amount(account.total), account.currency))
    complete = not unvalued
    known_realized = True
    for each in funds:
        position, quote = each.position, each.quote
        profit = each.unrealized()
        unrealized = add(unrealized, valued(profit, quote.currency))
        if each.base is None and profit is not None:
            equity = add(equity, valued(add(quote.amount(position.cost), profit), quote.currency))
        complete = complete and profit is not None
        known_realized = known_realized and (rates[quote.currency] is not None or not position.realized)
        realized = add(realized, valued(quote.amount(position.realized), quote.currency))
        if each.shortable and position.lots < 0:
            margin = add(margin, valued(quote.amount(-position.cost), quote.currency))
    complete = complete and not unvalued
    base = ledger.currencies.get(base_currency)
    return BrokerAccountInfo(
        base_currency=base_currency,
        cash=base.amount(base.total) if base else ZERO,
        as_of_ns=now_ns,
        equity=tellable(equity) if complete else None,
        initial_margin=margin,
        maintenance_margin=ZERO,
        buying_power=base.amount(base.available) if base else ZERO,
        unrealized_pnl=tellable(unrealized) if complete else None,
        realized_pnl=tellable(realized) if known_realized else None,
        unvalued_currencies=tuple(sorted(unvalued)),
    )
