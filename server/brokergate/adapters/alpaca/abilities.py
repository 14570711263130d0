"""What Alpaca can do, for each class of asset (docs.alpaca.markets/docs/orders-at-alpaca, crypto-trading)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from brokergate.domain.capabilities import Capabilities, ReplaceSupport
from brokergate.domain.errors import ErrorReason
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.money import ONE, is_multiple
from brokergate.domain.orders import OrderSpec, OrderType, TimeInForce, TriggerSource

DAY, GTC, IOC, FOK = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK
OPEN, CLOSE = TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE

ABSENCE_AFTER_MS = 10_000
"""Alpaca writes an order down before it answers, so that a question that begins later than any answer could still come
is enough. What was sent may wait in front of the venue after the gateway has given up on it; it gives up after
`request_timeout_ms`, closes the connection, and this much later asks."""

Refusal = tuple[ErrorReason, str]

FOR_STOCKS = Capabilities(
    order_types={
        OrderType.MARKET: frozenset({DAY, GTC, IOC, FOK, OPEN, CLOSE}),
        OrderType.LIMIT: frozenset({DAY, GTC, IOC, FOK, OPEN, CLOSE}),
        OrderType.STOP: frozenset({DAY, GTC}),
        OrderType.STOP_LIMIT: frozenset({DAY, GTC}),
        OrderType.TRAILING_STOP: frozenset({DAY, GTC}),
    },
    replace=ReplaceSupport.ATOMIC,
    default_time_in_force=DAY,
    native_oco=True,
    native_bracket=True,
    native_idempotency=True,
    absence_after_ms=ABSENCE_AFTER_MS,
    quote_quantity=True,
    extended_hours=True,
    trigger_sources=(TriggerSource.LAST,),
    replays_fills=True,
    streams_quotes=True,
    streams_trades=True,
    short_selling=True,
)

FOR_CRYPTO = replace(
    FOR_STOCKS,
    order_types={
        OrderType.MARKET: frozenset({GTC, IOC}),
        OrderType.LIMIT: frozenset({GTC, IOC}),
        OrderType.STOP_LIMIT: frozenset({GTC, IOC}),
    },
    default_time_in_force=GTC,
    native_oco=False,
    native_bracket=False,
    extended_hours=False,
    trigger_sources=(),
    streams_book=True,
    short_selling=False,
)

CAPABILITIES = replace(FOR_STOCKS, default_time_in_force=GTC, streams_book=True)
"""Both together: what is refused before an instrument is looked at. GTC is what both take by default."""

CLASSES: Mapping[InstrumentKind, Capabilities] = {
    InstrumentKind.EQUITY: FOR_STOCKS,
    InstrumentKind.SPOT: FOR_CRYPTO,
}
_NAMES = {InstrumentKind.EQUITY: "stocks", InstrumentKind.SPOT: "crypto"}

DOLLAR_TICK = Decimal("0.01")
"""Of a stock's prices of a dollar and more; below it is a hundredth of that (SEC Rule 612)."""


def refusal(spec: OrderSpec, instrument: Instrument, *, linked: bool = False) -> Refusal | None:
    """What of Alpaca's rules for a class of asset stands against an order: checked here, so that it is not sent."""
    allowed, name = CLASSES[instrument.kind], _NAMES[instrument.kind]
    forces = allowed.order_types.get(spec.type)
    if forces is None:
        return ErrorReason.UNSUPPORTED, f"Alpaca takes no {spec.type.name} orders in {name}"
    if spec.time_in_force not in forces:
        names = ", ".join(sorted(force.name for force in forces))
        problem = f"Alpaca takes no {spec.time_in_force.name} for {spec.type.name} orders in {name}; it takes {names}"
        return ErrorReason.UNSUPPORTED, problem
    if linked and not allowed.native_bracket:
        return ErrorReason.UNSUPPORTED, f"Alpaca links no orders in {name}"
    if linked and spec.time_in_force not in (DAY, GTC):
        return ErrorReason.UNSUPPORTED, "Alpaca links DAY and GTC orders alone"
    if spec.extended_hours and not (
        allowed.extended_hours and spec.type is OrderType.LIMIT and spec.time_in_force in (DAY, GTC)
    ):
        problem = "Alpaca takes extended_hours for LIMIT orders with DAY or GTC alone, and not for crypto"
        return ErrorReason.UNSUPPORTED, problem
    if instrument.kind is InstrumentKind.EQUITY:
        return _refusal_of_stock(spec, linked=linked)
    return None


def _refusal_of_stock(spec: OrderSpec, *, linked: bool) -> Refusal | None:
    for price in (spec.limit_price, spec.stop_price):
        if price is not None and price >= ONE and not is_multiple(price, DOLLAR_TICK):
            problem = f"{price} is not a multiple of {DOLLAR_TICK}, the tick of a dollar and more"
            return ErrorReason.PRICE_OFF_TICK, problem
    fraction = spec.quote_quantity is not None or (
        spec.quantity is not None and not is_multiple(spec.quantity, ONE)
    )
    if fraction and (spec.time_in_force is not DAY or linked or spec.type is OrderType.TRAILING_STOP):
        problem = "Alpaca takes fractions of a share in single DAY orders alone, and none with a trail"
        return ErrorReason.UNSUPPORTED, problem
    return None
