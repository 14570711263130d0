"""Instruments by their names: what `BTC/USDT`, `EURUSD` and `AAPL` are."""

from __future__ import annotations

import re
from decimal import Decimal

from brokergate.domain.instruments import SYMBOL_PATTERN, Instrument, InstrumentKind
from brokergate.sim.fees import MINOR_UNITS

FIAT = frozenset(MINOR_UNITS)
"""Currencies of states: a pair of two of them is foreign exchange, any other pair is spot."""

_is_symbol = re.compile(SYMBOL_PATTERN, re.ASCII).fullmatch


def gateway_symbol(name: str) -> str:
    """A file's own name of an instrument in the gateway's notation: `EURUSD` of two states' currencies is a pair, all
    else stays as it is. `ValueError` for what cannot be a symbol, and for a pair that is none."""
    if _is_symbol(name) is None:
        raise ValueError(f"symbol {name[:64]!r} is none")
    if "/" in name:
        base, _, quote = name.partition("/")
        if not base or not quote or "/" in quote or ":" in quote:
            raise ValueError(f"symbol {name[:64]!r} is no pair such as 'BTC/USDT'")
        return name
    if len(name) == 6 and {name[:3].upper(), name[3:].upper()} <= FIAT:
        return f"{name[:3]}/{name[3:]}".upper()
    return name


def instrument_of(
    symbol: str,
    broker_symbol: str,
    quote_currency: str,
    price_increment: Decimal,
    quantity_increment: Decimal,
) -> Instrument:
    """The instrument that a symbol in the gateway's notation is of; `quote_currency` is what a ticker is paid in."""
    base, slash, quote = symbol.partition("/")
    quote, colon, _ = quote.partition(":")
    return Instrument(
        symbol,
        broker_symbol,
        kind_of(symbol),
        base if slash and not colon else "",
        quote if slash else quote_currency,
        price_increment,
        quantity_increment,
    )


def problem_of(symbol: str) -> str:
    """Why a symbol names nothing that is traded here; empty where it does."""
    pair, colon, settled = symbol.partition(":")
    base, slash, quote = pair.partition("/")
    if (slash and not (base and quote and "/" not in quote)) or (colon and not slash):
        return "has a symbol that is no pair; write BASE/QUOTE, and BASE/QUOTE:QUOTE for a perpetual"
    if colon and settled == base:
        return "is an inverse contract, settled in its base, which is not simulated; write BASE/QUOTE:QUOTE"
    if colon and settled != quote:
        return "is a derivative that is no linear perpetual; write BASE/QUOTE:QUOTE"
    return ""


def kind_of(symbol: str) -> InstrumentKind:
    """A pair of two states' currencies is foreign exchange, another pair spot, a ticker a share; a pair with what it
    is settled in, `BTC/USDT:USDT`, a perpetual."""
    if ":" in symbol:
        return InstrumentKind.PERPETUAL
    base, slash, quote = symbol.partition("/")
    if not slash:
        return InstrumentKind.EQUITY
    return InstrumentKind.FOREX if {base, quote} <= FIAT else InstrumentKind.SPOT
