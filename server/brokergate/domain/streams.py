"""What a subscriber to the journal asks for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from brokergate.domain.events import EventKind


class StartPosition(IntEnum):
    """Where a stream starts, other than at a cursor or a time."""

    UNSPECIFIED = 0
    EARLIEST = 1
    LIVE = 2
    SNAPSHOT = 3


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """Which events, from where. At most one of the three starts is set; none means live."""

    account_ids: tuple[str, ...]
    after_cursor: str | None = None
    start_time_ns: int | None = None
    start_position: StartPosition | None = None
    kinds: frozenset[EventKind] = frozenset()
    """Empty means all."""
    symbols: frozenset[str] = frozenset()
    """Empty means all."""
    heartbeat_s: float = 10.0
