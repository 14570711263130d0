"""What a paper account's trading costs and what it may owe: the settings of its money."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from brokergate.config.accounts import Symbol
from brokergate.config.section import Amount, Count, Section, within
from brokergate.domain.instruments import InstrumentKind
from brokergate.sim.clearing import FundingTerms
from brokergate.sim.fees import FeeSchedule, Tier, TierBasis
from brokergate.sim.margin import MarginTerms, Rates
from brokergate.sim.presets import PRESETS
from brokergate.sim.shorting import ShortTerms

MAX_QUANTITY = Decimal(10) ** 18

KINDS = {
    "spot": InstrumentKind.SPOT,
    "equity": InstrumentKind.EQUITY,
    "forex": InstrumentKind.FOREX,
    "perpetual": InstrumentKind.PERPETUAL,
}
"""The kinds of instrument of a paper account, as a configuration calls them."""


def _kind(value: object) -> object:
    if isinstance(value, InstrumentKind):
        return value
    if isinstance(value, str) and value in KINDS:
        return KINDS[value]
    raise ValueError(f"is not a kind of instrument; write {', '.join(KINDS)}")


def _preset(value: object) -> object:
    if isinstance(value, str) and value in PRESETS:
        return value
    raise ValueError(f"is no preset; write one of {', '.join(PRESETS)}")


def _basis(value: object) -> object:
    if isinstance(value, TierBasis):
        return value
    if isinstance(value, str) and value in {basis.value for basis in TierBasis}:
        return TierBasis(value)
    raise ValueError("is no basis of tiers; write turnover_30_days or quantity_month")


Kind = Annotated[InstrumentKind, BeforeValidator(_kind)]
Percent = Annotated[Amount, within(0, 100, "per cent, at least 0 and below 100", below=True)]
Rebate = Annotated[
    Amount,
    within(-100, 100, "per cent above -100 and below 100; below zero is a rebate", above=True, below=True),
]
Cost = Annotated[Amount, within(0, 1_000_000, "an amount from 0 to 1000000")]
Volume = Annotated[Amount, within(0, MAX_QUANTITY, "a volume above zero and at most 10^18", above=True)]
Preset = Annotated[str, BeforeValidator(_preset)]
Basis = Annotated[TierBasis, BeforeValidator(_basis)]


class TierConfig(Section):
    """The rates from a volume on, in place of those of the schedule."""

    above: Volume
    """The volume from which they count: in the quote currency or in units, as the schedule's `tiers_by` says."""
    taker_percent: Percent = Decimal(0)
    """Commission on what takes liquidity, in per cent of the notional. Default 0."""
    maker_percent: Rebate = Decimal(0)
    """Commission on what rested, in per cent of the notional; below zero is a rebate. Default 0."""
    per_unit: Cost = Decimal(0)
    """Commission a unit (share, contract, coin), in the quote currency. Default 0."""


class CommissionConfig(Section):
    """What executions cost: a broker's published schedule by name, or figures of your own."""

    preset: Preset | None = None
    """A published schedule: `alpaca`, `binance`, `bybit`, `ibkr_fixed`, `ibkr_tiered`, `kraken`, `oanda` or
    `tradier`. `docs/paper-venue.md` says of when each is and what it leaves out. Default none."""
    taker_percent: Percent = Decimal(0)
    """Commission on what takes liquidity, in per cent of the notional. Default 0."""
    maker_percent: Rebate = Decimal(0)
    """Commission on what rested, in per cent of the notional; below zero is a rebate. Default 0."""
    per_unit: Cost = Decimal(0)
    """Commission a unit (share, contract, coin), in the quote currency. Default 0."""
    minimum: Cost = Decimal(0)
    """The least that an order costs which fills at all, in the quote currency; its first execution pays it. Default
    0."""
    maximum: Cost | None = None
    """The most that an order costs, in the quote currency. Default: no limit."""
    maximum_percent: Percent | None = None
    """The most that an order costs, in per cent of its notional; where that is less than `minimum`, it counts. Default:
    no limit."""
    fixed: Cost = Decimal(0)
    """What an order costs on top that fills at all, in the quote currency. Default 0."""
    tiers: Annotated[tuple[TierConfig, ...], Field(max_length=32)] = ()
    """Other rates from a volume on, lowest first. Default none."""
    tiers_by: Basis = TierBasis.TURNOVER_30_DAYS
    """What volume decides the tier: `turnover_30_days`, the turnover of 30 days in the quote currency, or
    `quantity_month`, shares and contracts since the month began. Default turnover_30_days."""

    @model_validator(mode="after")
    def _one(self) -> CommissionConfig:
        given = sorted(self.model_fields_set - {"preset"})
        if self.preset is not None and given:
            raise ValueError(
                f"names a preset and sets {', '.join(given)}; keep the preset or your own figures"
            )
        if self.maximum is not None and self.maximum < self.minimum:
            raise ValueError("has a maximum below its minimum; write a maximum of at least the minimum")
        volumes = [tier.above for tier in self.tiers]
        if volumes != sorted(set(volumes)):
            raise ValueError("has tiers that do not rise; write them from the lowest volume on, each once")
        return self

    def schedule(self) -> FeeSchedule:
        """The schedule that it describes."""
        if self.preset is not None:
            return PRESETS[self.preset]
        return FeeSchedule(
            taker_percent=self.taker_percent,
            maker_percent=self.maker_percent,
            per_unit=self.per_unit,
            minimum=self.minimum,
            maximum=self.maximum,
            maximum_percent=self.maximum_percent,
            fixed=self.fixed,
            tiers=tuple(
                Tier(tier.above, tier.taker_percent, tier.maker_percent, tier.per_unit) for tier in self.tiers
            ),
            basis=self.tiers_by,
        )


