"""The REST endpoints: which there are, and what each answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.emulators.alpaca.assets import Asset
from tests.emulators.alpaca.held import Held
from tests.emulators.alpaca.hours import trading_days
from tests.emulators.alpaca.market import orderbook, quote, sides, trade
from tests.emulators.alpaca.numbers import moment_ns, number, text, utc
from tests.emulators.alpaca.refusal import invalid, not_found, unprocessable
from tests.emulators.core import VenueCore

if TYPE_CHECKING:
    from tests.emulators.alpaca.venue import Alpaca

MOST_ORDERS = 500
USUAL_ORDERS = 50


@dataclass(frozen=True, slots=True)
class Call:
    """A request to an endpoint: the parts of its path, its query and its body."""

    parts: tuple[str, ...]
    query: Mapping[str, str]
    body: Any
    now_ns: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint. `kind` is what faults and the log call it; `data` whether the data host has it."""

    method: str
    path: str
    kind: str
    do: Callable[[Rest, Call], tuple[int, Any]]
    data: bool = False

    @property
    def name(self) -> str:
        """As the log has it."""
        return f"{self.method} {self.path}"

    def match(self, method: str, segments: list[str]) -> tuple[str, ...] | None:
        """The parts of a path that stand for `{}`; None where it is another endpoint's."""
        pattern = self.path.split("/")
        if method != self.method or len(segments) != len(pattern):
            return None
        pairs = list(zip(pattern, segments, strict=True))
        if any(wanted not in ("{}", given) for wanted, given in pairs):
            return None
        return tuple(unquote(given) for wanted, given in pairs if wanted == "{}")


