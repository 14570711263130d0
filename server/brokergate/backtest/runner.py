"""Plays a market against the paper account's venue, and gives it a run's commands.

Of one moment, the market comes first, as in the gateway: a command acts after everything that the market told up to
its arrival. Commands and what the venue tells are events on one queue, in the order of their times and then of their
giving; a strategy is never called while it is in a call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from heapq import heappop, heappush
from random import Random

from brokergate.adapters.paper.abilities import CAPABILITIES
from brokergate.backtest.blotter import Blotter, Notice, OrderRecord, name_of
from brokergate.backtest.commands import Cancel, Command, Given, Place, Replace
from brokergate.backtest.line import NO_WAY, Line
from brokergate.backtest.market import Market
from brokergate.backtest.recording import Recorder
from brokergate.backtest.strategy import Strategy, View
from brokergate.backtest.times import time_text
from brokergate.backtest.trader import RunTrader
from brokergate.domain.accounts import LedgerEntry
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.events import OrderChanged
from brokergate.domain.money import ZERO, multiply
from brokergate.domain.orders import OrderSpec
from brokergate.domain.values import changed
from brokergate.engine import rules
from brokergate.ports.broker import (
    Accepted,
    FillReport,
    MarginReport,
    OrderReport,
    Outcome,
    Rejected,
    ReplaceCommand,
    Report,
    RestoredState,
    VenueOrder,
)
from brokergate.sim.terms import AccountTerms
from brokergate.sim.venue import Venue

MAX_AT_ONCE = 100_000
"""Events of one moment: more is a strategy that answers itself for ever."""
_HALF = Decimal("0.5")
_NOTHING = RestoredState((), (), (), 0, 0)


class RunawayStrategy(Exception):
    """A strategy answers what it hears with ever more commands at the same moment."""


class StrategyFailed(Exception):
    """A strategy raised: its text says in which call and at which time, its cause what."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has come to its end."""

    venue: Venue
    blotter: Blotter
    recorder: Recorder
    start_ns: int
    end_ns: int
    updates: int
    """Updates of the market that were played."""


