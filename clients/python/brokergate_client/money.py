"""Accounts, what they hold, and the movements of their cash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from brokergate_client.enums import Environment, LedgerEntryKind, ValueSource
from brokergate_client.exact import time_of


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency."""

    amount: Decimal
    currency_code: str

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency_code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account; the figures are in `base_currency`, None where something cannot be valued."""

    account_id: str
    broker: str
    environment: Environment | int
    trading_enabled: bool
    base_currency: str
    equity: Money | None
    cash: Money | None
    initial_margin: Money | None
    maintenance_margin: Money | None
    buying_power: Money | None
    unrealized_pnl: Money | None
    realized_pnl: Money | None
    as_of_ns: int
    stale: bool
    unvalued_currencies: tuple[str, ...]

    @property
    def as_of(self) -> datetime:
        """As of when."""
        return time_of(self.as_of_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What an account holds of one currency; `available = total - held`."""

    account_id: str
    currency_code: str
    total: Decimal
    available: Decimal
    held: Decimal
    source: ValueSource | int
    as_of_ns: int

    @property
    def as_of(self) -> datetime:
        """As of when."""
        return time_of(self.as_of_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What an account holds of one instrument: above zero long, below zero short. Money is in the quote currency."""

    account_id: str
    symbol: str
    quantity: Decimal
    cost: Decimal
    average_price: Decimal | None
    mark_price: Decimal | None
    unrealized_pnl: Money | None
    realized_pnl: Money | None
    fees: tuple[Money, ...]
    source: ValueSource | int
    as_of_ns: int

    @property
    def as_of(self) -> datetime:
        """As of when."""
        return time_of(self.as_of_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """A movement of cash that is not a fill; below zero went out."""

    ledger_entry_id: str
    account_id: str
    kind: LedgerEntryKind | int
    amount: Money
    symbol: str
    description: str
    event_time_ns: int

    @property
    def event_time(self) -> datetime:
        """When, by the broker's clock."""
        return time_of(self.event_time_ns)
