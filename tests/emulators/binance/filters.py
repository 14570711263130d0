"""The filters that an order goes through before the matching engine sees it (binance-spot-api-docs, filters.md)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from tests.emulators.binance.asking import TRIGGERED, Asked
from tests.emulators.binance.errors import ApiError, filter_failure
from tests.emulators.core import VenueCore
from tests.emulators.orders import VenueOrderState

AVERAGE_NS = 5 * 60 * 1_000_000_000


def check_filters(asked: Asked, average: AveragePrice, open_orders: Iterable[VenueOrderState]) -> None:
    """Refuses what breaks one (-1013). `open_orders` are the account's in the symbol."""
    middle = average(asked.symbol.name)
    _prices(asked, middle)
    _quantities(asked)
    _notional(asked, middle)
    _counts(asked, list(open_orders))


class AveragePrice:
    """The price that filters compare with: weighted over five minutes, else the last one, else the middle of the book;
    None where there is no market. A trade is counted once, however often one asks."""

    def __init__(self, core: VenueCore) -> None:
        self._core = core
        self._sums: dict[str, list[Decimal]] = {}
        self._spans: dict[str, tuple[int, int]] = {}
        """The trades of a symbol that the sums have: from, up to."""

    def __call__(self, name: str) -> Decimal | None:
        symbol = self._core.instrument(name).symbol
        trades = self._core.trades[symbol]
        sums = self._sums.setdefault(symbol, [Decimal(0), Decimal(0)])
        first, end = self._spans.get(symbol, (0, 0))
        for trade in trades[end:]:
            sums[0] += trade.price * trade.quantity
            sums[1] += trade.quantity
        while first < len(trades) and trades[first].time_ns < self._core.now_ns - AVERAGE_NS:
            sums[0] -= trades[first].price * trades[first].quantity
            sums[1] -= trades[first].quantity
            first += 1
        self._spans[symbol] = (first, len(trades))
        if sums[1]:
            return sums[0] / sums[1]
        return trades[-1].price if trades else self._middle(name)

    def _middle(self, name: str) -> Decimal | None:
        quote = self._core.quote(name)
        if quote is None:
            return None
        prices = [price for price in (quote.bid_price, quote.ask_price) if price is not None]
        return sum(prices, Decimal(0)) / len(prices) if prices else None


def _prices(asked: Asked, average: Decimal | None) -> None:
    symbol = asked.symbol
    for price in (asked.price, asked.stop_price):
        if price is None:
            continue
        if price <= 0:
            raise ApiError(-1013, "Invalid price.")
        if price > symbol.max_price or price < symbol.tick or price % symbol.tick:
            raise filter_failure("PRICE_FILTER")
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


def _notional(asked: Asked, average: Decimal | None) -> None:
    symbol = asked.symbol
    if asked.quote_quantity is not None:
        notional: Decimal | None = asked.quote_quantity
    else:
        price = asked.price or asked.stop_price or average
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
