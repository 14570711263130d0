"""The gateway: every account behind one door. The transport calls these methods and nothing else of the engine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar
from weakref import WeakValueDictionary

from brokergate.domain.accounts import BrokerPosition, ConnectionState
from brokergate.domain.commands import (
    CancelAllOrders,
    CancelOrder,
    ClearFreeze,
    ClosePosition,
    CreatePaperAccount,
    EmergencyStop,
    IfUnknown,
    OrderFailure,
    OrderRef,
    Placed,
    PlaceOrder,
    PlaceResult,
    ReplaceOrder,
    Request,
    ResolveOrder,
    ResumeTrading,
)
from brokergate.domain.errors import (
    ErrorReason,
    GatewayError,
    invalid_field,
    outside,
)
from brokergate.domain.faults import FaultPlan
from brokergate.domain.money import ZERO, format_decimal
from brokergate.domain.orders import OrderSpec, OrderType, Side
from brokergate.domain.policy import AccountPolicy
from brokergate.domain.values import changed
from brokergate.engine.account import Account
from brokergate.engine.changing import Changing
from brokergate.engine.closing import closable, market_orders
from brokergate.engine.connections import Connections
from brokergate.engine.grouping import members_of
from brokergate.engine.journal_guard import CANCELS, STOPS, JournalGuard
from brokergate.engine.lookups import no_position, simulated_venue
from brokergate.engine.placing import Placing
from brokergate.engine.reading import Reading
from brokergate.engine.requests import check_same_request
from brokergate.engine.routes import Authorise
from brokergate.engine.rules import check_order
from brokergate.engine.simulators import Simulators
from brokergate.engine.stopping import StopOperation, protective
from brokergate.engine.supervisor import Supervisor
from brokergate.engine.tasks import OwnedTasks, to_its_end
from brokergate.engine.trading_control import TradingControl
from brokergate.ports.broker import AbstractBroker, Preview
from brokergate.ports.clock import Clock
from brokergate.ports.journal import AlreadyJournalled, Journal, JournalError
from brokergate.ports.market import Absence, MarketSource
from brokergate.resilience.metrics import BrokerMetrics

T = TypeVar("T")

ASKED = "asked for by ReconnectBroker"


class Gateway(Reading):
    """All methods raise `GatewayError`. Account ids that do not exist raise ACCOUNT_NOT_FOUND. A mutation that takes
    a `Request` returns the serialised answer: the stored one when the request was answered before."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        log: Callable[..., object],
        make_paper: Callable[[CreatePaperAccount], AbstractBroker],
        rng: random.Random | None = None,
        routes: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`rng` spreads the attempts to connect again; `routes` name accounts in order."""
        super().__init__(journal, routes or {})
        self.tasks = OwnedTasks()
        self.simulators = Simulators(
            self.accounts,
            journal,
            log,
            self.tasks,
            make_paper,
            self.add_account,
            self.account,
            self._go_across,
        )
        self._clock = clock
        self._log = log
        self._rng = rng or random.Random(0)
        self._placing: dict[Account, Placing] = {}
        self._changing: dict[Account, Changing] = {}
        self._connections = Connections(self.accounts, log)
        self._under_way: dict[tuple[str, str], tuple[Request, asyncio.Task[bytes]]] = {}
        self._closing: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._reconnecting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._paying: asyncio.Task[None] | None = None
        self._guard = JournalGuard(journal, clock, log, self._rebuild, self._health_changed)
        self._control = TradingControl(
            self.accounts, journal, clock, self._guard, self._stop_operation, self._true_position
        )

    # Accounts

    async def add_account(
        self,
        account_id: str,
        broker: AbstractBroker,
        policy: AccountPolicy,
        metrics: BrokerMetrics | None = None,
    ) -> None:
        """Takes in an account, and returns when the first attempt to connect its broker has ended; one that cannot
        connect is shown in its connection's state."""
        self.open_account(account_id, broker, policy, metrics)
        await self.tried(account_id)

    def open_account(
        self,
        account_id: str,
        broker: AbstractBroker,
        policy: AccountPolicy,
        metrics: BrokerMetrics | None = None,
    ) -> None:
        """Takes in an account; a broker outside the process is connected from now on, in the background. `metrics` is
        what the broker's adapter records in, where it does."""
        account = Account(
            account_id,
            broker,
            self.journal,
            self._clock,
            self._log,
            self._health_changed,
            policy=policy,
            metrics=metrics,
        )
        self.accounts[account_id] = account
        self._placing[account] = Placing(account)
        self._changing[account] = Changing(account)
        if not broker.in_process:
            self._supervise(account)
        self._control.adopt(account)

    def _supervise(self, account: Account) -> None:
        placing = self._placing[account]
        supervisor = Supervisor(account, placing, self._rng, self._guard.works, self._control.suspended)
        self._connections.supervise(account.account_id, supervisor)

    async def _go_across(self, account: Account, plan: FaultPlan) -> None:
        """Makes an in-process paper account one across a line: it is made anew from the journal, which has all that it
        did."""
        self._gathering.settle()
        await self._connections.leave(account, "going across a line, for faults to be")
        account.tell()
        simulated_venue(account).set_faults(plan)
        account.load()
        self._supervise(account)
        await self.tried(account.account_id)
        self._control.take_up(account)

    async def tried(self, account_id: str) -> None:
        """Returns when the first attempt to connect the account has ended. An in-process venue is connected here."""
        await self._connections.tried(account_id)

    def market(self, account_id: str) -> MarketSource:
        """The market of an account, for those that follow it. `ValueError` where there is no such account."""
        account = self.accounts.get(account_id)
        if account is None:
            raise ValueError(f"there is no account {account_id!r} whose market could be followed")

        def absence() -> Absence | None:
            connection = account.connection
            if connection.state is ConnectionState.CONNECTED:
                return None
            said = f", {connection.message}" if connection.message else ""
            return Absence(connection.since_ns, f"its broker is {connection.state.name}{said}")

        return MarketSource(account.broker, absence)

    async def close(self) -> None:
        """Ends the brokers' connections; what they told until then is staged."""
        self._gathering.settle()
        await self._control.close()
        await self._guard.close()
        self._end_paying()
        await self._connections.close()
        await self.tasks.finish()
        await self._connections.told()
        if self.journal.failed is None:
            for account in self.accounts.values():
                account.stage(())
            self.journal.flush()

    async def _rebuild(self) -> None:
        """The journal was opened again: every account is made anew from what is on the disk."""
        accounts = list(self.accounts.values())
        for account in accounts:
            account.load()
            account.enter(ConnectionState.RECONNECTING, "the journal was opened again")
        await self._guard.pay(STOPS)
        for account in accounts:
            await self._connections.anew(account)
            self._control.take_up(account)
        self._end_paying()
        self._paying = self.tasks.start(self._pay_cancels())

    def _end_paying(self) -> None:
        """Nothing more of what is owed is begun; what was goes on."""
        if self._paying is not None:
            self._paying.cancel()

    async def _pay_cancels(self) -> None:
        await self._guard.works()
        for account_id in list(self.accounts):
            await self.tried(account_id)
        with suppress(JournalError):
            await self._guard.pay(CANCELS)

    async def _true_position(self, account: Account, symbol: str) -> BrokerPosition | None:
        supervisor = self._connections.supervisors.get(account.account_id)
        return None if supervisor is None else await supervisor.gap.position(symbol)

    def _stop_operation(self, account: Account) -> StopOperation:
        supervisor = self._connections.supervisors.get(account.account_id)
        look = _nothing if supervisor is None else supervisor.gap.poll
        return StopOperation(
            account, self._placing[account], self._changing[account], look, self._guard.works, self.tasks
        )

    # Orders

    async def place_order(self, command: PlaceOrder) -> Placed:
        """Places an order and answers with it as it now stands."""
        # Not by `account`, which settles what is gathered.
        account = self.accounts.get(command.account_id) or self.account(command.account_id)
        if account.broker.in_process:
            result = await self._gathering.stage(self._placing[account], command)
            await self.journal.commit_now(account.account_id)
        else:
            (result,) = await self.place_orders((command,))
        if isinstance(result, OrderFailure):
            raise result.error
        return result

    async def place_orders(self, commands: Sequence[PlaceOrder]) -> Sequence[PlaceResult]:
        """Places orders of one account in turn; one that fails stops none."""
        account = self.account(commands[0].account_id)
        return await self._run(account, self._placing[account].place(commands))

    async def place_routed(
        self, commands: Sequence[PlaceOrder], authorise: Authorise
    ) -> Sequence[PlaceResult]:
        """Places orders of one route in turn, each on the account that the route has for it or chooses; one that fails
        stops none. `authorise` is asked about every account that is chosen."""
        return await self.tasks.run(self._place_routed(commands, authorise))

    async def place_routed_order(self, command: PlaceOrder, authorise: Authorise) -> Placed:
        """As `place_routed`, of one order."""
        (result,) = await self.place_routed((command,), authorise)
        if isinstance(result, OrderFailure):
            raise result.error
        return result

    async def _place_routed(
        self, commands: Sequence[PlaceOrder], authorise: Authorise
    ) -> Sequence[PlaceResult]:
        results: list[PlaceResult] = []
        while len(results) < len(commands):
            self._gathering.settle()
            found = self.routes.next_run(commands[len(results) :], authorise)
            if isinstance(found, OrderFailure):
                results.append(found)
            else:
                account, run = found
                # Nothing suspends between the choice and its staging.
                results.extend(await self._placing[account].place(run))
        return results

    async def cancel_routed(
        self, command: CancelOrder, request: Request, route_id: str, authorise: Authorise
    ) -> bytes:
        """As `cancel_order`, wherever the order of the route is; the tombstone of one that is not known yet binds its
        id to an account."""
        while True:
            account_id = self.routes.account_of(route_id, command.order)
            if account_id is None and command.if_unknown is IfUnknown.TOMBSTONE:
                account_id = self.routes.tombstone(route_id, command.order.client_order_id).account_id
            if account_id is None:
                account_id = self.routes.order_account(route_id, command.order)
            authorise(account_id)
            try:
                return await self.cancel_order(replace(command, account_id=account_id), request, route_id)
            except AlreadyJournalled:
                if self.routes.account_of(route_id, command.order) in (None, account_id):
                    raise
                # The order came in between, and went elsewhere.

    def route_of_new(self, route_id: str, spec: OrderSpec) -> str:
        """The account that a new order on the route would go to now."""
        return self.routes.first(PlaceOrder("", "", spec, b"", route_id=route_id)).account_id

    async def preview_order(self, account_id: str, spec: OrderSpec) -> Preview:
        """What an order would do now; what the rules refuse raises. Of a bracket it is what the entry would do, and
        whether all of it would be taken."""
        account = self._read(account_id)
        account.check_connected()
        instrument = account.instrument(spec.symbol, "order.symbol")
        broker = account.broker
        specs = [spec]
        if spec.bracket:
            command = PlaceOrder(account_id, "", spec, b"")
            specs = [
                member
                for _, member in members_of(
                    command, instrument, broker.capabilities, broker.name, account.present_ns
                )
            ]
        else:
            check_order(spec, instrument, broker.capabilities, broker.name, account.present_ns)
        preview = await broker.preview_order(changed(spec, take_profit=None, stop_loss=None))
        refusal = account.refusal(spec.symbol)
        if refusal is None and account.risk is not None:
            if spec.bracket:
                breach = account.risk.preview_group(specs, instrument)
            else:
                quantity = broker.quantity_for(spec) if spec.quantity is None else spec.quantity
                breach = account.risk.preview(spec, quantity, instrument)
            refusal = None if breach is None else (breach.reason, breach.message)
        return preview if refusal is None else replace(preview, rejection=refusal)

    async def replace_order(self, command: ReplaceOrder, request: Request) -> bytes:
        """Changes a working order."""
        account = self.account(command.account_id)
        return await self._change(account, request, self._changing[account].replace(command, request))

    async def cancel_order(self, command: CancelOrder, request: Request, route_id: str = "") -> bytes:
        """Cancels a working order; `request.encode` gets None after a tombstone, which holds on the route too."""
        account = self.account(command.account_id)
        changing = self._changing[account]
        return await self._cancel(
            account,
            lambda: [command.order],
            request,
            lambda: changing.cancel(command, request, route_id),
            lambda: changing.write_cancel(command, request),
        )

    async def cancel_orders(self, account_id: str, orders: Sequence[OrderRef], request: Request) -> bytes:
        """Cancels several orders."""
        account = self.account(account_id)

        def work() -> Coroutine[object, object, bytes]:
            return self._changing[account].cancel_many(orders, request)

        return await self._cancel(account, lambda: orders, request, work, work)

    async def cancel_all_orders(self, command: CancelAllOrders, request: Request) -> bytes:
        """Cancels every working order of the account, of one symbol and side where given."""
        account = self.account(command.account_id)

        def refs() -> Sequence[OrderRef]:
            return [
                OrderRef(order.order_id)
                for order in account.tracker.open.values()
                if command.symbol in ("", order.spec.symbol)
                and command.side in (Side.UNSPECIFIED, order.spec.side)
            ]

        def work() -> Coroutine[object, object, bytes]:
            return self._changing[account].cancel_all(command.symbol, command.side, request)

        return await self._cancel(account, refs, request, work, work)

    async def _cancel(
        self,
        account: Account,
        refs: Callable[[], Sequence[OrderRef]],
        request: Request,
        work: Callable[[], Coroutine[object, object, bytes]],
        later: Callable[[], Coroutine[object, object, bytes]],
    ) -> bytes:
        """Does `work`. While the journal fails, also where this is what finds it out, cancels go out all the same and
        are kept, to be written by `later` when it works; raises what the caller is told of that."""
        if self.journal.failed is None:
            try:
                return await self._change(account, request, work())
            except JournalError:
                if self.journal.failed is None:
                    raise
        told = self._guard.owe(
            CANCELS,
            f"{account.account_id}/{request.request_id}",
            lambda: self._change(account, request, later()),
        )
        known = [
            account.tracker.open.get(ref.order_id) or account.tracker.working(ref.client_order_id)
            for ref in refs()
        ]
        await self._guard.cancel_unwritten(account, [order for order in known if order is not None])
        raise told

    async def close_position(self, command: ClosePosition) -> Placed:
        """Closes a position by a market order whose client_order_id is the request_id."""
        account = self.account(command.account_id)
        # One after another: each sees what those before it are closing.
        turn = self._closing.setdefault((command.account_id, command.symbol), asyncio.Lock())
        try:
            async with turn:
                known = self.journal.find_order(command.account_id, command.request_id)
                spec = known.order.spec if known else await self._closing_spec(account, command)
                return await self.place_order(
                    PlaceOrder(
                        command.account_id,
                        command.request_id,
                        spec,
                        command.fingerprint,
                        command.caller,
                        "ClosePosition",
                    )
                )
        except GatewayError as error:
            if error.reason is not ErrorReason.CLIENT_ORDER_ID_REUSED:
                raise outside(error, "order.") from None
            raise GatewayError(
                ErrorReason.REQUEST_ID_REUSED,
                f"request_id {command.request_id!r} was used for another order; draw a new one",
                metadata=error.metadata,
            ) from None

    async def _closing_spec(self, account: Account, command: ClosePosition) -> OrderSpec:
        before = market_orders(account, command.symbol)
        position = await self._position(account, command.symbol)
        if not position.quantity:
            raise no_position(account.account_id, command.symbol)
        # What fills while the broker is asked may be in its answer or not.
        orders = market_orders(account, command.symbol) | before
        left = closable(position.quantity, orders.values(), command.symbol)
        if command.quantity is not None and command.quantity > left:
            raise invalid_field(
                "quantity",
                f"{format_decimal(command.quantity)} is more than is held and not being closed, {format_decimal(left)}",
            )
        return OrderSpec(
            symbol=command.symbol,
            side=Side.SELL if position.quantity > ZERO else Side.BUY,
            type=OrderType.MARKET,
            quantity=left if command.quantity is None else command.quantity,
            reduce_only=account.broker.capabilities.reduce_only,
        )

    async def _run(self, account: Account, work: Coroutine[object, object, T]) -> T:
        """The result of `work`, which goes on when the caller goes away. On an in-process broker it has staged all
        its effects before its first suspension, and needs no task of its own for that."""
        if account.broker.in_process:
            return await work
        return await self.tasks.run(work)

    async def _change(
        self, account: Account, request: Request, work: Coroutine[object, object, bytes]
    ) -> bytes:
        """As `_run`; a request that repeats one under way waits for its answer."""
        if account.broker.in_process:
            return await work
        key = (account.account_id, request.request_id)
        if key in self._under_way:
            work.close()
            first, task = self._under_way[key]
            check_same_request(request, first.method, first.fingerprint)
        else:
            task = self.tasks.start(work)
            self._under_way[key] = (request, task)
            task.add_done_callback(lambda _: self._under_way.pop(key))
        return await asyncio.shield(task)

    # Control

    async def emergency_stop(self, command: EmergencyStop, request: Request) -> bytes:
        """Latches a stop, and answers when that is durable; `request.encode` gets a `StopView`. It passes while the
        journal cannot be written: then what is open is cancelled, and the latch follows."""
        return await self.tasks.run(self._stop(command, self._several(command.account_ids), request))

    async def _stop(self, command: EmergencyStop, accounts: Sequence[Account], request: Request) -> bytes:
        if self.journal.failed is None:
            try:
                return await self._control.stop(command, accounts, request)
            except JournalError:
                if self.journal.failed is None:
                    raise
        told = self._guard.owe(
            STOPS, request.request_id, lambda: self._control.stop(command, accounts, request)
        )
        await asyncio.gather(*[self._cancel_stopped(account, command) for account in accounts])
        raise told

    async def _cancel_stopped(self, account: Account, command: EmergencyStop) -> None:
        """Cancels what a stop that cannot be written does not keep. A venue in process is put back to what is
        durable."""
        if account.broker.in_process:
            return
        kept = protective(account) if command.keep_protective_stops else ()
        orders = [order for order in account.tracker.open.values() if order.order_id not in kept]
        await self._guard.cancel_unwritten(account, orders)

    async def resume_trading(self, command: ResumeTrading, request: Request) -> bytes:
        """Ends a stop; `request.encode` gets the accounts' `TradingView`s."""
        return await self.tasks.run(
            self._control.resume(command, self._several(command.account_ids), request)
        )

    async def clear_freeze(self, command: ClearFreeze, request: Request) -> bytes:
        """Lets an instrument be traded, taking the broker's word; `request.encode` gets the account's `TradingView`."""
        account = self.account(command.account_id)
        account.instrument(command.symbol)
        return await self._change(account, request, self._control.clear_freeze(account, command, request))

    async def resolve_order(self, command: ResolveOrder, request: Request) -> bytes:
        """Takes a person's word for what became of an order; `request.encode` gets the order."""
        account = self.account(command.account_id)
        return await self._change(account, request, self._control.resolve_order(account, command, request))

    def _several(self, account_ids: Sequence[str]) -> list[Account]:
        """The accounts, all when none is named."""
        names = sorted(set(account_ids)) or self.account_ids
        return [self.account(name, "account_ids") for name in names]

    @to_its_end
    async def reconnect(self, account_id: str, request: Request) -> bytes:
        """Drops an account's connection and makes a new one; BROKER_UNAVAILABLE when that fails."""
        account = self.account(account_id)
        async with self._reconnecting.setdefault(account_id, asyncio.Lock()):
            if (answer := account.answered(request)) is not None:
                return answer
            await self._connections.again(account, ASKED)
            account.check_connected()
            record, body = account.done(request, account.connection.view())
            account.stage((), (record,))
            await self.journal.commit()
            return body


async def _nothing() -> None:
    """An in-process venue has told all that there is."""
