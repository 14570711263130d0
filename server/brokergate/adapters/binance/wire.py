"""Requests to Binance: parameters, signatures, targets and frames. Pure.

Sources: rest-api.md, web-socket-api.md and web-socket-streams.md of binance/binance-spot-api-docs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import quote, urlencode

import orjson

from brokergate.adapters.binance.signing import Signer
from brokergate.domain.money import format_decimal, is_multiple, multiply, normal
from brokergate.domain.orders import OrderSpec, OrderType, SelfTradePrevention, Side, TimeInForce
from brokergate.resilience.lanes import Lane

Params = Sequence[tuple[str, str]]

API_KEY_HEADER = "X-MBX-APIKEY"
FORM = "application/x-www-form-urlencoded"
CLIENT_ID_LENGTH = 36
"""Of `newClientOrderId`, which is `[a-zA-Z0-9-_]`."""
BASIS_POINT_PERCENT = Decimal("0.01")
"""`trailingDelta` counts hundredths of a per cent."""

TYPES: Mapping[OrderType, str] = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.STOP: "STOP_LOSS",
    OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT",
    OrderType.MARKET_IF_TOUCHED: "TAKE_PROFIT",
    OrderType.LIMIT_IF_TOUCHED: "TAKE_PROFIT_LIMIT",
    OrderType.TRAILING_STOP: "STOP_LOSS",
}
FORCES: Mapping[TimeInForce, str] = {
    TimeInForce.GTC: "GTC",
    TimeInForce.IOC: "IOC",
    TimeInForce.FOK: "FOK",
}
PREVENTIONS: Mapping[SelfTradePrevention, str] = {
    SelfTradePrevention.CANCEL_TAKER: "EXPIRE_TAKER",
    SelfTradePrevention.CANCEL_MAKER: "EXPIRE_MAKER",
    SelfTradePrevention.CANCEL_BOTH: "EXPIRE_BOTH",
}
_PRICED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED})


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the REST API. `weight` is of REQUEST_WEIGHT; `orders` what it adds to the count of orders."""

    method: str
    path: str
    params: Params = ()
    signed: bool = True
    weight: int = 1
    orders: int = 0
    lane: Lane = Lane.QUERY

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once: a question, or a cancel."""
        return self.method == "GET" or self.lane.cancels


def number(value: Decimal) -> str:
    """A price or quantity as it is sent: plain, without zeros at the end."""
    return format_decimal(normal(value))


def encode(params: Params) -> str:
    """Percent-encoded as it is signed and sent: a payload that is encoded later is refused (-1022)."""
    return urlencode(params, quote_via=quote, safe="")


def signed_query(params: Params, timestamp_ms: int, recv_window_ms: int, signer: Signer) -> str:
    """The encoded parameters with their time and signature."""
    timed = encode([*params, ("recvWindow", str(recv_window_ms)), ("timestamp", str(timestamp_ms))])
    return f"{timed}&signature={quote(signer.sign(timed.encode('ascii')), safe='')}"


def signed_params(
    params: Mapping[str, str | int], timestamp_ms: int, recv_window_ms: int, signer: Signer
) -> dict[str, str | int]:
    """The parameters of a signed request of the WebSocket API: signed in the order of their names, unencoded."""
    whole: dict[str, str | int] = {
        **params,
        "apiKey": signer.api_key.get_secret_value(),
        "recvWindow": recv_window_ms,
        "timestamp": timestamp_ms,
    }
    payload = "&".join(f"{name}={whole[name]}" for name in sorted(whole))
    whole["signature"] = signer.sign(payload.encode())
    return whole


def frame(request_id: str, method: str, params: Mapping[str, str | int] | None = None) -> str:
    """A request of the WebSocket API."""
    message: dict[str, object] = {"id": request_id, "method": method}
    if params:
        message["params"] = params
    return orjson.dumps(message).decode()


def stream_frame(number_: int, method: str, streams: Sequence[str]) -> str:
    """SUBSCRIBE or UNSUBSCRIBE of public market streams."""
    return orjson.dumps({"method": method, "params": list(streams), "id": number_}).decode()


# Orders


def order_params(symbol: str, spec: OrderSpec, quantity: Decimal, client_id: str) -> list[tuple[str, str]]:
    """What an order asks for. `symbol` is Binance's; `quantity` what is still to be bought or sold. `ValueError` with
    words for what Binance has not."""
    params = [("symbol", symbol), ("side", _side(spec.side)), ("type", _type(spec))]
    if spec.type in _PRICED and not spec.post_only:
        params.append(("timeInForce", FORCES[spec.time_in_force]))
    if spec.quote_quantity is not None:
        params.append(("quoteOrderQty", number(spec.quote_quantity)))
    else:
        params.append(("quantity", number(quantity)))
    params += _prices(spec)
    if spec.display_quantity is not None:
        params.append(("icebergQty", number(spec.display_quantity)))
    prevention = PREVENTIONS.get(spec.self_trade_prevention)
    if prevention is not None:
        params.append(("selfTradePreventionMode", prevention))
    return [*params, ("newClientOrderId", client_id), ("newOrderRespType", "FULL")]


def _side(side: Side) -> str:
    return "BUY" if side is Side.BUY else "SELL"


def _type(spec: OrderSpec) -> str:
    if spec.post_only:
        if spec.type is not OrderType.LIMIT:
            raise ValueError(f"Binance has post_only for LIMIT orders alone, not for {spec.type.name}")
        return "LIMIT_MAKER"
    return TYPES[spec.type]


def _prices(spec: OrderSpec) -> list[tuple[str, str]]:
    params = []
    if spec.limit_price is not None:
        params.append(("price", number(spec.limit_price)))
    if spec.stop_price is not None:
        params.append(("stopPrice", number(spec.stop_price)))
    if spec.type is OrderType.TRAILING_STOP:
        params.append(("trailingDelta", trailing_delta(spec)))
    return params


def trailing_delta(spec: OrderSpec) -> str:
    """How far a stop follows, in hundredths of a per cent. `ValueError` for a distance that is none."""
    if spec.trail_percent is None:
        raise ValueError("Binance follows the price by a share of it alone; give trail_percent")
    if not is_multiple(spec.trail_percent, BASIS_POINT_PERCENT):
        raise ValueError("Binance follows the price in steps of 0.01 %; give a trail_percent of two places")
    return number(multiply(spec.trail_percent, Decimal(100)))


def _leg(prefix: str, spec: OrderSpec, client_id: str) -> list[tuple[str, str]]:
    """One order of a list: what is its own, under the names that begin with `prefix`."""
    kind = "LIMIT_MAKER" if spec.type is OrderType.LIMIT else TYPES[spec.type]
    if spec.type is OrderType.MARKET:
        raise ValueError("Binance links no MARKET order; give it a price or a stop_price")
    params = [(f"{prefix}Type", kind), (f"{prefix}ClientOrderId", client_id)]
    names = {"price": "Price", "stopPrice": "StopPrice", "trailingDelta": "TrailingDelta"}
    params += [(prefix + names[name], text) for name, text in _prices(spec)]
    if spec.type in (OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED):
        params.append((f"{prefix}TimeInForce", FORCES[spec.time_in_force]))
    if spec.display_quantity is not None:
        params.append((f"{prefix}IcebergQty", number(spec.display_quantity)))
    return params


def _above(side: Side, specs: Sequence[OrderSpec]) -> int:
    """Which of the two closing orders stands above the market: the stop of a purchase, the profit of a sale."""
    stops = [spec.type in (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP) for spec in specs]
    if stops[0] == stops[1]:
        raise ValueError("Binance links a stop with an order that takes a profit; give one of each")
    return stops.index(side is Side.BUY)


def _common(spec: OrderSpec, prefix: str = "") -> list[tuple[str, str]]:
    name = f"{prefix}Side" if prefix else "side"
    return [(name, _side(spec.side))]


def oco_params(
    symbol: str, list_id: str, legs: Sequence[tuple[OrderSpec, str]], quantity: Decimal
) -> list[tuple[str, str]]:
    """Two orders of which one cancels the other; each with its client id. `ValueError` for other numbers or kinds."""
    if len(legs) != 2:
        raise ValueError(f"Binance links two orders, not {len(legs)}")
    (first, _), _ = legs
    above = _above(first.side, [spec for spec, _ in legs])
    params = [("symbol", symbol), ("listClientOrderId", list_id), *_common(first)]
    params.append(("quantity", number(quantity)))
    params += _leg("above", *legs[above]) + _leg("below", *legs[1 - above])
    return [*params, *_prevention(first), ("newOrderRespType", "FULL")]


def bracket_params(
    symbol: str,
    list_id: str,
    entry: tuple[OrderSpec, str],
    legs: Sequence[tuple[OrderSpec, str]],
    quantity: Decimal,
) -> tuple[str, list[tuple[str, str]]]:
    """The kind of list (`oto` for one leg, `otoco` for two) and its parameters. `ValueError` for an entry that Binance
    does not take."""
    spec, client_id = entry
    if spec.type is not OrderType.LIMIT:
        raise ValueError("Binance takes a LIMIT order alone as the entry of a bracket; give it a limit_price")
    params = [("symbol", symbol), ("listClientOrderId", list_id)]
    params += [("workingType", "LIMIT_MAKER" if spec.post_only else "LIMIT"), *_common(spec, "working")]
    params += [("workingClientOrderId", client_id), ("workingQuantity", number(quantity))]
    assert spec.limit_price is not None
    params.append(("workingPrice", number(spec.limit_price)))
    if not spec.post_only:
        params.append(("workingTimeInForce", FORCES[spec.time_in_force]))
    if spec.display_quantity is not None:
        params.append(("workingIcebergQty", number(spec.display_quantity)))
    closing = legs[0][0]
    params += [*_common(closing, "pending"), ("pendingQuantity", number(quantity))]
    end = [*_prevention(spec), ("newOrderRespType", "FULL")]
    if len(legs) == 1:
        return "oto", [*params, *_pending_alone(*legs[0]), *end]
    above = _above(closing.side, [leg for leg, _ in legs])
    params += _leg("pendingAbove", *legs[above]) + _leg("pendingBelow", *legs[1 - above])
    return "otoco", [*params, *end]


def _pending_alone(spec: OrderSpec, client_id: str) -> list[tuple[str, str]]:
    """The one closing order of a list of two, which may be a plain LIMIT."""
    params = _leg("pending", spec, client_id)
    if spec.type is OrderType.LIMIT and not spec.post_only:
        params[0] = ("pendingType", "LIMIT")
        params.append(("pendingTimeInForce", FORCES[spec.time_in_force]))
    return params


def _prevention(spec: OrderSpec) -> list[tuple[str, str]]:
    prevention = PREVENTIONS.get(spec.self_trade_prevention)
    return [] if prevention is None else [("selfTradePreventionMode", prevention)]


# Requests


def place(params: Params) -> Request:
    """A new order."""
    return Request("POST", "/api/v3/order", params, orders=1, lane=Lane.NEW)


def place_list(kind: str, params: Params, orders: int) -> Request:
    """Linked orders; `kind` is oco, oto or otoco."""
    return Request("POST", f"/api/v3/orderList/{kind}", params, orders=orders, lane=Lane.NEW)


def test(params: Params) -> Request:
    """Whether placing would be refused by what is looked at before the matching engine; places nothing."""
    return Request("POST", "/api/v3/order/test", params)


def cancel(symbol: str, broker_id: str, client_id: str, own_id: str = "") -> Request:
    """A cancel by Binance's number where there is one, else by the client id. `own_id` names the cancel."""
    params = [("symbol", symbol), _name(broker_id, client_id)]
    if own_id:
        params.append(("newClientOrderId", own_id))
    return Request("DELETE", "/api/v3/order", params, lane=Lane.CANCEL)


