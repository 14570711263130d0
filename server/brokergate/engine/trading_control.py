"""Control of what may be traded on all accounts: stops, resuming, freezes, orders that a person resolves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from brokergate.domain import lifecycle
from brokergate.domain.accounts import BrokerPosition
from brokergate.domain.commands import ClearFreeze, EmergencyStop, Request, ResolveOrder, ResumeTrading
from brokergate.domain.control import Discrepancy, OrderResolution, Stop, StopPhase, StopProgress
from brokergate.domain.errors import ErrorReason, GatewayError, invalid_field
from brokergate.domain.events import (
    ControlChanged,
    ControlEventType,
    DiscrepancyChanged,
    EventPayload,
    OrderEventType,
)
from brokergate.domain.money import format_decimal
from brokergate.domain.orders import Order, OrderState, PendingActionKind
from brokergate.domain.policy import StopCause
from brokergate.domain.values import changed
from brokergate.engine.account import Account
from brokergate.engine.control import stop_setting
from brokergate.engine.journal_guard import JournalGuard
from brokergate.engine.lookups import trading_view
from brokergate.engine.stopping import StopOperation, stop_id
from brokergate.engine.views import StopView
from brokergate.ports.clock import Clock
from brokergate.ports.journal import Journal, JournalError, Setting

LOSS_LOOK_S = 1.0
"""How often an account that stops at the day's loss is looked at."""

LOSS_SETTING = "stopped_for_loss"
"""Where the journal keeps the loss that the account was last stopped for."""


