"""What an instrument and a broker allow: the checks that need no state but theirs. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from brokergate.domain.capabilities import Capabilities, ReplaceSupport
from brokergate.domain.errors import ErrorReason, FieldViolation, GatewayError, invalid_field
from brokergate.domain.instruments import Instrument, InstrumentTradingState
from brokergate.domain.money import format_decimal, is_multiple, multiply
from brokergate.domain.orders import OrderSpec, SelfTradePrevention, TimeInForce, TriggerSource

MAX_NOTIONAL = Decimal(10) ** 20
"""An order's price × quantity × multiplier stays below this: what the contract can still write (20 digits)."""


def refuse(reason: ErrorReason, field: str, description: str) -> GatewayError:
    """A GatewayError about one field of an order."""
    return GatewayError(reason, f"{field}: {description}", violations=[FieldViolation(field, description)])


def unsupported(broker: str, field: str, what: str, supported: str = "") -> GatewayError:
    """UNSUPPORTED: the broker's capabilities lack it."""
    way_out = f"; it has {supported}" if supported else ""
    return refuse(ErrorReason.UNSUPPORTED, field, f"broker {broker!r} does not take {what}{way_out}")


def resolve_time_in_force(spec: OrderSpec, capabilities: Capabilities, broker: str, at: str) -> TimeInForce:
    """The time in force that the order gets. Raises UNSUPPORTED for a type or time in force that the broker lacks."""
    allowed = capabilities.order_types.get(spec.type)
    if not allowed:
        names = ", ".join(sorted(kind.name for kind in capabilities.order_types))
        raise unsupported(broker, f"{at}type", spec.type.name, names)
    if spec.time_in_force is TimeInForce.UNSPECIFIED:
        default = capabilities.default_time_in_force
        return default if default in allowed else min(allowed)
    if spec.time_in_force not in allowed:
        names = ", ".join(sorted(tif.name for tif in allowed))
        raise unsupported(
            broker, f"{at}time_in_force", f"{spec.time_in_force.name} for {spec.type.name} orders", names
        )
    return spec.time_in_force


def check_flags(spec: OrderSpec, capabilities: Capabilities, broker: str, at: str) -> None:
    """Raises UNSUPPORTED for a flag or option that the broker lacks."""
    if spec.post_only and not capabilities.post_only:
        raise unsupported(broker, f"{at}post_only", "post_only")
    if spec.reduce_only and not capabilities.reduce_only:
        raise unsupported(broker, f"{at}reduce_only", "reduce_only")
    if spec.extended_hours and not capabilities.extended_hours:
        raise unsupported(broker, f"{at}extended_hours", "extended_hours")
    if spec.quote_quantity is not None and not capabilities.quote_quantity:
        raise unsupported(broker, f"{at}quote_quantity", "quote_quantity", "quantity")
    if spec.trail_amount is not None and not capabilities.trails_by_amount:
        raise unsupported(broker, f"{at}trail_amount", "trail_amount", "trail_percent")
    if spec.display_quantity is not None and not capabilities.display_quantity:
        raise unsupported(broker, f"{at}display_quantity", "display_quantity")
    if (
        spec.trigger_source is not TriggerSource.UNSPECIFIED
        and spec.trigger_source not in capabilities.trigger_sources
    ):
        names = ", ".join(source.name for source in capabilities.trigger_sources)
        raise unsupported(broker, f"{at}trigger_source", spec.trigger_source.name, names)
    if (
        spec.self_trade_prevention is not SelfTradePrevention.UNSPECIFIED
        and spec.self_trade_prevention not in capabilities.self_trade_prevention
    ):
        names = ", ".join(way.name for way in capabilities.self_trade_prevention)
        raise unsupported(broker, f"{at}self_trade_prevention", spec.self_trade_prevention.name, names)
    for key, _ in spec.broker_options:
        if key not in capabilities.broker_options:
            raise unsupported(broker, f"{at}broker_options", f"the option {key!r}")


def check_price(field: str, price: Decimal | None, instrument: Instrument) -> None:
    """Raises PRICE_OFF_TICK for a price between two ticks."""
    if price is not None and not is_multiple(price, instrument.price_increment):
        raise refuse(
            ErrorReason.PRICE_OFF_TICK,
            field,
            f"{format_decimal(price)} is not a multiple of {instrument.symbol}'s price_increment "
            f"{format_decimal(instrument.price_increment)}",
        )


