"""The settings of an account at Interactive Brokers, and what a configuration must know of the broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from brokergate.adapters.ibkr.contracts import IbContract, wanted
from brokergate.config.accounts import Symbol, Symbols, TimeZone
from brokergate.config.brokers import BrokerKind
from brokergate.config.section import Count, Section
from brokergate.domain.accounts import Environment

IBKR = "ibkr"
PORTS: Mapping[Environment, int] = {Environment.PAPER: 4002, Environment.LIVE: 4001}
"""Where IB Gateway listens, unless it was told otherwise. (TWS: 7497 for paper, 7496 for live.)"""
ABSENCE_AFTER_MS = 10_000
"""TWS writes an order down when it reads it. What was sent may wait in front of a busy TWS after the gateway has given
up on it, which it does after `request_timeout_ms`; so much later it asks."""


class MarketDataType(StrEnum):
    """Which market data is asked for (TWS API, `reqMarketDataType`)."""

    LIVE = "live"
    FROZEN = "frozen"
    DELAYED = "delayed"
    DELAYED_FROZEN = "delayed_frozen"

    @property
    def number(self) -> int:
        """As the protocol has it."""
        return list(MarketDataType).index(self) + 1


Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,253}$")]
AccountCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,4}[0-9]{3,12}[A-Z]?$")]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._ -]{1,32}$")]


class ContractConfig(Section):
    """What a symbol stands for, where its notation does not say enough: so much of a contract that one alone fits."""

    con_id: Annotated[Count, Field(ge=1, le=2_147_483_647)] | None = None
    """The contract's number at Interactive Brokers (`conId`), which says it all. Default: none."""
    kind: Annotated[str, StringConstraints(pattern=r"^(STK|CASH|FUT|OPT|CRYPTO)$")] | None = None
    """What it is: `STK`, `CASH`, `FUT`, `OPT` or `CRYPTO`. Default: as the symbol's notation has it."""
    symbol: Word | None = None
    """What Interactive Brokers calls it, or its underlying. Default: as the symbol's notation has it."""
    exchange: Word | None = None
    """Where orders go: `SMART`, `LSE`, `CME`. Default: as the symbol's notation has it."""
    primary_exchange: Word | None = None
    """The exchange that it is listed at, which tells shares of one name apart: `NASDAQ`. Default: any."""
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3,5}$")] | None = None
    """What it is priced in: `USD`, `GBP`. Default: as the symbol's notation has it."""
    local_symbol: Word | None = None
    """Its exchange's name of it: `ESZ6`. Default: any."""
    expiry: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}([0-9]{2})?$")] | None = None
    """The day (`20261218`) or month (`202612`) that it ends in. Default: any."""
    multiplier: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$")] | None = None
    """Units of the underlying in one contract: `50`. Default: any."""
    trading_class: Word | None = None
    """Its trading class. Default: any."""

    @model_validator(mode="after")
    def _says_something(self) -> ContractConfig:
        if not self.model_fields_set:
            raise ValueError("says nothing of the contract; write a con_id, or an exchange and a currency")
        return self

    def contract(self, symbol: str) -> IbContract:
        """The description that is to be resolved: what is said here, and what the symbol's notation says beside."""
        if self.con_id is not None:
            return IbContract(con_id=self.con_id, exchange=self.exchange or "")
        by_notation = wanted(symbol)
        return replace(
            by_notation,
            sec_type=self.kind or by_notation.sec_type,
            symbol=self.symbol or by_notation.symbol,
            exchange=self.exchange or by_notation.exchange,
            primary_exchange=self.primary_exchange or "",
            currency=self.currency or by_notation.currency,
            local_symbol=self.local_symbol or by_notation.local_symbol,
            expiry=self.expiry or by_notation.expiry,
            multiplier=self.multiplier or "",
            trading_class=self.trading_class or "",
        )


class InteractiveBrokersConfig(Section):
    """An account at Interactive Brokers: where the TWS or IB Gateway listens that is logged in to it."""

    host: Host = "127.0.0.1"
    """The machine that TWS or IB Gateway runs on. Default `127.0.0.1`. Its API is not encrypted: over a network use a
    tunnel."""
    port: Annotated[Count, Field(ge=1, le=65_535)] | None = None
    """The port of its API, as its settings have it. Default 4002, on a live account 4001: IB Gateway's. TWS listens at
    7497, and at 7496 for a live account."""
    client_id: Annotated[Count, Field(ge=0, le=2_147_483_646)] = 1
    """The number that this gateway connects by. Orders belong to it: keep it as it is, and give every other program
    that connects to the same TWS another one. Accounts with the same host, port and number share one connection.
    Default 1."""
    account: AccountCode | None = None
    """Which account of the login it is: `DU1234567`, `U1234567`. A paper account's begins with D. Default: the login's
    only one."""
    instruments: Symbols | None = None
    """What the account lists and trades, by symbol: `[AAPL, EUR/USD, ESZ6]`. Interactive Brokers has millions and no
    list of them, so that only what is named here, or under `contracts`, is known. Default: those under `contracts`."""
    contracts: Annotated[dict[Symbol, ContractConfig], Field(max_length=1_000)] = Field(default_factory=dict)
    """What symbols stand for whose notation does not say enough: `{VOD: {exchange: LSE, currency: GBP}}`. Default:
    none."""
    market_data_type: MarketDataType = MarketDataType.LIVE
    """Which market data is asked for: `live`, `frozen` (the last ones of a closed market), `delayed` by some 15 minutes
    and free of charge, or `delayed_frozen`. Orders are never measured by delayed ones. Default `live`."""
    market_data_lines: Annotated[Count, Field(ge=1, le=10_000)] = 100
    """How many instruments' market data the account may have at once. Default 100, what every login has."""
    messages_per_second: Annotated[Count, Field(ge=5, le=1_000)] = 40
    """Messages a second that TWS is sent at the most, of all kinds together. It allows 50, ends the connection of who
    sends more, and its second is not ours. Default 40."""
    time_zone: TimeZone = "America/New_York"
    """The time zone that TWS is logged in with. Its day begins there, and executions that come without a zone are in
    it. Default `America/New_York`."""
    absence_after_ms: Annotated[Count, Field(ge=0, le=600_000)] = ABSENCE_AFTER_MS
    """Milliseconds after an answer was lost, from which on it is believed that TWS has no such order where its lists do
    not show it. Default 10000."""

    def described(self) -> Mapping[str, IbContract]:
        """The descriptions of those symbols whose notation does not say enough."""
        return {symbol: contract.contract(symbol) for symbol, contract in self.contracts.items()}

    def api_port(self, environment: Environment) -> int:
        """The port of the API."""
        return self.port if self.port is not None else PORTS[environment]


KIND = BrokerKind(
    IBKR,
    InteractiveBrokersConfig,
    "brokergate.adapters.ibkr.broker:InteractiveBrokersBroker",
    environments=(Environment.PAPER, Environment.LIVE),
    accounts_check="brokergate.adapters.ibkr.checks:conflicts",
)
"""Interactive Brokers, for the registry. It takes no credentials: a person, or a program of theirs, logs in to TWS."""