class TradingControl:
    """Latches stops and ends them. `operate` makes the work of a stop on an account; `position` asks a broker outside
    the process for one that may be believed."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        journal: Journal,
        clock: Clock,
        guard: JournalGuard,
        operate: Callable[[Account], StopOperation],
        position: Callable[[Account, str], Awaitable[BrokerPosition | None]],
    ) -> None:
        self._accounts = accounts
        self._journal = journal
        self._clock = clock
        self._guard = guard
        self._operate = operate
        self._position = position
        self._operations: dict[str, tuple[StopOperation, asyncio.Task[None]]] = {}
        self._watches: list[asyncio.Task[None]] = []

    def adopt(self, account: Account) -> None:
        """Takes an account on: a stop that holds goes on, and what the account stops at by itself is watched."""
        account.on_discrepancy = lambda found: self._disagreed(account, found)
        if account.policy.risk.max_daily_loss is not None:
            self._watches.append(asyncio.create_task(self._watch_loss(account)))
        self.take_up(account)

    def take_up(self, account: Account) -> None:
        """Works on the stop that holds on the account, if one does."""
        if account.control.stop is None:
            return
        operation, task = self._operations.get(account.account_id, (None, None))
        if operation is not None and task is not None and not task.done():
            operation.hurry()
            return
        operation = self._operate(account)
        task = asyncio.create_task(operation.run(), name=f"stop of {account.account_id}")
        self._operations[account.account_id] = operation, task

    async def close(self) -> None:
        """Ends all of it; the stops hold on."""
        tasks = [*(task for _, task in self._operations.values()), *self._watches]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Stops

    async def stop(self, command: EmergencyStop, accounts: Sequence[Account], request: Request) -> bytes:
        """Latches a stop on `accounts`, and answers when that is durable."""
        for account in accounts:
            if (answer := account.answered(request)) is not None:
                await self._journal.commit()
                return answer
        operation_id = stop_id(request.request_id)
        fresh = [account for account in accounts if account.control.stop is None]
        for account in accounts:
            self._latch(account, operation_id, command, request)
        if not fresh and accounts:
            joined = accounts[0].control.stop
            operation_id = operation_id if joined is None else joined.operation_id
        view = StopView(operation_id, [trading_view(account) for account in accounts])
        body = b""
        for account in accounts:
            record, body = account.done(request, view)
            account.stage((), (record,))
        await self._journal.commit()
        for account in accounts:
            self.take_up(account)
        return body

    def _latch(self, account: Account, operation_id: str, command: EmergencyStop, request: Request) -> None:
        """The stop holds from now on; what is asked for beyond one that holds already is added to it."""
        before = account.control.stop
        if before is None:
            stop = Stop(
                operation_id=operation_id,
                request_id=request.request_id,
                reason=command.reason,
                actor=request.actor,
                since_ns=self._clock.now_ns(),
                keep_protective_stops=command.keep_protective_stops,
                flatten=command.flatten,
                open_orders=len(account.tracker.open),
            )
        else:
            stop = changed(
                before,
                keep_protective_stops=before.keep_protective_stops and command.keep_protective_stops,
                flatten=before.flatten or command.flatten,
                phase=StopPhase.CANCELLING,
            )
        account.control.stop = stop
        progress = StopProgress(stop.phase, stop.open_orders, remaining_orders=len(account.tracker.open))
        told = ControlChanged(
            ControlEventType.STOPPED,
            request.request_id,
            command.reason,
            request.actor,
            stop.operation_id,
            progress,
        )
        account.stage((told,), (stop_setting(stop),))

    def _latch_by_itself(self, account: Account, cause: StopCause, reason: str) -> None:
        """Stops one account for a cause that it names, unless it is stopped: in the commit of what caused it."""
        if cause not in account.policy.stop_on or account.control.stop is not None:
            return
        name = f"{cause.value}-{self._clock.now_ns()}"
        request = Request(name, "EmergencyStop", b"", lambda _: b"")
        command = EmergencyStop((account.account_id,), f"{cause.value}: {reason}"[:256])
        self._latch(account, stop_id(name), command, request)
        self.take_up(account)

    def _disagreed(self, account: Account, found: Discrepancy) -> None:
        self._latch_by_itself(account, StopCause.DISCREPANCY, found.message)

    def suspended(self, account: Account, message: str) -> None:
        """The broker suspended the account."""
        self._latch_by_itself(account, StopCause.ACCOUNT_SUSPENDED, message)

    async def _watch_loss(self, account: Account) -> None:
        while True:
            await self._clock.sleep(LOSS_LOOK_S)
            await self._guard.works()
            try:
                self._look_at_loss(account)
            except JournalError:
                continue  # it is made anew when the journal works
            except Exception as error:  # noqa: BLE001 - whatever it was, the next look may tell
                account.log("loss of the day not told", account=account.account_id, error=repr(error))

    def _look_at_loss(self, account: Account) -> None:
        breach = None if account.risk is None else account.risk.loss()
        account.stage(())  # what the day is counted from, where a new day began
        if breach is None or account.control.stop is not None:
            return
        # Whoever resumed has seen it: the same loss does not stop the account again.
        if account.journal.account_setting(account.account_id, LOSS_SETTING) != breach.message:
            account.stage((), (Setting(LOSS_SETTING, breach.message),))
            self._latch_by_itself(account, StopCause.DAILY_LOSS, breach.message)

    async def resume(self, command: ResumeTrading, accounts: Sequence[Account], request: Request) -> bytes:
        """Ends the stops that hold on `accounts`, also one that is at work."""
        for account in accounts:
            if (answer := account.answered(request)) is not None:
                await self._journal.commit()
                return answer
        for account in accounts:
            stop = account.control.stop
            if stop is None:
                continue
            account.control.stop = None
            told = ControlChanged(
                ControlEventType.RESUMED,
                request.request_id,
                command.reason,
                request.actor,
                stop.operation_id,
            )
            account.stage((told,), (stop_setting(None),))
            if (operation := self._operations.pop(account.account_id, None)) is not None:
                operation[1].cancel()
        body = request.encode([trading_view(account) for account in accounts])
        for account in accounts:
            record, body = account.done(request, [trading_view(each) for each in accounts])
            account.stage((), (record,))
        await self._journal.commit()
        return body

    # Repairs

    async def clear_freeze(self, account: Account, command: ClearFreeze, request: Request) -> bytes:
        """Takes the broker's word for a frozen instrument."""
        if (answer := account.answered(request)) is not None:
            await self._journal.commit()
            return answer
        found = self._freezes(account, command.symbol)
        account.check_connected()
        position = await self._position(account, command.symbol)
        found = self._freezes(account, command.symbol)
        account.believe(command.symbol, position)
        payloads: list[EventPayload] = [
            DiscrepancyChanged(resolved) for resolved in account.control.resolved(found)
        ]
        payloads.append(
            ControlChanged(
                ControlEventType.FREEZE_CLEARED,
                request.request_id,
                f"{command.symbol}: {command.reason}",
                request.actor,
            )
        )
        record, body = account.done(request, trading_view(account))
        account.stage(payloads, (record,))
        await self._journal.commit()
        return body

    def _freezes(self, account: Account, symbol: str) -> list[Discrepancy]:
        """What freezes the instrument. NOT_FROZEN where nothing does; INSTRUMENT_FROZEN where an order does that only
        ResolveOrder can settle."""
        found = [each for each in account.control.discrepancies.values() if each.symbol == symbol]
        blocking = [each.order_id for each in found if each.order_id in account.tracker.open]
        blocking += [
            order.order_id
            for order in account.tracker.uncertain.values()
            if order.spec.symbol == symbol and symbol in account.unprovable
        ]
        if blocking:
            raise GatewayError(
                ErrorReason.INSTRUMENT_FROZEN,
                f"{symbol} is frozen by order {blocking[0]!r}, whose outcome is not known; say by ResolveOrder what "
                "became of it",
                metadata={"order_id": blocking[0]},
            )
        if not found:
            problem = f"{symbol} is not frozen on account {account.account_id!r}"
            raise GatewayError(
                ErrorReason.NOT_FROZEN, problem, violations=invalid_field("symbol", problem).violations
            )
        return found

    async def resolve_order(self, account: Account, command: ResolveOrder, request: Request) -> bytes:
        """Takes a person's word for an order whose outcome cannot be proven."""
        if (answer := account.answered(request)) is not None:
            await self._journal.commit()
            return answer
        order = account.get(command.order)
        disputes = [
            each for each in account.control.discrepancies.values() if each.order_id == order.order_id
        ]
        if not order.uncertain and not disputes:
            raise GatewayError(
                ErrorReason.ORDER_NOT_UNCERTAIN,
                f"order {order.order_id!r} is {order.state.name}, and nothing of it is uncertain",
                metadata={"state": order.state.name},
            )
        payloads: list[EventPayload] = []
        order = self._resolved(account, order, command, payloads)
        payloads.extend(DiscrepancyChanged(each) for each in account.control.resolved(disputes))
        said = f"{order.order_id}: {command.resolution.name}: {command.reason}"
        payloads.append(
            ControlChanged(ControlEventType.ORDER_RESOLVED, request.request_id, said, request.actor)
        )
        record, body = account.done(request, order)
        account.stage(payloads, (record,))
        await self._journal.commit()
        return body

    def _resolved(
        self, account: Account, order: Order, command: ResolveOrder, payloads: list[EventPayload]
    ) -> Order:
        now_ns, tracker = self._clock.now_ns(), account.tracker
        if order.ended:
            return order
        if command.resolution is OrderResolution.NEVER_PLACED:
            if order.state is not OrderState.PENDING_NEW:
                raise invalid_field(
                    "resolution", f"the order is {order.state.name}: the broker had it; say ENDED or WORKING"
                )
            return tracker.rejected(order, ErrorReason.NOT_SENT, command.reason, payloads)
        if command.resolution is OrderResolution.ENDED:
            said = order.cum_quantity if command.cum_quantity is None else command.cum_quantity
            if said < order.cum_quantity or said > order.quantity:
                raise invalid_field(
                    "cum_quantity",
                    f"{format_decimal(said)} is not between what is booked, {format_decimal(order.cum_quantity)}, and "
                    f"what was ordered, {format_decimal(order.quantity)}",
                )
            if said != order.cum_quantity:
                self._missing_fills(account, order, format_decimal(said))
            ended = lifecycle.cancel(order, now_ns, message=command.reason)
            return tracker.moved(OrderEventType.CANCELED, ended, payloads, command.reason)
        order = tracker.acknowledged(order, command.broker_order_id, payloads)
        for kind in (PendingActionKind.REPLACE, PendingActionKind.CANCEL):
            if order.action(kind) is not None:
                settled = lifecycle.settled(order, kind, now_ns)
                order = tracker.moved(OrderEventType.RESOLVED, settled, payloads, command.reason)
        return order

    def _missing_fills(self, account: Account, order: Order, said: str) -> None:
        """A fill that nobody told is not invented: the instrument is frozen until the broker's position is taken."""
        account.disagree(
            Discrepancy(
                discrepancy_id=account.journal.next_discrepancy_id(account.account_id),
                account_id=account.account_id,
                symbol=order.spec.symbol,
                order_id="",
                expected=f"filled {format_decimal(order.cum_quantity)}",
                actual=f"filled {said}, by a person's word",
                message=f"fills of order {order.order_id} are missing",
                detect_time_ns=self._clock.now_ns(),
            )
        )
