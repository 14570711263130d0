"""What a paper account's trading costs and what it may owe: the settings of its money."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from brokergate.config.section import Amount, Section
from brokergate.domain.instruments import InstrumentKind
from brokergate.sim.fees import FeeSchedule, Tier, TierBasis
from brokergate.sim.presets import PRESETS

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


def _percent(value: Decimal) -> Decimal:
    if not 0 <= value < 100:
        raise ValueError("is out of range; write per cent, at least 0 and below 100")
    return value


def _rebate(value: Decimal) -> Decimal:
    if not -100 < value < 100:
        raise ValueError("is out of range; write per cent above -100 and below 100; below zero is a rebate")
    return value


def _cost(value: Decimal) -> Decimal:
    if not 0 <= value <= 1_000_000:
        raise ValueError("is out of range; write an amount from 0 to 1000000")
    return value


def _volume(value: Decimal) -> Decimal:
    if not 0 < value <= Decimal(10) ** 18:
        raise ValueError("is out of range; write a volume above zero and at most 10^18")
    return value


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
Percent = Annotated[Amount, AfterValidator(_percent)]
Rebate = Annotated[Amount, AfterValidator(_rebate)]
Cost = Annotated[Amount, AfterValidator(_cost)]
Volume = Annotated[Amount, AfterValidator(_volume)]
Preset = Annotated[str, BeforeValidator(_preset)]
Basis = Annotated[TierBasis, BeforeValidator(_basis)]


class TierConfig(Section):
    """The rates from a volume on, in place of those of the schedule."""

    above: Volume
    """The volume from which they count, by the schedule's `tiers_by`."""
    taker_percent: Percent = Decimal(0)
    """Commission on what takes liquidity, in per cent of the notional. Default 0."""
    maker_percent: Rebate = Decimal(0)
    """Commission on what rested, in per cent of the notional; below zero is a rebate. Default 0."""
    per_unit: Cost = Decimal(0)
    """Commission a share or contract, in the quote currency. Default 0."""


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
    """Commission a share or contract, in the quote currency. Default 0."""
    minimum: Cost = Decimal(0)
    """The least that an order costs which fills at all, in the quote currency; its first execution pays it. Default
    0."""
    maximum: Cost | None = None
    """The most that an order costs, in the quote currency. Default: no limit."""
    maximum_percent: Percent | None = None
    """The most that an order costs, in per cent of its notional; it counts above `minimum`. Default: no limit."""
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
