"""The symbols of the venue and their filters (binance-spot-api-docs, filters.md; figures as api.binance.com shows)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from brokergate.domain.instruments import Instrument, InstrumentKind

ORDER_TYPES = (
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
)
STP_MODES = ("EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")
DEFAULT_STP = "EXPIRE_MAKER"
PRECISION = 8
"""Decimals that a quantity or a price may have before any filter looks at it."""


@dataclass(slots=True)
class Symbol:
    """One symbol and what orders in it must keep to."""

    name: str
    base: str
    quote: str
    tick: Decimal
    max_price: Decimal
    step: Decimal
    max_quantity: Decimal
    max_market_quantity: Decimal
    min_notional: Decimal
    max_notional: Decimal
    opening: Decimal
    """Around what price its market stands when the emulator starts."""
    max_orders: int = 200
    max_algo_orders: int = 5
    max_lists: int = 20
    max_amends: int = 10
    max_iceberg_parts: int = 100
    trailing_delta: tuple[int, int] = (10, 2000)
    percent_up: Decimal = Decimal(5)
    percent_down: Decimal = Decimal("0.2")
    status: str = "TRADING"

    def instrument(self) -> Instrument:
        """As the matching venue knows it."""
        return Instrument(
            symbol=f"{self.base}/{self.quote}",
            broker_symbol=self.name,
            kind=InstrumentKind.SPOT,
            base_currency=self.base,
            quote_currency=self.quote,
            price_increment=self.tick,
            quantity_increment=self.step,
        )

    def filters(self) -> list[dict[str, Any]]:
        """As exchangeInfo shows them."""
        up, down = f"{self.percent_up:f}", f"{self.percent_down:f}"
        least, most = self.trailing_delta
        return [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": eight(self.tick),
                "maxPrice": eight(self.max_price),
                "tickSize": eight(self.tick),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": eight(self.step),
                "maxQty": eight(self.max_quantity),
                "stepSize": eight(self.step),
            },
            {"filterType": "ICEBERG_PARTS", "limit": self.max_iceberg_parts},
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": eight(Decimal(0)),
                "maxQty": eight(self.max_market_quantity),
                "stepSize": eight(Decimal(0)),
            },
            {
                "filterType": "TRAILING_DELTA",
                "minTrailingAboveDelta": least,
                "maxTrailingAboveDelta": most,
                "minTrailingBelowDelta": least,
                "maxTrailingBelowDelta": most,
            },
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": up,
                "bidMultiplierDown": down,
                "askMultiplierUp": up,
                "askMultiplierDown": down,
                "avgPriceMins": 5,
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": eight(self.min_notional),
                "applyMinToMarket": True,
                "maxNotional": eight(self.max_notional),
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": self.max_orders},
            {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": self.max_lists},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": self.max_algo_orders},
            {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": self.max_amends},
        ]

    def shown(self) -> dict[str, Any]:
        """As exchangeInfo shows it."""
        return {
            "symbol": self.name,
            "status": self.status,
            "baseAsset": self.base,
            "baseAssetPrecision": PRECISION,
            "quoteAsset": self.quote,
            "quotePrecision": PRECISION,
            "quoteAssetPrecision": PRECISION,
            "baseCommissionPrecision": PRECISION,
            "quoteCommissionPrecision": PRECISION,
            "orderTypes": list(ORDER_TYPES),
            "icebergAllowed": True,
            "ocoAllowed": True,
            "otoAllowed": True,
            "opoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": True,
            "cancelReplaceAllowed": True,
            "amendAllowed": True,
            "pegInstructionsAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": self.filters(),
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": DEFAULT_STP,
            "allowedSelfTradePreventionModes": list(STP_MODES),
        }

    def opening_book(self) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """Ten levels a side, a tick from the opening price and then a thousandth of a per cent apart."""
        gap = max(self.tick, self.opening / 100_000 // self.tick * self.tick)
        size = Decimal(100) * self.step * 1000
        bids = [(self.opening - self.tick - gap * level, size) for level in range(10)]
        asks = [(self.opening + self.tick + gap * level, size) for level in range(10)]
        return bids, asks


def eight(amount: Decimal) -> str:
    """An amount as the venue writes it: eight decimals."""
    return f"{amount:.8f}"


def symbols() -> Sequence[Symbol]:
    """What the venue trades when it starts."""
    return (
        Symbol(
            name="BTCUSDT",
            base="BTC",
            quote="USDT",
            tick=Decimal("0.01"),
            max_price=Decimal(1000000),
            step=Decimal("0.00001"),
            max_quantity=Decimal(9000),
            max_market_quantity=Decimal("100"),
            min_notional=Decimal(5),
            max_notional=Decimal(9000000),
            opening=Decimal(50000),
        ),
        Symbol(
            name="ETHUSDT",
            base="ETH",
            quote="USDT",
            tick=Decimal("0.01"),
            max_price=Decimal(1000000),
            step=Decimal("0.0001"),
            max_quantity=Decimal(9000),
            max_market_quantity=Decimal("2000"),
            min_notional=Decimal(5),
            max_notional=Decimal(9000000),
            opening=Decimal(3000),
        ),
        Symbol(
            name="ETHBTC",
            base="ETH",
            quote="BTC",
            tick=Decimal("0.00001"),
            max_price=Decimal(922327),
            step=Decimal("0.0001"),
            max_quantity=Decimal(100000),
            max_market_quantity=Decimal("2000"),
            min_notional=Decimal("0.0001"),
            max_notional=Decimal(9000000),
            opening=Decimal("0.06"),
        ),
    )
