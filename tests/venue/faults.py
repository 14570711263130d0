"""What can go wrong between a gateway and its venue, by the dice or on demand. Pure but for the dice handed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from brokergate.domain.accounts import BrokerBalance, BrokerPosition, LedgerEntry
from brokergate.ports.broker import FillReport, OrderReport, Report

COMMANDS = frozenset({"place", "replace", "cancel"})
QUERIES = frozenset({"find", "open_orders", "fills", "positions", "balances", "info", "instruments"})


class Fault(StrEnum):
    """What befalls one request."""

    LOSE_REQUEST = "lose_request"
    """It never arrives."""
    LOSE_ANSWER = "lose_answer"
    """It is done, and the answer is lost."""
    DELAY_REQUEST = "delay_request"
    """It arrives late; others overtake it."""
    DELAY_ANSWER = "delay_answer"
    CUT_BEFORE = "cut_before"
    """The connection breaks, and it never arrived."""
    CUT_AFTER = "cut_after"
    """It is done, and the connection breaks before the answer."""
    GARBLE_ANSWER = "garble_answer"
    """It is done, and the answer does not parse."""
    FAIL = "fail"
    """It is not done, and the answer is an error of the server, as a 503 is."""


ON_REQUESTS = tuple(Fault)


@dataclass(frozen=True, slots=True)
class FaultRates:
    """How likely each fault is, from 0 to 1; delays in milliseconds. Fields that are `Fault`s befall requests, commands
    and queries alike, at most one each."""

    lose_request: float = 0.0
    lose_answer: float = 0.0
    delay_request: float = 0.0
    delay_answer: float = 0.0
    cut_before: float = 0.0
    cut_after: float = 0.0
    garble_answer: float = 0.0
    fail: float = 0.0
    max_delay_ms: int = 200
    """The longest delay. An honest venue's declared absence lies above it."""
    lose_events: float = 0.0
    """A frame of events is lost on a connection that looks healthy."""
    duplicate_events: float = 0.0
    reorder_events: float = 0.0
    """What a frame tells of different orders comes in another order; what it tells of one does not."""
    delay_events: float = 0.0
    """A frame and all after it come late: answers overtake it."""


class Faults:
    """Says what befalls the next request, the next frame. `injected` counts what was done, by name."""

    def __init__(self, rates: FaultRates, random: Random) -> None:
        self.rates = rates
        self.injected: dict[str, int] = {}
        self._random = random
        self._ordered: list[tuple[Fault, str]] = []

    def order(self, fault: Fault, op: str, count: int) -> None:
        """`fault` shall befall the next `count` requests of `op`, before the dice are asked."""
        self._ordered += [(fault, op)] * count

    def on_request(self, op: str) -> Fault | None:
        """What befalls a request that has come."""
        if op not in COMMANDS and op not in QUERIES:
            return None
        for index, (fault, wanted) in enumerate(self._ordered):
            if wanted == op:
                del self._ordered[index]
                return self._count(fault)
        chance = self._random.random()
        for fault in ON_REQUESTS:
            chance -= getattr(self.rates, fault.value)
            if chance < 0:
                return self._count(fault)
        return None

    def delay_s(self) -> float:
        """How long a delay lasts, in seconds."""
        return self._random.random() * self.rates.max_delay_ms / 1000

    def frames(self, reports: Sequence[Report]) -> list[Sequence[Report]]:
        """The frames in which `reports` go out: none when they are lost, two when they are doubled."""
        if self._happens("lose_events"):
            return []
        if self._happens("reorder_events"):
            reports = shuffled(reports, self._random)
        return [reports, reports] if self._happens("duplicate_events") else [reports]

    def events_delayed(self) -> bool:
        """Whether the next frame comes late."""
        return self._happens("delay_events")

    def _happens(self, name: str) -> bool:
        if self._random.random() >= getattr(self.rates, name):
            return False
        self.injected[name] = self.injected.get(name, 0) + 1
        return True

    def _count(self, fault: Fault) -> Fault:
        self.injected[fault.value] = self.injected.get(fault.value, 0) + 1
        return fault


def shuffled(reports: Sequence[Report], random: Random) -> list[Report]:
    """`reports` in a random order that keeps what is told of one order, or of one holding, in its own."""
    lanes: dict[object, list[Report]] = {}
    for report in reports:
        lanes.setdefault(_lane(report), []).append(report)
    remaining = list(lanes.values())
    mixed: list[Report] = []
    while remaining:
        lane = random.choice(remaining)
        mixed.append(lane.pop(0))
        if not lane:
            remaining.remove(lane)
    return mixed


def _lane(report: Report) -> object:
    if isinstance(report, OrderReport | FillReport):
        # Generations of one order have one root; an order of others has no client id.
        return report.client_order_id or report.broker_order_id.partition("-")[0]
    if isinstance(report, BrokerPosition):
        return ("position", report.symbol)
    if isinstance(report, BrokerBalance):
        return ("balance", report.currency)
    return ("ledger",) if isinstance(report, LedgerEntry) else ("connection",)
