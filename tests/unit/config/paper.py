"""A broker's own section to test with, so that these tests do not change with the paper venue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from brokergate.config import Amount, Count, GatewayConfig, Overrides, Section, load_config
from brokergate.config.brokers import BrokerKind
from brokergate.domain.accounts import Environment


class PaperSection(Section):
    """A stand-in for the paper venue's settings."""

    initial_balance: dict[str, Amount] = Field(default_factory=dict)
    """Cash by currency. Default none."""
    latency_ms: Count = Field(0, ge=0)
    """Milliseconds. Default 0."""


BROKERS = {"paper": BrokerKind("paper", PaperSection, "nowhere:make", (Environment.PAPER,))}


def load(
    *files: Path, environment: Mapping[str, str] | None = None, overrides: Overrides | None = None
) -> GatewayConfig:
    """`load_config` with the stand-in."""
    return load_config(
        files, brokers=BROKERS, environment=environment or {}, overrides=overrides or Overrides()
    )


def balance(config: GatewayConfig, account: str = "paper") -> Mapping[str, object]:
    """The initial balance of an account."""
    return config.accounts[account].settings(PaperSection).initial_balance
