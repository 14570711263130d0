"""Write docs/order-lifecycle.md from the table of `domain/lifecycle.py`, so that the diagram is the code."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from brokergate.domain.events import OrderEventType
from brokergate.domain.lifecycle import TRANSITIONS
from brokergate.domain.orders import ENDED, OrderState

PAGE = Path(__file__).resolve().parent.parent / "docs" / "order-lifecycle.md"

INTRODUCTION = """\
# The life of an order

<!-- Written by tools/lifecycle_docs.py from server/brokergate/domain/lifecycle.py; change it there. -->

`Order.state` is what the venue last proved; what is under way stands in `Order.pending`. An arrow is an event of the
journal (`OrderEventType`). What is not drawn cannot happen: the code has one table, and a pair that it lacks raises.
Events that leave a state as it is are listed below the picture.

"""


def page() -> str:
    """The page."""
    moves: dict[tuple[OrderState, OrderState], list[OrderEventType]] = {}
    stays: dict[OrderState, list[OrderEventType]] = {}
    for (state, event), to in TRANSITIONS.items():
        if state is to:
            stays.setdefault(state, []).append(event)
        else:
            moves.setdefault((state, to), []).append(event)
    lines = [INTRODUCTION + "```mermaid", "stateDiagram-v2"]
    for (state, to), events in sorted(moves.items()):
        start = "[*]" if state is OrderState.UNSPECIFIED else state.name
        lines.append(f"    {start} --> {to.name}: {', '.join(event.name for event in sorted(events))}")
    lines += [f"    {state.name} --> [*]" for state in sorted(ENDED)]
    lines += ["```", "", "| state | events that leave it as it is |", "|---|---|"]
    for state, events in sorted(stays.items()):
        lines.append(f"| {state.name} | {', '.join(event.name for event in sorted(events))} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or with --check say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where it is out of date")
    if not parser.parse_args().check:
        PAGE.write_text(page(), "utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == page():
        return 0
    print("docs/order-lifecycle.md is out of date; run 'python tools/lifecycle_docs.py'", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
