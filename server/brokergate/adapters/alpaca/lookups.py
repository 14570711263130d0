"""Questions about orders and executions at Alpaca, each answered completely or raised (law 4)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal

from brokergate.adapters.alpaca import answers, wire
from brokergate.adapters.alpaca.answers import Activity, AlpacaOrder
from brokergate.adapters.alpaca.client import AlpacaClient
from brokergate.adapters.alpaca.coins import is_crypto
from brokergate.adapters.alpaca.orders import Orders, leg_of
from brokergate.adapters.alpaca.values import NS_PER_S, WireError, time_ns, write_time
from brokergate.domain.errors import BrokerError, UnknownOrderError
from brokergate.domain.orders import Order, PendingActionKind
from brokergate.ports.broker import Absent, Failed, FillPage, FillReport, FindResult, Found
from brokergate.resilience import Lane

OVERLAP_NS = 10 * NS_PER_S
"""How far behind its watermark a new question for executions begins: two of the same moment may come into Alpaca's list
in another order than their ids have. What was told counts once."""
MORE = "="
"""Before a watermark in the middle of a list of pages."""


class Lookups:
    """Asks for one account."""

    def __init__(self, client: AlpacaClient, orders: Orders, symbol_of: Callable[[str], str]) -> None:
        self._client = client
        self._orders = orders
        self._symbol_of = symbol_of
        self.unnamed: set[str] = set()
        """Client order ids of what was sent and has, as far as is known, no id at Alpaca yet: an execution of an order
        that nobody knows may be theirs."""

    async def order(self, order_id: str, *, nested: bool = False) -> AlpacaOrder:
        """One order by its id. Raises a `BrokerError`, of those `UnknownOrderError` where there is none."""
        return await self._client.ask(wire.order_target(order_id, nested=nested), answers.order)

    async def by_name(self, venue_id: str) -> AlpacaOrder:
        """One order by its client order id. Raises as `order`."""
        return await self._client.ask(wire.by_client_id_target(venue_id), answers.order)

    # One order

    async def find(self, order: Order) -> FindResult:
        """What Alpaca has of the order, in its latest generation."""
        try:
            shown = await self._shown(order)
            if shown is None:
                return Absent()
            shown = await self.latest(shown, order.client_order_id)
        except UnknownOrderError:
            return Absent()
        except BrokerError as error:
            return Failed(str(error))
        if order.client_order_id:
            self._orders.learn(shown, order.client_order_id)
            self.unnamed.discard(order.client_order_id)
        if shown.status == "pending_replace" and order.action(PendingActionKind.REPLACE) is not None:
            return Failed("Alpaca has not yet done or refused the replace")
        return Found(self._orders.view(shown))

    async def _shown(self, order: Order) -> AlpacaOrder | None:
        if order.broker_order_id:
            return await self.order(order.broker_order_id)
        if order.group_id:
            return await self._member(order)
        return await self.by_name(self._orders.name(order))

    async def _member(self, order: Order) -> AlpacaOrder | None:
        """An order of a group whose own id is not known: it is what the group was sent as, or a leg of that. Legs have
        no name of ours, so that one of a group that nobody remembers cannot be told to be absent."""
        parent, parent_id = self._orders.parents.get(order.group_id) or ("", "")
        if not parent:
            raise BrokerError(
                "the group that the order belongs to is not known any more; look for it at Alpaca"
            )
        if parent == order.client_order_id:
            return await self.by_name(self._orders.name(order))
        if not parent_id:
            parent_id = (await self.by_name(self._orders.ids.venue_id(parent, 1))).id
            self._orders.parents[order.group_id] = parent, parent_id
        shown = await self.order(parent_id, nested=True)
        return leg_of(order, shown)

    async def latest(self, shown: AlpacaOrder, client_order_id: str) -> AlpacaOrder:
        """The last of the gateway's generations of an order. One that others replaced is the gateway's last."""
        while shown.status == "replaced" and shown.replaced_by:
            successor = await self.order(shown.replaced_by)
            if not self.own(successor, client_order_id):
                break
            shown = successor
        return shown

    def own(self, shown: AlpacaOrder, client_order_id: str) -> bool:
        """Whether it is the gateway's order of that id."""
        return bool(client_order_id) and self._orders.client_id(shown) == client_order_id

    # Lists

    async def open_orders(self, lane: Lane = Lane.QUERY) -> list[AlpacaOrder]:
        """Everything that works, each leg by itself."""
        found: dict[str, AlpacaOrder] = {}
        after = ""
        while True:
            page = await self._client.ask(wire.open_orders_target(after), answers.orders, lane=lane)
            for shown in page:
                for each in (shown, *shown.legs):
                    if each.working:
                        found.setdefault(each.id, each)
            if len(page) < wire.ORDERS_PAGE:
                return list(found.values())
            after = page[-1].id

    async def fills(self, watermark: str) -> FillPage:
        """A page of executions after a watermark: `time|id` of the last one that was told, and `=` before that while
        pages go on."""
        within = watermark.startswith(MORE)
        moment, _, last = watermark.removeprefix(MORE).partition("|")
        try:
            after = write_time(max(time_ns(moment, "the watermark") - OVERLAP_NS, 0)) if moment else ""
        except WireError as error:
            raise BrokerError(f"it is no watermark of Alpaca's: {error}") from None
        target = wire.fills_target(page_token=last) if within else wire.fills_target(after=after)
        page = await self._client.ask(target, answers.activities)
        told = {activity.id for activity in page if self._orders.was_told(activity)}
        fills = [await self._fill(activity) for activity in page]
        fresh = [index for index, activity in enumerate(page) if activity.id not in told]
        if any(is_crypto(fills[index].symbol) for index in fresh):
            held = await self.positions()
            missed = self._orders.coins.missed([fills[index] for index in fresh], held)
            for index, fill in zip(fresh, missed, strict=True):
                fills[index] = fill
        complete = len(page) < wire.FILLS_PAGE
        if page:
            moment, last = write_time(page[-1].time_ns), page[-1].id
        mark = f"{moment}|{last}" if last else ""
        return FillPage(fills, mark if complete else MORE + mark, complete)

    async def positions(self) -> dict[str, Decimal]:
        """What is held, by symbol."""
        shown = await self._client.ask(wire.POSITIONS, answers.positions)
        return {self._symbol_of(held.symbol): held.quantity for held in shown}

    async def _fill(self, activity: Activity) -> FillReport:
        name = self._orders.client_id_of(activity.order_id)
        if name is None and self.unnamed:
            with suppress(UnknownOrderError):
                # An order that Alpaca does not show any more is none of those that were just sent.
                shown = await self.order(activity.order_id)
                name = self._orders.client_id(shown)
                self._orders.learn(shown, name)
        return self._orders.missed(activity, name or "", self._symbol_of(activity.symbol))
