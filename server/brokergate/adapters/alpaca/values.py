"""Alpaca's values: JSON without floats, numbers as Decimal, times as nanoseconds, words as our enums. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from brokergate.domain.money import ZERO, format_decimal, normal
from brokergate.domain.orders import OrderState, OrderType, Side, TimeInForce

NS_PER_S = 1_000_000_000
MAX_PLACES = 30
"""Digits before or after the point; more is no amount of anything that is traded."""

Member = TypeVar("Member")


class WireError(Exception):
    """What came is not what Alpaca documents; the text names the field and never repeats a header."""


def load(text: bytes | str) -> Any:
    """JSON with every number as Decimal, from its text: a float never exists. Raises `WireError`."""
    try:
        return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError, InvalidOperation):
        raise WireError("it is not JSON") from None


def _no_number(text: str) -> None:
    raise ValueError(text)


def dump(body: Mapping[str, Any]) -> bytes:
    """A request's body; numbers are written as strings by those who fill it in."""
    return json.dumps(body, separators=(",", ":")).encode()


def mapping(value: object, name: str) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise WireError(f"{name} is not an object")
    return value


def sequence(value: object, name: str) -> Sequence[Any]:
    """A JSON array."""
    if not isinstance(value, list):
        raise WireError(f"{name} is not a list")
    return value


def text(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A string; `default` where there is none, and where that is None a `WireError`."""
    value = fields.get(name)
    if isinstance(value, str):
        return value
    if value is None and default is not None:
        return default
    raise WireError(f"{name} is not a text")


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """A switch; false where there is none."""
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise WireError(f"{name} is neither true nor false")


def number(fields: Mapping[str, Any], name: str) -> Decimal:
    """A number, written as a string or as a JSON number."""
    value = number_or_none(fields, name)
    if value is None:
        raise WireError(f"{name} is missing")
    return value


def number_or_none(fields: Mapping[str, Any], name: str) -> Decimal | None:
    """As `number`; None where there is none."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    return as_decimal(value, name)


def as_decimal(value: object, name: str) -> Decimal:
    """A number in plain notation, however it was written. Raises `WireError`."""
    if isinstance(value, str) and len(value) <= 2 * MAX_PLACES:
        try:
            value = Decimal(value)
        except InvalidOperation:
            raise WireError(f"{name} is not a number") from None
    if not isinstance(value, Decimal) or not value.is_finite():
        raise WireError(f"{name} is not a number")
    if not value:
        return ZERO
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    if value.adjusted() > MAX_PLACES or exponent < -MAX_PLACES:
        raise WireError(f"{name} is not a number of this size")
    return normal(value) if exponent > 0 else value


def written(value: Decimal) -> str:
    """A number as requests carry it: a plain decimal in a string."""
    return format_decimal(normal(value))


_time = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
).fullmatch
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_ns(value: object, name: str) -> int:
    """RFC 3339 with up to nanoseconds: nanoseconds since the epoch. Raises `WireError`."""
    found = _time(value) if isinstance(value, str) else None
    if found is None:
        raise WireError(f"{name} is not a time")
    seconds, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(seconds).replace(tzinfo=_zone(zone))
    except ValueError:
        raise WireError(f"{name} is not a time") from None
    return (moment - _EPOCH) // timedelta(seconds=1) * NS_PER_S + int((fraction or "0").ljust(9, "0"))


def _zone(text: str) -> timezone:
    if text in "Zz":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:]))
    return timezone(-offset if text[0] == "-" else offset)


def write_time(moment_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds."""
    seconds, rest = divmod(moment_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


# Words (docs.alpaca.markets/docs/orders-at-alpaca; alpaca-py alpaca/trading/enums.py)

SIDES = {"buy": Side.BUY, "sell": Side.SELL, "sell_short": Side.SELL}
TYPES = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "stop": OrderType.STOP,
    "stop_limit": OrderType.STOP_LIMIT,
    "trailing_stop": OrderType.TRAILING_STOP,
}
TYPE_WORDS = {kind: word for word, kind in TYPES.items()}
FORCES = {
    "day": TimeInForce.DAY,
    "gtc": TimeInForce.GTC,
    "opg": TimeInForce.AT_OPEN,
    "cls": TimeInForce.AT_CLOSE,
    "ioc": TimeInForce.IOC,
    "fok": TimeInForce.FOK,
}
FORCE_WORDS = {force: word for word, force in FORCES.items()}

WORKING = frozenset(
    {
        "new",
        "partially_filled",
        "accepted",
        "pending_new",
        "accepted_for_bidding",
        "pending_review",
        "held",
        "pending_cancel",
        "pending_replace",
        "stopped",
        "suspended",
        "calculated",
        "done_for_day",
    }
)
"""States in which an order can still fill, today or, after done_for_day, on another day."""
ENDS = {
    "filled": OrderState.FILLED,
    "canceled": OrderState.CANCELED,
    "expired": OrderState.EXPIRED,
    "rejected": OrderState.REJECTED,
    # The order that took its place has another id.
    "replaced": OrderState.CANCELED,
}


def word(table: Mapping[str, Member], value: str, name: str) -> Member:
    """What a word means. One that is not documented is a `WireError`."""
    found = table.get(value)
    if found is None:
        raise WireError(f"{name} has a word that is not documented")
    return found