class Run:
    """One run, to be called once. `script` is in the order of its times."""

    def __init__(
        self,
        market: Market,
        terms: AccountTerms,
        *,
        script: Sequence[Given] = (),
        strategy: Strategy | None = None,
        line: Line = NO_WAY,
        until_ns: int | None = None,
        seed: int = 0,
    ) -> None:
        self.market = market
        until_ns = market.end_ns if until_ns is None else until_ns
        self.end_ns = until_ns if market.endless else min(until_ns, market.end_ns)
        self.now_ns = market.start_ns
        self.venue = Venue(market.instruments, terms, _NOTHING, market.start_ns)
        self.venue.opening()
        self.blotter = Blotter(self.mid)
        self._recorder = Recorder(self.venue, market.start_ns, self.end_ns)
        self._line = line
        self._strategy = strategy
        self._trader = RunTrader(self, Random(f"{seed}/strategy"))
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._sent_ns = self._heard_ns = 0
        # Whether what the venue tells now begins a message: an answer and all that it brought travel as one.
        self._message = True
        self._at_once = 0
        late = sum([given.time_ns > self.end_ns for given in script])
        if late:
            message = (
                f"{late} of {len(script)} commands were not given: their time is after the end of the run"
            )
            self.blotter.notices.append(Notice(self.end_ns, message))
        for given in script:
            self.at(given.time_ns, self._giver(given.command))

    def __call__(self) -> Finished:
        """Plays it all. `TapeError` for a tape that cannot be read on, `RunawayStrategy`,
        `StrategyFailed`."""
        strategy, recorder, venue = self._strategy, self._recorder, self.venue
        played = 0
        if strategy is not None:
            self._ask("on_start", lambda: strategy.on_start(self._trader))
        for update in self.market.updates():
            time_ns = update.time_ns
            if time_ns > self.end_ns:
                break
            if self._events and self._events[0][0] < time_ns:
                self._happen(time_ns - 1)
            recorder.until(time_ns)
            self._arrive(time_ns)
            self._message = True
            self._hear(venue.apply((update,), time_ns))
            played += 1
            recorder.price(update.symbol, time_ns)
            if strategy is not None:
                self._updated(strategy, View(update.symbol, time_ns))
        self._happen(self.end_ns)
        recorder.until(self.end_ns)
        self._arrive(self.end_ns)
        self._message = True
        self._hear(venue.advance(self.end_ns))
        recorder.look(self.end_ns)
        return Finished(venue, self.blotter, recorder, self.market.start_ns, self.end_ns, played)

    # What a trader asks

    def send(self, command: Command) -> None:
        """A command is given now."""
        if isinstance(command, Place):
            self._intend(command)
        self._sent_ns = max(self._sent_ns, self.now_ns + self._line.request_ns())
        self.at(self._sent_ns, lambda: self._do(command))

    def at(self, time_ns: int, event: Callable[[], None]) -> None:
        """`event` happens at `time_ns`, after what the market tells up to then."""
        self._count += 1
        heappush(self._events, (time_ns, self._count, event))

    def mid(self, symbol: str) -> Decimal | None:
        """The middle of bid and ask; None without both, and while the book is not trusted."""
        listing = self.venue.listings.get(symbol)
        doubled = None if listing is None else listing.market.book.middle()
        if listing is None or doubled is None:
            return None
        return multiply(multiply(listing.instrument.price_increment, Decimal(doubled)), _HALF)

    def wake(self, time_ns: int) -> None:
        """The strategy wants to be called at a moment to come."""
        self.at(max(time_ns, self.now_ns), self._time)

    # Inside

    def _giver(self, command: Command) -> Callable[[], None]:
        return lambda: self.send(command)

    def _arrive(self, time_ns: int) -> None:
        if time_ns > self.now_ns:
            self.now_ns = time_ns
            self._at_once = 0

    def _happen(self, until_ns: int) -> None:
        """Everything on the queue up to `until_ns`, which is included."""
        while self._events and self._events[0][0] <= until_ns:
            time_ns, _, event = heappop(self._events)
            self._recorder.until(time_ns)
            self._arrive(time_ns)
            self._at_once += 1
            if self._at_once > MAX_AT_ONCE:
                raise RunawayStrategy(
                    f"more than {MAX_AT_ONCE} commands and answers at one moment, {self.now_ns} ns since 1970: the "
                    "strategy answers itself for ever; act on what the market does, or use trader.wake"
                )
            event()

    def _ask(self, name: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            raise StrategyFailed(
                f"the strategy failed in {name} at {time_text(self.now_ns)}: {error!r}"
            ) from error

    def _updated(self, strategy: Strategy, view: View) -> None:
        self._ask("on_update", lambda: strategy.on_update(self._trader, view))

    def _time(self) -> None:
        strategy = self._strategy
        if strategy is not None:
            self._ask("on_time", lambda: strategy.on_time(self._trader))

    def _intend(self, command: Place) -> None:
        spec, listing = command.spec, self.venue.listings.get(command.spec.symbol)
        self.blotter.intend(
            command.client_order_id,
            spec,
            spec.quantity if spec.quantity is not None else ZERO,
            listing.instrument if listing else None,
            self.now_ns,
        )

    def _do(self, command: Command) -> None:
        self._message = True
        match command:
            case Place():
                self._place(command)
            case Replace():
                self._replace(command)
            case Cancel():
                self._cancel(command)

    def _place(self, command: Place) -> None:
        record = self.blotter.records[command.client_order_id]
        try:
            record.order = changed(record.order, spec=self._checked(command.spec))
        except GatewayError as error:
            self._tell(self.blotter.reject(record, error.reason, error.message, self.now_ns))
            return
        (outcome,) = self.venue.place([record.order], self.now_ns)
        if isinstance(outcome, Accepted):
            self._tell(self.blotter.acknowledge(record, outcome.broker_order_id, self.now_ns))
            self._hear(outcome.reports)
            self._look_for_rest(record)
        elif isinstance(outcome, Rejected):
            self._hear(outcome.reports)
            self._tell(self.blotter.reject(record, outcome.reason, outcome.message, self.now_ns))

    def _checked(self, spec: OrderSpec) -> OrderSpec:
        """The order with its time in force, or a `GatewayError`: what the gateway checks before the venue sees it."""
        listing = self.venue.listings.get(spec.symbol)
        if listing is None:
            known = ", ".join(self.venue.listings)
            raise GatewayError(
                ErrorReason.INSTRUMENT_NOT_FOUND, f"there is no instrument {spec.symbol!r}; there are {known}"
            )
        if spec.quantity is None:
            raise GatewayError(ErrorReason.INVALID_FIELD, "the quantity is missing")
        force = rules.check_order(spec, listing.instrument, CAPABILITIES, "paper", lambda: self.now_ns)
        return changed(spec, time_in_force=force)

    def _cancel(self, command: Cancel) -> None:
        record = self._working("cancel", command.client_order_id)
        if record is not None:
            self._answered("cancel", record, self.venue.cancel(record.order, self.now_ns))

    def _replace(self, command: Replace) -> None:
        record = self._working("replace", command.client_order_id)
        if record is None:
            return
        order = record.order
        quantity = order.quantity if command.quantity is None else command.quantity
        prices = {"limit_price": command.limit_price, "stop_price": command.stop_price}
        changes = {name: price for name, price in prices.items() if price is not None}
        spec = changed(order.spec, quantity=quantity, **changes)
        try:
            self._checked(spec)
        except GatewayError as error:
            refused = self.blotter.refuse(
                "replace", order.client_order_id, error.reason, error.message, self.now_ns
            )
            self._tell(refused)
            return
        outcome = self.venue.replace(ReplaceCommand(order, spec, quantity), self.now_ns)
        if isinstance(outcome, Accepted):
            self._tell(self.blotter.replaced(record, spec, quantity, outcome.broker_order_id, self.now_ns))
        self._answered("replace", record, outcome)

    def _working(self, command: str, client_order_id: str) -> OrderRecord | None:
        record = self.blotter.records.get(client_order_id)
        if record is not None and not record.order.ended:
            return record
        message = f"there is no working order {client_order_id!r}"
        reason = ErrorReason.ORDER_NOT_FOUND if record is None else ErrorReason.ORDER_ENDED
        self._tell(self.blotter.refuse(command, client_order_id, reason, message, self.now_ns))
        return None

    def _answered(self, command: str, record: OrderRecord, outcome: Outcome) -> None:
        self._hear(outcome.reports)
        if isinstance(outcome, Rejected):
            name = record.order.client_order_id
            self._tell(self.blotter.refuse(command, name, outcome.reason, outcome.message, self.now_ns))

    def _hear(self, reports: Iterable[Report]) -> None:
        """What the venue tells: noted at once, told to the strategy when it gets there."""
        filled = False
        for report in reports:
            if isinstance(report, FillReport):
                filled = True
                self.blotter.fill(report)
                self._later(self._fill_teller(report))
            elif isinstance(report, OrderReport):
                self._tell(self.blotter.tell(report))
                self._look_for_rest(self.blotter.records[name_of(report)])
            elif isinstance(report, VenueOrder):
                self.blotter.of_the_venue(report, self.venue.listings[report.symbol].instrument, self.now_ns)
            elif isinstance(report, LedgerEntry):
                self.blotter.entries.append(report)
            elif isinstance(report, MarginReport):
                self.blotter.notices.append(Notice(self.now_ns, report.message))
        if filled:
            self._recorder.look(self.now_ns)

    def _look_for_rest(self, record: OrderRecord) -> None:
        """Notes that an order stands in the book now."""
        if record.rested_ns is None and not record.order.ended:
            working = self.venue.working(record.order.client_order_id)
            if working is not None and not working.waiting:
                record.rested_ns = self.now_ns

    def _tell(self, change: OrderChanged | None) -> None:
        if change is not None and self._strategy is not None:
            self._later(self._change_teller(change))

    def _later(self, event: Callable[[], None]) -> None:
        if self._strategy is not None:
            if self._message:
                self._message = False
                self._heard_ns = max(self._heard_ns, self.now_ns + self._line.response_ns())
            self.at(self._heard_ns, event)

    def _change_teller(self, change: OrderChanged) -> Callable[[], None]:
        def tell() -> None:
            strategy = self._strategy
            assert strategy is not None
            self._trader.heard(change.order)
            self._ask("on_order", lambda: strategy.on_order(self._trader, change))

        return tell

    def _fill_teller(self, report: FillReport) -> Callable[[], None]:
        order = self.blotter.records[name_of(report)].order

        def tell() -> None:
            strategy = self._strategy
            assert strategy is not None
            self._trader.filled(report, order)
            self._ask("on_fill", lambda: strategy.on_fill(self._trader, report))

        return tell
