"""What an order would do now: TWS works it out (`whatIf`), margin and commission as it would charge them. Pure."""

from __future__ import annotations

from decimal import Decimal

from brokergate.adapters.ibkr.contracts import Listed
from brokergate.adapters.ibkr.frames import WhatIf
from brokergate.domain.errors import (
    BrokerError,
    ErrorReason,
    InsufficientFundsError,
    MarketClosedError,
)
from brokergate.domain.fills import Money
from brokergate.domain.market import QuoteView
from brokergate.domain.money import ZERO, multiply
from brokergate.domain.orders import OrderSpec, OrderType, Side, TimeInForce
from brokergate.ports.broker import Preview

Refusal = tuple[ErrorReason, str]


def preview(
    spec: OrderSpec,
    quantity: Decimal,
    listed: Listed,
    quote: QuoteView | None,
    told: WhatIf | None,
    base_currency: str,
    rejection: Refusal | None,
) -> Preview:
    """A preview of `spec` for `quantity` units; `told` is what TWS worked out, in the account's `base_currency`, None
    where it refused. How much of it would fill at once TWS does not say: as much as the best offer has."""
    price = _price(spec, quote)
    at_once = _filled(spec, quantity, quote)
    if (
        rejection is None
        and spec.time_in_force is TimeInForce.FOK
        and quote is not None
        and at_once < quantity
    ):
        rejection = ErrorReason.NOT_FILLABLE, "not all of it can be filled at once"
    filled = ZERO if rejection is not None else at_once
    notional = ZERO
    if price is not None and rejection is None:
        notional = multiply(multiply(price, filled), listed.instrument.multiplier)
    commission = (
        None if told is None else next((c for c in (told.commission, told.max_commission) if c), None)
    )
    currency = told.commission_currency if told is not None else ""
    required = None if told is None else told.initial_margin_change
    return Preview(
        estimated_price=price,
        estimated_fill_quantity=filled,
        estimated_notional=Money(notional, listed.instrument.quote_currency),
        estimated_fees=() if commission is None else (Money(commission, currency or base_currency),),
        required_funds=Money(max(required or ZERO, ZERO), base_currency),
        rejection=rejection,
    )


def _offered(spec: OrderSpec, quote: QuoteView | None) -> tuple[Decimal | None, Decimal | None]:
    """Price and size of the best offer for it."""
    if quote is None:
        return None, None
    if spec.side is Side.BUY:
        return quote.ask_price, quote.ask_quantity
    return quote.bid_price, quote.bid_quantity


def _price(spec: OrderSpec, quote: QuoteView | None) -> Decimal | None:
    """What it would fill at: nothing, for one that would rest."""
    price, _ = _offered(spec, quote)
    if price is None or spec.type not in (OrderType.MARKET, OrderType.LIMIT):
        return None
    limit = spec.limit_price
    if limit is not None and (price > limit if spec.side is Side.BUY else price < limit):
        return None
    return price


def _filled(spec: OrderSpec, quantity: Decimal, quote: QuoteView | None) -> Decimal:
    _, size = _offered(spec, quote)
    if _price(spec, quote) is None:
        return ZERO
    return quantity if size is None else min(size, quantity)


def refusal_of(error: BrokerError) -> Refusal:
    """Why TWS would refuse the order."""
    if isinstance(error, InsufficientFundsError):
        return ErrorReason.INSUFFICIENT_FUNDS, str(error)
    if isinstance(error, MarketClosedError):
        return ErrorReason.MARKET_CLOSED, str(error)
    return ErrorReason.BROKER_REJECTED, str(error)
