"""The settings of a Binance account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StringConstraints

from brokergate.config.brokers import BrokerKind
from brokergate.config.section import Count, HttpUrl, Section, WebSocketUrl
from brokergate.domain.accounts import Environment

Asset = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,16}$")]


@dataclass(frozen=True, slots=True)
class Hosts:
    """Where an environment is: REST, WebSocket API, market streams (without a path)."""

    rest_url: str
    websocket_api_url: str
    stream_url: str


HOSTS: Mapping[Environment, Hosts] = {
    Environment.LIVE: Hosts(
        "https://api.binance.com",
        "wss://ws-api.binance.com:443/ws-api/v3",
        "wss://stream.binance.com:443",
    ),
    Environment.TESTNET: Hosts(
        "https://testnet.binance.vision",
        "wss://ws-api.testnet.binance.vision/ws-api/v3",
        "wss://stream.testnet.binance.vision",
    ),
    Environment.DEMO: Hosts(
        "https://demo-api.binance.com",
        "wss://demo-ws-api.binance.com/ws-api/v3",
        "wss://demo-stream.binance.com",
    ),
}
"""Sources: rest-api.md, web-socket-api.md, testnet/ and demo-mode/ of binance/binance-spot-api-docs."""


class BinanceConfig(Section):
    """A Binance spot account. Its keys are `credentials: {api_key, api_secret}` for an HMAC key, or `{api_key,
    private_key}` for an Ed25519 key, whose `private_key` is the PEM text; one that is encrypted has a
    `private_key_passphrase` beside it."""

    rest_url: HttpUrl | None = None
    """Where the REST API is, for a regional host or an emulator: `https://api1.binance.com`. Default: that of the
    account's environment."""
    websocket_api_url: WebSocketUrl | None = None
    """Where the WebSocket API is, which tells what happens on the account. Default: that of the environment."""
    stream_url: WebSocketUrl | None = None
    """Where the public market streams are, without `/ws`. Default: that of the environment."""
    recv_window_ms: Annotated[Count, Field(ge=100, le=60_000)] = 5000
    """Milliseconds for which Binance takes a request after the time that is written in it. A request that comes later
    is refused, so that an order whose answer was lost is known to be absent that much sooner. Default 5000."""
    valuation_currency: Asset = "USDT"
    """The asset in which the account's equity is given. Default `USDT`."""

    def hosts(self, environment: Environment) -> Hosts:
        """Where this account's API is. `ValueError` for an environment that Binance has not."""
        standard = HOSTS.get(environment)
        if standard is None:
            raise ValueError(
                f"environment {environment.name.lower()} is none of Binance's; write live, testnet or demo"
            )
        return Hosts(
            self.rest_url or standard.rest_url,
            self.websocket_api_url or standard.websocket_api_url,
            self.stream_url or standard.stream_url,
        )


KIND = BrokerKind(
    "binance",
    BinanceConfig,
    "brokergate.adapters.binance.broker:BinanceBroker",
    (Environment.TESTNET, Environment.DEMO, Environment.LIVE),
    credentials=(("api_key", "api_secret"), ("api_key", "private_key")),
    optional_credentials=("private_key_passphrase",),
    credentials_check="brokergate.adapters.binance.signing:check_credentials",
)
