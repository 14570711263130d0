"""One account: its orders from command to journal.

Between looking an id up and staging what follows there is no suspension on an in-process broker, so two commands
cannot both find an id free. What is staged is committed with everything else of the same turn of the event loop,
and a method answers after that commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from brokergate.domain import lifecycle
from brokergate.domain.accounts import ConnectionState
from brokergate.domain.commands import (
    CancelOrder,
    CancelResult,
    IfUnknown,
    OrderFailure,
    OrderRef,
    Placed,
    PlaceOrder,
    PlaceResult,
    ReplaceOrder,
    Request,
)
from brokergate.domain.errors import ErrorReason, GatewayError, invalid_field, shorten
from brokergate.domain.events import (
    ConnectionChanged,
    ControlChanged,
    ControlEventType,
    EventPayload,
    OrderChanged,
    OrderEventType,
)
from brokergate.domain.instruments import Instrument
from brokergate.domain.orders import Order, PendingAction, PendingActionKind, Side
from brokergate.domain.policy import AccountPolicy
from brokergate.domain.values import changed
from brokergate.engine.connection import Connection, Metrics
from brokergate.engine.replacing import change
from brokergate.engine.requests import check_same_request
from brokergate.engine.rules import check_order, check_replace_support
from brokergate.engine.tracker import Tracker
from brokergate.ports.broker import (
    AbstractBroker,
    Accepted,
    Outcome,
    Rejected,
    ReplaceCommand,
    Report,
    RestoredState,
    Unknown,
)
from brokergate.ports.clock import Clock
from brokergate.ports.journal import Journal, NewOrder, Record, RequestDone, StoredAnswer, Tombstone


class Account:
    """The commands and the state of one account."""

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
    ) -> None:
        journal.open_account(account_id, durable=policy.durable)
        self.account_id = account_id
        self.broker = broker
        self.policy = policy
        self.instruments: Mapping[str, Instrument] = {}
        self.connection = Connection(account_id, broker, clock, health_changed)
        self.tracker = Tracker(account_id, journal, clock, log, self.connection.enter)
        self.metrics = Metrics()
        self._journal = journal
        self._clock = clock
        self._log = log
        self._telling = False

    # Connecting

    def restored(self) -> RestoredState:
        """What the journal knows, for the broker to take up again."""
        self._journal.flush()
        orders, fills = self._journal.counts(self.account_id)
        return RestoredState(
            open_orders=tuple(self.tracker.open.values()),
            positions=self._journal.positions(self.account_id),
            balances=self._journal.balances(self.account_id),
            fills=fills,
            orders=orders,
        )

    async def connect(self) -> None:
        """Connects the broker; the connection's state says how it went. Raises what the broker raised."""
        self.connection.enter(ConnectionState.CONNECTING)
        try:
            await self.broker.connect(self.restored())
            instruments = await self.broker.list_instruments()
        except Exception as error:
            self.enter(ConnectionState.ERROR, str(error))
            raise
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self.enter(ConnectionState.CONNECTED, "")

    def enter(self, state: ConnectionState, message: str) -> None:
        """The connection is now in `state`; journals it."""
        self.connection.enter(state, message)
        self.stage((ConnectionChanged(state, message),))

    def take(self, reports: Sequence[Report]) -> None:
        """Stages what the broker told by itself."""
        self.connection.heard()
        self.stage(self.tracker.apply(reports))

    def stage(self, payloads: Sequence[EventPayload], records: Sequence[Record] = ()) -> None:
        """Puts payloads and records into the next commit."""
        if payloads or records:
            self._journal.stage(self.account_id, self._clock.now_ns(), payloads, records)
            self.tracker.settle()
        if (self.tracker.holdings or self.broker.in_process) and not self._telling:
            self._telling = True
            self._journal.before_commit(self._tell_holdings)

    def _tell_holdings(self) -> None:
        """Stages the positions and balances that changed since the last commit, behind all that changed them."""
        self._telling = False
        try:
            payloads = self.tracker.apply(self.broker.untold())
            payloads.extend(self.tracker.holdings.values())
            self.tracker.holdings = {}
            if payloads:
                self._journal.stage(self.account_id, self._clock.now_ns(), payloads)
                self.tracker.settle()
        except Exception as error:  # noqa: BLE001 - whoever waits for the commit is not to wait for ever
            self.connection.enter(ConnectionState.ERROR, str(error))
            self._log("broker's last word is wrong", account=self.account_id, error=repr(error))

    def tell(self) -> None:
        """Commits what the broker has brought about by itself until now: what it answered can then be shown."""
        self.stage(())
        self._journal.flush()

    # Looking up

    def find(self, ref: OrderRef) -> Order | None:
        """The order as it now stands."""
        if ref.order_id:
            order = self.tracker.open.get(ref.order_id)
            stored = None if order else self._journal.get_order(self.account_id, ref.order_id)
        else:
            order = self.tracker.working(ref.client_order_id)
            stored = None if order else self._journal.find_order(self.account_id, ref.client_order_id)
        return stored.order if stored else order

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
        """The instrument; INSTRUMENT_NOT_FOUND otherwise."""
        instrument = self.instruments.get(symbol)
        if instrument is None:
            known = ", ".join(sorted(self.instruments)[:8])
            raise GatewayError(
                ErrorReason.INSTRUMENT_NOT_FOUND,
                f"account {self.account_id!r} has no instrument {shorten(symbol)!r}; it has {known}",
                violations=invalid_field(field, f"no instrument {shorten(symbol)!r}").violations,
            )
        return instrument

    def answered(self, request: Request) -> bytes | None:
        """The answer that the request got before. REQUEST_ID_REUSED when it was another request."""
        stored = self._journal.find_answer(self.account_id, request.request_id)
        if stored is None:
            return None
        check_same_request(request, stored.method, stored.fingerprint)
        return stored.body

    def done(self, request: Request, result: object) -> tuple[RequestDone, bytes]:
        """The record that keeps the answer of `request`, and the answer."""
        body = request.encode(result)
        return RequestDone(request.request_id, StoredAnswer(request.method, request.fingerprint, body)), body

    # Placing

    async def place(self, commands: Sequence[PlaceOrder]) -> Sequence[PlaceResult]:
        """Places orders in turn; each answers for itself. Answers after the commit."""
        results = await self.stage_orders(commands)
        await self._journal.commit_now()
        return results

    async def stage_orders(self, commands: Sequence[PlaceOrder]) -> list[PlaceResult]:
        """As `place`, up to the staging of what is to be answered. Does not suspend on an in-process broker."""
        results: list[PlaceResult | None] = [None] * len(commands)
        payloads: list[EventPayload] = []
        records: list[Record] = []
        sending: list[tuple[int, Order]] = []
        twins: list[tuple[int, int]] = []
        fresh: dict[str, tuple[int, str]] = {}
        # One reading of the clock for all: what is encoded of a time is remembered by the time.
        now_ns = self._clock.now_ns()
        known = self._journal.find_orders(self.account_id, [command.client_order_id for command in commands])
        for index, command in enumerate(commands):
            client_id = command.client_order_id
            try:
                if client_id in known:
                    stored = known[client_id]
                    self._same_body(command, stored.fingerprint, stored.order.order_id)
                    results[index] = Placed(self.tracker.latest(stored.order), True)
                elif client_id in fresh:
                    first, order_id = fresh[client_id]
                    self._same_body(command, commands[first].fingerprint, order_id)
                    twins.append((index, first))
                else:
                    order = self._intend(command, now_ns)
                    fresh[client_id] = index, order.order_id
                    records.append(NewOrder(client_id, command.fingerprint))
                    if self._journal.is_tombstoned(self.account_id, client_id):
                        results[index] = Placed(self._tombstoned(order, payloads), False)
                    else:
                        self.tracker.hold(order)
                        sending.append((index, order))
            except GatewayError as error:
                results[index] = OrderFailure(error)
        if sending:
            if not self.broker.in_process:
                await self._announce([order for _, order in sending], payloads, records)
                payloads, records = [], []
            placed = await self._send([order for _, order in sending], payloads)
            for (index, _), order in zip(sending, placed, strict=True):
                results[index] = Placed(order, False)
        self.stage(payloads, records)
        for index, first in twins:
            twin = results[first]
            results[index] = Placed(twin.order, True) if isinstance(twin, Placed) else twin
        return [result for result in results if result is not None]

    @staticmethod
    def _same_body(command: PlaceOrder, fingerprint: bytes, order_id: str) -> None:
        if fingerprint != command.fingerprint:
            raise GatewayError(
                ErrorReason.CLIENT_ORDER_ID_REUSED,
                f"client_order_id {command.client_order_id!r} was used for another order; draw a new one",
                metadata={"order_id": order_id},
            )

    def _intend(self, command: PlaceOrder, now_ns: int) -> Order:
        spec = command.spec
        self.check_tradable()
        instrument = self.instrument(spec.symbol, "order.symbol")
        time_in_force = check_order(spec, instrument, self.broker.capabilities, self.broker.name, now_ns)
        quantity = spec.quantity
        if quantity is None:
            raise invalid_field("order.quantity", "is missing; give the units of the instrument to trade")
        if time_in_force is not spec.time_in_force:
            spec = changed(spec, time_in_force=time_in_force)
        return lifecycle.intend(
            order_id=self._journal.next_order_id(self.account_id),
            client_order_id=command.client_order_id,
            account_id=self.account_id,
            spec=spec,
            quantity=quantity,
            multiplier=instrument.multiplier,
            now_ns=now_ns,
        )

    def _tombstoned(self, order: Order, payloads: list[EventPayload]) -> Order:
        message = "a cancel with if_unknown TOMBSTONE came before this order"
        return self.tracker.rejected(order, ErrorReason.TOMBSTONED, message, payloads)

    async def _announce(
        self, orders: Sequence[Order], payloads: list[EventPayload], records: Sequence[Record]
    ) -> None:
        """Commits the intent to send `orders` before their first byte goes out (law 1)."""
        for order in orders:
            payloads.append(OrderChanged(OrderEventType.INTENT, order))
            payloads.append(OrderChanged(OrderEventType.DISPATCHED, order))
        self.stage(payloads, records)
        await self._journal.commit()

    def check_tradable(self) -> None:
        """Raises TRADING_DISABLED or BROKER_UNAVAILABLE."""
        if not self.policy.trading_enabled:
            raise GatewayError(
                ErrorReason.TRADING_DISABLED,
                f"account {self.account_id!r} is read-only; set accounts.{self.account_id}.trading.enabled: true",
            )
        self.check_connected()

    def check_connected(self) -> None:
        """Raises BROKER_UNAVAILABLE unless the broker is connected."""
        if self.connection.state is not ConnectionState.CONNECTED:
            raise GatewayError(
                ErrorReason.BROKER_UNAVAILABLE,
                f"account {self.account_id!r}: the broker is {self.connection.state.name}: {self.connection.message}",
                retry_after_ms=1000,
            )

    async def _send(self, orders: Sequence[Order], payloads: list[EventPayload]) -> list[Order]:
        started_ns = self._clock.monotonic_ns()
        outcomes: Sequence[Outcome]
        try:
            outcomes = await self.broker.place_orders(orders)
        except Exception as error:  # noqa: BLE001 - the port allows none, so whichever it is, what was sent is unknown
            self._log(
                "broker failed while placing", account=self.account_id, orders=len(orders), error=repr(error)
            )
            outcomes = [Unknown(f"the adapter failed: {type(error).__name__}")] * len(orders)
        self.metrics.sent(len(orders), self._clock.monotonic_ns() - started_ns)
        # Reports that concern several orders come once, in one of the outcomes: all of them first.
        reports = [report for outcome in outcomes for report in outcome.reports]
        if reports:
            payloads.extend(self.tracker.apply(reports))
        return [
            self._placed(order, outcome, payloads) for order, outcome in zip(orders, outcomes, strict=True)
        ]

    def _placed(self, order: Order, outcome: Outcome, payloads: list[EventPayload]) -> Order:
        order = self.tracker.latest(order)
        if isinstance(outcome, Accepted):
            return self.tracker.acknowledged(order, outcome.broker_order_id, payloads)
        if isinstance(outcome, Rejected):
            self.metrics.orders_rejected += 1
            return (
                order
                if order.ended
                else self.tracker.rejected(order, outcome.reason, outcome.message, payloads)
            )
        return self._uncertain(order, PendingActionKind.NEW, outcome, payloads)

    def report(self, outcome: Outcome, payloads: list[EventPayload]) -> None:
        """Applies what the broker told with its answer."""
        if outcome.reports:
            payloads.extend(self.tracker.apply(outcome.reports))

    def _uncertain(
        self, order: Order, kind: PendingActionKind, outcome: Unknown, payloads: list[EventPayload]
    ) -> Order:
        order = lifecycle.uncertain(order, kind, self._clock.now_ns())
        self.tracker.hold(order)
        payloads.append(OrderChanged(OrderEventType.UNCERTAIN, order, message=outcome.message))
        return order

    # Changing and cancelling

    async def replace(self, command: ReplaceOrder, request: Request) -> bytes:
        """Changes a working order and answers after the commit."""
        answer = self.answered(request)
        if answer is not None:
            return await self._committed(answer)
        order = self._working(command.order)
        self.check_tradable()
        check_replace_support(self.broker.capabilities, self.broker.name)
        spec, quantity = change(order, command)
        instrument = self.instrument(spec.symbol)
        check_order(spec, instrument, self.broker.capabilities, self.broker.name, self._clock.now_ns(), at="")
        payloads: list[EventPayload] = []
        if not self.broker.in_process:
            order = self._request(order, PendingActionKind.REPLACE, request, payloads)
            self.stage(payloads)
            await self._journal.commit()
            payloads = []
        self.tracker.expect_replace(order.order_id, spec, quantity)
        outcome = await self.broker.replace_order(ReplaceCommand(order, spec, quantity))
        self.report(outcome, payloads)
        order = self.tracker.latest(order)
        if isinstance(outcome, Rejected):
            self.stage(payloads)
            raise GatewayError(outcome.reason, outcome.message)
        if isinstance(outcome, Unknown):
            order = self._uncertain(order, PendingActionKind.REPLACE, outcome, payloads)
        record, body = self.done(request, order)
        self.stage(payloads, (record,))
        return await self._committed(body)

    def _working(self, ref: OrderRef, field: str = "order") -> Order:
        order = self.get(ref, field)
        if order.ended:
            raise GatewayError(
                ErrorReason.ORDER_ENDED,
                f"order {order.order_id!r} has ended: {order.state.name}",
                metadata={"state": order.state.name, "order_id": order.order_id},
            )
        return order

    def _request(
        self, order: Order, kind: PendingActionKind, request: Request, payloads: list[EventPayload]
    ) -> Order:
        order = lifecycle.request(order, PendingAction(kind, request.request_id, self._clock.now_ns()))
        self.tracker.hold(order)
        replacing = kind is PendingActionKind.REPLACE
        event = OrderEventType.REPLACE_REQUESTED if replacing else OrderEventType.CANCEL_REQUESTED
        payloads.append(OrderChanged(event, order, request_id=request.request_id))
        return order

    async def cancel(self, command: CancelOrder, request: Request) -> bytes:
        """Cancels a working order, or sets its id aside, and answers after the commit."""
        answer = self.answered(request)
        if answer is not None:
            return await self._committed(answer)
        if command.if_unknown is IfUnknown.TOMBSTONE and self.find(command.order) is None:
            record, body = self.done(request, None)
            aside = ControlChanged(
                ControlEventType.TOMBSTONED, request.request_id, command.order.client_order_id, request.actor
            )
            self.stage((aside,), (record, Tombstone(command.order.client_order_id)))
            return await self._committed(body)
        (result,) = await self._cancel_each([self._working(command.order)], request)
        if isinstance(result, OrderFailure):
            raise result.error
        record, body = self.done(request, result)
        self.stage((), (record,))
        return await self._committed(body)

    async def cancel_many(self, refs: Sequence[OrderRef], request: Request) -> bytes:
        """Cancels several orders; each answers for itself, the answer comes after the commit."""
        answer = self.answered(request)
        if answer is not None:
            return await self._committed(answer)
        results: list[CancelResult | None] = [None] * len(refs)
        orders: dict[str, Order] = {}
        places: list[tuple[int, str]] = []
        for index, ref in enumerate(refs):
            try:
                order = self._working(ref, f"orders[{index}]")
                orders[order.order_id] = order
                places.append((index, order.order_id))
            except GatewayError as error:
                results[index] = OrderFailure(error)
        ended = dict(zip(orders, await self._cancel_each(list(orders.values()), request), strict=True))
        for index, order_id in places:
            results[index] = ended[order_id]
        record, body = self.done(request, [result for result in results if result is not None])
        self.stage((), (record,))
        return await self._committed(body)

    async def cancel_all(self, symbol: str, side: Side, request: Request) -> bytes:
        """Cancels every working order, of one symbol and side where given, oldest first."""
        answer = self.answered(request)
        if answer is not None:
            return await self._committed(answer)
        orders = [
            order
            for order in self.tracker.open.values()
            if (not symbol or order.spec.symbol == symbol) and (not side or order.spec.side == side)
        ]
        record, body = self.done(request, await self._cancel_each(orders, request))
        self.stage((), (record,))
        return await self._committed(body)

    async def _cancel_each(self, orders: Sequence[Order], request: Request) -> list[CancelResult]:
        if not orders:
            return []
        self.check_connected()
        payloads: list[EventPayload] = []
        if not self.broker.in_process:
            orders = [self._request(order, PendingActionKind.CANCEL, request, payloads) for order in orders]
            self.stage(payloads)
            await self._journal.commit()
            payloads = []
        outcomes = await self.broker.cancel_all_orders(orders)
        for outcome in outcomes:
            self.report(outcome, payloads)
        results = [
            self._cancelled(order, outcome, payloads) for order, outcome in zip(orders, outcomes, strict=True)
        ]
        self.stage(payloads)
        return results

    def _cancelled(self, order: Order, outcome: Outcome, payloads: list[EventPayload]) -> CancelResult:
        order = self.tracker.latest(order)
        if isinstance(outcome, Unknown):
            return self._uncertain(order, PendingActionKind.CANCEL, outcome, payloads)
        if isinstance(outcome, Rejected) and not order.ended:
            return OrderFailure(GatewayError(outcome.reason, outcome.message))
        return order

    async def _committed(self, answer: bytes) -> bytes:
        await self._journal.commit()
        return answer
