"""The way between a strategy and the venue: how long a command travels, and how long what the venue tells.

A command acts on the book of its arrival, and is heard of so much later. Nothing overtakes, as on one connection: what
was sent earlier arrives no later (`sim/channel.py`).
"""

from __future__ import annotations

from typing import Protocol

from brokergate.adapters.paper.line import lanes_of
from brokergate.adapters.paper.link_config import LatencyConfig
from brokergate.sim.latency import ConstantLatency, Latency


class Line(Protocol):
    """A way with delays, in nanoseconds, 0 or more; each call is for the next message."""

    def request_ns(self) -> int:
        """How long the command that is sent next is under way."""
        ...

    def response_ns(self) -> int:
        """How long what the venue tells next is under way."""
        ...


class LatencyLine:
    """The latencies of an account."""

    def __init__(self, request: Latency, response: Latency) -> None:
        self._request, self._response = request, response

    def request_ns(self) -> int:
        return self._request.next_ns()

    def response_ns(self) -> int:
        return self._response.next_ns()


NO_WAY = LatencyLine(ConstantLatency(0), ConstantLatency(0))
"""A command acts at the moment that it is given."""


def line_of(latency: LatencyConfig | None) -> Line:
    """The line of a configured account. `ValueError` and `OSError` for a recording that cannot be read."""
    lanes = lanes_of(latency)
    return LatencyLine(lanes.request, lanes.response)
