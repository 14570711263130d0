"""What a broker can do; the fields are those of `Capabilities` in `broker.proto`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from brokergate.domain.orders import OrderType, SelfTradePrevention, TimeInForce, TriggerSource


class ReplaceSupport(IntEnum):
    """How a broker changes an order."""

    UNSPECIFIED = 0
    ATOMIC = 1
    CANCEL_NEW = 2
    NONE = 3


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a broker can do; what is not in here is refused before it is sent (UNSUPPORTED)."""

    order_types: Mapping[OrderType, frozenset[TimeInForce]]
    replace: ReplaceSupport
    default_time_in_force: TimeInForce
    """What an order without a time in force gets; an order type that lacks it gets its first one by number."""
    native_oco: bool = False
    native_bracket: bool = False
    native_idempotency: bool = False
    absence_after_ms: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    quote_quantity: bool = False
    display_quantity: bool = False
    extended_hours: bool = False
    trigger_sources: tuple[TriggerSource, ...] = ()
    self_trade_prevention: tuple[SelfTradePrevention, ...] = ()
    replays_fills: bool = False
    streams_quotes: bool = False
    streams_trades: bool = False
    streams_book: bool = False
    short_selling: bool = False
    trails_by_amount: bool = True
    broker_options: frozenset[str] = frozenset()
