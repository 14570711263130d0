"""The clock of these tests is turned by hand, so what a venue does in a thread must take no time that the hand goes by:
it is done at once, in the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest


class _AtOnce(ThreadPoolExecutor):
    """Runs what it is given before it returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            future.set_exception(error)
        return future


@pytest.fixture(autouse=True)
async def _threads_take_no_time() -> None:
    asyncio.get_running_loop().set_default_executor(_AtOnce(max_workers=1))
