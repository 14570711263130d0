"""The settings of a paper account."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field, model_validator

from brokergate.adapters.paper.feed_config import FeedConfig
from brokergate.adapters.paper.fills_config import Part, QueueConfig, SlippageConfig, fill_terms
from brokergate.adapters.paper.hours_config import HoursConfig
from brokergate.adapters.paper.link_config import Faults, LatencyConfig, Milliseconds, both_ways
from brokergate.adapters.paper.money_config import (
    CommissionConfig,
    FundingConfig,
    Kind,
    MarginConfig,
    Percent,
    Rebate,
    ShortConfig,
)
from brokergate.config.accounts import PAPER, Currency
from brokergate.config.brokers import BrokerKind
from brokergate.config.section import Amount, Count, Section, within
from brokergate.domain.accounts import Environment
from brokergate.domain.instruments import InstrumentKind
from brokergate.sim.fees import FeeSchedule
from brokergate.sim.filling import FillTerms

MAX_BALANCE = Decimal(10) ** 18
"""Of one currency: leaves room for what trading brings, in the twenty digits that can be told."""


Balance = Annotated[Amount, within(0, MAX_BALANCE, "an amount above zero and at most 10^18", above=True)]


class PaperTradingConfig(Section):
    """A paper account."""

    initial_balance: Annotated[dict[Currency, Balance], Field(min_length=1, max_length=64)] = Field(
        default_factory=lambda: {"USDT": Decimal(1_000_000), "USD": Decimal(1_000_000)}
    )
    """What the account starts with, by currency. Default 1000000 USDT and 1000000 USD."""
    base_currency: Currency | None = None
    """What the account as a whole is valued in, its margin too. Default: the first currency of `initial_balance`."""
    taker_fee_percent: Percent = Decimal(0)
    """Commission on what takes liquidity, in per cent of the notional. Default 0."""
    maker_fee_percent: Rebate = Decimal(0)
    """Commission on what rested, in per cent of the notional; below zero is a rebate. Default 0."""
    commission: CommissionConfig | None = None
    """Commission in full, in place of the two fees above. Default none."""
    allow_short: tuple[Kind, ...] = (InstrumentKind.FOREX, InstrumentKind.EQUITY)
    """The kinds of instrument (`spot`, `forex`, `equity`) whose positions may go short; without `margin` a short
    position ties up twice what it was sold for. The others sell what is held, but perpetuals go both ways. Default
    forex and equity."""
    margin: MarginConfig | None = None
    """Trading on margin. Default: a cash account, perpetuals at one times."""
    short: ShortConfig = ShortConfig()
    """What can be borrowed to be sold short. Default: everything."""
    funding: FundingConfig | None = None
    """Funding of perpetuals by a schedule. Default: what the feed tells."""
    stale_after_ms: Annotated[Count, Field(ge=0, le=604_800_000)] | None = None
    """Milliseconds without market data, in the market's own time, after which an instrument's orders are refused; 0 for
    no limit. Default: 60000, and no limit on a tape of bars."""
    slippage: SlippageConfig = SlippageConfig()
    """How much worse than the market's prices are those that a taker pays. Default: no slippage."""
    queue: QueueConfig = QueueConfig()
    """What stands ahead of resting orders. Default: the conservative model."""
    participation_percent: Part | None = None
    """The most of a trade or a bar that all orders of the account get together, in per cent of its volume. Default:
    all of a trade beside an order book or quotes, 10 of a bar and of a trade where there is no book."""
    feed: FeedConfig = FeedConfig()
    """Where the market comes from. Default: the synthetic market with seed 0."""
    hours: HoursConfig = HoursConfig()
    """When its instruments trade."""
    latency_ms: Milliseconds | None = None
    """Milliseconds that every message between the gateway and the venue takes, each way: the short form of `latency`.
    Default 0."""
    latency: LatencyConfig | None = None
    """How long messages between the gateway and the venue take. Default: no time."""
    faults: Faults = ()
    """What goes wrong on purpose, until SetFaults says otherwise. Default: nothing."""

    @model_validator(mode="after")
    def _charged_once(self) -> PaperTradingConfig:
        if self.commission is not None and (self.taker_fee_percent or self.maker_fee_percent):
            raise ValueError("sets commission and taker_fee_percent or maker_fee_percent; keep commission")
        return self

    def fills(self) -> FillTerms:
        """How orders fill."""
        return fill_terms(self.slippage, self.queue, self.participation_percent)

    def fees(self) -> FeeSchedule:
        """What executions cost."""
        if self.commission is not None:
            return self.commission.schedule()
        return FeeSchedule(self.taker_fee_percent, self.maker_fee_percent)

    @model_validator(mode="after")
    def _one_latency(self) -> PaperTradingConfig:
        if self.latency is not None and self.latency_ms is not None:
            raise ValueError("sets latency_ms and latency; keep one")
        return self

    @property
    def link(self) -> LatencyConfig | None:
        """The latencies; None where messages take no time."""
        latency = self.latency if self.latency_ms is None else both_ways(self.latency_ms)
        if latency is None or (latency.request.none and latency.response.none):
            return None
        return latency


KIND = BrokerKind(
    name=PAPER,
    settings=PaperTradingConfig,
    factory="brokergate.adapters.paper.making:make_paper",
    environments=(Environment.PAPER,),
)
