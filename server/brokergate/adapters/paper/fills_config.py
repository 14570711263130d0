"""The settings of how a paper account's orders fill: slippage, queue, participation."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from brokergate.config.section import Amount, Section, within
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.sim.filling import FillTerms
from brokergate.sim.queue import ConservativeQueue, ProbabilisticQueue, QueueFunction, QueueModel
from brokergate.sim.slippage import (
    FixedSlippage,
    MarketImpactSlippage,
    PercentageSlippage,
    SlippageModel,
    Taking,
    VolumeShareSlippage,
    slipped_ticks,
)

MAX_SLIPPAGE_AMOUNT = Decimal(10) ** 9
MAX_VOLUME = Decimal(10) ** 18
MAX_EXPONENT = Decimal(100)
MAX_SECONDS = Decimal(10) ** 6

_SETTINGS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "NONE": ((), ()),
    "FIXED": (("amount",), ()),
    "PERCENTAGE": (("percent",), ()),
    "VOLUME_SHARE": ((), ("price_impact", "volume_limit_percent")),
    "MARKET_IMPACT": (
        ("average_volume", "volatility_percent"),
        ("shares_outstanding", "execution_seconds", "day_seconds"),
    ),
}
"""What each model needs, and what else may be set."""
_own_model = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII).fullmatch
_SAMPLE = Taking(
    Instrument("BTC/USDT", "BTCUSDT", InstrumentKind.SPOT, "BTC", "USDT", Decimal("0.01"), Decimal("0.001")),
    1,
    Decimal(100),
    Decimal(1),
    None,
)
"""What a model of the user's own is tried on when it is loaded."""


def _slippage_model(value: object) -> object:
    if isinstance(value, str) and (value in _SETTINGS or _own_model(value)):
        return value
    raise ValueError(
        f"is no slippage model; write one of {', '.join(_SETTINGS)}, or package.module:ClassName"
    )


def _queue_model(value: object) -> object:
    if value in ("conservative", "probabilistic"):
        return value
    raise ValueError("is no queue model; write conservative or probabilistic")


def _function(value: object) -> object:
    if isinstance(value, str) and value in {function.value for function in QueueFunction}:
        return QueueFunction(value)
    raise ValueError("is no function of a queue; write power or log")


def _at_least_0(high: Decimal) -> AfterValidator:
    return within(0, high, f"a number at least 0 and at most {high:f}")


def _above_0(high: Decimal) -> AfterValidator:
    return within(0, high, f"a number above 0 and at most {high:f}", above=True)


_HUNDRED = Decimal(100)
ModelName = Annotated[str, BeforeValidator(_slippage_model)]
QueueName = Annotated[str, BeforeValidator(_queue_model)]
Function = Annotated[QueueFunction, BeforeValidator(_function)]
Slip = Annotated[Amount, _at_least_0(MAX_SLIPPAGE_AMOUNT)]
Share = Annotated[Amount, _at_least_0(_HUNDRED)]
Part = Annotated[Amount, _above_0(_HUNDRED)]
Volume = Annotated[Amount, _above_0(MAX_VOLUME)]
Seconds = Annotated[Amount, _above_0(MAX_SECONDS)]
Exponent = Annotated[Amount, _above_0(MAX_EXPONENT)]


