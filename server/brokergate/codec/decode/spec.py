"""What an order asks for: every rule of `OrderSpec` that holds on any account."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from brokergate.codec.decode.fields import (
    Violations,
    all_members,
    choice,
    identifier,
    matches_symbol,
    members,
    positive,
    symbol,
    time_ns,
)
from brokergate.domain.orders import (
    OrderSpec,
    OrderType,
    ProtectiveLeg,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TriggerSource,
)
from brokergate.v1 import order_pb2

MAX_LABELS = 16
MAX_LABEL_LENGTH = 64
MAX_BROKER_OPTIONS = 16

_SIDES = members(Side)
_TYPES = members(OrderType)
_TIMES = all_members(TimeInForce)
_TRIGGERS = all_members(TriggerSource)
_PREVENTIONS = all_members(SelfTradePrevention)

_HUNDRED = Decimal(100)
_matches_label = re.compile(r"[A-Za-z0-9_.-]{1,32}", re.ASCII).fullmatch

_OF_TYPE: Mapping[OrderType, frozenset[str]] = {
    OrderType.MARKET: frozenset({"quote_quantity"}),
    OrderType.LIMIT: frozenset({"limit_price", "post_only"}),
    OrderType.STOP: frozenset({"stop_price", "trigger_source"}),
    OrderType.STOP_LIMIT: frozenset({"limit_price", "stop_price", "trigger_source"}),
    OrderType.TRAILING_STOP: frozenset({"trail_amount", "trail_percent", "trigger_source"}),
    OrderType.MARKET_IF_TOUCHED: frozenset({"stop_price", "trigger_source"}),
    OrderType.LIMIT_IF_TOUCHED: frozenset({"limit_price", "stop_price", "trigger_source"}),
}
"""The fields that only some types have, by the types that have them."""

_TYPED = frozenset[str]().union(*_OF_TYPE.values())
_FOREIGN = {kind: _TYPED - own for kind, own in _OF_TYPE.items()}
_COMMON = frozenset({"symbol", "side", "type", "quantity", "limit_price", "stop_price", "time_in_force"})
_REQUIRED = {kind: own & {"limit_price", "stop_price"} for kind, own in _OF_TYPE.items()}


def decode_spec(out: Violations, path: str, message: order_pb2.OrderSpec) -> OrderSpec:
    """The spec whose fields are at `path` (`order.`), with whatever is wrong with it added to `out`."""
    # The fields that are set, by one call: asking for each of twenty costs more than all of the rest.
    given: dict[str, Any] = {field.name: value for field, value in message.ListFields()}
    get = given.get
    kind, side = _TYPES.get(get("type", 0)), _SIDES.get(get("side", 0))
    time_in_force = _TIMES.get(get("time_in_force", 0))
    name = get("symbol", "")
    if kind is None or side is None or time_in_force is None or matches_symbol(name) is None:
        symbol(out, f"{path}symbol", name)
        side = choice(out, f"{path}side", get("side", 0), _SIDES)
        known = kind is not None
        kind = choice(out, f"{path}type", get("type", 0), _TYPES)
        time_in_force = choice(out, f"{path}time_in_force", get("time_in_force", 0), _TIMES)
    else:
        known = True
    rare = given.keys() - _COMMON
    spec = OrderSpec(
        name,
        side,
        kind,
        quantity=_positive(out, path, given, "quantity"),
        limit_price=_positive(out, path, given, "limit_price"),
        stop_price=_positive(out, path, given, "stop_price"),
        time_in_force=time_in_force,
        **{_RARE[name][0]: _RARE[name][1](out, path + name, given[name]) for name in sorted(rare)},
    )
    if known:
        _check_type(out, path, kind, given)
    if rare or spec.quantity is None:
        _check_size(out, path, spec, given)
    if time_in_force is TimeInForce.GTD or "expire_time" in rare:
        _check_expiry(out, path, spec)
    if spec.post_only and time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
        out.add(f"{path}post_only", f"contradicts time_in_force {time_in_force.name}; leave one out")
    return spec


def _check_type(out: Violations, path: str, kind: OrderType, given: Mapping[str, Any]) -> None:
    if (
        _FOREIGN[kind].isdisjoint(given)
        and _REQUIRED[kind] <= given.keys()
        and kind is not OrderType.TRAILING_STOP
    ):
        return
    for name in sorted(_FOREIGN[kind].intersection(given)):
        out.add(f"{path}{name}", f"does not belong to a {kind.name} order; leave it out", str(given[name]))
    for name in sorted(_REQUIRED[kind].difference(given)):
        out.add(f"{path}{name}", f"is required for a {kind.name} order")
    if kind is OrderType.TRAILING_STOP and ("trail_amount" in given) is ("trail_percent" in given):
        out.add(
            f"{path}trail_amount",
            "or trail_percent is required for a TRAILING_STOP order: exactly one of them",
        )


def _check_size(out: Violations, path: str, spec: OrderSpec, given: Mapping[str, Any]) -> None:
    if spec.quantity is None and spec.quote_quantity is None:
        out.add(f"{path}quantity", "is required; give units of the instrument above zero")
    display = spec.display_quantity
    if display is not None and spec.quantity is not None and display > spec.quantity:
        out.add(
            f"{path}display_quantity", f"must be at most quantity, {spec.quantity}", given["display_quantity"]
        )


def _check_expiry(out: Violations, path: str, spec: OrderSpec) -> None:
    if spec.expire_time_ns is None:
        out.add(f"{path}expire_time", "is required for time_in_force GTD")
    elif spec.time_in_force is not TimeInForce.GTD:
        out.add(f"{path}expire_time", "belongs to time_in_force GTD alone; leave it out")


def _positive(out: Violations, path: str, given: Mapping[str, Any], name: str) -> Decimal | None:
    return positive(out, path + name, given[name]) if name in given else None


def decode_trail_percent(out: Violations, field: str, text: str) -> Decimal:
    """A trailing distance in per cent: above 0, below 100."""
    value = positive(out, field, text)
    if value >= _HUNDRED:
        out.add(field, "must be below 100 per cent", text)
    return value


def decode_expire_time(out: Violations, field: str, time: Timestamp) -> int:
    """The end of a GTD order, in nanoseconds since the epoch; whether it is still to come, its account's clock says."""
    result = time_ns(out, field, time)
    if not result and not time.nanos:
        out.add(field, "must lie in the future")
    return result


