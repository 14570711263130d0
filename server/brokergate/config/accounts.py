"""The settings of accounts and routes."""

from __future__ import annotations

import difflib
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, model_validator

from brokergate.config.brokers import WORDS
from brokergate.config.problems import nearest
from brokergate.config.section import Amount, Count, Flag, Section
from brokergate.credentials.secret import Secret
from brokergate.domain.accounts import Environment
from brokergate.domain.fills import Money
from brokergate.domain.instruments import SYMBOL_PATTERN
from brokergate.domain.policy import RiskLimits as HeldLimits
from brokergate.domain.policy import StopCause

SectionT = TypeVar("SectionT", bound=BaseModel)

PAPER = "paper"
"""The broker that needs no other: a venue of our own."""


def _environment(value: object) -> object:
    if isinstance(value, Environment):
        return value
    if isinstance(value, str) and value in WORDS:
        return WORDS[value]
    close = nearest(str(value), WORDS)
    hint = f" (did you mean {close}?)" if close else ""
    raise ValueError(f"is not an environment; write live, paper, testnet or demo{hint}")


def _positive(value: Decimal) -> Decimal:
    if value <= 0:
        raise ValueError("is not above zero; write an amount above zero")
    return value


PositiveAmount = Annotated[Amount, AfterValidator(_positive)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,16}$")]
"""A currency's code: USD, USDT."""


Symbol = Annotated[str, StringConstraints(pattern=f"^{SYMBOL_PATTERN}$")]
"""An instrument's symbol: BTC/USDT, EUR/USD, AAPL."""
MAX_LIMITED_SYMBOLS = 10_000
"""Instruments that one limit names."""


def _some(symbols: tuple[str, ...]) -> tuple[str, ...]:
    if not symbols:
        raise ValueError("names no instrument; name some, or remove the line to trade all")
    return symbols


Symbols = Annotated[tuple[Symbol, ...], Field(max_length=MAX_LIMITED_SYMBOLS), AfterValidator(_some)]
BySymbol = Annotated[dict[Symbol, PositiveAmount], Field(max_length=MAX_LIMITED_SYMBOLS)]


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        close = difflib.get_close_matches(value, sorted(available_timezones()), 1)
        hint = f"; did you mean {close[0]}?" if close else "; write a name such as UTC or America/New_York"
        raise ValueError(f"is not the name of a time zone{hint}") from None
    return value


TimeZone = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_time_zone)]
"""A time zone of the IANA database: UTC, America/New_York."""


CredentialName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class ConnectionConfig(Section):
    """The connection to the broker. A paper account has one where it has latency or faults."""

    request_timeout_ms: Annotated[Count, Field(ge=1, le=600_000)] = 5000
    """Milliseconds after which a request that was not answered counts as lost. Default 5000."""
    poll_interval_ms: Annotated[Count, Field(ge=100, le=3_600_000)] = 30_000
    """Milliseconds between two times that the broker is asked for its orders, fills and positions beside what it tells
    by itself: what a stream kept back is found no later. Default 30000."""
    quiet_period_ms: Annotated[Count, Field(ge=0, le=600_000)] = 2000
    """Milliseconds that broker and journal must disagree for, in two readings, before it is a discrepancy: a fill may
    be in a position before it is told. For so long, and a second at least, a stream may also take to tell what a poll
    found; then it is mute, and another one is made. Default 2000."""
    quiet_timeout_ms: Annotated[Count, Field(ge=100, le=3_600_000)] = 30_000
    """Milliseconds without a word on a stream, after which it is asked whether it still lives; it has as long again, at
    most ten seconds, to answer, and then another one is made. Default 30000."""
    reconnect_max_ms: Annotated[Count, Field(ge=1000, le=3_600_000)] = 60_000
    """The longest wait between two attempts to connect, in milliseconds. It begins with a second and doubles, until a
    connection has held for a minute. Default 60000."""


