"""The settings of an account at Alpaca, and what a configuration must know of the broker."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from brokergate.adapters.alpaca.abilities import ABSENCE_AFTER_MS
from brokergate.config.accounts import Symbols
from brokergate.config.brokers import BrokerKind
from brokergate.config.section import Count, HttpUrl, Section, WebSocketUrl
from brokergate.domain.accounts import Environment

ALPACA = "alpaca"

REST_URLS = {
    Environment.PAPER: "https://paper-api.alpaca.markets",
    Environment.LIVE: "https://api.alpaca.markets",
}
STREAM_URLS = {
    Environment.PAPER: "wss://paper-api.alpaca.markets/stream",
    Environment.LIVE: "wss://api.alpaca.markets/stream",
}
DATA_URL = "https://data.alpaca.markets"
DATA_STREAM_URL = "wss://stream.data.alpaca.markets"


class Feed(StrEnum):
    """Where quotes and trades of stocks come from."""

    IEX = "iex"
    SIP = "sip"


class AlpacaConfig(Section):
    """An account at Alpaca. The addresses follow from the environment; they are set for a proxy or an emulator."""

    rest_url: HttpUrl | None = None
    """Where orders go. Default `https://paper-api.alpaca.markets`, on a live account `https://api.alpaca.markets`."""
    stream_url: WebSocketUrl | None = None
    """Where the account's updates come from. Default `wss://paper-api.alpaca.markets/stream`, on a live account
    `wss://api.alpaca.markets/stream`."""
    data_url: HttpUrl = DATA_URL
    """Where the latest quotes are asked for. Default `https://data.alpaca.markets`."""
    data_stream_url: WebSocketUrl = DATA_STREAM_URL
    """Where market data is streamed from. Default `wss://stream.data.alpaca.markets`."""
    feed: Feed = Feed.IEX
    """Where quotes and trades of stocks come from: `iex`, one exchange, which is free; or `sip`, all of them, which has
    to be subscribed to at Alpaca. Default `iex`."""
    instruments: Symbols | None = None
    """The only instruments that the account lists and trades, by their symbols: `[AAPL, BRK.B, BTC/USD]`. Alpaca has
    some 12,000; up to 50 that are named are asked for one by one, which makes connecting quicker. Default: all."""
    requests_per_minute: Annotated[Count, Field(ge=20, le=10_000)] = 200
    """Requests a minute that Alpaca allows the account, until it says otherwise with an answer. Default 200."""
    absence_after_ms: Annotated[Count, Field(ge=0, le=600_000)] = ABSENCE_AFTER_MS
    """Milliseconds after an answer was lost, from which on Alpaca's word that it has no such order is believed. Default
    10000."""

    def rest(self, environment: Environment) -> str:
        """Where orders go."""
        return self.rest_url or REST_URLS[environment]

    def stream(self, environment: Environment) -> str:
        """Where the account's updates come from."""
        return self.stream_url or STREAM_URLS[environment]


KIND = BrokerKind(
    ALPACA,
    AlpacaConfig,
    "brokergate.adapters.alpaca.broker:AlpacaBroker",
    environments=(Environment.PAPER, Environment.LIVE),
    credentials=(("api_key", "api_secret"),),
)
"""Alpaca, for the registry."""
