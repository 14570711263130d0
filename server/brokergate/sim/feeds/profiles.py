"""What a synthetic market is like: the profiles of the three instruments of the embedded default account."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain.instruments import Instrument, InstrumentKind


@dataclass(frozen=True, slots=True)
class SyntheticProfile:
    """The habits of one synthetic market; prices and spreads in ticks, sizes in lots."""

    instrument: Instrument
    start_price: int
    """Where it starts, and what it is drawn back to over about a day."""
    spread: int
    """The spread that it returns to."""
    max_spread: int
    level_gap: int
    """Levels of a side are 1 to this many ticks apart."""
    level_size: int
    """An ordinary size at the top; deeper levels are larger."""
    annual_volatility: float
    """Of the mid price, as a share, over a year of round-the-clock trading."""
    updates_per_second: int
    trade_share: float
    """How many of the steps bring a trade."""
    levels: int = 20
    """On each side."""

    def __post_init__(self) -> None:
        if not 1 <= self.spread <= self.max_spread or self.level_gap < 1 or self.level_size < 1:
            raise ValueError(
                f"{self.instrument.symbol}: spread, max_spread, level_gap, level_size must be positive"
            )
        if not 1 <= self.updates_per_second <= 1000 or not 1 <= self.levels <= 1000:
            raise ValueError(f"{self.instrument.symbol}: updates_per_second and levels must be 1 to 1000")
        if not 0 <= self.trade_share <= 1 or not 0 <= self.annual_volatility <= 10:
            raise ValueError(f"{self.instrument.symbol}: trade_share is 0 to 1, annual_volatility 0 to 10")
        if self.start_price < 10 * (self.max_spread + self.levels * self.level_gap):
            raise ValueError(
                f"{self.instrument.symbol}: start_price leaves no room for the levels; use a finer tick"
            )


BTC_USDT = SyntheticProfile(
    instrument=Instrument(
        symbol="BTC/USDT",
        broker_symbol="BTCUSDT",
        kind=InstrumentKind.SPOT,
        base_currency="BTC",
        quote_currency="USDT",
        price_increment=Decimal("0.01"),
        quantity_increment=Decimal("0.00001"),
    ),
    start_price=6_000_000,
    spread=8,
    max_spread=100,
    level_gap=120,
    level_size=60_000,
    annual_volatility=0.6,
    updates_per_second=20,
    trade_share=0.3,
)
"""Around 60,000 USDT, spread 0.01 to 1, some 0.6 BTC at a level."""

EUR_USD = SyntheticProfile(
    instrument=Instrument(
        symbol="EUR/USD",
        broker_symbol="EURUSD",
        kind=InstrumentKind.FOREX,
        base_currency="EUR",
        quote_currency="USD",
        price_increment=Decimal("0.00001"),
        quantity_increment=Decimal(1),
    ),
    start_price=108_500,
    spread=8,
    max_spread=60,
    level_gap=4,
    level_size=1_000_000,
    annual_volatility=0.08,
    updates_per_second=15,
    trade_share=0.2,
)
"""Around 1.085, an ordinary spread of 0.8 pips, a million at a level."""

AAPL = SyntheticProfile(
    instrument=Instrument(
        symbol="AAPL",
        broker_symbol="AAPL",
        kind=InstrumentKind.EQUITY,
        base_currency="",
        quote_currency="USD",
        price_increment=Decimal("0.01"),
        quantity_increment=Decimal(1),
    ),
    start_price=19_000,
    spread=1,
    max_spread=10,
    level_gap=2,
    level_size=400,
    annual_volatility=0.3,
    updates_per_second=10,
    trade_share=0.25,
)
"""Around 190 USD, mostly a cent wide, some 400 shares at a level. It knows no closing bell."""

PROFILES = {profile.instrument.symbol: profile for profile in (BTC_USDT, EUR_USD, AAPL)}
