"""What a TWS tells, as plain values: one class for each kind of message that the adapter follows. Pure.

The library's objects end in `library.py`; nothing else of the adapter knows them.
(Messages: interactivebrokers.github.io/tws-api/interfaceIBApi_1_1EWrapper.html.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from brokergate.adapters.ibkr.contracts import IbContract, IbDetails
from brokergate.adapters.ibkr.orders import IbShown
from brokergate.domain.values import changed, value


@value
class OrderShown:
    """An order as TWS shows it (`openOrder`), or showed it at its end (`completedOrder`: without the ids that a client
    gave it)."""

    shown: IbShown
    completed: bool = False
    how: str = ""
    """Of a completed order: how it ended, in TWS's words."""
    warning: str = ""


@value
class WhatIf:
    """What an order would do (`openOrder` of an order that only asks). Amounts in the account's base currency; None
    where TWS does not say."""

    order_id: int
    initial_margin_change: Decimal | None
    maintenance_margin_change: Decimal | None
    initial_margin_after: Decimal | None
    equity_after: Decimal | None
    commission: Decimal | None
    min_commission: Decimal | None
    max_commission: Decimal | None
    commission_currency: str
    warning: str


@value
class StatusShown:
    """Where an order stands (`orderStatus`)."""

    order_id: int
    status: str
    filled: Decimal
    remaining: Decimal
    perm_id: int
    parent_id: int
    client_id: int
    why_held: str


@value
class ExecutionShown:
    """One execution (`execDetails`). `request_id` is -1 for one that is told as it happens."""

    request_id: int
    order_id: int
    client_id: int
    perm_id: int
    account: str
    contract: IbContract
    execution_id: str
    time_ns: int
    side: str
    """BOT or SLD."""
    quantity: Decimal
    price: Decimal
    cumulative: Decimal
    order_ref: str
    liquidity: int
    """1 added, 2 removed, 3 routed out, 0 not told."""


@value
class CommissionShown:
    """What an execution cost (`commissionReport`); below zero is a rebate. `amount` None: not known yet."""

    execution_id: str
    amount: Decimal | None
    currency: str


@value
class PositionShown:
    """What an account holds of a contract (`position`). `average_cost` is for one unit of quantity, the contract's
    multiplier in it."""

    account: str
    contract: IbContract
    quantity: Decimal
    average_cost: Decimal


@value
class MarkShown:
    """What a position is worth (`updatePortfolio`): its price, and in the contract's currency the value and the gain
    of all of it."""

    account: str
    con_id: int
    quantity: Decimal
    price: Decimal | None
    value: Decimal | None
    unrealized: Decimal | None


@value
class AccountValue:
    """One figure of an account (`accountSummary`, `accountUpdateMulti`), as it is written."""

    request_id: int
    account: str
    tag: str
    value: str
    currency: str


@value
class DetailsShown:
    """One contract that fits (`contractDetails`)."""

    request_id: int
    details: IbDetails


@value
class RuleShown:
    """A market rule: from which price on which step of prices (`marketRule`)."""

    rule_id: int
    steps: tuple[tuple[Decimal, Decimal], ...]


@value
class TickShown:
    """A price or a size of market data (`tickPrice`, `tickSize`, `tickString`); `text` for what is neither."""

    request_id: int
    kind: int
    """TWS API, tick types: 0 bid size, 1 bid, 2 ask, 3 ask size, 4 last, 5 last size, 45 time of the last; from 66 on
    the delayed ones."""
    price: Decimal | None = None
    size: Decimal | None = None
    text: str = ""


@value
class DataTypeShown:
    """Which market data a subscription gives (`marketDataType`): 1 live, 2 frozen, 3 delayed, 4 delayed and frozen."""

    request_id: int
    data_type: int


@value
class ErrorShown:
    """A message of TWS (`error`): of the request or order `request_id`, of the connection for -1."""

    request_id: int
    code: int
    text: str


@value
class ListEnded:
    """The answer to a question is complete; `request_id` is -1 for questions that have none."""

    of: str
    """The message's name: `openOrderEnd`."""
    request_id: int = -1


@value
class TimeShown:
    """TWS's clock, in seconds since the epoch (`currentTime`)."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that the library could not read: nobody knows what was said."""

    problem: str


Frame = (
    OrderShown
    | WhatIf
    | StatusShown
    | ExecutionShown
    | CommissionShown
    | PositionShown
    | MarkShown
    | AccountValue
    | DetailsShown
    | RuleShown
    | TickShown
    | DataTypeShown
    | ErrorShown
    | ListEnded
    | TimeShown
    | Unreadable
)


def standing(order: OrderShown, status: StatusShown) -> OrderShown:
    """The order with what was told of where it stands: only that says how much is filled."""
    return changed(order, shown=replace(order.shown, status=status.status, filled=status.filled))
