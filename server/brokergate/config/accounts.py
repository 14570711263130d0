"""The settings of accounts and routes."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, model_validator

from brokergate.config.problems import nearest
from brokergate.config.section import Amount, Count, Flag, Section
from brokergate.credentials import Secret
from brokergate.domain.accounts import Environment

SectionT = TypeVar("SectionT", bound=BaseModel)

PAPER = "paper"
"""The broker of this release."""

_ENVIRONMENTS = {member.name.lower(): member for member in Environment if member}


def _environment(value: object) -> object:
    if isinstance(value, Environment):
        return value
    if isinstance(value, str) and value in _ENVIRONMENTS:
        return _ENVIRONMENTS[value]
    close = nearest(str(value), _ENVIRONMENTS)
    hint = f" (did you mean {close}?)" if close else ""
    raise ValueError(f"is not an environment; write live, paper, testnet or demo{hint}")


def _positive(value: Decimal) -> Decimal:
    if value <= 0:
        raise ValueError("is not above zero; write an amount above zero")
    return value


PositiveAmount = Annotated[Amount, AfterValidator(_positive)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,16}$")]
"""A currency's code: USD, USDT."""


CredentialName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class ConnectionConfig(Section):
    """The connection to the broker; a paper account has none."""

    request_timeout_ms: Annotated[Count, Field(ge=1, le=600_000)] = 5000
    """Milliseconds after which a request that was not answered counts as lost. Default 5000."""


class WhenDisconnected(StrEnum):
    """What becomes of orders that come while the broker is away."""

    REJECT = "reject"
    QUEUE = "queue"


class TradingConfig(Section):
    """What may be traded."""

    enabled: Flag | None = None
    """Whether orders are taken; an account that takes none can still be read. Default true, on a live account false."""
    when_disconnected: WhenDisconnected = WhenDisconnected.REJECT
    """What becomes of orders that come while the broker is away: `reject` or `queue`, which is not in
    this release. Default `reject`."""


class MoneyConfig(Section):
    """An amount of money."""

    amount: PositiveAmount
    """How much, above zero."""
    currency: Currency
    """Of which currency."""


class RiskLimits(Section):
    """What one account may risk."""

    max_order_notional: MoneyConfig | None = None
    """The most that one order may be worth. Default: no limit."""
    max_open_orders: Annotated[Count, Field(ge=1)] | None = None
    """The most orders that may be open at once. Default: no limit."""
    price_collar_percent: PositiveAmount | None = None
    """How far from the last quote an order's price may be, in per cent of it. Default: no limit."""


class AccountConfig(Section):
    """An account. Its broker's own settings are in a section of the broker's name."""

    broker: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
    """The broker's name. In this release `paper`."""
    environment: Annotated[Environment, BeforeValidator(_environment)] = Environment.PAPER
    """Which of the broker's worlds the account lives in: `live`, `paper`, `testnet` or `demo`. Default `paper`."""
    credentials: dict[CredentialName, Secret] = Field(default_factory=dict, max_length=32)
    """What the broker wants to see, by its own names: `api_key`, `api_secret`. Each is written `${NAME}`, taken from
    the environment or `.env`, or `{file: PATH}`. A text in the file itself is refused in production. Default none."""
    connection: ConnectionConfig = ConnectionConfig()
    """The connection to the broker."""
    trading: TradingConfig = TradingConfig()
    """What may be traded."""
    risk_limits: RiskLimits = RiskLimits()
    """What may be risked. Not in this release: limits that nobody would hold are refused."""

    @property
    def trading_enabled(self) -> bool:
        """Whether orders are taken."""
        if self.trading.enabled is None:
            return self.environment is not Environment.LIVE
        return self.trading.enabled

    def settings(self, model: type[SectionT]) -> SectionT:
        """The broker's own section, which is a `model`; `model()` where the account has none."""
        for name in type(self).model_fields:
            if isinstance(value := getattr(self, name), model):
                return value
        return model()

    @model_validator(mode="after")
    def _paper_is_paper(self) -> AccountConfig:
        if self.broker == PAPER and self.environment is not Environment.PAPER:
            raise ValueError(
                f"is a paper account with environment {self.environment.name.lower()}; "
                "remove 'environment', or set it to paper"
            )
        return self
