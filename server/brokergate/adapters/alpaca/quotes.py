"""Alpaca's market data parsed, and the order book of crypto kept. Pure.

Messages: docs.alpaca.markets/docs/real-time-stock-pricing-data and real-time-crypto-pricing-data; the latest ones over
HTTP have the same fields without type and symbol.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from brokergate.adapters.alpaca.values import as_decimal, mapping, number, number_or_none, sequence, time_ns
from brokergate.domain.market import BookView, QuoteView, TradeView
from brokergate.domain.orders import Side

_TAKERS = {"B": Side.BUY, "S": Side.SELL}


def quote(symbol: str, fields: Mapping[str, Any], received_ns: int, last: Decimal | None) -> QuoteView:
    """A quote; a side whose price or size is zero is empty."""
    bid, ask = _offer(fields, "b"), _offer(fields, "a")
    return QuoteView(
        symbol=symbol,
        bid_price=bid[0],
        bid_quantity=bid[1],
        ask_price=ask[0],
        ask_quantity=ask[1],
        event_time_ns=time_ns(fields.get("t"), "t"),
        receive_time_ns=received_ns,
        last_price=last,
    )


def _offer(fields: Mapping[str, Any], side: str) -> tuple[Decimal | None, Decimal | None]:
    price, size = number_or_none(fields, f"{side}p"), number_or_none(fields, f"{side}s")
    return (price, size) if price and size else (None, None)


def trade(symbol: str, fields: Mapping[str, Any], received_ns: int) -> TradeView:
    """A trade; of crypto Alpaca says who took."""
    return TradeView(
        symbol=symbol,
        price=number(fields, "p"),
        quantity=number(fields, "s"),
        aggressor_side=_TAKERS.get(str(fields.get("tks")), Side.UNSPECIFIED),
        event_time_ns=time_ns(fields.get("t"), "t"),
        receive_time_ns=received_ns,
    )


class Book:
    """The order book of one pair: a whole one to begin with (`r`), then the levels that changed; a size of zero takes
    one away."""

    def __init__(self, symbol: str) -> None:
        self.event_time_ns = 0
        self._symbol = symbol
        self._received_ns = 0
        self._whole = False
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}

    def take(self, fields: Mapping[str, Any], received_ns: int, *, whole: bool) -> bool:
        """Takes a message; whether there is a book after it. What comes before the first whole one is of no use."""
        changes = [
            [
                (as_decimal(level.get("p"), "p"), as_decimal(level.get("s"), "s"))
                for level in (mapping(each, "a level") for each in sequence(fields.get(side) or [], side))
            ]
            for side in ("b", "a")
        ]
        moment_ns = time_ns(fields.get("t"), "t")
        if whole:
            self._bids, self._asks, self._whole = {}, {}, True
        if not self._whole:
            return False
        for side, levels in zip((self._bids, self._asks), changes, strict=True):
            for price, size in levels:
                if size:
                    side[price] = size
                else:
                    side.pop(price, None)
        self.event_time_ns, self._received_ns = moment_ns, received_ns
        return True

    def view(self, depth: int) -> BookView:
        """The best `depth` levels of each side."""
        bids = sorted(self._bids.items(), reverse=True)[:depth]
        asks = sorted(self._asks.items())[:depth]
        return BookView(self._symbol, tuple(bids), tuple(asks), self.event_time_ns, self._received_ns)
