"""How long a request to a venue may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from brokergate.domain.errors import BrokerTimeoutError
from brokergate.ports.clock import Clock
from brokergate.resilience.bucket import NS_PER_S


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds, each above 0."""

    connect_s: float = 5.0
    """Until there is a connection: the name looked up, TLS agreed, a place in the pool."""
    read_s: float = 5.0
    """Between two pieces of the answer, and before the first."""
    total_s: float = 10.0
    """All of it."""

    def __post_init__(self) -> None:
        for name in ("connect_s", "read_s", "total_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)} seconds; it must be above 0")

    def deadline(self, clock: Clock) -> int:
        """When a request that begins now must be over: monotonic nanoseconds, as the rate limiter takes them."""
        return clock.monotonic_ns() + round(self.total_s * NS_PER_S)

    @asynccontextmanager
    async def whole(self, what: str = "the request") -> AsyncIterator[None]:
        """Ends what is done within after `total_s` by the machine's clock, with `BrokerTimeoutError`: the outcome of a
        command that ends so is unknown."""
        limit = asyncio.timeout(self.total_s)
        try:
            async with limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise BrokerTimeoutError(f"{what} took longer than {self.total_s:g} s") from error
