"""Another account's market, as a paper account follows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from brokergate.ports.broker import AbstractBroker


@dataclass(frozen=True, slots=True)
class Absence:
    """A broker is away."""

    since_ns: int
    """Since when, by the gateway's clock."""
    reason: str


@dataclass(frozen=True, slots=True)
class MarketSource:
    """A connected account whose market is told on. `absence` is None while its broker is connected."""

    broker: AbstractBroker
    absence: Callable[[], Absence | None]


MarketOf = Callable[[str], MarketSource]
"""The market of an account, by its id. `ValueError` where there is no such account."""


def no_markets(account_id: str) -> MarketSource:
    """For brokers that are made alone."""
    raise ValueError(f"there is no account {account_id!r} whose market could be followed")