class WhenDisconnected(StrEnum):
    """What becomes of orders that come while the broker is away."""

    REJECT = "reject"
    QUEUE = "queue"


class Durability(StrEnum):
    """What an answer promises to outlive."""

    FULL = "full"
    PROCESS = "process"


class Ownership(StrEnum):
    """Who trades on an account."""

    SHARED = "shared"
    EXCLUSIVE = "exclusive"


class TradingConfig(Section):
    """What may be traded."""

    enabled: Flag | None = None
    """Whether orders are taken; an account that takes none can still be read. Default true, on a live account false."""
    when_disconnected: WhenDisconnected = WhenDisconnected.REJECT
    """What becomes of orders that come while the broker is away: `reject`; or `queue`, which journals and holds them,
    shows them as held, and sends them once the broker is back, has told what was missed, and the limits are checked
    again. Default `reject`."""
    queue_max_age_s: Annotated[Count, Field(ge=1, le=86_400)] | None = None
    """Seconds after which an order that is held ends REJECTED (NOT_SENT). For `when_disconnected: queue` alone.
    Default 60."""
    stop_on: Annotated[tuple[StopCause, ...], Field(max_length=16)] = ()
    """What makes the gateway stop the account by itself, as an emergency stop does: `account_suspended` (the broker
    says so), `daily_loss` (the day's limit of `risk_limits` is passed), `discrepancy` (broker and journal disagree and
    nothing explains it). A stop ends only by `brokergate resume`. All three are recommended for a live account that
    somebody watches. Default none."""

    @model_validator(mode="after")
    def _queues_where_it_says_for_how_long(self) -> TradingConfig:
        if self.queue_max_age_s is not None and self.when_disconnected is not WhenDisconnected.QUEUE:
            raise ValueError(
                "sets queue_max_age_s without when_disconnected: queue; add that, or remove queue_max_age_s"
            )
        return self


class MoneyConfig(Section):
    """An amount of money."""

    amount: PositiveAmount
    """How much, above zero."""
    currency: Currency
    """Of which currency."""


class RiskLimits(Section):
    """What one account may risk. Every limit is apart from the others, and none holds unless it is set. An order that
    would break one is journalled as REJECTED with RISK_LIMIT; what only reduces a position passes. See `docs/risk.md`.
    """

    instruments: Symbols | None = None
    """The only instruments that may be traded, by their symbols: `[BTC/USDT, AAPL]`. Default: all."""
    max_order_quantity: BySymbol = Field(default_factory=dict)
    """The most units of an instrument that one order may be for, by symbol: `{BTC/USDT: 2, AAPL: 500}`. Default: no
    limit, as for every instrument that is not named."""
    max_order_notional: MoneyConfig | None = None
    """The most that one order may be worth: `{amount: 50000, currency: USDT}`. Where the instrument is priced in
    another currency, the account must have an instrument that trades the two. Default: no limit."""
    max_position_quantity: BySymbol = Field(default_factory=dict)
    """The most units of an instrument that may be held, long or short, by symbol. Every open order counts as if it were
    filled. Default: no limit."""
    max_position_notional: MoneyConfig | None = None
    """The most that the position in any one instrument may be worth, long or short, with every open order as if it were
    filled. Default: no limit."""
    max_open_orders: Annotated[Count, Field(ge=1)] | None = None
    """The most orders that may be open at once, those that others placed on the account among them. Default: no
    limit."""
    price_collar_percent: PositiveAmount | None = None
    """How far from the last quote an order's price may be, in per cent of it. Default: no limit."""
    max_orders_per_second: Annotated[Count, Field(ge=1, le=100_000)] | None = None
    """The most orders and replaces within any second. Cancels are not counted. Default: no limit."""
    max_daily_loss: MoneyConfig | None = None
    """What the account may lose in a day, open positions and fees among it; then only what reduces a position is taken
    until the day ends. Default: no limit."""
    daily_loss_time_zone: TimeZone = "UTC"
    """Whose midnight begins the day of `max_daily_loss`: a name such as `America/New_York`. Default `UTC`."""
    quote_max_age_ms: Annotated[Count, Field(ge=1, le=86_400_000)] = 60_000
    """Milliseconds after which a quote is too old to measure a limit by: orders that need one are then REJECTED with
    NO_REFERENCE_PRICE. Default 60000."""

    @model_validator(mode="after")
    def _fit_together(self) -> RiskLimits:
        if "daily_loss_time_zone" in self.model_fields_set and self.max_daily_loss is None:
            raise ValueError("sets daily_loss_time_zone without max_daily_loss; add that, or remove it")
        for name in ("max_order_quantity", "max_position_quantity"):
            for symbol in getattr(self, name):
                if self.instruments is not None and symbol not in self.instruments:
                    raise ValueError(
                        f"limits {symbol} in {name} and has it not among instruments; add it there, or remove the limit"
                    )
        return self

    def policy(self) -> HeldLimits:
        """The limits as the engine holds them."""
        return HeldLimits(
            instruments=frozenset(self.instruments or ()),
            max_order_quantity=self.max_order_quantity,
            max_order_notional=_money(self.max_order_notional),
            max_position_quantity=self.max_position_quantity,
            max_position_notional=_money(self.max_position_notional),
            max_open_orders=self.max_open_orders,
            price_collar_percent=self.price_collar_percent,
            max_orders_per_second=self.max_orders_per_second,
            max_daily_loss=_money(self.max_daily_loss),
            daily_loss_time_zone=self.daily_loss_time_zone,
            quote_max_age_ns=self.quote_max_age_ms * 1_000_000,
        )


