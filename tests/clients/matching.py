"""What was seen against what is expected, and against what others saw."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,18})?")

# What is another at each run: kept as being there, or as being empty.
_VOLATILE = frozenset(
    {
        *("order_id", "client_order_id", "account_id", "broker_order_id", "broker_execution_id", "fill_id"),
        *("event_id", "cursor", "sequence", "id", "ids", "request_id", "group_id", "operation_id"),
        *(
            "stop_operation_id",
            "ledger_entry_id",
            "epoch",
            "server_version",
            "message",
            "description",
            "text",
        ),
        *(
            "since_time",
            "as_of",
            "create_time",
            "update_time",
            "event_time",
            "receive_time",
            "server_time",
            "time",
        ),
        *("last_data_time", "tape_time", "start_time", "order_latency_mean", "order_latency_p99", "uptime"),
        *("clock_offset", "clock_drift", "limit_utilisation", "peer", "client_name", "earliest_cursor"),
        *("next_page_token", "metrics", "reconnects", "played_updates", "skipped_updates"),
    }
)


def problems(expected: Any, seen: Any, path: str = "") -> Iterator[str]:
    """Where `seen` is not as `expected` says; CONFORMANCE.md has the notation."""
    if isinstance(expected, dict) and any(name.startswith("$") for name in expected):
        yield from _by_rule(expected, seen, path)
    elif isinstance(expected, dict):
        if not isinstance(seen, dict):
            yield f"{path}: {expected!r} expected, {seen!r} seen"
            return
        for name, value in expected.items():
            yield from problems(value, seen.get(name), f"{path}.{name}" if path else name)
    elif isinstance(expected, list):
        if not isinstance(seen, list) or len(seen) != len(expected):
            yield f"{path}: {len(expected)} expected, {seen!r} seen"
            return
        for index, (one, other) in enumerate(zip(expected, seen, strict=True)):
            yield from problems(one, other, f"{path}[{index}]")
    elif not _fits(expected, seen):
        yield f"{path}: {expected!r} expected, {seen!r} seen"


def _by_rule(expected: dict[str, Any], seen: Any, path: str) -> Iterator[str]:
    for name, value in expected.items():
        if name == "$below":
            if not isinstance(seen, int) or seen >= value:
                yield f"{path}: less than {value} expected, {seen!r} seen"
        elif name == "$above":
            if not isinstance(seen, int) or seen <= value:
                yield f"{path}: more than {value} expected, {seen!r} seen"
        elif not isinstance(seen, list):
            yield f"{path}: a list expected, {seen!r} seen"
        elif name == "$len" and len(seen) != value:
            yield f"{path}: {value} items expected, {len(seen)} seen"
        elif name == "$all":
            for index, item in enumerate(seen):
                yield from problems(value, item, f"{path}[{index}]")
        elif name == "$has" and all(list(problems(value, item)) for item in seen):
            yield f"{path}: none of {seen!r} is {value!r}"
        elif name == "$distinct" and len({str(item) for item in seen}) != len(seen):
            yield f"{path}: some of the items are the same"


def _fits(expected: Any, seen: Any) -> bool:
    if not isinstance(expected, str) or not isinstance(seen, str):
        return bool(expected == "*" and seen is not None) or (
            type(expected) is type(seen) and bool(expected == seen)
        )
    match expected[:1]:
        case "=":
            return _NUMBER.fullmatch(seen) is not None and Decimal(seen) == Decimal(expected[1:])
        case "~":
            return re.fullmatch(expected[1:], seen, re.DOTALL) is not None
        case _:
            return expected in ("*", seen)


def comparable(seen: Any, name: str = "") -> Any:
    """What `seen` must have in common with what every other client saw."""
    if name in _VOLATILE or name.endswith("_time"):
        return f"<{name}>" if seen not in ("", None, [], 0, "0") else seen
    if isinstance(seen, dict):
        return {inner: comparable(value, inner) for inner, value in sorted(seen.items())}
    if isinstance(seen, list):
        return [comparable(value) for value in seen]
    if isinstance(seen, str) and _NUMBER.fullmatch(seen):
        try:
            number = Decimal(seen)
        except InvalidOperation:
            return seen
        return f"{number.normalize():f}" if number else "0"
    return seen
