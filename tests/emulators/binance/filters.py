"""The filters that an order goes through before the matching engine sees it (binance-spot-api-docs, filters.md)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from tests.emulators.binance.asking import TRIGGERED, Asked
from tests.emulators.binance.errors import ApiError, filter_failure
from tests.emulators.core import VenueCore
from tests.emulators.orders import VenueOrderState

AVERAGE_NS = 5 * 60 * 1_000_000_000


def check_filters(asked: Asked, core: VenueCore, open_orders: Iterable[VenueOrderState]) -> None:
    """Refuses what breaks one (-1013). `open_orders` are the account's in the symbol."""
    _prices(asked, core)
    _quantities(asked)
    _notional(asked, core)
    _counts(asked, list(open_orders))


def average_price(core: VenueCore, symbol: str) -> Decimal | None:
    """The price that filters compare with: weighted over five minutes, else the last one, else the middle of the book;
    None where there is no market."""
    trades = core.trades[core.instrument(symbol).symbol]
    notional = quantity = Decimal(0)
    for trade in reversed(trades):
        if trade.time_ns < core.now_ns - AVERAGE_NS:
            break
        notional += trade.price * trade.quantity
        quantity += trade.quantity
    if quantity:
        return notional / quantity
    if trades:
        return trades[-1].price
    quote = core.quote(symbol)
    if quote is None:
        return None
    prices = [price for price in (quote.bid_price, quote.ask_price) if price is not None]
    return sum(prices, Decimal(0)) / len(prices) if prices else None


def _prices(asked: Asked, core: VenueCore) -> None:
    symbol = asked.symbol
    for price in (asked.price, asked.stop_price):
        if price is None:
            continue
        if price <= 0:
            raise ApiError(-1013, "Invalid price.")
        if price > symbol.max_price or price < symbol.tick or price % symbol.tick:
            raise filter_failure("PRICE_FILTER")
    average = average_price(core, symbol.name)
    if asked.price is not None and average is not None:
        outside = asked.price > average * symbol.percent_up or asked.price < average * symbol.percent_down
        if outside:
            raise filter_failure("PERCENT_PRICE_BY_SIDE")
    if asked.trailing_delta is not None:
        least, most = symbol.trailing_delta
        if not least <= asked.trailing_delta <= most:
            raise filter_failure("TRAILING_DELTA")


def _quantities(asked: Asked) -> None:
    symbol, quantity = asked.symbol, asked.quantity
    if asked.quote_quantity is not None and asked.quote_quantity <= 0:
        raise ApiError(-1013, "Invalid quote order quantity.")
    if quantity is None:
        return
    if quantity <= 0:
        raise ApiError(-1013, "Invalid quantity.")
    if quantity < symbol.step or quantity > symbol.max_quantity or quantity % symbol.step:
        raise filter_failure("LOT_SIZE")
    if asked.type == "MARKET" and quantity > symbol.max_market_quantity:
        raise filter_failure("MARKET_LOT_SIZE")
    if asked.iceberg is not None:
        if asked.iceberg % symbol.step:
            raise filter_failure("LOT_SIZE")
        if -(-quantity // asked.iceberg) > symbol.max_iceberg_parts:
            raise filter_failure("ICEBERG_PARTS")


def _notional(asked: Asked, core: VenueCore) -> None:
    symbol = asked.symbol
    if asked.quote_quantity is not None:
        notional: Decimal | None = asked.quote_quantity
    else:
        price = asked.price or asked.stop_price or average_price(core, symbol.name)
        assert asked.quantity is not None
        notional = None if price is None else price * asked.quantity
    if notional is None:
        return
    if notional < symbol.min_notional:
        raise filter_failure("NOTIONAL")
    if notional > symbol.max_notional and asked.type != "MARKET":
        raise filter_failure("NOTIONAL")


def _counts(asked: Asked, open_orders: list[VenueOrderState]) -> None:
    if len(open_orders) >= asked.symbol.max_orders:
        raise filter_failure("MAX_NUM_ORDERS")
    if asked.type in TRIGGERED:
        waiting = [
            order for order in open_orders if order.extra.get("type") in TRIGGERED and not order.triggered
        ]
        if len(waiting) >= asked.symbol.max_algo_orders:
            raise filter_failure("MAX_NUM_ALGO_ORDERS")
