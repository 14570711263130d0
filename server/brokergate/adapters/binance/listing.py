"""What Binance lists: instruments and limits, from `exchangeInfo`. Pure.

Sources: rest-api.md ("Exchange information"), filters.md and enums.md of binance/binance-spot-api-docs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from brokergate.adapters.binance.parse import WRONG, Json, Malformed
from brokergate.domain.instruments import (
    SYMBOL_PATTERN,
    Instrument,
    InstrumentKind,
    InstrumentTradingState,
)
from brokergate.domain.money import ONE, ZERO, normal, parse_decimal

STATES: Mapping[str, InstrumentTradingState] = {
    "TRADING": InstrumentTradingState.TRADING,
    "END_OF_DAY": InstrumentTradingState.CLOSED,
    "HALT": InstrumentTradingState.HALTED,
    "BREAK": InstrumentTradingState.HALTED,
    "CANCEL_ONLY": InstrumentTradingState.CANCEL_ONLY,
}
_symbol = re.compile(SYMBOL_PATTERN, re.ASCII).fullmatch
_SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit: `kind` is REQUEST_WEIGHT, ORDERS or RAW_REQUESTS; `suffix` ends the header that counts it (`1M`)."""

    kind: str
    seconds: int
    suffix: str
    limit: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One instrument, and what else Binance says of it."""

    instrument: Instrument
    amendable: bool
    """Whether an order can be made smaller in place."""
    replaceable: bool
    """Whether an order can be cancelled and placed anew in one request."""


class Listing:
    """All instruments, by the project's symbol and by Binance's."""

    def __init__(self, listed: Sequence[Listed] = (), limits: Sequence[RateLimit] = ()) -> None:
        self.limits = limits
        self.by_symbol = {one.instrument.symbol: one for one in listed}
        self.by_venue = {one.instrument.broker_symbol: one for one in listed}

    def venue_symbol(self, symbol: str) -> str:
        """Binance's symbol. `KeyError` for one that it has not."""
        return self.by_symbol[symbol].instrument.broker_symbol

    def symbol(self, venue_symbol: str) -> str:
        """The project's symbol; Binance's own for what it no longer lists."""
        listed = self.by_venue.get(venue_symbol)
        return venue_symbol if listed is None else listed.instrument.symbol

    def instruments(self) -> list[Instrument]:
        """By symbol."""
        return [self.by_symbol[symbol].instrument for symbol in sorted(self.by_symbol)]

    def among(self, assets: frozenset[str]) -> list[str]:
        """The symbols of Binance that trade two of `assets` against each other."""
        return [
            name
            for name, one in self.by_venue.items()
            if one.instrument.base_currency in assets and one.instrument.quote_currency in assets
        ]


def listing(shown: Json) -> Listing:
    """What `exchangeInfo` answers."""
    try:
        return Listing(
            [_listed(symbol) for symbol in shown["symbols"] if _writable(symbol)],
            [_limit(limit) for limit in shown["rateLimits"]],
        )
    except WRONG as error:
        raise Malformed(f"Binance's exchangeInfo has not its documented form ({error!r})") from None


def _writable(shown: Json) -> bool:
    """Whether it trades spot, and the contract can write its name: some names there are Chinese."""
    spot: bool = shown.get("isSpotTradingAllowed", True)
    return spot and _symbol(f"{shown['baseAsset']}/{shown['quoteAsset']}") is not None


def _limit(shown: Json) -> RateLimit:
    number, interval = int(shown["intervalNum"]), shown["interval"]
    return RateLimit(
        shown["rateLimitType"], number * _SECONDS[interval], f"{number}{interval[0]}", int(shown["limit"])
    )


def _listed(shown: Json) -> Listed:
    filters: dict[str, Json] = {one["filterType"]: one for one in shown["filters"]}
    base, quote = shown["baseAsset"], shown["quoteAsset"]
    lot = filters["LOT_SIZE"]
    return Listed(
        Instrument(
            symbol=f"{base}/{quote}",
            broker_symbol=shown["symbol"],
            kind=InstrumentKind.SPOT,
            base_currency=base,
            quote_currency=quote,
            price_increment=_step(filters["PRICE_FILTER"].get("tickSize"), shown["quoteAssetPrecision"]),
            quantity_increment=_step(lot.get("stepSize"), shown["baseAssetPrecision"]),
            min_quantity=normal(parse_decimal(lot["minQty"])),
            max_quantity=normal(parse_decimal(lot["maxQty"])),
            min_notional=_min_notional(filters),
            trading_state=STATES.get(shown["status"], InstrumentTradingState.HALTED),
        ),
        amendable=bool(shown.get("amendAllowed", False)),
        replaceable=bool(shown.get("cancelReplaceAllowed", False)),
    )


def _step(text: Any, precision: Any) -> Decimal:
    """A tick or a lot; a filter that is switched off says zero, and the asset's precision holds."""
    step = parse_decimal(text) if text else ZERO
    return normal(step) if step else ONE.scaleb(-int(precision))


def _min_notional(filters: Mapping[str, Json]) -> Decimal:
    for name in ("NOTIONAL", "MIN_NOTIONAL"):
        if name in filters:
            return normal(parse_decimal(filters[name]["minNotional"]))
    return ZERO