def _leg(out: Violations, field: str, leg: order_pb2.ProtectiveLeg) -> ProtectiveLeg:
    prices = {price.name: value for price, value in leg.ListFields()}
    required = "limit_price" if field.endswith("take_profit") else "stop_price"
    if required not in prices:
        out.add(f"{field}.{required}", "is required")
    return ProtectiveLeg(
        identifier(out, f"{field}.client_order_id", leg.client_order_id),
        _positive(out, f"{field}.", prices, "limit_price"),
        _positive(out, f"{field}.", prices, "stop_price"),
    )


def _labels(out: Violations, field: str, labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    if len(labels) > MAX_LABELS:
        out.add(field, f"has {len(labels)} entries; give {MAX_LABELS} at most")
        return ()
    for key, value in labels.items():
        if _matches_label(key) is None:
            out.add(field, "is no key; use 1 to 32 of A-Z, a-z, 0-9, _, . and -", key)
        elif len(value) > MAX_LABEL_LENGTH:
            out.add(f"{field}[{key}]", f"is longer than {MAX_LABEL_LENGTH} characters", value)
    return tuple(sorted(labels.items()))


def _broker_options(out: Violations, field: str, options: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    # Which keys there are is the broker's to say; the engine refuses those that its capabilities do not list.
    if len(options) > MAX_BROKER_OPTIONS:
        out.add(field, f"has {len(options)} entries; give {MAX_BROKER_OPTIONS} at most")
        return ()
    return tuple(sorted(options.items()))


def _flag(out: Violations, field: str, value: bool) -> bool:
    return value


def _trigger(out: Violations, field: str, value: int) -> TriggerSource:
    return choice(out, field, value, _TRIGGERS)


def _prevention(out: Violations, field: str, value: int) -> SelfTradePrevention:
    return choice(out, field, value, _PREVENTIONS)


_RARE: Mapping[str, tuple[str, Callable[[Violations, str, Any], Any]]] = {
    "quote_quantity": ("quote_quantity", positive),
    "trail_amount": ("trail_amount", positive),
    "trail_percent": ("trail_percent", decode_trail_percent),
    "trigger_source": ("trigger_source", _trigger),
    "expire_time": ("expire_time_ns", decode_expire_time),
    "post_only": ("post_only", _flag),
    "reduce_only": ("reduce_only", _flag),
    "extended_hours": ("extended_hours", _flag),
    "display_quantity": ("display_quantity", positive),
    "self_trade_prevention": ("self_trade_prevention", _prevention),
    "take_profit": ("take_profit", _leg),
    "stop_loss": ("stop_loss", _leg),
    "labels": ("labels", _labels),
    "broker_options": ("broker_options", _broker_options),
}
"""What most orders do without: the field's name in the domain, and what reads it."""
