"""How long a message is on its way, in nanoseconds: constant, by chance, or as somebody measured it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from brokergate.sim.dice import Dice


class Latency(Protocol):
    """Draws one latency after another."""

    drawn: int
    """Where it stands: set it to go on from there."""

    def next_ns(self) -> int:
        """The next message's, never below 0."""
        ...


LatencyFactory = Callable[[str], Latency]
"""Makes a latency model whose chance is of the given name: each direction has its own."""


class ConstantLatency:
    """Always the same (hftbacktest: ConstantLatency in models/latency.rs; nautilus: LatencyModel)."""

    def __init__(self, latency_ns: int) -> None:
        _check(latency_ns)
        self._latency_ns = latency_ns
        self.drawn = 0

    def next_ns(self) -> int:
        return self._latency_ns


class NormalLatency:
    """Normally distributed about a mean, and what would be below 0 is 0: with a deviation that is not small against
    the mean the real mean lies above the given one."""

    def __init__(self, mean_ns: int, deviation_ns: int, dice: Dice) -> None:
        _check(mean_ns)
        _check(deviation_ns)
        self._mean_ns, self._deviation_ns = mean_ns, deviation_ns
        self._dice = dice

    @property
    def drawn(self) -> int:
        return self._dice.thrown

    @drawn.setter
    def drawn(self, drawn: int) -> None:
        self._dice.thrown = drawn

    def next_ns(self) -> int:
        return max(0, self._mean_ns + round(self._deviation_ns * self._dice.deviation()))


class RecordedLatency:
    """As measured: one after another, from the beginning again after the last; or, with dice, any of them by chance,
    each as likely as any other. `ValueError` for none, and for one below 0: hftbacktest reads that as a rejected order,
    which is the fault REJECTION here."""

    def __init__(self, latencies_ns: Sequence[int], dice: Dice | None = None) -> None:
        if not latencies_ns:
            raise ValueError("there is no latency in it")
        for latency_ns in latencies_ns:
            _check(latency_ns)
        self._latencies_ns = latencies_ns
        self._dice = dice
        self.drawn = 0

    def next_ns(self) -> int:
        number = self.drawn
        self.drawn += 1
        if self._dice is not None:
            self._dice.thrown = number
            number = self._dice.below(len(self._latencies_ns))
        return self._latencies_ns[number % len(self._latencies_ns)]


def _check(latency_ns: int) -> None:
    if latency_ns < 0:
        raise ValueError(
            f"a latency of {latency_ns} ns is below 0; a rejected order, as which hftbacktest reads it, is the fault "
            "REJECTION here"
        )
