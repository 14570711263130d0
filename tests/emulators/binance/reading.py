"""What can be read of the account (rest-api.md, account-endpoints)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.emulators.binance.errors import ApiError
from tests.emulators.binance.exchange import MAKER_RATE, TAKER_RATE, Exchange
from tests.emulators.binance.limits import Window
from tests.emulators.binance.parameters import Parameters
from tests.emulators.binance.showing import commission, queried, trade_row
from tests.emulators.binance.symbols import eight
from tests.emulators.orders import Execution, VenueOrderState

DAY_MS = 86_400_000
_TOO_LONG = "More than 24 hours between startTime and endTime."
_COMBINATIONS = {
    frozenset(names.split())
    for names in ("", "orderId", "startTime", "endTime", "fromId", "startTime endTime", "orderId fromId")
}
UID = 354937868


class Reading:
    """See the module."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def ping(self, parameters: Parameters) -> dict[str, Any]:
        """GET ping."""
        parameters.finish()
        return {}

    def time(self, parameters: Parameters) -> dict[str, Any]:
        """GET time."""
        parameters.finish()
        return {"serverTime": self._exchange.clock.shown_ms()}

    def exchange_info(self, parameters: Parameters) -> dict[str, Any]:
        """GET exchangeInfo, of all symbols or of some."""
        exchange = self._exchange
        one = parameters.matching("symbol", r"^[A-Z0-9-_.]{1,20}$")
        some = parameters.names("symbols")
        state = parameters.text("symbolStatus")
        parameters.ignore("permissions", "showPermissionSets")
        parameters.finish()
        if (one is not None) + (some is not None) + (state is not None) > 1:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        names = [one] if one is not None else some or list(exchange.symbols)
        shown = [exchange.symbol(name).shown() for name in names]
        limits = exchange.limits
        windows: list[Window] = [limits.weight, *limits.orders, limits.raw]
        return {
            "timezone": "UTC",
            "serverTime": exchange.clock.shown_ms(),
            "rateLimits": [window.shown(used=False) for window in windows],
            "exchangeFilters": [],
            "symbols": [symbol for symbol in shown if state in (None, symbol["status"])],
        }

    def account(self, parameters: Parameters) -> dict[str, Any]:
        """GET account."""
        core = self._exchange.core
        without_zeros = parameters.flag("omitZeroBalances")
        parameters.finish()
        balances = self.balances(list(core.totals))
        if without_zeros:
            balances = [row for row in balances if Decimal(row["free"]) or Decimal(row["locked"])]
        rates = {"maker": eight(MAKER_RATE), "taker": eight(TAKER_RATE)}
        return {
            "makerCommission": 10,
            "takerCommission": 10,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": rates | {"buyer": eight(Decimal(0)), "seller": eight(Decimal(0))},
            "canTrade": not self._exchange.disabled,
            "canWithdraw": True,
            "canDeposit": True,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": self._exchange.now_ns // 1_000_000,
            "accountType": "SPOT",
            "balances": balances,
            "permissions": ["SPOT"],
            "uid": UID,
        }

    def balances(self, currencies: list[str]) -> list[dict[str, str]]:
        """Balances as account shows them."""
        core = self._exchange.core
        return [
            {"asset": currency, "free": eight(core.free(currency)), "locked": eight(core.locked(currency))}
            for currency in currencies
        ]

    def commission(self, parameters: Parameters) -> dict[str, Any]:
        """GET account/commission."""
        symbol = self._exchange.symbol(parameters.symbol())
        parameters.finish()
        zero = commission(Decimal(0))
        return {
            "symbol": symbol.name,
            "standardCommission": zero | {"maker": eight(MAKER_RATE), "taker": eight(TAKER_RATE)},
            "specialCommission": zero,
            "taxCommission": zero,
            "discount": {
                "enabledForAccount": False,
                "enabledForSymbol": False,
                "discountAsset": "BNB",
                "discount": eight(Decimal(0)),
            },
        }

    def filters(self, parameters: Parameters) -> dict[str, Any]:
        """GET myFilters: there are none of the account alone."""
        self._exchange.symbol(parameters.symbol())
        parameters.finish()
        return {"exchangeFilters": [], "symbolFilters": [], "assetFilters": []}

    def order_limits(self, parameters: Parameters) -> list[dict[str, Any]]:
        """GET rateLimit/order."""
        parameters.finish()
        return [window.shown(used=True) for window in self._exchange.limits.orders]

    def open_orders(self, parameters: Parameters) -> list[dict[str, Any]]:
        """GET openOrders, of one symbol or of all."""
        symbol = self._symbol(parameters)
        parameters.finish()
        found = self._exchange.open_orders(symbol)
        return [queried(order) for order in found if self._exchange.visible(order.created_ns)]

    def all_orders(self, parameters: Parameters) -> list[dict[str, Any]]:
        """GET allOrders: from an id on, or of at most 24 hours, else the latest."""
        exchange = self._exchange
        symbol = exchange.symbol(parameters.symbol())
        first = parameters.integer("orderId")
        start, end = parameters.integer("startTime"), parameters.integer("endTime")
        limit = parameters.limit()
        parameters.finish()
        _check_span(start, end)
        found: list[VenueOrderState] = [
            order for order in exchange.core.orders_of(symbol.name) if exchange.visible(order.created_ns)
        ]
        if first is not None:
            return [queried(order) for order in found if order.number >= first][:limit]
        if start is not None or end is not None:
            start, end = _span(start, end)
            found = [order for order in found if start <= order.created_ns // 1_000_000 <= end]
            return [queried(order) for order in found[:limit]]
        return [queried(order) for order in found[-limit:]]

    def my_trades(self, parameters: Parameters) -> list[dict[str, Any]]:
        """GET myTrades: only these combinations of parameters are known, and of time at most 24 hours."""
        exchange = self._exchange
        symbol = exchange.symbol(parameters.symbol())
        order_id = parameters.integer("orderId")
        start, end = parameters.integer("startTime"), parameters.integer("endTime")
        first = parameters.integer("fromId")
        limit = parameters.limit()
        sent = {name for name in ("orderId", "startTime", "endTime", "fromId") if parameters.has(name)}
        parameters.finish()
        if sent not in _COMBINATIONS:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        _check_span(start, end)
        name = exchange.core.instrument(symbol.name).symbol
        found: list[Execution] = [
            execution
            for execution in exchange.core.executions
            if execution.order.spec.symbol == name
            and order_id in (None, execution.order.number)
            and exchange.visible(execution.time_ns)
        ]
        if first is not None:
            found = [execution for execution in found if execution.trade >= first][:limit]
        elif start is not None or end is not None:
            latest = start is None
            start, end = _span(start, end)
            found = [execution for execution in found if start <= execution.time_ns // 1_000_000 <= end]
            found = found[-limit:] if latest else found[:limit]
        else:
            found = found[:limit] if order_id is not None else found[-limit:]
        return [trade_row(execution) for execution in found]

    def _symbol(self, parameters: Parameters) -> str | None:
        if not parameters.has("symbol"):
            return None
        return self._exchange.symbol(parameters.symbol()).name


def _check_span(start: int | None, end: int | None) -> None:
    if start is None or end is None:
        return
    if end < start:
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    if end - start > DAY_MS:
        raise ApiError(-1127, _TOO_LONG)


def _span(start: int | None, end: int | None) -> tuple[int, int]:
    """The 24 hours that one bound alone means."""
    if start is None:
        assert end is not None
        return end - DAY_MS, end
    return start, start + DAY_MS if end is None else end
