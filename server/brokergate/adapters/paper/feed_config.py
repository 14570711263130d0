"""Where a paper account's market comes from: the settings of its feed."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from brokergate.config.accounts import Currency, PositiveAmount
from brokergate.config.section import Count, Flag, Section, Text
from brokergate.domain.instruments import SYMBOL_PATTERN, Instrument, InstrumentKind
from brokergate.domain.money import multiply, parse_decimal
from brokergate.sim.feeds.profiles import PROFILES
from brokergate.sim.feeds.tape import TapeOverrides
from brokergate.sim.ledger import MAX_UNIT_PLACES, places_of

MAX_PUSHED_INSTRUMENTS = 64
MAX_SEED = 2**64 - 1
MAX_SPEED = "max"

# fmt: off
FIAT = frozenset({
    "AUD", "BRL", "CAD", "CHF", "CNH", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "INR", "JPY", "KRW",
    "MXN", "NOK", "NZD", "PLN", "RON", "SEK", "SGD", "THB", "TRY", "TWD", "USD", "ZAR",
})
# fmt: on
"""Currencies of states: a pushed pair of two of them is foreign exchange, any other pair is spot."""


def _speed(value: object) -> object:
    text = f"{value:f}" if isinstance(value, Decimal) and value.is_finite() else value
    if text == MAX_SPEED:
        return text
    try:
        if isinstance(text, str) and parse_decimal(text) > 0:
            return text
    except ValueError:
        pass
    raise ValueError("is not a speed; write 'max', or a number above zero such as 1 or 10")


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


Speed = Annotated[str, BeforeValidator(_speed)]
Symbol = Annotated[str, StringConstraints(pattern=f"^{SYMBOL_PATTERN}$")]


class SyntheticConfig(Section):
    """A market that makes itself up: BTC/USDT, EUR/USD and AAPL."""

    seed: Annotated[Count, Field(ge=0, le=MAX_SEED)] = 0
    """The same seed gives the same market. Default 0."""


class PushInstrumentConfig(Section):
    """An instrument whose market a client pushes."""

    symbol: Symbol
    """`BASE/QUOTE` for currencies, else a ticker. A pair of two states' currencies is foreign exchange, another pair
    spot, a ticker a stock."""
    price_increment: PositiveAmount
    """The tick."""
    quantity_increment: PositiveAmount
    """The lot."""
    quote_currency: Currency | None = None
    """What is paid; taken from a pair's symbol, needed for a ticker. Default none."""

    @model_validator(mode="after")
    def _told(self) -> PushInstrumentConfig:
        places = places_of(multiply(self.price_increment, self.quantity_increment))
        if places > MAX_UNIT_PLACES:
            raise ValueError(
                f"has price_increment × quantity_increment with {places} places; {MAX_UNIT_PLACES} are the most: write "
                "coarser ones"
            )
        return self

    @model_validator(mode="after")
    def _named(self) -> PushInstrumentConfig:
        if ":" in self.symbol:
            raise ValueError("is a derivative, which this release does not trade; push a pair or a ticker")
        base, slash, quote = self.symbol.partition("/")
        if slash and not (base and quote and "/" not in quote):
            raise ValueError("has a symbol that is no pair; write BASE/QUOTE")
        if slash and self.quote_currency not in (None, quote):
            raise ValueError("has a quote_currency that is not its symbol's; leave quote_currency out")
        if not slash and self.quote_currency is None:
            raise ValueError("lacks quote_currency; add the currency that the ticker is paid in, such as USD")
        return self

    def instrument(self) -> Instrument:
        """The instrument that it describes."""
        base, slash, quote = self.symbol.partition("/")
        kind = InstrumentKind.EQUITY
        if slash:
            kind = InstrumentKind.FOREX if {base, quote} <= FIAT else InstrumentKind.SPOT
        return Instrument(
            symbol=self.symbol,
            broker_symbol=self.symbol,
            kind=kind,
            base_currency=base if slash else "",
            quote_currency=quote if slash else self.quote_currency or "",
            price_increment=self.price_increment,
            quantity_increment=self.quantity_increment,
        )


class PushConfig(Section):
    """A market that a client gives with PushMarketData."""

    instruments: Annotated[tuple[PushInstrumentConfig, ...], Field(max_length=MAX_PUSHED_INSTRUMENTS)] = ()
    """The instruments. Default: those of the synthetic market."""

    @model_validator(mode="after")
    def _once(self) -> PushConfig:
        symbols = [instrument.symbol for instrument in self.instruments]
        if len(set(symbols)) != len(symbols):
            raise ValueError("has an instrument twice; keep one")
        return self

    def listed(self) -> tuple[Instrument, ...]:
        """The instruments."""
        if self.instruments:
            return tuple(pushed.instrument() for pushed in self.instruments)
        return tuple(profile.instrument for profile in PROFILES.values())


class FeedConfig(Section):
    """Where a paper account's market comes from: one of `tape`, `synthetic`, `push`."""

    tape: Annotated[tuple[Text, ...] | None, BeforeValidator(_one_or_many)] = None
    """A recording to replay: the path of a file or folder, or several. Default none."""
    speed: Speed | None = None
    """How fast a tape plays: 1 as recorded, 10 ten times that, `max` as fast as it goes. Default 1."""
    paused: Flag | None = None
    """Whether a tape stands still at its beginning until it is told to play. Default false."""
    symbol: Symbol | None = None
    """What the tape's one instrument is called. Default: read from the recording."""
    price_increment: PositiveAmount | None = None
    """The tape's tick. Default: found from its prices."""
    quantity_increment: PositiveAmount | None = None
    """The tape's lot. Default: found from its sizes, 1 for quotes without sizes."""
    quote_size: PositiveAmount | None = None
    """The size at bid and ask of a tape that tells none, in units of the base. Default 1000000."""
    synthetic: SyntheticConfig | None = None
    """A market that makes itself up. The default feed, with seed 0."""
    push: PushConfig | None = None
    """A market that a client pushes. Default none."""
    account: Text | None = None
    """The market of another account. Not in this release. Default none."""

    @model_validator(mode="after")
    def _one(self) -> FeedConfig:
        if self.account is not None:
            raise ValueError(
                "names an account, which this release cannot use as a feed; use synthetic, tape or push"
            )
        named = [name for name in ("tape", "synthetic", "push") if getattr(self, name) is not None]
        if len(named) > 1:
            raise ValueError(f"names {' and '.join(named)}; keep one")
        if not self.tape:
            of_tape = ("speed", "paused", "symbol", "price_increment", "quantity_increment", "quote_size")
            given = [name for name in of_tape if getattr(self, name) is not None]
            if given:
                raise ValueError(f"sets {', '.join(given)} without a tape; add tape, or remove them")
            if self.tape is not None:
                raise ValueError("names no tape; write the path of a recording")
        return self

    def overrides(self) -> TapeOverrides:
        """What is said about the tape instead of found."""
        return TapeOverrides(self.symbol, self.price_increment, self.quantity_increment, self.quote_size)
