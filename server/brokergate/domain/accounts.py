"""What an account holds: positions, balances and movements of cash, as a broker states them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum

from brokergate.domain.fills import Money
from brokergate.domain.money import ONE, ZERO, multiply, quotient
from brokergate.domain.values import value


class Environment(IntEnum):
    """Which of a broker's worlds an account lives in."""

    UNSPECIFIED = 0
    LIVE = 1
    PAPER = 2
    TESTNET = 3
    DEMO = 4


class ConnectionState(IntEnum):
    """Where a connection stands."""

    UNSPECIFIED = 0
    DISCONNECTED = 1
    CONNECTING = 2
    CONNECTED = 3
    RECONNECTING = 4
    ERROR = 5


class TradingState(IntEnum):
    """Whether an account takes new orders."""

    UNSPECIFIED = 0
    ACTIVE = 1
    READ_ONLY = 2
    STOPPED = 3
    PAUSED = 4


class ValueSource(IntEnum):
    """Who worked out an absolute value."""

    UNSPECIFIED = 0
    DERIVED = 1
    VENUE = 2


class LedgerEntryKind(IntEnum):
    """Why cash moved other than by a fill's price and fee."""

    UNSPECIFIED = 0
    DEPOSIT = 1
    WITHDRAWAL = 2
    FUNDING = 3
    DIVIDEND = 4
    SPLIT = 5
    INTEREST = 6
    RESET = 7
    ADJUSTMENT = 8


@value
class BrokerPosition:
    """What is held of one instrument. `cost` is Σ price × quantity × multiplier of it, signed as `quantity`."""

    symbol: str
    quantity: Decimal
    cost: Decimal
    quote_currency: str
    as_of_ns: int
    realized_pnl: Decimal = ZERO
    fees: tuple[Money, ...] = ()
    multiplier: Decimal = ONE
    mark_price: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    source: ValueSource = ValueSource.VENUE

    @property
    def average_price(self) -> Decimal | None:
        """`cost / (quantity × multiplier)` to 18 places; None when flat."""
        if not self.quantity:
            return None
        return quotient(self.cost, multiply(self.quantity, self.multiplier))


@value
class BrokerBalance:
    """What is held of one currency: `total`, of which `held` is reserved for open orders."""

    currency: str
    total: Decimal
    held: Decimal
    as_of_ns: int
    source: ValueSource = ValueSource.VENUE


@dataclass(frozen=True, slots=True)
class BrokerAccountInfo:
    """The account as a whole; amounts in `base_currency`, None where something cannot be valued."""

    base_currency: str
    cash: Decimal
    as_of_ns: int
    equity: Decimal | None
    initial_margin: Decimal
    maintenance_margin: Decimal
    buying_power: Decimal
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal | None
    unvalued_currencies: tuple[str, ...] = ()


@value
class LedgerEntry:
    """One movement of cash that is not a fill; below zero went out."""

    ledger_entry_id: str
    kind: LedgerEntryKind
    amount: Money
    event_time_ns: int
    symbol: str = ""
    description: str = ""