def check_quantity(field: str, quantity: Decimal, instrument: Instrument) -> None:
    """Raises QUANTITY_OFF_LOT or QUANTITY_OUT_OF_RANGE."""
    if not is_multiple(quantity, instrument.quantity_increment):
        raise refuse(
            ErrorReason.QUANTITY_OFF_LOT,
            field,
            f"{format_decimal(quantity)} is not a multiple of {instrument.symbol}'s quantity_increment "
            f"{format_decimal(instrument.quantity_increment)}",
        )
    if quantity < instrument.min_quantity:
        raise refuse(
            ErrorReason.QUANTITY_OUT_OF_RANGE,
            field,
            f"{format_decimal(quantity)} is below {instrument.symbol}'s min_quantity "
            f"{format_decimal(instrument.min_quantity)}",
        )
    if instrument.max_quantity is not None and quantity > instrument.max_quantity:
        raise refuse(
            ErrorReason.QUANTITY_OUT_OF_RANGE,
            field,
            f"{format_decimal(quantity)} is above {instrument.symbol}'s max_quantity "
            f"{format_decimal(instrument.max_quantity)}",
        )


def check_notional(spec: OrderSpec, quantity: Decimal, instrument: Instrument, at: str) -> None:
    """Raises BELOW_MIN_NOTIONAL, or INVALID_FIELD for a notional that the contract cannot write."""
    price = spec.limit_price if spec.limit_price is not None else spec.stop_price
    notional = quantity if price is None else multiply(multiply(price, quantity), instrument.multiplier)
    if notional >= MAX_NOTIONAL:
        raise invalid_field(
            f"{at}quantity",
            f"{format_decimal(quantity)} makes an order of 10^20 or more; give a smaller one",
        )
    if price is not None and notional < instrument.min_notional:
        raise refuse(
            ErrorReason.BELOW_MIN_NOTIONAL,
            f"{at}quantity",
            f"{format_decimal(notional)} {instrument.quote_currency} is below {instrument.symbol}'s min_notional "
            f"{format_decimal(instrument.min_notional)}",
        )


def check_tradable(instrument: Instrument, at: str) -> None:
    """Raises MARKET_CLOSED for an instrument that takes no orders now."""
    if instrument.trading_state is not InstrumentTradingState.TRADING:
        raise refuse(
            ErrorReason.MARKET_CLOSED,
            f"{at}symbol",
            f"{instrument.symbol} is {instrument.trading_state.name}",
        )


def check_order(
    spec: OrderSpec,
    instrument: Instrument,
    capabilities: Capabilities,
    broker: str,
    present_ns: Callable[[], int],
    at: str = "order.",
) -> TimeInForce:
    """Raises a GatewayError unless the broker could take the order; gives the time in force that it gets. `at` is the
    path of the spec's fields in the request; `present_ns` is asked for the venue's present time where the order ends by
    one."""
    if spec.expire_time_ns is not None and spec.expire_time_ns <= (now_ns := present_ns()):
        problem = f"is not after the venue's present time, {_utc(now_ns)}; give a later time"
        raise invalid_field(f"{at}expire_time", problem)
    time_in_force = resolve_time_in_force(spec, capabilities, broker, at)
    check_flags(spec, capabilities, broker, at)
    check_tradable(instrument, at)
    check_price(f"{at}limit_price", spec.limit_price, instrument)
    check_price(f"{at}stop_price", spec.stop_price, instrument)
    if spec.trail_amount is not None:
        check_price(f"{at}trail_amount", spec.trail_amount, instrument)
    if spec.quantity is not None:
        check_quantity(f"{at}quantity", spec.quantity, instrument)
        check_notional(spec, spec.quantity, instrument, at)
    if spec.display_quantity is not None:
        check_quantity(f"{at}display_quantity", spec.display_quantity, instrument)
    return time_in_force


def check_leg(
    spec: OrderSpec, instrument: Instrument, capabilities: Capabilities, broker: str, field: str
) -> None:
    """Raises a GatewayError unless the broker could take the closing order that the leg at `field` is. Its quantity is
    its entry's, which has been looked at."""
    if spec.type not in capabilities.order_types:
        names = ", ".join(sorted(kind.name for kind in capabilities.order_types))
        raise unsupported(broker, field, f"{spec.type.name} orders, which this leg is", names)
    check_price(f"{field}.limit_price", spec.limit_price, instrument)
    check_price(f"{field}.stop_price", spec.stop_price, instrument)
    assert spec.quantity is not None
    check_notional(spec, spec.quantity, instrument, "order.")


def check_replace_support(capabilities: Capabilities, broker: str) -> None:
    """Raises UNSUPPORTED where the broker cannot change an order."""
    if capabilities.replace is ReplaceSupport.NONE:
        raise unsupported(broker, "order", "replaces", "cancel and place")


def _utc(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 1_000_000 / 1000, UTC).isoformat(timespec="milliseconds")
