"""Questions about orders and executions: one order, all open ones, what was executed."""

from __future__ import annotations

from decimal import Decimal

from brokergate.adapters.binance import parse, wire
from brokergate.adapters.binance.client import Refusal
from brokergate.adapters.binance.desk import Desk
from brokergate.adapters.binance.errors import NO_SUCH_ORDER
from brokergate.adapters.binance.executions import Executions
from brokergate.adapters.binance.parse import Execution, ShownOrder
from brokergate.domain.errors import BrokerError, TemporaryConnectionError, UnknownOrderError
from brokergate.domain.orders import Order, OrderState, PendingActionKind
from brokergate.ports.broker import Absent, Failed, FillPage, FillReport, FindResult, Found, VenueOrder

NS_PER_MS = 1_000_000
OLD_NS = 86_400 * 1_000_000_000
"""After this what Binance does not show of an order it has put away, and is not just late with."""
_WORKS = (OrderState.NEW, OrderState.PARTIALLY_FILLED)


class Lookups:
    """The questions of one account."""

    def __init__(self, desk: Desk, executions: Executions) -> None:
        self._desk = desk
        self._executions = executions

    async def find(self, order: Order) -> FindResult:
        """What Binance knows of an order: by its number where there is one, else by its client id, which no other
        order of the account ever had."""
        if self._desk.listed(order.spec.symbol) is None:
            return Failed(
                f"Binance lists no {order.spec.symbol} any more, and tells nothing of its orders; look for it in the "
                "account's history, and say by ResolveOrder what became of it",
                for_good=True,
            )
        client_id = self._desk.telling.ids.venue_id(order.client_order_id, order.generation)
        try:
            shown = await self._ask(order.spec.symbol, order.broker_order_id, client_id)
            if shown is None:
                return Absent()
            replace = order.action(PendingActionKind.REPLACE)
            if replace is not None and shown.status == "CANCELED":
                return await self._successor(order, shown)
        except (Refusal, BrokerError) as error:
            return Failed(str(error))
        return Found(self._desk.telling.shown(shown, self._total(order, shown)))

    def _total(self, order: Order, shown: ShownOrder) -> Decimal | None:
        """The quantity that an order has in all, where what is shown is its second generation at least: Binance counts
        that without what earlier ones filled. None where it has no other than what is shown."""
        venue_id = self._desk.telling.ids.venue_id
        replace = order.action(PendingActionKind.REPLACE)
        if replace is not None and shown.client_id == venue_id(order.client_order_id, order.generation + 1):
            spec = order.spec if replace.replacement is None else replace.replacement
            return order.quantity if spec.quantity is None else spec.quantity
        if order.generation > 1 and shown.client_id == venue_id(order.client_order_id, order.generation):
            return order.quantity
        return None

    async def _successor(self, order: Order, cancelled: ShownOrder) -> FindResult:
        """A replace that is under way cancelled the order: is there another one in its stead?"""
        replace = order.action(PendingActionKind.REPLACE)
        assert replace is not None
        new_id = self._desk.telling.ids.venue_id(order.client_order_id, order.generation + 1)
        shown = await self._ask(order.spec.symbol, "", new_id)
        if shown is not None:
            return Found(self._desk.telling.shown(shown, self._total(order, shown)))
        age_ns = self._desk.clock.now_ns() - replace.since_ns
        if not replace.uncertain or age_ns < self._desk.absence_after_ms * NS_PER_MS:
            return Failed("the order was cancelled for a replace whose second half may still come")
        return Found(self._desk.telling.shown(cancelled, self._total(order, cancelled)))

    async def _ask(self, symbol: str, broker_id: str, client_id: str) -> ShownOrder | None:
        """One order; None where Binance has none. Raises `Refusal` and `BrokerError`."""
        name = self._desk.listing.venue_symbol(symbol)
        try:
            return parse.order(await self._desk.client.command(wire.get_order(name, broker_id, client_id)))
        except Refusal as refusal:
            if refusal.code == NO_SUCH_ORDER:
                return None
            raise

    async def open_orders(self) -> list[VenueOrder]:
        """All open orders of the account. Raises a `BrokerError`."""
        desk = self._desk
        if desk.client.offset.due(desk.clock.now_ns()):
            await desk.client.sync()
        before = set(desk.telling.open)
        shown = parse.orders(await desk.client.ask(wire.open_orders()))
        there = {one.order_id for one in shown}
        for gone in before - there:
            desk.telling.open.pop(gone, None)
        self._executions.touch({one.symbol for one in shown})
        return [desk.telling.shown(one) for one in shown]

    async def fills(self, watermark: str) -> FillPage:
        """The executions after a watermark. Raises a `BrokerError`."""
        found, watermark, complete = await self._executions.after(watermark)
        return FillPage([await self._told(one) for one in found], watermark, complete)

    async def _told(self, execution: Execution) -> FillReport:
        """An execution with its order's name: the answer to a placement that was lost had told it."""
        telling = self._desk.telling
        name = telling.name(execution.order_id)
        if name is None:
            name = await self._name(execution)
            telling.named(execution.order_id, name)
        return telling.fill(execution, name)

    async def _name(self, execution: Execution) -> str:
        """The client id of an execution's order; empty of an order that Binance has put away (-2026), and that is not
        the gateway's to know. Raises a `BrokerError`."""
        request = wire.get_order(execution.symbol, execution.order_id, "")
        try:
            return parse.order(await self._desk.client.ask(request)).client_id
        except UnknownOrderError as error:
            if execution.time_ns < self._desk.clock.now_ns() - OLD_NS:
                return ""
            # Without its order the execution would be nobody's for ever.
            raise TemporaryConnectionError(
                f"Binance shows execution {execution.trade_id} in {execution.symbol}, and not yet its order"
            ) from error
