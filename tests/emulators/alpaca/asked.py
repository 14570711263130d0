"""What a request asks for, and the rules of form that Alpaca holds it against. Pure.

The rules are those of docs.alpaca.markets: "Placing Orders" (types, times in force, brackets, sub-penny prices),
"Fractional Trading" and "Crypto Spot Trading" (types and times in force of crypto), with the codes of the fact sheet:
what makes no sense is 40010001, what the rules forbid 42210000.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from tests.emulators.alpaca.assets import LOT, Asset, Assets
from tests.emulators.alpaca.numbers import number, places, text
from tests.emulators.alpaca.refusal import forbidden, invalid, unprocessable

ZERO = Decimal(0)
CENT = Decimal("0.01")
TYPES = ("market", "limit", "stop", "stop_limit", "trailing_stop")
TIMES = ("day", "gtc", "opg", "cls", "ioc", "fok")
CLASSES = ("", "simple", "bracket", "oco", "oto")
CRYPTO_TYPES = ("market", "limit", "stop_limit")
CRYPTO_TIMES = ("gtc", "ioc")
LONGEST_CLIENT_ID = 128
LEAST_COST = {False: Decimal(1), True: Decimal(10)}
"""USD that an order for an amount, or any order for crypto, comes to at least; by whether it is crypto."""
_NEEDS = {
    "market": (),
    "limit": ("limit_price",),
    "stop": ("stop_price",),
    "stop_limit": ("limit_price", "stop_price"),
    "trailing_stop": (),
}
_PRICES = ("limit_price", "stop_price", "trail_price", "trail_percent")


@dataclass(frozen=True, slots=True)
class Asked:
    """An order as it is asked for, in good form."""

    asset: Asset
    side: int
    type: str
    time_in_force: str
    qty: Decimal | None = None
    notional: Decimal | None = None
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    """Of `_PRICES` those that were given."""
    extended_hours: bool = False
    client_order_id: str = ""
    order_class: str = ""
    profit_limit: Decimal | None = None
    loss_stop: Decimal | None = None
    loss_limit: Decimal | None = None

    @property
    def buys(self) -> bool:
        """Which way."""
        return self.side > 0


def read_order(body: Any, assets: Assets) -> Asked:
    """The body of a `POST /v2/orders`. Raises `Refused`."""
    if not isinstance(body, dict):
        raise invalid("request body format is invalid")
    asset = _asset(body, assets)
    order = Asked(
        asset=asset,
        side=_side(body),
        type=_one_of(body, "type", TYPES),
        time_in_force=_one_of(body, "time_in_force", TIMES),
        qty=_positive(body, "qty"),
        notional=_positive(body, "notional"),
        prices={name: price for name in _PRICES if (price := _positive(body, name)) is not None},
        extended_hours=_flag(body, "extended_hours"),
        client_order_id=client_id(body),
        order_class=_order_class(body),
    )
    order = _with_legs(order, body)
    _check_size(order)
    _check_prices(order)
    if asset.crypto:
        _check_crypto(order)
    else:
        _check_stock(order)
    if order.order_class:
        _check_class(order)
    return order


def client_id(body: Mapping[str, Any]) -> str:
    """The client order id; empty where none was given."""
    given = body.get("client_order_id") or ""
    if not isinstance(given, str) or len(given) > LONGEST_CLIENT_ID:
        raise invalid(f"client_order_id must be no more than {LONGEST_CLIENT_ID} characters")
    return given


@dataclass(frozen=True, slots=True)
class Change:
    """What a `PATCH /v2/orders/{id}` asks for; None for what stays."""

    qty: Decimal | None
    time_in_force: str | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    trail: Decimal | None
    client_order_id: str


def read_change(body: Any, type_: str, asset: Asset) -> Change:
    """The body of a replace of an order of that type. Raises `Refused`."""
    if not isinstance(body, dict):
        raise invalid("request body format is invalid")
    change = Change(
        qty=_positive(body, "qty"),
        time_in_force=_one_of(body, "time_in_force", TIMES) if body.get("time_in_force") else None,
        limit_price=_positive(body, "limit_price"),
        stop_price=_positive(body, "stop_price"),
        trail=_positive(body, "trail"),
        client_order_id=client_id(body),
    )
    if change.limit_price is not None and type_ not in ("limit", "stop_limit"):
        raise invalid(f"{type_} orders cannot have a limit price")
    if change.stop_price is not None and type_ not in ("stop", "stop_limit"):
        raise invalid(f"{type_} orders cannot have a stop price")
    if change.trail is not None and type_ != "trailing_stop":
        raise invalid(f"{type_} orders cannot have a trail")
    if change.time_in_force not in (None, "gtc", "gtc" if asset.crypto else "day"):
        raise unprocessable(f"time_in_force of an open order cannot become {change.time_in_force}")
    for name in ("limit_price", "stop_price"):
        check_price(asset, name, getattr(change, name))
    if change.qty is not None and change.qty % LOT:
        raise unprocessable(f"qty can have at most {places(LOT)} decimal places")
    if all(getattr(change, name) is None for name in _CHANGES) and not change.client_order_id:
        raise invalid("order parameters are not changed")
    return change


_CHANGES = ("qty", "time_in_force", "limit_price", "stop_price", "trail")


def check_price(asset: Asset, name: str, price: Decimal | None) -> None:
    """Whether a price lies on the asset's increment: stocks have two places from 1 USD on, four below."""
    if price is None:
        return
    if asset.crypto:
        if price % asset.price_increment:
            raise unprocessable(
                f"invalid {name} {text(price)}. must be a multiple of {text(asset.price_increment)}"
            )
    elif places(price) > (2 if price >= 1 else 4):
        raise unprocessable(
            f"invalid {name} {text(price)}. sub-penny increment does not fulfill minimum pricing criteria"
        )


