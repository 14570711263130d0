"""Where the real recordings are."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def btc_recording(shared_data: Path) -> Path:
    """346 s of BTCUSDT as Binance sent it: depth, bookTicker, trade, and one REST snapshot."""
    return shared_data / "crypto_l2" / "binance_spot_btcusdt_20240808.gz"


@pytest.fixture(scope="session")
def fx_folder(shared_data: Path) -> Path:
    """Two days of EUR/USD quotes, a zip each."""
    return shared_data / "fx_quotes"
