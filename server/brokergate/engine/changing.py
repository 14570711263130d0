"""Changing and cancelling orders. Cancels pass where orders are held back (law 11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from brokergate.domain import lifecycle
from brokergate.domain.commands import (
    CancelOrder,
    CancelResult,
    IfUnknown,
    OrderFailure,
    OrderRef,
    ReplaceOrder,
    Request,
)
from brokergate.domain.errors import ErrorReason, GatewayError, invites_repeat
from brokergate.domain.events import (
    ControlChanged,
    ControlEventType,
    EventPayload,
    OrderChanged,
    OrderEventType,
)
from brokergate.domain.orders import Order, OrderSpec, PendingAction, PendingActionKind, Side
from brokergate.engine.account import Account
from brokergate.engine.grouping import is_entry, legs_of
from brokergate.engine.replacing import change
from brokergate.engine.rules import check_order, check_replace_support
from brokergate.ports.broker import Outcome, Rejected, ReplaceCommand, Unknown
from brokergate.ports.journal import CommitUnknown, JournalError, Record, Routed, Tombstone

_REPLACE, _CANCEL = PendingActionKind.REPLACE, PendingActionKind.CANCEL


class Changing:
    """Replaces and cancels on one account. Each method answers after the commit, and a repeat gets what the first one
    got, the broker's refusal too."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def replace(self, command: ReplaceOrder, request: Request) -> bytes:
        """Changes a working order."""
        account = self._account
        if (answer := account.answered(request)) is not None:
            return await self._committed(answer)
        order = self._working(command.order)
        spec = self._checked(order, command)
        payloads: list[EventPayload] = []
        before = order
        order = self._request(order, _REPLACE, request, payloads, spec)
        if account.broker.in_process:
            # Told by its outcome alone: it cannot be under way when anybody looks.
            payloads = []
        else:
            account.stage(payloads)
            await account.journal.commit_now(account.account_id)
            payloads = []
            order = account.tracker.latest(order)
            if (barred := self._barred(order, payloads)) is not None:
                await self._refuse(request, barred, payloads)
        outcome = await self._sent_replace(order, spec)
        self._report(outcome, payloads)
        order = account.tracker.latest(order)
        if isinstance(outcome, Rejected):
            error = GatewayError(outcome.reason, outcome.message)
            if account.broker.in_process:
                if not order.ended:
                    account.tracker.hold(lifecycle.refuse(order, _REPLACE, before.update_time_ns))
            else:
                self._refused(order, _REPLACE, outcome, payloads)
            await self._refuse(request, error, payloads)
        if isinstance(outcome, Unknown):
            order = account.doubt(order, _REPLACE, outcome.message, payloads)
        account.took(order, _REPLACE)
        record, body = account.done(request, order)
        self._stage(payloads, (record,))
        return await self._committed(body)

    def _checked(self, order: Order, command: ReplaceOrder) -> OrderSpec:
        """The spec that the order shall have. Raises what is against it."""
        account = self._account
        account.check_tradable()
        account.check_connected()
        broker = account.broker
        check_replace_support(broker.capabilities, broker.name)
        spec, quantity = change(order, command)
        instrument = account.instrument(spec.symbol)
        check_order(spec, instrument, broker.capabilities, broker.name, account.present_ns, at="")
        refusal = account.refusal(spec.symbol)
        if refusal is not None:
            raise GatewayError(*refusal)
        if account.risk is not None:
            breach = account.risk.check(spec, quantity, instrument, order)
            if breach is not None:
                raise GatewayError(breach.reason, breach.message)
        return spec

    def _barred(self, order: Order, payloads: list[EventPayload]) -> GatewayError | None:
        """Why a replace may not be sent any more after its request was committed."""
        if order.ended:
            return _ended(order)
        control = self._account.control
        refusal = control.refusal(order.spec.symbol, ()) if control.stop else None
        if refusal is None:
            return None
        self._refused(order, _REPLACE, Rejected(*refusal), payloads)
        return GatewayError(*refusal)

    async def _refuse(
        self, request: Request, error: GatewayError, payloads: Sequence[EventPayload] = ()
    ) -> NoReturn:
        """Raises `error`, as every repeat of the request will, once that is committed."""
        self._stage(payloads, self._account.refused(request, error))
        await self._account.journal.commit(self._account.account_id)
        raise error

    async def _sent_replace(self, order: Order, spec: OrderSpec) -> Outcome:
        quantity = order.quantity if spec.quantity is None else spec.quantity
        self._account.under_way.add(order.order_id)
        try:
            return await self._account.broker.replace_order(ReplaceCommand(order, spec, quantity))
        except Exception as error:  # noqa: BLE001 - the port allows none: what was sent is unknown
            self._account.log("broker failed while replacing", order_id=order.order_id, error=repr(error))
            return Unknown(f"the adapter failed: {type(error).__name__}")
        finally:
            self._account.under_way.discard(order.order_id)

    async def cancel(self, command: CancelOrder, request: Request, route_id: str = "") -> bytes:
        """Cancels a working order, or sets its id aside, on its route too."""
        account = self._account
        if (answer := account.answered(request)) is not None:
            return await self._committed(answer)
        if command.if_unknown is IfUnknown.TOMBSTONE and account.find(command.order) is None:
            record, body = account.done(request, None)
            aside = ControlChanged(
                ControlEventType.TOMBSTONED, request.request_id, command.order.client_order_id, request.actor
            )
            name = command.order.client_order_id
            routed = (Routed(route_id, name),) if route_id else ()
            account.stage((aside,), (record, Tombstone(name), *routed))
            return await self._committed(body)
        (result,) = await self.cancel_each([self._working(command.order)], request)
        if isinstance(result, OrderFailure):
            assert isinstance(result.error, GatewayError)
            await self._refuse(request, result.error)
        record, body = account.done(request, result)
        self._stage((), (record,))
        return await self._committed(body)

    async def write_cancel(self, command: CancelOrder, request: Request) -> bytes:
        """Writes a cancel that went out while the journal failed; cancels again what has not ended by it."""
        account = self._account
        order = account.find(command.order)
        if order is None or not order.ended or account.answered(request) is not None:
            return await self.cancel(command, request)
        record, body = account.done(request, order)
        account.stage((), (record,))
        return await self._committed(body)

    async def cancel_many(self, refs: Sequence[OrderRef], request: Request) -> bytes:
        """Cancels several orders; each answers for itself."""
        account = self._account
        if (answer := account.answered(request)) is not None:
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
        ended = dict(zip(orders, await self.cancel_each(list(orders.values()), request), strict=True))
        for index, order_id in places:
            results[index] = ended[order_id]
        return await self._answered(request, [result for result in results if result is not None])

    async def cancel_all(self, symbol: str, side: Side, request: Request) -> bytes:
        """Cancels every working order, of one symbol and side where given, oldest first."""
        account = self._account
        if (answer := account.answered(request)) is not None:
            return await self._committed(answer)
        orders = [
            order
            for order in account.tracker.open.values()
            if (not symbol or order.spec.symbol == symbol) and (not side or order.spec.side == side)
        ]
        if symbol and not orders:
            account.instrument(symbol)
        return await self._answered(request, await self.cancel_each(orders, request))

    async def _answered(self, request: Request, results: Sequence[CancelResult]) -> bytes:
        """The answer, which is kept for repeats unless it invites to one: where the broker was away for some of the
        orders, a repeat cancels those."""
        record, body = self._account.done(request, results)
        failures = [result.error for result in results if isinstance(result, OrderFailure)]
        self._stage((), () if any(map(invites_repeat, failures)) else (record,))
        return await self._committed(body)

    async def cancel_each(self, orders: Sequence[Order], request: Request) -> list[CancelResult]:
        """Cancels working orders; what the broker told is staged. Raises BROKER_UNAVAILABLE where all of them are at a
        broker that is away; those that are held back need no broker."""
        results: dict[str, CancelResult] = {}
        payloads: list[EventPayload] = []
        sending = [order for order in orders if not order.held]
        if sending:
            try:
                self._account.check_connected()
            except GatewayError as error:
                if len(sending) == len(orders):
                    raise
                results = {order.order_id: OrderFailure(error) for order in sending}
                sending = []
        for order in orders:
            if order.held:
                results[order.order_id] = self._drop(order, request, payloads)
        if sending:
            for result, order in zip(await self._sent(sending, request, payloads), sending, strict=True):
                results[order.order_id] = result
        self._stage(payloads, ())
        return [results[order.order_id] for order in orders]

    def drop_held(self, orders: Sequence[Order], request: Request) -> None:
        """Ends orders that are held back; nothing of them was sent."""
        payloads: list[EventPayload] = []
        for order in orders:
            self._drop(order, request, payloads)
        self._account.stage(payloads)

    def _drop(self, order: Order, request: Request, payloads: list[EventPayload]) -> Order:
        """Ends an order that is held back, and with the entry of a bracket its legs, which have nothing to close."""
        tracker = self._account.tracker
        if (now := tracker.latest(order)).ended:
            return now
        if is_entry(order):
            for leg, _ in legs_of(order.spec):
                held = tracker.working(leg.client_order_id)
                if held is not None:
                    self._dropped(held, request, payloads)
        return self._dropped(order, request, payloads)

    def _dropped(self, order: Order, request: Request, payloads: list[EventPayload]) -> Order:
        now_ns = self._account.clock.now_ns()
        order = lifecycle.cancel(order, now_ns, ErrorReason.NOT_SENT, "cancelled while it was held back")
        self._account.tracker.hold(order)
        payloads.append(OrderChanged(OrderEventType.CANCELED, order, request_id=request.request_id))
        return order

    async def _sent(
        self, orders: Sequence[Order], request: Request, payloads: list[EventPayload]
    ) -> list[CancelResult]:
        account, broker = self._account, self._account.broker
        if not broker.in_process:
            orders = [self._request(order, _CANCEL, request, payloads) for order in orders]
            account.stage(payloads)
            payloads.clear()
            await account.journal.commit_now(account.account_id)
        try:
            outcomes = await broker.cancel_all_orders(orders)
        except Exception as error:  # noqa: BLE001 - the port allows none: what was sent is unknown
            account.log("broker failed while cancelling", orders=len(orders), error=repr(error))
            outcomes = [Unknown(f"the adapter failed: {type(error).__name__}")] * len(orders)
        for outcome in outcomes:
            self._report(outcome, payloads)
        return [
            self._cancelled(order, outcome, payloads) for order, outcome in zip(orders, outcomes, strict=True)
        ]

    def _cancelled(self, order: Order, outcome: Outcome, payloads: list[EventPayload]) -> CancelResult:
        account = self._account
        order = account.tracker.latest(order)
        placing = order.action(PendingActionKind.NEW)
        if isinstance(outcome, Rejected) and placing is not None and not account.broker.in_process:
            # The venue does not have it yet, and it may still come: the cancel stands until that is known.
            return account.doubt(order, _CANCEL, outcome.message, payloads)
        if isinstance(outcome, Unknown):
            return account.doubt(order, _CANCEL, outcome.message, payloads)
        if isinstance(outcome, Rejected) and not order.ended:
            if not account.broker.in_process:
                self._refused(order, _CANCEL, outcome, payloads)
            return OrderFailure(GatewayError(outcome.reason, outcome.message))
        account.took(order, _CANCEL)
        return order

    def _refused(
        self, order: Order, kind: PendingActionKind, outcome: Rejected, payloads: list[EventPayload]
    ) -> None:
        """The broker's word that the request under way came to nothing; once, however often it says so."""
        account = self._account
        if order.ended or order.action(kind) is None:
            return
        order = lifecycle.refuse(order, kind, account.clock.now_ns())
        account.tracker.hold(order)
        event = OrderEventType.REPLACE_REJECTED if kind is _REPLACE else OrderEventType.CANCEL_REJECTED
        payloads.append(OrderChanged(event, order, reason=outcome.reason, message=outcome.message))

    def _working(self, ref: OrderRef, field: str = "order") -> Order:
        order = self._account.get(ref, field)
        if order.ended:
            raise _ended(order)
        return order

    def _request(
        self,
        order: Order,
        kind: PendingActionKind,
        request: Request,
        payloads: list[EventPayload],
        replacement: OrderSpec | None = None,
    ) -> Order:
        account = self._account
        action = PendingAction(kind, request.request_id, account.clock.now_ns(), replacement=replacement)
        order = lifecycle.request(order, action)
        account.tracker.hold(order)
        event = OrderEventType.REPLACE_REQUESTED if kind is _REPLACE else OrderEventType.CANCEL_REQUESTED
        payloads.append(OrderChanged(event, order, request_id=request.request_id))
        return order

    def _report(self, outcome: Outcome, payloads: list[EventPayload]) -> None:
        """Applies what the broker told with its answer."""
        if outcome.reports:
            payloads.extend(self._account.tracker.apply(outcome.reports))

    def _stage(self, payloads: Sequence[EventPayload], records: Sequence[Record]) -> None:
        """Stages what came of what was sent: where that fails, nobody knows it."""
        try:
            self._account.stage(payloads, records)
        except JournalError as error:
            raise CommitUnknown(str(error)) from error

    async def _committed(self, answer: bytes) -> bytes:
        await self._account.journal.commit(self._account.account_id)
        return answer


def _ended(order: Order) -> GatewayError:
    return GatewayError(
        ErrorReason.ORDER_ENDED,
        f"order {order.order_id!r} has ended: {order.state.name}",
        metadata={"state": order.state.name, "order_id": order.order_id},
    )
