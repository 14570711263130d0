"""The accounts of a login, and what TWS tells of one: its figures and its positions. Pure.

Figures come as (tag, value, currency): of the account as a whole in its base currency (`NetLiquidation`), and of each
currency that it holds (`CashBalance` USD, and `BASE` for all of them together). TWS works them out every three minutes,
and when a position changes. (Tags: tws-api/interfaceIBApi_1_1EWrapper.html, `accountSummary`, `updateAccountValue`.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from brokergate.adapters.ibkr.contracts import Contracts, Listed
from brokergate.adapters.ibkr.frames import AccountValue, MarkShown, PositionShown
from brokergate.adapters.ibkr.values import WireError, number
from brokergate.domain.accounts import BrokerAccountInfo, BrokerBalance, BrokerPosition, Environment
from brokergate.domain.errors import AuthenticationError
from brokergate.domain.money import ONE, ZERO, multiply, subtract

ALL = "BASE"
"""Where a currency's code stands: all of them together, in the base currency."""
_LEDGER = "$LEDGER-"
"""Before the tags of a currency's figures, as newer TWS write them."""
_CASH = ("CashBalance", "TotalCashBalance")


def is_paper(account: str) -> bool:
    """Whether an account is one for practice: `DU1234567`, an adviser's `DF1234567`."""
    return account.startswith("D")


def chosen(wanted: str | None, accounts: Sequence[str], environment: Environment, account_id: str) -> str:
    """The account of the login that the gateway's `account_id` stands for. AuthenticationError, with the way out, where
    it is not there, or not of this environment."""
    named = ", ".join(accounts) or "none"
    if wanted is None and len(accounts) != 1:
        raise AuthenticationError(
            f"account {account_id!r}: TWS is logged in to {len(accounts)} accounts ({named}); say which one this is as "
            "`ibkr.account`"
        )
    account = accounts[0] if wanted is None else wanted
    if account not in accounts:
        raise AuthenticationError(
            f"account {account_id!r}: TWS is logged in to {named} and not to {account}; correct `ibkr.account`, or log "
            "TWS in to it"
        )
    if is_paper(account) != (environment is not Environment.LIVE):
        found, other = ("a paper", "paper") if is_paper(account) else ("a live", "live")
        raise AuthenticationError(
            f"account {account_id!r}: {account} is {found} account, and its environment is "
            f"{environment.name.lower()}; connect to the port of the right TWS, or write environment: {other}"
        )
    return account


def balances(
    told: Iterable[AccountValue], as_of_ns: int, set_aside: Mapping[str, Decimal] | None = None
) -> list[BrokerBalance]:
    """The cash of each currency. What open orders set aside TWS counts as margin, of the account as a whole;
    `set_aside` is what they come to. Raises `WireError`."""
    cash: dict[str, BrokerBalance] = {}
    for each in told:
        if _tag(each) in _CASH and each.currency not in ("", ALL):
            amount = number(each.value, f"{each.tag} of {each.currency}")
            held = min((set_aside or {}).get(each.currency, ZERO), max(amount, ZERO))
            cash[each.currency] = BrokerBalance(each.currency, amount, held, as_of_ns)
    return [cash[currency] for currency in sorted(cash)]


def account_info(told: Iterable[AccountValue], as_of_ns: int) -> BrokerAccountInfo:
    """The account as a whole. Raises `WireError` where a figure that every account has is missing: the answer is then
    no answer."""
    figures = {(_tag(each), each.currency): each.value for each in told}
    base = next((currency for tag, currency in figures if tag == "NetLiquidation" and currency), "")
    if not base:
        raise WireError("NetLiquidation is missing")

    def gains(tag: str) -> str | None:
        return figures.get((tag, ALL), figures.get((tag, base)))

    unrealized, realized = gains("UnrealizedPnL"), gains("RealizedPnL")
    return BrokerAccountInfo(
        base_currency=base,
        cash=number(figures.get(("TotalCashValue", base)), "TotalCashValue"),
        as_of_ns=as_of_ns,
        equity=number(figures["NetLiquidation", base], "NetLiquidation"),
        initial_margin=number(figures.get(("InitMarginReq", base)), "InitMarginReq"),
        maintenance_margin=number(figures.get(("MaintMarginReq", base)), "MaintMarginReq"),
        buying_power=number(figures.get(("BuyingPower", base)), "BuyingPower"),
        unrealized_pnl=None if unrealized is None else number(unrealized, "UnrealizedPnL"),
        realized_pnl=None if realized is None else number(realized, "RealizedPnL"),
    )


def _tag(told: AccountValue) -> str:
    return told.tag.removeprefix(_LEDGER)


def position(
    told: PositionShown, contracts: Contracts, as_of_ns: int, mark: MarkShown | None = None
) -> BrokerPosition:
    """What is held of one contract. IB's average cost is of one contract with its multiplier, and has the commissions
    in it. One that is flat was held today."""
    listed = contracts.by_id(told.contract.con_id)
    multiplier = number(told.contract.multiplier or "1", "multiplier")
    return BrokerPosition(
        symbol=contracts.symbol(told.contract),
        quantity=told.quantity,
        cost=multiply(told.average_cost, told.quantity),
        quote_currency=told.contract.currency,
        as_of_ns=as_of_ns,
        multiplier=multiplier if listed is None else listed.instrument.multiplier,
        mark_price=None if mark is None else _mark_price(mark, listed),
        unrealized_pnl=None if mark is None else mark.unrealized,
    )


def _mark_price(mark: MarkShown, listed: Listed | None) -> Decimal | None:
    """A position's price in the currency. Whether TWS has it so, or in the contract's own units (its magnifier), the
    value of the position tells."""
    price = mark.price
    if price is None or mark.value is None or listed is None or listed.magnifier == ONE:
        return price
    units = multiply(mark.quantity, listed.instrument.multiplier)
    ours = listed.from_venue(price)

    def off(each: Decimal) -> Decimal:
        return abs(subtract(multiply(each, units), mark.value or ZERO))

    return min(ours, price, key=off)
