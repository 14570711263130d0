"""How many requests an account may make in a minute; the headers say how many are left."""

from __future__ import annotations

from tests.emulators.alpaca.refusal import too_many

REQUESTS = 200
"""A minute and account, of the trading host; the data host counts the same number for itself."""
_MINUTE_NS = 60_000_000_000


class Minute:
    """Counts requests by the minute of the clock. `limit` can be changed."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.refused = 0
        """Requests that came over the limit, in all."""
        self._minute = 0

    def count(self, now_ns: int) -> None:
        """One more request; raises `Refused` (429) for one too many."""
        minute = now_ns // _MINUTE_NS
        if minute != self._minute:
            self._minute, self.used = minute, 0
        if self.used >= self.limit:
            self.refused += 1
            raise too_many()
        self.used += 1

    def headers(self, now_ns: int) -> dict[str, str]:
        """`X-RateLimit-*`; the reset is a Unix time in seconds."""
        ends_ns = (now_ns // _MINUTE_NS + 1) * _MINUTE_NS
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "X-RateLimit-Reset": str(ends_ns // 1_000_000_000),
        }
