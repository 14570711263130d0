"""The order in which requests to one venue go out when not all may go at once."""

from __future__ import annotations

from enum import IntEnum


class Lane(IntEnum):
    """What a request is for; the lowest number goes first."""

    CANCEL_EMERGENCY = 0
    """A cancel of all that is open, such as an emergency stop's."""
    CANCEL = 1
    CLOSE = 2
    """An order that only reduces a position."""
    NEW = 3
    """Any other order, and a replace."""
    QUERY = 4

    @property
    def cancels(self) -> bool:
        """Whether it takes risk off by cancelling: it may use a bucket's reserve and passes an open breaker."""
        return self <= Lane.CANCEL
