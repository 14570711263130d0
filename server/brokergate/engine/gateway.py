"""The gateway: every account behind one door. The transport calls these methods and nothing else of the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

from brokergate.domain.commands import (
    CancelAllOrders,
    CancelOrder,
    CancelResult,
    ClosePosition,
    CreatePaperAccount,
    OrderRef,
    Placed,
    PlaceOrder,
    PlaceResult,
    ReplaceOrder,
    Request,
)
from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import QuoteView
from brokergate.domain.orders import Order, OrderSpec
from brokergate.engine.views import AccountView, BrokerView, ConnectionView, TradingView
from brokergate.ports.broker import AbstractBroker, Preview, PushedUpdate, TapeAction, TapeStatus
from brokergate.ports.journal import FillFilter, Journal, OrderFilter, StoredOrder


class Gateway:
    """All methods raise `GatewayError`. Account ids that do not exist raise ACCOUNT_NOT_FOUND. A mutation returns
    its result, or the stored answer's bytes when its `Request` was answered before."""

    journal: Journal

    @property
    def account_ids(self) -> Sequence[str]:
        """All accounts, sorted."""
        raise NotImplementedError

    def cursor(self, account_id: str) -> str:
        """The cursor after the last committed event of the account (for List and Get responses)."""
        raise NotImplementedError

    async def place_order(self, command: PlaceOrder) -> Placed: raise NotImplementedError
    async def place_orders(self, commands: Sequence[PlaceOrder]) -> Sequence[PlaceResult]:
        """All on the same account; one that fails stops none."""
        raise NotImplementedError
    async def preview_order(self, account_id: str, spec: OrderSpec) -> Preview: raise NotImplementedError
    async def replace_order(self, command: ReplaceOrder, request: Request) -> Order | bytes: raise NotImplementedError
    async def cancel_order(self, command: CancelOrder, request: Request) -> Order | None | bytes:
        """None after a tombstone."""
        raise NotImplementedError
    async def cancel_orders(self, account_id: str, orders: Sequence[OrderRef], request: Request) -> Sequence[CancelResult] | bytes: raise NotImplementedError
    async def cancel_all_orders(self, command: CancelAllOrders, request: Request) -> Sequence[CancelResult] | bytes: raise NotImplementedError
    async def close_position(self, command: ClosePosition) -> Placed: raise NotImplementedError
    def get_order(self, account_id: str, ref: OrderRef) -> Order: raise NotImplementedError
    def list_orders(self, account_id: str, which: OrderFilter, before: int | None, limit: int) -> Sequence[StoredOrder]: raise NotImplementedError
    def list_fills(self, account_id: str, which: FillFilter, before: int | None, limit: int) -> Sequence[tuple[int, bytes]]: raise NotImplementedError
    def list_ledger_entries(self, account_id: str, kinds: frozenset[int], before: int | None, limit: int) -> Sequence[tuple[int, bytes]]: raise NotImplementedError
    async def list_positions(self, account_id: str, include_flat: bool) -> Sequence[BrokerPosition]: raise NotImplementedError
    async def get_position(self, account_id: str, symbol: str) -> BrokerPosition: raise NotImplementedError
    async def list_balances(self, account_id: str) -> Sequence[BrokerBalance]: raise NotImplementedError
    async def get_account(self, account_id: str) -> AccountView: raise NotImplementedError
    def list_instruments(self, account_id: str) -> Sequence[Instrument]:
        """By symbol."""
        raise NotImplementedError
    def get_instrument(self, account_id: str, symbol: str) -> Instrument: raise NotImplementedError
    def get_quote(self, account_id: str, symbol: str) -> QuoteView: raise NotImplementedError
    def broker_of(self, account_id: str) -> AbstractBroker:
        """For market data subscriptions."""
        raise NotImplementedError
    def brokers(self) -> Sequence[BrokerView]: raise NotImplementedError
    def on_health(self) -> AsyncIterator[None]:
        """Yields whenever a broker's health may have changed."""
        raise NotImplementedError
    async def reconnect(self, account_id: str, request: Request) -> ConnectionView | bytes: raise NotImplementedError
    def trading_states(self, account_id: str | None) -> Sequence[TradingView]: raise NotImplementedError
    async def create_paper_account(self, command: CreatePaperAccount, request: Request) -> AccountView | bytes: raise NotImplementedError
    async def reset_paper_account(self, account_id: str, initial_balances: dict[str, Decimal] | None, request: Request) -> AccountView | bytes: raise NotImplementedError
    async def control_tape(self, account_id: str, action: TapeAction, request: Request) -> TapeStatus | bytes: raise NotImplementedError
    async def push_market_data(self, account_id: str, updates: Sequence[PushedUpdate]) -> None: raise NotImplementedError
