"""Questions about the orders and executions of one account, each answered completely or raised (law 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from zoneinfo import ZoneInfo

from brokergate.adapters.ibkr import frames
from brokergate.adapters.ibkr.contracts import Contracts
from brokergate.adapters.ibkr.desk import Desk
from brokergate.adapters.ibkr.line import Line
from brokergate.adapters.ibkr.orders import IbShown, state, venue_order
from brokergate.adapters.ibkr.times import midnight_ns, time_ns, wire_time
from brokergate.adapters.ibkr.values import WireError
from brokergate.domain.errors import BrokerError, ErrorReason, RecoverableError
from brokergate.domain.money import ZERO, add, multiply, subtract
from brokergate.domain.orders import ENDED, Order, OrderOrigin, OrderState, Side, TimeInForce
from brokergate.ports.broker import Absent, Failed, FillPage, FindResult, Found, VenueOrder
from brokergate.ports.clock import Clock
from brokergate.resilience.lanes import Lane

_OF_A_DAY = frozenset(TimeInForce) - {TimeInForce.GTC, TimeInForce.GTD, TimeInForce.UNSPECIFIED}
"""Times in force that no order outlives its session with."""
RAN_OUT = ("end of day", "expire")
"""What TWS's words have of an order that ran out. In another language it is told as cancelled, which it is as well."""


class Lookups:
    """Asks for one account. `time_zone` is TWS's own: its lists begin with its day."""

    def __init__(self, line: Line, desk: Desk, contracts: Contracts, clock: Clock, time_zone: str) -> None:
        self._line = line
        self._desk = desk
        self._contracts = contracts
        self._clock = clock
        self._zone = ZoneInfo(time_zone)
        self._over: Mapping[str, frames.OrderShown] = {}
        """The orders that had ended when TWS was last asked, by its number: for each of a thousand that ended while
        nobody listened the list need not be asked for again."""

    async def find(self, order: Order) -> FindResult:
        """What TWS has of the order: among those that work, then among those that ended, then by its executions. One
        that ends between two questions is in the later answer."""
        try:
            for shown in await self._working():
                if self._is(order, shown):
                    return Found(self._view(shown, self._state(shown)))
            if (known := self._over.get(order.broker_order_id)) is not None:
                return Found(self._ended(known))
            for told in await self._completed():
                if self._is(order, told.shown):
                    return Found(self._ended(told))
            executed = await self._executed(order)
        except (BrokerError, WireError) as error:
            return Failed(str(error))
        if executed:
            return Failed("TWS tells executions of the order and does not show how it stands")
        if not self._line.settled:
            return Failed("TWS is away from its venue, or was just now, and does not show what it keeps back")
        if order.create_time_ns < midnight_ns(self._clock.now_ns(), self._zone):
            return self._of_another_day(order)
        return Absent()

    def _of_another_day(self, order: Order) -> FindResult:
        """An order of before that works no more, at a TWS that tells of the present day alone how one ended. One that
        TWS never showed may have filled then: that nobody can tell. One that had its time is over, and what it filled
        the position tells; one that should work is missing."""
        if order.state is OrderState.PENDING_NEW:
            return Failed(
                "TWS tells of the present day alone, and the order is older; look for it in IB's statements, and say "
                "by ResolveOrder what became of it",
                for_good=True,
            )
        until_ns = order.spec.expire_time_ns
        ran_out = order.spec.time_in_force in _OF_A_DAY or (
            until_ns is not None and until_ns <= self._clock.now_ns()
        )
        if not ran_out and order.origin is not OrderOrigin.EXTERNAL:
            return Absent()
        if not self._line.steady:
            return Failed("TWS was only just connected to, and may not show all that works")
        return Found(self._run_out(order))

    def _run_out(self, order: Order) -> VenueOrder:
        """An order whose time is over, as far as it is known here."""
        return VenueOrder(
            client_order_id=order.client_order_id,
            broker_order_id=order.broker_order_id,
            symbol=order.spec.symbol,
            side=order.spec.side,
            type=order.spec.type,
            quantity=order.quantity,
            cum_quantity=order.cum_quantity,
            state=OrderState.EXPIRED,
            update_time_ns=self._clock.now_ns(),
            limit_price=order.spec.limit_price,
            stop_price=order.spec.stop_price,
            time_in_force=order.spec.time_in_force,
            message="TWS works it no more, and tells nothing of the day that it was of",
        )

    async def shown(self, perm_id: int) -> VenueOrder | None:
        """An order by TWS's own number, working or ended; None where neither list has it. Raises a `BrokerError`."""
        for shown in await self._working():
            if shown.order.perm_id == perm_id:
                return self._view(shown, self._state(shown))
        return await self.completed(perm_id)

    async def completed(self, perm_id: int) -> VenueOrder | None:
        """One that has ended, by TWS's own number. Raises a `BrokerError`."""
        await self._completed()
        told = self._over.get(str(perm_id))
        return None if told is None else self._ended(told)

    async def _completed(self) -> Sequence[frames.OrderShown]:
        told = await self._line.ask.completed_orders()
        self._over = {str(each.shown.order.perm_id): each for each in told}
        return told

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

    def ran_out(self, shown: IbShown | None) -> bool:
        """Whether the time that an order was good till is over."""
        if shown is None or shown.order.tif != "GTD":
            return False
        try:
            until = wire_time(shown.order.good_till, self._zone)
        except ValueError:
            return False
        return self._clock.now_ns() >= time_ns(until)

    # Lists

    async def open_orders(self, lane: Lane = Lane.QUERY) -> Sequence[VenueOrder]:
        """Everything that works for the account, whoever placed it. Raises a `BrokerError`."""
        try:
            told = [self._view(shown, self._state(shown)) for shown in await self._working(lane)]
        except WireError as error:
            raise RecoverableError(f"TWS shows an order that cannot be read: {error}") from None
        # What ends while TWS is asked is told beside its answer.
        return [order for order in told if order.state not in ENDED]

    def set_aside(self, shown: Sequence[VenueOrder]) -> Mapping[str, Decimal]:
        """What open purchases come to, by currency."""
        held: dict[str, Decimal] = {}
        for order in shown:
            listed = self._contracts.get(order.symbol)
            price = order.limit_price if order.limit_price is not None else order.stop_price
            if order.side is Side.BUY and listed is not None and price is not None:
                left = subtract(order.quantity, order.cum_quantity)
                cost = multiply(multiply(price, left), listed.instrument.multiplier)
                currency = listed.instrument.quote_currency
                held[currency] = add(held.get(currency, ZERO), cost)
        return held

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
            ran_out = any(word in told.how.lower() for word in RAN_OUT)
            return self._view(shown, OrderState.EXPIRED if ran_out else OrderState.CANCELED, message=told.how)
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
