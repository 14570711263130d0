"""Joins Binance's depth diffs to a REST snapshot: which diffs count, in what order, and where some are
missing.

The rules are those of binance-spot-api-docs, web-socket-streams.md, "How to manage a local order book
correctly": buffer the diffs that come before the snapshot; drop those with u <= lastUpdateId; the first
applied has U <= lastUpdateId + 1 <= u (it straddles); then each has U = previous u + 1. A diff that begins at
or before the book's id and ends after it is applied too: sizes are absolute, so overlapping is harmless, and
a recording of both `@depth` and `@depth@100ms` overlaps all the time. One that begins later leaves a gap: the
book is lost until a snapshot joins again.
"""

from __future__ import annotations

from collections import Counter, deque
from enum import Enum
from typing import NamedTuple

Levels = tuple[tuple[int, int], ...]

MAX_BUFFERED_DIFFS = 36_000
"""Diffs held while waiting for a snapshot: an hour at ten a second. The oldest go first, and the join will
tell.
"""


class Diff(NamedTuple):
    """One depth update in ticks and lots: the ids `first` (U) to `last` (u)."""

    first: int
    last: int
    bids: Levels
    asks: Levels


class Verdict(Enum):
    """What becomes of a diff."""

    APPLY = "apply"
    DROP = "drop"
    """It is older than the book."""
    HOLD = "hold"
    """There is no book; it waits for a snapshot."""
    GAP = "gap"
    """Diffs are missing before it: the book is lost, and it waits for a snapshot."""


class DiffJoin:
    """The state of one symbol's join. `last_id` is the book's update id, `None` while there is no book."""

    def __init__(self) -> None:
        self.last_id: int | None = None
        self.joined_diffs = 0
        """Diffs applied since the last snapshot."""
        self.counts: Counter[str] = Counter()
        self._held: deque[Diff] = deque(maxlen=MAX_BUFFERED_DIFFS)

    def offer(self, diff: Diff) -> Verdict:
        """What becomes of the next diff of the stream."""
        if self.last_id is None:
            self._held.append(diff)
            return Verdict.HOLD
        if diff.last <= self.last_id:
            if self.joined_diffs:
                self.counts["diffs_repeated"] += 1
            return Verdict.DROP
        if diff.first > self.last_id + 1:
            self.last_id = None
            self._held.append(diff)
            return Verdict.GAP
        if self.joined_diffs and diff.first <= self.last_id:
            self.counts["diffs_overlapping"] += 1
        self.last_id = diff.last
        self.joined_diffs += 1
        return Verdict.APPLY

    def rejoin(self, snapshot_id: int) -> list[tuple[Diff, Verdict]] | None:
        """A snapshot with its `lastUpdateId`: the held diffs and what becomes of each, or `None` when it is
        not used.

        It is not used while there is a book without a gap, nor when the held diffs start after it.
        """
        if self.last_id is not None:
            self.counts["snapshots_not_needed"] += 1
            return None
        held = [diff for diff in self._held if diff.last > snapshot_id]
        if held and held[0].first > snapshot_id + 1:
            self.counts["snapshots_too_old"] += 1
            return None
        self._held.clear()
        self.last_id = snapshot_id
        self.joined_diffs = 0
        return [(diff, self.offer(diff)) for diff in held]
