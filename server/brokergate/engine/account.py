"""One account: its broker, what the journal and the broker say of it, and what goes into the journal.

What may be done with its orders stands in `placing` and `changing`. Between looking an id up and staging what follows
there is no suspension on an in-process broker, so two commands cannot both find an id free. What is staged is committed
with everything else of the same turn of the event loop, and a method answers after that commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from brokergate.domain import lifecycle
from brokergate.domain.accounts import BrokerPosition, ConnectionState, ValueSource
from brokergate.domain.commands import OrderRef, Request
from brokergate.domain.control import Discrepancy
from brokergate.domain.errors import ErrorReason, GatewayError, invalid_field, invites_repeat, shorten
from brokergate.domain.events import (
    ConnectionChanged,
    DiscrepancyChanged,
    EventPayload,
    OrderEventType,
    PositionChanged,
)
from brokergate.domain.instruments import Instrument
from brokergate.domain.money import ZERO
from brokergate.domain.orders import Order, PendingActionKind
from brokergate.domain.policy import AccountPolicy
from brokergate.domain.values import changed
from brokergate.engine.connection import Connection
from brokergate.engine.control import AccountControl, Refusal
from brokergate.engine.fault_setting import put_in_force
from brokergate.engine.holdings import DerivedPositions
from brokergate.engine.requests import check_same_request
from brokergate.engine.risk.limits import Risk
from brokergate.engine.tracker import Tracker
from brokergate.ports.broker import AbstractBroker, Report, RestoredState
from brokergate.ports.clock import Clock
from brokergate.ports.journal import Journal, Record, RequestDone, Setting, StoredAnswer
from brokergate.resilience.metrics import BrokerMetrics

NS_PER_S = 1_000_000_000
MISSED_POLLS = 3
"""Polls after which a broker that was not heard of is no longer healthy."""
DAY_SETTING = "day_loss"
"""Where the journal keeps what the day's loss is counted from."""


Taken = tuple[str, PendingActionKind, int]
"""A request that the broker took: the order's id, what was asked for, since when it is under way (nanoseconds)."""


