"""The public market: books with update ids, trades, candles (rest-api.md market data; web-socket-streams.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from brokergate.domain.orders import Side
from tests.emulators.binance.errors import ApiError
from tests.emulators.binance.exchange import Exchange
from tests.emulators.binance.parameters import Parameters
from tests.emulators.binance.showing import milliseconds
from tests.emulators.binance.symbols import eight
from tests.emulators.orders import ZERO, MarketTraded

MAX_DEPTH = 5000
INTERVALS_S = {
    "1s": 1,
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "2h": 7200,
    "4h": 14400,
    "6h": 21600,
    "8h": 28800,
    "12h": 43200,
    "1d": 86400,
    "3d": 259200,
    "1w": 604800,
}
_ZERO_KLINE = "0"
Sides = tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]


@dataclass(slots=True)
class PublicBook:
    """What everybody sees of one symbol. Every level that changes takes one update id."""

    symbol: str
    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)
    update_id: int = 1000

    def become(
        self, bids: Iterable[tuple[Decimal, Decimal]], asks: Iterable[tuple[Decimal, Decimal]]
    ) -> Sides:
        """Takes the book as it now stands; returns the levels that changed, those that are gone with 0."""
        changes: list[dict[Decimal, Decimal]] = []
        for mine, new in ((self.bids, dict(bids)), (self.asks, dict(asks))):
            changed = {price: ZERO for price in mine if price not in new}
            changed |= {price: quantity for price, quantity in new.items() if mine.get(price) != quantity}
            changes.append(changed)
            mine.clear()
            mine.update(new)
        self.update_id += len(changes[0]) + len(changes[1])
        return changes[0], changes[1]

    def levels(self, limit: int) -> dict[str, Any]:
        """The best levels of both sides."""
        bids = sorted(self.bids.items(), reverse=True)[:limit]
        asks = sorted(self.asks.items())[:limit]
        return {"lastUpdateId": self.update_id, "bids": rows(bids), "asks": rows(asks)}

    def ticker(self) -> dict[str, str]:
        """The best bid and ask with their quantities, by the names that bookTicker's stream has."""
        bid = max(self.bids) if self.bids else None
        ask = min(self.asks) if self.asks else None
        return {
            "b": eight(bid or ZERO),
            "B": eight(ZERO if bid is None else self.bids[bid]),
            "a": eight(ask or ZERO),
            "A": eight(ZERO if ask is None else self.asks[ask]),
        }


def rows(levels: Iterable[tuple[Decimal, Decimal]]) -> list[list[str]]:
    """Levels as the wire has them."""
    return [[eight(price), eight(quantity)] for price, quantity in levels]


def kline(trades: list[MarketTraded], start_ms: int, interval: str) -> list[Any]:
    """One candle, as GET klines has it."""
    length_ms = INTERVALS_S[interval] * 1000
    prices = [trade.price for trade in trades]
    volume = sum((trade.quantity for trade in trades), ZERO)
    quote = sum((trade.quantity * trade.price for trade in trades), ZERO)
    bought = [trade for trade in trades if trade.taker is Side.BUY]
    return [
        start_ms,
        eight(prices[0]),
        eight(max(prices)),
        eight(min(prices)),
        eight(prices[-1]),
        eight(volume),
        start_ms + length_ms - 1,
        eight(quote),
        len(trades),
        eight(sum((trade.quantity for trade in bought), ZERO)),
        eight(sum((trade.quantity * trade.price for trade in bought), ZERO)),
        _ZERO_KLINE,
    ]


