"""What Interactive Brokers can do, for each kind of instrument (tws-api/available_orders.html, and IB's order types by
product). What only the venue can know (an exchange that has no such order, a permission) it says itself."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from brokergate.adapters.ibkr.contracts import Listed
from brokergate.domain.capabilities import Capabilities, ReplaceSupport
from brokergate.domain.errors import ErrorReason
from brokergate.domain.instruments import InstrumentKind
from brokergate.domain.money import ONE, format_decimal, is_multiple
from brokergate.domain.orders import OrderSpec, OrderType, TimeInForce, TriggerSource

Refusal = tuple[ErrorReason, str]

_DAY, _GTC, _GTD = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD
_IOC, _FOK = TimeInForce.IOC, TimeInForce.FOK
_AUCTIONS = frozenset({TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE})
_RESTING = frozenset({_DAY, _GTC, _GTD})

CAPABILITIES = Capabilities(
    order_types={
        OrderType.MARKET: _RESTING | {_IOC} | _AUCTIONS,
        OrderType.LIMIT: _RESTING | {_IOC, _FOK} | _AUCTIONS,
        OrderType.STOP: _RESTING,
        OrderType.STOP_LIMIT: _RESTING,
        OrderType.TRAILING_STOP: _RESTING,
        OrderType.MARKET_IF_TOUCHED: _RESTING,
        OrderType.LIMIT_IF_TOUCHED: _RESTING,
    },
    replace=ReplaceSupport.ATOMIC,
    default_time_in_force=_DAY,
    native_oco=True,
    native_bracket=True,
    extended_hours=True,
    display_quantity=True,
    trigger_sources=(TriggerSource.LAST, TriggerSource.BID_ASK),
    replays_fills=True,
    streams_quotes=True,
    streams_trades=True,
    short_selling=True,
)
"""All kinds together: what is refused before an instrument is looked at. How long an order may be on its way is the
configuration's (`absence_after_ms`)."""

_NAMES: Mapping[InstrumentKind, str] = {
    InstrumentKind.FOREX: "currencies",
    InstrumentKind.FUTURE: "futures",
    InstrumentKind.OPTION: "options",
    InstrumentKind.SPOT: "crypto",
}
"""Kinds without auctions: only shares have an opening and a closing one."""
_CRYPTO_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT})


def refusal(spec: OrderSpec, listed: Listed, *, linked: bool = False) -> Refusal | None:
    """What of the rules stands against an order: checked here, so that it is not sent. `linked`: one of a group."""
    kind, force = listed.instrument.kind, spec.time_in_force
    if kind in _NAMES and force in _AUCTIONS:
        return ErrorReason.UNSUPPORTED, f"Interactive Brokers takes no {force.name} for {_NAMES[kind]}"
    if kind is InstrumentKind.SPOT and spec.type not in _CRYPTO_TYPES:
        return ErrorReason.UNSUPPORTED, f"Interactive Brokers takes no {spec.type.name} orders in crypto"
    if linked and force not in _RESTING:
        return ErrorReason.UNSUPPORTED, "Interactive Brokers links DAY, GTC and GTD orders alone"
    if spec.extended_hours and (spec.type is OrderType.MARKET or force in _AUCTIONS):
        # TWS takes it and ignores the wish (2109): the order would wait for the session unasked.
        problem = "Interactive Brokers ignores extended_hours for MARKET orders and auctions; use LIMIT"
        return ErrorReason.UNSUPPORTED, problem
    if spec.display_quantity is not None and not is_multiple(spec.display_quantity, ONE):
        return ErrorReason.QUANTITY_OFF_LOT, "Interactive Brokers shows whole units of an order alone"
    return _off_tick(spec, listed)


def _off_tick(spec: OrderSpec, listed: Listed) -> Refusal | None:
    """The tick where the price is: the instrument's is its smallest anywhere."""
    for price in (spec.limit_price, spec.stop_price):
        tick = None if price is None else listed.tick_at(price)
        if price is not None and tick is not None and not is_multiple(price, tick):
            problem = f"{_plain(price)} is not a multiple of {_plain(tick)}, the tick of {spec.symbol} at that price"
            return ErrorReason.PRICE_OFF_TICK, problem
    return None


def _plain(value: Decimal) -> str:
    return format_decimal(value)
