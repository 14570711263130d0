"""What an account may do, from its configuration: the engine's view of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from brokergate.domain.fills import Money


class StopCause(Enum):
    """What may latch an emergency stop by itself, where the account says so."""

    ACCOUNT_SUSPENDED = "account_suspended"
    DAILY_LOSS = "daily_loss"
    DISCREPANCY = "discrepancy"


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """What one account may risk; None and empty are no limit. Quantities are units of the instrument."""

    instruments: frozenset[str] = frozenset()
    """The only ones that may be traded; empty means all."""
    max_order_quantity: Mapping[str, Decimal] = field(default_factory=dict)
    """By symbol."""
    max_order_notional: Money | None = None
    max_position_quantity: Mapping[str, Decimal] = field(default_factory=dict)
    """By symbol; of either side."""
    max_position_notional: Money | None = None
    """Of any one instrument, either side."""
    max_open_orders: int | None = None
    price_collar_percent: Decimal | None = None
    """How far an order's price may lie from the last quote, in per cent of it."""
    max_orders_per_second: int | None = None
    max_daily_loss: Money | None = None
    daily_loss_time_zone: str = "UTC"
    """Whose midnight begins the day; an IANA name."""
    quote_max_age_ns: int = 60_000_000_000
    """A quote older than this is no reference for what a limit needs."""

    def __bool__(self) -> bool:
        """Whether there is any limit at all."""
        return bool(
            self.instruments
            or self.max_order_quantity
            or self.max_order_notional
            or self.max_position_quantity
            or self.max_position_notional
            or self.max_open_orders
            or self.price_collar_percent
            or self.max_orders_per_second
            or self.max_daily_loss
        )


@dataclass(frozen=True, slots=True)
class AccountPolicy:
    """What an account may do."""

    trading_enabled: bool = True
    queue_max_age_ns: int | None = None
    """How long an order waits while the broker is away; None rejects it at once (`when_disconnected: reject`)."""
    exclusive: bool = False
    """Whether orders that the gateway did not place are a discrepancy (`ownership: exclusive`)."""
    stop_on: frozenset[StopCause] = frozenset()
    durable: bool = False
    """Whether a commit waits for the disk (`durability: full`); else it survives the process alone."""
    risk: RiskLimits = RiskLimits()
    poll_interval_ns: int = 30_000_000_000
    """How often a broker outside the process is asked for its orders, fills and positions."""
    quiet_period_ns: int = 2_000_000_000
    """How long two readings of a disagreement must lie apart, and how long a stream may take to tell what a poll
    found."""
    reconnect_max_ns: int = 60_000_000_000
    """The longest wait between two attempts to connect."""
