"""What an emulated venue received, written down before it is answered: the judge of laws 2 and 7."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RequestLog:
    """Requests in the order in which they came. Signatures and secrets are left out, so that a log can be shown."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def add(
        self,
        time_ns: int,
        transport: str,
        kind: str,
        name: str,
        parameters: Mapping[str, Any],
        key: str = "",
    ) -> dict[str, Any]:
        """A request came over `transport` (rest, ws). The caller puts what it answers under `status` and `code`, and
        what befell the answer under `fault`; `took_ns` is the time that the venue itself needed."""
        entry: dict[str, Any] = {
            "number": len(self.entries) + 1,
            "time_ns": time_ns,
            "transport": transport,
            "kind": kind,
            "name": name,
            "parameters": {name: value for name, value in parameters.items() if name != "signature"},
            "key": key,
            "status": None,
            "code": None,
            "fault": None,
            "took_ns": None,
        }
        self.entries.append(entry)
        return entry
