"""What is shown of accounts, orders, positions, money and brokers: the gateway's reading side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from brokergate.domain.accounts import BrokerBalance, BrokerPosition, ConnectionState
from brokergate.domain.commands import OrderRef
from brokergate.domain.control import AuditRecord, Discrepancy
from brokergate.domain.cursor import encode_cursor
from brokergate.domain.errors import ErrorReason, GatewayError, invalid_field, shorten
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import QuoteView
from brokergate.domain.orders import Order
from brokergate.engine.account import Account
from brokergate.engine.gathering import Gathering
from brokergate.engine.lookups import account_view, no_position, trading_view
from brokergate.engine.routes import Routes
from brokergate.engine.shown import Shown, balances_of, instruments_of, positions_of, quote_of
from brokergate.engine.views import AccountView, BrokerView, TradingView
from brokergate.ports.broker import AbstractBroker
from brokergate.ports.journal import AuditFilter, FillFilter, Journal, OrderFilter, StoredOrder
from brokergate.resilience.metrics import metrics_of


class Reading:
    """Reads; what it shows is durable."""

    def __init__(self, journal: Journal, routes: Mapping[str, Sequence[str]]) -> None:
        self.journal = journal
        self.accounts: dict[str, Account] = {}
        self.absent: dict[str, str] = {}
        """Why an account of the configuration is not there, by its id: what a sentence about it ends with."""
        self.routes = Routes(routes, self.accounts, self.absent, journal)
        self._gathering = Gathering()
        self._health_waiters: set[asyncio.Event] = set()

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
            why = self.absent.get(account_id)
            problem = f"no account {shorten(account_id)!r}" + (f": it {why}" if why else "")
            raise GatewayError(
                ErrorReason.ACCOUNT_NOT_FOUND,
                f"{problem}; ListAccounts shows those that there are",
                violations=invalid_field(field, problem).violations,
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

    async def list_positions(self, account_id: str, include_flat: bool) -> Shown[Sequence[BrokerPosition]]:
        """By symbol, at the present marks; the last known ones while the broker is away."""
        shown = await positions_of(self._read(account_id))
        positions = [position for position in shown.value if include_flat or position.quantity]
        return replace(shown, value=sorted(positions, key=lambda position: position.symbol))

    async def get_position(self, account_id: str, symbol: str) -> Shown[BrokerPosition]:
        """The position, likewise; INSTRUMENT_NOT_FOUND, or POSITION_NOT_FOUND where nothing was ever held."""
        account = self._read(account_id)
        if account.instruments:
            account.instrument(symbol)
        shown = await positions_of(account)
        for position in shown.value:
            if position.symbol == symbol:
                return Shown(position, shown.as_of_ns, shown.stale)
        account.instrument(symbol)
        raise no_position(account_id, symbol)

    async def _position(self, account: Account, symbol: str) -> BrokerPosition:
        """The position by the broker's present word, to trade by."""
        account.instrument(symbol)
        positions = await account.broker.get_positions()
        account.tell()
        for position in positions:
            if position.symbol == symbol:
                return position
        raise no_position(account.account_id, symbol)

    async def list_balances(self, account_id: str) -> Shown[Sequence[BrokerBalance]]:
        """By currency; the last known ones while the broker is away."""
        shown = await balances_of(self._read(account_id))
        return replace(shown, value=sorted(shown.value, key=lambda balance: balance.currency))

    async def get_account(self, account_id: str) -> AccountView:
        """The account with its figures, likewise."""
        return await account_view(self._read(account_id))

    def list_instruments(self, account_id: str) -> Shown[Sequence[Instrument]]:
        """By symbol. What `Account.check_connected` raises where the broker was never there to say."""
        return instruments_of(self.account(account_id))

    def get_instrument(self, account_id: str, symbol: str, field: str = "symbol") -> Instrument:
        """The instrument; INSTRUMENT_NOT_FOUND otherwise, naming the request's `field`."""
        return self.account(account_id).instrument(symbol, field)

    def get_quote(self, account_id: str, symbol: str) -> Shown[QuoteView]:
        """The best bid and ask, the last ones while the market is away; NO_REFERENCE_PRICE where nobody quotes."""
        account = self.account(account_id)
        account.instrument(symbol)
        shown = quote_of(account, symbol)
        if shown is None:
            problem = account.broker.problem_with(symbol)
            raise GatewayError(
                ErrorReason.NO_REFERENCE_PRICE,
                f"account {account_id!r} has no quote of {symbol!r}"
                + (f": {problem}" if problem else " yet; try again"),
            )
        return shown

    def broker_of(self, account_id: str) -> AbstractBroker:
        """The account's broker, for market data."""
        return self.account(account_id).broker

    def reader(
        self,
        route_id: str,
        symbols: Sequence[str],
        check_broker: Callable[[AbstractBroker], None] = lambda _: None,
    ) -> str:
        """The first account of the route that is connected, has the instruments and a broker that `check_broker` raises
        no GatewayError for."""

        def check(account: Account) -> None:
            for symbol in symbols:
                account.instrument(symbol)
            check_broker(account.broker)

        return self.routes.reader(route_id, check).account_id

    def is_connected(self, account_id: str) -> bool:
        """Whether the account's broker is there."""
        return self.account(account_id).connection.state is ConnectionState.CONNECTED

    def trading_states(self, account_id: str | None) -> Sequence[TradingView]:
        """Whether the account takes new orders; every account's when None."""
        accounts = (
            [self.account(account_id)] if account_id else [self.accounts[name] for name in self.account_ids]
        )
        return [trading_view(account) for account in accounts]

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
                metrics=metrics_of([account.metrics for account in accounts]),
            )
            for name, accounts in sorted(by_name.items())
        ]

    def _health_changed(self) -> None:
        for waiter in self._health_waiters:
            waiter.set()

    @contextmanager
    def health_sets(self, news: asyncio.Event) -> Iterator[None]:
        """Sets `news` whenever a broker's health may have changed."""
        self._health_waiters.add(news)
        try:
            yield
        finally:
            self._health_waiters.discard(news)

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
