"""Placing orders: looked up, checked, journalled, sent, and followed to their first answer."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from itertools import chain, groupby

from brokergate.domain import lifecycle
from brokergate.domain.accounts import ConnectionState
from brokergate.domain.commands import OrderFailure, Placed, PlaceOrder, PlaceResult
from brokergate.domain.errors import ErrorReason, GatewayError, invalid_field
from brokergate.domain.events import EventPayload, OrderChanged, OrderEventType
from brokergate.domain.instruments import Instrument
from brokergate.domain.orders import Order, OrderSpec, PendingActionKind
from brokergate.domain.values import changed
from brokergate.engine.account import Account
from brokergate.engine.control import Refusal
from brokergate.engine.grouping import Unit, group_of, members_of, units_of, without
from brokergate.engine.rules import check_order, check_quantity
from brokergate.ports.broker import Accepted, Outcome, Rejected, Unknown
from brokergate.ports.journal import CommitUnknown, JournalError, NewOrder, Record, Routed

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
        sending: list[tuple[int, Unit]] = []
        twins: list[tuple[int, int]] = []
        fresh: dict[str, tuple[int, Order]] = {}
        # One reading of the clock for all: what is encoded of a time is remembered by the time.
        now_ns = account.clock.now_ns()
        linked = [command.linked for command in commands]
        names = [command.client_order_id for command in commands]
        known = account.journal.find_orders(account.account_id, names + list(chain.from_iterable(linked)))
        for index, command in enumerate(commands):
            client_id = command.client_order_id
            try:
                if client_id in known:
                    stored = known[client_id]
                    _check_same_body(command, stored.fingerprint, stored.order)
                    others = [account.tracker.latest(known[name].order) for name in linked[index]]
                    results[index] = Placed(account.tracker.latest(stored.order), True, tuple(others))
                elif client_id in fresh:
                    first, order = fresh[client_id]
                    _check_same_body(command, commands[first].fingerprint, order)
                    twins.append((index, first))
                else:
                    for name in linked[index]:
                        if name in known or name in fresh:
                            raise reused(name, known[name].order if name in known else fresh[name][1])
                    unit = self._intend(command, now_ns)
                    for order in unit:
                        name = order.client_order_id
                        fresh[name] = index, order
                        records.append(NewOrder(name, command.fingerprint, command.caller, command.method))
                        if command.route_id:
                            records.append(Routed(command.route_id, name))
                    kept = self._kept_back(unit, payloads)
                    if kept is None:
                        for order in unit:
                            account.tracker.hold(order)
                        sending.append((index, unit))
                    else:
                        results[index] = _placed(kept)
            except GatewayError as error:
                results[index] = OrderFailure(error)
        if sending:
            units = [unit for _, unit in sending]
            if account.broker.in_process:
                placed = await self._send_units(units, payloads)
            else:
                await self._announce(units, payloads, records)
                payloads, records = [], []
                placed = await self._dispatch(units)
            for (index, _), unit in zip(sending, placed, strict=True):
                results[index] = _placed(unit)
        self._stage_answers(payloads, records, sent=bool(sending))
        for index, first in twins:
            twin = results[first]
            results[index] = changed(twin, already_existed=True) if isinstance(twin, Placed) else twin
        return [result for result in results if result is not None]

    async def release(self, orders: Sequence[Order]) -> None:
        """Sends orders that were held back, each checked again: what has changed since counts."""
        account = self._account
        payloads: list[EventPayload] = []
        sending: list[Unit] = []
        now_ns = account.clock.now_ns()
        for unit in units_of(orders):
            refusal = self._refusal_of_held(unit)
            if refusal is not None:
                self._reject(unit, refusal, payloads)
                continue
            sent = [lifecycle.dispatch(order, now_ns) for order in unit]
            moved = account.tracker.moved
            sending.append(tuple([moved(OrderEventType.DISPATCHED, order, payloads) for order in sent]))
        account.stage(payloads)
        await account.journal.commit_now(account.account_id)
        if sending:
            await self._dispatch(sending)
            await account.journal.commit_now(account.account_id)

    def _refusal_of_held(self, unit: Unit) -> Refusal | None:
        account, symbol = self._account, unit[0].spec.symbol
        refusal = account.refusal(symbol)
        if refusal is not None:
            return refusal
        instrument = account.instruments.get(symbol)
        if instrument is None:
            return ErrorReason.INSTRUMENT_NOT_FOUND, f"the broker has no {symbol} any more"
        try:
            account.check_tradable()
            for order in unit:
                check_order(
                    order.spec,
                    instrument,
                    account.broker.capabilities,
                    account.broker.name,
                    account.present_ns,
                )
        except GatewayError as error:
            return error.reason, error.message
        return self._breach(unit, instrument, held=True)

    def _breach(self, unit: Unit, instrument: Instrument, *, held: bool = False) -> Refusal | None:
        """What of the account's limits stands against `unit`, all of it or nothing."""
        risk = self._account.risk
        if risk is None:
            return None
        if len(unit) == 1:
            (order,) = unit
            breach = risk.check(order.spec, order.quantity, instrument, order if held else None)
        else:
            breach = risk.check_group([order.spec for order in unit], instrument, unit if held else ())
        return None if breach is None else (breach.reason, breach.message)

    def _reject(self, unit: Sequence[Order], refusal: Refusal, payloads: list[EventPayload]) -> Unit:
        return tuple([self._account.tracker.rejected(order, *refusal, payloads) for order in unit])

    def _stage_answers(self, payloads: list[EventPayload], records: Sequence[Record], *, sent: bool) -> None:
        account = self._account
        try:
            account.stage(payloads, records)
        except JournalError as error:
            if sent and not account.broker.in_process:
                # What was sent is in the journal, and its answer is not: the broker will be asked again.
                raise CommitUnknown(str(error)) from error
            raise

    def _intend(self, command: PlaceOrder, now_ns: int) -> Unit:
        account, spec = self._account, command.spec
        account.check_tradable()
        waits = account.connection.state is not ConnectionState.CONNECTED
        stopped = account.control.stop is not None
        if waits and not (account.instruments and (stopped or account.policy.queue_max_age_ns is not None)):
            account.check_connected()
        instrument = account.instrument(spec.symbol, "order.symbol")
        broker = account.broker
        if spec.bracket or command.oco:
            members = members_of(command, instrument, broker.capabilities, broker.name, account.present_ns)
            group_id = account.journal.next_order_id(account.account_id)
            return tuple(
                [
                    self._order(
                        name,
                        member,
                        instrument,
                        now_ns,
                        command.route_id,
                        group_id if member is members[0][1] else "",
                        group_id,
                    )
                    for name, member in members
                ]
            )
        time_in_force = check_order(spec, instrument, broker.capabilities, broker.name, account.present_ns)
        if time_in_force is not spec.time_in_force:
            spec = changed(spec, time_in_force=time_in_force)
        return (self._order(command.client_order_id, spec, instrument, now_ns, command.route_id),)

    def _order(
        self,
        client_order_id: str,
        spec: OrderSpec,
        instrument: Instrument,
        now_ns: int,
        route_id: str,
        order_id: str = "",
        group_id: str = "",
    ) -> Order:
        account = self._account
        quantity = spec.quantity
        if quantity is None:
            if group_id:
                raise invalid_field("order.quantity", "is missing; give the units of the instrument to trade")
            account.check_connected()
            quantity = account.broker.quantity_for(spec)
            check_quantity("order.quote_quantity", quantity, instrument)
        return lifecycle.intend(
            order_id=order_id or account.journal.next_order_id(account.account_id),
            client_order_id=client_order_id,
            account_id=account.account_id,
            spec=spec,
            quantity=quantity,
            multiplier=instrument.multiplier,
            now_ns=now_ns,
            route_id=route_id,
            group_id=group_id,
        )

    def _kept_back(self, unit: Unit, payloads: list[EventPayload]) -> Unit | None:
        """The orders, where they are not to be sent now: refused for good, or held until the broker is there."""
        account, symbol = self._account, unit[0].spec.symbol
        for order in unit:
            if account.journal.is_tombstoned(account.account_id, order.client_order_id):
                of = "this order" if len(unit) == 1 else f"order {order.client_order_id!r} of its group"
                message = f"a cancel with if_unknown TOMBSTONE came before {of}"
                return self._reject(unit, (ErrorReason.TOMBSTONED, message), payloads)
        closing = unit[0].client_order_id in self._closing
        refusal = None if closing else account.refusal(symbol)
        if refusal is None and not closing:
            refusal = self._breach(unit, account.instruments[symbol])
        if refusal is not None:
            account.metrics.orders_rejected += len(unit)
            return self._reject(unit, refusal, payloads)
        if account.connection.state is ConnectionState.CONNECTED:
            return None
        moved = account.tracker.moved
        return tuple([moved(OrderEventType.INTENT, lifecycle.hold_back(order), payloads) for order in unit])

    async def _announce(
        self, units: Sequence[Unit], payloads: list[EventPayload], records: Sequence[Record]
    ) -> None:
        """Commits the intent to send `units` before their first byte goes out (law 1)."""
        for order in chain.from_iterable(units):
            payloads.append(OrderChanged(OrderEventType.INTENT, order))
            payloads.append(OrderChanged(OrderEventType.DISPATCHED, order))
        self._account.stage(payloads, records)
        await self._account.journal.commit_now(self._account.account_id)

    async def _dispatch(self, units: Sequence[Unit]) -> list[Unit]:
        """Sends what is announced, one after another, and stages each answer as it comes. A stop that was latched
        while it was committed, or while those before it were under way, holds it back (law 11)."""
        account = self._account
        names = {order.order_id for order in chain.from_iterable(units)}
        account.under_way |= names
        try:
            return await self._dispatch_each(units)
        finally:
            account.under_way -= names

    async def _dispatch_each(self, units: Sequence[Unit]) -> list[Unit]:
        account = self._account
        tracker = account.tracker
        placed: list[Unit] = []
        for unit in units:
            if account.tracker is not tracker:
                # The broker is being asked for all of them, and what was not sent by then is not sent any more.
                raise CommitUnknown("the journal failed before the order was sent; ask for it again")
            payloads: list[EventPayload] = []
            if account.control.stop is not None and unit[0].client_order_id not in self._closing:
                refusal = account.control.refusal(unit[0].spec.symbol, ())
                assert refusal is not None
                placed.append(self._reject(unit, refusal, payloads))
            else:
                placed.append(await self._dispatch_unit(unit, payloads))
            self._stage_answers(payloads, (), sent=True)
        return placed

    async def _dispatch_unit(self, unit: Unit, payloads: list[EventPayload]) -> Unit:
        """Sends one unit, without what was cancelled while those before it were under way: nothing of that was sent,
        and nothing will be."""
        latest = self._account.tracker.latest
        now = [latest(order) for order in unit]
        cancelled = [order for order in now if order.action(PendingActionKind.CANCEL) is not None]
        if not cancelled:
            return (await self._send_units((unit,), payloads))[0]
        wanted, dropped = without(tuple(now), cancelled)
        self._reject(dropped, (ErrorReason.NOT_SENT, NEVER_SENT), payloads)
        if wanted:
            await self._send_units((wanted,), payloads)
        return tuple([latest(order) for order in unit])

    async def _send_units(self, units: Sequence[Unit], payloads: list[EventPayload]) -> list[Unit]:
        """Asks the broker for each group by itself, and for what stands alone in between at once."""
        sent: list[Unit] = []
        for single, run in groupby(units, lambda unit: len(unit) == 1):
            if single:
                orders = [order for (order,) in run]
                placed = await self._send(orders, payloads, self._account.broker.place_orders(orders))
                sent.extend([(order,) for order in placed])
                continue
            for unit in run:
                asked = self._account.broker.place_group(group_of(unit))
                sent.append(tuple(await self._send(unit, payloads, asked)))
        return sent

    async def _send(
        self, orders: Sequence[Order], payloads: list[EventPayload], asked: Awaitable[Sequence[Outcome]]
    ) -> list[Order]:
        account = self._account
        started_ns = account.clock.monotonic_ns()
        outcomes: Sequence[Outcome]
        try:
            outcomes = await asked
        except Exception as error:  # noqa: BLE001 - the port allows none, so whichever it is, what was sent is unknown
            account.log(
                "broker failed while placing",
                account=account.account_id,
                orders=len(orders),
                error=repr(error),
            )
            outcomes = [Unknown(f"the adapter failed: {type(error).__name__}")] * len(orders)
        account.metrics.record_order_latency(account.clock.monotonic_ns() - started_ns, len(orders))
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


def _placed(unit: Unit) -> Placed:
    return Placed(unit[0], False, unit[1:])


def _check_same_body(command: PlaceOrder, fingerprint: bytes, order: Order) -> None:
    """A leg is journalled with the body of its group, and is no order that could be asked for again by itself."""
    if fingerprint != command.fingerprint or order.group_id not in ("", order.order_id):
        raise reused(command.client_order_id, order)


def reused(client_order_id: str, order: Order) -> GatewayError:
    """CLIENT_ORDER_ID_REUSED: `order` has the id already."""
    return GatewayError(
        ErrorReason.CLIENT_ORDER_ID_REUSED,
        f"client_order_id {client_order_id!r} was used for another order; draw a new one",
        metadata={"order_id": order.order_id},
    )
