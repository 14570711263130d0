"""Orders, changes and cancels on their way to Alpaca. Each ends Accepted, Rejected or Unknown and raises nothing: only
the venue's definite word, or that nothing was sent, is a rejection (laws 2 and 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from brokergate.adapters.alpaca import answers, wire
from brokergate.adapters.alpaca.abilities import refusal
from brokergate.adapters.alpaca.answers import AlpacaOrder
from brokergate.adapters.alpaca.client import AlpacaClient, never_sent, parsed
from brokergate.adapters.alpaca.errors import Meaning
from brokergate.adapters.alpaca.lookups import Lookups
from brokergate.adapters.alpaca.orders import Orders
from brokergate.adapters.alpaca.values import NS_PER_S
from brokergate.adapters.context import BrokerContext
from brokergate.domain.errors import (
    BrokerError,
    DuplicateOrderError,
    ErrorReason,
    UnknownOrderError,
)
from brokergate.domain.instruments import Instrument
from brokergate.domain.money import is_multiple
from brokergate.domain.orders import Order, OrderSpec, OrderType
from brokergate.domain.values import changed
from brokergate.ports.broker import (
    Accepted,
    GroupKind,
    OrderGroup,
    Outcome,
    Rejected,
    ReplaceCommand,
    Unknown,
)
from brokergate.resilience.lanes import Lane

MANY = 10
"""Cancels from which on all of them are asked for at once, where nothing else is open."""
SKEW_NS = 2 * NS_PER_S
"""How far Alpaca's clock may be behind."""
TRIES = 5
"""Names that a replace tries: those of earlier ones that came to nothing are taken for ever."""


