"""Quotes, trades and books as messages."""

from __future__ import annotations

from brokergate.codec.encode.values import Fields, decimal_text, timestamp_fields
from brokergate.domain.market import BookView, QuoteView, TradeView
from brokergate.v1 import market_data_pb2


def quote_fields(quote: QuoteView) -> Fields:
    """The fields of a Quote; a side that is empty is absent."""
    fields: Fields = {
        "symbol": quote.symbol,
        "event_time": timestamp_fields(quote.event_time_ns),
        "receive_time": timestamp_fields(quote.receive_time_ns),
    }
    for name, value in (
        ("bid_price", quote.bid_price),
        ("bid_quantity", quote.bid_quantity),
        ("ask_price", quote.ask_price),
        ("ask_quantity", quote.ask_quantity),
        ("last_price", quote.last_price),
    ):
        if value is not None:
            fields[name] = decimal_text(value)
    if quote.delayed:
        fields["delayed"] = True
    return fields


def encode_quote(quote: QuoteView) -> market_data_pb2.Quote:
    """A Quote."""
    return market_data_pb2.Quote(**quote_fields(quote))


def trade_fields(trade: TradeView) -> Fields:
    """The fields of a Trade."""
    return {
        "symbol": trade.symbol,
        "price": decimal_text(trade.price),
        "quantity": decimal_text(trade.quantity),
        "aggressor_side": trade.aggressor_side,
        "event_time": timestamp_fields(trade.event_time_ns),
        "receive_time": timestamp_fields(trade.receive_time_ns),
        "delayed": trade.delayed,
    }


def book_fields(book: BookView) -> Fields:
    """The fields of a Book."""
    return {
        "symbol": book.symbol,
        "bids": [
            {"price": decimal_text(price), "quantity": decimal_text(quantity)}
            for price, quantity in book.bids
        ],
        "asks": [
            {"price": decimal_text(price), "quantity": decimal_text(quantity)}
            for price, quantity in book.asks
        ],
        "event_time": timestamp_fields(book.event_time_ns),
        "receive_time": timestamp_fields(book.receive_time_ns),
    }


def encode_update(datum: QuoteView | TradeView | BookView) -> market_data_pb2.MarketDataUpdate:
    """A MarketDataUpdate."""
    fields: Fields
    match datum:
        case QuoteView():
            fields = {"quote": quote_fields(datum)}
        case TradeView():
            fields = {"trade": trade_fields(datum)}
        case BookView():
            fields = {"book": book_fields(datum)}
    return market_data_pb2.MarketDataUpdate(**fields)
