"""Orders and executions as an emulated venue keeps them: for ever."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Liquidity
from brokergate.domain.orders import ENDED, Order, OrderSpec, OrderState, Side

ZERO = Decimal(0)


class Refused(Exception):
    """The venue does not do what was asked."""

    def __init__(self, reason: ErrorReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(slots=True)
class Execution:
    """One fill of one order. `fee` is taken from `fee_currency`."""

    number: int
    """Unique in the account, rising."""
    trade: int
    """The market's number of the trade: unique per symbol, rising."""
    order: VenueOrderState
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    liquidity: Liquidity
    time_ns: int

    @property
    def notional(self) -> Decimal:
        """Price × quantity, in the quote currency."""
        return self.price * self.quantity


@dataclass(slots=True, eq=False)
class VenueOrderState:
    """One order that the venue took. `spec.symbol` is in the project's notation."""

    number: int
    """1, 2, 3 … in the order in which they came."""
    client_order_id: str
    spec: OrderSpec
    quantity: Decimal
    created_ns: int
    updated_ns: int
    external: bool = False
    """Whether somebody else placed it on the account (the control plane)."""
    asleep: bool = False
    """Whether it waits for another order, and is not in the market yet."""
    working_ns: int = 0
    """When it came to the market; 0 while it is asleep."""
    triggered: bool = False
    state: OrderState = OrderState.NEW
    reason: ErrorReason = ErrorReason.UNSPECIFIED
    message: str = ""
    generation: int = 1
    lock_group: int | None = None
    """Orders of one number here lock the most that one of them needs, not the sum (OCO)."""
    lock_price: Decimal | None = None
    """What a buyer locks for each unit, where neither its limit nor its trigger says."""
    executions: list[Execution] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    """What only the venue's own wire knows of it."""

    @property
    def key(self) -> str:
        """Its name in the matching venue."""
        return f"K{self.number}"

    @property
    def open(self) -> bool:
        """Whether it works or waits."""
        return self.state not in ENDED

    @property
    def cum_quantity(self) -> Decimal:
        """What has filled."""
        return sum((execution.quantity for execution in self.executions), ZERO)

    @property
    def cum_notional(self) -> Decimal:
        """Σ price × quantity of its executions."""
        return sum((execution.notional for execution in self.executions), ZERO)

    @property
    def leaves(self) -> Decimal:
        """What may still fill."""
        return self.quantity - self.cum_quantity if self.open else ZERO

    @property
    def buys(self) -> bool:
        """Which way."""
        return self.spec.side is Side.BUY

    def order(self) -> Order:
        """As the matching venue takes it."""
        return Order(
            order_id=self.key,
            client_order_id=self.key,
            account_id="emulator",
            spec=self.spec,
            quantity=self.quantity,
            state=OrderState.PENDING_NEW,
            create_time_ns=self.created_ns,
            update_time_ns=self.created_ns,
            generation=self.generation,
        )


# What happens, in the order in which it happens


@dataclass(frozen=True, slots=True)
class Placed:
    """An order came; `woken` for one that was asleep until now."""

    order: VenueOrderState
    woken: bool = False


@dataclass(frozen=True, slots=True)
class Triggered:
    """A stop was set off."""

    order: VenueOrderState


@dataclass(frozen=True, slots=True)
class Filled:
    """An execution of an order of the account."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class Ended:
    """An order was cancelled or expired (`order.state`, `order.reason`)."""

    order: VenueOrderState


@dataclass(frozen=True, slots=True)
class Replaced:
    """An order is another one now; `before` is its spec until now."""

    order: VenueOrderState
    before: OrderSpec


@dataclass(frozen=True, slots=True)
class BalanceMoved:
    """Money came or went without an order: a deposit, a withdrawal."""

    currency: str
    amount: Decimal
    time_ns: int


@dataclass(frozen=True, slots=True)
class MarketTraded:
    """A trade that everybody sees, the account's own among them."""

    symbol: str
    trade: int
    price: Decimal
    quantity: Decimal
    taker: Side
    """UNSPECIFIED where nobody knows."""
    time_ns: int


@dataclass(frozen=True, slots=True)
class BookMoved:
    """A step is over, all of it has been told, and the book of its symbol may be another one now."""

    symbol: str
    time_ns: int


Happening = Placed | Triggered | Filled | Ended | Replaced | BalanceMoved | MarketTraded | BookMoved