# Field by field


def _asset(body: Mapping[str, Any], assets: Assets) -> Asset:
    symbol = body.get("symbol")
    if not symbol or not isinstance(symbol, str):
        raise invalid("symbol is required")
    asset = assets.find(symbol)
    if asset is None:
        raise unprocessable(f'asset "{symbol}" not found')
    if not asset.active:
        raise unprocessable(f"asset {asset.symbol} is not active")
    if not asset.tradable:
        raise unprocessable(f"asset {asset.symbol} is not tradable")
    return asset


def _side(body: Mapping[str, Any]) -> int:
    return 1 if _one_of(body, "side", ("buy", "sell")) == "buy" else -1


def _one_of(body: Mapping[str, Any], name: str, values: tuple[str, ...]) -> str:
    value = body.get(name)
    if value in (None, ""):
        raise invalid(f"{name} is required")
    if value not in values:
        raise invalid(f"invalid {name}: {value}")
    return str(value)


def _order_class(body: Mapping[str, Any]) -> str:
    value = body.get("order_class") or ""
    if value not in CLASSES:
        raise invalid(f"invalid order_class: {value}")
    return "" if value == "simple" else str(value)


def _positive(body: Mapping[str, Any], name: str) -> Decimal | None:
    value = body.get(name)
    if value in (None, ""):
        return None
    parsed = number(value)
    if parsed is None:
        raise invalid(f"{name} must be a number")
    if parsed <= 0:
        raise invalid(f"{name} must be > 0")
    return parsed


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool | None):
        raise invalid(f"{name} must be a boolean")
    return bool(value)


def _with_legs(order: Asked, body: Mapping[str, Any]) -> Asked:
    legs = {}
    for name in ("take_profit", "stop_loss"):
        legs[name] = body.get(name) or {}
        if not isinstance(legs[name], dict):
            raise invalid(f"{name} must be an object")
    profit = _positive(legs["take_profit"], "limit_price")
    loss_stop = _positive(legs["stop_loss"], "stop_price")
    loss_limit = _positive(legs["stop_loss"], "limit_price")
    if not order.order_class:
        if profit is not None or loss_stop is not None:
            raise unprocessable("simple orders cannot have take_profit or stop_loss")
        return order
    prices = order.prices
    if order.order_class == "oco":
        profit = profit if profit is not None else prices.get("limit_price")
        if profit is not None:
            prices = {**prices, "limit_price": profit}
    return replace(order, prices=prices, profit_limit=profit, loss_stop=loss_stop, loss_limit=loss_limit)


# What belongs together


def _check_size(order: Asked) -> None:
    if order.qty is None and order.notional is None:
        raise invalid("qty or notional is required")
    if order.qty is not None and order.notional is not None:
        raise invalid("only one of qty or notional is accepted")
    if order.qty is not None and order.qty % LOT:
        raise unprocessable(f"qty can have at most {places(LOT)} decimal places")
    if order.notional is not None:
        if order.type != "market":
            raise unprocessable("notional orders must be market orders")
        if order.notional % CENT:
            raise unprocessable("notional amount must be limited to 2 decimal places")
        least = LEAST_COST[order.asset.crypto]
        if order.notional < least:
            raise below_least(order.notional, order.asset)


