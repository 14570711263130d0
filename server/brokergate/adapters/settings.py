"""The brokers' own sections of an account's configuration, by the broker's name. Apart from the registry, so that a
configuration is read and checked without loading what trades."""

from __future__ import annotations

from brokergate.adapters.paper.config import PaperTradingConfig
from brokergate.config.accounts import PAPER
from brokergate.config.section import Section

SETTINGS: dict[str, type[Section]] = {PAPER: PaperTradingConfig}
"""The model of each broker's section. `registry.register` adds to it."""
