"""The settings of an account at Alpaca."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from brokergate.adapters.alpaca.config import KIND, AlpacaConfig
from brokergate.adapters.registry import BrokerRegistry
from brokergate.domain.accounts import Environment


def test_the_addresses_follow_from_the_environment() -> None:
    """Paper is another host than live; data is one for both. What is set is taken."""
    config = AlpacaConfig()
    assert config.rest(Environment.PAPER) == "https://paper-api.alpaca.markets"
    assert config.rest(Environment.LIVE) == "https://api.alpaca.markets"
    assert config.stream(Environment.PAPER) == "wss://paper-api.alpaca.markets/stream"
    assert config.stream(Environment.LIVE) == "wss://api.alpaca.markets/stream"
    elsewhere = AlpacaConfig(rest_url="http://127.0.0.1:7/", stream_url="ws://127.0.0.1:7/stream")
    assert elsewhere.rest(Environment.LIVE) == "http://127.0.0.1:7"
    assert elsewhere.stream(Environment.PAPER) == "ws://127.0.0.1:7/stream"


@pytest.mark.parametrize(
    "url",
    ["alpaca.markets", "ftp://host", "https://", "https://user:pass@host", "https://host?x=1", "wss://host"],
)
def test_what_is_no_address(url: str) -> None:
    """Nor one with a password in it."""
    with pytest.raises(ValidationError, match="no address of a server; write one such as https://host"):
        AlpacaConfig(rest_url=url)


def test_the_registry_knows_it_by_name() -> None:
    """Paper where nothing is said; a key and its secret."""
    assert BrokerRegistry.get("alpaca") is KIND
    assert KIND.environments == (Environment.PAPER, Environment.LIVE)
    assert KIND.credentials == (("api_key", "api_secret"),)
