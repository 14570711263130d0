"""What goes wrong on purpose at a TWS, beside what goes wrong at every venue. `docs/emulator-tws.md` lists it all."""

from __future__ import annotations

from typing import Any

from tests.emulators.faults import FRAME, Fault, Faults

REQUESTS = frozenset({"answer_lost_before_accept", "answer_lost_after_accept", "arrives_late", "error"})
"""Befall a request: `count` of them, 1 unless said otherwise."""
CONNECTION = frozenset({"silent_accept", "accept_then_close", "client_id_taken"})
"""Befall a client that connects: all of them until they are cleared, or `count`."""
STREAM_MUTE = frozenset({"mute_stream"})
MUTE = frozenset({"mute"})
LATE_COMMISSION = frozenset({"late_commission"})
LASTING = (
    CONNECTION
    | STREAM_MUTE
    | MUTE
    | LATE_COMMISSION
    | {"delay", "query_lag", "maintenance", "clock_off", "read_only", "localised", "no_market_data"}
)
"""Last until they are cleared, or for `count` of what they befall."""
DONE = frozenset(
    {
        "cut_stream",
        "restart",
        "half_open",
        "nightly_reset",
        "connectivity",
        "error_storm",
        "farm_flap",
        "replay_executions",
    }
)
"""Are done when they are asked for."""
COUNTED_AT_ONCE = DONE | {"clock_off", "query_lag"}
"""Count as injected when they are asked for."""
ALL = REQUESTS | FRAME | LASTING | DONE


class TwsFaults(Faults):
    """See the module."""

    def add(self, kind: str, on: str = "*", count: int | None = None, **arguments: Any) -> Fault:
        if kind not in ALL:
            raise ValueError(f"no fault {kind!r}; there are {', '.join(sorted(ALL))}")
        fault = Fault(kind, on, count if count is not None or kind in LASTING else 1, arguments)
        if kind not in DONE:
            self.waiting.append(fault)
        return fault
