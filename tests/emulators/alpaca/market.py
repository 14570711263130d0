"""Market data as Alpaca's data host shows it: quotes and trades of stocks and crypto, order books of crypto.

Shapes by docs.alpaca.markets, "Real-time Stock Data", "Real-time Crypto Data" and the reference of the latest quotes,
trades and order books. Numbers are JSON numbers here, not strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgpack
import orjson

from brokergate.domain.market import BookView, QuoteView
from brokergate.domain.orders import Side
from tests.emulators.alpaca.assets import Asset
from tests.emulators.alpaca.numbers import utc
from tests.emulators.orders import MarketTraded

DEPTH = 1000
_SECOND_NS = 1_000_000_000
_TAPES = {"NASDAQ": "C", "NYSE": "A", "ARCA": "B"}
_TAKERS = {Side.BUY: "B", Side.SELL: "S"}
Levels = dict[Decimal, Decimal]
Sides = tuple[Levels, Levels]


def quote(asset: Asset, view: QuoteView) -> dict[str, Any]:
    """The best bid and ask; a side that is empty has zeros."""
    shape: dict[str, Any] = {
        "t": Moment(view.event_time_ns),
        "bp": _number(view.bid_price),
        "bs": _number(view.bid_quantity),
        "ap": _number(view.ask_price),
        "as": _number(view.ask_quantity),
    }
    if not asset.crypto:
        shape |= {"bx": "V", "ax": "V", "c": ["R"], "z": _TAPES.get(asset.exchange, "C")}
    return shape


def trade(asset: Asset, traded: MarketTraded) -> dict[str, Any]:
    """A trade that everybody sees."""
    shape: dict[str, Any] = {
        "t": Moment(traded.time_ns),
        "p": _number(traded.price),
        "s": _number(traded.quantity),
        "i": traded.trade,
    }
    if asset.crypto:
        return shape | {"tks": _TAKERS.get(traded.taker, "B")}
    return shape | {"x": "V", "c": ["@"], "z": _TAPES.get(asset.exchange, "C")}


def sides(view: BookView | None) -> Sides:
    """Both sides of a book, by price."""
    return ({}, {}) if view is None else (dict(view.bids), dict(view.asks))


def orderbook(book: Sides, time_ns: int) -> dict[str, Any]:
    """A whole book, or the levels of it that changed (a size of 0 is gone)."""
    return {
        "t": Moment(time_ns),
        "b": [_level(level) for level in sorted(book[0].items(), reverse=True)],
        "a": [_level(level) for level in sorted(book[1].items())],
    }


def changes(before: Sides, after: Sides) -> Sides:
    """The levels that are others now."""
    changed: list[Levels] = []
    for old, new in zip(before, after, strict=True):
        levels = {price: size for price, size in new.items() if old.get(price) != size}
        changed.append(levels | {price: Decimal(0) for price in old if price not in new})
    return changed[0], changed[1]


class Moment:
    """A time in a frame: text in JSON, a timestamp in MessagePack."""

    def __init__(self, time_ns: int) -> None:
        self.time_ns = time_ns


def packed(frame: Any, *, message_pack: bool) -> str | bytes:
    """A frame as it goes over the wire."""
    if message_pack:
        return bytes(msgpack.packb(frame, default=_timestamp))
    return orjson.dumps(frame, default=_text).decode()


def unpacked(data: str | bytes) -> Any:
    """A client's frame, in either encoding; None where it is neither."""
    try:
        if isinstance(data, str) or data[:1] in (b"{", b"["):
            return orjson.loads(data)
        return msgpack.unpackb(data)
    except ValueError:
        return None


def json_body(shape: Mapping[str, Any] | list[Any]) -> bytes:
    """A body of the data host."""
    return orjson.dumps(shape, default=_text)


def _timestamp(value: Any) -> Any:
    if isinstance(value, Moment):
        return msgpack.Timestamp(*divmod(value.time_ns, _SECOND_NS))
    raise TypeError(f"{type(value).__name__} does not go into a frame")


def _text(value: Any) -> str:
    if isinstance(value, Moment):
        return utc(value.time_ns)
    raise TypeError(f"{type(value).__name__} does not go into a frame")


def _level(level: tuple[Decimal, Decimal]) -> dict[str, Any]:
    return {"p": _number(level[0]), "s": _number(level[1])}


def _number(value: Decimal | None) -> int | float:
    """A JSON number: exact for what has no more than fifteen digits."""
    if value is None:
        return 0
    return int(value) if value == value.to_integral_value() else float(value)
