"""The gateway: every account behind one door. The transport calls these methods and nothing else of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from brokergate.domain.accounts import BrokerBalance, BrokerPosition, ConnectionState
from brokergate.domain.commands import (
    CancelAllOrders,
    CancelOrder,
    ClearFreeze,
    ClosePosition,
    CreatePaperAccount,
    EmergencyStop,
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
from brokergate.domain.control import AuditRecord, Discrepancy
from brokergate.domain.cursor import encode_cursor
from brokergate.domain.errors import (
    ErrorReason,
    GatewayError,
    RecoverableError,
    invalid_field,
    outside,
    shorten,
)
from brokergate.domain.events import ControlChanged, ControlEventType, EventPayload
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import QuoteView
from brokergate.domain.money import ZERO, format_decimal
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side
from brokergate.domain.policy import AccountPolicy
from brokergate.engine.account import Account
from brokergate.engine.connection import Metrics
from brokergate.engine.gathering import Gathering
from brokergate.engine.lookups import no_position, simulated_venue, trading_view
from brokergate.engine.paper_setting import from_setting, to_setting
from brokergate.engine.requests import check_same_request
from brokergate.engine.rules import check_order
from brokergate.engine.tasks import OwnedTasks, to_its_end
from brokergate.engine.views import AccountView, BrokerView, TradingView
from brokergate.ports.broker import (
    AbstractBroker,
    Preview,
    PushedUpdate,
    TapeAction,
)
from brokergate.ports.clock import Clock
from brokergate.ports.journal import AuditFilter, FillFilter, Journal, OrderFilter, StoredOrder

T = TypeVar("T")

_PAPER_SETTING = "paper-account/"


class Gateway:
    """All methods raise `GatewayError`. Account ids that do not exist raise ACCOUNT_NOT_FOUND. A mutation that takes
    a `Request` returns the serialised answer: the stored one when the request was answered before."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        log: Callable[..., object],
        make_paper: Callable[[CreatePaperAccount], AbstractBroker],
    ) -> None:
        self.journal = journal
        self.accounts: dict[str, Account] = {}
        self._clock = clock
        self._log = log
        self._make_paper = make_paper
        self._gathering = Gathering()
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self.tasks = OwnedTasks()
        self._under_way: dict[tuple[str, str], tuple[Request, asyncio.Task[bytes]]] = {}
        self._control = asyncio.Lock()
        self._health_waiters: set[asyncio.Event] = set()

    # Accounts

    async def add_account(self, account_id: str, broker: AbstractBroker, policy: AccountPolicy) -> None:
        """Takes in an account and connects its broker; one that cannot connect is shown in its connection's state."""
        account = Account(
            account_id,
            broker,
            self.journal,
            self._clock,
            self._log,
            self._health_changed,
            policy=policy,
        )
        self.accounts[account_id] = account
        await self._connect(account)

    async def restore_paper_accounts(self) -> None:
        """Takes in the paper accounts that were made at run time. One that the configuration names too is skipped."""
        for key, text in sorted(self.journal.settings(_PAPER_SETTING).items()):
            account_id = key.removeprefix(_PAPER_SETTING)
            if account_id in self.accounts:
                self._log("account of the configuration hides one made at run time", account=account_id)
                continue
            await self.add_account(
                account_id, self._make_paper(from_setting(account_id, text)), AccountPolicy()
            )

    async def close(self) -> None:
        """Ends the brokers' connections; what they told until then is staged."""
        self._gathering.settle()
        for account in self.accounts.values():
            await account.broker.close()
        await self.tasks.finish()
        await asyncio.gather(*self._pumps.values(), return_exceptions=True)
        self.journal.flush()

    async def _connect(self, account: Account) -> None:
        try:
            await account.connect()
        except Exception as error:  # noqa: BLE001 - one broker that fails, however it does, leaves the others alone
            self._log("broker not connected", account=account.account_id, error=str(error))
            return
        task = asyncio.create_task(self._pump(account), name=f"events of {account.account_id}")
        self._pumps[account.account_id] = task

    async def _pump(self, account: Account) -> None:
        try:
            async for reports in account.broker.events():
                account.take(reports)
        except Exception as error:  # noqa: BLE001 - likewise
            account.enter(ConnectionState.ERROR, str(error))
            self._log("broker's events ended", account=account.account_id, error=repr(error))

    @property
    def account_ids(self) -> Sequence[str]:
        """All accounts, sorted."""
        return sorted(self.accounts)

    def account(self, account_id: str, field: str = "account_id") -> Account:
        """The account, with every order that came before now placed; ACCOUNT_NOT_FOUND otherwise, naming the request's
        `field`."""
        self._gathering.settle()
        account = self.accounts.get(account_id)
        if account is None:
            raise GatewayError(
                ErrorReason.ACCOUNT_NOT_FOUND,
                f"no account {shorten(account_id)!r}; ListAccounts shows those that there are",
                violations=invalid_field(field, f"no account {shorten(account_id)!r}").violations,
            )
        return account

    def _read(self, account_id: str) -> Account:
        """The account, with everything staged committed: what a read shows is durable."""
        account = self.account(account_id)
        self.journal.flush()
        return account

    def cursor(self, account_id: str) -> str:
        """The cursor after the last committed event of the account."""
        return encode_cursor(
            self.journal.journal_id, self.journal.epoch, {account_id: self.journal.head(account_id)}
        )

    # Orders

    async def place_order(self, command: PlaceOrder) -> Placed:
        """Places an order and answers with it as it now stands."""
        # Not by `account`, which settles what is gathered.
        account = self.accounts.get(command.account_id) or self.account(command.account_id)
        if account.broker.in_process:
            result = await self._gathering.stage(account, command)
            await self.journal.commit_now()
        else:
            (result,) = await self.place_orders((command,))
        if isinstance(result, OrderFailure):
            raise result.error
        return result

    async def place_orders(self, commands: Sequence[PlaceOrder]) -> Sequence[PlaceResult]:
        """Places orders of one account in turn; one that fails stops none."""
        account = self.account(commands[0].account_id)
        return await self._run(account, account.place(commands))

    async def preview_order(self, account_id: str, spec: OrderSpec) -> Preview:
        """What an order would do now; what the rules refuse raises."""
        account = self._read(account_id)
        account.check_connected()
        instrument = account.instrument(spec.symbol, "order.symbol")
        check_order(spec, instrument, account.broker.capabilities, account.broker.name, self._clock.now_ns())
        return await account.broker.preview_order(spec)

    async def replace_order(self, command: ReplaceOrder, request: Request) -> bytes:
        """Changes a working order."""
        account = self.account(command.account_id)
        return await self._change(account, request, account.replace(command, request))

    async def cancel_order(self, command: CancelOrder, request: Request) -> bytes:
        """Cancels a working order; `request.encode` gets None after a tombstone."""
        account = self.account(command.account_id)
        return await self._change(account, request, account.cancel(command, request))

    async def cancel_orders(self, account_id: str, orders: Sequence[OrderRef], request: Request) -> bytes:
        """Cancels several orders."""
        account = self.account(account_id)
        return await self._change(account, request, account.cancel_many(orders, request))

    async def cancel_all_orders(self, command: CancelAllOrders, request: Request) -> bytes:
        """Cancels every working order of the account, of one symbol and side where given."""
        account = self.account(command.account_id)
        if command.symbol:
            account.instrument(command.symbol)
        return await self._change(account, request, account.cancel_all(command.symbol, command.side, request))

    async def close_position(self, command: ClosePosition) -> Placed:
        """Closes a position by a market order whose client_order_id is the request_id."""
        account = self.account(command.account_id)
        known = self.journal.find_order(command.account_id, command.request_id)
        spec = known.order.spec if known else await self._closing_spec(account, command)
        try:
            return await self.place_order(
                PlaceOrder(command.account_id, command.request_id, spec, command.fingerprint)
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
        position = await self._position(account, command.symbol)
        held = position.quantity.copy_abs()
        if not held:
            raise no_position(account.account_id, command.symbol)
        if command.quantity is not None and command.quantity > held:
            raise invalid_field(
                "quantity", f"{format_decimal(command.quantity)} is more than is held, {format_decimal(held)}"
            )
        return OrderSpec(
            symbol=command.symbol,
            side=Side.SELL if position.quantity > ZERO else Side.BUY,
            type=OrderType.MARKET,
            quantity=held if command.quantity is None else command.quantity,
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

    # Reading

    def get_order(self, account_id: str, ref: OrderRef) -> Order:
        """The order as it now stands; ORDER_NOT_FOUND otherwise."""
        return self._read(account_id).get(ref)

    def list_orders(
        self, account_id: str, which: OrderFilter, before: int | None, limit: int
    ) -> Sequence[StoredOrder]:
        """Up to `limit` orders below the number `before`, newest first."""
        self._read(account_id)
        return self.journal.list_orders(account_id, which, before, limit)

    def list_fills(
        self, account_id: str, which: FillFilter, before: int | None, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        """Up to `limit` serialised fills below the sequence `before`, newest first."""
        self._read(account_id)
        return self.journal.list_fills(account_id, which, before, limit)

    def list_ledger_entries(
        self, account_id: str, kinds: frozenset[int], before: int | None, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        """Up to `limit` serialised ledger entries below the sequence `before`, newest first."""
        self._read(account_id)
        return self.journal.list_ledger_entries(account_id, kinds, before, limit)

    async def list_positions(self, account_id: str, include_flat: bool) -> Sequence[BrokerPosition]:
        """By symbol, at the present marks."""
        account = self._read(account_id)
        positions = await account.broker.get_positions()
        account.tell()
        return sorted(
            (position for position in positions if include_flat or position.quantity),
            key=lambda position: position.symbol,
        )

    async def get_position(self, account_id: str, symbol: str) -> BrokerPosition:
        """The position; INSTRUMENT_NOT_FOUND, or POSITION_NOT_FOUND where nothing was ever held."""
        return await self._position(self._read(account_id), symbol)

    async def _position(self, account: Account, symbol: str) -> BrokerPosition:
        account.instrument(symbol)
        positions = await account.broker.get_positions()
        account.tell()
        for position in positions:
            if position.symbol == symbol:
                return position
        raise no_position(account.account_id, symbol)

    async def list_balances(self, account_id: str) -> Sequence[BrokerBalance]:
        """By currency."""
        account = self._read(account_id)
        balances = await account.broker.get_balances()
        account.tell()
        return sorted(balances, key=lambda balance: balance.currency)

    async def get_account(self, account_id: str) -> AccountView:
        """The account with its figures."""
        account = self._read(account_id)
        view = await self._view(account)
        account.tell()
        return view

    async def _view(self, account: Account) -> AccountView:
        try:
            info = await account.broker.get_account_info()
        except RecoverableError:
            # Shown as stale and without figures: the other accounts of a list are there all the same.
            info = None
        return AccountView(
            account_id=account.account_id,
            broker=account.broker.name,
            environment=account.broker.environment,
            trading_enabled=account.policy.trading_enabled,
            info=info,
            stale=info is None or account.connection.state is not ConnectionState.CONNECTED,
        )

    def list_instruments(self, account_id: str) -> Sequence[Instrument]:
        """By symbol."""
        instruments = self.account(account_id).instruments
        return [instruments[symbol] for symbol in sorted(instruments)]

    def get_instrument(self, account_id: str, symbol: str, field: str = "symbol") -> Instrument:
        """The instrument; INSTRUMENT_NOT_FOUND otherwise, naming the request's `field`."""
        return self.account(account_id).instrument(symbol, field)

    def get_quote(self, account_id: str, symbol: str) -> QuoteView:
        """The best bid and ask; NO_REFERENCE_PRICE where nobody quotes."""
        account = self.account(account_id)
        account.instrument(symbol)
        quote = account.broker.quote(symbol)
        if quote is None:
            raise GatewayError(
                ErrorReason.NO_REFERENCE_PRICE,
                f"account {account_id!r} has no quote of {symbol!r} yet; try again",
            )
        return quote

    def broker_of(self, account_id: str) -> AbstractBroker:
        """The account's broker, for market data."""
        return self.account(account_id).broker

    def trading_states(self, account_id: str | None) -> Sequence[TradingView]:
        """Whether the account takes new orders; every account's when None."""
        accounts = (
            [self.account(account_id)] if account_id else [self.accounts[name] for name in self.account_ids]
        )
        return [trading_view(account) for account in accounts]

    # Control

    async def emergency_stop(self, command: EmergencyStop, request: Request) -> bytes:
        """Latches a stop, and answers when that is durable; `request.encode` gets a `StopView`."""
        raise NotImplementedError

    async def resume_trading(self, command: ResumeTrading, request: Request) -> bytes:
        """Ends a stop; `request.encode` gets the accounts' `TradingView`s."""
        raise NotImplementedError

    async def clear_freeze(self, command: ClearFreeze, request: Request) -> bytes:
        """Lets an instrument be traded, taking the broker's word; `request.encode` gets the account's `TradingView`."""
        raise NotImplementedError

    async def resolve_order(self, command: ResolveOrder, request: Request) -> bytes:
        """Takes a person's word for what became of an order; `request.encode` gets the order."""
        raise NotImplementedError

    def list_discrepancies(
        self, account_id: str, include_resolved: bool, before: int | None, limit: int
    ) -> Sequence[tuple[int, Discrepancy]]:
        """Up to `limit` disagreements below the number `before`, newest first."""
        self._read(account_id)
        return self.journal.discrepancies(account_id, include_resolved, before, limit)

    def list_audit_records(
        self, account_id: str, which: AuditFilter, before: int | None, limit: int
    ) -> Sequence[AuditRecord]:
        """Up to `limit` commands below the number `before`, newest first."""
        self._read(account_id)
        return self.journal.audit(account_id, which, before, limit)

    # Brokers

    def brokers(self) -> Sequence[BrokerView]:
        """By name."""
        by_name: dict[str, list[Account]] = {}
        for name in self.account_ids:
            account = self.accounts[name]
            by_name.setdefault(account.broker.name, []).append(account)
        return [
            BrokerView(
                name=name,
                capabilities=accounts[0].broker.capabilities,
                connections=[account.connection.view() for account in accounts],
                metrics=Metrics.view([account.metrics for account in accounts]),
            )
            for name, accounts in sorted(by_name.items())
        ]

    def _health_changed(self) -> None:
        for waiter in self._health_waiters:
            waiter.set()

    async def on_health(self) -> AsyncIterator[None]:
        """Yields at once, and whenever a broker's health may have changed."""
        waiter = asyncio.Event()
        self._health_waiters.add(waiter)
        try:
            while True:
                yield
                await waiter.wait()
                waiter.clear()
        finally:
            self._health_waiters.discard(waiter)

    @to_its_end
    async def reconnect(self, account_id: str, request: Request) -> bytes:
        """Drops an account's connection and makes a new one; BROKER_UNAVAILABLE when that fails."""
        async with self._control:
            account = self.account(account_id)
            if (answer := account.answered(request)) is not None:
                return answer
            await account.broker.close()
            if (pump := self._pumps.pop(account_id, None)) is not None:
                await pump
            account.enter(ConnectionState.RECONNECTING, "asked for by ReconnectBroker")
            await self._connect(account)
            account.check_connected()
            return await self._answer(account, request, account.connection.view(), ())

    async def _answer(
        self, account: Account, request: Request, result: object, payloads: Sequence[EventPayload]
    ) -> bytes:
        record, body = account.done(request, result)
        account.stage(payloads, (record,))
        await self.journal.commit()
        return body

    # Paper accounts

    @to_its_end
    async def create_paper_account(self, command: CreatePaperAccount, request: Request) -> bytes:
        """Makes a paper account that is there again after a restart; ACCOUNT_EXISTS when the id is taken."""
        async with self._control:
            account_id = command.account_id
            if account_id in self.accounts:
                account = self.accounts[account_id]
                if (answer := account.answered(request)) is not None:
                    return answer
                raise GatewayError(
                    ErrorReason.ACCOUNT_EXISTS,
                    f"account {account_id!r} exists; choose another id, or reset it",
                    violations=invalid_field("account_id", f"account {account_id!r} exists").violations,
                )
            await self.add_account(account_id, self._make_paper(command), AccountPolicy())
            self.journal.put_setting(_PAPER_SETTING + account_id, to_setting(command))
            created = ControlChanged(
                ControlEventType.ACCOUNT_CREATED, request.request_id, "paper account", request.actor
            )
            account = self.accounts[account_id]
            return await self._answer(account, request, await self._view(account), (created,))

    @to_its_end
    async def reset_paper_account(
        self, account_id: str, initial_balances: Mapping[str, Decimal] | None, request: Request
    ) -> bytes:
        """Puts a paper account back to its beginning; its journal and its used ids go on."""
        async with self._control:
            account = self.account(account_id)
            if (answer := account.answered(request)) is not None:
                return answer
            reports = await simulated_venue(account).reset(initial_balances)
            done = ControlChanged(ControlEventType.ACCOUNT_RESET, request.request_id, "", request.actor)
            payloads = [*account.tracker.apply(reports), done]
            return await self._answer(account, request, await self._view(account), payloads)

    @to_its_end
    async def control_tape(self, account_id: str, action: TapeAction, request: Request) -> bytes:
        """Steers the tape of a paper account."""
        async with self._control:
            account = self.account(account_id)
            if (answer := account.answered(request)) is not None:
                return answer
            status = await simulated_venue(account).control_tape(action)
            moved = ControlChanged(
                ControlEventType.TAPE,
                request.request_id,
                f"{status.state} at {status.tape_time_ns}",
                request.actor,
            )
            return await self._answer(account, request, status, (moved,))

    async def push_market_data(self, account_id: str, updates: Sequence[PushedUpdate]) -> None:
        """Gives a paper account market data."""
        await simulated_venue(self.account(account_id)).push(updates)