class Account:
    """The state of one account."""

    control: AccountControl
    tracker: Tracker
    risk: Risk | None
    derived: DerivedPositions | None

    def __init__(
        self,
        account_id: str,
        broker: AbstractBroker,
        journal: Journal,
        clock: Clock,
        log: Callable[..., object],
        health_changed: Callable[[], None],
        *,
        policy: AccountPolicy,
        metrics: BrokerMetrics | None = None,
    ) -> None:
        """`metrics` is what the broker's adapter records in, where it does."""
        journal.open_account(account_id, durable=policy.durable)
        self.account_id = account_id
        self.configured_faults = put_in_force(journal, account_id, broker)
        self.broker = broker
        self.policy = policy
        self.instruments: Mapping[str, Instrument] = {}
        self.metrics = metrics or BrokerMetrics(clock)
        self.connection = Connection(account_id, broker, clock, log, self.metrics, health_changed)
        if not broker.in_process:
            # It is asked once an interval, beside all that it tells by itself.
            self.connection.monitor.max_data_age_s = MISSED_POLLS * policy.poll_interval_ns / NS_PER_S
        self.journal = journal
        self.clock = clock
        self.log = log
        self.on_discrepancy: Callable[[Discrepancy], None] = lambda _: None
        """Told of every disagreement that was found."""
        self.on_doubt: Callable[[], None] = lambda: None
        """Told when an order became uncertain."""
        self.taken: dict[Taken, int] = {}
        """What the broker took by its answer, whose outcome was still to be told then, and when: monotonic."""
        self.under_way: set[str] = set()
        """The orders of which something is being sent, or is about to be: silence about them proves nothing yet."""
        self.beyond_proof: set[str] = set()
        """The orders of which the broker said that it can tell nothing, now or later."""
        self._telling = False
        self.load()

    def load(self) -> None:
        """Takes up what the journal has: at the start, and after it was opened again."""
        journal, account_id, policy = self.journal, self.account_id, self.policy
        # What a venue that the journal keeps did since that failed never happened: it tells nothing until it was put
        # back.
        self.adrift = self.broker.keeps_venue
        positions = journal.positions(account_id)
        self.control = AccountControl(account_id, journal)
        self.derived = None if self.broker.in_process else DerivedPositions(positions)
        self.risk = None
        if policy.risk:
            day = journal.account_setting(account_id, DAY_SETTING)
            broker = self.broker
            self.risk = Risk(
                policy.risk, broker.quote, lambda: self.instruments, self.clock, day, broker.problem_with
            )
            for position in positions:
                self.risk.position(position)
        self.tracker = Tracker(
            account_id, journal, self.clock, self.log, self.connection.enter, self.derived, self.risk
        )
        self.tracker.instruments = self.instruments
        self._telling = False

    def present_ns(self) -> int:
        """The venue's present time, which the ends of orders are held against; nanoseconds since the epoch."""
        venue_ns = self.broker.venue_time_ns()
        return self.clock.now_ns() if venue_ns is None else venue_ns

    # Connecting

    def restored(self) -> RestoredState:
        """What the journal knows, for the broker to take up again."""
        self.journal.flush()
        orders, fills = self.journal.counts(self.account_id)
        return RestoredState(
            open_orders=tuple(self.tracker.open.values()),
            positions=self.journal.positions(self.account_id),
            balances=self.journal.balances(self.account_id),
            fills=fills,
            orders=orders,
            venue=self.journal.venue_history(self.account_id) if self.broker.keeps_venue else None,
        )

    async def open(self) -> None:
        """Connects the broker and learns its instruments. Raises what the broker raised."""
        await self.broker.connect(self.restored())
        self.adrift = False
        instruments = await self.broker.list_instruments()
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self.instruments_ns = self.clock.now_ns()
        self.tracker.instruments = self.instruments
        if self.risk is not None and (unknown := self.risk.unknown_symbols()):
            self.log(
                "risk limits name what the broker does not have", account=self.account_id, symbols=unknown
            )

    def enter(self, state: ConnectionState, message: str) -> None:
        """The connection is now in `state`; journals it."""
        self.connection.enter(state, message)
        self.stage((ConnectionChanged(state, message),))

    # The journal

    def take(self, reports: Sequence[Report]) -> None:
        """Stages what the broker told by itself."""
        if self.adrift:
            return
        self.connection.heard()
        self.stage(self.tracker.apply(reports))

    def stage(self, payloads: Sequence[EventPayload], records: Sequence[Record] = ()) -> None:
        """Puts payloads and records into the next commit."""
        if self.risk is not None and (day := self.risk.day_record()) is not None:
            records = (*records, Setting(DAY_SETTING, day))
        if payloads or records:
            self.journal.stage(self.account_id, self.clock.now_ns(), payloads, records)
            self._settle()
        if (self.tracker.holdings or self.broker.keeps_venue) and not self._telling:
            self._telling = True
            self.journal.before_commit(self._tell_holdings)

    def _tell_holdings(self) -> None:
        """Stages the positions and balances that changed since the last commit, behind all that changed them, and what
        the journal keeps of the venue."""
        self._telling = False
        if self.adrift:
            return
        try:
            payloads = self.tracker.apply(self.broker.untold())
            payloads.extend(self.tracker.holdings.values())
            self.tracker.holdings = {}
            kept = self.broker.unsaved()
            if payloads or kept:
                self.journal.stage(self.account_id, self.clock.now_ns(), payloads, kept)
                self._settle()
        except Exception as error:  # noqa: BLE001 - whoever waits for the commit is not to wait for ever
            self.connection.enter(ConnectionState.ERROR, str(error))
            self.log("broker's last word is wrong", account=self.account_id, error=repr(error))

    def _settle(self) -> None:
        """All that the tracker took in is staged."""
        settled = self.tracker.settle()
        self.metrics.fills += settled.fills
        self.metrics.orders_ended += settled.ended
        self.metrics.orders_filled += settled.filled

    def tell(self) -> None:
        """Commits what the broker has brought about by itself until now: what it answered can then be shown."""
        self.stage(())
        self.journal.flush()

    def doubt(
        self, order: Order, kind: PendingActionKind, message: str, payloads: list[EventPayload]
    ) -> Order:
        """Nobody knows what became of the `kind` of thing under way on `order` (law 3); the broker will be asked."""
        if order.ended or order.action(kind) is None:
            return order
        order = lifecycle.uncertain(order, kind, self.clock.now_ns())
        order = self.tracker.moved(OrderEventType.UNCERTAIN, order, payloads, message)
        self.on_doubt()
        return order

    def took(self, order: Order, kind: PendingActionKind) -> None:
        """The broker answered a request of this kind on `order`. Where it stays under way the outcome is still to be
        told, and that may be lost: the polls look after it."""
        action = order.action(kind)
        if action is not None and not action.uncertain and not self.broker.in_process:
            self.taken[order.order_id, kind, action.since_ns] = self.clock.monotonic_ns()

    def disagree(self, discrepancy: Discrepancy) -> None:
        """Stages a disagreement that was found; its instrument is frozen from now on."""
        self.control.take(discrepancy)
        self.stage((DiscrepancyChanged(discrepancy),))
        self.log(
            "broker and journal disagree",
            account=self.account_id,
            discrepancy=discrepancy.discrepancy_id,
            problem=discrepancy.message,
        )
        self.on_discrepancy(discrepancy)

    def begin_anew(self, reports: Sequence[Report]) -> None:
        """A paper account was reset, as `reports` say: its positions are these, and not the sum of its fills."""
        if self.derived is not None:
            for position in reports:
                if isinstance(position, BrokerPosition):
                    self.derived.take(position)
                    self.tracker.holdings["position", position.symbol] = PositionChanged(position)
        if self.risk is not None:
            # What was won and lost before is no loss of the day.
            self.risk.begin_day()

    def hold(self, position: BrokerPosition) -> None:
        """The broker's word of a position takes the place of the derived one; told behind all that is staged."""
        assert self.derived is not None
        self.derived.take(position)
        if self.risk is not None:
            self.risk.position(position)
        self.tracker.holdings["position", position.symbol] = PositionChanged(position)

    def believe(self, symbol: str, position: BrokerPosition | None) -> None:
        """Holds what the broker says of `symbol` by a person's word; None is nothing."""
        if self.derived is None:
            return
        if position is None:
            mine = self.derived.all.get(symbol)
            if mine is None:
                return
            # A broker that does not name an instrument holds nothing of it.
            now_ns = self.clock.now_ns()
            position = changed(mine, quantity=ZERO, cost=ZERO, as_of_ns=now_ns, source=ValueSource.VENUE)
        self.hold(position)
        if self.risk is not None:
            # What the broker's word changes was neither won nor lost today.
            self.risk.begin_day()

    # Looking up

    def find(self, ref: OrderRef) -> Order | None:
        """The order as it now stands."""
        if ref.order_id:
            order = self.tracker.open.get(ref.order_id)
            stored = None if order else self.journal.get_order(self.account_id, ref.order_id)
        else:
            order = self.tracker.working(ref.client_order_id)
            stored = None if order else self.journal.find_order(self.account_id, ref.client_order_id)
        return stored.order if stored else order

    def known(self, client_order_id: str, broker_order_id: str) -> Order | None:
        """The order that the broker calls so: by the client's id, else by the broker's; ended or not."""
        return self.tracker.find(client_order_id, broker_order_id)

    def get(self, ref: OrderRef, field: str = "order") -> Order:
        """The order as it now stands; ORDER_NOT_FOUND otherwise, naming the `ref` at the path `field`."""
        order = self.find(ref)
        if order is None:
            name = "order_id" if ref.order_id else "client_order_id"
            problem = f"account {self.account_id!r} has no order with {name} {shorten(getattr(ref, name))!r}"
            raise GatewayError(
                ErrorReason.ORDER_NOT_FOUND,
                problem,
                violations=invalid_field(f"{field}.{name}", problem).violations,
            )
        return order

    def instrument(self, symbol: str, field: str = "symbol") -> Instrument:
        """The instrument; INSTRUMENT_NOT_FOUND otherwise. Before the broker was there once nobody knows what it has:
        what `check_connected` raises, since a failed query is not an empty answer (law 4)."""
        instrument = self.instruments.get(symbol)
        if instrument is None:
            if not self.instruments:
                self.check_connected()
            known = ", ".join(sorted(self.instruments)[:8])
            problem = self.broker.problem_with(symbol) or f"it has {known}"
            raise GatewayError(
                ErrorReason.INSTRUMENT_NOT_FOUND,
                f"account {self.account_id!r} has no instrument {shorten(symbol)!r}; {problem}",
                violations=invalid_field(field, f"no instrument {shorten(symbol)!r}").violations,
            )
        return instrument

    def answered(self, request: Request) -> bytes | None:
        """The answer that the request got before; a refusal is raised again. REQUEST_ID_REUSED when it was another
        request."""
        stored = self.journal.find_answer(self.account_id, request.request_id)
        if stored is None:
            return None
        check_same_request(request, stored.method, stored.fingerprint)
        if stored.refusal is not None:
            raise stored.refusal
        return stored.body

    def done(self, request: Request, result: object) -> tuple[RequestDone, bytes]:
        """The record that keeps the answer of `request`, and the answer."""
        body = request.encode(result)
        answer = StoredAnswer(request.method, request.fingerprint, body)
        return RequestDone(request.request_id, answer, request.caller), body

    def refused(self, request: Request, error: GatewayError) -> Sequence[RequestDone]:
        """The record that keeps the broker's refusal of `request`. None for UNAVAILABLE, which invites to repeat: kept,
        it would be the answer to every repeat for ever."""
        if invites_repeat(error):
            return ()
        answer = StoredAnswer(request.method, request.fingerprint, b"", error)
        return (RequestDone(request.request_id, answer, request.caller),)

    # What may be done

    def check_tradable(self) -> None:
        """Raises TRADING_DISABLED for an account that is only read."""
        if not self.policy.trading_enabled:
            raise GatewayError(
                ErrorReason.TRADING_DISABLED,
                f"account {self.account_id!r} is read-only; set accounts.{self.account_id}.trading.enabled: true",
            )

    def check_connected(self) -> None:
        """Raises BROKER_UNAVAILABLE, BROKER_MAINTENANCE or RECOVERING unless the broker is there and its gap filled."""
        connection = self.connection
        if connection.state is ConnectionState.CONNECTED:
            return
        if connection.recovering:
            raise GatewayError(
                ErrorReason.RECOVERING,
                f"account {self.account_id!r} is being brought up to date with its broker",
                retry_after_ms=1000,
            )
        raise GatewayError(
            ErrorReason.BROKER_MAINTENANCE if connection.maintenance else ErrorReason.BROKER_UNAVAILABLE,
            f"account {self.account_id!r}: the broker is {connection.state.name}: {connection.message}",
            retry_after_ms=1000,
        )

    @property
    def unprovable(self) -> set[str]:
        """The symbols of orders whose outcome is unknown, and of which the broker's silence proves nothing (law 3)."""
        if self.broker.in_process:
            return set()
        provable = self.broker.capabilities.absence_after_ms is not None
        return {
            order.spec.symbol
            for order_id, order in self.tracker.uncertain.items()
            if not provable or order_id in self.beyond_proof
            if (action := order.action(PendingActionKind.NEW)) is not None and action.uncertain
        }

    def position(self, symbol: str) -> Decimal:
        """Units held of an instrument, by what is booked; below zero is short."""
        return dict(self.open_positions()).get(symbol, ZERO)

    def open_positions(self) -> Sequence[tuple[str, Decimal]]:
        """What is held, by symbol: units that are not zero, by what is booked."""
        if self.derived is not None:
            positions: Sequence[BrokerPosition] = list(self.derived.all.values())
        else:
            positions = self.journal.positions(self.account_id)
        return sorted((position.symbol, position.quantity) for position in positions if position.quantity)

    def refusal(self, symbol: str) -> Refusal | None:
        """What holds an order in `symbol` back: an emergency stop, a freeze."""
        control = self.control
        if control.stop is None and not control.discrepancies and self.broker.in_process:
            return None
        return control.refusal(symbol, self.unprovable)
