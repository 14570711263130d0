"""Ten thousand orders, and a restart every five hundred: laws 1 to 7 hold."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from tests.ibkr.soak import Soak


async def soak(folder: Path, orders: int, every: int) -> None:
    """The seed decides what is asked for and what is killed; IBKR_SOAK_SEED gives it."""
    seed = int(os.environ.get("IBKR_SOAK_SEED") or secrets.randbelow(1_000_000))
    print(f"IBKR_SOAK_SEED={seed}")
    print(await Soak(folder, seed, orders=orders, every=every, pace=400).run())


@pytest.mark.timeout(240)
async def test_a_hundred_and_fifty_orders_and_a_restart_every_fifty(tmp_path: Path) -> None:
    await soak(tmp_path, 150, 50)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_ten_thousand_orders_and_a_restart_every_five_hundred(tmp_path: Path) -> None:
    await soak(tmp_path, 10_000, 500)
