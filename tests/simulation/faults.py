"""What breaks, when: drawn from the seed; and which states of orders each fault has met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from brokergate.domain.orders import Order, OrderState, PendingActionKind


class Fault(StrEnum):
    """The faults."""

    # Between the gateway and the broker
    REQUEST_LOST = "request lost"
    REQUEST_LATE = "request late"
    ANSWER_LOST = "answer lost"
    ANSWER_LATE = "answer late"
    EVENT_LOST = "event lost"
    EVENT_TWICE = "event twice"
    EVENTS_SWAPPED = "events swapped"
    MUTE = "mute stream"
    DISCONNECTED = "disconnected"
    QUERY_FAILED = "query failed"
    QUERY_CUT = "query cut"
    QUERY_STALE = "query stale"
    # At the venue
    REFUSED = "refused by the venue"
    # Around the gateway
    KILLED = "killed"
    POWER_LOST = "power lost"
    CLOCK_SET = "clock set"
    # Under the journal
    DISK_FULL = "disk full"
    COMMIT_LOST = "commit lost"
    COMMIT_TORN = "commit torn"
    SYNC_FAILED = "sync failed"
    READ_FAILED = "read failed"
    # Between the clients and the gateway
    CALL_LOST = "call lost"
    CALLER_GONE = "caller gone"
    REPLY_LOST = "reply lost"
    SLOW_READER = "slow reader"


class Stand(StrEnum):
    """Where an order stands when a fault meets it."""

    NEW = "not there yet"
    """Its command is on the way to the gateway."""
    HELD = "held"
    SENT = "sent"
    UNKNOWN = "unknown"
    WORKING = "working"
    PARTIAL = "partly filled"
    CANCELLING = "cancelling"
    CANCEL_UNKNOWN = "cancel unknown"
    REPLACING = "replacing"
    REPLACE_UNKNOWN = "replace unknown"
    ENDED = "ended"


def stand_of(order: Order | None) -> Stand:
    """Where an order stands, by what is journalled."""
    if order is None:
        return Stand.NEW
    if order.ended:
        return Stand.ENDED
    for action in reversed(order.pending):
        if action.kind is PendingActionKind.NEW:
            return Stand.HELD if action.held else Stand.UNKNOWN if action.uncertain else Stand.SENT
        if action.kind is PendingActionKind.CANCEL:
            return Stand.CANCEL_UNKNOWN if action.uncertain else Stand.CANCELLING
        return Stand.REPLACE_UNKNOWN if action.uncertain else Stand.REPLACING
    return Stand.PARTIAL if order.state is OrderState.PARTIALLY_FILLED else Stand.WORKING


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of time in which one thing is broken. `rate` is the chance that a message is hit."""

    fault: Fault
    start_ns: int
    end_ns: int
    rate: float
    moment: str | None = None
    """The word of the journal that a single stroke waits for."""


MOMENTS = (
    "INTENT",
    "DISPATCHED",
    "DISPATCHED",
    "ACKNOWLEDGED",
    "PARTIALLY_FILLED",
    "FILLED",
    "CANCEL_REQUESTED",
    "REPLACE_REQUESTED",
    "REPLACE_REQUESTED",
    "UNCERTAIN",
    "UNCERTAIN",
    "CANCELED",
)


MESSAGE_FAULTS = (
    Fault.REQUEST_LOST,
    Fault.REQUEST_LATE,
    Fault.ANSWER_LOST,
    Fault.ANSWER_LATE,
    Fault.EVENT_LOST,
    Fault.EVENT_TWICE,
    Fault.EVENTS_SWAPPED,
    Fault.MUTE,
    Fault.QUERY_FAILED,
    Fault.QUERY_CUT,
    Fault.QUERY_STALE,
    Fault.REFUSED,
    Fault.CALL_LOST,
    Fault.CALLER_GONE,
    Fault.REPLY_LOST,
    Fault.SLOW_READER,
)
"""Faults that hit messages while their episode lasts; the others strike once, at its start."""

STRIKES = tuple(fault for fault in Fault if fault not in MESSAGE_FAULTS)

NS = 1_000_000_000


def draw_episodes(random: Random, length_ns: int, *, power: bool) -> list[Episode]:
    """What is to go wrong in a run of `length_ns`, in order of time. `power` says whether the power may be lost."""
    episodes = []
    for _ in range(random.randint(8, 18)):
        fault = random.choice(MESSAGE_FAULTS if random.random() < 0.6 else STRIKES)
        if fault is Fault.POWER_LOST and not power:
            fault = Fault.KILLED
        start_ns = random.randrange(length_ns)
        lasts_ns = round(random.uniform(0.2, 4.0) * NS)
        rate, moment = random.choice((0.1, 0.3, 0.7, 1.0)), random.choice((None, *MOMENTS))
        episodes.append(Episode(fault, start_ns, start_ns + lasts_ns, rate, moment))
    for _ in range(random.randint(0, 2)):
        # An outage: an answer is lost, and so is every other way to learn what became of the command.
        start_ns = random.randrange(length_ns)
        lost = random.choice((Fault.ANSWER_LOST, Fault.REQUEST_LATE, Fault.REQUEST_LOST))
        for fault, lasts_s, rate in (
            (lost, random.uniform(0.5, 2.0), 1.0),
            (Fault.MUTE, random.uniform(2.0, 9.0), 1.0),
            (Fault.QUERY_FAILED, random.uniform(2.0, 9.0), random.choice((0.5, 0.9, 1.0))),
        ):
            episodes.append(Episode(fault, start_ns, start_ns + round(lasts_s * NS), rate))
    return sorted(episodes, key=lambda episode: episode.start_ns)


class Coverage:
    """How often each fault met an order in each state."""

    def __init__(self, met: Counter[tuple[str, str]] | None = None) -> None:
        self.met: Counter[tuple[str, str]] = Counter() if met is None else met

    def meet(self, fault: Fault, stands: Iterable[Stand]) -> None:
        """`fault` struck orders in these states."""
        for stand in stands:
            self.met[fault, stand] += 1


class Faults:
    """The faults of one run: which are on, and what they have met."""

    def __init__(self, random: Random, episodes: list[Episode]) -> None:
        self.coverage = Coverage()
        self.strikes: Counter[Fault] = Counter()
        self.episodes = episodes
        self._random = random
        self._on: dict[Fault, float] = {}

    def begin(self, episode: Episode) -> None:
        """The stretch begins."""
        self._on[episode.fault] = max(self._on.get(episode.fault, 0.0), episode.rate)

    def end(self, episode: Episode) -> None:
        """The stretch is over."""
        self._on.pop(episode.fault, None)

    def heal(self) -> None:
        """Nothing is broken any more, nor will be."""
        self._on.clear()
        self.episodes = []

    def is_on(self, fault: Fault) -> bool:
        """Whether its stretch lasts."""
        return fault in self._on

    def hits(self, fault: Fault, *stands: Stand) -> bool:
        """Whether `fault` hits this message, which concerns orders in these states."""
        rate = self._on.get(fault)
        if rate is None or self._random.random() >= rate:
            return False
        self.struck(fault, *stands)
        return True

    def struck(self, fault: Fault, *stands: Stand) -> None:
        """`fault` has struck."""
        self.strikes[fault] += 1
        self.coverage.meet(fault, stands)
