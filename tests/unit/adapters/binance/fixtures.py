"""Documented answers of Binance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from brokergate.adapters.binance import parse

FOLDER = Path(__file__).resolve().parents[3] / "fixtures" / "binance"


def fixture(name: str) -> Any:
    """The answer of this name, read as the adapter reads it."""
    return parse.load((FOLDER / f"{name}.json").read_bytes())
