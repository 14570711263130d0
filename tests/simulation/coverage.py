"""Which fault has met orders in which state: a table, and the pairs that cannot be."""

from __future__ import annotations

from collections.abc import Mapping

from tests.simulation.faults import Fault, Stand

_TO_VENUE = (Fault.REQUEST_LOST, Fault.REQUEST_LATE, Fault.ANSWER_LOST, Fault.ANSWER_LATE, Fault.REFUSED)
_EVENTS = (Fault.EVENT_LOST, Fault.EVENT_TWICE, Fault.EVENTS_SWAPPED, Fault.MUTE)
_CALLS = (Fault.CALL_LOST, Fault.CALLER_GONE, Fault.REPLY_LOST)
_COMMANDED = (Stand.SENT, Stand.CANCELLING, Stand.CANCEL_UNKNOWN, Stand.REPLACING)
"""How an order stands while a command of it is on the way."""

IMPOSSIBLE: Mapping[tuple[Fault, Stand], str] = {
    **{
        (fault, stand): "a command marks its order before it goes out"
        for fault in _TO_VENUE
        for stand in Stand
        if stand not in _COMMANDED
    },
    **{(fault, Stand.HELD): "the venue has nothing of it to tell" for fault in _EVENTS},
    **{(fault, Stand.ENDED): "the venue tells no more of it" for fault in _EVENTS},
    **{
        (fault, Stand.NEW): "a fault of everything meets what the journal has"
        for fault in Fault
        if fault not in (*_EVENTS, *_CALLS)
    },
}
"""Pairs that cannot meet, or only where the journal is a moment behind, and why."""

RARE: Mapping[tuple[Fault, Stand], str] = {
    **{
        (fault, stand): "it lasts some milliseconds between two polls"
        for fault in (Fault.QUERY_CUT, Fault.QUERY_STALE)
        for stand in (Stand.REPLACING, Stand.CANCELLING)
    },
    **{(fault, Stand.REPLACE_UNKNOWN): "fills while a replace is unknown" for fault in _EVENTS},
    (Fault.REFUSED, Stand.CANCEL_UNKNOWN): "cancels that are sent again meet no refusal by rule",
}
"""Pairs that thousands of seeds meet a few times or never: an empty cell is no failure."""


def empty_cells(met: Mapping[tuple[str, str], int]) -> list[tuple[Fault, Stand]]:
    """The pairs that could have met and did not."""
    return [
        (fault, stand)
        for fault in Fault
        for stand in Stand
        if (fault, stand) not in IMPOSSIBLE and (fault, stand) not in RARE and not met.get((fault, stand))
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
