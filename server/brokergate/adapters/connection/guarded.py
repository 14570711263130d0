"""What every request to a venue's API goes through between its limits and its session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from brokergate.adapters.connection.errors import NotSent
from brokergate.adapters.connection.http import HttpReply
from brokergate.resilience.breaker import CircuitBreaker
from brokergate.resilience.lanes import Lane
from brokergate.resilience.limiter import Permit

SERVER_ERROR = 500


async def guarded(
    permit: Permit, breaker: CircuitBreaker, lane: Lane, send: Callable[[], Awaitable[HttpReply]]
) -> HttpReply:
    """The answer to a request whose `permit` is entered. A 5xx is a failure for the breaker; what was not sent, by the
    breaker's word too, costs nothing of the limits."""
    try:
        async with breaker.guard(lane) as way:
            reply = await send()
            if reply.status >= SERVER_ERROR:
                way.failed()
            return reply
    except NotSent:
        permit.refund()
        raise