class Commands:
    """Commands on the orders of one account."""

    def __init__(
        self,
        client: AlpacaClient,
        orders: Orders,
        lookups: Lookups,
        context: BrokerContext,
        instrument_of: Callable[[str], Instrument | None],
    ) -> None:
        self._client = client
        self._orders = orders
        self._lookups = lookups
        self._context = context
        self._instrument_of = instrument_of
        self._linking = 0
        self.linked = asyncio.Event()
        """Set while no group is on its way: the names of its legs come with its answer alone."""
        self.linked.set()

    # Placing

    def refusal(self, spec: OrderSpec, *, linked: bool = False) -> Rejected | None:
        """What Alpaca's rules have against an order, as far as they are known here."""
        instrument = self._instrument_of(spec.symbol)
        if instrument is None:
            return Rejected(ErrorReason.INSTRUMENT_NOT_FOUND, f"Alpaca has no instrument {spec.symbol!r}")
        for price in (spec.limit_price, spec.stop_price):
            if price is not None and not is_multiple(price, instrument.price_increment):
                problem = f"{price} is not a multiple of {spec.symbol}'s price_increment"
                return Rejected(ErrorReason.PRICE_OFF_TICK, f"{problem} {instrument.price_increment}")
        lot, quantity = instrument.quantity_increment, spec.quantity
        if quantity is not None and not is_multiple(quantity, lot):
            problem = f"{quantity} is not a multiple of {spec.symbol}'s quantity_increment {lot}"
            return Rejected(ErrorReason.QUANTITY_OFF_LOT, problem)
        if quantity is not None and quantity < instrument.min_quantity:
            problem = f"{quantity} is below {spec.symbol}'s min_quantity {instrument.min_quantity}"
            return Rejected(ErrorReason.QUANTITY_OUT_OF_RANGE, problem)
        against = refusal(spec, instrument, linked=linked)
        return None if against is None else Rejected(*against)

    async def place(self, order: Order) -> Outcome:
        """Places one order."""
        against = self.refusal(order.spec)
        if against is not None:
            return against
        if order.client_order_id in self._orders.placed:
            return _reused()
        self._orders.count(order)
        outcome = await self._post(order, wire.place_body(order.spec, self._orders.name(order)))
        if isinstance(outcome, AlpacaOrder):
            return self._taken(order, outcome)
        return outcome

    async def _post(self, order: Order, body: bytes) -> AlpacaOrder | Outcome:
        """Sends a new order, or the group that goes under its name."""
        self._lookups.unnamed.add(order.client_order_id)
        try:
            answer = await self._client.send("POST", wire.ORDERS, lane=Lane.NEW, body=body)
            shown = None if isinstance(answer, Meaning) else parsed(answers.order, answer)
        except BrokerError as error:
            return self._failed(order, error)
        if shown is not None:
            return shown
        assert isinstance(answer, Meaning)
        self._context.metrics.record_error(answer.error)
        if isinstance(answer.error, DuplicateOrderError):
            return await self._arrived_before(order, answer)
        if not answer.refused:
            return Unknown(str(answer.error))
        self._lookups.unnamed.discard(order.client_order_id)
        return Rejected(answer.reason, str(answer.error))

    def _failed(self, order: Order, error: BrokerError) -> Outcome:
        self._context.metrics.record_error(error)
        if never_sent(error):
            self._lookups.unnamed.discard(order.client_order_id)
        return _outcome(error)

    def _taken(self, order: Order, shown: AlpacaOrder) -> Outcome:
        self._orders.learn(shown, order.client_order_id)
        self._orders.placed[order.client_order_id] = True
        self._lookups.unnamed.discard(order.client_order_id)
        return Accepted(shown.id)

    async def _arrived_before(self, order: Order, answer: Meaning) -> AlpacaOrder | Outcome:
        """Alpaca has an order of this name. The gateway sends a name once: either this very order arrived on a way that
        nobody saw, or the name was used before this journal, and then this order was not placed."""
        try:
            shown = await self._lookups.by_name(self._orders.name(order))
        except BrokerError as error:
            return Unknown(f"Alpaca has an order of this name, and it cannot be looked at: {error}")
        if shown.submitted_ns >= order.create_time_ns - SKEW_NS and _same(shown, order):
            return shown
        self._lookups.unnamed.discard(order.client_order_id)
        return Rejected(
            answer.reason, f"{answer.error}; order {shown.id} of before this journal has its name"
        )

    async def place_group(self, group: OrderGroup) -> Sequence[Outcome]:
        """Places linked orders in one request: all or none."""
        against = self._refusal_of_group(group)
        if against is not None:
            return [against for _ in group.orders]
        parent = wire.parent_of(group)
        self._orders.parents[parent.group_id] = parent.client_order_id, ""
        self._linking += 1
        self.linked.clear()
        try:
            outcome = await self._post(parent, wire.group_body(group, self._orders.name(parent)))
            if not isinstance(outcome, AlpacaOrder):
                return [outcome for _ in group.orders]
            found = self._orders.learn_group(group, outcome)
            return [
                self._taken(order, found[order.client_order_id])
                if order.client_order_id in found
                else Unknown("Alpaca took the group and does not show this leg yet")
                for order in group.orders
            ]
        finally:
            self._linking -= 1
            if not self._linking:
                self.linked.set()

    def _refusal_of_group(self, group: OrderGroup) -> Rejected | None:
        kinds = sorted(order.spec.type for order in group.orders)
        stops = (OrderType.STOP, OrderType.STOP_LIMIT)
        if group.kind is GroupKind.OCO:
            if len(kinds) != 2 or kinds[0] is not OrderType.LIMIT or kinds[1] not in stops:
                problem = "Alpaca's OCO is one LIMIT order and one STOP or STOP_LIMIT order"
                return Rejected(ErrorReason.UNSUPPORTED, problem)
            if len({(order.spec.side, order.quantity) for order in group.orders}) != 1:
                problem = "the orders of Alpaca's OCO are of one side and one quantity"
                return Rejected(ErrorReason.UNSUPPORTED, problem)
        elif group.orders[0].spec.type not in (OrderType.MARKET, OrderType.LIMIT):
            return Rejected(
                ErrorReason.UNSUPPORTED, "a bracket's entry at Alpaca is a MARKET or a LIMIT order"
            )
        for order in group.orders:
            if order.client_order_id in self._orders.placed:
                return _reused()
            against = self.refusal(order.spec, linked=True)
            if against is not None:
                return against
        return None

    # Changes

    async def replace(self, command: ReplaceCommand) -> Outcome:
        """Asks for a change. Alpaca's yes says that it is under way; the stream says what came of it."""
        order = command.order
        spec = changed(command.spec, quantity=command.quantity)
        against = self.refusal(spec)
        if against is not None:
            return against
        if order.spec.quote_quantity is not None:
            return Rejected(ErrorReason.UNSUPPORTED, "Alpaca does not change an order by an amount of money")
        if command.quantity <= order.cum_quantity:
            return Rejected(ErrorReason.REPLACE_BELOW_FILLED, f"{order.cum_quantity} is filled already")
        if not order.broker_order_id:
            return Rejected(ErrorReason.ORDER_NOT_FOUND, "Alpaca's id of the order is not known yet")
        for _ in range(TRIES):
            body = wire.replace_body(order, spec, self._orders.next_name(order))
            outcome = await self._patch(command, body)
            if outcome is not None:
                return outcome
        return Rejected(ErrorReason.BROKER_REJECTED, "Alpaca keeps every name of the order's next generation")

    async def _patch(self, command: ReplaceCommand, body: bytes) -> Outcome | None:
        """One try; None where its name was taken by another that came to nothing."""
        order = command.order
        target = wire.order_target(order.broker_order_id)
        try:
            answer = await self._client.send("PATCH", target, lane=Lane.NEW, body=body)
            shown = None if isinstance(answer, Meaning) else parsed(answers.order, answer)
        except BrokerError as error:
            self._context.metrics.record_error(error)
            return _outcome(error)
        if shown is not None:
            self._orders.learn(shown, order.client_order_id)
            return Accepted(shown.id)
        assert isinstance(answer, Meaning)
        self._context.metrics.record_error(answer.error)
        if not answer.refused:
            return Unknown(str(answer.error))
        if isinstance(answer.error, DuplicateOrderError):
            return None
        return await self._refused_change(command, answer)

    async def _refused_change(self, command: ReplaceCommand, answer: Meaning) -> Outcome:
        """Why a change was refused: Alpaca has one text for an order that has ended and for one that cannot be changed
        yet, so the order is looked at."""
        if answer.reason is not ErrorReason.ORDER_ENDED and not isinstance(answer.error, UnknownOrderError):
            return Rejected(answer.reason, str(answer.error))
        try:
            shown = await self._lookups.order(command.order.broker_order_id)
        except BrokerError:
            return Rejected(answer.reason, str(answer.error))
        if not shown.working:
            return Rejected(ErrorReason.ORDER_ENDED, f"the order has ended: {shown.status}")
        if shown.filled >= command.quantity:
            return Rejected(ErrorReason.REPLACE_BELOW_FILLED, f"{shown.filled} is filled already")
        return Rejected(ErrorReason.REPLACE_PENDING, f"Alpaca cannot change it while it is {shown.status}")

    # Cancels

    async def cancel(self, order: Order, lane: Lane = Lane.CANCEL) -> Outcome:
        """Asks for a cancel. Alpaca's yes says that it is under way; the stream tells the end."""
        if not order.broker_order_id:
            return await self._cancel_by_name(order, lane)
        return await self._delete(order.broker_order_id, order, lane)

    async def _cancel_by_name(self, order: Order, lane: Lane) -> Outcome:
        """The order's id is not known: it is asked for, which also shows whether there is an order."""
        try:
            shown = await self._client.ask(
                wire.by_client_id_target(self._orders.name(order)), answers.order, lane=lane
            )
        except UnknownOrderError as error:
            return Rejected(ErrorReason.ORDER_NOT_FOUND, str(error))
        except BrokerError as error:
            return _outcome(error)
        self._orders.learn(shown, order.client_order_id)
        return await self._delete(shown.id, order, lane)

    async def _delete(self, order_id: str, order: Order, lane: Lane) -> Outcome:
        try:
            answer = await self._client.send("DELETE", wire.order_target(order_id), lane=lane)
        except BrokerError as error:
            self._context.metrics.record_error(error)
            return _outcome(error)
        if not isinstance(answer, Meaning):
            return Accepted(order_id)
        self._context.metrics.record_error(answer.error)
        if not answer.refused:
            return Unknown(str(answer.error))
        if not isinstance(answer.error, UnknownOrderError):
            return Rejected(answer.reason, str(answer.error))
        return await self._refused_cancel(order_id, order, answer, lane)

    async def _refused_cancel(self, order_id: str, order: Order, answer: Meaning, lane: Lane) -> Outcome:
        """Why a cancel was refused: the order has ended, was replaced, is being cancelled already, or is not there."""
        try:
            shown = await self._lookups.order(order_id)
        except UnknownOrderError as error:
            return Rejected(ErrorReason.ORDER_NOT_FOUND, str(error))
        except BrokerError as error:
            return Unknown(f"{answer.error}; and the order cannot be looked at: {error}")
        if shown.status == "replaced" and shown.replaced_by:
            return await self._cancel_successor(shown, order, lane)
        if not shown.working:
            return Rejected(ErrorReason.ORDER_ENDED, f"the order has ended: {shown.status}")
        if shown.status == "pending_cancel":
            return Accepted(order_id)
        return Rejected(ErrorReason.BROKER_REJECTED, str(answer.error))

    async def _cancel_successor(self, shown: AlpacaOrder, order: Order, lane: Lane) -> Outcome:
        """A cancel that met a replace: the generation that took the order's place is what is to go."""
        try:
            latest = await self._lookups.latest(shown, order.client_order_id)
        except BrokerError as error:
            return Unknown(str(error))
        if latest.id == shown.id or not latest.working:
            return Rejected(ErrorReason.ORDER_ENDED, f"the order has ended: {latest.status}")
        return await self._delete(latest.id, order, lane)

    async def cancel_all(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        """Cancels several: one by one, or, where they are many and all that is open, in one request."""
        lane = Lane.CANCEL_EMERGENCY
        if len(orders) >= MANY and (at_once := await self._all_at_once(orders, lane)) is not None:
            return at_once
        return await asyncio.gather(*(self.cancel(order, lane) for order in orders))

    async def _all_at_once(self, orders: Sequence[Order], lane: Lane) -> Sequence[Outcome] | None:
        """The outcomes of cancelling everything; None where something else is open, or may be."""
        try:
            shown = await self._lookups.open_orders(lane)
        except BrokerError:
            return None
        if not {each.id for each in shown} <= {order.broker_order_id for order in orders}:
            return None
        try:
            answer = await self._client.send("DELETE", wire.ORDERS, lane=lane)
            statuses = {} if isinstance(answer, Meaning) else parsed(answers.cancelled, answer or [])
        except BrokerError as error:
            return [_outcome(error)] * len(orders)
        taken = {order_id for order_id, status in statuses.items() if 200 <= status < 300}

        async def each(order: Order) -> Outcome:
            if order.broker_order_id in taken:
                return Accepted(order.broker_order_id)
            return await self.cancel(order, lane)

        return await asyncio.gather(*(each(order) for order in orders))


def _outcome(error: BrokerError) -> Outcome:
    """Of a command that has no answer."""
    if never_sent(error):
        return Rejected(ErrorReason.NOT_SENT, str(error))
    return Unknown(str(error))


def _reused() -> Rejected:
    return Rejected(ErrorReason.CLIENT_ORDER_ID_REUSED, "Alpaca took an order of this client order id before")


def _same(shown: AlpacaOrder, order: Order) -> bool:
    """Whether Alpaca shows what was asked for."""
    spec = order.spec
    return (shown.symbol, shown.side, shown.type, shown.quantity, shown.notional, shown.limit_price) == (
        spec.symbol,
        spec.side,
        spec.type,
        None if spec.quote_quantity is not None else order.quantity,
        spec.quote_quantity,
        spec.limit_price,
    )
