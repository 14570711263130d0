"""Instruments as messages."""

from __future__ import annotations

from brokergate.codec.encode.values import Fields, decimal_text, optional_text
from brokergate.domain.instruments import Instrument
from brokergate.v1 import instrument_pb2


def encode_instrument(instrument: Instrument) -> instrument_pb2.Instrument:
    """An Instrument."""
    fields: Fields = {
        "symbol": instrument.symbol,
        "broker_symbol": instrument.broker_symbol,
        "kind": instrument.kind,
        "base_currency": instrument.base_currency,
        "quote_currency": instrument.quote_currency,
        "price_increment": decimal_text(instrument.price_increment),
        "quantity_increment": decimal_text(instrument.quantity_increment),
        "min_quantity": decimal_text(instrument.min_quantity),
        "max_quantity": optional_text(instrument.max_quantity),
        "min_notional": decimal_text(instrument.min_notional),
        "multiplier": decimal_text(instrument.multiplier),
        "trading_state": instrument.trading_state,
    }
    return instrument_pb2.Instrument(**fields)
