"""Instruments: what can be traded, in one notation for all brokers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum

from brokergate.domain.money import ONE, ZERO

SYMBOL_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._:/ -]{0,63}"
"""What a symbol may look like: `BTC/USDT`, `EUR/USD`, `AAPL`, `BTC/USDT:USDT`, an OCC option code, `ESZ6`."""


class InstrumentKind(IntEnum):
    """What an instrument is; the numbers are the contract's."""

    UNSPECIFIED = 0
    SPOT = 1
    EQUITY = 2
    FOREX = 3
    PERPETUAL = 4
    FUTURE = 5
    OPTION = 6


class InstrumentTradingState(IntEnum):
    """Whether new orders are taken in an instrument; the numbers are the contract's."""

    UNSPECIFIED = 0
    TRADING = 1
    HALTED = 2
    CLOSED = 3
    CANCEL_ONLY = 4


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tradable instrument and its trading rules. Money rules are in `quote_currency`."""

    symbol: str
    broker_symbol: str
    kind: InstrumentKind
    base_currency: str
    """What is bought and sold: a currency for spot and forex, else empty."""
    quote_currency: str
    """What is paid."""
    price_increment: Decimal
    quantity_increment: Decimal
    min_quantity: Decimal = ZERO
    max_quantity: Decimal | None = None
    min_notional: Decimal = ZERO
    multiplier: Decimal = ONE
    """Units of the underlying in one unit of quantity (a contract's size); 1 for spot."""
    trading_state: InstrumentTradingState = InstrumentTradingState.TRADING