def _money(money: MoneyConfig | None) -> Money | None:
    return None if money is None else Money(money.amount, money.currency)


class AccountConfig(Section):
    """An account. Its broker's own settings are in a section of the broker's name."""

    broker: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
    """The broker's name: `brokergate brokers list` shows those there are."""
    environment: Annotated[Environment, BeforeValidator(_environment)] = Environment.PAPER
    """Which of the broker's worlds the account lives in: `live`, `paper`, `testnet` or `demo`; not every broker has
    all. Default `paper`; of a broker that has none, the one that it has for trying things out."""
    credentials: dict[CredentialName, Secret] = Field(default_factory=dict, max_length=32)
    """What the broker wants to see, by its own names: `api_key`, `api_secret`. Each is written `${NAME}`, taken from
    the environment or `.env`, or `{file: PATH}`. A text in the file itself is refused in production. Default none."""
    durability: Durability | None = None
    """What is answered and streamed survives: with `full` the loss of power, since it waits until the journal is on the
    disk (fsync); with `process` the death of the gateway, `kill -9` too, but for some seconds not that of the machine.
    After a loss the cursors of before are refused, and a broker outside the process is asked for what is missing.
    Default `full` on a live account, else `process`."""
    ownership: Ownership = Ownership.SHARED
    """Whether others trade on the account too: `shared` takes orders that the gateway did not place as they are and
    counts them for the limits; with `exclusive` each is a discrepancy, and freezes its instrument. Default `shared`."""
    connection: ConnectionConfig = ConnectionConfig()
    """The connection to the broker."""
    trading: TradingConfig = TradingConfig()
    """What may be traded."""
    risk_limits: RiskLimits = RiskLimits()
    """What may be risked. Default: no limits."""

    @property
    def trading_enabled(self) -> bool:
        """Whether orders are taken."""
        if self.trading.enabled is None:
            return self.environment is not Environment.LIVE
        return self.trading.enabled

    @property
    def durable(self) -> bool:
        """Whether answers wait for the disk."""
        if self.durability is None:
            return self.environment is Environment.LIVE
        return self.durability is Durability.FULL

    def settings(self, model: type[SectionT]) -> SectionT:
        """The broker's own section, which is a `model`; `model()` where the account has none."""
        for name in type(self).model_fields:
            if isinstance(value := getattr(self, name), model):
                return value
        return model()
