"""Which fault has met orders in which state: a table, and the pairs that cannot be."""

from __future__ import annotations

from collections.abc import Mapping

from tests.simulation.faults import Fault, Stand

_TO_VENUE = (Fault.REQUEST_LOST, Fault.REQUEST_LATE, Fault.ANSWER_LOST, Fault.ANSWER_LATE, Fault.REFUSED)
_NOTHING_SENT = (Stand.NEW, Stand.HELD)
_EVENTS = (Fault.EVENT_LOST, Fault.EVENT_TWICE, Fault.EVENTS_SWAPPED, Fault.MUTE)

IMPOSSIBLE: Mapping[tuple[Fault, Stand], str] = {
    **{
        (fault, stand): "nothing of it was sent"
        for fault in (*_TO_VENUE, *_EVENTS)
        for stand in _NOTHING_SENT
    },
    **{
        (fault, Stand.HELD): "the venue is not asked for it" for fault in (Fault.QUERY_STALE, Fault.QUERY_CUT)
    },
    (Fault.SLOW_READER, Stand.NEW): "a reader concerns no order",
}


def empty_cells(met: Mapping[tuple[str, str], int]) -> list[tuple[Fault, Stand]]:
    """The pairs that could have met and did not."""
    return [
        (fault, stand)
        for fault in Fault
        for stand in Stand
        if (fault, stand) not in IMPOSSIBLE and not met.get((fault, stand))
    ]


def table(met: Mapping[tuple[str, str], int]) -> str:
    """The table, in Markdown. `-` is a pair that cannot be."""
    lines = [
        "| fault | " + " | ".join(Stand) + " |",
        "|---" * (len(Stand) + 1) + "|",
    ]
    for fault in Fault:
        cells = [
            "-"
            if (fault, stand) in IMPOSSIBLE and not met.get((fault, stand))
            else str(met.get((fault, stand), 0))
            for stand in Stand
        ]
        lines.append(f"| {fault} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
