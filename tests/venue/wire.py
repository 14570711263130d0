"""What goes over the venue's socket: JSON, a line each. Pure.

A client sends `{"id": 7, "op": "place", …}` and gets `{"id": 7, "result": …}` or `{"id": 7, "error": "…"}`; beside
that, once subscribed, `{"reports": […]}` and `{"quotes": […]}` as things happen. Values have their field names, and
their type as `is`; decimals are texts, enums numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter

from brokergate.domain.accounts import BrokerAccountInfo, BrokerBalance, BrokerPosition, LedgerEntry
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, QuoteView
from brokergate.domain.orders import Order, OrderSpec, OrderState
from brokergate.ports.broker import Accepted, FillPage, FillReport, OrderReport, Preview, Rejected, VenueOrder
from tests.venue.log import Entry

T = TypeVar("T")

MAX_LINE = 16 * 1024 * 1024
"""Bytes of the longest line: a list of all open orders."""

_TYPES: Sequence[type] = (
    Accepted,
    BookView,
    BrokerAccountInfo,
    BrokerBalance,
    BrokerPosition,
    Entry,
    FillPage,
    FillReport,
    Instrument,
    LedgerEntry,
    OrderReport,
    OrderSpec,
    Preview,
    QuoteView,
    Rejected,
    VenueOrder,
)
_ADAPTERS: Mapping[str, TypeAdapter[Any]] = {each.__name__: TypeAdapter(each) for each in _TYPES}


class WireError(ValueError):
    """What came is not what was expected."""


def line(message: Mapping[str, Any]) -> bytes:
    """A message as it is sent."""
    return orjson.dumps(message) + b"\n"


def parse(text: bytes) -> dict[str, Any]:
    """A message as it came. Raises `WireError`."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise WireError(f"no JSON: {text[:64]!r}") from error
    if not isinstance(message, dict):
        raise WireError(f"no message: {text[:64]!r}")
    return message


def dump(item: object) -> dict[str, Any]:
    """A value of one of the wire's types."""
    name = type(item).__name__
    fields: dict[str, Any] = _ADAPTERS[name].dump_python(item, mode="json")
    return {"is": name, **fields}


def load(kind: type[T], data: Any) -> T:
    """The value that `dump` gave. Raises `WireError` for another type, and for fields that are not its own."""
    item = load_any(data)
    if not isinstance(item, kind):
        raise WireError(f"expected {kind.__name__}, got {data['is']}")
    return item


def load_any(data: Any) -> object:
    """The value that `dump` gave, of whichever type."""
    if not isinstance(data, dict) or data.get("is") not in _ADAPTERS:
        raise WireError(f"no value of the wire: {str(data)[:64]!r}")
    fields = {name: value for name, value in data.items() if name != "is"}
    try:
        return _ADAPTERS[data["is"]].validate_python(fields)
    except ValueError as error:
        raise WireError(str(error)) from error


def order_fields(order: Order) -> dict[str, Any]:
    """How a request names an order."""
    return {
        "client_order_id": order.client_order_id,
        "broker_order_id": order.broker_order_id,
        "generation": order.generation,
    }


def named_order(message: Mapping[str, Any], spec: OrderSpec, quantity: Decimal, now_ns: int) -> Order:
    """The order that a request names, as the venue's core takes it."""
    return Order(
        order_id="",
        client_order_id=str(message["client_order_id"]),
        account_id="venue",
        spec=spec,
        quantity=quantity,
        state=OrderState.PENDING_NEW,
        create_time_ns=now_ns,
        update_time_ns=now_ns,
        broker_order_id=str(message.get("broker_order_id", "")),
        generation=int(message.get("generation", 1)),
    )
