"""What a gateway may have missed of a venue across a line, as reports and as answers."""

from __future__ import annotations

from typing import Protocol

from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import Order, OrderState, PendingActionKind
from brokergate.domain.values import changed
from brokergate.ports.broker import (
    Absent,
    Failed,
    FillPage,
    FindResult,
    Found,
    OrderReport,
    Report,
    RestoredState,
    VenueOrder,
)
from brokergate.sim.history import History, name_of
from brokergate.sim.venue import Venue

FILLS_A_PAGE = 1_000
_LOST = "the gateway ended while it was on its way to the paper venue"


def ended(order: VenueOrder) -> OrderReport:
    """The end of an order as a report. Of one that filled the fills say it: then it is an acknowledgement."""
    event = {
        OrderState.FILLED: OrderEventType.ACKNOWLEDGED,
        OrderState.EXPIRED: OrderEventType.EXPIRED,
    }.get(order.state, OrderEventType.CANCELED)
    return OrderReport(
        event,
        order.client_order_id,
        order.broker_order_id,
        order.update_time_ns,
        order.reason,
        order.message,
    )


def as_asked(shown: VenueOrder, order: Order) -> VenueOrder:
    """An ended order with its whole quantity: the venue keeps what was filled of it, the gateway what it was for."""
    if shown.state is OrderState.FILLED:
        return shown
    quantity = order.quantity
    replacing = order.action(PendingActionKind.REPLACE)
    if replacing is not None and shown.broker_order_id != order.broker_order_id:
        asked = replacing.replacement.quantity if replacing.replacement is not None else None
        quantity = quantity if asked is None else asked
    return changed(shown, quantity=max(quantity, shown.cum_quantity))


class UnderWay(Protocol):
    """A line, as far as it knows what is on it."""

    def under_way(self, client_order_id: str) -> bool:
        """Whether a command on this order has not yet come to the venue."""
        ...


def found(venue: Venue, order: Order, line: UnderWay | None) -> FindResult:
    """What the venue knows of an order. See `PaperTradingBroker.find_order`."""
    name, history = order.client_order_id, venue.history
    if line is not None and line.under_way(name):
        return Failed(f"a command on order {name!r} is still on its way to the paper venue")
    working = venue.working(name)
    if working is not None:
        return Found(venue.listings[working.symbol].shown(working))
    past = history.ended(name_of(order)) if history is not None else None
    if past is not None:
        return Found(as_asked(past, order))
    if order.broker_order_id or (history is not None and not history.complete):
        return Failed(f"order {name!r} has ended; the paper venue no longer keeps it")
    return Absent()


def fills_after(history: History, known: int) -> FillPage:
    """The next executions after number `known`."""
    fills, last = history.after(known, FILLS_A_PAGE)
    return FillPage(fills, str(last), last == history.executed)


def missed(venue: Venue, history: History, state: RestoredState) -> list[Report]:
    """Everything that the gateway may not know of a venue that was across a line and is in process from now on: it will
    not ask. What it knows it takes for nothing new. Then positions and balances, as they stand."""
    reports: list[Report] = [*history.fills, *(ended(order) for order in history.orders)]
    for order in state.open_orders:
        reports += _settled(venue, history, order)
    return [*reports, *venue.positions(), *venue.balances()]


def _settled(venue: Venue, history: History, order: Order) -> list[Report]:
    """What came of what was under way on an order."""
    name, now_ns = order.client_order_id, venue.now_ns
    end = history.ended(name_of(order))
    if end is not None:
        cut = end.state is OrderState.FILLED and end.quantity < order.quantity
        replaced = OrderEventType.REPLACED
        broker_id = end.broker_order_id
        return [OrderReport(replaced, name, broker_id, now_ns, quantity=end.quantity)] if cut else []
    working = venue.working(name)
    if working is None:
        if order.broker_order_id:
            message = "the paper venue no longer has it"
            return [
                OrderReport(OrderEventType.CANCELED, name, order.broker_order_id, now_ns, message=message)
            ]
        return [OrderReport(OrderEventType.REJECTED, name, "", now_ns, ErrorReason.NOT_SENT, _LOST)]
    broker_id = working.broker_order_id
    told: list[Report] = []
    if not order.broker_order_id:
        told.append(OrderReport(OrderEventType.ACKNOWLEDGED, name, broker_id, now_ns))
    elif broker_id != order.broker_order_id:
        told.append(OrderReport(OrderEventType.REPLACED, name, broker_id, now_ns))
    elif order.action(PendingActionKind.REPLACE) is not None:
        told.append(OrderReport(OrderEventType.REPLACE_REJECTED, name, broker_id, now_ns, message=_LOST))
    if working.stop is not None and not working.waiting and not order.triggered:
        told.append(OrderReport(OrderEventType.TRIGGERED, name, broker_id, now_ns))
    if order.action(PendingActionKind.CANCEL) is not None:
        told.append(OrderReport(OrderEventType.CANCEL_REJECTED, name, broker_id, now_ns, message=_LOST))
    return told