def below_least(cost: Decimal, asset: Asset) -> Exception:
    """The refusal of an order that comes to too little."""
    least = LEAST_COST[asset.crypto]
    return forbidden(f"cost basis must be >= minimal amount of order {text(least)}", cost_basis=text(cost))


def _check_prices(order: Asked) -> None:
    needs, given = _NEEDS[order.type], order.prices
    for name in needs:
        if name not in given:
            raise invalid(f"{order.type.replace('_', ' ')} orders require {name.replace('_', ' ')}")
    if order.type == "trailing_stop":
        trails = [name for name in ("trail_price", "trail_percent") if name in given]
        if len(trails) != 1:
            raise invalid("trailing stop orders must specify one of trail_price or trail_percent")
        needs = (trails[0],)
    for name in given:
        if name not in needs:
            raise invalid(f"{order.type.replace('_', ' ')} orders cannot have {name.replace('_', ' ')}")
    for name in ("limit_price", "stop_price"):
        check_price(order.asset, name, given.get(name))
    check_price(order.asset, "take_profit.limit_price", order.profit_limit)
    check_price(order.asset, "stop_loss.stop_price", order.loss_stop)
    check_price(order.asset, "stop_loss.limit_price", order.loss_limit)


def _check_crypto(order: Asked) -> None:
    if order.order_class:
        raise unprocessable(f"crypto orders not allowed for advanced order_class: {order.order_class}")
    if order.type not in CRYPTO_TYPES:
        raise unprocessable(f"invalid order type for crypto order: {order.type}")
    if order.time_in_force not in CRYPTO_TIMES:
        raise unprocessable("invalid crypto time_in_force")
    if order.extended_hours:
        raise unprocessable("crypto orders cannot be extended hours orders")


def _check_stock(order: Asked) -> None:
    fractional = order.notional is not None or (order.qty is not None and bool(order.qty % 1))
    if fractional:
        if not order.asset.fractionable:
            raise forbidden(f'asset "{order.asset.symbol}" is not fractionable')
        if order.time_in_force != "day":
            raise unprocessable("fractional orders must be DAY orders")
        if order.order_class:
            raise unprocessable("fractional orders must be simple orders")
    if order.extended_hours and (order.type != "limit" or order.time_in_force not in ("day", "gtc")):
        raise unprocessable("extended hours order must be DAY or GTC limit orders")
    if order.time_in_force in ("opg", "cls", "ioc", "fok") and order.type not in ("market", "limit"):
        raise unprocessable(f"{order.time_in_force} orders must be market or limit orders")
    if order.type == "trailing_stop" and order.time_in_force not in ("day", "gtc"):
        raise unprocessable("trailing stop orders must be DAY or GTC orders")


def _check_class(order: Asked) -> None:
    name = order.order_class
    if order.time_in_force not in ("day", "gtc"):
        raise unprocessable(f"{name} orders must be DAY or GTC orders")
    if order.extended_hours:
        raise unprocessable(f"{name} orders cannot be extended hours orders")
    if order.loss_limit is not None and order.loss_stop is None:
        raise invalid("stop_loss.stop_price is required")
    if name in ("bracket", "oco"):
        if order.profit_limit is None:
            raise unprocessable(f"{name} orders require take_profit.limit_price")
        if order.loss_stop is None:
            raise unprocessable(f"{name} orders require stop_loss.stop_price")
    elif (order.profit_limit is None) == (order.loss_stop is None):
        raise unprocessable("oto orders require one of take_profit or stop_loss")
    if name == "oco" and order.type != "limit":
        raise unprocessable("oco orders must be limit orders")
    # The side of the order that closes: +1 sells high, -1 buys low.
    up = order.side if name != "oco" else -order.side
    profit, stop, limit = order.profit_limit, order.loss_stop, order.loss_limit
    if profit is not None and stop is not None and up * profit <= up * stop:
        raise unprocessable("take_profit.limit_price must be beyond stop_loss.stop_price")
    base = order.prices.get("limit_price") or order.prices.get("stop_price")
    if name != "oco" and base is not None:
        if profit is not None and up * (profit - base) < CENT:
            sign = ">= base_price + 0.01" if up > 0 else "<= base_price - 0.01"
            raise unprocessable(f"take_profit.limit_price must be {sign}", base_price=text(base))
        if stop is not None and up * (base - stop) < CENT:
            sign = "<= base_price - 0.01" if up > 0 else ">= base_price + 0.01"
            raise unprocessable(f"stop_loss.stop_price must be {sign}", base_price=text(base))
    if limit is not None and stop is not None and up * limit > up * stop:
        raise unprocessable("stop_loss.limit_price must not be beyond stop_loss.stop_price")
