"""The life of an order: one table, state × event → state, and the only functions that make an order from another.

Two rules. A state is assigned by `TRANSITIONS` and nothing else. A pair that the table lacks raises
`IllegalTransition`: the caller has evidence that contradicts what was proven before and must say so (law 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType as E
from brokergate.domain.fills import Fill, FillKind
from brokergate.domain.money import ZERO, add, multiply, subtract
from brokergate.domain.orders import Order, OrderOrigin, OrderSpec, PendingAction, PendingActionKind
from brokergate.domain.orders import OrderState as S
from brokergate.domain.values import changed

_WORKING = (S.PENDING_NEW, S.NEW, S.PARTIALLY_FILLED)
_ENDED = (S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED)
_STAY = (
    E.DISPATCHED,
    E.TRIGGERED,
    E.CANCEL_REQUESTED,
    E.CANCEL_REJECTED,
    E.REPLACE_REQUESTED,
    E.REPLACE_REJECTED,
    E.UNCERTAIN,
    E.RESOLVED,
)

TRANSITIONS: Mapping[tuple[S, E], S] = {
    (S.UNSPECIFIED, E.INTENT): S.PENDING_NEW,
    (S.UNSPECIFIED, E.EXTERNAL): S.NEW,
    **{(state, event): state for state in _WORKING for event in _STAY},
    (S.PENDING_NEW, E.ACKNOWLEDGED): S.NEW,
    (S.NEW, E.ACKNOWLEDGED): S.NEW,
    (S.PARTIALLY_FILLED, E.ACKNOWLEDGED): S.PARTIALLY_FILLED,
    (S.PENDING_NEW, E.REJECTED): S.REJECTED,
    # A venue that acknowledges first and rejects later (Tradier's "received", FIX 8=2 after 8=0).
    (S.NEW, E.REJECTED): S.REJECTED,
    **{(state, E.PARTIALLY_FILLED): S.PARTIALLY_FILLED for state in _WORKING},
    **{(state, E.FILLED): S.FILLED for state in _WORKING},
    **{(state, E.CANCELED): S.CANCELED for state in _WORKING},
    **{(state, E.EXPIRED): S.EXPIRED for state in _WORKING},
    (S.NEW, E.REPLACED): S.NEW,
    (S.PARTIALLY_FILLED, E.REPLACED): S.PARTIALLY_FILLED,
    # What comes after the end corrects the figures and never reopens the order (laws 3 and 7).
    **{(state, E.CORRECTED): state for state in _ENDED},
    **{(state, E.CANCEL_REJECTED): state for state in _ENDED},
    **{(state, E.REPLACE_REJECTED): state for state in _ENDED},
    **{(state, E.RESOLVED): state for state in _ENDED},
}


class IllegalTransition(Exception):
    """The table has no state for this event: the evidence contradicts what was proven before."""

    def __init__(self, order: Order, event: E) -> None:
        super().__init__(f"order {order.order_id}: {event.name} does not follow {order.state.name}")
        self.order = order
        self.event = event


def _next(order: Order, event: E) -> S:
    state = TRANSITIONS.get((order.state, event))
    if state is None:
        raise IllegalTransition(order, event)
    return state


def _without(order: Order, kind: PendingActionKind) -> tuple[PendingAction, ...]:
    if not order.pending:
        return ()
    return tuple(action for action in order.pending if action.kind is not kind)


def intend(
    *,
    order_id: str,
    client_order_id: str,
    account_id: str,
    spec: OrderSpec,
    quantity: Decimal,
    multiplier: Decimal,
    now_ns: int,
    route_id: str = "",
    group_id: str = "",
) -> Order:
    """A new order that the gateway has taken: PENDING_NEW, with its placing under way."""
    return Order(
        order_id=order_id,
        client_order_id=client_order_id,
        account_id=account_id,
        spec=spec,
        quantity=quantity,
        leaves_quantity=quantity,
        multiplier=multiplier,
        state=TRANSITIONS[S.UNSPECIFIED, E.INTENT],
        pending=(PendingAction(PendingActionKind.NEW, client_order_id, now_ns),),
        create_time_ns=now_ns,
        update_time_ns=now_ns,
        route_id=route_id,
        group_id=group_id,
    )


def hold_back(order: Order) -> Order:
    """A new order that waits, nothing of it sent, until the broker is there."""
    return changed(order, pending=tuple(changed(action, held=True) for action in order.pending))


def dispatch(order: Order, now_ns: int) -> Order:
    """An order that waited is about to be sent."""
    return changed(
        order,
        state=_next(order, E.DISPATCHED),
        pending=tuple(changed(action, held=False, since_ns=now_ns) for action in order.pending),
        update_time_ns=now_ns,
    )


def external(
    *,
    order_id: str,
    account_id: str,
    spec: OrderSpec,
    quantity: Decimal,
    multiplier: Decimal,
    broker_order_id: str,
    now_ns: int,
) -> Order:
    """An order of others, as the venue shows it. Its filled quantity counts from the fills that are booked."""
    return Order(
        order_id=order_id,
        client_order_id="",
        account_id=account_id,
        spec=spec,
        quantity=quantity,
        leaves_quantity=quantity,
        multiplier=multiplier,
        state=TRANSITIONS[S.UNSPECIFIED, E.EXTERNAL],
        broker_order_id=broker_order_id,
        origin=OrderOrigin.EXTERNAL,
        create_time_ns=now_ns,
        update_time_ns=now_ns,
    )


def settled(order: Order, kind: PendingActionKind, now_ns: int) -> Order:
    """What was uncertain is known: it did not come about, and the order is as it was."""
    return changed(
        order, state=_next(order, E.RESOLVED), pending=_without(order, kind), update_time_ns=now_ns
    )


def acknowledge(order: Order, broker_order_id: str, now_ns: int) -> Order:
    """The venue works it, under `broker_order_id`."""
    return changed(
        order,
        state=_next(order, E.ACKNOWLEDGED),
        broker_order_id=broker_order_id or order.broker_order_id,
        pending=_without(order, PendingActionKind.NEW),
        update_time_ns=now_ns,
    )


def reject(order: Order, reason: ErrorReason, message: str, now_ns: int) -> Order:
    """It was refused, by the gateway or the venue."""
    return _end(order, E.REJECTED, now_ns, reason, message)


def cancel(
    order: Order, now_ns: int, reason: ErrorReason = ErrorReason.UNSPECIFIED, message: str = ""
) -> Order:
    """It was cancelled; `reason` where nobody asked for it (an IOC's rest, self-trade prevention)."""
    return _end(order, E.CANCELED, now_ns, reason, message)


def expire(order: Order, now_ns: int) -> Order:
    """Its time in force ran out."""
    return _end(order, E.EXPIRED, now_ns, ErrorReason.UNSPECIFIED, "")


def _end(order: Order, event: E, now_ns: int, reason: ErrorReason, message: str) -> Order:
    return changed(
        order,
        state=_next(order, event),
        leaves_quantity=ZERO,
        pending=(),
        reject_reason=reason,
        # The contract has words for a reason alone; what an event says beyond it stands in the event.
        reject_message=message if reason else "",
        update_time_ns=now_ns,
    )


def trigger(order: Order, now_ns: int) -> Order:
    """Its stop was set off."""
    return changed(order, state=_next(order, E.TRIGGERED), triggered=True, update_time_ns=now_ns)


def fill(order: Order, execution: Fill, now_ns: int, corrected: Fill | None = None) -> tuple[Order, E]:
    """The order with `execution` counted, and which event that is. On an ended order it is a correction.

    `corrected` is what a correction replaces, or a bust takes back. The filled quantity may pass the ordered one where
    a venue overfills: it is booked as it happened (law 7).
    """
    cum, notional = order.cum_quantity, order.cum_notional
    if execution.kind is not FillKind.BUST:
        cum, notional = add(cum, execution.quantity), add(notional, _notional(order, execution))
    if corrected is not None:
        cum, notional = subtract(cum, corrected.quantity), subtract(notional, _notional(order, corrected))
    leaves = subtract(order.quantity, cum)
    if order.ended:
        event, leaves = E.CORRECTED, ZERO
    elif leaves > ZERO:
        event = E.PARTIALLY_FILLED
    else:
        event, leaves = E.FILLED, ZERO
    return (
        changed(
            order,
            state=_next(order, event),
            cum_quantity=cum,
            cum_notional=notional,
            leaves_quantity=leaves,
            broker_order_id=order.broker_order_id or execution.broker_order_id,
            pending=() if event is E.FILLED else _without(order, PendingActionKind.NEW),
            update_time_ns=now_ns,
        ),
        event,
    )


def _notional(order: Order, execution: Fill) -> Decimal:
    return multiply(multiply(execution.price, execution.quantity), order.multiplier)


def request(order: Order, action: PendingAction) -> Order:
    """A cancel or a replace is under way."""
    event = E.CANCEL_REQUESTED if action.kind is PendingActionKind.CANCEL else E.REPLACE_REQUESTED
    return changed(
        order,
        state=_next(order, event),
        pending=(*_without(order, action.kind), action),
        update_time_ns=action.since_ns,
    )


def refuse(order: Order, kind: PendingActionKind, now_ns: int) -> Order:
    """The venue refused the cancel or replace that was under way."""
    event = E.CANCEL_REJECTED if kind is PendingActionKind.CANCEL else E.REPLACE_REJECTED
    return changed(order, state=_next(order, event), pending=_without(order, kind), update_time_ns=now_ns)


def replaced(order: Order, spec: OrderSpec, quantity: Decimal, broker_order_id: str, now_ns: int) -> Order:
    """The venue changed it: a new generation with `spec` and the total `quantity`."""
    return changed(
        order,
        state=_next(order, E.REPLACED),
        spec=spec,
        quantity=quantity,
        leaves_quantity=subtract(quantity, order.cum_quantity),
        generation=order.generation + 1,
        broker_order_id=broker_order_id or order.broker_order_id,
        pending=_without(order, PendingActionKind.REPLACE),
        update_time_ns=now_ns,
    )


def restated(order: Order, quantity: Decimal, broker_order_id: str, now_ns: int) -> Order:
    """The venue changed the total by itself: a new generation. A replace under way that leaves the total alone will
    leave the new one."""
    pending = [
        changed(action, replacement=changed(action.replacement, quantity=quantity))
        if action.replacement is not None and action.replacement.quantity == order.quantity
        else action
        for action in order.pending
    ]
    spec = order.spec if order.spec.quantity is None else changed(order.spec, quantity=quantity)
    return changed(
        order,
        state=_next(order, E.REPLACED),
        spec=spec,
        quantity=quantity,
        leaves_quantity=subtract(quantity, order.cum_quantity),
        generation=order.generation + 1,
        broker_order_id=broker_order_id or order.broker_order_id,
        pending=tuple(pending),
        update_time_ns=now_ns,
    )


def used_up(order: Order, now_ns: int) -> Order:
    """Its new total was filled before it was told: the fills came first."""
    return changed(
        order, state=_next(order, E.FILLED), leaves_quantity=ZERO, pending=(), update_time_ns=now_ns
    )


def uncertain(order: Order, kind: PendingActionKind, now_ns: int) -> Order:
    """The outcome of what is under way is unknown."""
    return changed(
        order,
        state=_next(order, E.UNCERTAIN),
        pending=tuple(changed(a, uncertain=True) if a.kind is kind else a for a in order.pending),
        update_time_ns=now_ns,
    )
