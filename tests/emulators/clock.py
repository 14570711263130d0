"""The clocks of an emulated venue."""

from __future__ import annotations

import time


class VenueClock:
    """What time it is at the venue, in nanoseconds since the epoch.

    `now_ns` is what its windows, bans, sessions and orders go by: the machine's clock and whatever a test has advanced
    it by. `shown_ns` is what it tells clients and checks their timestamps by: the machine's clock and whatever a test
    has set it off by (fault `clock_off`). They are two so that a test can let a day pass, for which no client's own
    clock has to move.
    """

    def __init__(self) -> None:
        self.off_ns = 0
        self._advanced_ns = 0

    def now_ns(self) -> int:
        """See the class. Never goes back, but for `reset`."""
        return time.time_ns() + self._advanced_ns

    def shown_ns(self) -> int:
        """See the class."""
        return time.time_ns() + self.off_ns

    def shown_ms(self) -> int:
        """`shown_ns` in milliseconds."""
        return self.shown_ns() // 1_000_000

    def reset(self) -> None:
        """The machine's own time again. Only for a venue that begins anew."""
        self.off_ns = self._advanced_ns = 0

    def advance(self, seconds: float) -> None:
        """Lets time pass at once."""
        if seconds < 0:
            raise ValueError(f"time does not go back by {-seconds} s")
        self._advanced_ns += round(seconds * 1e9)