class SlippageConfig(Section):
    """How much worse than the market's prices are those that a taker pays. `docs/paper-venue.md` has the formulas."""

    model: ModelName = "NONE"
    """`NONE`, `FIXED` (needs `amount`), `PERCENTAGE` (`percent`), `VOLUME_SHARE`, `MARKET_IMPACT` (`average_volume`,
    `volatility_percent`), or a model of your own as `package.module:ClassName`. Default NONE."""
    amount: Slip | None = None
    """FIXED: how much worse, in price units, at least 0. Default none."""
    percent: Share | None = None
    """PERCENTAGE: how much worse, in per cent of the price; 0.01 is a basis point. Default none."""
    price_impact: Slip | None = None
    """VOLUME_SHARE: the factor of the squared share. Default 0.1."""
    volume_limit_percent: Part | None = None
    """VOLUME_SHARE: the share of the volume beyond which slippage grows no more, in per cent. Default 2.5."""
    average_volume: Volume | None = None
    """MARKET_IMPACT: what trades in a day, in units of the instrument. Default none."""
    volatility_percent: Share | None = None
    """MARKET_IMPACT: the standard deviation of a day's returns, in per cent. Default none."""
    shares_outstanding: Volume | None = None
    """MARKET_IMPACT: how many shares there are; the more, the larger the permanent part. Default: it is left out."""
    execution_seconds: Seconds | None = None
    """MARKET_IMPACT: the time that an execution takes; the shorter, the dearer. Default 60."""
    day_seconds: Seconds | None = None
    """MARKET_IMPACT: how long a day trades: 23400 for US stocks. Default 86400."""
    options: Annotated[dict[str, str], Field(max_length=64)] = Field(default_factory=dict)
    """A model of your own: what it is made with, by the names of its arguments; values arrive as text. Default none."""

    @model_validator(mode="after")
    def _complete(self) -> SlippageConfig:
        own = self.model not in _SETTINGS
        needed, allowed = _SETTINGS.get(self.model, ((), ("options",)))
        given = {name for name in self.model_fields_set - {"model"} if getattr(self, name) not in (None, {})}
        if missing := [name for name in needed if name not in given]:
            raise ValueError(f"lacks {' and '.join(missing)}, which {self.model} needs; add them")
        if foreign := sorted(given - {*needed, *allowed}):
            raise ValueError(f"sets {', '.join(foreign)}, which {self.model} does not know; remove them")
        if own:
            self.made  # noqa: B018 - loads the model, so that a bad one is refused with the configuration
        return self

    @cached_property
    def made(self) -> SlippageModel | None:
        """The model. `ValueError` for one of the user's own that cannot be had."""
        match self.model:
            case "NONE":
                return None
            case "FIXED":
                return FixedSlippage(_or(self.amount, "0"))
            case "PERCENTAGE":
                return PercentageSlippage(_or(self.percent, "0"))
            case "VOLUME_SHARE":
                limit = _or(self.volume_limit_percent, "2.5") / 100
                return VolumeShareSlippage(_or(self.price_impact, "0.1"), limit)
            case "MARKET_IMPACT":
                days = _or(self.execution_seconds, "60") / _or(self.day_seconds, "86400")
                return MarketImpactSlippage(
                    average_volume=_or(self.average_volume, "1"),
                    volatility=float(_or(self.volatility_percent, "0") / 100),
                    execution_days=float(days),
                    shares_outstanding=self.shares_outstanding,
                )
            case _:
                return own_model(self.model, self.options)

    @property
    def told(self) -> str:
        """The model in words."""
        if self.model in _SETTINGS:
            return repr(self.made)
        return f"{self.model}({', '.join(f'{name}={self.options[name]!r}' for name in sorted(self.options))})"


class QueueConfig(Section):
    """How what stands ahead of a resting order gives way. `docs/paper-venue.md` has the formulas."""

    model: QueueName = "conservative"
    """`conservative`: only trades, and a level that shows less than stood ahead, bring an order forward.
    `probabilistic`: those who leave stood partly ahead. Default conservative."""
    function: Function | None = None
    """probabilistic: `power` (xⁿ) or `log` (ln(1+x)). Default power."""
    exponent: Exponent | None = None
    """probabilistic with power: the n. Default 2."""

    @model_validator(mode="after")
    def _fits(self) -> QueueConfig:
        if self.model == "conservative" and (self.function is not None or self.exponent is not None):
            raise ValueError("sets function or exponent, which conservative does not know; remove them")
        if self.function is QueueFunction.LOG and self.exponent is not None:
            raise ValueError("sets an exponent, which log does not know; remove it")
        return self

    def made(self) -> QueueModel:
        """The model."""
        if self.model == "conservative":
            return ConservativeQueue()
        return ProbabilisticQueue(self.function or QueueFunction.POWER, float(self.exponent or 2))


def fill_terms(slippage: SlippageConfig, queue: QueueConfig, participation: Decimal | None) -> FillTerms:
    """How orders fill under these settings."""
    return FillTerms(queue.made(), slippage.made, slippage.told, participation)


def own_model(name: str, options: Mapping[str, str]) -> SlippageModel:
    """A model from a user's own package, tried once. `ValueError` where it cannot be had."""
    module_name, _, class_name = name.partition(":")
    try:
        made: SlippageModel = getattr(importlib.import_module(module_name), class_name)(**options)
        slipped_ticks(made, _SAMPLE)
    except (Exception, SystemExit) as error:  # a user's code may fail in any way, and may end the process
        reason = f"{type(error).__name__}: {error}"[:200]
        raise ValueError(
            f"names the model {name}, which cannot be used ({reason}); see docs/paper-venue.md for what a model is"
        ) from error
    return made


def _or(value: Decimal | None, default: str) -> Decimal:
    return Decimal(default) if value is None else value
