"""The instruments that a paper account's feed makes: those that are pushed, and those of a synthetic market."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from brokergate.config.accounts import Currency, PositiveAmount, Symbol
from brokergate.config.section import Count, Section
from brokergate.domain.instruments import Instrument
from brokergate.domain.money import is_multiple, multiply, steps
from brokergate.sim.feeds.profiles import PROFILES, SyntheticProfile
from brokergate.sim.feeds.symbols import instrument_of, problem_of
from brokergate.sim.ledger import MAX_UNIT_PLACES, places_of

MAX_INSTRUMENTS = 64
MAX_SEED = 2**64 - 1
MAX_VOLATILITY_PERCENT = Decimal(1000)
WIDEST = 12
"""The widest spread, in ordinary ones."""


class MadeInstrument(Section):
    """An instrument that a configuration makes."""

    symbol: Symbol
    """`BASE/QUOTE` for currencies, else a ticker. A pair of two states' currencies is foreign exchange, another pair
    spot, a ticker a stock, and `BASE/QUOTE:QUOTE` a linear perpetual."""
    price_increment: PositiveAmount
    """The tick."""
    quantity_increment: PositiveAmount
    """The lot."""
    quote_currency: Currency | None = None
    """What is paid; taken from a pair's symbol, needed for a ticker. Default none."""

    @model_validator(mode="after")
    def _told(self) -> Self:
        places = places_of(multiply(self.price_increment, self.quantity_increment))
        if places > MAX_UNIT_PLACES:
            raise ValueError(
                f"has price_increment × quantity_increment with {places} places; {MAX_UNIT_PLACES} are the most: write "
                "coarser ones"
            )
        return self

    @model_validator(mode="after")
    def _named(self) -> Self:
        if problem := problem_of(self.symbol):
            raise ValueError(problem)
        _, slash, quote = self.symbol.partition(":")[0].partition("/")
        if slash and self.quote_currency not in (None, quote):
            raise ValueError("has a quote_currency that is not its symbol's; leave quote_currency out")
        if not slash and self.quote_currency is None:
            raise ValueError("lacks quote_currency; add the currency that the ticker is paid in, such as USD")
        return self

    def instrument(self) -> Instrument:
        """The instrument that it describes."""
        return instrument_of(
            self.symbol, self.symbol, self.quote_currency or "", self.price_increment, self.quantity_increment
        )


class PushInstrumentConfig(MadeInstrument):
    """An instrument whose market a client pushes."""


class SyntheticInstrumentConfig(MadeInstrument):
    """An instrument whose market makes itself up."""

    start_price: PositiveAmount
    """Where its price begins, and what it is drawn back to over about a day."""
    spread: PositiveAmount | None = None
    """The ordinary difference of ask and bid, as a price. Default: the tick."""
    annual_volatility_percent: PositiveAmount = Decimal(30)
    """The standard deviation of a year's returns, in per cent, of a market that never closes; at most 1000. Default
    30."""
    level_quantity: PositiveAmount | None = None
    """An ordinary size at the best price, in units. Default: a thousand lots."""
    levels: Annotated[Count, Field(ge=1, le=1000)] = 20
    """Levels of each side. Default 20."""
    updates_per_second: Annotated[Count, Field(ge=1, le=1000)] = 10
    """How often it changes, in each second of the market's time. Default 10."""
    trades_percent: PositiveAmount = Decimal(25)
    """How many of the changes begin with a trade, in per cent, at most 100. Default 25."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        tick, lot = self.price_increment, self.quantity_increment
        for name, value, step in (
            ("start_price", self.start_price, tick),
            ("spread", self.spread, tick),
            ("level_quantity", self.level_quantity, lot),
        ):
            if value is not None and not is_multiple(value, step):
                raise ValueError(
                    f"has a {name} that is no whole number of increments; write a multiple of {step:f}"
                )
        if self.annual_volatility_percent > MAX_VOLATILITY_PERCENT:
            raise ValueError("has an annual_volatility_percent above 1000; write a smaller one")
        if self.trades_percent > 100:
            raise ValueError("has a trades_percent above 100; write a smaller one")
        self.profile()
        return self

    def profile(self) -> SyntheticProfile:
        """What its market is like. `ValueError` where the levels have no room above zero."""
        tick, lot = self.price_increment, self.quantity_increment
        spread = 1 if self.spread is None else steps(self.spread, tick)
        return SyntheticProfile(
            instrument=self.instrument(),
            start_price=steps(self.start_price, tick),
            spread=spread,
            max_spread=WIDEST * spread,
            level_gap=max(2, spread),
            level_size=1000 if self.level_quantity is None else steps(self.level_quantity, lot),
            annual_volatility=float(self.annual_volatility_percent) / 100,
            updates_per_second=self.updates_per_second,
            trade_share=float(self.trades_percent) / 100,
            levels=self.levels,
        )


class SyntheticConfig(Section):
    """A market that makes itself up."""

    seed: Annotated[Count, Field(ge=0, le=MAX_SEED)] = 0
    """The same seed gives the same market. Default 0."""
    instruments: Annotated[tuple[SyntheticInstrumentConfig, ...], Field(max_length=MAX_INSTRUMENTS)] = ()
    """Its instruments. Default: BTC/USDT, EUR/USD and AAPL."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        symbols = [instrument.symbol for instrument in self.instruments]
        if len(set(symbols)) != len(symbols):
            raise ValueError("has an instrument twice; keep one")
        return self

    def profiles(self) -> dict[str, SyntheticProfile]:
        """What its markets are like, by symbol."""
        made = {instrument.symbol: instrument.profile() for instrument in self.instruments}
        return made or dict(PROFILES)