def cancel_all(symbol: str) -> Request:
    """A cancel of all that is open in one symbol; there is none for the account. It goes before all else."""
    return Request("DELETE", "/api/v3/openOrders", [("symbol", symbol)], lane=Lane.CANCEL_EMERGENCY)


def cancel_replace(broker_id: str, params: Params, own_id: str) -> Request:
    """Cancels an order of which nothing has filled, and places `params` in its stead; nothing where it has filled."""
    more = [
        ("cancelReplaceMode", "STOP_ON_FAILURE"),
        ("cancelRestrictions", "ONLY_NEW"),
        ("cancelOrderId", broker_id),
        ("cancelNewClientOrderId", own_id),
    ]
    return Request("POST", "/api/v3/order/cancelReplace", [*params, *more], orders=1, lane=Lane.NEW)


def amend(symbol: str, broker_id: str, quantity: Decimal, client_id: str) -> Request:
    """Makes a working order smaller; it keeps its place in the queue."""
    params = [("symbol", symbol), ("orderId", broker_id), ("newQty", number(quantity))]
    params.append(("newClientOrderId", client_id))
    return Request("PUT", "/api/v3/order/amend/keepPriority", params, weight=4, lane=Lane.NEW)


def get_order(symbol: str, broker_id: str, client_id: str) -> Request:
    """One order."""
    return Request("GET", "/api/v3/order", [("symbol", symbol), _name(broker_id, client_id)], weight=4)


