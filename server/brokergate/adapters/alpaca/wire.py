"""What is asked of Alpaca: targets, headers, bodies and the frames of its streams. Pure.

Paths and fields are those of the Trading API's OpenAPI 2.0.1 and of docs.alpaca.markets (orders-at-alpaca,
websocket-streaming, real-time-stock-pricing-data, real-time-crypto-pricing-data). Every number leaves as a decimal in
a string, which Alpaca takes wherever it takes a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from brokergate.adapters.alpaca.values import FORCE_WORDS, TYPE_WORDS, dump, written
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side
from brokergate.ports.broker import GroupKind, OrderGroup

KEY_HEADER, SECRET_HEADER = "APCA-API-KEY-ID", "APCA-API-SECRET-KEY"
JSON_HEADERS: Mapping[str, str] = {"Content-Type": "application/json"}

ACCOUNT, CLOCK, ORDERS, POSITIONS = "/v2/account", "/v2/clock", "/v2/orders", "/v2/positions"
ORDERS_PAGE, FILLS_PAGE = 500, 100
"""The most that one page holds."""

MAX_ID_LENGTH = 128
"""Of a client order id."""


def auth_headers(key: str, secret: str) -> dict[str, str]:
    """What every request carries."""
    return {KEY_HEADER: key, SECRET_HEADER: secret, "Accept": "application/json"}


# Targets


def order_target(order_id: str, *, nested: bool = False) -> str:
    """One order, with its legs where `nested`."""
    target = f"{ORDERS}/{quote(order_id, safe='')}"
    return f"{target}?nested=true" if nested else target


def by_client_id_target(venue_id: str) -> str:
    """One order by its client order id."""
    return f"{ORDERS}:by_client_order_id?{urlencode({'client_order_id': venue_id})}"


def open_orders_target(after_order_id: str = "") -> str:
    """A page of what works, oldest first, every leg by itself."""
    query = {"status": "open", "limit": str(ORDERS_PAGE), "direction": "asc", "nested": "false"}
    if after_order_id:
        query["after_order_id"] = after_order_id
    return f"{ORDERS}?{urlencode(query)}"


def fills_target(*, after: str = "", page_token: str = "") -> str:
    """A page of executions, oldest first: those after a time, or after the activity that `page_token` is."""
    query = {"direction": "asc", "page_size": str(FILLS_PAGE)}
    if after:
        query["after"] = after
    if page_token:
        query["page_token"] = page_token
    return f"/v2/account/activities/FILL?{urlencode(query)}"


def assets_target(asset_class: str) -> str:
    """Every active asset of a class."""
    return f"/v2/assets?{urlencode({'status': 'active', 'asset_class': asset_class})}"


def asset_target(symbol: str) -> str:
    """One asset."""
    return f"/v2/assets/{quote(symbol, safe='')}"


def latest_target(symbols: Sequence[str], *, crypto: bool, feed: str, what: str) -> str:
    """The latest `quotes`, `trades` or, for crypto, `orderbooks` of some symbols."""
    query = {"symbols": ",".join(symbols)}
    if crypto:
        return f"/v1beta3/crypto/us/latest/{what}?{urlencode(query)}"
    return f"/v2/stocks/{what}/latest?{urlencode(query | {'feed': feed})}"


# Orders


def _terms(spec: OrderSpec) -> dict[str, Any]:
    assert spec.quantity is not None or spec.quote_quantity is not None
    body: dict[str, Any] = {
        "symbol": spec.symbol,
        "side": "buy" if spec.side is Side.BUY else "sell",
        "type": TYPE_WORDS[spec.type],
        "time_in_force": FORCE_WORDS[spec.time_in_force],
    }
    if spec.quote_quantity is not None:
        body["notional"] = written(spec.quote_quantity)
    elif spec.quantity is not None:
        body["qty"] = written(spec.quantity)
    prices = {
        "limit_price": spec.limit_price,
        "stop_price": spec.stop_price,
        "trail_price": spec.trail_amount,
        "trail_percent": spec.trail_percent,
    }
    body |= {name: written(price) for name, price in prices.items() if price is not None}
    if spec.extended_hours:
        body["extended_hours"] = True
    return body


def place_body(spec: OrderSpec, venue_id: str) -> bytes:
    """A single order."""
    return dump(_terms(spec) | {"client_order_id": venue_id})


def group_body(group: OrderGroup, venue_id: str) -> bytes:
    """Linked orders in one request: `parent_of` the group with its legs inside. Legs have no client order id."""
    parent = parent_of(group)
    body = _terms(parent.spec)
    legs = [order for order in group.orders if order is not parent]
    if group.kind is GroupKind.OCO:
        # The limit order of an OCO is told as its own take_profit.
        del body["limit_price"]
        legs = [parent, *legs]
        body["order_class"] = "oco"
    else:
        body["order_class"] = "bracket" if len(legs) > 1 else "oto"
    for leg in legs:
        if leg.spec.type is OrderType.LIMIT:
            assert leg.spec.limit_price is not None
            body["take_profit"] = {"limit_price": written(leg.spec.limit_price)}
        else:
            assert leg.spec.stop_price is not None
            body["stop_loss"] = {"stop_price": written(leg.spec.stop_price)}
            if leg.spec.limit_price is not None:
                body["stop_loss"]["limit_price"] = written(leg.spec.limit_price)
    return dump(body | {"client_order_id": venue_id})


def parent_of(group: OrderGroup) -> Order:
    """The order that the group is sent as: a bracket's entry, an OCO's limit order."""
    if group.kind is GroupKind.OCO:
        return next(order for order in group.orders if order.spec.type is OrderType.LIMIT)
    return group.orders[0]


def replace_body(order: Order, spec: OrderSpec, venue_id: str) -> bytes:
    """A change of a working order: its terms as they shall be. `qty` is the new total, what is filled included, and is
    left out where it stays, since a fractional order's cannot be changed."""
    body: dict[str, Any] = {"client_order_id": venue_id}
    if spec.quantity is not None and spec.quantity != order.quantity:
        body["qty"] = written(spec.quantity)
    trail = spec.trail_amount if spec.trail_amount is not None else spec.trail_percent
    prices = {"limit_price": spec.limit_price, "stop_price": spec.stop_price, "trail": trail}
    body |= {name: written(price) for name, price in prices.items() if price is not None}
    if spec.time_in_force is not order.spec.time_in_force:
        body["time_in_force"] = FORCE_WORDS[spec.time_in_force]
    return dump(body)


# Streams


def authenticate_frame(key: str, secret: str) -> str:
    """The first frame of the trading stream."""
    return dump({"action": "authenticate", "data": {"key_id": key, "secret_key": secret}}).decode()


LISTEN_FRAME = dump({"action": "listen", "data": {"streams": ["trade_updates"]}}).decode()
"""Asks for the account's updates; asked again it is answered again, which shows that the stream lives."""


def data_auth_frame(key: str, secret: str) -> str:
    """The first frame of a market data stream."""
    return dump({"action": "auth", "key": key, "secret": secret}).decode()


def data_subscribe_frame(action: str, symbols: Iterable[str], *, crypto: bool) -> str:
    """`subscribe` or `unsubscribe`: quotes and trades, and for crypto the order book. Answered with all that is
    subscribed to."""
    listed = sorted(symbols)
    body: dict[str, Any] = {"action": action, "trades": listed, "quotes": listed}
    return dump(body | ({"orderbooks": listed} if crypto else {})).decode()
