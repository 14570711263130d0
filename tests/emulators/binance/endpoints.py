"""What the venue can be asked, over REST and the WebSocket API alike: security, weight, and who answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tests.emulators.binance.lists import ListExchange
from tests.emulators.binance.market import PublicMarket
from tests.emulators.binance.parameters import Parameters
from tests.emulators.binance.reading import Reading

Weight = int | Callable[[Parameters], int]


class Security(Enum):
    """Who may ask (rest-api.md, "Request security")."""

    NONE = "none"
    USER_DATA = "user_data"
    TRADE = "trade"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing that can be asked."""

    rest: str
    """`POST /api/v3/order`; empty where only the WebSocket API has it."""
    method: str
    """`order.place`; empty where only REST has it."""
    kind: str
    """What faults call it, the same for every venue."""
    security: Security
    weight: Weight
    answer: Callable[[Parameters], Any]
    free: bool = False
    """Whether it costs its weight only where it fails (since 2026-04-02)."""
    orders: bool = False
    """Whether the answer tells how many orders have not filled."""


def endpoints(exchange: ListExchange) -> list[Endpoint]:
    """All of them."""
    reading = Reading(exchange)
    none, read, trade = Security.NONE, Security.USER_DATA, Security.TRADE
    return [
        Endpoint("GET /api/v3/ping", "ping", "ping", none, 1, reading.ping),
        Endpoint("GET /api/v3/time", "time", "time", none, 1, reading.time),
        Endpoint("GET /api/v3/exchangeInfo", "exchangeInfo", "instruments", none, 20, reading.exchange_info),
        Endpoint(
            "POST /api/v3/order", "order.place", "place", trade, 1, exchange.place, free=True, orders=True
        ),
        Endpoint(
            "POST /api/v3/order/test",
            "order.test",
            "preview",
            trade,
            lambda parameters: 20 if parameters.sent.get("computeCommissionRates") == "true" else 1,
            exchange.test,
        ),
        Endpoint("GET /api/v3/order", "order.status", "find_order", read, 4, exchange.query),
        Endpoint("DELETE /api/v3/order", "order.cancel", "cancel", trade, 1, exchange.cancel, free=True),
        Endpoint(
            "DELETE /api/v3/openOrders",
            "openOrders.cancelAll",
            "cancel_all",
            trade,
            1,
            exchange.cancel_all,
            free=True,
        ),
        Endpoint(
            "POST /api/v3/order/cancelReplace",
            "order.cancelReplace",
            "replace",
            trade,
            1,
            exchange.cancel_replace,
            free=True,
            orders=True,
        ),
        Endpoint(
            "PUT /api/v3/order/amend/keepPriority",
            "order.amend.keepPriority",
            "amend",
            trade,
            4,
            exchange.amend,
        ),
        Endpoint(
            "GET /api/v3/openOrders",
            "openOrders.status",
            "open_orders",
            read,
            lambda parameters: 6 if "symbol" in parameters.sent else 80,
            reading.open_orders,
        ),
        Endpoint("GET /api/v3/allOrders", "allOrders", "all_orders", read, 20, reading.all_orders),
        Endpoint(
            "GET /api/v3/myTrades",
            "myTrades",
            "fills",
            read,
            lambda parameters: 5 if "orderId" in parameters.sent else 20,
            reading.my_trades,
        ),
        Endpoint("GET /api/v3/account", "account.status", "account", read, 20, reading.account),
        Endpoint(
            "GET /api/v3/account/commission",
            "account.commission",
            "commission",
            read,
            20,
            reading.commission,
        ),
        Endpoint("GET /api/v3/myFilters", "myFilters", "filters", read, 40, reading.filters),
        Endpoint(
            "GET /api/v3/rateLimit/order",
            "account.rateLimits.orders",
            "limits",
            read,
            40,
            reading.order_limits,
        ),
    ]


def list_endpoints(exchange: ListExchange) -> list[Endpoint]:
    """Those of order lists."""
    read, trade = Security.USER_DATA, Security.TRADE
    placing = [
        ("oco", exchange.place_oco),
        ("oto", exchange.place_oto),
        ("otoco", exchange.place_otoco),
    ]
    return [
        *[
            Endpoint(
                f"POST /api/v3/orderList/{kind}",
                f"orderList.place.{kind}",
                "place",
                trade,
                1,
                place,
                free=True,
                orders=True,
            )
            for kind, place in placing
        ],
        Endpoint(
            "DELETE /api/v3/orderList",
            "orderList.cancel",
            "cancel",
            trade,
            1,
            exchange.cancel_list,
            free=True,
        ),
        Endpoint("GET /api/v3/orderList", "orderList.status", "find_list", read, 4, exchange.query_list),
        Endpoint(
            "GET /api/v3/openOrderList", "openOrderLists.status", "open_lists", read, 6, exchange.open_lists
        ),
        Endpoint("GET /api/v3/allOrderList", "allOrderLists", "all_lists", read, 20, exchange.all_lists),
    ]


def market_endpoints(market: PublicMarket) -> list[Endpoint]:
    """Those of the public market."""
    none = Security.NONE
    return [
        Endpoint("GET /api/v3/depth", "depth", "book", none, _depth_weight, market.depth),
        Endpoint("GET /api/v3/trades", "trades.recent", "market", none, 25, market.trades),
        Endpoint("GET /api/v3/aggTrades", "trades.aggregate", "market", none, 4, market.agg_trades),
        Endpoint("GET /api/v3/klines", "klines", "market", none, 2, market.klines),
        Endpoint("GET /api/v3/avgPrice", "avgPrice", "market", none, 2, market.average),
        Endpoint(
            "GET /api/v3/ticker/bookTicker", "ticker.book", "market", none, _ticker_weight, market.book_ticker
        ),
        Endpoint("GET /api/v3/ticker/price", "ticker.price", "market", none, _ticker_weight, market.price),
    ]


def _depth_weight(parameters: Parameters) -> int:
    limit = parameters.sent.get("limit", "100")
    wanted = int(limit) if limit.isdecimal() else 100
    return next(weight for most, weight in ((100, 5), (500, 25), (1000, 50), (10**30, 250)) if wanted <= most)


def _ticker_weight(parameters: Parameters) -> int:
    return 2 if "symbol" in parameters.sent else 4
