"""Where the real recordings are."""

from __future__ import annotations

from pathlib import Path

import pytest


def _data(project_root: Path, relative: str) -> Path:
    path = project_root.parent / "shared" / "data" / relative
    if not path.exists():
        pytest.skip(f"the test data ../shared/data/{relative} is not on this machine")
    return path


@pytest.fixture(scope="session")
def btc_recording(project_root: Path) -> Path:
    """346 s of BTCUSDT as Binance sent it: depth, bookTicker, trade, and one REST snapshot."""
    return _data(project_root, "crypto_l2/binance_spot_btcusdt_20240808.gz")


@pytest.fixture(scope="session")
def fx_folder(project_root: Path) -> Path:
    """Two days of EUR/USD quotes, a zip each."""
    return _data(project_root, "fx_quotes")
