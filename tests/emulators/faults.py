"""What goes wrong on purpose. The names are the same for every venue; `docs/emulators.md` lists them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

REQUEST = frozenset(
    {
        "answer_lost_before_accept",
        "answer_lost_after_accept",
        "arrives_late",
        "status",
        "html",
        "slow_loris",
        "partial_json",
    }
)
"""Befall the answer to a request: `count` of them, 1 unless said otherwise."""
FRAME = frozenset({"lose_frame", "duplicate_frames", "reorder_frames"})
"""Befall what a stream tells, frame by frame: `count` of them, 1 unless said otherwise."""
STANDING = frozenset({"mute_stream", "maintenance", "key_revoked", "clock_off", "delay", "query_lag"})
"""Last until they are cleared, or for `count` requests or frames."""
AT_ONCE = frozenset({"cut_stream", "restart"})
"""Are done when they are asked for."""
ALL = REQUEST | FRAME | STANDING | AT_ONCE


@dataclass(slots=True)
class Fault:
    """One fault that waits to befall something."""

    kind: str
    on: str = "*"
    """The request kind (`place`), the venue's own name of the request (`POST /api/v3/order`), or `*`."""
    left: int | None = 1
    """How many more it befalls; None for no end."""
    arguments: dict[str, Any] = field(default_factory=dict)

    def befalls(self, *names: str) -> bool:
        """Whether it is meant for something with these names."""
        return self.on == "*" or self.on in names


class Faults:
    """The faults that wait, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []
        self.injected: dict[str, int] = {}
        """How often each kind has befallen something."""

    def add(self, kind: str, on: str = "*", count: int | None = None, **arguments: Any) -> Fault:
        """A new fault. `ValueError` for a kind that there is not."""
        if kind not in ALL:
            raise ValueError(f"no fault {kind!r}; there are {', '.join(sorted(ALL))}")
        left = count if count is not None or kind in STANDING else 1
        fault = Fault(kind, on, left, arguments)
        if kind not in AT_ONCE:
            self.waiting.append(fault)
        return fault

    def take(self, kinds: frozenset[str] | set[str], *names: str) -> Fault | None:
        """The first fault of these kinds that befalls something with these names; it has then befallen it."""
        for fault in self.waiting:
            if fault.kind in kinds and fault.befalls(*names):
                self.count(fault.kind)
                if fault.left is not None:
                    fault.left -= 1
                    if fault.left <= 0:
                        self.waiting.remove(fault)
                return fault
        return None

    def standing(self, kind: str) -> Fault | None:
        """The first fault of a kind that waits, without its befalling anything."""
        return next((fault for fault in self.waiting if fault.kind == kind), None)

    def count(self, kind: str) -> None:
        """A fault has befallen something."""
        self.injected[kind] = self.injected.get(kind, 0) + 1

    def clear(self) -> None:
        """Nothing goes wrong any more. What was injected stays counted."""
        self.waiting.clear()