class Rest:
    """What each endpoint does. Each method gives (status, body); a body of None is no body."""

    def __init__(self, emulator: Alpaca) -> None:
        self._emulator = emulator

    # The account

    def account(self, call: Call) -> tuple[int, Any]:
        """`GET /v2/account`. Fields of pattern day trading are gone since 2026-07-06."""
        desk, flags = self._emulator.desk, self._emulator.desk.flags
        figures = desk.holdings.figures(desk.floor.open)
        money = {
            "buying_power": figures.buying_power,
            "regt_buying_power": figures.buying_power,
            "non_marginable_buying_power": figures.non_marginable,
            "options_buying_power": figures.non_marginable,
            "cash": figures.cash,
            "accrued_fees": Decimal(0),
            "portfolio_value": figures.equity,
            "equity": figures.equity,
            "last_equity": figures.equity,
            "long_market_value": figures.long_value,
            "short_market_value": figures.short_value,
            "position_market_value": figures.long_value - figures.short_value,
            "initial_margin": figures.initial_margin,
            "maintenance_margin": figures.maintenance_margin,
            "last_maintenance_margin": figures.maintenance_margin,
            "sma": figures.equity,
        }
        return 200, {
            "id": desk.account_id,
            "account_number": "PA3EMULATOR",
            "status": flags.status,
            "crypto_status": "ACTIVE",
            "currency": "USD",
            **{name: text(amount.quantize(Decimal("1e-9"))) for name, amount in money.items()},
            "multiplier": str(desk.holdings.multiplier),
            "created_at": utc(desk.created_ns),
            "trading_blocked": flags.trading_blocked,
            "transfers_blocked": flags.transfers_blocked,
            "account_blocked": flags.account_blocked,
            "trade_suspended_by_user": flags.trade_suspended_by_user,
            "shorting_enabled": flags.shorting_enabled and desk.holdings.multiplier > 1,
            "options_approved_level": 0,
            "options_trading_level": 0,
        }

    def configurations(self, call: Call) -> tuple[int, Any]:
        """`GET /v2/account/configurations`."""
        desk = self._emulator.desk
        return 200, {
            "fractional_trading": desk.flags.fractional_trading,
            "max_margin_multiplier": str(desk.holdings.multiplier),
            "no_shorting": not desk.flags.shorting_enabled,
            "suspend_trade": desk.flags.trade_suspended_by_user,
            "trade_confirm_email": "all",
            "ptp_no_exception_entry": False,
            "max_options_trading_level": None,
        }

    def configure(self, call: Call) -> tuple[int, Any]:
        """`PATCH /v2/account/configurations`."""
        desk, body = self._emulator.desk, call.body
        if not isinstance(body, dict):
            raise invalid("request body format is invalid")
        desk.flags.fractional_trading = bool(body.get("fractional_trading", desk.flags.fractional_trading))
        desk.flags.shorting_enabled = not body.get("no_shorting", not desk.flags.shorting_enabled)
        suspended = body.get("suspend_trade", desk.flags.trade_suspended_by_user)
        desk.flags.trade_suspended_by_user = bool(suspended)
        multiplier = number(body.get("max_margin_multiplier", desk.holdings.multiplier))
        if multiplier not in (1, 2):
            raise unprocessable("max_margin_multiplier must be 1 or 2")
        desk.holdings.multiplier = int(multiplier)
        return self.configurations(call)

    def activities(self, call: Call) -> tuple[int, Any]:
        """`GET /v2/account/activities[/{type}]`."""
        given = call.parts[0] if call.parts else call.query.get("activity_types", "")
        kinds = {kind.strip().upper() for kind in given.split(",") if kind.strip()} or None
        return 200, self._emulator.desk.floor.activities.page(call.query, kinds, call.now_ns)

    # Orders

    def place(self, call: Call) -> tuple[int, Any]:
        """`POST /v2/orders`."""
        return 200, self._emulator.desk.place(call.body, call.now_ns)

    def orders(self, call: Call) -> tuple[int, Any]:
        """`GET /v2/orders`."""
        floor, query = self._emulator.desk.floor, call.query
        nested = query.get("nested", "false").lower() == "true"
        limit = number(query.get("limit", str(USUAL_ORDERS)))
        if limit is None or not 0 < limit <= MOST_ORDERS:
            raise unprocessable(f"limit must be between 1 and {MOST_ORDERS}")
        direction = _one_of(query, "direction", ("desc", "asc"))
        status = _one_of(query, "status", ("open", "closed", "all"))
        orders = floor.open if status == "open" else floor.orders
        chosen = _between([order for order in orders if _chosen(order, query)], query)
        if nested:
            # A leg stands in its parent where that is listed, else for itself.
            listed = set(chosen)
            chosen = [order for order in chosen if order.parent not in listed]
        if direction == "desc":
            chosen.reverse()
        return 200, [floor.shape(order, nested=nested) for order in chosen[: int(limit)]]

    def cancel_all(self, call: Call) -> tuple[int, Any]:
        """`DELETE /v2/orders`."""
        return 207, self._emulator.desk.cancel_all(call.now_ns)

    def order(self, call: Call) -> tuple[int, Any]:
        """`GET /v2/orders/{id}`."""
        nested = call.query.get("nested", "false").lower() == "true"
        desk = self._emulator.desk
        return 200, desk.floor.shape(desk.order(call.parts[0]), nested=nested)

    def by_client_id(self, call: Call) -> tuple[int, Any]:
        """`GET /v2/orders:by_client_order_id`."""
        name = call.query.get("client_order_id", "")
        floor = self._emulator.desk.floor
        found = floor.by_client.get(name)
        if found is None:
            raise not_found(f"order not found for {name}")
        return 200, floor.shape(found)

    def replace(self, call: Call) -> tuple[int, Any]:
        """`PATCH /v2/orders/{id}`."""
        return 200, self._emulator.desk.replace(call.parts[0], call.body, call.now_ns)

    def cancel(self, call: Call) -> tuple[int, Any]:
        """`DELETE /v2/orders/{id}`."""
        self._emulator.desk.cancel(call.parts[0], call.now_ns)
        return 204, None

    # Positions

    def positions(self, call: Call) -> tuple[int, Any]:
        """`GET /v2/positions`."""
        desk = self._emulator.desk
        return 200, [desk.position_shape(position.asset) for position in desk.holdings]

    def close_all(self, call: Call) -> tuple[int, Any]:
        """`DELETE /v2/positions`."""
        cancel = call.query.get("cancel_orders", "false").lower() == "true"
        return 207, self._emulator.desk.close_all(cancel_orders=cancel, now_ns=call.now_ns)

    def position(self, call: Call) -> tuple[int, Any]:
        """`GET /v2/positions/{symbol or id}`."""
        desk = self._emulator.desk
        return 200, desk.position_shape(desk.position(call.parts[0]))

    def close(self, call: Call) -> tuple[int, Any]:
        """`DELETE /v2/positions/{symbol or id}`."""
        return 200, self._emulator.desk.close(call.parts[0], call.query, call.now_ns)

    # Assets, clock, calendar

    def assets(self, call: Call) -> tuple[int, Any]:
        """`GET /v2/assets`."""
        wanted = [(name, call.query.get(name)) for name in ("status", "exchange")]
        wanted.append(("class", call.query.get("asset_class")))
        shapes = [asset.shape() for asset in self._emulator.assets]
        return 200, [
            shape for shape in shapes if all(value is None or shape[name] == value for name, value in wanted)
        ]

    def asset(self, call: Call) -> tuple[int, Any]:
        """`GET /v2/assets/{symbol or id}`."""
        found = self._emulator.assets.find(call.parts[0])
        if found is None:
            raise not_found(f"asset not found for {call.parts[0]}")
        return 200, found.shape()

    def clock(self, call: Call) -> tuple[int, Any]:
        """`GET /v2/clock`, by the clock that a test may have set off."""
        return 200, self._emulator.hours.clock(call.now_ns + self._emulator.clock.off_ns)

    def calendar(self, call: Call) -> tuple[int, Any]:
        """`GET /v2/calendar`."""
        try:
            first = date.fromisoformat(call.query.get("start", "2026-01-01")[:10])
            last = date.fromisoformat(call.query.get("end", "2026-12-31")[:10])
        except ValueError:
            raise unprocessable("start and end must be dates") from None
        return 200, trading_days(first, last)

    # Market data

    def stock_quotes(self, call: Call) -> tuple[int, Any]:
        """`GET /v2/stocks/quotes/latest`, `GET /v2/stocks/{symbol}/quotes/latest`."""
        return self._latest(call, "quote", _quote_of, crypto=False)

    def stock_trades(self, call: Call) -> tuple[int, Any]:
        """`GET /v2/stocks/trades/latest`, `GET /v2/stocks/{symbol}/trades/latest`."""
        return self._latest(call, "trade", _trade_of, crypto=False)

    def crypto_latest(self, call: Call) -> tuple[int, Any]:
        """`GET /v1beta3/crypto/{loc}/latest/{quotes,trades,orderbooks}`."""
        location, what = call.parts
        kinds = {"quotes": _quote_of, "trades": _trade_of, "orderbooks": _book_of}
        if not location.startswith("us") or what not in kinds:
            raise not_found("endpoint not found")
        return self._latest(Call((), call.query, None, call.now_ns), what[:-1], kinds[what], crypto=True)

    def _latest(
        self, call: Call, name: str, shape: Callable[[VenueCore, Asset], Any], *, crypto: bool
    ) -> tuple[int, Any]:
        symbols = call.parts[:1] or tuple(filter(None, call.query.get("symbols", "").split(",")))
        if not symbols:
            raise invalid("symbols is required")
        found: dict[str, Any] = {}
        for symbol in symbols:
            asset = self._emulator.assets.find(symbol)
            if asset is None or asset.crypto != crypto:
                raise invalid(f"invalid symbol: {symbol}")
            latest = shape(self._emulator.core, asset)
            if latest is not None:
                found[asset.symbol] = latest
        if call.parts:
            if not found:
                raise not_found(f"no {name} found for {symbols[0]}")
            return 200, {"symbol": symbols[0], name: found[symbols[0]]}
        return 200, {f"{name}s": found}


