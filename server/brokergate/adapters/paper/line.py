"""The line between the gateway and a paper venue that is not in process: commands and answers take their time on it,
in the venue's time, and things go wrong on purpose.

    command → request latency → the venue acts → what happens → response latency → events
                                              → its answer    → response latency → answer

Where the venue's time does not pass (a tape that is paused, or at its end), whatever is under way arrives at once.
A connection that is lost loses the answers and events under way; commands under way arrive all the same.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from brokergate.adapters.connection.outbox import Outbox
from brokergate.adapters.paper.keeping import PaperFeed
from brokergate.adapters.paper.link_config import LatencyConfig
from brokergate.adapters.paper.missed import ended
from brokergate.domain.accounts import BrokerBalance, BrokerPosition, ConnectionState, LedgerEntry
from brokergate.domain.errors import (
    BrokerError,
    ErrorReason,
    ExchangeMaintenanceError,
    TemporaryConnectionError,
)
from brokergate.domain.faults import FaultKind, FaultPlan
from brokergate.domain.orders import OrderState
from brokergate.domain.values import changed
from brokergate.ports.broker import (
    ConnectionReport,
    FillReport,
    OrderReport,
    Outcome,
    Rejected,
    Report,
    Unknown,
)
from brokergate.ports.clock import Clock
from brokergate.sim.channel import Channel
from brokergate.sim.history import name_of
from brokergate.sim.latency import Latency
from brokergate.sim.market import MarketUpdate
from brokergate.sim.mishaps import Mishaps
from brokergate.sim.venue import Venue

T = TypeVar("T")

Act = Callable[[Venue, int], Sequence[Outcome]]
"""What a command does at the venue, at the time of its arrival."""
ASTRAY_NS = 100_000_000
"""How late an event comes that is to be overtaken, where the fault does not say."""
GENERATIONS = 4
"""Looks of the gateway for missed executions after which it is sure to know how an order ended that it was told of."""
_FOREVER_NS = 2**63
_OUT_OF_REACH = "the paper venue is out of reach on purpose (DISCONNECT)"
_LOST = "the connection to the paper venue was lost"


@dataclass(slots=True)
class Command:
    """A command on its way to the venue."""

    kind: str
    client_order_ids: Collection[str]
    act: Act
    count: int
    """How many outcomes it has."""
    answer: asyncio.Future[Sequence[Outcome]]


@dataclass(slots=True)
class _Answer:
    future: asyncio.Future[Any]
    value: object


@dataclass(slots=True)
class Lanes:
    """How long messages take, each way."""

    request: Latency
    response: Latency


@dataclass(slots=True)
class _Told:
    """Names of orders whose end the gateway was told, by how many looks ago."""

    generations: deque[set[str]] = field(default_factory=lambda: deque([set() for _ in range(GENERATIONS)]))

    def add(self, name: str) -> None:
        self.generations[-1].add(name)

    def rotate(self) -> set[str]:
        self.generations.append(set())
        return self.generations.popleft()

    def renew(self, more: Sequence[str]) -> None:
        """What was told may not have been heard: it counts as told just now."""
        names = set().union(*self.generations, more)
        self.generations = deque([set() for _ in range(GENERATIONS - 1)])
        self.generations.append(names)


def lanes_of(latency: LatencyConfig | None) -> Lanes:
    """The latencies of a configuration. `ValueError` and `OSError` for a recording that cannot be read."""
    given = latency or LatencyConfig()
    return Lanes(given.request.model(given.seed, "request"), given.response.model(given.seed, "response"))


class Line:
    """See the module. `now` gives the venue and its time, everything played that came before it."""

    def __init__(self, mishaps: Mishaps, clock: Clock, now: Callable[[], tuple[Venue, int]]) -> None:
        self.mishaps = mishaps
        self._lanes = lanes_of(None)
        self._clock = clock
        self._now = now
        self._requests: Channel[Command] = Channel()
        self._answers: Channel[_Answer] = Channel()
        self._events: Channel[Report] = Channel()
        self._told = _Told()
        self._entries: list[LedgerEntry] = []
        self._outbox = Outbox()
        self._feed: PaperFeed | None = None
        self._venue: Venue | None = None
        self._up = False
        self._wake = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None

    # The connection

    def equip(self, lanes: Lanes) -> None:
        """Messages take so long from now on."""
        self._lanes = lanes

    def lay(self, venue: Venue, feed: PaperFeed) -> None:
        """The line leads to this venue; nothing is under way on it."""
        self._venue, self._feed = venue, feed
        self._requests, self._answers, self._events = Channel(), Channel(), Channel()
        self._told = _Told()
        self._entries = []

    def start(self) -> None:
        """Messages move from now on."""
        if self._pump is None:
            self._pump = asyncio.create_task(self._run(), name="line to a paper venue")

    def up(self, outbox: Outbox) -> None:
        """The gateway connects: events go to `outbox`. `BrokerError` while it cannot."""
        self._check_open()
        self._outbox = outbox
        self._up = True
        assert self._venue is not None
        history = self._venue.history
        self._told.renew([name_of(order) for order in history.orders] if history else ())
        entries, self._entries = self._entries, []
        self.tell(entries, self._venue.now_ns)

    def down(self) -> None:
        """The connection ends: nobody hears what is under way to the gateway."""
        self._up = False
        self._events.clear()
        for command in self._requests.messages():
            _give(command.answer, [Unknown(_LOST)] * command.count)
        for answer in self._answers.clear():
            if isinstance(answer.value, list):
                _give(answer.future, [Unknown(_LOST) for _ in answer.value])
            elif not answer.future.done():
                answer.future.set_exception(TemporaryConnectionError(_LOST))
        self._outbox.close()

    async def stop(self) -> None:
        """Nothing moves any more, and what is under way to the venue is lost."""
        if self._up:
            self.down()
        self._requests.clear()
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    def set_faults(self, plan: FaultPlan) -> None:
        """These faults are in force from now on."""
        self.mishaps.set(plan)
        self._break_off()

    def _check_open(self) -> None:
        now_ns = self._clock.now_ns()
        for kind, error, what in (
            (FaultKind.DISCONNECT, TemporaryConnectionError, _OUT_OF_REACH),
            (
                FaultKind.MAINTENANCE,
                ExchangeMaintenanceError,
                "the paper venue is under maintenance on purpose",
            ),
        ):
            left_ns = self.mishaps.left_ns(kind, now_ns)
            if left_ns != 0:
                until = (
                    "until its faults are set anew"
                    if left_ns is None
                    else f"for another {left_ns / 1e9:.3f} s"
                )
                raise error(f"{what} {until}")

    def _break_off(self) -> None:
        """Ends the connection where a fault that lasts says so."""
        if not self._up:
            return
        try:
            self._check_open()
        except BrokerError as error:
            self._lose(error)

    def _lose(self, error: BrokerError) -> None:
        if isinstance(error, ExchangeMaintenanceError):
            self._outbox.fail(error)
        else:
            self._outbox.add([ConnectionReport(ConnectionState.RECONNECTING, str(error))])
        self.down()

    # From the gateway

    async def command(
        self, kind: str, client_order_ids: Collection[str], act: Act, count: int
    ) -> list[Outcome]:
        """Sends a command on these orders and gives its `count` outcomes. The first has what was told before."""
        answer = self.send(kind, client_order_ids, act, count)
        return self.heard(await answer)

    def send(
        self, kind: str, client_order_ids: Collection[str], act: Act, count: int
    ) -> asyncio.Future[Sequence[Outcome]]:
        """As `command`, for one who waits for the answer later."""
        answer: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
        if not self._up:
            refused = Rejected(ErrorReason.BROKER_UNAVAILABLE, "the paper account is not connected")
            answer.set_result([refused] * count)
            return answer
        _, now_ns = self._now()
        command = Command(kind, frozenset(client_order_ids), act, count, answer)
        self._requests.send(command, now_ns, self._lanes.request.next_ns())
        if self.mishaps.set_off(FaultKind.DISCONNECT, self._clock.now_ns()):
            # What is on its way arrives; its answer does not.
            self._lose(TemporaryConnectionError(_OUT_OF_REACH))
        self.progress(now_ns)
        return answer

    def heard(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes, the first with what was told before and nobody took yet."""
        told = self._outbox.take()
        given = list(outcomes)
        if told:
            given[0] = replace(given[0], reports=[*told, *given[0].reports])
        return given

    async def query(self, ask: Callable[[Venue], T]) -> T:
        """What `ask` says now, a response latency later. `BrokerError` where nobody answers."""
        self._check_open()
        if not self._up:
            raise TemporaryConnectionError("the paper account is not connected")
        venue, now_ns = self._now()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        # A tuple, that a list of outcomes is not taken for it.
        self._answers.send(_Answer(future, (ask(venue),)), now_ns, self._lanes.response.next_ns())
        self.progress(now_ns)
        return await future

    def under_way(self, client_order_id: str) -> bool:
        """Whether a command on this order has not yet come to the venue."""
        return any(client_order_id in command.client_order_ids for command in self._requests.messages())

    def clear(self, venue: Venue) -> list[Report]:
        """The account begins anew: everything that the gateway was not told yet, at once. What is on its way to the
        venue arrives afterwards."""
        reports: list[Report] = list(self._events.clear())
        if venue.history is not None:
            reports = [*venue.history.fills, *(said for said in reports if not isinstance(said, FillReport))]
            reports += [ended(order) for order in venue.history.orders]
        return reports

    def looked(self, venue: Venue, executions: int) -> None:
        """The gateway knows the executions up to this number, and asks for more."""
        if venue.history is not None:
            venue.history.forget(executions, self._told.rotate())

    # At the venue

    def between(self, updates: Sequence[MarketUpdate]) -> Iterator[Sequence[MarketUpdate]]:
        """The updates in parts, each to be applied before the next is asked for: commands arrive before an update that
        is later than they are."""
        begin = 0
        if self._requests:
            for index, update in enumerate(updates):
                next_ns = self._requests.next_ns
                if next_ns is None:
                    break
                if next_ns < update.time_ns:
                    if index > begin:
                        yield updates[begin:index]
                        begin = index
                    self._arrive(update.time_ns - 1, update.time_ns - 1)
        if begin < len(updates):
            yield updates[begin:] if begin else updates

    def tell(self, reports: Sequence[Report], now_ns: int, *, commanded: bool = False) -> None:
        """The venue tells what happened up to `now_ns`; after a command also what that set aside."""
        assert self._venue is not None
        if not reports and not commanded:
            return
        balances = [said for said in self._venue.changed_holdings() if isinstance(said, BrokerBalance)]
        if not reports and not balances:
            return
        latency_ns, at_ns = self._lanes.response.next_ns(), -1
        for report in (*reports, *balances):
            if isinstance(report, BrokerPosition):
                continue  # the gateway adds up what it was told of
            happened_ns = now_ns
            if isinstance(report, OrderReport | FillReport):
                happened_ns = min(report.event_time_ns, now_ns)
            if at_ns not in (-1, happened_ns):
                latency_ns = self._lanes.response.next_ns()
            at_ns = happened_ns
            self._send_event(report, at_ns, latency_ns)
        self._wake.set()

    def _send_event(self, report: Report, now_ns: int, latency_ns: int) -> None:
        mishaps = self.mishaps
        if not self._up:
            if isinstance(report, LedgerEntry):
                self._entries.append(report)
            return
        # Nobody can ask for an entry of the ledger: it is never lost on purpose.
        if not mishaps.plan.faults or isinstance(report, LedgerEntry):
            self._events.send(report, now_ns, latency_ns)
            return
        if mishaps.struck(FaultKind.MUTE_STREAM):
            return
        late, astray = mishaps.struck(FaultKind.DELAYED_EVENTS), mishaps.struck(FaultKind.REORDERED_EVENTS)
        delay_ns = latency_ns + (late.delay_ns if late else 0)
        astray_ns = (astray.delay_ns or ASTRAY_NS) if astray else 0
        for _ in range(2 if mishaps.struck(FaultKind.DUPLICATED_EVENTS) else 1):
            self._events.send(report, now_ns, delay_ns, astray_ns=astray_ns)

    def _arrive(self, until_ns: int, now_ns: int) -> None:
        """Commands that arrive up to `until_ns` act, at their moment, which is at most `now_ns`."""
        assert self._venue is not None
        for arrival_ns, command in self._requests.arrivals(until_ns):
            moment_ns = min(arrival_ns, now_ns)
            outcomes = self._done(command, self._venue, moment_ns)
            reports = [report for outcome in outcomes for report in outcome.reports]
            self.tell(reports, self._venue.now_ns, commanded=True)
            if self.mishaps.struck(FaultKind.LOST_ACKNOWLEDGEMENT):
                lost = Unknown("the answer was lost on purpose (LOST_ACKNOWLEDGEMENT)")
                told: list[Outcome] = [lost] * command.count
            else:
                told = [changed(outcome, reports=()) for outcome in outcomes]
            if self._up:
                self._answers.send(_Answer(command.answer, told), moment_ns, self._lanes.response.next_ns())
            self._break_off()

    def _done(self, command: Command, venue: Venue, moment_ns: int) -> Sequence[Outcome]:
        mishaps, wall_ns = self.mishaps, self._clock.now_ns()
        if mishaps.plan.faults:
            maintained = mishaps.set_off(FaultKind.MAINTENANCE, wall_ns)
            if maintained or mishaps.left_ns(FaultKind.MAINTENANCE, wall_ns) != 0:
                message = "the paper venue is under maintenance on purpose"
                return [Rejected(ErrorReason.BROKER_MAINTENANCE, message)] * command.count
            if command.kind == PLACE and mishaps.struck(FaultKind.REJECTION):
                message = "the paper venue rejects the order on purpose (REJECTION)"
                return [Rejected(ErrorReason.BROKER_REJECTED, message)] * command.count
        return command.act(venue, moment_ns)

    # Time

    def progress(self, now_ns: int) -> None:
        """It is `now_ns` at the venue: what arrives by then does so. Nothing, before the line leads anywhere."""
        if self._venue is None:
            return
        until_ns = _FOREVER_NS if self._feed is not None and self._feed.stands else now_ns
        self._arrive(until_ns, now_ns)
        self.deliver(until_ns)
        self._wake.set()

    def deliver(self, until_ns: int) -> None:
        """What arrives at the gateway up to `until_ns` does so."""
        events = [report for _, report in self._events.arrivals(until_ns)]
        if events:
            self._remember(events)
            self._outbox.add(events)
        for _, answer in self._answers.arrivals(until_ns):
            value = answer.value
            _give(answer.future, value[0] if isinstance(value, tuple) else value)

    def _remember(self, reports: Sequence[Report]) -> None:
        history = self._venue.history if self._venue is not None else None
        if history is None:
            return
        for report in reports:
            if isinstance(report, OrderReport | FillReport):
                ended = history.ended(name_of(report))
                if ended is not None and (ended.state is OrderState.FILLED) is isinstance(report, FillReport):
                    self._told.add(name_of(report))

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            channels: tuple[Channel[Any], ...] = (self._requests, self._answers, self._events)
            due = [next_ns for channel in channels if (next_ns := channel.next_ns) is not None]
            if due and self._feed is not None:
                await self._until(min(due), self._feed)
            else:
                await self._wake.wait()

    async def _until(self, due_ns: int, feed: PaperFeed) -> None:
        """Returns when something that was due at `due_ns` has moved, or there is something else to see to."""
        wait_s = feed.seconds_until(due_ns)
        if feed.stands or (wait_s is not None and wait_s <= 0):
            _, now_ns = self._now()
            self.progress(now_ns)
            if now_ns < due_ns and not feed.stands:
                # The feed is behind its own clock; it says when it has played on.
                self._wake.clear()
                await self._wake.wait()
        elif wait_s is None:
            await self._wake.wait()
        else:
            await self._either(wait_s)

    async def _either(self, wait_s: float) -> None:
        sleep = asyncio.ensure_future(self._clock.sleep(wait_s))
        wake = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleep, wake), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            wake.cancel()
            await asyncio.gather(sleep, wake, return_exceptions=True)

    # Keeping

    def standing(self) -> str:
        """How many times each of its dice was thrown."""
        return f"{self._lanes.request.drawn} {self._lanes.response.drawn} {self.mishaps.dice.thrown}"

    def stand(self, standing: str) -> None:
        """Takes up what `standing` gave."""
        request, response, faults = standing.split(" ")
        self._lanes.request.drawn, self._lanes.response.drawn = int(request), int(response)
        self.mishaps.dice.thrown = int(faults)


PLACE, REPLACE, CANCEL = "place", "replace", "cancel"
"""Kinds of commands."""


def _give(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)
