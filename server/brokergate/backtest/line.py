"""The way between a strategy and the venue: how long a command travels, and how long an answer.

A run works with any `Line`. A command is done against the book of its arrival, and what the venue tells is heard so
much later. Nothing overtakes: what was sent earlier arrives no later.
"""

from __future__ import annotations

from typing import Protocol


class Line(Protocol):
    """A way with delays, in nanoseconds, 0 or more."""

    def request_ns(self, now_ns: int) -> int:
        """How long a command that is sent now is under way."""
        ...

    def response_ns(self, now_ns: int) -> int:
        """How long what the venue tells now is under way."""
        ...


class DirectLine:
    """No way at all: a command acts at the moment it is given."""

    def request_ns(self, now_ns: int) -> int:
        return 0

    def response_ns(self, now_ns: int) -> int:
        return 0