def _one_of(query: Mapping[str, str], name: str, values: tuple[str, ...]) -> str:
    """A parameter of a query, the first of `values` where it is left out."""
    value = query.get(name) or values[0]
    if value not in values:
        raise invalid(f"invalid {name}: {value}")
    return value


def _quote_of(core: VenueCore, asset: Asset) -> Any:
    view = core.quote(asset.symbol)
    return None if view is None else quote(asset, view)


def _trade_of(core: VenueCore, asset: Asset) -> Any:
    trades = core.trades[asset.symbol]
    return trade(asset, trades[-1]) if trades else None


def _book_of(core: VenueCore, asset: Asset) -> Any:
    return orderbook(sides(core.book(asset.symbol, 1000)), core.now_ns)


def _chosen(order: Held, query: Mapping[str, str]) -> bool:
    """Whether a listing has the order, its times apart."""
    status = query.get("status") or "open"
    if status != "all" and order.open != (status == "open"):
        return False
    symbols = [each.strip() for each in query.get("symbols", "").split(",") if each.strip()]
    if symbols and not {order.asset.symbol, order.asset.position_symbol} & set(symbols):
        return False
    kinds = query.get("asset_class")
    if kinds and order.asset.asset_class not in kinds.split(","):
        return False
    side = query.get("side")
    return side is None or side == ("buy" if order.buys else "sell")


