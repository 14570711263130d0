"""What can be traded, and at what prices now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from brokergate_client.enums import InstrumentKind, InstrumentTradingState
from brokergate_client.exact import time_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """Something that can be traded: prices are multiples of `price_increment`, quantities of `quantity_increment`."""

    symbol: str
    broker_symbol: str
    kind: InstrumentKind | int
    base_currency: str
    quote_currency: str
    price_increment: Decimal
    quantity_increment: Decimal
    min_quantity: Decimal
    max_quantity: Decimal | None
    min_notional: Decimal
    multiplier: Decimal
    trading_state: InstrumentTradingState | int
    expiry_time_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The best bid and ask; None where nobody bids or offers."""

    symbol: str
    bid_price: Decimal | None
    bid_quantity: Decimal | None
    ask_price: Decimal | None
    ask_quantity: Decimal | None
    last_price: Decimal | None
    event_time_ns: int
    receive_time_ns: int
    delayed: bool = False
    """Whether it is old, because the account has no subscription to a present one: not to be traded by."""
    stale: bool = False
    """Whether it is the last one, of a market or a broker that is away: not to be traded by."""

    @property
    def event_time(self) -> datetime:
        """When, by the market's clock."""
        return time_of(self.event_time_ns)