def open_orders() -> Request:
    """All open orders of the account."""
    return Request("GET", "/api/v3/openOrders", weight=80)


def my_trades(symbol: str, *, limit: int = 1000, **bounds: int) -> Request:
    """The account's executions in one symbol; `bounds` are fromId, startTime, endTime."""
    params = [("symbol", symbol), *((name, str(bound)) for name, bound in bounds.items())]
    return Request("GET", "/api/v3/myTrades", [*params, ("limit", str(limit))], weight=20)


def account() -> Request:
    """Balances and permissions; of the balances those that are not zero."""
    return Request("GET", "/api/v3/account", [("omitZeroBalances", "true")], weight=20)


def exchange_info() -> Request:
    """Instruments and limits."""
    params = [("permissions", "SPOT"), ("showPermissionSets", "false")]
    return Request("GET", "/api/v3/exchangeInfo", params, signed=False, weight=20)


def server_time() -> Request:
    """The venue's time."""
    return Request("GET", "/api/v3/time", signed=False)


def book_tickers() -> Request:
    """The best prices of all symbols."""
    return Request("GET", "/api/v3/ticker/bookTicker", signed=False, weight=4)


def depth(symbol: str, limit: int = 1000) -> Request:
    """A book. Its weight is 5 up to 100 levels, 25 up to 500, 50 up to 1000."""
    weight = 5 if limit <= 100 else 25 if limit <= 500 else 50
    params = [("symbol", symbol), ("limit", str(limit))]
    return Request("GET", "/api/v3/depth", params, signed=False, weight=weight)


def _name(broker_id: str, client_id: str) -> tuple[str, str]:
    return ("orderId", broker_id) if broker_id else ("origClientOrderId", client_id)