def _between(orders: list[Held], query: Mapping[str, str]) -> list[Held]:
    """Those of `orders`, which are oldest first, between the times and ids of a query, ends left out."""
    for name in ("after", "until"):
        if query.get(name):
            moment = moment_ns(query[name])
            if moment is None:
                raise invalid(f"invalid {name}: {query[name]}")
            after = name == "after"
            orders = [
                order
                for order in orders
                if (order.created_ns > moment if after else order.created_ns < moment)
            ]
    for name in ("after_order_id", "before_order_id"):
        if query.get(name):
            places = [place for place, order in enumerate(orders) if order.id == query[name]]
            if not places:
                raise not_found(f"order not found for {query[name]}")
            orders = orders[places[0] + 1 :] if name == "after_order_id" else orders[: places[0]]
    return orders


ENDPOINTS = (
    Endpoint("GET", "/v2/account", "account", Rest.account),
    Endpoint("GET", "/v2/account/configurations", "account", Rest.configurations),
    Endpoint("PATCH", "/v2/account/configurations", "configure", Rest.configure),
    Endpoint("GET", "/v2/account/activities", "fills", Rest.activities),
    Endpoint("GET", "/v2/account/activities/{}", "fills", Rest.activities),
    Endpoint("POST", "/v2/orders", "place", Rest.place),
    Endpoint("GET", "/v2/orders", "open_orders", Rest.orders),
    Endpoint("DELETE", "/v2/orders", "cancel_all", Rest.cancel_all),
    Endpoint("GET", "/v2/orders:by_client_order_id", "find_order", Rest.by_client_id),
    Endpoint("GET", "/v2/orders/{}", "find_order", Rest.order),
    Endpoint("PATCH", "/v2/orders/{}", "replace", Rest.replace),
    Endpoint("DELETE", "/v2/orders/{}", "cancel", Rest.cancel),
    Endpoint("GET", "/v2/positions", "positions", Rest.positions),
    Endpoint("DELETE", "/v2/positions", "close_all", Rest.close_all),
    Endpoint("GET", "/v2/positions/{}", "positions", Rest.position),
    Endpoint("DELETE", "/v2/positions/{}", "close", Rest.close),
    Endpoint("GET", "/v2/assets", "instruments", Rest.assets),
    Endpoint("GET", "/v2/assets/{}", "instruments", Rest.asset),
    Endpoint("GET", "/v2/clock", "clock", Rest.clock),
    Endpoint("GET", "/v2/calendar", "clock", Rest.calendar),
    Endpoint("GET", "/v2/stocks/quotes/latest", "quote", Rest.stock_quotes, data=True),
    Endpoint("GET", "/v2/stocks/trades/latest", "trades", Rest.stock_trades, data=True),
    Endpoint("GET", "/v2/stocks/{}/quotes/latest", "quote", Rest.stock_quotes, data=True),
    Endpoint("GET", "/v2/stocks/{}/trades/latest", "trades", Rest.stock_trades, data=True),
    Endpoint("GET", "/v1beta3/crypto/{}/latest/{}", "quote", Rest.crypto_latest, data=True),
)
"""Paths of the trading host and of the data host; `{}` is a part that varies."""
