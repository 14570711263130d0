"""The library as its manual has it used: what the traps are shown with. The adapter uses it otherwise."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

from tests.emulators.client import Emulator

PATIENCE_S = 10.0
STEP_S = 0.01
SHORT_S = 1.0


def library() -> ModuleType:
    """ib_insync, or ib_async where that is installed instead."""
    asyncio.set_event_loop(asyncio.get_running_loop())
    try:
        return importlib.import_module("ib_insync")
    except ImportError:
        return importlib.import_module("ib_async")


@asynccontextmanager
async def connected(venue: Emulator, client_id: int = 7, timeout_s: float = 4.0) -> AsyncIterator[Any]:
    """The library's `IB`, connected."""
    ib = library().IB()
    try:
        await ib.connectAsync("127.0.0.1", venue.port, clientId=client_id, timeout=timeout_s)
        yield ib
    finally:
        ib.disconnect()
        await asyncio.sleep(STEP_S)


async def stock(ib: Any, symbol: str = "AAPL") -> Any:
    """A contract."""
    (contract,) = await ib.qualifyContractsAsync(library().Stock(symbol, "SMART", "USD"))
    return contract


async def limit(ib: Any, price: float, quantity: int = 1, action: str = "BUY", symbol: str = "AAPL") -> Any:
    """The library's view of a limit order that was placed."""
    order = library().LimitOrder(action, quantity, price, tif="GTC")
    return ib.placeOrder(await stock(ib, symbol), order)


async def until(what: str, holds: Callable[[], Any]) -> None:
    """Returns when it holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {what}"
        await asyncio.sleep(STEP_S)
