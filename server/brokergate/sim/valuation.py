"""The account as a whole, in one currency, at the present marks."""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain.accounts import BrokerAccountInfo
from brokergate.domain.money import QUOTIENT_PLACES, ZERO, add, multiply, normal, round_places, total
from brokergate.sim.funds import tellable
from brokergate.sim.ledger import Ledger
from brokergate.sim.margin import Exchange


def account_info(ledger: Ledger, base_currency: str, now_ns: int) -> BrokerAccountInfo:
    """The account in `base_currency`; None where a holding cannot be valued, or comes to more than can be told.

    Equity is all currencies and, for instruments that move no base currency, the positions at their marks. In a cash
    account buying power is what is available of the base currency alone, initial margin is what short positions tie up
    beyond their proceeds, and there is no maintenance margin. On margin these are as in `sim/margin.py`, initial margin
    with what open orders have set aside.
    """
    funds = list(ledger.funds.values())
    exchange = Exchange(funds)
    rates = {currency: exchange.rate(currency, base_currency) for currency in ledger.currencies}
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
            worth = profit if each.settled else add(quote.amount(position.cost), profit)
            equity = add(equity, valued(worth, quote.currency))
        complete = complete and profit is not None
        known_realized = known_realized and (rates[quote.currency] is not None or not position.realized)
        realized = add(realized, valued(quote.amount(position.realized), quote.currency))
        if each.positional and not each.margined and position.lots < 0:
            margin = add(margin, valued(quote.amount(-position.cost), quote.currency))
    complete = complete and not unvalued
    maintenance = ZERO
    base = ledger.currencies.get(base_currency)
    buying_power = base.amount(base.available) if base else ZERO
    if ledger.margin is not None:
        standing = ledger.margin.standing()
        pledged = [valued(each.amount(each.pledged), each.currency) for each in ledger.currencies.values()]
        margin = add(margin, add(standing.initial, total(pledged)))
        maintenance = standing.maintenance
        free = ZERO if standing.unvalued else max(ZERO, standing.free)
        buying_power = round_places(multiply(free, ledger.margin.terms.leverage), QUOTIENT_PLACES)
    return BrokerAccountInfo(
        base_currency=base_currency,
        cash=base.amount(base.total) if base else ZERO,
        as_of_ns=now_ns,
        equity=tellable(equity) if complete else None,
        initial_margin=margin,
        maintenance_margin=maintenance,
        buying_power=normal(buying_power),
        unrealized_pnl=tellable(unrealized) if complete else None,
        realized_pnl=tellable(realized) if known_realized else None,
        unvalued_currencies=tuple(sorted(unvalued)),
    )
