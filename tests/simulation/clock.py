"""The gateway's clock over the simulated loop."""

from __future__ import annotations

import asyncio

from tests.simulation.loop import SimulatedLoop

START_NS = 1_767_311_975_000_000_000
"""2026-01-01T23:59:35Z: the wall clock at the beginning of every run. DAY orders expire at midnight, while it lasts."""


class SimulatedClock:
    """Wall time that a fault may set, and monotonic time that is the loop's."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self.skew_ns = 0
        """How far the machine's clock is off."""

    def now_ns(self) -> int:
        return START_NS + self._loop.now_ns + self.skew_ns

    def monotonic_ns(self) -> int:
        return self._loop.now_ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
