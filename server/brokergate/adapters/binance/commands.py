"""Commands: placing, linking, cancelling. By REST, since a command's way must not depend on the stream that tells of
it, and its answer has the count of what is used.

Every command has one of three outcomes (law 3): Accepted and Rejected by Binance's word, or Rejected where nothing
left; anything else is Unknown.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from brokergate.adapters.binance import parse, wire
from brokergate.adapters.binance.client import Refusal
from brokergate.adapters.binance.desk import Desk
from brokergate.adapters.binance.executions import Executions
from brokergate.adapters.binance.parse import ShownOrder
from brokergate.adapters.connection.errors import NotSent
from brokergate.domain.errors import BrokerError, ErrorReason, RateLimitError
from brokergate.domain.orders import Order, PendingActionKind
from brokergate.ports.broker import (
    Accepted,
    GroupKind,
    OrderGroup,
    Outcome,
    Rejected,
    Report,
    Unknown,
)

AT_ONCE = 8
"""Commands of one batch that are under way at once; they leave in their order."""
T = TypeVar("T")


def failed(error: BrokerError | Refusal) -> Rejected | Unknown:
    """The outcome of a command that ended so."""
    if isinstance(error, Refusal):
        if error.meaning.sure:
            return Rejected(error.meaning.reason, error.message)
        return Unknown(error.message)
    if isinstance(error, NotSent):
        return Rejected(ErrorReason.NOT_SENT, str(error))
    if isinstance(error, RateLimitError):
        return Rejected(ErrorReason.RATE_LIMITED, f"{error}; nothing was sent")
    return Unknown(str(error))


async def together(commands: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Some at a time, begun in their order; the results in that order."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(command: Callable[[], Awaitable[T]]) -> T:
        async with room:
            return await command()

    return await asyncio.gather(*(one(command) for command in commands))


class Commands:
    """The commands of one account."""

    def __init__(self, desk: Desk, executions: Executions) -> None:
        self._desk = desk
        self._executions = executions

    # Placing

    async def place_all(self, orders: Sequence[Order]) -> list[Outcome]:
        """Places orders, several at a time."""
        return await together([lambda order=order: self.place(order) for order in orders])  # type: ignore[misc]

    async def place(self, order: Order) -> Outcome:
        """Places one order."""
        listed = self._desk.listed(order.spec.symbol)
        if listed is None:
            return unlisted(order.spec.symbol)
        name = listed.instrument.broker_symbol
        client_id = self._desk.telling.ids.venue_id(order.client_order_id, order.generation)
        try:
            params = wire.order_params(name, order.spec, order.quantity, client_id)
        except (ValueError, KeyError) as error:
            return Rejected(ErrorReason.UNSUPPORTED, str(error))
        return await self.send_new(wire.place(params), name)

    async def send_new(self, request: wire.Request, symbol: str) -> Outcome:
        """Sends one new order of Binance's `symbol`."""
        self._executions.touch((symbol,))
        sent_ns = self._desk.clock.monotonic_ns()
        try:
            shown = parse.order(await self._desk.client.command(request))
        except (Refusal, BrokerError) as error:
            return failed(error)
        return self.taken(shown, sent_ns)

    def taken(self, shown: ShownOrder, sent_ns: int) -> Accepted:
        """Binance took an order, by its answer to what was sent at `sent_ns` (monotonic)."""
        desk = self._desk
        desk.stream.expect(shown.order_id, sent_ns)
        return Accepted(shown.order_id, [*desk.told(), *desk.telling.placed(shown)])

    # Linking

    async def place_group(self, group: OrderGroup) -> list[Outcome]:
        """Places linked orders, all or none."""
        orders = group.orders
        listed = self._desk.listed(orders[0].spec.symbol)
        if listed is None:
            return [unlisted(orders[0].spec.symbol)] * len(orders)
        name = listed.instrument.broker_symbol
        try:
            request = self._group_request(group, name)
        except (ValueError, KeyError) as error:
            return [Rejected(ErrorReason.UNSUPPORTED, str(error))] * len(orders)
        self._executions.touch((name,))
        sent_ns = self._desk.clock.monotonic_ns()
        try:
            shown = parse.listed_orders(await self._desk.client.command(request))
        except (Refusal, BrokerError) as error:
            return [failed(error)] * len(orders)
        by_name = {one.client_id: one for one in shown}
        outcomes: list[Outcome] = []
        for order in orders:
            found = by_name.get(self._venue_id(order))
            if found is None:
                outcomes.append(Unknown("Binance's answer does not show this order of the list"))
            else:
                outcomes.append(self.taken(found, sent_ns))
        return outcomes

    def _group_request(self, group: OrderGroup, name: str) -> wire.Request:
        first, *rest = group.orders
        # The list's own name: no order has a generation 0.
        list_id = self._desk.telling.ids.venue_id(first.client_order_id, 0)
        legs = [(order.spec, self._venue_id(order)) for order in group.orders]
        if group.kind is GroupKind.OCO:
            return wire.place_list("oco", wire.oco_params(name, list_id, legs, first.quantity), len(legs))
        kind, params = wire.bracket_params(name, list_id, legs[0], legs[1:], first.quantity)
        return wire.place_list(kind, params, 1 + len(rest))

    def _venue_id(self, order: Order) -> str:
        return self._desk.telling.ids.venue_id(order.client_order_id, order.generation)

    # Cancelling

    async def cancel(self, order: Order) -> Outcome:
        """Cancels one order; the others of its list go with it. Where a replace is under way and the order is gone, its
        successor is cancelled."""
        listed = self._desk.listed(order.spec.symbol)
        if listed is None:
            return unlisted(order.spec.symbol)
        name = listed.instrument.broker_symbol
        outcome = await self._cancel(order, name, order.broker_order_id, self._venue_id(order))
        gone = isinstance(outcome, Rejected) and outcome.reason is ErrorReason.ORDER_ENDED
        if gone and order.action(PendingActionKind.REPLACE) is not None:
            successor = self._desk.telling.ids.venue_id(order.client_order_id, order.generation + 1)
            return await self._cancel(order, name, "", successor)
        return outcome

    async def _cancel(self, order: Order, name: str, broker_id: str, client_id: str) -> Outcome:
        self._executions.touch((name,))
        sent_ns = self._desk.clock.monotonic_ns()
        request = wire.cancel(name, broker_id, client_id)
        try:
            shown = parse.orders([await self._desk.client.command(request)])
        except (Refusal, BrokerError) as error:
            return failed(error)
        return Accepted(order.broker_order_id, self._gone(shown, sent_ns))

    def _gone(self, shown: Sequence[ShownOrder], sent_ns: int) -> list[Report]:
        """What the answer to a cancel tells: the end of each order whose fills were all told. Of the others the stream
        tells it, behind their fills."""
        desk = self._desk
        reports = desk.told()
        for one in shown:
            desk.stream.expect(one.order_id, sent_ns)
            if desk.telling.filled(one.order_id) == one.filled:
                reports += desk.telling.ended(one)
        return reports

    async def cancel_all(self, orders: Sequence[Order]) -> list[Outcome]:
        """Cancels orders: those of a symbol at once where they are all that is open in it, else each by itself."""
        by_symbol: dict[str, list[Order]] = defaultdict(list)
        for order in orders:
            by_symbol[order.spec.symbol].append(order)
        outcomes: dict[str, Outcome] = {}
        single: list[Order] = []
        whole: list[list[Order]] = []
        for symbol, some in by_symbol.items():
            if self._all_of(symbol, some):
                whole.append(some)
            else:
                single += some
        for answers in await together([lambda some=some: self._cancel_symbol(some) for some in whole]):  # type: ignore[misc]
            outcomes |= answers
        single += [order for order in orders if order.order_id not in outcomes and order not in single]
        answered = await together([lambda order=order: self.cancel(order) for order in single])  # type: ignore[misc]
        outcomes |= dict(zip((order.order_id for order in single), answered, strict=True))
        return [outcomes[order.order_id] for order in orders]

    def _all_of(self, symbol: str, orders: Sequence[Order]) -> bool:
        """Whether these are all orders that are open in a symbol, so that one command takes them and no other."""
        listed = self._desk.listed(symbol)
        if listed is None or len(orders) < 2:
            return False
        name = listed.instrument.broker_symbol
        known = {order_id for order_id, where in self._desk.telling.open.items() if where == name}
        return known == {order.broker_order_id for order in orders}

    async def _cancel_symbol(self, orders: Sequence[Order]) -> dict[str, Outcome]:
        """Cancels all that is open in the orders' symbol; the outcomes by order id, none for an order that the answer
        does not name."""
        name = self._desk.listing.venue_symbol(orders[0].spec.symbol)
        self._executions.touch((name,))
        sent_ns = self._desk.clock.monotonic_ns()
        try:
            shown = parse.orders(await self._desk.client.command(wire.cancel_all(name)))
        except Refusal as refusal:
            # Nothing is open in it any more: each order says for itself what became of it.
            return {} if refusal.meaning.sure else {order.order_id: failed(refusal) for order in orders}
        except BrokerError as error:
            return {order.order_id: failed(error) for order in orders}
        gone: dict[str, Sequence[Report]] = {one.order_id: self._gone((one,), sent_ns) for one in shown}
        return {
            order.order_id: Accepted(order.broker_order_id, gone[order.broker_order_id])
            for order in orders
            if order.broker_order_id in gone
        }


def unlisted(symbol: str) -> Rejected:
    """Binance has no such instrument."""
    return Rejected(ErrorReason.INSTRUMENT_NOT_FOUND, f"Binance has no {symbol}")


def answer_of(refusal: Refusal) -> Any:
    """What a cancel-replace tells of its halves; None where it tells nothing."""
    return refusal.data if isinstance(refusal.data, dict) else None
