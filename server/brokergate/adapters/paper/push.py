"""Pushed market data, from the port's decimals to the venue's ticks and lots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from brokergate.domain.errors import ErrorReason, FieldViolation, GatewayError, shorten
from brokergate.domain.market import BarView, BookView, QuoteView, TradeView
from brokergate.domain.money import format_decimal, is_multiple
from brokergate.domain.orders import Side
from brokergate.ports.broker import PushedUpdate
from brokergate.sim.listing import Listing
from brokergate.sim.market import BarUpdate, BookSnapshot, MarketUpdate, QuoteUpdate, TradeUpdate

MAX_LEVELS = 5000
"""Levels a side of a pushed book."""
_AGGRESSORS = {Side.BUY: 1, Side.SELL: -1, Side.UNSPECIFIED: 0}

Level = tuple[int, int]


def parse_pushed(
    updates: Sequence[PushedUpdate], listings: Mapping[str, Listing], now_ns: int
) -> list[MarketUpdate]:
    """The updates at the venue's time `now_ns`. GatewayError INSTRUMENT_NOT_FOUND, PRICE_OFF_TICK, QUANTITY_OFF_LOT
    or INVALID_FIELD, naming `updates[i]`; then none of them counts."""
    parsed: list[MarketUpdate] = []
    for index, update in enumerate(updates):
        datum, path = update.datum, f"updates[{index}]"
        if isinstance(datum, QuoteView):
            parsed.append(
                _quote(datum, _listing(datum.symbol, listings, f"{path}.quote"), now_ns, f"{path}.quote")
            )
        elif isinstance(datum, TradeView):
            parsed.append(
                _trade(datum, _listing(datum.symbol, listings, f"{path}.trade"), now_ns, f"{path}.trade")
            )
        elif isinstance(datum, BookView):
            parsed.append(
                _book(datum, _listing(datum.symbol, listings, f"{path}.book"), now_ns, f"{path}.book")
            )
        elif isinstance(datum, BarView):
            parsed.append(_bar(datum, _listing(datum.symbol, listings, f"{path}.bar"), now_ns, f"{path}.bar"))
        else:
            raise _refused(ErrorReason.INVALID_FIELD, path, "is empty; set quote, trade, book or bar")
    return parsed


def _quote(quote: QuoteView, listing: Listing, now_ns: int, path: str) -> QuoteUpdate:
    bid = _side(quote.bid_price, quote.bid_quantity, listing, path, "bid")
    ask = _side(quote.ask_price, quote.ask_quantity, listing, path, "ask")
    if bid and ask and bid[0] > ask[0]:
        raise _crossed(bid[0], ask[0], path)
    return QuoteUpdate(now_ns, quote.symbol, bid, ask)


def _side(
    price: Decimal | None, quantity: Decimal | None, listing: Listing, path: str, side: str
) -> Level | None:
    if price is None and quantity is None:
        return None
    if price is None or quantity is None:
        missing = f"{path}.{side}_price" if price is None else f"{path}.{side}_quantity"
        raise _refused(ErrorReason.INVALID_FIELD, missing, "is missing; give price and quantity, or neither")
    return _level(price, quantity, listing, f"{path}.{side}_price", f"{path}.{side}_quantity")


def _trade(trade: TradeView, listing: Listing, now_ns: int, path: str) -> TradeUpdate:
    price, lots = _level(trade.price, trade.quantity, listing, f"{path}.price", f"{path}.quantity")
    return TradeUpdate(now_ns, trade.symbol, price, lots, _AGGRESSORS[trade.aggressor_side])


def _book(book: BookView, listing: Listing, now_ns: int, path: str) -> BookSnapshot:
    bids = _levels(book.bids, listing, f"{path}.bids")
    asks = _levels(book.asks, listing, f"{path}.asks")
    if bids and asks and max(bids)[0] >= min(asks)[0]:
        raise _crossed(max(bids)[0], min(asks)[0], path)
    return BookSnapshot(now_ns, book.symbol, bids, asks)


def _bar(bar: BarView, listing: Listing, now_ns: int, path: str) -> BarUpdate:
    tick = listing.instrument.price_increment
    prices = (bar.open_price, bar.high_price, bar.low_price, bar.close_price)
    for name, price in zip(("open_price", "high_price", "low_price", "close_price"), prices, strict=True):
        _on_tick(price, tick, f"{path}.{name}")
    if not bar.low_price <= min(bar.open_price, bar.close_price):
        raise _refused(ErrorReason.INVALID_FIELD, f"{path}.low_price", "is above another of its prices")
    if not max(bar.open_price, bar.close_price) <= bar.high_price:
        raise _refused(ErrorReason.INVALID_FIELD, f"{path}.high_price", "is below another of its prices")
    if bar.volume < 0 or bar.span_ns <= 0:
        raise _refused(ErrorReason.INVALID_FIELD, path, "has a volume below zero, or lasts no time")
    _on_lot(bar.volume, listing.instrument.quantity_increment, f"{path}.volume")
    opened, high, low, close = [listing.ticks(price) for price in prices]
    return BarUpdate(now_ns, bar.symbol, bar.span_ns, opened, high, low, close, listing.lots(bar.volume))


def _levels(levels: tuple[tuple[Decimal, Decimal], ...], listing: Listing, path: str) -> tuple[Level, ...]:
    if len(levels) > MAX_LEVELS:
        raise _refused(
            ErrorReason.INVALID_FIELD, path, f"has {len(levels)} levels; give at most {MAX_LEVELS}"
        )
    parsed = tuple(
        _level(price, quantity, listing, f"{path}[{index}].price", f"{path}[{index}].quantity")
        for index, (price, quantity) in enumerate(levels)
    )
    if len({price for price, _ in parsed}) != len(parsed):
        raise _refused(ErrorReason.INVALID_FIELD, path, "has a price twice; give each price once")
    return parsed


def _level(price: Decimal, quantity: Decimal, listing: Listing, price_path: str, quantity_path: str) -> Level:
    instrument = listing.instrument
    _on_tick(price, instrument.price_increment, price_path)
    if quantity <= 0:
        raise _refused(
            ErrorReason.INVALID_FIELD, quantity_path, f"{format_decimal(quantity)} is not above zero"
        )
    _on_lot(quantity, instrument.quantity_increment, quantity_path)
    return listing.ticks(price), listing.lots(quantity)


def _on_tick(price: Decimal, tick: Decimal, path: str) -> None:
    if price <= 0:
        raise _refused(ErrorReason.INVALID_FIELD, path, f"{format_decimal(price)} is not above zero")
    if not is_multiple(price, tick):
        problem = f"{format_decimal(price)} is not a multiple of the tick {format_decimal(tick)}"
        raise _refused(ErrorReason.PRICE_OFF_TICK, path, problem)


def _on_lot(quantity: Decimal, lot: Decimal, path: str) -> None:
    if not is_multiple(quantity, lot):
        problem = f"{format_decimal(quantity)} is not a multiple of the lot {format_decimal(lot)}"
        raise _refused(ErrorReason.QUANTITY_OFF_LOT, path, problem)


def _crossed(bid: int, ask: int, path: str) -> GatewayError:
    return _refused(
        ErrorReason.INVALID_FIELD,
        path,
        f"is crossed: bid {bid} ticks, ask {ask} ticks; nothing matches on that",
    )


def _listing(symbol: str, listings: Mapping[str, Listing], path: str) -> Listing:
    listing = listings.get(symbol)
    if listing is None:
        known = ", ".join(sorted(listings)[:8])
        raise _refused(
            ErrorReason.INSTRUMENT_NOT_FOUND,
            f"{path}.symbol",
            f"no instrument {shorten(symbol)!r}; there are {known}",
        )
    return listing


def _refused(reason: ErrorReason, field: str, description: str) -> GatewayError:
    return GatewayError(reason, f"{field}: {description}", violations=[FieldViolation(field, description)])
