"""Placing orders: looked up, checked, journalled, sent, and followed to their first answer."""

from __future__ import annotations

from collections.abc import Sequence

from brokergate.domain import lifecycle
from brokergate.domain.accounts import ConnectionState
from brokergate.domain.commands import OrderFailure, Placed, PlaceOrder, PlaceResult
from brokergate.domain.errors import ErrorReason, GatewayError, invalid_field
from brokergate.domain.events import EventPayload, OrderChanged, OrderEventType
from brokergate.domain.orders import Order, PendingActionKind
from brokergate.domain.values import changed
from brokergate.engine.account import Account
from brokergate.engine.control import Refusal
from brokergate.engine.rules import check_order
from brokergate.ports.broker import Accepted, Outcome, Rejected, Unknown
from brokergate.ports.journal import CommitUnknown, JournalError, NewOrder, Record

NEVER_SENT = "cancelled before it was sent"


class Placing:
    """The way of new orders on one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._closing: frozenset[str] = frozenset()

    async def close_out(self, commands: Sequence[PlaceOrder]) -> Sequence[PlaceResult]:
        """Places the orders by which a stop closes positions: neither the stop nor the limits hold them back."""
        self._closing = frozenset(command.client_order_id for command in commands)
        return await self.place(commands)

    async def place(
        self, commands: Sequence[PlaceOrder], method: str = "PlaceOrder"
    ) -> Sequence[PlaceResult]:
        """Places orders in turn; each answers for itself. Answers after the commit."""
        account = self._account
        tracker = account.tracker
        results = await self.stage(commands)
        if account.tracker is not tracker:
            raise CommitUnknown("the journal failed while the orders were under way; ask for them again")
        await account.journal.commit_now(account.account_id)
        return results

    async def stage(self, commands: Sequence[PlaceOrder]) -> list[PlaceResult]:
        """As `place`, up to the staging of what is to be answered. Does not suspend on an in-process broker."""
        account = self._account
        results: list[PlaceResult | None] = [None] * len(commands)
        payloads: list[EventPayload] = []
        records: list[Record] = []
        sending: list[tuple[int, Order]] = []
        twins: list[tuple[int, int]] = []
        fresh: dict[str, tuple[int, str]] = {}
        # One reading of the clock for all: what is encoded of a time is remembered by the time.
        now_ns = account.clock.now_ns()
        known = account.journal.find_orders(
            account.account_id, [command.client_order_id for command in commands]
        )
        for index, command in enumerate(commands):
            client_id = command.client_order_id
            try:
                if client_id in known:
                    stored = known[client_id]
                    _check_same_body(command, stored.fingerprint, stored.order.order_id)
                    results[index] = Placed(account.tracker.latest(stored.order), True)
                elif client_id in fresh:
                    first, order_id = fresh[client_id]
                    _check_same_body(command, commands[first].fingerprint, order_id)
                    twins.append((index, first))
                else:
                    order = self._intend(command, now_ns)
                    fresh[client_id] = index, order.order_id
                    records.append(NewOrder(client_id, command.fingerprint, command.caller, command.method))
                    kept = self._kept_back(order, payloads)
                    if kept is None:
                        account.tracker.hold(order)
                        sending.append((index, order))
                    else:
                        results[index] = Placed(kept, False)
            except GatewayError as error:
                results[index] = OrderFailure(error)
        if sending:
            orders = [order for _, order in sending]
            if account.broker.in_process:
                placed = await self._send(orders, payloads)
            else:
                await self._announce(orders, payloads, records)
                payloads, records = [], []
                placed = await self._dispatch(orders)
            for (index, _), order in zip(sending, placed, strict=True):
                results[index] = Placed(order, False)
        self._stage_answers(payloads, records, sent=bool(sending))
        for index, first in twins:
            twin = results[first]
            results[index] = Placed(twin.order, True) if isinstance(twin, Placed) else twin
        return [result for result in results if result is not None]

    async def release(self, orders: Sequence[Order]) -> None:
        """Sends orders that were held back, each checked again: what has changed since counts."""
        account = self._account
        payloads: list[EventPayload] = []
        sending: list[Order] = []
        now_ns = account.clock.now_ns()
        for order in orders:
            refusal = self._refusal_of_held(order, now_ns)
            if refusal is not None:
                account.tracker.rejected(order, *refusal, payloads)
                continue
            sent = lifecycle.dispatch(order, now_ns)
            sending.append(account.tracker.moved(OrderEventType.DISPATCHED, sent, payloads))
        account.stage(payloads)
        await account.journal.commit_now(account.account_id)
        if sending:
            await self._dispatch(sending)
            await account.journal.commit_now(account.account_id)

    def _refusal_of_held(self, order: Order, now_ns: int) -> Refusal | None:
        account = self._account
        refusal = account.refusal(order.spec.symbol)
        if refusal is not None:
            return refusal
        instrument = account.instruments.get(order.spec.symbol)
        if instrument is None:
            return ErrorReason.INSTRUMENT_NOT_FOUND, f"the broker has no {order.spec.symbol} any more"
        try:
            account.check_tradable()
            check_order(order.spec, instrument, account.broker.capabilities, account.broker.name, now_ns)
        except GatewayError as error:
            return error.reason, error.message
        if account.risk is not None:
            breach = account.risk.check(order.spec, order.quantity, instrument, order)
            if breach is not None:
                return breach.reason, breach.message
        return None

    def _stage_answers(self, payloads: list[EventPayload], records: Sequence[Record], *, sent: bool) -> None:
        account = self._account
        try:
            account.stage(payloads, records)
        except JournalError as error:
            if sent and not account.broker.in_process:
                # What was sent is in the journal, and its answer is not: the broker will be asked again.
                raise CommitUnknown(str(error)) from error
            raise

    def _intend(self, command: PlaceOrder, now_ns: int) -> Order:
        account, spec = self._account, command.spec
        account.check_tradable()
        waits = account.connection.state is not ConnectionState.CONNECTED
        stopped = account.control.stop is not None
        if waits and not (account.instruments and (stopped or account.policy.queue_max_age_ns is not None)):
            account.check_connected()
        instrument = account.instrument(spec.symbol, "order.symbol")
        broker = account.broker
        time_in_force = check_order(spec, instrument, broker.capabilities, broker.name, now_ns)
        quantity = spec.quantity
        if quantity is None:
            raise invalid_field("order.quantity", "is missing; give the units of the instrument to trade")
        if time_in_force is not spec.time_in_force:
            spec = changed(spec, time_in_force=time_in_force)
        return lifecycle.intend(
            order_id=account.journal.next_order_id(account.account_id),
            client_order_id=command.client_order_id,
            account_id=account.account_id,
            spec=spec,
            quantity=quantity,
            multiplier=instrument.multiplier,
            now_ns=now_ns,
        )

    def _kept_back(self, order: Order, payloads: list[EventPayload]) -> Order | None:
        """The order, where it is not to be sent now: refused for good, or held until the broker is there."""
        account, symbol = self._account, order.spec.symbol
        if account.journal.is_tombstoned(account.account_id, order.client_order_id):
            message = "a cancel with if_unknown TOMBSTONE came before this order"
            return account.tracker.rejected(order, ErrorReason.TOMBSTONED, message, payloads)
        closing = order.client_order_id in self._closing
        refusal = None if closing else account.refusal(symbol)
        if refusal is None and not closing and account.risk is not None:
            breach = account.risk.check(order.spec, order.quantity, account.instruments[symbol])
            refusal = None if breach is None else (breach.reason, breach.message)
        if refusal is not None:
            account.metrics.orders_rejected += 1
            return account.tracker.rejected(order, *refusal, payloads)
        if account.connection.state is ConnectionState.CONNECTED:
            return None
        return account.tracker.moved(OrderEventType.INTENT, lifecycle.hold_back(order), payloads)

    async def _announce(
        self, orders: Sequence[Order], payloads: list[EventPayload], records: Sequence[Record]
    ) -> None:
        """Commits the intent to send `orders` before their first byte goes out (law 1)."""
        for order in orders:
            payloads.append(OrderChanged(OrderEventType.INTENT, order))
            payloads.append(OrderChanged(OrderEventType.DISPATCHED, order))
        self._account.stage(payloads, records)
        await self._account.journal.commit_now(self._account.account_id)

    async def _dispatch(self, orders: Sequence[Order]) -> list[Order]:
        """Sends what is announced, one after another, and stages each answer as it comes. A stop that was latched
        while it was committed, or while those before it were under way, holds it back (law 11)."""
        account = self._account
        names = {order.order_id for order in orders}
        account.under_way |= names
        try:
            return await self._dispatch_each(orders)
        finally:
            account.under_way -= names

    async def _dispatch_each(self, orders: Sequence[Order]) -> list[Order]:
        account = self._account
        tracker = account.tracker
        placed: list[Order] = []
        for order in orders:
            if account.tracker is not tracker:
                # The broker is being asked for all of them, and what was not sent by then is not sent any more.
                raise CommitUnknown("the journal failed before the order was sent; ask for it again")
            payloads: list[EventPayload] = []
            if account.control.stop is not None and order.client_order_id not in self._closing:
                refusal = account.control.refusal(order.spec.symbol, ())
                assert refusal is not None
                placed.append(account.tracker.rejected(order, *refusal, payloads))
            elif (now := account.tracker.latest(order)).action(PendingActionKind.CANCEL) is not None:
                # Cancelled while those before it were under way: nothing of it was sent, and nothing will be.
                placed.append(account.tracker.rejected(now, ErrorReason.NOT_SENT, NEVER_SENT, payloads))
            else:
                placed += await self._send((order,), payloads)
            self._stage_answers(payloads, (), sent=True)
        return placed

    async def _send(self, orders: Sequence[Order], payloads: list[EventPayload]) -> list[Order]:
        account = self._account
        started_ns = account.clock.monotonic_ns()
        outcomes: Sequence[Outcome]
        try:
            outcomes = await account.broker.place_orders(orders)
        except Exception as error:  # noqa: BLE001 - the port allows none, so whichever it is, what was sent is unknown
            account.log(
                "broker failed while placing",
                account=account.account_id,
                orders=len(orders),
                error=repr(error),
            )
            outcomes = [Unknown(f"the adapter failed: {type(error).__name__}")] * len(orders)
        account.metrics.sent(len(orders), account.clock.monotonic_ns() - started_ns)
        # Reports that concern several orders come once, in one of the outcomes: all of them first.
        reports = [report for outcome in outcomes for report in outcome.reports]
        if reports:
            payloads.extend(account.tracker.apply(reports))
        return [
            self._placed(order, outcome, payloads) for order, outcome in zip(orders, outcomes, strict=True)
        ]

    def _placed(self, order: Order, outcome: Outcome, payloads: list[EventPayload]) -> Order:
        account = self._account
        order = account.tracker.latest(order)
        if isinstance(outcome, Accepted):
            return account.tracker.acknowledged(order, outcome.broker_order_id, payloads)
        if isinstance(outcome, Rejected):
            account.metrics.orders_rejected += 1
            if order.ended or order.action(PendingActionKind.NEW) is None:
                return order
            return account.tracker.rejected(order, outcome.reason, outcome.message, payloads)
        return account.doubt(order, PendingActionKind.NEW, outcome.message, payloads)


def _check_same_body(command: PlaceOrder, fingerprint: bytes, order_id: str) -> None:
    if fingerprint != command.fingerprint:
        raise GatewayError(
            ErrorReason.CLIENT_ORDER_ID_REUSED,
            f"client_order_id {command.client_order_id!r} was used for another order; draw a new one",
            metadata={"order_id": order_id},
        )
