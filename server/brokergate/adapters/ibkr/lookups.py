"""Questions about the orders and executions of one account, each answered completely or raised (law 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from brokergate.adapters.ibkr import frames
from brokergate.adapters.ibkr.contracts import Contracts
from brokergate.adapters.ibkr.desk import Desk
from brokergate.adapters.ibkr.line import Line
from brokergate.adapters.ibkr.orders import IbShown, state, venue_order
from brokergate.adapters.ibkr.values import NS_PER_S, WireError
from brokergate.domain.errors import BrokerError, ErrorReason, RecoverableError
from brokergate.domain.orders import Order, OrderState
from brokergate.ports.broker import Absent, Failed, FillPage, FindResult, Found, VenueOrder
from brokergate.ports.clock import Clock
from brokergate.resilience.lanes import Lane


class Lookups:
    """Asks for one account. `time_zone` is TWS's own: its lists begin with its day."""

    def __init__(self, line: Line, desk: Desk, contracts: Contracts, clock: Clock, time_zone: str) -> None:
        self._line = line
        self._desk = desk
        self._contracts = contracts
        self._clock = clock
        self._zone = ZoneInfo(time_zone)

    async def find(self, order: Order) -> FindResult:
        """What TWS has of the order: among those that work, then among those that ended, then by its executions. One
        that ends between two questions is in the later answer."""
        try:
            for shown in await self._working():
                if self._is(order, shown):
                    return Found(self._view(shown, self._state(shown)))
            for told in await self._line.ask.completed_orders():
                if self._is(order, told.shown):
                    return Found(self._ended(told))
            executed = await self._executed(order)
        except (BrokerError, WireError) as error:
            return Failed(str(error))
        if executed:
            return Failed("TWS tells executions of the order and does not show how it stands")
        if order.create_time_ns < self._day_began_ns():
            return Failed("TWS tells of the present day alone, and the order is older")
        return Absent()

    async def _working(self, lane: Lane = Lane.QUERY) -> Sequence[IbShown]:
        shown = await self._line.ask.open_orders(lane)
        return [each.shown for each in shown if each.shown.order.account == self._desk.account]

    async def _executed(self, order: Order) -> bool:
        executions, _ = await self._line.ask.executions(self._desk.account)
        reference = self._desk.reference(order)
        return any(
            str(each.perm_id) == order.broker_order_id
            or (bool(each.order_ref) and each.order_ref == reference)
            for each in executions
        )

    def _is(self, order: Order, shown: IbShown) -> bool:
        own = bool(order.client_order_id) and shown.order.order_ref == self._desk.reference(order)
        return own or str(shown.order.perm_id) == order.broker_order_id

    def _day_began_ns(self) -> int:
        now = datetime.fromtimestamp(self._clock.now_ns() // NS_PER_S, self._zone)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return (
            (midnight.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * NS_PER_S
        )

    # Lists

    async def open_orders(self, lane: Lane = Lane.QUERY) -> Sequence[VenueOrder]:
        """Everything that works for the account, whoever placed it. Raises a `BrokerError`."""
        try:
            return [self._view(shown, self._state(shown)) for shown in await self._working(lane)]
        except WireError as error:
            raise RecoverableError(f"TWS shows an order that cannot be read: {error}") from None

    async def fills(self, watermark: str) -> FillPage:
        """The executions after a watermark. Raises a `BrokerError`."""
        executions, costs = await self._line.ask.executions(self._desk.account)
        own = [each for each in executions if each.account == self._desk.account]
        try:
            return self._desk.executions.page(watermark, own, costs)
        except WireError as error:
            raise RecoverableError(f"TWS tells an execution that cannot be read: {error}") from None

    # Views

    def _state(self, shown: IbShown) -> OrderState:
        """Where a shown order stands. One that TWS lists among those that work, and calls inactive, may yet work."""
        return state(shown.status, shown.filled) or OrderState.NEW

    def _ended(self, told: frames.OrderShown) -> VenueOrder:
        """How a completed order ended."""
        shown = told.shown
        proven = state(shown.status, shown.filled)
        if proven is OrderState.FILLED or (shown.order.quantity and shown.filled >= shown.order.quantity):
            # TWS shows what was left of it as its quantity: nothing.
            whole = replace(shown, order=replace(shown.order, quantity=shown.filled))
            return self._view(whole, OrderState.FILLED)
        if proven is OrderState.CANCELED or shown.filled:
            return self._view(shown, OrderState.CANCELED, message=told.how)
        # `Inactive`: it was refused, and the words say why.
        return self._view(shown, OrderState.REJECTED, ErrorReason.BROKER_REJECTED, told.how)

    def _view(
        self,
        shown: IbShown,
        proven: OrderState,
        reason: ErrorReason = ErrorReason.UNSPECIFIED,
        message: str = "",
    ) -> VenueOrder:
        return venue_order(
            shown,
            proven,
            self._desk.client_id_of(shown.order.order_ref, shown.order.perm_id),
            self._contracts.symbol(shown.contract),
            self._contracts.by_id(shown.contract.con_id),
            self._clock.now_ns(),
            reason,
            message,
        )