class PublicMarket:
    """Books as they were last looked at, and the answers to questions about the market."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.books = {name: PublicBook(name) for name in exchange.symbols}
        for name in self.books:
            self.refresh(name)

    def refresh(self, name: str) -> Sides:
        """Looks at the book of a symbol; what changed since the last look."""
        view = self._exchange.core.book(name, MAX_DEPTH)
        return self.books[name].become(view.bids if view else (), view.asks if view else ())

    def trades_of(self, name: str) -> list[MarketTraded]:
        """Every trade in a symbol."""
        return self._exchange.core.trades[self._exchange.core.instrument(name).symbol]

    def candle(self, name: str, interval: str, time_ns: int) -> list[Any]:
        """The candle that a moment lies in."""
        length_ms = INTERVALS_S[interval] * 1000
        start_ms = milliseconds(time_ns) // length_ms * length_ms
        inside = [trade for trade in self.trades_of(name) if milliseconds(trade.time_ns) >= start_ms]
        return kline(inside, start_ms, interval)

    # Questions

    def depth(self, parameters: Parameters) -> dict[str, Any]:
        """GET depth."""
        name = self._symbol(parameters)
        limit = parameters.limit(usual=100, most=MAX_DEPTH)
        parameters.finish()
        return self.books[name].levels(limit)

    def trades(self, parameters: Parameters) -> list[dict[str, Any]]:
        """GET trades: the latest."""
        name = self._symbol(parameters)
        limit = parameters.limit()
        parameters.finish()
        return [
            {
                "id": trade.trade,
                "price": eight(trade.price),
                "qty": eight(trade.quantity),
                "quoteQty": eight(trade.price * trade.quantity),
                "time": milliseconds(trade.time_ns),
                "isBuyerMaker": trade.taker is Side.SELL,
                "isBestMatch": True,
            }
            for trade in self.trades_of(name)[-limit:]
        ]

    def agg_trades(self, parameters: Parameters) -> list[dict[str, Any]]:
        """GET aggTrades: here every trade stands alone."""
        name = self._symbol(parameters)
        first = parameters.integer("fromId")
        start, end = parameters.integer("startTime"), parameters.integer("endTime")
        limit = parameters.limit()
        parameters.finish()
        found = [
            trade
            for trade in self.trades_of(name)
            if (start is None or milliseconds(trade.time_ns) >= start)
            and (end is None or milliseconds(trade.time_ns) <= end)
            and (first is None or trade.trade >= first)
        ]
        forward = first is not None or start is not None
        return [agg_trade(trade) for trade in (found[:limit] if forward else found[-limit:])]

    def klines(self, parameters: Parameters) -> list[list[Any]]:
        """GET klines."""
        name = self._symbol(parameters)
        parameters.need("interval")
        interval = parameters.choice("interval", INTERVALS_S, ApiError(-1120, "Invalid interval."))
        start, end = parameters.integer("startTime"), parameters.integer("endTime")
        limit = parameters.limit()
        parameters.ignore("timeZone")
        parameters.finish()
        assert interval is not None
        length_ms = INTERVALS_S[interval] * 1000
        buckets: dict[int, list[MarketTraded]] = {}
        for trade in self.trades_of(name):
            start_ms = milliseconds(trade.time_ns) // length_ms * length_ms
            if (start is None or start_ms >= start) and (end is None or start_ms <= end):
                buckets.setdefault(start_ms, []).append(trade)
        candles = [kline(trades, start_ms, interval) for start_ms, trades in buckets.items()]
        return candles[:limit] if start is not None else candles[-limit:]

    def book_ticker(self, parameters: Parameters) -> Any:
        """GET ticker/bookTicker."""
        return self._by_symbol(parameters, self._book_ticker)

    def price(self, parameters: Parameters) -> Any:
        """GET ticker/price."""
        return self._by_symbol(
            parameters,
            lambda name: {"symbol": name, "price": eight(self._exchange.core.last(name) or ZERO)},
        )

    def average(self, parameters: Parameters) -> dict[str, Any]:
        """GET avgPrice."""
        name = self._symbol(parameters)
        parameters.finish()
        trades = self.trades_of(name)
        return {
            "mins": 5,
            "price": eight(self._exchange.average(name) or ZERO),
            "closeTime": milliseconds(trades[-1].time_ns) if trades else 0,
        }

    def _book_ticker(self, name: str) -> dict[str, str]:
        told = self.books[name].ticker()
        return {
            "symbol": name,
            "bidPrice": told["b"],
            "bidQty": told["B"],
            "askPrice": told["a"],
            "askQty": told["A"],
        }

    def _by_symbol(self, parameters: Parameters, show: Any) -> Any:
        if parameters.has("symbol") and parameters.has("symbols"):
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        if parameters.has("symbol"):
            name = self._symbol(parameters)
            parameters.finish()
            return show(name)
        names = parameters.names("symbols") or list(self.books)
        parameters.ignore("symbolStatus")
        parameters.finish()
        return [show(self._exchange.symbol(name).name) for name in names]

    def _symbol(self, parameters: Parameters) -> str:
        return self._exchange.symbol(parameters.symbol()).name


def agg_trade(trade: MarketTraded) -> dict[str, Any]:
    """One row of aggTrades."""
    return {
        "a": trade.trade,
        "p": eight(trade.price),
        "q": eight(trade.quantity),
        "f": trade.trade,
        "l": trade.trade,
        "T": milliseconds(trade.time_ns),
        "m": trade.taker is Side.SELL,
        "M": True,
    }