Leverage = Annotated[
    Amount, within(1, 1000, "how many times its equity the account may carry, from 1 to 1000")
]
MarginPercent = Annotated[
    Amount, within(0, 100, "per cent of the notional, above zero and at most 100", above=True)
]
Ratio = Annotated[Amount, within(1, 10_000, "per cent of the maintenance margin, from 1 to 10000")]
Lendable = Annotated[Amount, within(0, MAX_QUANTITY, "a quantity from 0 to 10^18")]
FundingPercent = Annotated[
    Amount,
    within(
        -100, 100, "per cent above -100 and below 100; below zero shorts pay longs", above=True, below=True
    ),
]


class MarginRatesConfig(Section):
    """Margin of one kind or instrument; what is not set is the account's."""

    leverage: Leverage | None = None
    """How many times its margin a position may be, from 1 to 1000: the other way to say `initial_percent`. Default
    none."""
    initial_percent: MarginPercent | None = None
    """What a position ties up, in per cent of its notional. Default none."""
    maintenance_percent: MarginPercent | None = None
    """What equity may not fall to, in per cent of the notional. Default: half of the initial margin."""

    @model_validator(mode="after")
    def _told_once(self) -> MarginRatesConfig:
        if self.leverage is not None and self.initial_percent is not None:
            raise ValueError("has both leverage and initial_percent, which say the same; keep one")
        initial, least = self.rates().initial(), self.maintenance_percent
        if initial is not None and least is not None and least * initial[1] > 100 * initial[0]:
            raise ValueError("has maintenance_percent above its initial margin; write one of at most that")
        return self

    def rates(self) -> Rates:
        """The margin that it describes."""
        return Rates(self.leverage, self.initial_percent, self.maintenance_percent)


class MarginConfig(MarginRatesConfig):
    """An account on margin: foreign exchange, stocks and perpetuals for a part of their price; spot is paid in full."""

    kinds: dict[Kind, MarginRatesConfig] = Field(default_factory=dict)
    """Other margin for a kind of instrument: `forex`, `equity`, `perpetual`. Default none."""
    instruments: Annotated[dict[Symbol, MarginRatesConfig], Field(max_length=1024)] = Field(
        default_factory=dict
    )
    """Other margin for an instrument, by its symbol. Default none."""
    call_percent: Ratio = Decimal(125)
    """Equity below this, in per cent of the maintenance margin, is a margin call. Default 125."""
    liquidation_percent: Ratio = Decimal(100)
    """Equity at this or below, in per cent of the maintenance margin, is liquidated. Default 100."""
    liquidation_fee_percent: Percent = Decimal(0)
    """What a liquidation costs beside the commission, in per cent of its notional. Default 0."""

    @model_validator(mode="after")
    def _in_order(self) -> MarginConfig:
        if self.call_percent < self.liquidation_percent:
            raise ValueError("has call_percent below liquidation_percent; write a call of at least that")
        if InstrumentKind.SPOT in self.kinds:
            raise ValueError("sets margin for spot, which is paid in full; remove kinds.spot")
        mine = self.rates().initial() or (1, 1)
        layers = {kind.name.lower(): layer for kind, layer in self.kinds.items()}
        for name, layer in {"": self, **layers, **self.instruments}.items():
            least, initial = layer.maintenance_percent, layer.rates().initial() or mine
            if least is not None and least * initial[1] > 100 * initial[0]:
                of = f" of {name}" if name else ""
                raise ValueError(f"has maintenance_percent{of} above its initial margin; write at most that")
        return self

    def terms(self) -> MarginTerms:
        """The margin that it describes."""
        return MarginTerms(
            self.rates(),
            tuple((kind, layer.rates()) for kind, layer in self.kinds.items()),
            tuple((symbol, layer.rates()) for symbol, layer in self.instruments.items()),
            self.call_percent,
            self.liquidation_percent,
            self.liquidation_fee_percent,
        )


class ShortConfig(Section):
    """What can be borrowed to be sold short, of the kinds that `allow_short` names."""

    shortable: tuple[Symbol, ...] | None = None
    """The only instruments that may go short. Default: all."""
    not_shortable: tuple[Symbol, ...] = ()
    """Instruments that may not go short. Default none."""
    available: Annotated[dict[Symbol, Lendable], Field(max_length=1024)] = Field(default_factory=dict)
    """How many units of an instrument can be borrowed in all, by symbol; open short positions and orders count.
    Default: no limit."""

    @model_validator(mode="after")
    def _agree(self) -> ShortConfig:
        both = sorted(set(self.shortable or ()) & set(self.not_shortable))
        if both:
            raise ValueError(f"names {', '.join(both)} in shortable and not_shortable; keep one")
        return self

    def terms(self) -> ShortTerms:
        """What it describes."""
        shortable = None if self.shortable is None else frozenset(self.shortable)
        return ShortTerms(shortable, frozenset(self.not_shortable), tuple(self.available.items()))


class FundingConfig(Section):
    """Funding of perpetuals by a schedule, for a feed that tells none: longs pay shorts."""

    interval_hours: Annotated[Count, Field(ge=1, le=168)] = 8
    """Hours from one to the next, counted from midnight UTC. Default 8."""
    rate_percent: FundingPercent
    """What is paid each time, in per cent of the position at its mark; below zero shorts pay longs."""

    def terms(self) -> FundingTerms:
        """The schedule that it describes."""
        return FundingTerms(self.interval_hours, self.rate_percent)
